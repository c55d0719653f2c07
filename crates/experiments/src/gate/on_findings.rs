//! Gates on what experiments concluded: the verdict of a finding, or a figure that it carries.

use prony_model::{Evidence, Figure, Finding, Gate, GateResult, Verdict};

use super::condition::{FoundFigure, Op, Wanted};
use super::{measured_words, number};

/// Holds the verdict of findings against what it must be.
pub(super) fn verdict(gate: &Gate, id: &str, wanted: Wanted, findings: &[Finding]) -> GateResult {
    let named = named(gate, id, findings);
    let Some(worst) = named.iter().max_by_key(|f| f.verdict) else {
        return no_finding(gate, id);
    };
    let holds = match wanted {
        Wanted::Exactly(verdict) => worst.verdict == verdict,
        Wanted::AtWorst(verdict) => worst.verdict <= verdict,
    };
    let verdict = match worst.verdict {
        open @ (Verdict::Invalid | Verdict::Inconclusive) => open,
        _ if holds => Verdict::Pass,
        _ => Verdict::Fail,
    };
    let others = match named.len() {
        1 => String::new(),
        n => format!(" (the worst of {n})"),
    };
    let figure = worst.evidence.iter().find_map(|e| match e {
        Evidence::Figure(figure) => Some(figure.clone()),
        Evidence::Table(_) | Evidence::Quote { .. } => None,
    });
    GateResult {
        gate: gate.clone(),
        verdict,
        measured: figure,
        says: format!("{id} is {}{others}: {}.", worst.verdict, title(worst)),
    }
}

/// Holds a figure of a finding against a number.
pub(super) fn figure(
    gate: &Gate,
    named_figure: FoundFigure,
    op: Op,
    limit: f64,
    findings: &[Finding],
) -> GateResult {
    let named = named(gate, named_figure.finding, findings);
    let result = |verdict, measured, says| GateResult {
        gate: gate.clone(),
        verdict,
        measured,
        says,
    };
    let found: Vec<(&Finding, &Figure)> = named
        .iter()
        .filter_map(|f| labelled(f, named_figure.label).map(|figure| (*f, figure)))
        .collect();
    if let Some(invalid) = named.iter().find(|f| f.verdict == Verdict::Invalid) {
        return result(
            Verdict::Invalid,
            None,
            format!("Not to be trusted: {}.", title(invalid)),
        );
    }
    // Of several endpoints the one that serves the condition least decides.
    let decided = found.into_iter().map(|(finding, figure)| {
        let from_value = named_figure.is_confirmed.then_some((figure.value, f64::INFINITY));
        let verdict = match figure.ci.or(from_value) {
            Some(ci) if finding.verdict != Verdict::Inconclusive => op.decide(limit, ci),
            _ => Verdict::Inconclusive,
        };
        (verdict, finding, figure)
    });
    let Some((verdict, finding, measured)) = decided.max_by_key(|(verdict, ..)| *verdict) else {
        return match named.first() {
            None => no_finding(gate, named_figure.finding),
            Some(open) => result(Verdict::Inconclusive, None, format!("No data: {}.", title(open))),
        };
    };
    let value = measured_words(measured.value, &measured.unit, measured.ci, measured.n);
    let limit = format!("{} {}", op.words(), number(limit));
    let place = if finding.endpoint.is_empty() {
        "the target"
    } else {
        &finding.endpoint
    };
    let says = match verdict {
        Verdict::Pass => format!("{place}: {} {value}, {limit} as required.", measured.label),
        Verdict::Fail => format!("{place}: {} {value}, but {limit} was required.", measured.label),
        _ => format!(
            "{place}: {} {value}; that does not decide whether it is {limit}.",
            measured.label
        ),
    };
    result(verdict, Some(measured.clone()), says)
}

fn named<'a>(gate: &Gate, id: &str, findings: &'a [Finding]) -> Vec<&'a Finding> {
    let about = |f: &&Finding| {
        gate.scenario
            .as_ref()
            .is_none_or(|endpoint| *endpoint == f.endpoint)
    };
    findings.iter().filter(|f| f.id == id).filter(about).collect()
}

fn labelled<'a>(finding: &'a Finding, label: &str) -> Option<&'a Figure> {
    finding.evidence.iter().find_map(|e| match e {
        Evidence::Figure(figure) if figure.label == label => Some(figure),
        _ => None,
    })
}

fn no_finding(gate: &Gate, id: &str) -> GateResult {
    GateResult {
        gate: gate.clone(),
        verdict: Verdict::Inconclusive,
        measured: None,
        says: format!("No data: no experiment of this run concluded anything about {id}."),
    }
}

fn title(finding: &Finding) -> &str {
    finding.title.trim_end_matches('.')
}
