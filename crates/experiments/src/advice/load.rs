//! How much to let in, how much to let wait, and how long: the limits of a server, and what its clients should keep to.

use prony_model::Figure;

use super::facts::Facts;
use super::{Line, ONE_INSTANCE, Page};
use crate::wording::{digits, ms};

/// Part of the confirmed capacity that is planned with.
const PLANNED: f64 = 0.8;
/// Each time-out over that of the layer inside it.
const NESTING: f64 = 1.2;
/// Times that a request is sent at most.
const ATTEMPTS_MAX: f64 = 3.0;
/// Retries over all requests, at most.
const RETRY_BUDGET: f64 = 0.1;

pub(super) fn advise(facts: &Facts<'_>, page: &mut Page) {
    planning(facts, page);
    limit(facts, page);
    queue(facts, page);
    timeouts(facts, page);
    retries(facts, page);
}

fn planning(facts: &Facts<'_>, page: &mut Page) {
    let Some(capacity) = &facts.capacity else {
        page.lacks(
            "rate to plan with",
            "the highest rate that keeps the objective",
            "run `capacity`",
        );
        return;
    };
    let low = capacity.ci.map_or(capacity.value, |(low, _)| low);
    let value = PLANNED * low;
    page.set(Line {
        key: "plan.per_s",
        value,
        unit: "1/s",
        says: format!(
            "Plan with {} requests per second for one instance.",
            digits(value)
        ),
        formula: format!(
            "0.8 x confirmed capacity = 0.8 x {} = {}",
            digits(low),
            digits(value)
        ),
        evidence: vec![capacity.clone()],
        caveat: ONE_INSTANCE.to_owned(),
    });
}

fn limit(facts: &Facts<'_>, page: &mut Page) {
    let Some(knee) = &facts.knee else {
        let (missing, first) = facts.for_knee();
        page.lacks("concurrency limit", missing, first);
        return;
    };
    let value = knee.value.round().max(1.0);
    let mut evidence = vec![knee.clone()];
    evidence.extend(facts.throughput.iter().chain(&facts.solo).cloned());
    page.set(Line {
        key: "concurrency.limit",
        value,
        unit: "requests",
        says: format!(
            "Let at most {value:.0} {} into {} at once; more of them wait and gain no throughput.",
            if value > 1.0 { "requests" } else { "request" },
            facts.endpoint
        ),
        formula: knee_formula(facts, knee),
        evidence,
        caveat: ONE_INSTANCE.to_owned(),
    });
}

fn knee_formula(facts: &Facts<'_>, knee: &Figure) -> String {
    match (&facts.throughput, &facts.solo) {
        (Some(x), Some(solo)) => format!(
            "N_knee = X_max x R(1) = {}/s x {} = {}",
            digits(x.value),
            ms(solo.value),
            digits(knee.value)
        ),
        _ => format!("N_knee = {}", digits(knee.value)),
    }
}

fn queue(facts: &Facts<'_>, page: &mut Page) {
    let (Some(capacity), Some(limit), Some(solo)) = (&facts.capacity, &facts.limit, &facts.solo) else {
        let mut missing = Vec::new();
        let mut first = Vec::new();
        if facts.capacity.is_none() {
            missing.push("the highest rate that keeps the objective");
            first.push("run `capacity`");
        }
        if facts.limit.is_none() {
            missing.push("how long users wait at most");
            first.push("state it (`--slo`, or `response_ms` in `[objective]`)");
        }
        if facts.solo.is_none() {
            missing.push("the time of one request alone");
            first.push("run `baseline`");
        }
        page.lacks("length of the queue", missing.join(", and "), &first.join("; "));
        return;
    };
    let low = capacity.ci.map_or(capacity.value, |(low, _)| low);
    let slack_s = ((limit.value - solo.value) / 1000.0).max(0.0);
    let value = (low * slack_s).floor();
    page.set(Line {
        key: "queue.length",
        value,
        unit: "requests",
        says: format!(
            "Let at most {value:.0} requests wait, and refuse the rest at once with 503 and Retry-After: who stands further \
             back is served too late."
        ),
        formula: format!(
            "capacity x (T - R) = {}/s x ({} - {}) = {}",
            digits(low),
            ms(limit.value),
            ms(solo.value),
            digits(low * slack_s)
        ),
        evidence: vec![capacity.clone(), limit.clone(), solo.clone()],
        caveat: ONE_INSTANCE.to_owned(),
    });
}

fn timeouts(facts: &Facts<'_>, page: &mut Page) {
    let Some(limit) = &facts.limit else {
        page.lacks(
            "time-outs",
            "how long users wait at most",
            "state it (`--slo`, or `response_ms` in `[objective]`), or run `capacity`",
        );
        return;
    };
    let slow = facts
        .found("sustained", "response p99")
        .and_then(|p99| p99.ci)
        .map(|(_, high)| high)
        .filter(|high| *high > NESTING * limit.value);
    let caveat = slow.map_or_else(String::new, |high| {
        format!(
            "Under sustained load p99 may be as high as {}: this server time-out would cut such answers off.",
            ms(high)
        )
    });
    let mut inner = ("T", limit.value / 1000.0);
    for (key, who, name) in [
        ("timeout.server_s", "server", "server"),
        ("timeout.balancer_s", "load balancer", "balancer"),
        ("timeout.client_s", "client", "client"),
    ] {
        let value = tenth_up(NESTING * inner.1);
        page.set(Line {
            key,
            value,
            unit: "s",
            says: format!(
                "Give the {who} a time-out of {value} s{}.",
                if key == "timeout.server_s" {
                    ", and let it stop working on what it gave up"
                } else {
                    ", longer than the one inside it, so that the inner one speaks first"
                }
            ),
            formula: format!("1.2 x {} = 1.2 x {:.3} s, rounded up", inner.0, inner.1),
            evidence: vec![limit.clone()],
            caveat: caveat.clone(),
        });
        inner = (name, value);
    }
}

/// Up to the next tenth.
fn tenth_up(value: f64) -> f64 {
    (10.0 * value - 1e-9).ceil() / 10.0
}

fn retries(facts: &Facts<'_>, page: &mut Page) {
    let Some(most) = facts.capacity.as_ref().or(facts.throughput.as_ref()) else {
        page.lacks(
            "retry budget",
            "how much the target can take at most",
            "run `ladder` or `capacity`",
        );
        return;
    };
    let vulnerable = most.value / ATTEMPTS_MAX;
    let budgeted = most.value / (1.0 + RETRY_BUDGET);
    let caveat = if facts.capacity.is_none() && facts.is_rising() {
        format!(
            "The ladder does not show throughput used up, so the rates are at least these. {ONE_INSTANCE}"
        )
    } else {
        ONE_INSTANCE.to_owned()
    };
    page.set(Line {
        key: "retry.attempts_max",
        value: ATTEMPTS_MAX,
        unit: "requests",
        says: "Let a client send a request at most 3 times, at random intervals that double, and only at one layer.".to_owned(),
        formula: format!(
            "when all fails, 3 attempts make 3 times the load: from {}/s / 3 = {} requests per second on, retries alone can keep \
             the target down",
            digits(most.value),
            digits(vulnerable)
        ),
        evidence: vec![most.clone()],
        caveat: caveat.clone(),
    });
    page.set(Line {
        key: "retry.budget_share",
        value: RETRY_BUDGET,
        unit: "share",
        says: "Let retries be at most 10 % of a client's requests.".to_owned(),
        formula: format!(
            "amplification is then at most 1.1, so the vulnerable load is {}/s / 1.1 = {} instead of {}",
            digits(most.value),
            digits(budgeted),
            digits(vulnerable)
        ),
        evidence: vec![most.clone()],
        caveat,
    });
}
