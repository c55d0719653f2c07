//! The metrics that a gate may name, and how each is measured on a recorded phase.
//!
//! Times are of answers that were as expected only: percentiles never mix outcomes. What time-outs make of a percentile over all
//! requests is in `metric/timed_out.rs`.

mod streamed;
mod timed_out;

use prony_model::{Nanos, Outcome, PhaseResult, Sample, SummaryRow};
use prony_stats::{autocorrelation, binomial, mean, order, student, variance};

pub(crate) use streamed::gaps_ms;
pub use streamed::{StreamSpan, Unit};
pub(crate) use timed_out::{Missed, WithTimeouts};

/// Confidence of every interval.
pub(crate) const CONFIDENCE: f64 = 0.95;
/// Windows that a rate is measured in.
const RATE_WINDOWS: usize = 10;
/// Answers that a rate needs before it has an interval.
const RATE_ANSWERS_MIN: usize = 10 * RATE_WINDOWS;

/// The forms of metric names, for help and errors.
pub const METRIC_FORMS: &[&str] = &[
    "p99_ms",
    "mean_ms",
    "max_ms",
    "service_p99_ms",
    "service_mean_ms",
    "service_max_ms",
    "ttfb_p99_ms",
    "ttfb_mean_ms",
    "ttfb_max_ms",
    "lag_p99_ms",
    "ttft_p99_ms",
    "ttft_mean_ms",
    "ttfo_p99_ms",
    "tpot_p99_ms",
    "itl_p99_ms",
    "itl_max_ms",
    "e2e_p95_ms",
    "e2e_p95_s",
    "output_tokens_per_s",
    "error_share",
    "error_rate",
    "ok_share",
    "ok_per_s",
    "goodput_rps",
    "achieved_per_s",
    "offered_per_s",
    "count",
    "ok_count",
    "failed_count",
    "status_404_count",
    "met_2000_ms_share",
    "missed_2000_ms_count",
    "bytes_in",
    "in_flight_max",
    "total_s",
];

/// What a gate measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// A quantile of a duration, in milliseconds.
    Quantile(Span, f64),
    /// The mean of a duration, in milliseconds.
    Mean(Span),
    /// The largest of a duration, in milliseconds.
    Max(Span),
    /// A quantile of a time of streamed answers.
    StreamQuantile(StreamSpan, f64, Unit),
    /// The mean of a time of streamed answers.
    StreamMean(StreamSpan, Unit),
    /// The largest of a time of streamed answers.
    StreamMax(StreamSpan, Unit),
    /// Output tokens per second, by the time of each token.
    OutputTokensPerS,
    /// Failed over finished (ok and failed).
    ErrorShare,
    /// Ok over finished.
    OkShare,
    /// Ok completions per second.
    OkPerS,
    /// Completions per second.
    AchievedPerS,
    /// Scheduled arrivals per second.
    OfferedPerS,
    /// Scheduled arrivals.
    Count,
    /// Answers as expected.
    OkCount,
    /// Failures by the target.
    FailedCount,
    /// Answers with one status.
    StatusCount(u16),
    /// Answered well within so many milliseconds, over all attempts.
    MetShare(u32),
    /// Attempts that were not answered well within so many milliseconds.
    MissedCount(u32),
    /// Body bytes received.
    BytesIn,
    /// Most requests in flight at once.
    InFlightMax,
    /// From the first intended start to the last end, in seconds.
    TotalS,
}

/// Which of a request's durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// done - intended.
    Response,
    /// done - sent.
    Service,
    /// First byte - sent.
    Ttfb,
    /// sent - intended.
    Lag,
}

/// A measured metric.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    /// What it is, in words.
    pub label: String,
    /// The value.
    pub value: f64,
    /// Its unit, as in `prony_model::Figure`.
    pub unit: &'static str,
    /// 95 % interval; equal ends for an exact count; `None` when it needs more data.
    pub interval: Option<(f64, f64)>,
    /// Observations behind it.
    pub n: u64,
    /// Observations that an interval needs, when there is none.
    pub needs_n: u64,
}

impl Metric {
    /// The metric of that name.
    pub fn parse(name: &str) -> Option<Self> {
        let exact = match name {
            "error_share" | "error_rate" => Some(Self::ErrorShare),
            "ok_share" => Some(Self::OkShare),
            "ok_per_s" | "goodput_rps" => Some(Self::OkPerS),
            "achieved_per_s" => Some(Self::AchievedPerS),
            "offered_per_s" => Some(Self::OfferedPerS),
            "count" => Some(Self::Count),
            "ok_count" => Some(Self::OkCount),
            "failed_count" => Some(Self::FailedCount),
            "bytes_in" => Some(Self::BytesIn),
            "in_flight_max" => Some(Self::InFlightMax),
            "total_s" => Some(Self::TotalS),
            "output_tokens_per_s" => Some(Self::OutputTokensPerS),
            _ => None,
        };
        exact
            .or_else(|| Self::parse_status(name))
            .or_else(|| streamed::parse(name))
            .or_else(|| Self::parse_limit(name))
            .or_else(|| Self::parse_time(name))
    }

    fn parse_status(name: &str) -> Option<Self> {
        let status: u16 = name
            .strip_prefix("status_")?
            .strip_suffix("_count")?
            .parse()
            .ok()?;
        (100..=599).contains(&status).then_some(Self::StatusCount(status))
    }

    fn parse_limit(name: &str) -> Option<Self> {
        let limit = |text: &str| text.parse().ok().filter(|ms| (1..=86_400_000).contains(ms));
        let met = name
            .strip_prefix("met_")
            .and_then(|n| n.strip_suffix("_ms_share"));
        let missed = name
            .strip_prefix("missed_")
            .and_then(|n| n.strip_suffix("_ms_count"));
        met.and_then(limit)
            .map(Self::MetShare)
            .or_else(|| missed.and_then(limit).map(Self::MissedCount))
    }

    fn parse_time(name: &str) -> Option<Self> {
        let stem = name.strip_suffix("_ms")?;
        let (span, what) = match stem.rsplit_once('_') {
            None => (Span::Response, stem),
            Some(("service", what)) => (Span::Service, what),
            Some(("ttfb", what)) => (Span::Ttfb, what),
            Some(("lag", what)) => (Span::Lag, what),
            Some(_) => return None,
        };
        match what {
            "mean" => Some(Self::Mean(span)),
            "max" => Some(Self::Max(span)),
            _ => {
                let percent: f64 = what.strip_prefix('p')?.parse().ok()?;
                (percent > 0.0 && percent < 100.0)
                    .then_some(Self::Quantile(span, (percent * 1e6).round() / 1e8))
            }
        }
    }

    /// What it is, in words.
    pub fn label(self) -> String {
        let ms = |span: Span, what: &str| format!("{what} {} time", span.name());
        match self {
            Self::Quantile(span, p) => ms(span, &format!("p{}", percent(p))),
            Self::Mean(span) => ms(span, "mean"),
            Self::Max(span) => ms(span, "longest"),
            Self::StreamQuantile(span, p, _) => format!("p{} {}", percent(p), span.words()),
            Self::StreamMean(span, _) => format!("mean {}", span.words()),
            Self::StreamMax(span, _) => format!("longest {}", span.words()),
            Self::OutputTokensPerS => "output tokens per second".to_owned(),
            Self::ErrorShare => "share of failures".to_owned(),
            Self::OkShare => "share of good answers".to_owned(),
            Self::OkPerS => "good answers per second".to_owned(),
            Self::AchievedPerS => "answers per second".to_owned(),
            Self::OfferedPerS => "requests due per second".to_owned(),
            Self::Count => "requests".to_owned(),
            Self::OkCount => "good answers".to_owned(),
            Self::FailedCount => "failures".to_owned(),
            Self::StatusCount(status) => format!("answers with status {status}"),
            Self::MetShare(ms) => format!("share of attempts answered well within {ms} ms"),
            Self::MissedCount(ms) => format!("attempts not answered well within {ms} ms"),
            Self::BytesIn => "body bytes received".to_owned(),
            Self::InFlightMax => "most requests in flight".to_owned(),
            Self::TotalS => "time for all requests".to_owned(),
        }
    }

    /// Measures it on a phase, for one scenario or all; `None` when there is nothing to measure.
    pub(crate) fn measure(self, phase: &PhaseResult, scenario: Option<&str>) -> Option<Measured> {
        self.measure_at(phase, scenario, CONFIDENCE)
    }

    /// The same with an interval of another confidence.
    pub(crate) fn measure_at(
        self,
        phase: &PhaseResult,
        scenario: Option<&str>,
        confidence: f64,
    ) -> Option<Measured> {
        let view = View::new(phase, scenario)?;
        match self {
            Self::Quantile(span, p) => self.quantile(&view, span, p, confidence),
            Self::Mean(span) => {
                let values = view.times_ms(span);
                let interval = mean_interval(&values, confidence);
                (!values.is_empty())
                    .then(|| self.measured(mean(&values), "ms", interval, values.len() as u64, 2))
            }
            Self::Max(span) => {
                let values = view.times_ms(span);
                let max = values.iter().copied().reduce(f64::max)?;
                Some(self.exact(max, "ms", values.len() as u64))
            }
            Self::StreamQuantile(span, p, unit) => {
                let values = streamed::times(phase, scenario, span, unit);
                self.of_values(&values, p, unit.name(), confidence)
            }
            Self::StreamMean(span, unit) => {
                let values = streamed::times(phase, scenario, span, unit);
                let interval = mean_interval(&values, confidence);
                (!values.is_empty())
                    .then(|| self.measured(mean(&values), unit.name(), interval, values.len() as u64, 2))
            }
            Self::StreamMax(span, unit) => {
                let values = streamed::times(phase, scenario, span, unit);
                let max = values.iter().copied().reduce(f64::max)?;
                Some(self.exact(max, unit.name(), values.len() as u64))
            }
            Self::OutputTokensPerS => {
                let tokens = streamed::throughput(phase, scenario, RATE_WINDOWS)?;
                let n = tokens.answers;
                Some(if n < RATE_ANSWERS_MIN as u64 {
                    self.measured(tokens.per_s, "1/s", None, n, RATE_ANSWERS_MIN as u64)
                } else {
                    let interval = mean_interval(&tokens.windows, confidence);
                    self.measured(tokens.per_s, "1/s", interval, n, 0)
                })
            }
            Self::ErrorShare => self.share(view.failed(), view.finished(), confidence),
            Self::OkShare => self.share(view.ok(), view.finished(), confidence),
            Self::OkPerS => self.rate(&view, confidence, |outcome| outcome == Outcome::Ok),
            Self::AchievedPerS => self.rate(&view, confidence, |outcome| !outcome.is_own()),
            Self::OfferedPerS => Some(self.exact(phase.summary.offered_per_s, "1/s", view.offered())),
            Self::Count => Some(self.count(view.offered())),
            Self::OkCount => Some(self.count(view.ok())),
            Self::FailedCount => Some(self.count(view.failed())),
            Self::StatusCount(status) => {
                let n = view.samples().filter(|s| s.status == status).count() as u64;
                (!phase.samples_cut).then(|| self.count(n))
            }
            Self::MetShare(ms) => {
                let met = view.met(ms)?;
                self.share(met, view.finished(), confidence)
            }
            Self::MissedCount(ms) => {
                let met = view.met(ms)?;
                (view.finished() > 0).then(|| self.count(view.finished() - met))
            }
            Self::BytesIn => {
                let bytes: u64 = view.samples().map(|s| u64::from(s.bytes_in)).sum();
                let bytes = if scenario.is_none() {
                    phase.summary.bytes_in
                } else {
                    bytes
                };
                Some(self.exact(bytes as f64, "B", view.offered()))
            }
            Self::InFlightMax => {
                let most = f64::from(phase.summary.in_flight_max);
                scenario
                    .is_none()
                    .then(|| self.exact(most, "requests", view.offered()))
            }
            Self::TotalS => Some(self.exact(view.makespan_s(), "s", view.offered())),
        }
    }

    /// Whether so many requests failed that the quantile of all of them is no time: they never finished well.
    pub(crate) fn did_not_finish(self, phase: &PhaseResult, scenario: Option<&str>) -> bool {
        let (Self::Quantile(_, p) | Self::StreamQuantile(_, p, _)) = self else {
            return false;
        };
        let Some(view) = View::new(phase, scenario) else {
            return false;
        };
        view.failed() as f64 > (1.0 - p) * view.finished() as f64
    }

    /// Failed requests that a time leaves out, because it is of good answers only; none for what is no time.
    pub(crate) fn left_out(self, phase: &PhaseResult, scenario: Option<&str>) -> u64 {
        match self {
            Self::Quantile(..)
            | Self::Mean(_)
            | Self::Max(_)
            | Self::StreamQuantile(..)
            | Self::StreamMean(..)
            | Self::StreamMax(..) => View::new(phase, scenario).map_or(0, |view| view.failed()),
            _ => 0,
        }
    }

    /// Its interval may decide only where the quantile is worth ten independent values on its thin side.
    fn quantile(self, view: &View<'_>, span: Span, p: f64, confidence: f64) -> Option<Measured> {
        self.of_values(&view.times_ms(span), p, "ms", confidence)
    }

    fn of_values(self, values: &[f64], p: f64, unit: &'static str, confidence: f64) -> Option<Measured> {
        let estimate = order::estimate(values, p, confidence)?;
        let interval = estimate.interval.filter(|_| order::may_gate(p, estimate.n_eff));
        let needs = order::needed_to_gate(p).max(order::needed(p, confidence));
        Some(self.measured(estimate.value, unit, interval, values.len() as u64, needs))
    }

    fn share(self, hits: u64, of: u64, confidence: f64) -> Option<Measured> {
        let interval = binomial::clopper_pearson(hits, of, confidence);
        (of > 0).then(|| self.measured(hits as f64 / of as f64, "ratio", Some(interval), of, 0))
    }

    /// A rate over the makespan, with an interval from equal windows where each holds enough.
    fn rate(self, view: &View<'_>, confidence: f64, counts: impl Fn(Outcome) -> bool) -> Option<Measured> {
        let mut done: Vec<Nanos> = view
            .samples()
            .filter(|s| counts(s.outcome))
            .map(|s| s.done)
            .collect();
        done.sort_unstable();
        let total_s = view.makespan_s();
        if done.is_empty() || total_s <= 0.0 || view.phase.samples_cut {
            return None;
        }
        let n = done.len() as u64;
        let value = n as f64 / total_s;
        if done.len() < RATE_ANSWERS_MIN {
            return Some(self.measured(value, "1/s", None, n, RATE_ANSWERS_MIN as u64));
        }
        let window_s = total_s / RATE_WINDOWS as f64;
        let start = view.first_intended();
        let mut per_window = [0.0; RATE_WINDOWS];
        for at in done {
            let index = ((at - start).as_secs_f64() / window_s) as usize;
            per_window[index.min(RATE_WINDOWS - 1)] += 1.0 / window_s;
        }
        Some(self.measured(value, "1/s", mean_interval(&per_window, confidence), n, 0))
    }

    fn count(self, n: u64) -> Measured {
        self.exact(n as f64, "requests", n)
    }

    fn exact(self, value: f64, unit: &'static str, n: u64) -> Measured {
        self.measured(value, unit, Some((value, value)), n, 0)
    }

    fn measured(
        self,
        value: f64,
        unit: &'static str,
        interval: Option<(f64, f64)>,
        n: u64,
        needs_n: u64,
    ) -> Measured {
        Measured {
            label: self.label(),
            value,
            unit,
            interval,
            n,
            needs_n,
        }
    }
}

impl Span {
    fn name(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Service => "service",
            Self::Ttfb => "first-byte",
            Self::Lag => "send-lag",
        }
    }

    fn of(self, sample: &Sample) -> Option<Nanos> {
        match self {
            Self::Response => Some(sample.response()),
            Self::Service => Some(sample.service()),
            Self::Ttfb => sample.ttfb(),
            Self::Lag => Some(sample.lag()),
        }
    }
}

/// The part of a phase that a gate looks at.
struct View<'a> {
    phase: &'a PhaseResult,
    /// Name of the rows, index of the scenario, and which part of its arrivals: 0 for the whole of them.
    scenario: Option<(String, u16, u16)>,
}

impl<'a> View<'a> {
    /// `None` when the scenario is not in the phase or nothing was due.
    fn new(phase: &'a PhaseResult, scenario: Option<&str>) -> Option<Self> {
        let scenario = match scenario {
            None => None,
            Some(name) => {
                let (index, part) = phase.phase.part(name)?;
                Some((name.to_owned(), index, part))
            }
        };
        let view = Self { phase, scenario };
        (view.offered() > 0).then_some(view)
    }

    fn samples(&self) -> impl Iterator<Item = &'a Sample> + use<'a> {
        let wanted = self.scenario.as_ref().map(|(_, index, part)| (*index, *part));
        self.phase.samples.iter().filter(move |s| match wanted {
            None => s.is_arrival(),
            Some((index, part)) => s.scenario == index && s.part() == part,
        })
    }

    /// Requests whose outcome passes.
    fn sum(&self, counts: impl Fn(Outcome) -> bool) -> u64 {
        let mine = |row: &SummaryRow| match &self.scenario {
            None => !row.part,
            Some((wanted, _, part)) => row.scenario == *wanted && row.part == (*part > 0),
        };
        let rows = self
            .phase
            .summary
            .rows
            .iter()
            .filter(|row| mine(row) && counts(row.outcome));
        rows.map(|row| row.n).sum()
    }

    fn offered(&self) -> u64 {
        self.sum(|_| true)
    }

    fn ok(&self) -> u64 {
        self.sum(|outcome| outcome == Outcome::Ok)
    }

    fn failed(&self) -> u64 {
        self.sum(Outcome::is_failure)
    }

    fn finished(&self) -> u64 {
        self.ok() + self.failed()
    }

    /// Answered well within so many milliseconds; `None` when not all samples were kept.
    fn met(&self, limit_ms: u32) -> Option<u64> {
        let limit = Nanos::from_millis_f64(f64::from(limit_ms));
        let met = self
            .samples()
            .filter(|s| s.outcome == Outcome::Ok && s.response() <= limit);
        (!self.phase.samples_cut).then(|| met.count() as u64)
    }

    /// Of good answers, in send order.
    fn times_ms(&self, span: Span) -> Vec<f64> {
        let good = self.samples().filter(|s| s.outcome == Outcome::Ok);
        good.filter_map(|s| span.of(s))
            .map(Nanos::as_millis_f64)
            .collect()
    }

    fn first_intended(&self) -> Nanos {
        self.samples().map(|s| s.intended).min().unwrap_or_default()
    }

    fn makespan_s(&self) -> f64 {
        if self.phase.samples_cut {
            return (self.phase.summary.ended - self.phase.summary.started).as_secs_f64();
        }
        let last = self.samples().map(|s| s.done).max().unwrap_or_default();
        (last - self.first_intended()).as_secs_f64()
    }
}

/// Student's interval of the mean, with the sample size corrected for autocorrelation.
pub(crate) fn mean_interval(values: &[f64], confidence: f64) -> Option<(f64, f64)> {
    let n = values.len() as f64;
    let n_eff = (n / autocorrelation::integrated_time(values).max(1.0)).max(2.0);
    if values.len() < 2 {
        return None;
    }
    let half =
        student::quantile(f64::midpoint(1.0, confidence), n_eff - 1.0) * (variance(values) / n_eff).sqrt();
    Some((mean(values) - half, mean(values) + half))
}

/// `99`, `99.9`: a probability as percent without noise digits.
fn percent(p: f64) -> f64 {
    (p * 1e8).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::{METRIC_FORMS, Metric, Span};

    #[test]
    fn every_form_is_a_metric() {
        for form in METRIC_FORMS {
            assert!(Metric::parse(form).is_some(), "{form}");
        }
    }

    #[test]
    fn any_percentile_and_nothing_else() {
        assert_eq!(
            Metric::parse("p99.9_ms"),
            Some(Metric::Quantile(Span::Response, 0.999))
        );
        assert_eq!(
            Metric::parse("ttfb_p50_ms"),
            Some(Metric::Quantile(Span::Ttfb, 0.5))
        );
        for wrong in [
            "p0_ms",
            "p100_ms",
            "p99",
            "99_ms",
            "wait_p99_ms",
            "met_ms_share",
            "met_0_ms_share",
            "missed_10_share",
            "status_99_count",
            "status_count",
            "",
            "_ms",
        ] {
            assert_eq!(Metric::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn labels_without_noise_digits() {
        assert_eq!(Metric::parse("p99.9_ms").unwrap().label(), "p99.9 response time");
    }
}
