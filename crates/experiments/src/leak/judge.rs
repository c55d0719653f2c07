//! What a series of memory shows, and what follows for whoever runs the target: growth, its shape, the time to the limit. It
//! writes no words.

use prony_model::Verdict as Conclusion;
use prony_stats::growth::{self, Growth, Verdict};
use prony_stats::{blocks, median, trend};

use super::series::Series;

/// Requests that a conclusion needs, or [`SPAN_MIN_S`].
pub(crate) const REQUESTS_MIN: f64 = 10_000.0;
/// Readings that it needs.
pub(crate) const READINGS_MIN: usize = 240;
/// Time that stands for requests where these are slow: the spans of what fills and settles.
const SPAN_MIN_S: f64 = 1_800.0;
/// Part of the run that is left out at its start.
const WARM_UP: f64 = 0.3;
/// Statistic from which a trend without requests is certain: one-sided 0.5 %.
const CERTAIN_FROM: f64 = 2.58;

/// What the person wants to know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rules {
    /// Growth per request that matters, as a share of the memory.
    pub matters: f64,
    /// Where memory ends, in bytes; `None` takes the limit that was read.
    pub limit_bytes: Option<f64>,
    /// Within which the limit must not be reached, in s.
    pub horizon_s: f64,
    /// Requests per second in production; `None` takes the rate of the test.
    pub production_per_s: Option<f64>,
    /// From one restart to the next, in s.
    pub restart_s: f64,
}

impl Default for Rules {
    /// What is looked for unless the person says otherwise.
    fn default() -> Self {
        Self {
            matters: 0.1 / 100.0 / 1000.0,
            limit_bytes: None,
            horizon_s: 7.0 * 86_400.0,
            production_per_s: None,
            restart_s: 24.0 * 3_600.0,
        }
    }
}

/// What the series shows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judged {
    /// Growth per request, in bytes.
    pub growth: Growth,
    /// Whether there were requests and readings enough for a conclusion.
    pub is_enough: bool,
    /// Memory that growth is compared with, in bytes: that at the start of what was looked at.
    pub baseline_bytes: f64,
    /// Growth per request that matters, in bytes.
    pub matters_bytes: f64,
    /// Memory at the end, in bytes.
    pub level_bytes: f64,
    /// Most memory seen, in bytes.
    pub peak_bytes: f64,
    /// The same after a step, where a step explains the growth and enough was read after it.
    pub after_step: Option<Growth>,
    /// Readings looked at.
    pub readings: usize,
    kept: (Vec<f64>, Vec<f64>),
}

/// When memory reaches its limit, in seconds of production.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::struct_field_names, reason = "names end with their unit")]
pub(crate) struct TimeToLimit {
    /// By the line through the growth.
    pub by_line_s: f64,
    /// By the ends of its interval: the steepest slope first.
    pub ends_s: (f64, f64),
    /// Were the growth to slow down with the logarithm of the work.
    pub slowing_s: f64,
}

/// Judges a series; `None` with fewer readings than any conclusion needs.
pub(crate) fn judge(series: &Series, rules: &Rules) -> Option<Judged> {
    let total = series.requests.last()?;
    let start = series.requests.partition_point(|x| *x < WARM_UP * total);
    let (x, y) = (&series.requests[start..], &series.bytes[start..]);
    let baseline_bytes = median(&mut y[..(y.len() / 10).max(1).min(y.len())].to_vec());
    let matters_bytes = rules.matters * baseline_bytes;
    let growth = growth::judge(x, y, matters_bytes)?;
    let after_step = (growth.verdict == Verdict::Step)
        .then(|| after_step(x, y, matters_bytes))
        .flatten();
    Some(Judged {
        growth,
        is_enough: series.bytes.len() >= READINGS_MIN
            && (*total >= REQUESTS_MIN || series.span_s >= SPAN_MIN_S),
        baseline_bytes,
        matters_bytes,
        level_bytes: median(&mut y[y.len() - (y.len() / 20).max(1)..].to_vec()),
        peak_bytes: series.bytes.iter().copied().fold(0.0, f64::max),
        after_step,
        readings: y.len(),
        kept: (x.to_vec(), y.to_vec()),
    })
}

/// What comes after the step that explains the growth best.
fn after_step(x: &[f64], y: &[f64], matters_bytes: f64) -> Option<Growth> {
    let (at, _) = growth::two_levels(y)?;
    growth::judge(&x[at..], &y[at..], matters_bytes)
}

impl Judged {
    /// What it is, with what came after a step in the step's place.
    pub(crate) fn shape(&self) -> Verdict {
        match self.after_step {
            Some(after) if after.verdict == Verdict::NoLeak => Verdict::Step,
            Some(after) if after.verdict == Verdict::Leak => Verdict::Leak,
            Some(_) => Verdict::ShapeUnknown,
            None => self.growth.verdict,
        }
    }

    /// Growth per 1,000 requests in per cent of the memory: the slope and its interval.
    pub(crate) fn percent_per_thousand(&self) -> (f64, (f64, f64)) {
        let percent = |slope: f64| 1e5 * slope / self.baseline_bytes;
        let line = &self.line();
        (percent(line.slope), (percent(line.low), percent(line.high)))
    }

    /// The line that counts: after a step the one that follows it.
    pub(crate) fn line(&self) -> prony_stats::theil_sen::Line {
        self.after_step.map_or(self.growth.line, |after| after.line)
    }

    /// When memory reaches a limit, at so many requests per second.
    pub(crate) fn time_to(&self, limit_bytes: f64, per_s: f64) -> TimeToLimit {
        let line = self.line();
        let by = |slope: f64| growth::work_to_limit(self.level_bytes, slope, limit_bytes) / per_s;
        let (x, y) = &self.kept;
        TimeToLimit {
            by_line_s: by(line.slope),
            ends_s: (by(line.high), by(line.low)),
            slowing_s: growth::work_to_limit_slowing(x, y, limit_bytes).unwrap_or(f64::INFINITY) / per_s,
        }
    }

    /// Growth by its consequence: FAIL when the limit is reached within the horizon even by the optimistic end, PASS when it is
    /// not even by the steepest line. Without a limit nobody can tell.
    pub(crate) fn by_consequence(&self, time: Option<TimeToLimit>, horizon_s: f64) -> Conclusion {
        match time {
            Some(time) if self.optimistic_s(time) < horizon_s => Conclusion::Fail,
            Some(time) if time.ends_s.0 > horizon_s => Conclusion::Pass,
            _ => Conclusion::Warn,
        }
    }

    /// The latest time at which the limit may be reached. Growth that slows down with the logarithm of the work is ruled out
    /// for a leak: over the part of the run that is looked at, its second half would keep 0.56 of the slope of the first, and a
    /// leak's keeps 0.7 at least. Then the flatter end of the line is the latest.
    fn optimistic_s(&self, time: TimeToLimit) -> f64 {
        match self.shape() {
            Verdict::Leak => time.ends_s.1,
            _ => time.slowing_s,
        }
    }
}

/// Change of memory during a silence in bytes, from its first quarter to its last, and whether it is certain that it rose.
/// `None` with fewer than 20 readings.
pub(super) fn change_in_silence(bytes: &[f64]) -> Option<(f64, bool)> {
    let quarter = bytes.len() / 4;
    if bytes.len() < 20 {
        return None;
    }
    let change =
        median(&mut bytes[bytes.len() - quarter..].to_vec()) - median(&mut bytes[..quarter].to_vec());
    let rises = trend::hamed_rao(&blocks::medians(bytes, 20)).is_some_and(|t| t.z > CERTAIN_FROM);
    Some((change, rises))
}
