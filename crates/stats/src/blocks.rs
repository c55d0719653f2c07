//! A long series in a few blocks: what hides its dependence on the recent past and keeps its course.

use crate::{mean, median};

/// Means of `count` adjacent blocks whose sizes differ by one at most. Fewer blocks when there are fewer values.
pub fn means(series: &[f64], count: usize) -> Vec<f64> {
    split(series, count).map(mean).collect()
}

/// Medians of `count` adjacent blocks whose sizes differ by one at most. Fewer blocks when there are fewer values.
pub fn medians(series: &[f64], count: usize) -> Vec<f64> {
    split(series, count)
        .map(|block| median(&mut block.to_vec()))
        .collect()
}

fn split(series: &[f64], count: usize) -> impl Iterator<Item = &[f64]> {
    let (n, count) = (series.len(), count.min(series.len()));
    (0..count).map(move |i| &series[i * n / count..(i + 1) * n / count])
}

#[cfg(test)]
mod tests {
    use super::{means, medians};

    #[test]
    fn blocks_cover_the_series_once() {
        let series: Vec<f64> = (0..11).map(f64::from).collect();
        assert_eq!(means(&series, 3), [1.0, 4.5, 8.5]);
        assert_eq!(medians(&series, 3), [1.0, 4.5, 8.5]);
        assert_eq!(means(&series[..2], 5), [0.0, 1.0]);
        assert!(means(&[], 5).is_empty());
    }
}
