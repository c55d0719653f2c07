//! A finding while it is written: what every conclusion must state, in the order in which it is thought of.

use prony_model::{Evidence, Figure, Finding, PhaseResult, Recommendation, Severity, Source, Table, Verdict};

use crate::answer::bounded;

/// A finding in the making. Starts as a required PASS of no severity.
#[derive(Clone, Debug)]
pub(crate) struct Draft(Finding);

impl Draft {
    /// A finding of that kind about that endpoint (empty: the target as a whole).
    pub(crate) fn new(experiment: &str, id: &str, endpoint: &str) -> Self {
        Self(Finding {
            id: id.to_owned(),
            experiment: experiment.to_owned(),
            endpoint: endpoint.to_owned(),
            verdict: Verdict::Pass,
            severity: Severity::Info,
            required: true,
            title: String::new(),
            detail: String::new(),
            evidence: Vec::new(),
            recommendation: None,
        })
    }

    /// The verdict and how much it matters.
    pub(crate) fn verdict(mut self, verdict: Verdict, severity: Severity) -> Self {
        self.0.verdict = verdict;
        self.0.severity = severity;
        self
    }

    /// It caps at WARN.
    pub(crate) fn advisory(mut self) -> Self {
        self.0.required = false;
        self
    }

    /// One plain sentence.
    pub(crate) fn title(mut self, title: impl Into<String>) -> Self {
        self.0.title = title.into();
        self
    }

    /// A few more.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// A number without an interval.
    pub(crate) fn figure(mut self, label: &str, value: f64, unit: &str, n: usize, source: &Source) -> Self {
        self.0.evidence.push(Evidence::Figure(Figure {
            label: label.to_owned(),
            value,
            unit: unit.to_owned(),
            ci: None,
            n: n as u64,
            source: source.clone(),
        }));
        self
    }

    /// A number with its 95 % interval.
    pub(crate) fn measured(
        mut self,
        label: &str,
        value: f64,
        unit: &str,
        ci: Option<(f64, f64)>,
        n: usize,
        source: &Source,
    ) -> Self {
        self.0.evidence.push(Evidence::Figure(Figure {
            label: label.to_owned(),
            value,
            unit: unit.to_owned(),
            ci,
            n: n as u64,
            source: source.clone(),
        }));
        self
    }

    /// A few rows.
    pub(crate) fn table(
        mut self,
        label: &str,
        columns: &[&str],
        rows: Vec<Vec<String>>,
        source: &Source,
    ) -> Self {
        self.0.evidence.push(Evidence::Table(Table {
            label: label.to_owned(),
            columns: columns.iter().map(|&c| c.to_owned()).collect(),
            rows,
            source: source.clone(),
        }));
        self
    }

    /// Something the target said; it is bounded here.
    pub(crate) fn quote(mut self, label: &str, text: &str, source: &Source) -> Self {
        self.0.evidence.push(Evidence::Quote {
            label: label.to_owned(),
            text: bounded(text),
            source: source.clone(),
        });
        self
    }

    /// What to do, and how it follows.
    pub(crate) fn advice(mut self, advice: &str, because: &str) -> Self {
        self.0.recommendation = Some(Recommendation {
            advice: advice.to_owned(),
            because: because.to_owned(),
        });
        self
    }

    /// The finding.
    pub(crate) fn done(self) -> Finding {
        self.0
    }
}

/// A scenario of a phase as a source of evidence.
pub(crate) fn source(phase: &PhaseResult, scenario: &str) -> Source {
    Source {
        phase: Some(phase.index),
        scenario: scenario.to_owned(),
    }
}
