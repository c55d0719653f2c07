//! The metrics of streamed answers that a gate may name. Times are of answers that were as expected only.

use std::collections::{BTreeMap, BTreeSet};

use prony_model::{Nanos, Outcome, OutcomeClass, PhaseResult, Sample, StreamRecord};

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

    /// Milliseconds that it has.
    pub(super) fn ms(self) -> f64 {
        1.0 / self.of_ms(1.0)
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

/// The times of the good answers, each with when it was sent.
pub(super) fn sent_times(
    phase: &PhaseResult,
    scenario: Option<&str>,
    span: StreamSpan,
    unit: Unit,
) -> Vec<(Nanos, f64)> {
    let open_loop = phase.summary.open_loop;
    good(phase, scenario)
        .flat_map(|record| {
            let times = of_record(record, span, open_loop);
            times.into_iter().map(move |ms| (record.sent, unit.of_ms(ms)))
        })
        .collect()
}

/// Of the requests for streams that ran into a time-out before the moment that a span ends with: when they were sent, and how long
/// they had waited for it. None for the spans between tokens, and none where the record that would tell was not kept.
pub(super) fn waits(
    phase: &PhaseResult,
    scenario: Option<&str>,
    span: StreamSpan,
    unit: Unit,
) -> Vec<(Nanos, f64)> {
    let index = scenario.map(|name| phase.scenario(name));
    let open_loop = phase.summary.open_loop;
    let records: BTreeMap<(u64, u16, u32, u8), &StreamRecord> = mine(phase, scenario)
        .map(|r| ((r.seq, r.scenario, r.item, r.attempt), r))
        .collect();
    let still_waits = |s: &Sample| {
        let record = records.get(&(s.seq, s.scenario, s.item, s.attempt));
        // Without a record there was a token only if there was a body.
        let had = |at: fn(&StreamRecord) -> Nanos| {
            record.map_or(s.outcome == Outcome::BodyTimeout, |r| at(r).0 > 0)
        };
        match span {
            StreamSpan::Ttft => !had(|r| r.first_token),
            StreamSpan::Ttfo => !had(|r| r.first_output),
            StreamSpan::E2e => true,
            StreamSpan::Tpot | StreamSpan::Itl => false,
        }
    };
    phase
        .samples
        .iter()
        .filter(|s| s.is_request() && s.outcome.class() == OutcomeClass::Timeout)
        .filter(|s| index.is_none_or(|wanted| wanted == Some(s.scenario)))
        .filter(|s| is_stream(phase, s) && still_waits(s))
        .map(|s| {
            let start = if open_loop { s.intended } else { s.sent };
            (s.sent, unit.of_ms((s.done - start).as_millis_f64()))
        })
        .collect()
}

/// Whether a request asks for a stream.
fn is_stream(phase: &PhaseResult, sample: &Sample) -> bool {
    let scenario = phase.phase.scenarios.get(usize::from(sample.scenario));
    let item = scenario.and_then(|scenario| scenario.items.get(sample.item as usize));
    item.is_some_and(|item| item.expect.stream.is_some())
}

/// Output tokens over time.
pub(super) struct Throughput {
    /// Per second, in the time in which the load was whole.
    pub per_s: f64,
    /// The same in equal windows of that time, one after another.
    pub windows: Vec<f64>,
    /// Good answers that they are of.
    pub answers: u64,
}

/// Of all the streams and steps of a phase, or of one of its scenarios: each step from its first token to when its last request was
/// sent, or to its last token where all were sent before. Where not every stream was kept, up to the first that was not; `None`
/// where that leaves a step out.
pub(super) fn throughput(phase: &PhaseResult, scenario: Option<&str>, windows: usize) -> Option<Throughput> {
    let told = phase.summary.streams.iter();
    let told = told.filter(|s| scenario.is_none_or(|wanted| s.scenario == wanted));
    let steps: BTreeSet<u16> = mine(phase, scenario)
        .map(|r| r.step)
        .chain(told.map(|s| s.step))
        .collect();
    let missing = first_missing(phase, scenario);
    if missing.is_some() && steps.len() > 1 {
        return None;
    }
    let spans: Vec<(u16, Nanos, Nanos)> = steps
        .into_iter()
        .filter_map(|step| {
            let of_step = || good(phase, scenario).filter(move |r| r.step == step);
            let from = of_step().map(|r| r.first_token).min()?;
            let sent = mine(phase, scenario).filter(|r| r.step == step);
            let last_sent = sent.map(|r| r.sent).max()?;
            let until = missing.map_or(last_sent, |at| at.min(last_sent));
            if until > from {
                return Some((step, from, until));
            }
            let last_token = of_step().map(|r| r.last_token).max()?;
            (missing.is_none() && last_token > from).then_some((step, from, last_token))
        })
        .collect();
    let total_s: f64 = spans
        .iter()
        .map(|(_, from, until)| (*until - *from).as_secs_f64())
        .sum();
    let each_s = total_s / windows as f64;
    if each_s <= 0.0 {
        return None;
    }
    let mut tokens = vec![0.0; windows];
    let mut before_s = 0.0;
    for (step, from, until) in spans {
        for record in good(phase, scenario).filter(|r| r.step == step) {
            for (at, count) in record.token_times().filter(|(at, _)| (from..=until).contains(at)) {
                let place = (before_s + (at - from).as_secs_f64()) / each_s;
                tokens[(place as usize).min(windows - 1)] += count as f64;
            }
        }
        before_s += (until - from).as_secs_f64();
    }
    Some(Throughput {
        per_s: tokens.iter().sum::<f64>() / total_s,
        windows: tokens.iter().map(|n| n / each_s).collect(),
        answers: good(phase, scenario).count() as u64,
    })
}

/// When the first stream was sent of which no events were kept.
fn first_missing(phase: &PhaseResult, scenario: Option<&str>) -> Option<Nanos> {
    let index = scenario.map(|name| phase.scenario(name));
    let kept: BTreeSet<(u64, u16, u32, u8)> = phase
        .streams
        .iter()
        .filter(|r| r.token_events == 0 || !r.timeline.bytes().is_empty())
        .map(|r| (r.seq, r.scenario, r.item, r.attempt))
        .collect();
    phase
        .samples
        .iter()
        .filter(|s| s.is_request() && s.outcome == Outcome::Ok)
        .filter(|s| index.is_none_or(|wanted| wanted == Some(s.scenario)))
        .filter(|s| is_stream(phase, s))
        .filter(|s| !kept.contains(&(s.seq, s.scenario, s.item, s.attempt)))
        .map(|s| s.sent)
        .min()
}

/// The streams of a phase, or of one of its scenarios, however they ended.
fn mine<'a>(
    phase: &'a PhaseResult,
    scenario: Option<&'a str>,
) -> impl Iterator<Item = &'a StreamRecord> + use<'a> {
    let index = scenario.map(|name| phase.scenario(name));
    phase
        .streams
        .iter()
        .filter(move |r| index.is_none_or(|wanted| wanted == Some(r.scenario)))
}

fn good<'a>(
    phase: &'a PhaseResult,
    scenario: Option<&'a str>,
) -> impl Iterator<Item = &'a StreamRecord> + use<'a> {
    mine(phase, scenario).filter(|r| r.outcome == Outcome::Ok && r.first_token.0 > 0)
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
    use prony_model::{Sample, StreamSummary, TokenUsage};

    use super::super::{Measured, Metric};
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

    /// Streams one after another, each of 20 tokens within 95 ms.
    fn in_turn(n: u32, step: u16, from_ms: f64, every_ms: f64) -> impl Iterator<Item = Answer> {
        (0..n).map(move |k| Answer {
            step,
            ..Answer::new(from_ms + f64::from(k) * every_ms, 5.0, 5.0)
        })
    }

    fn tokens_per_s(answers: &[Answer]) -> Measured {
        let phase = phase("streams", "x", answers, Vec::new());
        let metric = Metric::parse("output_tokens_per_s").unwrap();
        metric.measure(&phase, None).unwrap()
    }

    #[test]
    fn tokens_per_second_have_an_interval() {
        let few: Vec<Answer> = in_turn(99, 0, 10.0, 100.0).collect();
        let measured = tokens_per_s(&few);
        assert_eq!((measured.interval, measured.needs_n), (None, 100));
        // Every seventh is half as long.
        let many: Vec<Answer> = in_turn(200, 0, 10.0, 100.0)
            .enumerate()
            .map(|(k, answer)| Answer {
                tokens: if k % 7 == 0 { 10 } else { 20 },
                usage: TokenUsage::default(),
                ..answer
            })
            .collect();
        let measured = tokens_per_s(&many);
        let (low, high) = measured.interval.unwrap();
        assert!(
            high - low > 1.0 && (low..=high).contains(&measured.value),
            "{measured:?}"
        );
        assert!((measured.value / 185.7 - 1.0).abs() < 0.02, "{measured:?}");
    }

    #[test]
    fn a_long_step_weighs_more_than_a_short_one() {
        // 200 tokens per second for 20 s, and after a pause 100 for 4 s.
        let both: Vec<Answer> = in_turn(200, 0, 10.0, 100.0)
            .chain(in_turn(20, 1, 60_000.0, 200.0))
            .collect();
        let measured = tokens_per_s(&both);
        assert!(
            (measured.value / (4400.0 / 24.0) - 1.0).abs() < 0.02,
            "{measured:?}"
        );
    }

    #[test]
    fn streams_that_were_not_kept_end_the_time_that_is_looked_at() {
        let answers: Vec<Answer> = in_turn(400, 0, 10.0, 100.0).collect();
        let mut phase = phase("streams", "x", &answers, Vec::new());
        phase.samples = phase
            .streams
            .iter()
            .map(|r| Sample {
                seq: r.seq,
                sent: r.sent,
                ..Sample::default()
            })
            .collect();
        phase.streams.truncate(200);
        let metric = Metric::parse("output_tokens_per_s").unwrap();
        let measured = metric.measure(&phase, None).unwrap();
        assert!((measured.value / 200.0 - 1.0).abs() < 0.02, "{measured:?}");
        // A step of which none was kept is not left out in silence.
        let next = StreamSummary {
            scenario: "x".into(),
            step: 1,
            ..StreamSummary::default()
        };
        phase.summary.streams.push(next);
        assert_eq!(metric.measure(&phase, None), None);
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
