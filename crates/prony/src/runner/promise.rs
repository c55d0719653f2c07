//! Whether a phase can end in the time that the plan promised. It reads no clock and measures nothing: it is told the time, and reads
//! from the recording what requests took.

use prony_model::{Finding, Outcome, PhaseResult, Recommendation, Scenario, Severity, Shape, Verdict};

use crate::text::clean;

/// A run may take so much longer than planned: less than a tenth, for an answer that takes longer than those before and what comes
/// after the last phase.
const SLACK: f64 = 1.04;
/// Requests one after another in whose time a plan can ask all of its questions.
const REQUESTS_OF_A_PLAN: f64 = 80.0;
/// The experiment that gives a target which fails the rest that it asks for, on top of the plan.
const RESTS: &str = "recovery";

/// The end that was promised, and what did not fit before it.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    /// Seconds after the first experiment began; `None` where none was promised.
    end_s: Option<f64>,
    /// Experiments that were cut short, in order.
    cut: Vec<&'static str>,
    /// What a request of the phases that did not fit takes, in s, and where.
    slowest: Option<(f64, String)>,
}

impl Promise {
    /// To end after `total_s`; `None` promises nothing.
    pub(super) fn new(total_s: Option<f64>) -> Self {
        Self {
            end_s: total_s.map(|total_s| SLACK * total_s),
            cut: Vec::new(),
            slowest: None,
        }
    }

    /// So much later, for what no plan can know: a phase that this machine disturbed is measured once more.
    pub(super) fn disturbed(&mut self, seconds: f64) {
        self.end_s = self.end_s.map(|end_s| end_s + seconds);
    }

    /// Whether a phase that starts `gone_s` after the first experiment began ends in time, even if one request is served at a
    /// time. If not, the experiment is noted.
    pub(super) fn allows(
        &mut self,
        experiment: &'static str,
        scenarios: &[Scenario],
        shape: &Shape,
        gone_s: f64,
        results: &[PhaseResult],
    ) -> bool {
        if experiment == RESTS {
            self.disturbed(rest_s(shape));
        }
        let Some(end_s) = self.end_s else { return true };
        let solo_s: Vec<f64> = scenarios.iter().map(|s| alone_s(results, &s.name)).collect();
        if gone_s + longest_s(scenarios, &solo_s, shape) <= end_s {
            return true;
        }
        if !self.cut.contains(&experiment) {
            self.cut.push(experiment);
        }
        for (seconds, scenario) in solo_s.into_iter().zip(scenarios) {
            if self.slowest.as_ref().is_none_or(|(most, _)| seconds > *most) {
                self.slowest = Some((seconds, scenario.name.clone()));
            }
        }
        false
    }

    /// What to say of a plan of so many seconds, when experiments were cut short, or left out, to end in time.
    pub(super) fn finding(&self, total_s: f64) -> Option<Finding> {
        let first = self.cut.first()?;
        let (solo_s, endpoint) = self.slowest.clone().unwrap_or_default();
        let enough_min = (REQUESTS_OF_A_PLAN * solo_s).max(2.0 * total_s) / 60.0;
        Some(Finding {
            id: "out-of-time".to_owned(),
            experiment: (*first).to_owned(),
            endpoint: String::new(),
            verdict: Verdict::Inconclusive,
            severity: Severity::Low,
            required: true,
            title: format!(
                "The time of the plan was over before these were done: {}",
                self.cut.join(", ")
            ),
            detail: format!(
                "The plan takes {total_s:.0} s. A request to {} takes {solo_s:.2} s, so these could not send what they need and end in \
                 time; what they say rests on what was sent before.",
                clean(&endpoint, 80)
            ),
            evidence: Vec::new(),
            recommendation: Some(Recommendation {
                advice: format!(
                    "Give the run more time, as with `--duration {:.0}min`.",
                    enough_min.ceil()
                ),
                because: String::new(),
            }),
        })
    }
}

/// What a request of that scenario took when it was last sent alone, in s: the mean of the good ones, else of all. 0 where it was not.
fn alone_s(results: &[PhaseResult], scenario: &str) -> f64 {
    let alone = results
        .iter()
        .rev()
        .filter(|r| matches!(r.phase.shape, Shape::Once { .. } | Shape::Sequential { .. }));
    let times = |result: &PhaseResult, good: bool| -> Vec<f64> {
        let Some(index) = result.scenario(scenario) else {
            return Vec::new();
        };
        let wanted = result
            .samples
            .iter()
            .filter(|s| s.scenario == index && !s.outcome.is_own() && (!good || s.outcome == Outcome::Ok));
        wanted.map(|s| s.service().as_secs_f64()).collect()
    };
    let mut found = alone.flat_map(|result| [times(result, true), times(result, false)]);
    found
        .find(|times| !times.is_empty())
        .map_or(0.0, |times| prony_stats::mean(&times))
}

/// Seconds for which the user of a phase with so many requests waits between them.
fn rest_s(shape: &Shape) -> f64 {
    match shape {
        Shape::Closed {
            connections,
            requests: Some(requests),
            think_ms,
            ..
        } => {
            let rests = requests.saturating_sub(1) / u64::from((*connections).max(1));
            rests as f64 * think_ms / 1000.0
        }
        _ => 0.0,
    }
}

/// The longest that a phase takes, in s, by requests that take so long and are served one at a time; what a target needs longer than
/// that is its own affair.
fn longest_s(scenarios: &[Scenario], solo_s: &[f64], shape: &Shape) -> f64 {
    let slowest = solo_s.iter().copied().fold(0.0, f64::max);
    let by_time = |duration_s: Option<f64>, at_once: u32| {
        duration_s.map_or(f64::INFINITY, |seconds| seconds + f64::from(at_once) * slowest)
    };
    let by_count = |requests: Option<u64>| requests.map_or(f64::INFINITY, |n| n as f64 * slowest);
    match shape {
        Shape::Once { duration_s } => {
            let items = scenarios.iter().zip(solo_s);
            let all: f64 = items.map(|(s, solo)| s.items.len() as f64 * solo).sum();
            all.min(by_time(*duration_s, 1))
        }
        Shape::Sequential { requests, duration_s } => by_count(Some(*requests)).min(by_time(*duration_s, 1)),
        Shape::Closed {
            connections,
            requests,
            duration_s,
            ..
        } => (by_count(*requests) + rest_s(shape)).min(by_time(*duration_s, *connections)),
        Shape::Burst {
            size,
            count,
            interval_s,
        } => f64::from(*count) * interval_s.max(f64::from(*size) * slowest),
        Shape::Ladder {
            connections,
            requests_each,
            duration_s,
            idle_s,
        } => connections
            .iter()
            .map(|&n| {
                let requests = requests_each.map(|each| each * u64::from(n));
                by_count(requests).min(by_time(*duration_s, n)) + idle_s
            })
            .sum(),
        Shape::Open { duration_s, .. } | Shape::Ramp { duration_s, .. } | Shape::Spike { duration_s, .. } => {
            duration_s + slowest
        }
        Shape::Stages { stages, .. } => stages.iter().map(|s| s.duration_s).sum::<f64>() + slowest,
        // A trace is as long as it is.
        Shape::Replay { .. } => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{Expect, Item, Request, Scenario, Shape};

    use super::{Promise, Verdict, longest_s};

    fn scenario(items: usize) -> Scenario {
        let item = Item {
            request: Request::get("/"),
            expect: Expect::default(),
        };
        Scenario::new("work", vec![item; items])
    }

    #[test]
    fn what_a_phase_takes_where_one_request_is_served_at_a_time() {
        let takes = |shape: Shape| longest_s(&[scenario(5)], &[3.0], &shape);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(takes(Shape::Once { duration_s: None }), 15.0));
        assert!(near(
            takes(Shape::Once {
                duration_s: Some(4.0)
            }),
            7.0
        ));
        assert!(near(
            takes(Shape::Burst {
                size: 4,
                count: 2,
                interval_s: 0.0
            }),
            24.0
        ));
        let ladder = |requests_each| Shape::Ladder {
            connections: vec![1, 8],
            requests_each,
            duration_s: Some(10.0),
            idle_s: 0.0,
        };
        // Ten seconds each, and then what is still under way.
        assert!(near(takes(ladder(Some(1000))), 20.0 + 27.0));
        assert!(near(takes(ladder(Some(1))), 3.0 + 24.0));
        let closed = Shape::Closed {
            connections: 4,
            requests: None,
            duration_s: Some(2.0),
            think_ms: 0.0,
        };
        assert!(near(takes(closed), 14.0));
    }

    #[test]
    fn what_does_not_fit_is_noted_and_nothing_is_promised_unasked() {
        let once = Shape::Sequential {
            requests: 10,
            duration_s: Some(5.0),
        };
        let mut promise = Promise::new(Some(100.0));
        assert!(promise.allows("baseline", &[scenario(1)], &once, 103.0, &[]));
        assert!(!promise.allows("ladder", &[scenario(1)], &once, 105.0, &[]));
        promise.disturbed(2.0);
        assert!(promise.allows("ladder", &[scenario(1)], &once, 105.0, &[]));
        let said = promise.finding(100.0).expect("a finding");
        assert!(
            said.title.ends_with("done: ladder") && said.verdict == Verdict::Inconclusive,
            "{said:?}"
        );
        let rest = Shape::Closed {
            connections: 1,
            requests: Some(2),
            duration_s: None,
            think_ms: 30_000.0,
        };
        assert!(!promise.allows("job-lifecycle", &[scenario(1)], &rest, 100.0, &[]));
        assert!(promise.allows("recovery", &[scenario(1)], &rest, 100.0, &[]));
        assert!(Promise::new(None).allows("ladder", &[scenario(1)], &once, 1e9, &[]));
    }
}
