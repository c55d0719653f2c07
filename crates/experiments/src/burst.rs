//! What happens when many requests come at once? Bursts, each request on its own connection, opened beforehand.
//!
//! What a request waits is stated per request; total over n is throughput and nobody's latency. It must not know what
//! answers mean.

use prony_model::{Budget, Capture, Endpoint, Finding, Limits, Outcome, Phase, PhaseResult, Sample, Shape};
use prony_stats::{mean, theil_sen};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::primary::{heaviest, scenario, solo_ms};
use crate::timings::{Tally, Timings, in_flight_max};
use crate::wording::{OUTCOME_COLUMNS, by_failures, digits, ms, outcome, resting_on};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "burst";

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Burst",
    question: "What happens when many requests come at once?",
    from_budget: Budget::Quick,
    basis: Basis::Times,
    needs: &["coverage", "baseline"],
    time: Time::Bounded {
        usual_s: [1.5, 5.0, 25.0],
        most_s: [3.0, 10.0, 60.0],
        answers: [2.0, 3.0, 5.0],
    },
    build: |context, value| {
        let asked: BurstParams = params(value)?;
        let (sizes, count, endpoints) = match context.budget {
            Budget::Quick => (vec![10, 25], 1, 1),
            Budget::Standard => (vec![10, 50], 2, 2),
            Budget::Thorough => (vec![10, 50, 200], 3, 4),
        };
        Ok(Box::new(Burst {
            sizes: asked.sizes.unwrap_or(sizes),
            count: asked.count.unwrap_or(count),
            endpoints: asked.endpoints.unwrap_or(endpoints),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            limits: context.limits.clone(),
            queue: None,
        }))
    },
    schema: || schema_for!(BurstParams),
    example: "[experiment.burst]\nsizes = [10, 50]\ncount = 2\nendpoints = 1\n",
};

/// Parameters of the burst experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BurstParams {
    /// Requests per burst. By default 10 and 25 (quick), 10 and 50 (standard), or 10, 50 and 200 (thorough).
    pub sizes: Option<Vec<u32>>,
    /// Bursts of each size. By default 1, 2 or 3.
    pub count: Option<u32>,
    /// At most so many endpoints. By default 1, 2 or 4.
    pub endpoints: Option<usize>,
    /// Bursts that would take longer than so many seconds, all together and served one at a time, are made smaller. By
    /// default 3, 10 or 60.
    pub duration_s: Option<f64>,
}

struct Burst {
    sizes: Vec<u32>,
    count: u32,
    endpoints: usize,
    duration_s: f64,
    limits: Limits,
    queue: Option<std::vec::IntoIter<Phase>>,
}

impl Experiment for Burst {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let mut queue = self.queue.take().unwrap_or_else(|| self.plan(run).into_iter());
        let step = queue.next().map_or(Step::Done, Step::Run);
        self.queue = Some(queue);
        step
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let mut endpoints: Vec<&str> = Vec::new();
        for phase in run.of(NAME) {
            let endpoint = phase.phase.scenarios[0].name.as_str();
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
        endpoints
            .into_iter()
            .map(|endpoint| finding(run, endpoint))
            .collect()
    }
}

impl Burst {
    fn plan(&self, run: &RunView<'_>) -> Vec<Phase> {
        let endpoints = heaviest(run, self.endpoints);
        let share_s = self.duration_s / endpoints.len().max(1) as f64;
        endpoints
            .into_iter()
            .flat_map(|e| self.phases(run, e, share_s))
            .collect()
    }

    /// The sizes that fit the time even if the target serves one request at a time; at least a small burst.
    fn phases(&self, run: &RunView<'_>, endpoint: &Endpoint, share_s: f64) -> Vec<Phase> {
        let solo_s = solo_ms(run, endpoint).unwrap_or(10.0) / 1000.0;
        let mut left_s = share_s;
        let mut phases: Vec<Phase> = Vec::new();
        for &size in &self.sizes {
            let burst_s = f64::from(size) * solo_s;
            let fits = (left_s / burst_s).floor().min(f64::from(self.count)) as u32;
            let (size, count) = match (fits, phases.is_empty()) {
                (0, false) => continue,
                (0, true) => (((left_s / solo_s) as u32).clamp(2.min(size), size), 1),
                (count, _) => (size, count),
            };
            left_s -= f64::from(size) * solo_s * f64::from(count);
            phases.push(Phase {
                name: format!("{} x {size}", endpoint.name),
                experiment: NAME.to_owned(),
                scenarios: vec![scenario(run, endpoint)],
                shape: Shape::Burst {
                    size,
                    count,
                    interval_s: 0.0,
                },
                limits: self.limits.clone(),
                capture: Capture::FAILED,
            });
        }
        phases
    }
}

/// The figures of one burst. Times in ms since the burst began.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Staircase {
    /// When each good answer ended, ascending.
    pub ends_ms: Vec<f64>,
    /// What each good request waited and took, ascending.
    pub response_ms: Vec<f64>,
    /// Most in flight at once.
    pub in_flight_max: u32,
}

impl Staircase {
    /// From the first request to the last answer.
    pub(crate) fn makespan_ms(&self) -> f64 {
        self.ends_ms.last().copied().unwrap_or(0.0)
    }

    /// Time from one end to the next: the slope of the staircase (Theil-Sen). `None` of fewer than four.
    pub(crate) fn tread_ms(&self) -> Option<f64> {
        let ends: Vec<f64> = self.ends_ms.iter().copied().take(theil_sen::POINTS_MAX).collect();
        let ranks: Vec<f64> = (0..ends.len()).map(|i| i as f64).collect();
        if ends.len() < 4 {
            return None;
        }
        theil_sen::fit(&ranks, &ends, 0.95).map(|line| line.slope)
    }
}

/// The bursts of a phase, in order.
pub(crate) fn staircases(phase: &PhaseResult) -> Vec<Staircase> {
    let Shape::Burst { size, .. } = phase.phase.shape else {
        return Vec::new();
    };
    let mut samples: Vec<Sample> = phase.samples.clone();
    samples.sort_by_key(|s| s.seq);
    samples.chunks(size.max(1) as usize).map(staircase).collect()
}

fn staircase(samples: &[Sample]) -> Staircase {
    let start = samples.iter().map(|s| s.intended).min().unwrap_or_default();
    let good = || samples.iter().filter(|s| s.outcome == Outcome::Ok);
    let ascending = |mut values: Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    Staircase {
        ends_ms: ascending(good().map(|s| (s.done - start).as_millis_f64()).collect()),
        response_ms: ascending(good().map(|s| s.response().as_millis_f64()).collect()),
        in_flight_max: in_flight_max(samples),
    }
}

fn finding(run: &RunView<'_>, endpoint: &str) -> Finding {
    let phases: Vec<&PhaseResult> = run
        .of(NAME)
        .filter(|p| p.phase.scenarios[0].name == endpoint)
        .collect();
    let tally = phases
        .iter()
        .fold(Tally::default(), |sum, p| sum.with(&Timings::all(p).tally()));
    let (verdict, severity) = by_failures(&tally);
    let last = phases[phases.len() - 1];
    let evidence = source(last, endpoint);
    let rows: Vec<Vec<String>> = phases.iter().filter_map(|p| row(p)).collect();
    let largest = size(last);
    let stairs = staircases(last);
    let makespan = mean(&stairs.iter().map(Staircase::makespan_ms).collect::<Vec<_>>());
    let mut response: Vec<f64> = stairs.iter().flat_map(|s| s.response_ms.clone()).collect();
    let n = response.len();
    let median = prony_stats::median(&mut response);
    let longest = response.last().copied().unwrap_or(0.0);
    let title = match tally.failed() {
        0 if n > 0 => format!(
            "A burst of {largest} to {endpoint} was answered whole; the slowest request took {}",
            ms(longest)
        ),
        0 => format!("No burst to {endpoint} was answered in time"),
        failed => format!(
            "{failed} of {} requests to {endpoint} failed in bursts",
            tally.judged()
        ),
    };
    let mut draft = Draft::new(NAME, NAME, endpoint)
        .verdict(verdict, severity)
        .title(title);
    let mut said = vec![outcome(&tally)];
    if n > 0 {
        let solo = run
            .surface
            .endpoints
            .iter()
            .find(|e| e.name == endpoint)
            .and_then(|e| solo_ms(run, e))
            .map_or_else(String::new, |solo| {
                format!(
                    "Alone, such a request takes {}; in the burst half of them took longer than {}, and what is more than the \
                     former is waiting. ",
                    ms(solo),
                    ms(median)
                )
            });
        // Of the good answers: what was refused is no throughput.
        let inverse = makespan / (n as f64 / stairs.len() as f64);
        let done = if n == last.samples.len() {
            "The whole burst was done"
        } else {
            "The last good answer of a burst came"
        };
        let tread = stairs
            .first()
            .and_then(Staircase::tread_ms)
            .map_or_else(String::new, |tread| {
                format!("Answers ended about {} apart. ", ms(tread))
            });
        said.push(format!(
            "{solo}{tread}{done} after {}: {} good answers per second. Its inverse, {} per answer, is a rate and not the latency of \
             any request.",
            ms(makespan),
            digits(1000.0 / inverse),
            ms(inverse)
        ));
        draft = draft
            .figure("slowest response in the burst", longest, "ms", n, &evidence)
            .figure("median response in the burst", median, "ms", n, &evidence)
            .figure("throughput of the burst", 1000.0 / inverse, "1/s", n, &evidence);
    }
    draft = draft
        .detail(said.join(" "))
        .table("Bursts", &COLUMNS, rows, &evidence);
    if tally.failed() > 0 {
        draft = draft
            .table("Outcomes", &OUTCOME_COLUMNS, tally.rows(), &evidence)
            .advice(
                "Bound the queue and refuse early with 503 and Retry-After, or allow fewer requests at once.",
                "",
            );
    }
    resting_on(draft.done(), &phases)
}

fn size(phase: &PhaseResult) -> u32 {
    match phase.phase.shape {
        Shape::Burst { size, .. } => size,
        _ => 0,
    }
}

const COLUMNS: [&str; 8] = [
    "Burst of",
    "Bursts",
    "Good",
    "Most in flight",
    "First answer, ms",
    "Median response, ms",
    "Slowest response, ms",
    "Throughput, 1/s",
];

fn row(phase: &PhaseResult) -> Option<Vec<String>> {
    let stairs = staircases(phase);
    let mut response: Vec<f64> = stairs.iter().flat_map(|s| s.response_ms.clone()).collect();
    let good = response.len();
    let median = prony_stats::median(&mut response);
    let over = |value: fn(&Staircase) -> f64| mean(&stairs.iter().map(value).collect::<Vec<_>>());
    let longest = *response.last()?;
    let rate = good as f64 / stairs.len() as f64 / over(Staircase::makespan_ms) * 1000.0;
    Some(vec![
        size(phase).to_string(),
        stairs.len().to_string(),
        format!("{good} of {}", phase.samples.len()),
        stairs.iter().map(|s| s.in_flight_max).max()?.to_string(),
        digits(over(|s| s.ends_ms.first().copied().unwrap_or(0.0))),
        digits(median),
        digits(longest),
        digits(rate),
    ])
}

#[cfg(test)]
mod tests {
    use prony_model::{
        Capture, Evidence, Finding, Limits, Nanos, Outcome, Phase, PhaseResult, Sample, Scenario, Shape,
        Surface,
    };

    use super::{NAME, finding};
    use crate::RunView;
    use crate::fake::summary;

    const WORK: &str = "POST /work";

    /// The finding on one burst of 25, of which the first `good` are answered 2 ms apart and the rest is refused.
    fn judged(good: u64) -> Finding {
        let phase = Phase {
            name: format!("{WORK} x 25"),
            experiment: NAME.to_owned(),
            scenarios: vec![Scenario::new(WORK, Vec::new())],
            shape: Shape::Burst {
                size: 25,
                count: 1,
                interval_s: 0.0,
            },
            limits: Limits::default(),
            capture: Capture::FAILED,
        };
        let samples: Vec<Sample> = (0..25)
            .map(|seq| {
                let (outcome, ms) = if seq < good {
                    (Outcome::Ok, 2.0 * (seq + 1) as f64)
                } else {
                    (Outcome::Status503, 1.0)
                };
                Sample {
                    seq,
                    outcome,
                    done: Nanos::from_millis_f64(ms),
                    ..Sample::default()
                }
            })
            .collect();
        let phases = [PhaseResult {
            index: 0,
            summary: summary(&phase, 0, &samples, Nanos::from_secs_f64(1.0)),
            phase,
            samples,
            samples_cut: false,
            captures: Vec::new(),
            streams: Vec::new(),
            readings: Vec::new(),
        }];
        let surface = Surface::default();
        let run = RunView {
            surface: &surface,
            phases: &phases,
            cores: 2,
            shared_host: false,
        };
        finding(&run, WORK)
    }

    #[test]
    fn what_was_refused_is_no_throughput() {
        for good in [5, 25] {
            let finding = judged(good);
            let per_s = finding.evidence.iter().find_map(|e| match e {
                Evidence::Figure(f) if f.label == "throughput of the burst" => Some(f.value),
                _ => None,
            });
            // One every 2 ms, however many were sent.
            assert!(per_s.is_some_and(|x| (x - 500.0).abs() < 1e-6), "{finding:#?}");
            assert!(
                finding.detail.contains(": 500 good answers per second"),
                "{}",
                finding.detail
            );
        }
    }
}
