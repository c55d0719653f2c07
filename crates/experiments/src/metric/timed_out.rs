//! What time-outs make of a quantile over all requests. A request that ran into its time-out has waited so long, and an answer would
//! have taken longer: nobody knows how long. Other failures have no such time and are left out, however quick or slow they were.
//! It decides nothing.

use prony_model::{Nanos, Outcome, OutcomeClass, PhaseResult};
use prony_stats::{binomial, order};

use super::{Metric, Span, View, streamed};
use crate::objective::LetDown;

/// The times of good answers and the waits of requests that ran into a time-out, in the order in which they were sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WithTimeouts {
    /// The quantile; 1 for the longest.
    p: f64,
    /// Milliseconds in the unit of the times.
    unit_ms: f64,
    times: Vec<Time>,
}

/// What is known of the time of a request, in the unit of the metric.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Time {
    sent: Nanos,
    value: f64,
    /// Whether a time-out ended it: an answer would have taken longer than the value.
    is_cut: bool,
}

/// How a limit is missed over all requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Missed {
    /// Requests that missed it.
    pub over: usize,
    /// Requests in all: good answers and time-outs.
    pub n: usize,
    /// Interval of their share; `None` where a single one is enough.
    pub interval: Option<(f64, f64)>,
    /// The shortest wait of a time-out among them, in ms.
    pub waited_ms: f64,
    /// Whether the time-outs alone are enough; else there are late answers among them.
    pub by_timeouts: bool,
}

impl Metric {
    /// A quantile or the longest of times, with the time-outs; `None` without any, and for other metrics.
    pub(crate) fn with_timeouts(self, phase: &PhaseResult, scenario: Option<&str>) -> Option<WithTimeouts> {
        let (p, unit_ms, times) = match self {
            Self::Quantile(span, p) => (p, 1.0, of_requests(phase, scenario, span)?),
            Self::Max(span) => (1.0, 1.0, of_requests(phase, scenario, span)?),
            Self::StreamQuantile(span, p, unit) => (p, unit.ms(), of_streams(phase, scenario, span, unit)?),
            Self::StreamMax(span, unit) => (1.0, unit.ms(), of_streams(phase, scenario, span, unit)?),
            _ => return None,
        };
        let any = times.iter().any(|t| t.is_cut);
        any.then_some(WithTimeouts { p, unit_ms, times })
    }
}

impl WithTimeouts {
    /// Requests that ran into a time-out.
    pub(crate) fn timed_out(&self) -> usize {
        self.times.iter().filter(|t| t.is_cut).count()
    }

    /// Requests in all.
    pub(crate) fn n(&self) -> usize {
        self.times.len()
    }

    /// Whether an upper limit is surely missed over all requests: by time-outs after at least that time, of which the quantile leaves
    /// out fewer, or by these and late answers, where the quantile is worth ten independent requests on its thin side. A share of
    /// time-outs is held as any share of failures is.
    pub(crate) fn missed(&self, limit: f64, confidence: f64) -> Option<Missed> {
        let hung = |t: &Time| t.is_cut && t.value >= limit;
        let waits = self.times.iter().filter(|t| hung(t)).map(|t| t.value);
        let shortest = waits.clone().reduce(f64::min)?;
        let (timed_out, n) = (waits.count(), self.n());
        let missed = |over: usize, interval: Option<(f64, f64)>, by_timeouts: bool| Missed {
            over,
            n,
            interval,
            waited_ms: shortest * self.unit_ms,
            by_timeouts,
        };
        if self.p >= 1.0 {
            return Some(missed(timed_out, None, true));
        }
        let allowed = 1.0 - self.p;
        let share = binomial::clopper_pearson(timed_out as u64, n as u64, confidence);
        if share.0 > allowed {
            return Some(missed(timed_out, Some(share), true));
        }
        let marks = self
            .times
            .iter()
            .map(|t| if hung(t) { f64::INFINITY } else { t.value });
        let late = LetDown::of(&[marks.collect()], limit);
        let share = late.interval_at(confidence);
        (order::may_gate(self.p, late.n_eff) && share.0 > allowed)
            .then(|| missed(late.over, Some(share), false))
    }

    /// The interval of the quantile over all requests, time-outs as endlessly slow; `None` when there are too few.
    pub(crate) fn interval(&self, confidence: f64) -> Option<(f64, f64)> {
        let values: Vec<f64> = self
            .times
            .iter()
            .map(|t| if t.is_cut { f64::MAX } else { t.value })
            .collect();
        if self.p >= 1.0 {
            return Some((f64::MAX, f64::MAX));
        }
        let estimate = order::estimate(&values, self.p, confidence)?;
        estimate
            .interval
            .filter(|_| order::may_gate(self.p, estimate.n_eff))
    }
}

/// `None` where there is nothing to measure.
fn of_requests(phase: &PhaseResult, scenario: Option<&str>, span: Span) -> Option<Vec<Time>> {
    let view = View::new(phase, scenario)?;
    let times = view.samples().filter_map(|s| {
        let is_cut = s.outcome.class() == OutcomeClass::Timeout;
        let value = match span {
            _ if s.outcome == Outcome::Ok => span.of(s),
            _ if !is_cut => None,
            Span::Response => Some(s.response()),
            // Without a connection it was never sent.
            Span::Service => (s.outcome != Outcome::ConnectTimeout).then(|| s.service()),
            Span::Ttfb => {
                let waits = s.first_byte.0 == 0 && s.outcome != Outcome::ConnectTimeout;
                waits.then(|| s.service())
            }
            Span::Lag => None,
        };
        value.map(|value| Time {
            sent: s.sent,
            value: value.as_millis_f64(),
            is_cut,
        })
    });
    Some(times.collect())
}

/// `None` without time-outs: the times between tokens are many.
fn of_streams(
    phase: &PhaseResult,
    scenario: Option<&str>,
    span: streamed::StreamSpan,
    unit: streamed::Unit,
) -> Option<Vec<Time>> {
    let waits = streamed::waits(phase, scenario, span, unit);
    if waits.is_empty() {
        return None;
    }
    let time = |is_cut: bool| move |(sent, value): (Nanos, f64)| Time { sent, value, is_cut };
    let good = streamed::sent_times(phase, scenario, span, unit);
    let mut times: Vec<Time> = good.into_iter().map(time(false)).collect();
    times.extend(waits.into_iter().map(time(true)));
    times.sort_by_key(|t| t.sent);
    Some(times)
}

#[cfg(test)]
mod tests {
    use prony_model::{Nanos, Outcome, PhaseResult, Sample};

    use super::super::Metric;
    use crate::fake::streamed::{Answer, phase};

    /// Forty good streams with the first token after 50 ms, and twenty requests that got no head within 10 s.
    fn streams() -> PhaseResult {
        let answers: Vec<Answer> = (0..40)
            .map(|k| Answer::new(f64::from(k) * 500.0 + 10.0, 50.0, 5.0))
            .collect();
        let mut phase = phase("streams", "x", &answers, Vec::new());
        phase.samples = (0..20)
            .map(|k| Sample {
                seq: 100 + k,
                intended: Nanos::from_secs_f64(k as f64),
                sent: Nanos::from_secs_f64(k as f64),
                done: Nanos::from_secs_f64(k as f64 + 10.0),
                outcome: Outcome::HeadersTimeout,
                ..Sample::default()
            })
            .collect();
        phase
    }

    #[test]
    fn streams_that_never_began_count_as_slow_to_their_first_token() {
        let mut phase = streams();
        for (metric, limit) in [("ttft_p90_ms", 500.0), ("e2e_p90_s", 5.0)] {
            let all = Metric::parse(metric)
                .unwrap()
                .with_timeouts(&phase, None)
                .unwrap();
            assert_eq!((all.timed_out(), all.n()), (20, 60), "{metric}");
            let missed = all.missed(limit, 0.95).unwrap();
            assert!(
                missed.by_timeouts && (missed.waited_ms - 10_000.0).abs() < 1e-3,
                "{missed:?}"
            );
        }
        // Beyond the time-out nothing is known.
        let all = Metric::parse("ttft_p90_ms")
            .unwrap()
            .with_timeouts(&phase, None)
            .unwrap();
        assert_eq!(all.missed(20_000.0, 0.95), None);
        // The gap between tokens of a stream that did not begin is no time.
        assert_eq!(
            Metric::parse("itl_p90_ms").unwrap().with_timeouts(&phase, None),
            None
        );
        // One that ended within its body, of which no record tells, may have had its first token.
        for sample in &mut phase.samples {
            sample.outcome = Outcome::BodyTimeout;
        }
        assert_eq!(
            Metric::parse("ttft_p90_ms").unwrap().with_timeouts(&phase, None),
            None
        );
        assert!(
            Metric::parse("e2e_p90_s")
                .unwrap()
                .with_timeouts(&phase, None)
                .is_some()
        );
    }
}
