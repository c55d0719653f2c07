//! The grammar of conditions: `METRIC OP NUMBER` on a phase, and conditions on findings. It decides nothing.

use std::fmt;

use prony_model::Verdict;

use crate::metric::{METRIC_FORMS, Metric};

/// A parsed condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// A metric of a phase against a number.
    Metric {
        /// What is measured.
        metric: Metric,
        /// How it is compared.
        op: Op,
        /// With what.
        limit: f64,
    },
    /// A figure that an experiment found out, against a number.
    Figure {
        /// Which.
        figure: FoundFigure,
        /// How it is compared.
        op: Op,
        /// With what.
        limit: f64,
    },
    /// The verdict of findings.
    Finding {
        /// The id of the findings.
        id: String,
        /// What it must be.
        wanted: Wanted,
    },
}

/// What the verdict of findings must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// That one, of the worst of them.
    Exactly(Verdict),
    /// No worse than that, in the order PASS, WARN, FAIL.
    AtWorst(Verdict),
}

/// A figure that an experiment found out and that a gate may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundFigure {
    /// Its name in a gate.
    pub name: &'static str,
    /// The id of the finding that carries it.
    pub finding: &'static str,
    /// Its label there.
    pub label: &'static str,
    /// Whether the value itself was confirmed: without an interval it is the lower end, and nothing is known of the upper.
    pub is_confirmed: bool,
}

/// The figures of findings that a gate may name.
pub static FOUND_FIGURES: &[FoundFigure] = &[FoundFigure {
    name: "capacity_rps",
    finding: "capacity",
    label: "sustained rate",
    is_confirmed: true,
}];

/// Short names of conditions on findings: `leak = "none"` says that the finding `memory-growth` must pass.
const SHORT_NAMES: [(&str, &str, &str); 1] = [("leak", "memory-growth", "none")];

/// The forms of conditions that are no metrics, for help and errors.
pub const FINDING_FORMS: &[&str] = &[
    "capacity_rps >= 40",
    "leak = \"none\"",
    "finding.ID = \"pass\"",
    "finding.ID <= \"warn\"",
];

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

/// Why a condition is none.
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
    /// A condition on findings compares with no verdict.
    #[error("a finding is compared as in `{name} = \"{example}\"` or `{name} <= \"warn\"`")]
    Word {
        /// What is compared.
        name: String,
        /// What it may be compared with.
        example: String,
    },
}

impl CheckError {
    /// The forms of metrics, when it is the metric that is wrong.
    pub fn known(&self) -> Vec<&'static str> {
        if matches!(self, Self::Metric { .. }) {
            let found = FOUND_FIGURES.iter().map(|f| f.name);
            METRIC_FORMS.iter().copied().chain(found).collect()
        } else {
            Vec::new()
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
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::AtMost => "at most",
            Self::Below => "below",
            Self::AtLeast => "at least",
            Self::Above => "above",
            Self::Equal => "exactly",
            Self::NotEqual => "other than",
        }
    }

    /// Whether it sets an upper limit.
    pub(super) fn is_ceiling(self) -> bool {
        matches!(self, Self::AtMost | Self::Below)
    }

    pub(super) fn holds(self, value: f64, limit: f64) -> bool {
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

    /// What the interval says: PASS and FAIL only when its ends agree.
    pub(super) fn decide(self, limit: f64, (low, high): (f64, f64)) -> Verdict {
        let (at_low, at_high) = (self.holds(low, limit), self.holds(high, limit));
        match (at_low, at_high) {
            (true, true) if self != Self::NotEqual || !(low <= limit && limit <= high) => Verdict::Pass,
            (false, false) if self != Self::Equal || !(low..=high).contains(&limit) || low >= high => {
                Verdict::Fail
            }
            _ => Verdict::Inconclusive,
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
    /// Parses a condition; spaces around the comparison, and quotes around a word, may be left out.
    pub fn parse(text: &str) -> Result<Self, CheckError> {
        let is_op = |c: char| "<>=!".contains(c);
        let start = text.find(is_op).ok_or(CheckError::Form)?;
        let end = start + text[start..].find(|c| !is_op(c)).ok_or(CheckError::Form)?;
        let (name, op, limit) = (text[..start].trim(), &text[start..end], text[end..].trim());
        if name.is_empty() || limit.is_empty() {
            return Err(CheckError::Form);
        }
        if let Some((id, passes)) = finding_named(name) {
            return verdict_wanted(name, id, passes, op, limit);
        }
        let op_known = |op: &str| {
            let known = Op::ALL.iter().find(|(known, _)| *known == op);
            known
                .map(|(_, op)| *op)
                .ok_or_else(|| CheckError::Op { op: op.to_owned() })
        };
        let number = |limit: &str| match limit.parse::<f64>() {
            Ok(limit) if limit.is_finite() => Ok(limit),
            _ => Err(CheckError::Limit {
                limit: limit.to_owned(),
            }),
        };
        if let Some(figure) = FOUND_FIGURES.iter().copied().find(|f| f.name == name) {
            let op = op_known(op)?;
            let limit = number(limit)?;
            return Ok(Self::Figure { figure, op, limit });
        }
        let metric = Metric::parse(name).ok_or_else(|| CheckError::Metric {
            name: name.to_owned(),
        })?;
        let op = op_known(op)?;
        let limit = number(limit)?;
        Ok(Self::Metric { metric, op, limit })
    }

    /// Whether it is about a phase, and not about findings.
    pub fn is_on_phase(&self) -> bool {
        matches!(self, Self::Metric { .. })
    }
}

/// The id of the findings that a condition names, and the word that stands for a PASS.
fn finding_named(name: &str) -> Option<(&str, &'static str)> {
    if let Some(id) = name.strip_prefix("finding.") {
        return Some((id.trim(), "pass"));
    }
    SHORT_NAMES
        .iter()
        .find(|(short, ..)| *short == name)
        .map(|(_, id, passes)| (*id, *passes))
}

fn verdict_wanted(name: &str, id: &str, passes: &str, op: &str, word: &str) -> Result<Check, CheckError> {
    let wrong = || CheckError::Word {
        name: name.to_owned(),
        example: passes.to_owned(),
    };
    let word = word.trim_matches(['"', '\'']).trim().to_ascii_lowercase();
    let verdict = match word.as_str() {
        "pass" => Verdict::Pass,
        "warn" => Verdict::Warn,
        "fail" => Verdict::Fail,
        word if word == passes => Verdict::Pass,
        _ => return Err(wrong()),
    };
    let wanted = match op {
        "=" | "==" => Wanted::Exactly(verdict),
        "<=" => Wanted::AtWorst(verdict),
        _ => return Err(wrong()),
    };
    if id.is_empty() {
        return Err(CheckError::Form);
    }
    Ok(Check::Finding {
        id: id.to_owned(),
        wanted,
    })
}
