//! Many tests at once: p-values adjusted so that the family as a whole keeps its promise.

/// Adjusted by Holm (1979): rejecting those at most alpha makes any false alarm at all with probability alpha at most. In the
/// order of the p-values given.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, i) in ascending(p_values).into_iter().enumerate() {
        largest = largest.max(p_values[i] * (p_values.len() - rank) as f64);
        adjusted[i] = largest.min(1.0);
    }
    adjusted
}

/// Adjusted by Benjamini and Hochberg (1995): of those at most q a share q is false on average, for independent or positively
/// dependent tests. In the order of the p-values given.
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut adjusted = vec![0.0; p_values.len()];
    let mut smallest = 1.0_f64;
    for (rank, i) in ascending(p_values).into_iter().enumerate().rev() {
        smallest = smallest.min(p_values[i] * p_values.len() as f64 / (rank as f64 + 1.0));
        adjusted[i] = smallest;
    }
    adjusted
}

fn ascending(p_values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    order
}
