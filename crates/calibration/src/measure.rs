//! What a case found, and whether it is good enough.

use prony_stats::binomial;

use crate::effort::Effort;

/// A question of the calibration: one criterion, held against many runs.
pub(crate) struct Case {
    /// The experiment or estimator that is tried, kebab-case: `percentiles`.
    pub question: &'static str,
    /// What must hold, in a sentence with its number.
    pub criterion: &'static str,
    /// Where it differs from what the method asks, and why; what a reader must know beside it.
    pub remark: &'static str,
    /// Makes the runs. The same effort gives the same figures.
    pub run: fn(Effort) -> Vec<Measure>,
}

/// One figure with its bound.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measure {
    /// What was counted or measured: `M/M/1 at 80 %, p95: intervals that hold the truth`.
    pub what: String,
    /// The figure; a rate is between 0 and 1.
    pub value: f64,
    /// Of a rate: how many runs it was counted in.
    pub of: Option<u64>,
    /// What it must keep to.
    pub bound: Bound,
    /// What it says of the conclusions.
    pub kind: Kind,
}

/// What a figure says of the conclusions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// How often a fault is seen where there is none.
    FalseAlarm,
    /// How often something passes that should not.
    FalsePass,
    /// How often what is there is found, and named rightly.
    Power,
    /// How often an interval holds the truth.
    Coverage,
    /// How near a figure comes to the truth, or how often it comes near.
    Accuracy,
    /// How often the experiment keeps to its own bounds: its time, its books.
    Promise,
    /// What must go wrong without the procedure, to show that the case can tell.
    Control,
}

impl Kind {
    /// As in the table.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::FalseAlarm => "false alarm",
            Self::FalsePass => "false pass",
            Self::Power => "power",
            Self::Coverage => "coverage",
            Self::Accuracy => "accuracy",
            Self::Promise => "promise",
            Self::Control => "control",
        }
    }
}

/// What a figure must keep to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    Between(f64, f64),
}

/// Confidence with which chance must be ruled out before a rate counted in few runs is called a miss.
const CONFIDENCE: f64 = 0.99;

impl Measure {
    /// So many of the runs: a rate that must stay low counts false alarms, one that must be high what is found, unless
    /// [`Measure::counts`] says otherwise.
    pub(crate) fn rate(what: impl Into<String>, runs: &[bool], bound: Bound) -> Self {
        let hits = runs.iter().filter(|hit| **hit).count();
        Self {
            what: what.into(),
            value: hits as f64 / runs.len().max(1) as f64,
            of: Some(runs.len() as u64),
            kind: if matches!(bound, Bound::AtMost(_)) {
                Kind::FalseAlarm
            } else {
                Kind::Power
            },
            bound,
        }
    }

    /// A figure that is no rate.
    pub(crate) fn value(what: impl Into<String>, value: f64, bound: Bound) -> Self {
        Self {
            what: what.into(),
            value,
            of: None,
            bound,
            kind: Kind::Accuracy,
        }
    }

    /// The same of another kind.
    pub(crate) fn counts(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Whether it keeps to its bound. Of a rate in fewer runs than planned, whether chance explains what is missing.
    pub(crate) fn holds(&self, effort: Effort) -> bool {
        let (lo, hi) = match self.of {
            Some(of) if !effort.is_full() => {
                let hits = (self.value * of as f64).round() as u64;
                binomial::clopper_pearson(hits, of, CONFIDENCE)
            }
            _ => (self.value, self.value),
        };
        match self.bound {
            Bound::AtMost(most) => lo <= most,
            Bound::AtLeast(least) => hi >= least,
            Bound::Between(least, most) => hi >= least && lo <= most,
        }
    }

    /// The figure as text, a rate in per cent.
    pub(crate) fn shown(&self) -> String {
        match self.of {
            Some(of) => format!("{:.1} % of {of}", 100.0 * self.value),
            None => number(self.value),
        }
    }

    /// The bound as text.
    pub(crate) fn limit(&self) -> String {
        let text = |value: f64| match self.of {
            Some(_) => format!("{} %", number(100.0 * value)),
            None => number(value),
        };
        match self.bound {
            Bound::AtMost(most) => format!("at most {}", text(most)),
            Bound::AtLeast(least) => format!("at least {}", text(least)),
            Bound::Between(least, most) => format!("{} to {}", text(least), text(most)),
        }
    }

    /// One line for the terminal.
    pub(crate) fn line(&self, effort: Effort) -> String {
        let word = if self.holds(effort) { "holds" } else { "MISSED" };
        format!("{word}  {}: {} ({})", self.what, self.shown(), self.limit())
    }
}

/// Up to four significant digits, without trailing zeros.
fn number(value: f64) -> String {
    let digits = (3 - value.abs().max(1e-9).log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Bound, Measure, number};
    use crate::effort::Effort;

    #[test]
    fn a_rate_in_few_runs_fails_only_beyond_chance() {
        let runs: Vec<bool> = (0..20).map(|i| i < 2).collect();
        let measure = Measure::rate("x", &runs, Bound::AtMost(0.05));
        assert!(measure.holds(Effort::SHORT));
        assert!(!measure.holds(Effort::FULL));
        let many = Measure::rate("x", &[true; 20], Bound::AtMost(0.05));
        assert!(!many.holds(Effort::SHORT));
        assert_eq!(many.line(Effort::FULL), "MISSED  x: 100.0 % of 20 (at most 5 %)");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(0.05), "0.05");
        assert_eq!(number(12.0), "12");
        assert_eq!(number(1234.56), "1235");
        assert_eq!(number(-0.25), "-0.25");
        assert_eq!(number(0.0), "0");
    }
}
