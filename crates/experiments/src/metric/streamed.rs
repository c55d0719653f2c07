//! The metrics of streamed answers that a gate may name. Times are of answers that were as expected only.

use prony_model::{Nanos, Outcome, PhaseResult, StreamRecord};

use super::Metric;

/// Which time of a streamed answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamSpan {
    /// To the first token: in an open loop from when the request was due, else from when it was sent.
    Ttft,
    /// To the first output that is not reasoning; counted likewise.
    Ttfo,
    /// Per output token.
    Tpot,
    /// Between tokens: a chunk of k tokens after a gap g is k values of g / k.
    Itl,
    /// To the last token; counted as the time to the first.
    E2e,
}

/// The unit of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

impl Unit {
    /// As in figures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ms => "ms",
            Self::S => "s",
        }
    }

    fn of_ms(self, ms: f64) -> f64 {
        match self {
            Self::Ms => ms,
            Self::S => ms / 1e3,
        }
    }
}

impl StreamSpan {
    /// In words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Ttft => "time to first token",
            Self::Ttfo => "time to first output",
            Self::Tpot => "time per output token",
            Self::Itl => "inter-token latency",
            Self::E2e => "end-to-end time",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ttft" => Self::Ttft,
            "ttfo" => Self::Ttfo,
            "tpot" => Self::Tpot,
            "itl" => Self::Itl,
            "e2e" | "e2el" => Self::E2e,
            _ => return None,
        })
    }
}

/// `ttft_p99_ms`, `e2e_p95_s`, `itl_max_ms`, `tpot_mean_ms`.
pub(super) fn parse(name: &str) -> Option<Metric> {
    let (stem, unit) = match name.strip_suffix("_ms") {
        Some(stem) => (stem, Unit::Ms),
        None => (name.strip_suffix("_s")?, Unit::S),
    };
    let (span, what) = stem.split_once('_')?;
    let span = StreamSpan::named(span)?;
    Some(match what {
        "mean" => Metric::StreamMean(span, unit),
        "max" => Metric::StreamMax(span, unit),
        _ => {
            let percent: f64 = what.strip_prefix('p')?.parse().ok()?;
            let inside = percent > 0.0 && percent < 100.0;
            inside.then_some(Metric::StreamQuantile(span, (percent * 1e6).round() / 1e8, unit))?
        }
    })
}

/// The times of the good answers of a phase, or of one of its scenarios, in order of completion.
pub(super) fn times(phase: &PhaseResult, scenario: Option<&str>, span: StreamSpan, unit: Unit) -> Vec<f64> {
    let open_loop = phase.summary.open_loop;
    good(phase, scenario)
        .flat_map(|record| of_record(record, span, open_loop))
        .map(|ms| unit.of_ms(ms))
        .collect()
}

/// Output tokens per second of all its streams and steps, and how many answers they are of.
pub(super) fn tokens_per_s(phase: &PhaseResult, scenario: Option<&str>) -> Option<(f64, u64)> {
    let mine = || {
        let all = phase.summary.streams.iter();
        all.filter(move |s| scenario.is_none_or(|wanted| s.scenario == wanted))
    };
    let n = mine().map(|s| s.ok).sum();
    // Steps follow one another, scenarios run beside one another: the rate of a step is that of its scenarios together.
    let steps = mine().map(|s| s.step).max()? + 1;
    let total: f64 = mine().map(|s| s.tokens_per_s).sum();
    (n > 0).then_some((total / f64::from(steps), n))
}

fn good<'a>(
    phase: &'a PhaseResult,
    scenario: Option<&'a str>,
) -> impl Iterator<Item = &'a StreamRecord> + use<'a> {
    let index = scenario.map(|name| phase.scenario(name));
    phase
        .streams
        .iter()
        .filter(|r| r.outcome == Outcome::Ok && r.first_token.0 > 0)
        .filter(move |r| index.is_none_or(|wanted| wanted == Some(r.scenario)))
}

fn of_record(record: &StreamRecord, span: StreamSpan, open_loop: bool) -> Vec<f64> {
    let start = if open_loop { record.intended } else { record.sent };
    let since = |at: Nanos| (at.0 > 0).then(|| (at - start).as_millis_f64());
    let one = match span {
        StreamSpan::Ttft => since(record.first_token),
        StreamSpan::Ttfo => since(record.first_output),
        StreamSpan::E2e => since(record.last_token),
        StreamSpan::Tpot => record.tpot_ns().map(|ns| ns / 1e6),
        StreamSpan::Itl => return gaps_ms(record),
    };
    one.into_iter().collect()
}

/// The gaps between its tokens, in ms: a chunk of k tokens after a gap g is k values of g / k.
pub(crate) fn gaps_ms(record: &StreamRecord) -> Vec<f64> {
    let mut last: Option<Nanos> = None;
    let mut gaps = Vec::new();
    for (at, tokens) in record.token_times() {
        if let Some(last) = last.replace(at) {
            let each = (at - last).as_millis_f64() / tokens as f64;
            gaps.extend(std::iter::repeat_n(each, tokens as usize));
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::super::Metric;
    use super::{StreamSpan, Unit};
    use crate::fake::streamed::{Answer, phase};

    fn measured(name: &str, open_loop: bool) -> (f64, &'static str) {
        // TTFT of 50 to 69 ms, then 19 gaps of 5.
        let answers: Vec<Answer> = (0..20)
            .map(|k| Answer::new(f64::from(k) * 500.0 + 10.0, 50.0 + f64::from(k), 5.0))
            .collect();
        let mut phase = phase("streams", "x", &answers, Vec::new());
        phase.summary.open_loop = open_loop;
        for record in &mut phase.streams {
            record.intended = prony_model::Nanos(record.sent.0 - 10_000_000);
        }
        let measured = Metric::parse(name).unwrap().measure(&phase, None).unwrap();
        (measured.value, measured.unit)
    }

    #[test]
    fn forms() {
        assert_eq!(
            Metric::parse("ttft_p99_ms"),
            Some(Metric::StreamQuantile(StreamSpan::Ttft, 0.99, Unit::Ms))
        );
        assert_eq!(
            Metric::parse("e2e_p95_s"),
            Some(Metric::StreamQuantile(StreamSpan::E2e, 0.95, Unit::S))
        );
        for wrong in [
            "ttft_ms",
            "ttft_p99",
            "ttft_p0_ms",
            "ttft_p100_ms",
            "ttft_p99_us",
            "service_p99_s",
        ] {
            assert_eq!(Metric::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn values_and_units() {
        let close = |(value, unit): (f64, &'static str), wanted: f64, wanted_unit: &str| {
            assert!(
                (value - wanted).abs() < 1e-6 && unit == wanted_unit,
                "{value} {unit}"
            );
        };
        // Nearest rank of twenty: the tenth is 59.
        close(measured("ttft_p50_ms", false), 59.0, "ms");
        close(measured("ttft_max_ms", false), 69.0, "ms");
        close(measured("itl_mean_ms", false), 5.0, "ms");
        close(measured("tpot_p50_ms", false), 5.0, "ms");
        // 59 and 19 gaps of 5 are 154.
        close(measured("e2e_p50_s", false), 0.154, "s");
        // Due ten milliseconds before it was sent.
        close(measured("ttft_p50_ms", true), 69.0, "ms");
    }
}
