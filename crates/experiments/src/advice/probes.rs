//! Start-up, liveness and readiness probes, from health calls beside load and not from idle ones; and the time to stop.

use prony_model::{Endpoint, Figure, ProbeAddress, Role, Surface};

use super::facts::{Facts, Health, in_seconds};
use super::replay::{Probe, calls, longest_stall_s, restarts};
use super::{Line, Page};
use crate::RunView;
use crate::draft::source;
use crate::primary::no_work_ms;
use crate::wording::{digits, ms};

/// Starts that must have been seen before a start-up probe follows from them.
const STARTS_MIN: u64 = 10;
/// Shortest time to stop (the platform's default), and the part of it that passes before the signal, while the platform takes the
/// instance out, in s.
const GRACE_S_MIN: f64 = 30.0;
const PRE_STOP_S: f64 = 5.0;
/// Fewest failures that end a start (the platform's default): the first probe comes with the process.
const STARTUP_FAILURES_MIN: f64 = 3.0;
/// Period of the start-up and the readiness probe, in s.
const SHORT_PERIOD_S: f64 = 5.0;
/// Period of the liveness probe, in s (the platform's default).
const LIVE_PERIOD_S: f64 = 10.0;
/// Shortest time-out of a liveness probe, in s.
const LIVE_TIMEOUT_S_MIN: f64 = 2.0;
/// Fewest failures that restart (the platform's default).
const LIVE_FAILURES_MIN: f64 = 3.0;
/// Failures after which no more requests are sent.
const READY_FAILURES: f64 = 2.0;
/// Health calls beside load that a probe follows from at least.
const CALLS_MIN: usize = 20;
/// Load that the probes should have been measured under, in times of the highest throughput.
const LOAD_WANTED: f64 = 1.5;

pub(super) fn advise(facts: &Facts<'_>, page: &mut Page) {
    startup(facts, page);
    termination(facts, page);
    match &facts.health {
        Some(health) if health.calls().count() >= CALLS_MIN => under_load(facts, health, page),
        health => {
            let missing = match (health, no_work_ms(facts.run)) {
                (Some(health), _) => format!(
                    "{} health calls beside load are too few (it takes {CALLS_MIN})",
                    health.calls().count()
                ),
                (None, Some(idle)) => format!(
                    "health beside load; only its idle time is known ({} on average), and that says nothing about a busy target",
                    ms(idle)
                ),
                (None, None) => "health beside load".to_owned(),
            };
            let first = "run `ladder` with `probe_health`, and give it more time";
            page.lacks("liveness and readiness probes", missing, first);
        }
    }
}

fn startup(facts: &Facts<'_>, page: &mut Page) {
    // Only where starting was seen: else the slowest request after idleness is a request like others.
    let cold = facts
        .found("cold-start", "cold start")
        .and_then(|_| facts.found("cold-start", "request after idleness, slowest"));
    let process = facts.found("startup", "start to ready or answering, slowest");
    let enough = |figure: &Figure| figure.n >= STARTS_MIN;
    let slowest = cold
        .filter(enough)
        .or_else(|| process.clone().filter(enough))
        .map(in_seconds);
    let Some(slowest) = slowest else {
        let first = if process.is_some() {
            "run `startup` with `starts = 10`"
        } else {
            "run `cold-start`"
        };
        page.lacks("start-up probe", "the times of at least 10 starts", first);
        return;
    };
    let failures = (1.5 * slowest.value / SHORT_PERIOD_S)
        .ceil()
        .max(STARTUP_FAILURES_MIN);
    for (key, value, says) in [
        (
            "startup.period_s",
            SHORT_PERIOD_S,
            "Probe a starting instance every 5 s.".to_owned(),
        ),
        (
            "startup.failures",
            failures,
            format!(
                "Give up on a start after {failures:.0} failures: at least 1.5 times the slowest start seen."
            ),
        ),
    ] {
        page.set(Line {
            key,
            value,
            unit: if key == "startup.period_s" {
                "s"
            } else {
                "failures"
            },
            says,
            formula: format!(
                "1.5 x {} s / 5 s, rounded up, at least {STARTUP_FAILURES_MIN:.0}",
                digits(slowest.value)
            ),
            evidence: vec![slowest.clone()],
            caveat: String::new(),
        });
    }
}

/// The time that a platform gives an instance to stop: from stops that were measured, and only if all came to an end.
fn termination(facts: &Facts<'_>, page: &mut Page) {
    let killed = facts.found("stop-in-time", "times that it had to be killed");
    let Some(killed) = killed else { return };
    let longest = facts
        .found("stop-in-time", "time to stop, longest")
        .map(in_seconds);
    let Some(longest) = longest.filter(|_| killed.value < 0.5) else {
        page.lacks(
            "time to stop",
            "a stop that came to an end by itself",
            "let the target end when it is told to, then run `drain`",
        );
        return;
    };
    let grace_s = (2.0 * longest.value + PRE_STOP_S).ceil().max(GRACE_S_MIN);
    page.set(Line {
        key: "termination.grace_s",
        value: grace_s,
        unit: "s",
        says: format!("Give an instance {grace_s:.0} s to stop before it is killed, {PRE_STOP_S:.0} s of which pass before the signal."),
        formula: format!(
            "max({GRACE_S_MIN:.0} s, 2 x longest time to stop + {PRE_STOP_S:.0} s) = max({GRACE_S_MIN:.0} s, 2 x {} + {PRE_STOP_S:.0} s)",
            ms(1000.0 * longest.value)
        ),
        evidence: vec![longest],
        caveat: "Requests that take longer than those measured need more: at least as long as the longest that may be in flight."
            .to_owned(),
    });
}

fn under_load(facts: &Facts<'_>, health: &Health<'_>, page: &mut Page) {
    let series = calls(health.calls());
    let stall_s = longest_stall_s(&series);
    let slowest_s = series.iter().map(|c| c.took_s).fold(0.0, f64::max);
    let figure = |label: &str, value: f64| Figure {
        label: label.to_owned(),
        value,
        unit: "s".to_owned(),
        ci: None,
        n: series.len() as u64,
        source: source(health.phase, health.name),
    };
    let slowest = figure("slowest health call beside load", slowest_s);
    let stall = figure("longest time without a good health answer", stall_s);
    let caveat = caveat(facts, health);

    let timeout_s = (2.0 * slowest_s).ceil().max(LIVE_TIMEOUT_S_MIN);
    let failures = (2.0 * stall_s / LIVE_PERIOD_S).ceil().max(LIVE_FAILURES_MIN);
    let (probe, (false_restarts, replays)) = without_restarts(
        &series,
        Probe {
            period_s: LIVE_PERIOD_S,
            timeout_s,
            failures: failures as u32,
        },
    );
    let replayed = if replays == 0 {
        format!(
            " The {} s of health calls are too short to replay it.",
            digits(series.last().map_or(0.0, |c| c.at_s))
        )
    } else {
        format!(
            " Replayed {replays} times on the recorded calls it restarts the target {false_restarts} times."
        )
    };
    page.set(Line {
        key: "liveness.timeout_s",
        value: timeout_s,
        unit: "s",
        says: format!("Give the liveness probe a time-out of {timeout_s:.0} s, and an endpoint that touches neither model nor queue."),
        formula: format!("max(2 s, 2 x slowest health call beside load) = max(2 s, 2 x {})", ms(1000.0 * slowest_s)),
        evidence: vec![slowest.clone()],
        caveat: caveat.clone(),
    });
    page.set(Line {
        key: "liveness.period_s",
        value: LIVE_PERIOD_S,
        unit: "s",
        says: "Probe every 10 s.".to_owned(),
        formula: "the platform's default; the number of failures follows from it".to_owned(),
        evidence: vec![stall.clone()],
        caveat: String::new(),
    });
    page.set(Line {
        key: "liveness.failures",
        value: f64::from(probe.failures),
        unit: "failures",
        says: format!("Restart after {} failures in a row.{replayed}", probe.failures),
        formula: format!(
            "failures x 10 s at least twice the longest time without a good answer ({}), and at least 3",
            ms(1000.0 * stall_s)
        ),
        evidence: vec![stall],
        caveat: caveat.clone(),
    });
    readiness(facts, timeout_s, &slowest, &caveat, page);
}

/// The probe, with as many more failures allowed as it takes to restart nothing in the recording.
fn without_restarts(series: &[super::replay::Call], mut probe: Probe) -> (Probe, (u64, u64)) {
    let mut found = restarts(series, probe);
    while found.0 > 0 {
        probe.failures += 1;
        found = restarts(series, probe);
    }
    (probe, found)
}

fn readiness(facts: &Facts<'_>, timeout_s: f64, slowest: &Figure, caveat: &str, page: &mut Page) {
    page.set(Line {
        key: "readiness.timeout_s",
        value: timeout_s,
        unit: "s",
        says: format!("Give the readiness probe the same time-out, {timeout_s:.0} s."),
        formula: "as for liveness".to_owned(),
        evidence: vec![slowest.clone()],
        caveat: caveat.to_owned(),
    });
    for (key, value, unit, says) in [
        (
            "readiness.period_s",
            SHORT_PERIOD_S,
            "s",
            "Ask every 5 s whether an instance is ready.",
        ),
        (
            "readiness.failures",
            READY_FAILURES,
            "failures",
            "Send it no more requests after 2 failures in a row.",
        ),
    ] {
        page.set(Line {
            key,
            value,
            unit,
            says: says.to_owned(),
            formula: "two looks, so that one slow answer takes no instance out".to_owned(),
            evidence: vec![slowest.clone()],
            caveat: String::new(),
        });
    }
    let Some(limit) = &facts.limit else {
        page.lacks(
            "queue wait at which an instance is not ready",
            "how long users wait at most",
            "state it (`--slo`, or `response_ms` in `[objective]`)",
        );
        return;
    };
    page.set(Line {
        key: "readiness.queue_wait_s",
        value: 0.5 * limit.value / 1000.0,
        unit: "s",
        says: format!(
            "Let the target say that it is not ready while its queue waits longer than {}, or all its places are taken.",
            ms(0.5 * limit.value)
        ),
        formula: format!("0.5 x T = 0.5 x {}", ms(limit.value)),
        evidence: vec![limit.clone()],
        caveat: String::new(),
    });
}

fn caveat(facts: &Facts<'_>, health: &Health<'_>) -> String {
    let most = facts.throughput.as_ref().or(facts.capacity.as_ref());
    let enough = most.is_some_and(|x| health.load_per_s >= LOAD_WANTED * x.value);
    if enough {
        format!("Measured beside {}.", health.load(facts))
    } else {
        format!(
            "Measured beside {}, not beside 1.5 times what the target can take: worse is possible.",
            health.load(facts)
        )
    }
}

/// Where a platform can probe: the target's port, and its health endpoints.
pub(super) fn address(run: &RunView<'_>, target_url: &str) -> Option<ProbeAddress> {
    let (scheme, rest) = target_url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let port = match authority.rsplit_once(':') {
        Some((_, port)) if !port.contains(']') => port.parse().ok()?,
        _ if scheme == "https" => 443,
        _ => 80,
    };
    let live = path(
        run.surface,
        &[
            "live",
            "livez",
            "liveness",
            "healthz",
            "health",
            "healthcheck",
            "ping",
        ],
    );
    let ready = path(run.surface, &["ready", "readyz", "readiness"]).or_else(|| live.clone());
    Some(ProbeAddress {
        scheme: if scheme == "https" { "https" } else { "http" }.to_owned(),
        port,
        live_path: live.or_else(|| ready.clone()).unwrap_or_default(),
        ready_path: ready.unwrap_or_default(),
    })
}

/// The health endpoint whose last segment stands first in the list.
fn path(surface: &Surface, segments: &[&str]) -> Option<String> {
    let place = |e: &Endpoint| {
        let last = e
            .path
            .trim_end_matches('/')
            .rsplit('/')
            .next()?
            .to_ascii_lowercase();
        segments.iter().position(|s| **s == last)
    };
    surface
        .endpoints
        .iter()
        .filter(|e| e.role == Role::Health && e.method == "GET" && !e.path.contains('{'))
        .filter_map(|e| place(e).map(|p| (p, e)))
        .min_by_key(|(p, _)| *p)
        .map(|(_, e)| e.path.clone())
}
