//! What one request takes alone is the yardstick of the number served at once: is it firm enough?

use prony_stats::{mean, variance};

use super::{NAME, alone_name};
use crate::RunView;
use crate::timings::Timings;

/// Requests alone that are needed whatever their spread.
const REQUESTS_MIN: f64 = 10.0;
/// Requests alone that are needed, over the square of the coefficient of variation: the mean is then known to 5 %.
const PER_VARIATION: f64 = 400.0;

/// How many requests alone there were, and how many it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alone {
    /// How many there were.
    pub n: usize,
    /// max(10, (20 CV)^2), CV being the standard deviation over the mean.
    pub needed: usize,
}

impl Alone {
    /// Of the work of requests alone, in any unit.
    pub(super) fn of(work: &[f64]) -> Self {
        let variation = variance(work).sqrt() / mean(work);
        let needed = if work.len() < 2 || !variation.is_finite() {
            REQUESTS_MIN
        } else {
            (PER_VARIATION * variation * variation).ceil().max(REQUESTS_MIN)
        };
        Self {
            n: work.len(),
            needed: needed as usize,
        }
    }

    /// Whether there were enough.
    pub(super) fn is_enough(self) -> bool {
        self.n >= self.needed
    }
}

/// Times of requests to the endpoint that had the target to themselves, outside the ladder proper, in ms.
pub(super) fn before(run: &RunView<'_>, endpoint: &str) -> Vec<f64> {
    let phases = [
        run.phase("baseline", endpoint),
        run.phase(NAME, &alone_name(endpoint)),
    ];
    phases
        .into_iter()
        .flatten()
        .flat_map(|phase| Timings::of(phase, endpoint).service_ms())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Alone;

    #[test]
    fn the_wider_the_spread_the_more_it_takes() {
        assert_eq!(Alone::of(&[1.0; 12]), Alone { n: 12, needed: 10 });
        let spread = [0.5, 1.5, 0.5, 1.5, 0.5, 1.5];
        let found = Alone::of(&spread);
        // Variance 0.3 about a mean of 1.
        assert_eq!((found.needed, found.is_enough()), (120, false));
        assert_eq!(Alone::of(&[1.0]).needed, 10);
    }
}
