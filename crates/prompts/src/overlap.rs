//! What an ideal prefix cache could hold: of each prompt the longest beginning that an earlier one had too. Arithmetic on
//! tokens only.

/// For each sequence the length of the longest beginning that it shares with any sequence before it.
///
/// The sequences are sorted; then of all earlier ones the nearest neighbours in that order share the most. They are found by
/// taking the sequences out of a linked list from the last to the first.
pub(crate) fn shared_beginnings(sequences: &[Vec<u32>]) -> Vec<u32> {
    let n = sequences.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| sequences[*a].cmp(&sequences[*b]).then(a.cmp(b)));
    let mut place = vec![0; n];
    for (at, index) in order.iter().enumerate() {
        place[*index] = at;
    }
    // Neighbours by place, shifted by one: 0 stands before the first.
    let mut before: Vec<usize> = (0..n).collect();
    let mut after: Vec<usize> = (2..n + 2).collect();
    let common = |a: usize, b: usize| {
        let pairs = sequences[a].iter().zip(&sequences[b]);
        pairs.take_while(|(x, y)| x == y).count() as u32
    };
    let mut shared = vec![0; n];
    for index in (0..n).rev() {
        let at = place[index];
        let (left, right) = (before[at], after[at]);
        if left > 0 {
            shared[index] = common(index, order[left - 1]);
            after[left - 1] = right;
        }
        if right <= n {
            shared[index] = shared[index].max(common(index, order[right - 1]));
            before[right - 1] = left;
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::{prop_assert_eq, proptest};

    use super::shared_beginnings;

    #[test]
    fn the_first_shares_nothing_and_a_repeated_one_everything() {
        let sequences = [vec![1, 2, 3], vec![1, 2, 4], vec![1, 2, 3], vec![9], vec![]];
        assert_eq!(shared_beginnings(&sequences), [0, 2, 3, 0, 0]);
        assert_eq!(shared_beginnings(&[]), Vec::<u32>::new());
    }

    proptest! {
        #[test]
        fn as_by_comparing_all_pairs(sequences in vec(vec(0_u32..3, 0..6), 0..20)) {
            let slow: Vec<u32> = (0..sequences.len())
                .map(|i| {
                    let common = |j: usize| {
                        let pairs = sequences[i].iter().zip(&sequences[j]);
                        pairs.take_while(|(a, b)| a == b).count() as u32
                    };
                    (0..i).map(common).max().unwrap_or(0)
                })
                .collect();
            prop_assert_eq!(shared_beginnings(&sequences), slow);
        }
    }
}
