//! Were the downloads served side by side? The same files one at a time are the control: what many at once gain is the time of
//! the control over the time together, and nothing else. Knows times and lengths, no contents.

use prony_model::{Finding, Nanos, Outcome, PhaseResult, Sample, Severity, Verdict};
use prony_stats::{mean, median};

use super::files::{downloads, growth};
use super::{ALONE, ControlPair, NAME, TOGETHER};
use crate::RunView;
use crate::burst::{Staircase, staircases};
use crate::draft::{Draft, source};
use crate::timings::Timings;
use crate::wording::{digits, ms, resting_on};

/// Fewest at once that show a queue.
const SIZE_MIN: usize = 4;
/// One after the other, the middle one of n waits for half of the others: so much of that, and so much of one download
/// between two ends, is a queue.
const QUEUED: f64 = 0.65;
const TREAD: f64 = 0.55;
/// Where so many files were seen to grow, and never two at one moment, ends this far apart will do.
const SEEN_MIN: usize = 16;
const SEEN_TREAD: f64 = 0.3;
/// A queue gains nothing; more than this share of the number at once is no queue, however disturbed the control.
const GAIN_SHARE_MAX: f64 = 1.0 / 3.0;
/// Less than this is no gain.
const GAIN_MIN: f64 = 1.5;

/// The times of the control and of the bursts, in ms.
struct Times {
    size: usize,
    bursts: usize,
    alone: Vec<f64>,
    alone_mean: f64,
    alone_median: f64,
    median: f64,
    responses: f64,
    tread: f64,
    first: f64,
    walls: f64,
}

impl Times {
    fn of(alone: &PhaseResult, together: &PhaseResult) -> Option<Self> {
        let mut solo = Timings::all(alone).service_ms();
        let stairs: Vec<Staircase> = staircases(together)
            .into_iter()
            .filter(|s| s.ends_ms.len() >= SIZE_MIN)
            .collect();
        if solo.len() < SIZE_MIN || stairs.is_empty() {
            return None;
        }
        let mut responses: Vec<f64> = stairs.iter().flat_map(|s| s.response_ms.clone()).collect();
        let mut treads: Vec<f64> = stairs.iter().filter_map(Staircase::tread_ms).collect();
        let mut firsts: Vec<f64> = stairs.iter().filter_map(|s| s.ends_ms.first().copied()).collect();
        Some(Self {
            size: stairs.iter().map(|s| s.ends_ms.len()).max()?,
            bursts: stairs.len(),
            alone_mean: mean(&solo),
            alone_median: median(&mut solo),
            responses: responses.iter().sum(),
            median: median(&mut responses),
            tread: if treads.is_empty() {
                0.0
            } else {
                median(&mut treads)
            },
            first: median(&mut firsts),
            walls: stairs.iter().map(Staircase::makespan_ms).sum(),
            alone: solo,
        })
    }

    /// Time of as many one after the other, over the time that they took together.
    fn speed_up(&self) -> f64 {
        (self.size * self.bursts) as f64 * self.alone_mean / self.walls
    }

    /// The unit is one download: alone, or the first of a burst, whichever was quicker, for the machine may have been busier
    /// during the control. Then the control has a say too: what it gains many times over is no queue.
    fn is_queue(&self, growing: Option<(usize, usize)>) -> bool {
        let unit = self.alone_median.min(self.first);
        let one_by_one = f64::midpoint(self.size as f64, 1.0);
        let waits = self.median >= QUEUED * one_by_one * unit && self.tread >= TREAD * unit;
        let was_seen = growing.is_some_and(|(most, files)| most == 1 && files >= SEEN_MIN);
        (waits || (was_seen && self.tread >= SEEN_TREAD * unit))
            && self.speed_up() <= (self.size as f64 * GAIN_SHARE_MAX).max(2.0)
    }
}

/// The finding; `None` where nothing was downloaded.
pub(super) fn finding(run: &RunView<'_>, endpoint: &str) -> Option<Finding> {
    let alone = run.phase(NAME, ALONE)?;
    let together = run.phase(NAME, TOGETHER)?;
    let draft = Draft::new(NAME, "serial-downloads", endpoint);
    let Some(times) = Times::of(alone, together) else {
        let draft = draft.verdict(Verdict::Inconclusive, Severity::Low).title(format!(
            "Too few files came to say whether {endpoint} serves several at once"
        ));
        return Some(draft.done());
    };
    let evidence = source(together, endpoint);
    let size = times.size;
    let draft = draft
        .figure(
            "speed-up over one at a time",
            times.speed_up(),
            "",
            times.bursts,
            &evidence,
        )
        .figure(
            "sum of times over wall time",
            times.responses / times.walls,
            "",
            times.bursts,
            &evidence,
        )
        .figure(
            "one download alone, median",
            times.alone_median,
            "ms",
            times.alone.len(),
            &source(alone, endpoint),
        )
        .figure(
            &format!("one of {size} at once, median"),
            times.median,
            "ms",
            size * times.bursts,
            &evidence,
        )
        .figure(
            "from one end to the next",
            times.tread,
            "ms",
            times.bursts,
            &evidence,
        );
    let growing = growing_max(run, together, endpoint);
    let (draft, seen) = match growing {
        Some((most, files)) => (
            draft.figure(
                "most files that grew at one moment",
                most as f64,
                "",
                files,
                &evidence,
            ),
            format!(" At most {most} of {files} files grew at one moment."),
        ),
        None => (draft, String::new()),
    };
    let detail = format!(
        "One download alone takes {}; of {size} started together the middle one took {}, and ends were {} apart. One at a time as many take {}, \
         together they took {} on average: the speed-up is {}. The sum of all times over the wall time is {}, which \
         measures the waiting as well: for {size} that are served one after the other it would be {}.{seen}",
        ms(times.alone_median),
        ms(times.median),
        ms(times.tread),
        ms(size as f64 * times.alone_mean),
        ms(times.walls / times.bursts as f64),
        digits(times.speed_up()),
        digits(times.responses / times.walls),
        digits(f64::midpoint(size as f64, 1.0)),
    );
    let draft = if times.is_queue(growing) {
        draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!("{endpoint} brings one file at a time: {size} at once are {} times as fast as one after the other", digits(times.speed_up())))
            .advice(
                "Look for a lock or a single worker around the whole transfer; hold it only where files are put in place.",
                "Starting several together gains nothing over the control, one at a time.",
            )
    } else {
        draft.title(format!("{endpoint} brings files side by side: {size} at once are {} times as fast as one after the other", digits(times.speed_up())))
    };
    Some(resting_on(draft.detail(detail).done(), &[alone, together]))
}

/// The speed-up of one phase of a suite over another with the same work one at a time; `None` where one of them was not run.
pub(super) fn pair(run: &RunView<'_>, pair: &ControlPair) -> Option<Finding> {
    let named = |name: &str| run.phases.iter().find(|p| p.phase.name == name);
    let (alone, together) = (named(&pair.alone)?, named(&pair.together)?);
    let good = |phase: &PhaseResult| -> Vec<Sample> {
        let is_meant = |sample: &&Sample| match &pair.step {
            None => sample.is_arrival(),
            Some(step) => sample.part() > 0 && part_name(phase, sample).as_deref() == Some(step),
        };
        let meant = phase.samples.iter().filter(is_meant);
        meant.filter(|s| s.outcome == Outcome::Ok).copied().collect()
    };
    let (control, crowd) = (good(alone), good(together));
    let draft = Draft::new(NAME, "speed-up", &pair.together).advisory();
    if control.len() < 2 || crowd.len() < 2 {
        let draft = draft.verdict(Verdict::Inconclusive, Severity::Low).title(format!(
            "Too few good answers to compare '{}' with one at a time",
            pair.together
        ));
        return Some(draft.done());
    }
    let one = mean(
        &control
            .iter()
            .map(|s| s.service().as_millis_f64())
            .collect::<Vec<_>>(),
    );
    let summed: f64 = crowd.iter().map(|s| s.response().as_millis_f64()).sum();
    let wall: f64 = bursts(together, &crowd).iter().map(|b| span_ms(b)).sum();
    let speed_up = crowd.len() as f64 * one / wall;
    let evidence = source(together, "");
    let draft = draft
        .figure("speed-up over one at a time", speed_up, "", crowd.len(), &evidence)
        .figure("sum of times over wall time", summed / wall, "", crowd.len(), &evidence)
        .figure("processors of this machine", f64::from(run.cores), "", 1, &evidence)
        .title(format!(
            "{}: {} times as fast as one at a time; the sum of times over wall time says {}",
            pair.together,
            digits(speed_up),
            digits(summed / wall)
        ))
        .detail(format!(
            "{} times {} one at a time, against {} together. The sum of times over wall time counts waiting as work: of n requests that are              served one after the other it is (n + 1) / 2, and nothing is gained.",
            crowd.len(),
            ms(one),
            ms(wall)
        ));
    let draft = match pair.claimed {
        Some(claimed) => draft.figure("speed-up that is claimed", claimed, "", 1, &evidence),
        None => draft,
    };
    let draft = if speed_up < pair.claimed.unwrap_or(GAIN_MIN) {
        draft.verdict(Verdict::Warn, Severity::Low)
    } else {
        draft
    };
    Some(resting_on(draft.done(), &[alone, together]))
}

/// The name of the step that a sample belongs to.
fn part_name(phase: &PhaseResult, sample: &Sample) -> Option<String> {
    let scenario = phase.phase.scenarios.get(usize::from(sample.scenario))?;
    let step = scenario
        .flow
        .as_ref()?
        .steps
        .get(usize::from(sample.part()) - 1)?;
    Some(step.name.clone())
}

/// The samples of each burst; all of them where there are none.
fn bursts(phase: &PhaseResult, samples: &[Sample]) -> Vec<Vec<Sample>> {
    let size = match phase.phase.shape {
        prony_model::Shape::Burst { size, .. } => u64::from(size.max(1)),
        _ => return vec![samples.to_vec()],
    };
    let mut all: std::collections::BTreeMap<u64, Vec<Sample>> = std::collections::BTreeMap::new();
    for sample in samples {
        all.entry(sample.seq / size).or_default().push(*sample);
    }
    all.into_values().collect()
}

fn span_ms(samples: &[Sample]) -> f64 {
    let first = samples.iter().map(|s| s.intended).min().unwrap_or_default();
    let last = samples.iter().map(|s| s.done).max().unwrap_or_default();
    (last - first).as_millis_f64()
}

/// Most files that grew at one moment, and how many were seen to grow.
fn growing_max(run: &RunView<'_>, phase: &PhaseResult, endpoint: &str) -> Option<(usize, usize)> {
    let endpoint = run.surface.endpoints.iter().find(|e| e.name == endpoint)?;
    let mut spans: Vec<(Nanos, Nanos)> = downloads(phase, endpoint)
        .iter()
        .filter_map(|d| {
            let grown = growth(phase, &d.written.path);
            let last = grown
                .iter()
                .find(|(_, bytes)| Some(*bytes) == d.seen.map(|s| s.bytes))?
                .0;
            let first = grown.first()?.0;
            (first < last).then_some((first, last))
        })
        .collect();
    spans.sort_unstable();
    spans.dedup();
    let most = spans
        .iter()
        .map(|(start, _)| spans.iter().filter(|(a, b)| a <= start && start < b).count())
        .max()?;
    Some((most, spans.len()))
}
