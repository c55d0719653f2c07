//! At what rate does it begin to refuse with 429, does it say when to come back, is that true, and does it recover? Rates are
//! doubled until it refuses. It must not know how a limit is kept.

#[cfg(test)]
mod tests;
mod through;

use prony_model::{
    Arrivals, Budget, Capture, Captured, Endpoint, Finding, Limits, Outcome, Phase, PhaseResult, Sample,
    Severity, Shape, Verdict,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::draft::{Draft, source};
use crate::experiment::params;
use crate::primary::{heaviest, scenario};
use crate::wording::{digits, resting_on};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};
use through::{Through, let_through, recovers};

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
        let Through::Rate { per_s, .. } = let_through(over)? else {
            return None;
        };
        let below = BELOW_SHARE * per_s;
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

/// The refusals whose headers were kept, the last first.
fn refusals(phase: &PhaseResult) -> impl Iterator<Item = &Captured> {
    phase.captures.iter().rev().filter(|c| c.status == 429)
}

/// Seconds of the last Retry-After among the refusals.
fn retry_after_s(phase: &PhaseResult) -> Option<f64> {
    refusals(phase).find_map(wait_s)
}

/// Seconds after which a refusal says to come back: as a number, or as a date where the answer tells its own.
fn wait_s(refusal: &Captured) -> Option<f64> {
    let told = refusal.header("retry-after")?.trim();
    if let Ok(seconds) = told.parse::<f64>() {
        return Some(seconds).filter(|s| s.is_finite() && *s >= 0.0);
    }
    let now = httpdate::parse_http_date(refusal.header("date")?).ok()?;
    let then = httpdate::parse_http_date(told).ok()?;
    Some(then.duration_since(now).map_or(0.0, |wait| wait.as_secs_f64()))
}

/// Whether a refusal says when to come back.
fn says_when(refusal: &Captured) -> bool {
    let told = refusal.header("retry-after");
    wait_s(refusal).is_some() || told.is_some_and(|told| httpdate::parse_http_date(told.trim()).is_ok())
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
    let mut has_rate = false;
    let here = source(over, endpoint);
    let through = match let_through(over) {
        None => String::new(),
        Some(Through::Rate {
            per_s,
            interval: (low, high),
            sent,
        }) => {
            has_rate = true;
            let label = "let through over the limit";
            draft = draft.measured(label, per_s, "1/s", Some((low, high)), sent, &here);
            format!(
                " and lets {} per second through (95 % interval {} to {})",
                digits(per_s),
                digits(low),
                digits(high)
            )
        }
        Some(Through::Quota { good, sent, seconds }) => {
            draft = draft.figure(
                "let through of all over the limit",
                good as f64,
                "requests",
                sent,
                &here,
            );
            let how = if good == 0 {
                "none through, as where a quota for a span of time is spent".to_owned()
            } else {
                format!("{good} through, not evenly, as a quota for a span of time does")
            };
            format!("; of {sent} requests in {} s it let {how}", digits(seconds))
        }
    };
    let told = retry_after_s(over);
    if let Some(told) = told {
        draft = draft.figure("Retry-After", told, "s", 1, &here);
    }
    let words: Vec<bool> = named(run, WAIT).filter_map(kept_word).collect();
    let kept = words.iter().copied().reduce(|all, word| all && word);
    // The client that waited has just spent what was saved up: the first half is left to recover in.
    let still = below.map_or(0, |b| {
        let later = &b.samples[b.samples.len() / 2..];
        later.iter().filter(|s| refused(s)).count()
    });
    let seen = Seen {
        limit: format!("{begins}{through}"),
        still,
        says_when: refusals(over).any(says_when),
        kept,
        recovers: below.is_some() || kept == Some(true) || (!has_rate && recovers(phases.iter().copied())),
    };
    let draft = judged(draft, &seen);
    draft
        .detail(
            "Evenly spaced requests at rates that double, then twice the rate that was refused first, at least 16 per second; what is let through is \
             counted in the second half, when nothing saved up is left. Then one client waits as long as it was told, and half of \
             what was let through is sent; of that the second half must pass. Where it comes all at once there is no rate to halve: \
             whether it recovers is then seen by what is let through after refusals.",
        )
        .done()
}

/// What was seen of a limit.
struct Seen {
    /// Where it begins and what it lets through, in words.
    limit: String,
    /// Refused below it, once it had time to recover.
    still: usize,
    /// Whether refusals say when to come back.
    says_when: bool,
    /// Whether that is true; `None` when it was not seen.
    kept: Option<bool>,
    /// Whether it was seen to recover, where nothing was refused below it.
    recovers: bool,
}

/// The verdict and its title: what goes on being refused below the limit, what refusals say, and whether it is true.
fn judged(draft: Draft, seen: &Seen) -> Draft {
    let limit = &seen.limit;
    if seen.still > 0 {
        draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!(
                "{limit}, and goes on refusing at half of what it lets through: {} requests",
                seen.still
            ))
            .advice(
                "A limit must recover as soon as the rate is below it; see what it counts.",
                "",
            )
    } else if !seen.says_when {
        draft
            .verdict(Verdict::Warn, Severity::Low)
            .title(format!("{limit}; its refusals do not say when to come back"))
            .advice(
                "Send Retry-After with every 429 (RFC 6585): without it clients come back all at once.",
                "",
            )
    } else if seen.kept == Some(false) {
        draft
            .verdict(Verdict::Fail, Severity::Medium)
            .title(format!(
                "{limit}; who waits as long as its Retry-After says is refused again"
            ))
            .advice("Say the time at which a request will be let through.", "")
    } else if seen.recovers {
        let true_word = match seen.kept {
            Some(true) => "; its Retry-After is true",
            _ => "; whether its Retry-After is true was not seen",
        };
        draft.title(format!("{limit}{true_word}, and it recovers"))
    } else {
        draft.verdict(Verdict::Inconclusive, Severity::Low).title(format!(
            "{limit}; whether its Retry-After is true was not seen, nor whether it recovers"
        ))
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
