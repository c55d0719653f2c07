//! Does the health endpoint still answer in time while there is load?

use prony_model::{Finding, Severity, Verdict};
use prony_stats::{binomial, order};

use super::NAME;
use crate::RunView;
use crate::draft::{Draft, source};
use crate::timings::Timings;
use crate::wording::{ms, outcome, quantiles, resting_on};

/// Name of the phase.
pub(super) const PHASE: &str = "health beside load";
/// Health requests in it, about.
pub(super) const PROBES: f64 = 60.0;
/// Work shorter than this cannot starve a probe for long, in ms.
pub(super) const SOLO_MS_MIN: f64 = 10.0;
/// A probe that takes less than this hurts nobody, in ms.
const SLOW_MS: f64 = 100.0;
/// And it must be so many times slower than without load.
const RATIO: f64 = 10.0;

/// And a larger share of the probes than this must surely be that slow.
const SHARE_MIN: f64 = 0.05;

/// A finding when the health endpoint is often slow beside load; advisory.
pub(super) fn finding(run: &RunView<'_>) -> Option<Finding> {
    let phase = run.phase(NAME, PHASE)?;
    let (loaded, health) = (&phase.phase.scenarios[0].name, &phase.phase.scenarios[1].name);
    let idle_phase = run.phase("client-floor", "no-work")?;
    let idle_ms = Timings::all(idle_phase).service_ms();
    let idle = prony_stats::median(&mut idle_ms.clone());
    let probes = Timings::of(phase, health);
    let response = probes.response_ms();
    let tally = probes.tally();
    let bound = SLOW_MS.max(RATIO * idle);
    let slow = response.iter().filter(|r| **r > bound).count();
    // Probes that wait behind the same request count as one observation. When none is over the bound, the bound shows no
    // dependence at all: then that of the quantile in question stands in.
    let at_share = order::estimate(&response, 1.0 - SHARE_MIN, 0.95).map_or(0.0, |e| e.n_eff);
    let worth = order::effective_size(&response, bound).min(at_share).floor();
    let slow_worth = (slow as f64 / response.len().max(1) as f64 * worth).floor();
    let (low, high) = binomial::clopper_pearson(slow_worth as u64, worth as u64, 0.95);
    let starves = low > SHARE_MIN;
    let fails = tally.failed() > 0;
    let evidence = source(phase, health);
    let mut draft = Draft::new(NAME, "health-starves", health).advisory();
    let percent = |x: f64| 100.0 * x;
    draft = quantiles(draft, &response, "health beside load", &[0.5, 0.9], &evidence)
        .measured(
            &format!("health probes beside load slower than {}", ms(bound)),
            percent(slow as f64 / response.len().max(1) as f64),
            "%",
            Some((percent(low), percent(high))),
            response.len(),
            &evidence,
        )
        .figure("health median without load", idle, "ms", idle_ms.len(), &source(idle_phase, health))
        .detail(format!(
            "{health} was called beside load on {loaded} at 70 % of its highest throughput: {slow} of {} calls took longer than {}; without load its median is {}. {}",
            response.len(),
            ms(bound),
            ms(idle),
            outcome(&tally)
        ));
    draft = if starves || fails {
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!("{health} does not answer in time while {loaded} is under load"))
            .advice(
                "Serve health checks apart from the work (another thread or process), or a platform will take a busy server for a \
                 dead one.",
                "",
            )
    } else if worth < 10.0 {
        draft
            .title(format!(
                "Too few calls of {health} beside load to say how it fares"
            ))
            .verdict(Verdict::Inconclusive, Severity::Low)
    } else {
        draft.title(format!("{health} still answers while {loaded} is under load"))
    };
    Some(resting_on(draft.done(), &[phase, idle_phase]))
}
