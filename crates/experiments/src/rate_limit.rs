//! At what rate does it begin to refuse with 429, does it say when to come back, is that true, and does it recover? Rates are
//! doubled until it refuses. It must not know how a limit is kept.

use prony_model::{
    Arrivals, Budget, Capture, Endpoint, Finding, Limits, Outcome, Phase, PhaseResult, Sample, Severity,
    Shape, Verdict,
};
use prony_stats::binomial;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::primary::{heaviest, scenario};
use crate::wording::{digits, resting_on};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "rate-limit";
const OVER: &str = "over the limit";
const WAIT: &str = "after Retry-After";
const BELOW: &str = "below the limit";

/// Answers whose headers are kept, of the phase over the limit.
const KEPT: u32 = 500;
/// Least rate over the limit, per second: a slow grid of requests hides what a limiter lets through between two of them.
const OVER_PER_S_MIN: f64 = 16.0;
/// Refusals after which the word is tested.
const CYCLES: usize = 6;
/// Part of the rate that is let through at which nothing may be refused.
const BELOW_SHARE: f64 = 0.5;
/// Longest Retry-After that is waited for, as a share of all the time.
const WAIT_SHARE: f64 = 0.25;
/// What a whole second of Retry-After may be short by: it cannot say less.
const GRACE_MS: f64 = 50.0;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Rate limit",
    question: "At what rate does it refuse, and does it say truly when to come back?",
    from_budget: Budget::Thorough,
    basis: Basis::Times,
    needs: &["coverage"],
    time: Time::Bounded {
        usual_s: [15.0, 30.0, 1.0],
        most_s: [15.0, 30.0, 60.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let asked: RateLimitParams = params(value)?;
        Ok(Box::new(RateLimit {
            always: asked.always.unwrap_or(false),
            from: asked.from.unwrap_or(2.0).max(0.01),
            to: asked.to.unwrap_or(256.0),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            limits: context.limits.clone(),
            endpoint: None,
            done: Vec::new(),
        }))
    },
    schema: || schema_for!(RateLimitParams),
    example: "[experiment.rate-limit]\nalways = true\nfrom = 2\nto = 200\nduration_s = 60\n",
};

/// Parameters of the experiment on rate limits.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RateLimitParams {
    /// Look for a limit although nothing was refused with 429 before. Otherwise it looks where something was, or where no
    /// other experiment ran before it.
    pub always: Option<bool>,
    /// First rate per second; it is doubled until something is refused. By default 2.
    pub from: Option<f64>,
    /// Last rate per second. By default 256.
    pub to: Option<f64>,
    /// Seconds for all of it. By default 15 (quick), 30 (standard) or 60 (thorough).
    pub duration_s: Option<f64>,
}

struct RateLimit {
    always: bool,
    from: f64,
    to: f64,
    duration_s: f64,
    limits: Limits,
    endpoint: Option<String>,
    /// Names of the phases so far.
    done: Vec<String>,
}

impl Experiment for RateLimit {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        if self.endpoint.is_none() {
            let Some(endpoint) = self.choose(run) else {
                return Step::Done;
            };
            self.endpoint = Some(endpoint.name.clone());
        }
        let endpoint = run
            .surface
            .endpoints
            .iter()
            .find(|e| Some(&e.name) == self.endpoint.as_ref());
        let Some(phase) = endpoint.and_then(|endpoint| self.after(run, endpoint)) else {
            return Step::Done;
        };
        if self.done.contains(&phase.name) {
            return Step::Done;
        }
        self.done.push(phase.name.clone());
        Step::Run(phase)
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let phases: Vec<&PhaseResult> = run.of(NAME).collect();
        match &self.endpoint {
            Some(endpoint) if !phases.is_empty() => {
                vec![resting_on(finding(run, endpoint, &phases), &phases)]
            }
            _ => Vec::new(),
        }
    }
}

impl RateLimit {
    /// The endpoint that refused before, else the heaviest where a limit is to be looked for.
    fn choose<'a>(&self, run: &RunView<'a>) -> Option<&'a Endpoint> {
        let refused = run.phases.iter().find_map(|phase| {
            let sample = phase.samples.iter().find(|s| s.outcome == Outcome::Status429)?;
            let name = &phase.phase.scenarios.get(usize::from(sample.scenario))?.name;
            run.surface.endpoints.iter().find(|e| e.name == *name)
        });
        let alone = run.phases.iter().all(|p| p.phase.experiment == "coverage");
        refused.or_else(|| {
            (self.always || alone)
                .then(|| heaviest(run, 1).into_iter().next())
                .flatten()
        })
    }

    /// The next phase, given those before it.
    fn after(&self, run: &RunView<'_>, endpoint: &Endpoint) -> Option<Phase> {
        let rates = (self.to / self.from).log2().floor().max(0.0) as u32 + 1;
        let step_s = 0.2 * self.duration_s / f64::from(rates);
        let open = |name: String, rate: f64, duration_s: f64, kept: u32| Phase {
            name,
            experiment: NAME.to_owned(),
            scenarios: vec![scenario(run, endpoint)],
            shape: Shape::Open {
                rate,
                arrivals: Arrivals::Constant,
                duration_s,
                in_flight_max: 1000,
            },
            limits: self.limits.clone(),
            capture: Capture {
                responses_max: kept,
                ..Capture::NONE
            },
        };
        let probed = probed(run);
        let Some((rate, _)) = probed.iter().find(|(_, refused)| *refused > 0) else {
            let next = probed.last().map_or(self.from, |(rate, _)| rate * 2.0);
            // A rate at which fewer than two requests fit teaches nothing.
            let duration_s = step_s.max(2.0 / next);
            return (next <= self.to * 1.001).then(|| open(probe_name(next), next, duration_s, 0));
        };
        let Some(over) = run.phase(NAME, OVER) else {
            return Some(open(
                OVER.to_owned(),
                over_per_s(*rate),
                0.3 * self.duration_s,
                KEPT,
            ));
        };
        // Refused, then patient: a few times, because a request may come at a lucky moment.
        let (overs, waits) = (named(run, OVER).count(), named(run, WAIT).count());
        let last = named(run, OVER).last().unwrap_or(over);
        if let Some(wait_s) = retry_after_s(last)
            && wait_s * CYCLES as f64 <= WAIT_SHARE * self.duration_s
            && waits < CYCLES
        {
            let number = waits + 1;
            return Some(if waits < overs {
                Phase {
                    shape: Shape::Closed {
                        connections: 1,
                        requests: Some(2),
                        duration_s: None,
                        think_ms: 1000.0 * wait_s + GRACE_MS,
                    },
                    ..open(format!("{WAIT} {number}"), 1.0, 1.0, 2)
                }
            } else {
                let duration_s = 0.025 * self.duration_s;
                open(format!("{OVER} {number}"), over_per_s(*rate), duration_s, KEPT)
            });
        }
        let (through, ..) = let_through(over)?;
        let below = BELOW_SHARE * through;
        (below > 0.0).then(|| {
            open(
                BELOW.to_owned(),
                below,
                (0.1 * self.duration_s).max(6.0 / below),
                0,
            )
        })
    }
}

/// The phases whose name begins so.
fn named<'a>(run: &RunView<'a>, start: &'static str) -> impl Iterator<Item = &'a PhaseResult> + use<'a> {
    let phases = run.phases;
    phases
        .iter()
        .filter(move |p| p.phase.experiment == NAME && p.phase.name.starts_with(start))
}

/// What is sent over the limit, where `rate` was refused first.
fn over_per_s(rate: f64) -> f64 {
    (2.0 * rate).max(OVER_PER_S_MIN)
}

fn probe_name(rate: f64) -> String {
    format!("{} per second", digits(rate))
}

/// The rates that were tried, ascending, and how many requests each saw refused.
fn probed(run: &RunView<'_>) -> Vec<(f64, usize)> {
    run.of(NAME)
        .filter(|p| {
            ![OVER, WAIT, BELOW]
                .iter()
                .any(|start| p.phase.name.starts_with(start))
        })
        .filter_map(|p| match p.phase.shape {
            Shape::Open { rate, .. } => Some((rate, p.samples.iter().filter(|s| refused(s)).count())),
            _ => None,
        })
        .collect()
}

fn refused(sample: &Sample) -> bool {
    sample.outcome == Outcome::Status429
}

/// Seconds of the last Retry-After among the refusals.
fn retry_after_s(phase: &PhaseResult) -> Option<f64> {
    let refusals = phase.captures.iter().rev().filter(|c| c.status == 429);
    refusals
        .filter_map(|c| c.header("retry-after")?.trim().parse::<f64>().ok())
        .find(|s| s.is_finite() && *s >= 0.0)
}

/// Requests per second that were let through in the second half of a phase over the limit, with an interval, and how many
/// were sent in it. What a bucket had saved up is gone by then.
fn let_through(phase: &PhaseResult) -> Option<(f64, (f64, f64), usize)> {
    let Shape::Open { rate, .. } = phase.phase.shape else {
        return None;
    };
    let later = &phase.samples[phase.samples.len() / 2..];
    let answered: Vec<&Sample> = later.iter().filter(|s| !s.outcome.is_own()).collect();
    let n = answered.len() as u64;
    let good = answered.iter().filter(|s| s.outcome == Outcome::Ok).count() as u64;
    if n == 0 || good == n {
        return None;
    }
    let (low, high) = binomial::clopper_pearson(good, n, 0.95);
    // From the first to the last that was let through: a limit lets them through evenly.
    let times: Vec<f64> = answered
        .iter()
        .filter(|s| s.outcome == Outcome::Ok)
        .map(|s| s.intended.as_secs_f64())
        .collect();
    let (through, most) = match times.as_slice() {
        [first, .., last] => {
            // A limiter may have been ready up to one request earlier each time.
            let gap_s = (last - first) / (good - 1) as f64;
            (1.0 / gap_s, 1.0 / (gap_s - 1.0 / rate))
        }
        _ => (rate * good as f64 / n as f64, 0.0),
    };
    let high = if most.is_finite() {
        most.max(rate * high)
    } else {
        rate
    };
    Some((through, (rate * low, high.min(rate)), answered.len()))
}

fn finding(run: &RunView<'_>, endpoint: &str, phases: &[&PhaseResult]) -> Finding {
    let probed = probed(run);
    let evidence = source(phases[phases.len() - 1], endpoint);
    let rows = probed
        .iter()
        .map(|(rate, refused)| vec![digits(*rate), refused.to_string()])
        .collect();
    let draft = Draft::new(NAME, NAME, endpoint).table(
        "Rates tried",
        &["Per second", "Refused with 429"],
        rows,
        &evidence,
    );
    let Some((at, _)) = probed.iter().find(|(_, refused)| *refused > 0) else {
        let top = probed.last().map_or(0.0, |(rate, _)| *rate);
        return draft
            .title(format!(
                "{endpoint} refused nothing with 429, up to {} requests per second",
                digits(top)
            ))
            .detail("A limit above that rate, or one over a longer time, would not have shown.")
            .done();
    };
    let clean = probed
        .iter()
        .filter(|(rate, _)| rate < at)
        .map(|(rate, _)| *rate)
        .fold(0.0, f64::max);
    let begins = format!(
        "{endpoint} begins to refuse with 429 between {} and {} requests per second",
        digits(clean),
        digits(*at)
    );
    let (Some(over), below) = (run.phase(NAME, OVER), run.phase(NAME, BELOW)) else {
        return draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!("{begins}; there was no time to see more"))
            .done();
    };
    let mut draft = draft;
    let through = let_through(over).map_or_else(String::new, |(rate, (low, high), n)| {
        draft = draft.clone().measured(
            "let through over the limit",
            rate,
            "1/s",
            Some((low, high)),
            n,
            &source(over, endpoint),
        );
        format!(
            " and lets {} per second through (95 % interval {} to {})",
            digits(rate),
            digits(low),
            digits(high)
        )
    });
    let told = retry_after_s(over);
    if let Some(told) = told {
        draft = draft.figure("Retry-After", told, "s", 1, &source(over, endpoint));
    }
    let words: Vec<bool> = named(run, WAIT).filter_map(kept_word).collect();
    let kept = words.iter().copied().reduce(|all, word| all && word);
    // The client that waited has just spent what was saved up: the first half is left to recover in.
    let still = below.map_or(0, |b| {
        let later = &b.samples[b.samples.len() / 2..];
        later.iter().filter(|s| refused(s)).count()
    });
    let draft = judged(draft, &format!("{begins}{through}"), still, told, kept);
    draft
        .detail(
            "Evenly spaced requests at rates that double, then twice the rate that was refused first, at least 16 per second; what is let through is \
             counted in the second half, when nothing saved up is left. Then one client waits as long as it was told, and half of \
             what was let through is sent; of that the second half must pass.",
        )
        .done()
}

/// The verdict and its title: what goes on being refused below the limit, what refusals say, and whether it is true.
fn judged(draft: Draft, seen: &str, still: usize, told: Option<f64>, kept: Option<bool>) -> Draft {
    if still > 0 {
        draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!(
                "{seen}, and goes on refusing at half of what it lets through: {still} requests"
            ))
            .advice(
                "A limit must recover as soon as the rate is below it; see what it counts.",
                "",
            )
    } else if told.is_none() {
        draft
            .verdict(Verdict::Warn, Severity::Low)
            .title(format!("{seen}; its refusals do not say when to come back"))
            .advice(
                "Send Retry-After with every 429 (RFC 6585): without it clients come back all at once.",
                "",
            )
    } else if kept == Some(false) {
        draft
            .verdict(Verdict::Fail, Severity::Medium)
            .title(format!(
                "{seen}; who waits as long as its Retry-After says is refused again"
            ))
            .advice("Say the time at which a request will be let through.", "")
    } else {
        let true_word = match kept {
            Some(true) => "; its Retry-After is true",
            _ => "; whether its Retry-After is true was not seen",
        };
        draft.title(format!("{seen}{true_word}, and it recovers"))
    }
}

/// Whether the request after the wait was let through; `None` when the one before it was not refused, or asked for a longer
/// wait.
fn kept_word(wait: &PhaseResult) -> Option<bool> {
    let Shape::Closed { think_ms, .. } = wait.phase.shape else {
        return None;
    };
    let (first, second) = (wait.samples.first()?, wait.samples.get(1)?);
    let asked_s = retry_after_s(wait)?;
    (refused(first) && 1000.0 * asked_s <= think_ms).then(|| !refused(second))
}
