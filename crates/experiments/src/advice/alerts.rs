//! When to wake somebody: thresholds outside of what was measured as normal, and the error budget.

use prony_model::{Figure, Objective};
use prony_stats::binomial;

use super::facts::Facts;
use super::{Line, Page};
use crate::draft::source;
use crate::metric::CONFIDENCE;
use crate::timings::Timings;
use crate::wording::{digits, ms};

/// Threshold over the upper end of the normal p95.
const OVER_NORMAL: f64 = 1.2;
/// Part of the knee from which on the target counts as saturated.
const SATURATED: f64 = 0.8;
/// Days of the error budget.
const BUDGET_DAYS: f64 = 30.0;
/// Growth that matters: this share of the memory in use per 1,000 requests.
const MATERIAL_SHARE: f64 = 0.001;

pub(super) fn advise(facts: &Facts<'_>, page: &mut Page) {
    slow(facts, page);
    objective(facts, page);
    saturation(facts, page);
    growth(facts, page);
}

fn slow(facts: &Facts<'_>, page: &mut Page) {
    let p95 = ["steady-state", "sustained"]
        .iter()
        .find_map(|id| facts.found(id, "response p95").filter(|f| f.ci.is_some()));
    let Some((p95, (_, high))) = p95.and_then(|f| f.ci.map(|ci| (f, ci))) else {
        page.lacks(
            "alert on slow answers",
            "p95 under a steady load, with an interval",
            "run `sustained` with more time",
        );
        return;
    };
    let value = OVER_NORMAL * high / 1000.0;
    let rate = p95
        .source
        .phase
        .and_then(|index| facts.run.phases.iter().find(|p| p.index == index))
        .map_or(0.0, |p| p.summary.offered_per_s);
    page.set(Line {
        key: "alert.p95_s",
        value,
        unit: "s",
        says: format!(
            "Alert when p95 of {} stays above {} for 10 minutes.",
            facts.endpoint,
            ms(1000.0 * value)
        ),
        formula: format!("1.2 x upper end of p95 under load = 1.2 x {}", ms(high)),
        evidence: vec![p95],
        caveat: format!(
            "Normal is what {} requests per second gave; above that load it may be slower without a fault.",
            digits(rate)
        ),
    });
}

/// The promise, and how fast the measured failures use up what it allows.
fn objective(facts: &Facts<'_>, page: &mut Page) {
    let promised = facts.objective.success_share;
    let phase = ["sustained", "baseline"]
        .iter()
        .find_map(|experiment| facts.run.phase(experiment, &facts.endpoint))
        .filter(|p| p.summary.validity.is_valid());
    let Some(phase) = phase else {
        page.lacks(
            "alerts on failures",
            "the share of failures under load",
            "run `sustained`",
        );
        return;
    };
    let tally = Timings::of(phase, &facts.endpoint).tally();
    let (bad, of) = (tally.failed(), tally.judged());
    if of == 0 {
        page.lacks("alerts on failures", "answers under load", "run `sustained`");
        return;
    }
    let share = bad as f64 / of as f64;
    let (low, high) = binomial::clopper_pearson(bad, of, CONFIDENCE);
    let failed = Figure {
        label: format!(
            "share of {} requests",
            if bad == 0 { "failed (none)" } else { "failed" }
        ),
        value: share,
        unit: "share".to_owned(),
        ci: Some((low, high)),
        n: of,
        source: source(phase, &facts.endpoint),
    };
    page.set(Line {
        key: "objective.success_share",
        value: promised,
        unit: "share",
        says: format!(
            "Alert when the error budget of {} % burns 14.4 times too fast over 1 h and 5 min or 6 times over 6 h and 30 min \
             (page), or 1 time over 3 days and 6 h (ticket).",
            digits(100.0 * (1.0 - promised))
        ),
        formula: "burn = share of failures / (1 - promised share); windows for a budget of 30 days".to_owned(),
        evidence: vec![failed.clone()],
        caveat: if promised.to_bits() == Objective::default().success_share.to_bits() {
            "Nothing was promised (`--slo-share`): 99 % is taken.".to_owned()
        } else {
            String::new()
        },
    });
    let allowed = 1.0 - promised;
    let (value, fast, slow) = (share / allowed, high / allowed, low / allowed);
    page.set(Line {
        key: "objective.burn",
        value,
        unit: "ratio",
        says: forecast(promised, fast, slow),
        formula: format!(
            "burn = {} / (1 - {promised}) = {} (95 % interval {} to {}); left after d days: 1 - burn x d / 30",
            digits(share),
            digits(value),
            digits(slow),
            digits(fast)
        ),
        evidence: vec![failed],
        caveat: String::new(),
    });
}

/// What the measured failures do to the budget of 30 days.
fn forecast(promised: f64, fast: f64, slow: f64) -> String {
    let percent = digits(100.0 * promised);
    if slow > 1.0 {
        format!(
            "{percent} % good answers cannot be promised: at the measured failures the budget of 30 days is used up after {} days \
             at the latest.",
            digits(BUDGET_DAYS / slow)
        )
    } else if fast < 1.0 {
        format!(
            "At the measured failures at least {} % of the error budget is left after 30 days.",
            digits(100.0 * (1.0 - fast))
        )
    } else {
        format!(
            "Whether {percent} % good answers can be promised is not decided: the measurements allow a budget that is used up after {} \
             days.",
            digits(BUDGET_DAYS / fast)
        )
    }
}

fn saturation(facts: &Facts<'_>, page: &mut Page) {
    let Some(knee) = &facts.knee else {
        let (missing, first) = facts.for_knee();
        page.lacks("alert on saturation", missing, first);
        return;
    };
    let value = SATURATED * knee.value;
    page.set(Line {
        key: "alert.in_flight",
        value,
        unit: "requests",
        says: format!(
            "Alert when more than {} requests are in flight for 5 minutes.",
            digits(value)
        ),
        formula: format!("0.8 x N_knee = 0.8 x {}", digits(knee.value)),
        evidence: vec![knee.clone()],
        caveat: String::new(),
    });
}

fn growth(facts: &Facts<'_>, page: &mut Page) {
    let Some(base) = facts.found("memory-growth", "memory at the end") else {
        page.lacks(
            "alert on growing memory",
            "how the memory behaves over many requests",
            "run `leak`",
        );
        return;
    };
    let value = MATERIAL_SHARE * base.value / 1000.0;
    page.set(Line {
        key: "alert.bytes_per_request",
        value,
        unit: "B",
        says: format!(
            "Alert when memory grows by more than {} bytes per request over 6 hours.",
            digits(value)
        ),
        formula: format!("0.1 % of {} B per 1,000 requests", digits(base.value)),
        evidence: vec![base],
        caveat: String::new(),
    });
}
