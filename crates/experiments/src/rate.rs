//! How fast to send for long: a part of what the ladder found that the target can take. A pure function of the recording.

use prony_model::{Endpoint, PhaseResult, Shape};

use crate::RunView;
use crate::ladder::throughput_max;
use crate::primary::solo_ms;
use crate::wording::digits;

/// Rates above this say more about the generator than about a backend of inference, per second.
const RATE_MAX: f64 = 2000.0;

/// Arrivals per second at `load` of the highest throughput of the ladder; without a ladder, half of what even a target that
/// serves one request at a time can take. To three digits, so that plan and report show the rate that was used. `None` when
/// nothing was measured before.
pub(crate) fn steady_rate(run: &RunView<'_>, endpoint: &Endpoint, load: f64) -> Option<f64> {
    let from_ladder = throughput_max(run, &endpoint.name).map(|x| load * x);
    let from_solo = || solo_ms(run, endpoint).map(|solo| 0.5 * 1000.0 / solo.max(0.1));
    from_ladder.or_else(from_solo).map(bounded)
}

/// The rate, within reason and to three digits.
pub(crate) fn bounded(rate: f64) -> f64 {
    let rate = rate.min(RATE_MAX);
    digits(rate).parse().unwrap_or(rate)
}

/// Arrivals per second of an open loop of constant rate; 0 of anything else.
pub(crate) fn offered(phase: &PhaseResult) -> f64 {
    match phase.phase.shape {
        Shape::Open { rate, .. } => rate,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::bounded;

    #[test]
    fn rates_have_three_digits() {
        assert!((bounded(123.456) - 123.0).abs() < 1e-12);
        assert!((bounded(0.123_45) - 0.123).abs() < 1e-12);
        assert!((bounded(1e9) - 2000.0).abs() < 1e-12);
    }
}
