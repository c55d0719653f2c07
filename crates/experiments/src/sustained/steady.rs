//! From when on was it steady, and did it ever settle? The response times of a phase of constant load, in send order, before
//! the three steps of [`prony_stats::steady`]. It must not know which load it was.

use prony_model::{Finding, PhaseResult, Sample, Severity, Source, Verdict};
use prony_stats::steady::{self, SteadyState, VALUES_MIN};

use super::NAME;
use super::slower::{self, Cause, Slower};
use crate::draft::{Draft, source};
use crate::timings::Timings;
use crate::wording::{digits, ms, quantile, quantiles, resting_on};

/// Seconds that must be left after the start is cut off.
pub(super) const KEPT_S_MIN: f64 = 30.0;
/// A load at least so long is judged without being asked: a quarter of it may be warm-up.
pub(super) const JUDGED_FROM_S: f64 = 40.0;
/// Half width of the mean's interval, as a share of the mean, that is precise enough.
const HALF_WIDTH_MAX: f64 = 0.05;

/// What the series says, with the cut in time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Settling {
    state: SteadyState,
    /// Length of the part cut off, in s.
    warm_up_s: f64,
    /// Length of the part kept, in s.
    kept_s: f64,
    /// Good answers kept.
    kept: usize,
}

/// The finding about one phase, and what a machine that became busier meanwhile has to do with it.
pub(super) fn finding(phase: &PhaseResult, slower: Option<&Slower>) -> Finding {
    let finding = match settling(phase) {
        Ok(found) => {
            let slower = slower.filter(|slower| slower.cause == Cause::Machine);
            judged(phase, &found, slower)
        }
        Err((kept, kept_s)) => too_short(phase, kept, kept_s),
    };
    resting_on(finding, &[phase])
}

/// Judges the phase's good answers. The error is how many answers, and seconds, would have been left to judge.
fn settling(phase: &PhaseResult) -> Result<Settling, (usize, f64)> {
    let times = Timings::of(phase, &phase.phase.name);
    let good: Vec<&Sample> = times.good().collect();
    let at = |i: usize| good[i].intended.as_secs_f64();
    let span_s = |from: usize| {
        good.last()
            .map_or(0.0, |last| last.intended.as_secs_f64() - at(from))
    };
    let Some(state) = steady::judge(&times.response_ms()) else {
        return Err((good.len(), if good.is_empty() { 0.0 } else { span_s(0) }));
    };
    let found = Settling {
        warm_up_s: at(state.start) - at(0),
        kept_s: span_s(state.start),
        kept: good.len() - state.start,
        state,
    };
    // What never settled needs no minimum: the whole series says so.
    if state.verdict == steady::Verdict::Settled && found.kept_s < KEPT_S_MIN {
        return Err((found.kept, found.kept_s));
    }
    Ok(found)
}

fn judged(phase: &PhaseResult, found: &Settling, slower: Option<&Slower>) -> Finding {
    let endpoint = &phase.phase.name;
    let evidence = source(phase, endpoint);
    let state = &found.state;
    let share = state.half_width / state.mean;
    let draft = figures(endpoint, found, &evidence);
    let tests = format!(
        "MSER-5 cuts the start off; Heidelberger and Welch's test of the rest gives p = {}, and a line through 20 stretches of it \
         changes by {} % of the mean (p = {}).",
        digits(state.stationarity.p),
        digits(100.0 * state.drift),
        digits(state.drift_p)
    );
    if let Some(slower) = slower.filter(|_| state.verdict != steady::Verdict::Settled) {
        return slower
            .evidence(draft, &evidence)
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!(
                "The machine became slower during the load on {endpoint}: from when on it was steady is not known"
            ))
            .detail(format!("{tests} {}", slower.says()))
            .advice(slower::ADVICE, "")
            .done();
    }
    match state.verdict {
        steady::Verdict::Settled => {
            let kept: Vec<f64> = Timings::of(phase, endpoint).response_ms().split_off(state.start);
            let title = if state.start == 0 {
                format!("{endpoint} was steady from its first request on, over {} s", digits(found.kept_s))
            } else {
                format!(
                    "{endpoint}: warm-up ended after {} s ({} requests left out); the remaining {} s are steady",
                    digits(found.warm_up_s),
                    state.start,
                    digits(found.kept_s)
                )
            };
            quantiles(draft, &kept, "response after the warm-up", &[0.5, 0.95, 0.99], &evidence)
                .title(format!("{title} (p = {})", digits(state.stationarity.p)))
                .detail(format!(
                    "{tests} After the warm-up the mean response is {} (95 % interval {} to {}), the median {}, p95 {}, p99 {}.{}",
                    ms(state.mean),
                    ms(state.mean - state.half_width),
                    ms(state.mean + state.half_width),
                    quantile(&kept, 0.5),
                    quantile(&kept, 0.95),
                    quantile(&kept, 0.99),
                    precision(share, found.kept_s)
                ))
                .done()
        }
        steady::Verdict::Unsteady => draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!(
                "{endpoint} did not settle within {} s: its response still moved after the warm-up was left out",
                digits(found.warm_up_s + found.kept_s)
            ))
            .detail(format!("{tests} Averages over this load are those of a start or of a drift, not of a steady state."))
            .advice("Run it longer (`duration_s`). If it goes on moving, a queue, a cache, a scaler or heat is at work.", "")
            .done(),
        steady::Verdict::NeverSettled => draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!(
                "{endpoint} never settled: the warm-up takes more than half of the {} s",
                digits(found.warm_up_s + found.kept_s)
            ))
            .detail(
                "MSER-5 would cut off more than half of the load, so there is no steady part to speak of. Averages over it are \
                 those of the start."
                    .to_owned(),
            )
            .advice("Run it at least twice as long (`duration_s`).", "")
            .done(),
    }
}

/// What the judgement rests on.
fn figures(endpoint: &str, found: &Settling, evidence: &Source) -> Draft {
    let state = &found.state;
    Draft::new(NAME, "steady-state", endpoint)
        .advisory()
        .figure("warm-up cut off", found.warm_up_s, "s", state.start, evidence)
        .figure(
            "answers of the warm-up",
            state.start as f64,
            "requests",
            state.start,
            evidence,
        )
        .measured(
            "mean response after the warm-up",
            state.mean,
            "ms",
            Some((state.mean - state.half_width, state.mean + state.half_width)),
            found.kept,
            evidence,
        )
        .figure(
            "p of a steady rest (Heidelberger and Welch)",
            state.stationarity.p,
            "",
            found.kept,
            evidence,
        )
        .figure(
            "drift over the rest",
            100.0 * state.drift,
            "%",
            found.kept,
            evidence,
        )
}

/// Whether the mean of the steady part is known well enough, and how long it takes otherwise.
fn precision(share: f64, kept_s: f64) -> String {
    if share <= HALF_WIDTH_MAX {
        return String::new();
    }
    format!(
        " That mean is known to {} % only; for {} % it takes about {} s of steady load.",
        digits(100.0 * share),
        100.0 * HALF_WIDTH_MAX,
        digits(kept_s * (share / HALF_WIDTH_MAX).powi(2))
    )
}

fn too_short(phase: &PhaseResult, kept: usize, kept_s: f64) -> Finding {
    let endpoint = &phase.phase.name;
    Draft::new(NAME, "steady-state", endpoint)
        .advisory()
        .verdict(Verdict::Inconclusive, Severity::Low)
        .title(format!(
            "The load on {endpoint} was too short to say whether it was steady: it takes {VALUES_MIN} good answers and {KEPT_S_MIN} s \
             after the warm-up"
        ))
        .detail(format!("{kept} good answers over {} s were left to judge.", digits(kept_s)))
        .advice(&format!("Give it more time: `duration_s = {JUDGED_FROM_S}` or more."), "")
        .done()
}
