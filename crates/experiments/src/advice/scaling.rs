//! How many workers, and when a platform should add some.

use prony_stats::erlang;

use super::facts::Facts;
use super::{Line, ONE_INSTANCE, Page};
use crate::wording::{digits, ms};

/// How often the autoscaler looks, in s (Kubernetes: `--horizontal-pod-autoscaler-sync-period`).
const SYNC_S: f64 = 15.0;
/// How old the metric is that it sees, in s: one scrape.
const METRIC_LAG_S: f64 = 15.0;
/// Highest part of the knee that is aimed at.
const AIM_MAX: f64 = 0.8;
/// Room over the highest load that is expected.
const HEADROOM: f64 = 1.2;
/// Shortest time before replicas are taken away, in s.
const SCALE_DOWN_S_MIN: f64 = 300.0;
/// Share of requests that may wait too long for a worker.
const LATE_SHARE: f64 = 0.01;
/// Workers that are looked at.
const WORKERS_MAX: u32 = 10_000;

pub(super) fn advise(facts: &Facts<'_>, page: &mut Page) {
    workers(facts, page);
    target(facts, page);
    replicas_max(facts, page);
    scale_down(facts, page);
}

/// Warm workers: what the cold-start experiment found for a burst, else the steady formula.
fn workers(facts: &Facts<'_>, page: &mut Page) {
    if let Some(found) = facts.found("cold-start", "warm workers needed") {
        page.set(Line {
            key: "workers.min",
            value: found.value.ceil(),
            unit: "workers",
            says: format!("Keep at least {} workers warm.", found.value.ceil()),
            formula: "as the cold-start experiment worked out for its burst".to_owned(),
            evidence: vec![found],
            caveat: String::new(),
        });
        return;
    }
    let (Some(peak), Some(limit), Some(solo)) = (facts.objective.peak_per_s, &facts.limit, &facts.solo)
    else {
        page.lacks(
            "minimum of warm workers",
            "how long a worker takes to start, or the highest load that is expected and how long users wait",
            "run `cold-start`, or state `--peak-rate` and `--slo`",
        );
        return;
    };
    let (service_s, wait_s) = (solo.value / 1000.0, (limit.value - solo.value).max(0.0) / 1000.0);
    let late = |m: u32| {
        erlang::waiting(m, peak * service_s)
            .map(|waits| waits * (-(f64::from(m) / service_s - peak) * wait_s).exp())
    };
    let Some(enough) = (1..=WORKERS_MAX).find(|&m| late(m).is_some_and(|share| share <= LATE_SHARE)) else {
        page.lacks(
            "minimum of warm workers",
            "a load that 10,000 workers can take",
            "state a lower `--peak-rate`",
        );
        return;
    };
    page.set(Line {
        key: "workers.min",
        value: f64::from(enough),
        unit: "workers",
        says: format!(
            "At {} requests per second keep {enough} workers that each serve one request at a time.",
            digits(peak)
        ),
        formula: format!(
            "smallest m with C(m, {} x {}) exp(-(m / S - rate) (T - S)) <= 1 % (Erlang C)",
            digits(peak),
            ms(solo.value)
        ),
        evidence: vec![solo.clone(), limit.clone()],
        caveat:
            "For arrivals that are independent of each other and times that vary as much as exponential ones."
                .to_owned(),
    });
}

fn target(facts: &Facts<'_>, page: &mut Page) {
    let Some(knee) = &facts.knee else {
        let (missing, first) = facts.for_knee();
        page.lacks("target of the autoscaler", missing, first);
        return;
    };
    let start_s = facts.cold_start.as_ref().map(|c| c.value);
    let blind_s = SYNC_S + METRIC_LAG_S + start_s.unwrap_or(0.0);
    let growth = facts.objective.growth_per_min.map(|g| g * blind_s / 60.0);
    let aim = growth.map_or(AIM_MAX, |g| (1.0 / (1.0 + g)).min(AIM_MAX));
    let value = (knee.value * aim).max(0.1);
    let mut caveats = Vec::new();
    if growth.is_none() {
        caveats.push(format!(
            "How fast the load grows was not stated (`growth_per_min`): {aim} is right while it grows by at most 25 % within {blind_s} s."
        ));
    }
    if start_s.is_none() {
        caveats.push(
            "The time to start an instance was not measured (run `cold-start`) and counts as 0.".to_owned(),
        );
    }
    caveats.push(ONE_INSTANCE.to_owned());
    let mut evidence = vec![knee.clone()];
    evidence.extend(facts.cold_start.clone());
    page.set(Line {
        key: "autoscaler.in_flight",
        value,
        unit: "requests",
        says: format!(
            "Scale on requests in flight, {} per instance, and not on processor time.",
            digits(value)
        ),
        formula: format!(
            "N_knee x u = {} x {}, u = min(0.8, 1 / (1 + growth within {SYNC_S} s sync + {METRIC_LAG_S} s metric + start))",
            digits(knee.value),
            digits(aim)
        ),
        evidence,
        caveat: caveats.join(" "),
    });
}

fn replicas_max(facts: &Facts<'_>, page: &mut Page) {
    let (Some(peak), Some(capacity)) = (facts.objective.peak_per_s, &facts.capacity) else {
        let (missing, first) = match (facts.objective.peak_per_s, &facts.capacity) {
            (None, None) => (
                "the highest load that is expected, and the capacity of one instance",
                "state `--peak-rate`, and run `capacity`",
            ),
            (None, _) => ("the highest load that is expected", "state `--peak-rate`"),
            _ => ("the capacity of one instance", "run `capacity`"),
        };
        page.lacks("most replicas", missing, first);
        return;
    };
    let low = capacity.ci.map_or(capacity.value, |(low, _)| low);
    let value = (HEADROOM * peak / low).ceil().max(1.0);
    page.set(Line {
        key: "autoscaler.replicas_max",
        value,
        unit: "replicas",
        says: format!(
            "Allow {value:.0} replicas for {} requests per second.",
            digits(peak)
        ),
        formula: format!(
            "1.2 x peak / capacity = 1.2 x {} / {}, rounded up",
            digits(peak),
            digits(low)
        ),
        evidence: vec![capacity.clone()],
        caveat:
            "One instance was measured: what replicas share (a database, a load balancer) may end sooner."
                .to_owned(),
    });
}

fn scale_down(facts: &Facts<'_>, page: &mut Page) {
    let Some(start) = &facts.cold_start else {
        page.lacks(
            "wait before scaling down",
            "how long an instance takes to start",
            "run `cold-start`",
        );
        return;
    };
    let value = (2.0 * start.value).max(SCALE_DOWN_S_MIN).ceil();
    page.set(Line {
        key: "autoscaler.scale_down_s",
        value,
        unit: "s",
        says: format!("Wait {value:.0} s before replicas are taken away."),
        formula: format!(
            "max(300 s, 2 x start) = max(300 s, 2 x {} s)",
            digits(start.value)
        ),
        evidence: vec![start.clone()],
        caveat: String::new(),
    });
}
