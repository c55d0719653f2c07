//! Does the health endpoint still answer in time while there is load?

use prony_model::{Finding, Severity, Verdict};
use prony_stats::order;

use super::NAME;
use crate::RunView;
use crate::draft::{Draft, source};
use crate::timings::Timings;
use crate::wording::{ms, outcome, quantile, resting_on};

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

/// A finding when nine of ten probes cannot be counted on to be quick; advisory.
pub(super) fn finding(run: &RunView<'_>) -> Option<Finding> {
    let phase = run.phase(NAME, PHASE)?;
    let (loaded, health) = (&phase.phase.scenarios[0].name, &phase.phase.scenarios[1].name);
    let idle_phase = run.phase("client-floor", "no-work")?;
    let idle = prony_stats::median(&mut Timings::all(idle_phase).service_ms());
    let probes = Timings::of(phase, health);
    let response = probes.response_ms();
    let tally = probes.tally();
    let p90 = order::estimate(&response, 0.9, 0.95)?;
    let low = p90.interval.map(|(low, _)| low);
    let starves = low.is_some_and(|low| low >= SLOW_MS && low >= RATIO * idle);
    let fails = tally.failed() > 0;
    let evidence = source(phase, health);
    let mut draft = Draft::new(NAME, "health-starves", health).advisory();
    if let Some(interval) = p90.interval {
        draft = draft.measured(
            "health p90 under load",
            p90.value,
            "ms",
            Some(interval),
            response.len(),
            &evidence,
        );
    }
    draft = draft
        .figure("health median without load", idle, "ms", 1, &source(idle_phase, health))
        .detail(format!(
            "{health} was called beside load on {loaded} at 70 % of its highest throughput: p90 {}; without load its median is {}. {}",
            quantile(&response, 0.9),
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
    } else if low.is_none() {
        draft
            .title(format!(
                "Too few calls of {health} beside load to say how it fares"
            ))
            .verdict(Verdict::Pass, Severity::Info)
    } else {
        draft.title(format!("{health} still answers while {loaded} is under load"))
    };
    Some(resting_on(draft.done(), &[phase, idle_phase]))
}
