//! Clients that misbehave as clients do: a body that stops half-way, and leaving before the answer. What counts is what the
//! others notice of it.

use std::collections::VecDeque;

use prony_model::{
    Arrivals, Body, Capture, Expect, Finding, Header, Item, Limits, Phase, PhaseResult, Request, Scenario,
    Severity, Shape, Verdict,
};
use prony_stats::{mean, median, order, variance};

use super::NAME;
use super::case::{Class, Wanted};
use super::judge::Judged;
use super::plan::{Plan, typical_s};
use crate::RunView;
use crate::answer::{Answer, answers};
use crate::draft::{Draft, source};
use crate::timings::Timings;
use crate::wording::{digits, ms, resting_on};

/// Bodies per second that stop half-way.
const STALLED_PER_S: f64 = 25.0;
/// Good requests per second beside them, where the target is fast enough for them to be a load of no more than ...
const GOOD_PER_S: f64 = 25.0;
/// ... this share of what it can serve one at a time.
const GOOD_LOAD: f64 = 0.3;
const STALLED_S: f64 = 2.0;
/// How long a client waits with its body half sent.
const STALLED_TIMEOUT_MS: u64 = 2_500;
/// Bytes that are announced and never sent.
const WITHHELD_BYTES: usize = 64;
/// Good answers without which nothing is said.
const GOOD_MIN: usize = 10;
/// Share of good requests that may fail by chance.
const FAILED_SHARE_MAX: f64 = 0.1;
/// A good answer may take so many times as long as before, and this much more.
const SLOWER_MAX: f64 = 2.0;
const SLOWER_FLOOR_MS: f64 = 50.0;
/// Clients that leave together, and how often: each has its connection beforehand, so that it leaves within an answer.
const LEAVING_AT_ONCE: u32 = 50;
const LEAVING_TIMES: u32 = 2;
/// An answer that comes faster cannot be left half-way.
const LEAVE_MIN_S: f64 = 0.005;
/// Good requests before and after, and how many at once.
const MEASURED: u64 = 40;
const MEASURED_AT_ONCE: u32 = 4;
const MEASURED_S: f64 = 5.0;
/// Goodput afterwards over goodput before: below it is a remark, none at all a fault. Work that goes on for nobody and caches
/// that those who left have emptied look alike from outside.
const GOODPUT_WARN: f64 = 0.95;
/// How often leaving is tried.
const ROUNDS: usize = 3;
/// What a disturbed generator cannot add to a time.
const BEYOND_DOUBT_MS: f64 = 500.0;

const WITHHELD: &str = "body that stops half-way";
const MEANWHILE: &str = "good request meanwhile";

/// What is sent for this, and to which endpoints.
#[derive(Debug, Default)]
pub(super) struct Clients {
    asked: bool,
    phases: VecDeque<Phase>,
    stalled: Vec<String>,
    left: Vec<String>,
}

impl Clients {
    /// Phases for as many endpoints as the time allows, the first first: first every body that stops, then every client that
    /// leaves, for a target that cannot bear these may not answer any more.
    pub(super) fn plan(plans: &[Plan], run: &RunView<'_>, limits: &Limits, left_s: f64) -> Self {
        let mut clients = Self {
            asked: true,
            ..Self::default()
        };
        let mut left_s = left_s;
        let bases = || plans.iter().filter_map(|p| Some((p, p.good.as_ref()?)));
        for (plan, good) in bases() {
            let typical = typical_s(run, &plan.endpoint);
            let takes_s = STALLED_S + STALLED_TIMEOUT_MS as f64 / 1000.0;
            let body = good.body.to_bytes().map_or(0, |b| b.len());
            // A good request must have time enough beside them.
            if body > 0 && takes_s <= left_s && typical * 5000.0 < STALLED_TIMEOUT_MS as f64 {
                left_s -= takes_s;
                clients
                    .phases
                    .push_back(stalled(plan, good, run, typical, limits));
                clients.stalled.push(plan.endpoint.clone());
            }
        }
        for (plan, good) in bases() {
            let typical = typical_s(run, &plan.endpoint);
            let measured_s = MEASURED_S.min(MEASURED as f64 * typical);
            let takes_s = 2.0 * (1.0 + ROUNDS as f64) * measured_s;
            if typical >= LEAVE_MIN_S && takes_s <= left_s {
                left_s -= takes_s;
                clients.phases.extend(leaving(plan, good, run, typical, limits));
                clients.left.push(plan.endpoint.clone());
            }
        }
        clients
    }

    /// The next phase.
    pub(super) fn next(&mut self) -> Option<Phase> {
        self.phases.pop_front()
    }

    /// The kinds of bad input that were tried.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &'static str> {
        let tried = [
            (!self.stalled.is_empty(), Class::StalledBody),
            (!self.left.is_empty(), Class::LeftEarly),
        ];
        tried
            .into_iter()
            .filter(|(was, _)| *was)
            .map(|(_, class)| class.kind())
    }

    /// What was left out, in a sentence or two, with what the target's own endpoints add to it.
    pub(super) fn not_tested(&self, gaps: &[&str]) -> String {
        let clients = if !self.asked {
            "clients that stop half-way or leave (`clients = true` tries them), "
        } else if self.stalled.is_empty() && self.left.is_empty() {
            "clients that stop half-way or leave (no endpoint was fit for it, or there was no time), "
        } else {
            ""
        };
        let mut own = gaps.join(", ");
        if !own.is_empty() {
            own.push_str(", ");
        }
        format!(
            "Not tested: {clients}{own}bodies and heads that arrive byte by byte, clients that never read, compressed bombs, other \
             tenants' ids, delays by SQL, addresses that the target would call, and each of these under load."
        )
    }

    /// What came of it.
    pub(super) fn findings(&self, judged: &[Judged<'_>], run: &RunView<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        for endpoint in &self.stalled {
            if let Some(phase) = run.phase(NAME, &stalled_name(endpoint)) {
                let before = judged.iter().find(|j| j.plan.endpoint == *endpoint);
                found.extend(blocked(endpoint, before, phase));
                found.extend(stall_failures(endpoint, phase));
            }
        }
        for endpoint in &self.left {
            found.extend(after_leaving(endpoint, run));
        }
        found
    }
}

fn stalled_name(endpoint: &str) -> String {
    format!("stalled: {endpoint}")
}

fn goodput_name(endpoint: &str, round: usize) -> String {
    if round == 0 {
        format!("before leaving: {endpoint}")
    } else {
        format!("after leaving {round}: {endpoint}")
    }
}

fn stalled(plan: &Plan, good: &Request, run: &RunView<'_>, typical_s: f64, limits: &Limits) -> Phase {
    let body = good.body.to_bytes().unwrap_or_default();
    let mut request = Request {
        body: Body::Bytes(body[..body.len().div_ceil(2)].to_vec()),
        ..good.clone()
    };
    request.headers.push(Header::new(
        "content-length",
        (body.len() + WITHHELD_BYTES).to_string(),
    ));
    let item = Item {
        request,
        expect: Wanted::HarmlessOrClosed.expect(),
    };
    let good_per_s = GOOD_PER_S.min(GOOD_LOAD / typical_s.max(1e-6));
    let mut withheld = Scenario::new(WITHHELD, vec![item]);
    withheld.weight = STALLED_PER_S;
    let mut meanwhile = scenario(MEANWHILE, plan, good, run);
    meanwhile.weight = good_per_s;
    Phase {
        name: stalled_name(&plan.endpoint),
        experiment: NAME.to_owned(),
        scenarios: vec![withheld, meanwhile],
        shape: Shape::Open {
            rate: STALLED_PER_S + good_per_s,
            arrivals: Arrivals::Constant,
            duration_s: STALLED_S,
            in_flight_max: 1000,
        },
        limits: Limits {
            timeout_ms: STALLED_TIMEOUT_MS,
            ..limits.clone()
        },
        capture: Capture {
            responses_max: 400,
            body_bytes_max: 2 << 10,
            digests: false,
        },
    }
}

fn leaving(plan: &Plan, good: &Request, run: &RunView<'_>, typical_s: f64, limits: &Limits) -> Vec<Phase> {
    let patience_ms = 3_000 + (20_000.0 * typical_s) as u64;
    let phase = |name: String, shape, timeout_ms| Phase {
        name,
        experiment: NAME.to_owned(),
        scenarios: vec![scenario(&plan.endpoint, plan, good, run)],
        shape,
        limits: Limits {
            timeout_ms,
            ..limits.clone()
        },
        capture: Capture::NONE,
    };
    let goodput = |round| {
        let shape = Shape::Closed {
            connections: MEASURED_AT_ONCE,
            requests: Some(MEASURED),
            duration_s: Some(MEASURED_S),
            think_ms: 0.0,
        };
        phase(
            goodput_name(&plan.endpoint, round),
            shape,
            patience_ms.min(limits.timeout_ms),
        )
    };
    let half_ms = (500.0 * typical_s).max(1.0) as u64;
    let leave = |round| {
        let shape = Shape::Burst {
            size: LEAVING_AT_ONCE,
            count: LEAVING_TIMES,
            interval_s: 0.0,
        };
        phase(format!("leaving {round}: {}", plan.endpoint), shape, half_ms)
    };
    let rounds = (1..=ROUNDS).flat_map(|round| [leave(round), goodput(round)]);
    std::iter::once(goodput(0)).chain(rounds).collect()
}

fn scenario(name: &str, plan: &Plan, good: &Request, run: &RunView<'_>) -> Scenario {
    let expect: Expect = run
        .surface
        .endpoints
        .iter()
        .find(|e| e.name == plan.endpoint)
        .map(|e| e.expect.clone())
        .unwrap_or_default();
    Scenario::new(
        name,
        vec![Item {
            request: good.clone(),
            expect,
        }],
    )
}

/// Whether good requests fared worse while others held their bodies back.
fn blocked(endpoint: &str, before: Option<&Judged<'_>>, phase: &PhaseResult) -> Option<Finding> {
    let good = answers(phase, MEANWHILE);
    let n = good.len();
    if n < GOOD_MIN {
        return None;
    }
    let here = source(phase, MEANWHILE);
    let stalled = answers(phase, WITHHELD).len();
    let failed = good.iter().filter(|a| !a.is_ok()).count();
    let draft = Draft::new(NAME, "stalled-clients-block", endpoint)
        .verdict(Verdict::Fail, Severity::High)
        .figure("good requests that failed meanwhile", failed as f64, "", n, &here)
        .advice(
            "Read a body before it takes a worker, and give one up that stands still.",
            "A few slow clients, or a few malicious ones, can keep everyone else out.",
        );
    if failed >= 2 && failed as f64 > FAILED_SHARE_MAX * n as f64 {
        let bad = good.iter().find(|a| !a.is_ok())?;
        return Some(
            draft
                .title(format!("Bodies that stop half-way keep others out of {endpoint}"))
                .detail(format!(
                    "While {stalled} clients held the second half of their body back, {failed} of {n} good requests from other \
                     clients failed: the first {}.",
                    bad.sample.outcome.says()
                ))
                .done(),
        );
    }
    let p90 = |list: &[&Answer<'_>]| {
        let times: Vec<f64> = list.iter().map(|a| a.sample.service().as_millis_f64()).collect();
        order::estimate(&times, 0.9, 0.95).map(|estimate| estimate.value)
    };
    let meanwhile: Vec<&Answer<'_>> = good.iter().filter(|a| a.is_ok()).collect();
    let alone: Vec<&Answer<'_>> = before?
        .good
        .iter()
        .map(|g| &g.answer)
        .filter(|a| a.is_ok())
        .collect();
    if alone.len() < GOOD_MIN || meanwhile.len() < GOOD_MIN {
        return None;
    }
    let (was, is) = (p90(&alone)?, p90(&meanwhile)?);
    (is > SLOWER_MAX * was + SLOWER_FLOOR_MS).then(|| {
        let finding = draft
            .title(format!("Bodies that stop half-way make others wait at {endpoint}"))
            .detail(format!(
                "While {stalled} clients held the second half of their body back, nine of ten good requests took up to {}; \
                 before it was {}.",
                ms(is),
                ms(was)
            ))
            .figure("p90 of good requests meanwhile", is, "ms", meanwhile.len(), &here)
            .done();
        if is - was > BEYOND_DOUBT_MS {
            finding
        } else {
            resting_on(finding, &[phase])
        }
    })
}

/// Server errors in answer to the held back bodies themselves.
fn stall_failures(endpoint: &str, phase: &PhaseResult) -> Option<Finding> {
    let held = answers(phase, WITHHELD);
    let broken: Vec<&Answer<'_>> = held.iter().filter(|a| a.sample.status >= 500).collect();
    let worst = broken.first()?;
    let here = source(phase, WITHHELD);
    let draft = Draft::new(NAME, "server-error-on-input", endpoint)
        .title(format!(
            "A body that stops half-way is answered by {} at {endpoint}",
            worst.sample.status
        ))
        .detail(format!(
            "It happened in {} of {} attempts. Expected was 408.",
            broken.len(),
            held.len()
        ))
        .figure("failed attempts", broken.len() as f64, "", held.len(), &here)
        .quote("answer", &worst.message(), &here)
        .advice("Answer 408 and close the connection.", "");
    Some(if broken.len() >= 2 {
        draft.verdict(Verdict::Fail, Severity::Medium).done()
    } else {
        draft.verdict(Verdict::Warn, Severity::Medium).advisory().done()
    })
}

/// By how much, as a logarithm, the ratio of two goodputs like this one strays in one of a hundred pairs. Answers of a closed loop
/// wait for each other, so a mean of theirs varies up to the root of their number at once more than independent ones would.
fn chance(phase: &PhaseResult) -> f64 {
    let times = Timings::all(phase).service_ms();
    let spread = variance(&times).sqrt() / mean(&times);
    2.58 * spread * (2.0 * f64::from(MEASURED_AT_ONCE) / times.len() as f64).sqrt()
}

/// Whether the endpoint serves less after clients left it.
fn after_leaving(endpoint: &str, run: &RunView<'_>) -> Option<Finding> {
    let phases: Vec<&PhaseResult> = (0..=ROUNDS)
        .filter_map(|round| run.phase(NAME, &goodput_name(endpoint, round)))
        .collect();
    let (before, rounds) = phases.split_first()?;
    if rounds.is_empty() {
        return None;
    }
    let of = |phase: &PhaseResult| Timings::all(phase).per_s();
    let was = of(before);
    let n = Timings::all(before).good().count();
    if n < GOOD_MIN || was <= 0.0 {
        return None;
    }
    let here = source(rounds[0], endpoint);
    let mut ratios: Vec<f64> = rounds.iter().map(|phase| of(phase) / was).collect();
    let worst_of_all = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    // The best round decides: what is only chance does not happen in every one.
    let best = ratios.iter().copied().fold(0.0, f64::max);
    let share = median(&mut ratios);
    let failed: usize = rounds
        .iter()
        .map(|phase| Timings::all(phase).tally().failed() as usize)
        .sum();
    let verdict = if best.max(1e-9).ln() > -chance(before) {
        return None;
    } else if best <= 0.0 {
        Verdict::Fail
    } else if best < GOODPUT_WARN {
        Verdict::Warn
    } else {
        return None;
    };
    let title = if best <= 0.0 {
        format!("After clients left before their answer, {endpoint} answers nobody")
    } else {
        format!(
            "After clients left before their answer, {endpoint} serves {} % of what it served before",
            digits(100.0 * share)
        )
    };
    let draft = Draft::new(NAME, "leaving-clients-cost", endpoint)
        .verdict(verdict, if verdict == Verdict::Fail { Severity::High } else { Severity::Low })
        .title(title)
        .detail(format!(
            "{} clients left half-way through their answer, {} times. Right after each time {MEASURED_AT_ONCE} clients asked \
             again: goodput was {} to {} % of the {} per second before, and {failed} requests failed. The work for those who \
             left goes on, or their places are not given back.",
            LEAVING_AT_ONCE * LEAVING_TIMES,
            rounds.len(),
            digits(100.0 * worst_of_all),
            digits(100.0 * best),
            digits(was)
        ))
        .figure("goodput before", was, "1/s", n, &here)
        .figure("goodput after over before", share, "ratio", rounds.len(), &here)
        .advice(
            "Stop the work for a client whose connection is closed, and give its place back.",
            "Under overload clients time out; a target that works for them on has no time for the others.",
        );
    let draft = if verdict == Verdict::Warn {
        draft.advisory()
    } else {
        draft
    };
    let finding = draft.done();
    Some(if best <= 0.0 {
        finding
    } else {
        resting_on(finding, &phases)
    })
}
