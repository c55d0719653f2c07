//! Gates: conditions on a phase, decided on the interval and not on the point.
//!
//! PASS when the pessimistic end of the interval meets the limit, FAIL when the optimistic end misses it, else
//! INCONCLUSIVE. No data is INCONCLUSIVE and never a pass; an invalid phase is INVALID.

use std::fmt;

use prony_model::{Figure, Gate, GateResult, PhaseResult, Source, Verdict};

use crate::metric::{METRIC_FORMS, Measured, Metric};

/// A parsed `METRIC OP NUMBER`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Check {
    /// What is measured.
    pub metric: Metric,
    /// How it is compared.
    pub op: Op,
    /// With what.
    pub limit: f64,
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `<=`
    AtMost,
    /// `<`
    Below,
    /// `>=`
    AtLeast,
    /// `>`
    Above,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

/// Why a check is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// Not three parts.
    #[error("a check has the form METRIC OP NUMBER, as in `p99_ms <= 500`")]
    Form,
    /// The first part names no metric.
    #[error("`{name}` is no metric")]
    Metric {
        /// What stands there.
        name: String,
    },
    /// The second part is no comparison.
    #[error("`{op}` is no comparison; use <=, <, >=, >, == or !=")]
    Op {
        /// What stands there.
        op: String,
    },
    /// The third part is no number.
    #[error("`{limit}` is no number; write it without a unit, since the metric's name carries the unit")]
    Limit {
        /// What stands there.
        limit: String,
    },
}

impl CheckError {
    /// The forms of metrics, when it is the metric that is wrong.
    pub fn known(&self) -> &'static [&'static str] {
        if matches!(self, Self::Metric { .. }) {
            METRIC_FORMS
        } else {
            &[]
        }
    }
}

impl Op {
    const ALL: [(&'static str, Self); 6] = [
        ("<=", Self::AtMost),
        ("<", Self::Below),
        (">=", Self::AtLeast),
        (">", Self::Above),
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
    ];

    /// As in "at most 50".
    fn words(self) -> &'static str {
        match self {
            Self::AtMost => "at most",
            Self::Below => "below",
            Self::AtLeast => "at least",
            Self::Above => "above",
            Self::Equal => "exactly",
            Self::NotEqual => "other than",
        }
    }

    fn holds(self, value: f64, limit: f64) -> bool {
        let same = (value - limit).abs() <= 1e-9 * limit.abs().max(value.abs());
        match self {
            Self::AtMost => value < limit || same,
            Self::Below => value < limit && !same,
            Self::AtLeast => value > limit || same,
            Self::Above => value > limit && !same,
            Self::Equal => same,
            Self::NotEqual => !same,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL
            .iter()
            .find(|(_, op)| op == self)
            .map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl Check {
    /// Parses `METRIC OP NUMBER`; spaces around the comparison may be left out.
    pub fn parse(text: &str) -> Result<Self, CheckError> {
        let is_op = |c: char| "<>=!".contains(c);
        let start = text.find(is_op).ok_or(CheckError::Form)?;
        let end = start + text[start..].find(|c| !is_op(c)).ok_or(CheckError::Form)?;
        let (name, op, limit) = (text[..start].trim(), &text[start..end], text[end..].trim());
        if name.is_empty() || limit.is_empty() {
            return Err(CheckError::Form);
        }
        let metric = Metric::parse(name).ok_or_else(|| CheckError::Metric {
            name: name.to_owned(),
        })?;
        let op = Op::ALL
            .iter()
            .find(|(known, _)| *known == op)
            .ok_or_else(|| CheckError::Op { op: op.to_owned() })?
            .1;
        match limit.parse::<f64>() {
            Ok(limit) if limit.is_finite() => Ok(Self { metric, op, limit }),
            _ => Err(CheckError::Limit {
                limit: limit.to_owned(),
            }),
        }
    }

    /// What the interval says: PASS and FAIL only when its ends agree.
    fn decide(&self, (low, high): (f64, f64)) -> Verdict {
        let (at_low, at_high) = (self.op.holds(low, self.limit), self.op.holds(high, self.limit));
        match (at_low, at_high) {
            (true, true) if self.op != Op::NotEqual || !(low <= self.limit && self.limit <= high) => {
                Verdict::Pass
            }
            (false, false) if self.op != Op::Equal || !(low..=high).contains(&self.limit) || low >= high => {
                Verdict::Fail
            }
            _ => Verdict::Inconclusive,
        }
    }
}

/// Holds a gate against what was recorded. A phase is named as in the suite, or `EXPERIMENT/PHASE`.
pub fn judge_gate(gate: &Gate, phases: &[PhaseResult]) -> GateResult {
    let result = |verdict, measured, says: String| GateResult {
        gate: gate.clone(),
        verdict,
        measured,
        says,
    };
    let check = match Check::parse(&gate.check) {
        Ok(check) => check,
        Err(error) => return result(Verdict::Inconclusive, None, format!("Not decided: {error}.")),
    };
    let Some(phase) = find(phases, &gate.phase) else {
        return result(
            Verdict::Inconclusive,
            None,
            format!("No data: phase {} did not run.", gate.phase),
        );
    };
    let Some(measured) = check.metric.measure(phase, gate.scenario.as_deref()) else {
        return result(
            Verdict::Inconclusive,
            None,
            format!("No data: {} could not be measured.", check.metric.label()),
        );
    };
    let source = Source {
        phase: Some(phase.summary.index),
        scenario: gate.scenario.clone().unwrap_or_default(),
    };
    let figure = figure(&measured, source);
    if let Some(issue) = phase.summary.validity.invalid.first() {
        return result(
            Verdict::Invalid,
            Some(figure),
            format!("The phase is invalid: {}.", issue.says),
        );
    }
    let place = place(gate);
    let (label, value) = (&measured.label, shown(&measured));
    let limit = format!("{} {}", check.op.words(), number(check.limit));
    let Some(interval) = measured.interval else {
        let says = format!(
            "{place}: {label} {value} from {} answers, too few: an interval needs {} independent ones.",
            measured.n, measured.needs_n
        );
        return result(Verdict::Inconclusive, Some(figure), says);
    };
    let verdict = check.decide(interval);
    if phase.summary.partial && verdict == Verdict::Pass {
        let says = format!("{place}: {label} {value} so far, but the phase was cut short.");
        return result(Verdict::Inconclusive, Some(figure), says);
    }
    let says = match verdict {
        Verdict::Pass => format!("{place}: {label} {value}, {limit} as required."),
        Verdict::Fail => format!("{place}: {label} {value}, but {limit} was required."),
        _ => format!("{place}: {label} {value}; the interval does not decide whether it is {limit}."),
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
    let unit = match measured.unit {
        "ratio" | "requests" => String::new(),
        "1/s" => "/s".to_owned(),
        unit => format!(" {unit}"),
    };
    let value = format!("{}{unit}", number(measured.value));
    match measured.interval {
        Some((low, high)) if low < high => {
            format!(
                "{value} (95 % interval {} to {}, n = {})",
                number(low),
                number(high),
                measured.n
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
