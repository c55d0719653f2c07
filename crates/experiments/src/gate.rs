//! Gates: conditions on a phase or on a finding, decided on the interval and not on the point.
//!
//! PASS when the pessimistic end of the interval meets the limit, FAIL when the optimistic end misses it, else
//! INCONCLUSIVE. No data is INCONCLUSIVE and never a pass; an invalid phase is INVALID. A time is one of good answers; what
//! time-outs say of it over all requests is held as well. Over several gates a FAIL must hold after Holm's correction.

mod condition;
mod family;
mod on_findings;
mod over_all;

use prony_model::{Figure, Finding, Gate, GateResult, PhaseResult, Source, Verdict};

pub use condition::{Check, CheckError, FINDING_FORMS, FOUND_FIGURES, FoundFigure, Op, Wanted};

use crate::metric::{CONFIDENCE, Measured, Metric};

/// Holds all gates of a run against what was recorded and concluded.
pub fn judge_gates(gates: &[Gate], phases: &[PhaseResult], findings: &[Finding]) -> Vec<GateResult> {
    let mut results: Vec<GateResult> = gates.iter().map(|g| judge_gate(g, phases, findings)).collect();
    family::correct(&mut results, phases);
    results
}

/// Holds one gate, as if it were the only one. A phase is named as in the suite, or `EXPERIMENT/PHASE`.
pub fn judge_gate(gate: &Gate, phases: &[PhaseResult], findings: &[Finding]) -> GateResult {
    match Check::parse(&gate.check) {
        Ok(Check::Metric { metric, op, limit }) => on_phase(gate, metric, op, limit, phases),
        Ok(Check::Finding { id, wanted }) => on_findings::verdict(gate, &id, wanted, findings),
        Ok(Check::Figure { figure, op, limit }) => on_findings::figure(gate, figure, op, limit, findings),
        Err(error) => GateResult {
            gate: gate.clone(),
            verdict: Verdict::Inconclusive,
            measured: None,
            says: format!("Not decided: {error}."),
        },
    }
}

/// Holds a metric of a phase against a number.
fn on_phase(gate: &Gate, metric: Metric, op: Op, limit: f64, phases: &[PhaseResult]) -> GateResult {
    let result = |verdict, measured, says: String| GateResult {
        gate: gate.clone(),
        verdict,
        measured,
        says,
    };
    let Some(phase) = find(phases, &gate.phase) else {
        return result(
            Verdict::Inconclusive,
            None,
            format!("No data: phase {} did not run.", gate.phase),
        );
    };
    let scenario = gate.scenario.as_deref();
    let place = place(gate);
    let required = format!("{} {}", op.words(), number(limit));
    let source = Source {
        phase: Some(phase.summary.index),
        scenario: gate.scenario.clone().unwrap_or_default(),
    };
    let invalid = phase.summary.validity.invalid.first();
    let invalid = invalid.map(|issue| format!("The phase is invalid: {}.", issue.says));
    let measured = metric.measure(phase, scenario);
    let good_alone = |m: &Measured| m.interval.map(|interval| op.decide(limit, interval));
    let all = over_all::times(metric, op, phase, scenario)
        .filter(|_| measured.as_ref().and_then(good_alone) != Some(Verdict::Fail));
    let failed = metric.left_out(phase, scenario);
    let others = all.as_ref().is_some_and(|all| failed > all.timed_out() as u64);
    if let Some(missed) = all.as_ref().and_then(|all| all.missed(limit, CONFIDENCE)) {
        let figure = over_all::figure(&missed, source);
        if let Some(says) = invalid {
            return result(Verdict::Invalid, Some(figure), says);
        }
        let says = over_all::says(&missed, &metric.label(), limit, &required, others);
        return result(Verdict::Fail, Some(figure), format!("{place}: {says}"));
    }
    let Some(measured) = measured else {
        return result(
            Verdict::Inconclusive,
            None,
            format!("No data: {} could not be measured.", metric.label()),
        );
    };
    let figure = figure(&measured, source);
    if let Some(says) = invalid {
        return result(Verdict::Invalid, Some(figure), says);
    }
    // Where requests failed it is said of which answers a time is.
    let (good, of_good) = if failed > 0 {
        (" good", " of the good answers")
    } else {
        ("", "")
    };
    let (label, value) = (&measured.label, shown(&measured));
    let Some(interval) = measured.interval else {
        let says = format!(
            "{place}: {label} {value} from {}{good} answers, too few: an interval needs {} independent ones.",
            measured.n, measured.needs_n
        );
        return result(Verdict::Inconclusive, Some(figure), says);
    };
    let value = value + of_good;
    let verdict = op.decide(limit, interval);
    if phase.summary.partial && verdict == Verdict::Pass {
        let says = format!("{place}: {label} {value} so far, but the phase was cut short.");
        return result(Verdict::Inconclusive, Some(figure), says);
    }
    if verdict == Verdict::Pass && metric.did_not_finish(phase, scenario) {
        let says = format!(
            "{place}: {label} {value}, but so many requests failed that the {label} of all of them did not finish."
        );
        return result(Verdict::Inconclusive, Some(figure), says);
    }
    if let Some(all) = all.filter(|all| verdict == Verdict::Pass && !over_all::meets(all, op, limit)) {
        let says = format!(
            "{place}: {label} {value}, but {} of {} ran into a time-out, and over all of them it is not sure that the {label} is \
             {required}.",
            all.timed_out(),
            over_all::requests(all.n(), others)
        );
        return result(Verdict::Inconclusive, Some(figure), says);
    }
    let says = match verdict {
        Verdict::Pass => format!("{place}: {label} {value}, {required} as required."),
        Verdict::Fail => format!("{place}: {label} {value}, but {required} was required."),
        _ => format!("{place}: {label} {value}; the interval does not decide whether it is {required}."),
    };
    result(verdict, Some(figure), says)
}

/// The phase, and the scenario when the gate names one.
fn place(gate: &Gate) -> String {
    match &gate.scenario {
        None => gate.phase.clone(),
        Some(scenario) => format!("{}, {scenario}", gate.phase),
    }
}

/// The phase of a gate.
fn find<'a>(phases: &'a [PhaseResult], name: &str) -> Option<&'a PhaseResult> {
    let by_name = |p: &&PhaseResult| p.phase.experiment == "suite" && p.phase.name == name;
    let by_path = |p: &&PhaseResult| name.split_once('/') == Some((&p.phase.experiment, &p.phase.name));
    phases
        .iter()
        .find(by_name)
        .or_else(|| phases.iter().find(by_path))
}

fn figure(measured: &Measured, source: Source) -> Figure {
    Figure {
        label: measured.label.clone(),
        value: measured.value,
        unit: measured.unit.to_owned(),
        ci: measured.interval.filter(|(low, high)| low < high),
        n: measured.n,
        source,
    }
}

/// Value, unit and interval in words.
fn shown(measured: &Measured) -> String {
    measured_words(measured.value, measured.unit, measured.interval, measured.n)
}

fn measured_words(value: f64, unit: &str, interval: Option<(f64, f64)>, n: u64) -> String {
    let unit = match unit {
        "" | "ratio" | "requests" => String::new(),
        "1/s" => "/s".to_owned(),
        unit => format!(" {unit}"),
    };
    let value = format!("{}{unit}", number(value));
    match interval {
        Some((low, high)) if low < high => {
            format!(
                "{value} (95 % interval {} to {}, n = {n})",
                number(low),
                number(high)
            )
        }
        _ => value,
    }
}

/// Four significant digits; whole numbers whole.
fn number(value: f64) -> String {
    if value.fract().abs() < 1e-9 && value.abs() < 1e15 {
        return format!("{value:.0}");
    }
    let digits = (3.0 - value.abs().log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
pub(crate) mod tests;
