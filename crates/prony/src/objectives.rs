//! The objectives of streamed answers that the gates of a suite name: what a percentile must not pass is what each answer
//! ought to hold.

use prony_experiments::{Check, Metric, Op, StreamSpan, Unit};
use prony_model::Suite;
use prony_report::{Slo, SloMetric};

/// One for each time that a gate bounds from above: the tightest.
pub(crate) fn of(suite: &Suite) -> Vec<Slo> {
    let mut slos: Vec<Slo> = Vec::new();
    for slo in suite.gate.iter().filter_map(|gate| slo(&gate.check)) {
        match slos.iter_mut().find(|known| known.metric == slo.metric) {
            Some(known) => known.limit_ms = known.limit_ms.min(slo.limit_ms),
            None => slos.push(slo),
        }
    }
    slos
}

fn slo(check: &str) -> Option<Slo> {
    let Ok(Check::Metric { metric, op, limit }) = Check::parse(check) else {
        return None;
    };
    let Metric::StreamQuantile(span, _, unit) = metric else {
        return None;
    };
    let metric = match span {
        StreamSpan::Ttft => SloMetric::Ttft,
        StreamSpan::Tpot => SloMetric::Tpot,
        StreamSpan::Itl => SloMetric::Itl,
        StreamSpan::E2e => SloMetric::E2el,
        StreamSpan::Ttfo => return None,
    };
    let limit_ms = match unit {
        Unit::Ms => limit,
        Unit::S => limit * 1e3,
    };
    matches!(op, Op::AtMost | Op::Below).then_some(Slo { metric, limit_ms })
}

#[cfg(test)]
mod tests {
    use prony_model::{Gate, Suite};

    use super::of;

    #[test]
    fn gates_on_streams_are_objectives() {
        let gate = |check: &str| Gate {
            phase: "load".to_owned(),
            scenario: None,
            check: check.to_owned(),
        };
        let checks = [
            "p99_ms <= 100",
            "ttft_p99_ms <= 300",
            "ttft_p50_ms < 200",
            "e2e_p95_s <= 2.5",
            "tpot_p99_ms >= 4",
            "nonsense",
        ];
        let suite = Suite {
            gate: checks.iter().map(|check| gate(check)).collect(),
            ..Suite::default()
        };
        let told: Vec<String> = of(&suite).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["ttft <= 200 ms", "e2el <= 2500 ms"]);
    }
}
