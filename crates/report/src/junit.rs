//! The JUnit format: a test case for each finding and each gate, for what shows tests of a pipeline. The layout is that of
//! <https://github.com/testmoapp/junitxml>; names are stable between runs, numbers stand in the messages.

use std::fmt::Write as _;

use prony_model::{Evidence, GateResult, Verdict};

use crate::report::FindingEntry;
use crate::{FormatDef, Report, TerminalStyle, escape, number};

/// Registry entry.
pub(crate) static DEF: FormatDef = FormatDef {
    name: "junit",
    file: "junit.xml",
    description: "findings and gates as test cases, for what shows tests of a pipeline",
    applies: |_| true,
    render: |report, _: TerminalStyle| Ok(page(report)),
};

/// Longest name and longest text.
const NAME_CHARS_MAX: usize = 240;
const TEXT_CHARS_MAX: usize = 2000;

/// A test case, ready to be written.
struct Case {
    name: String,
    verdict: Verdict,
    /// What it says in one line.
    message: String,
    /// More, line by line.
    lines: Vec<String>,
}

fn page(report: &Report) -> String {
    let mut suites: Vec<(String, Vec<Case>)> = report
        .sections
        .iter()
        .map(|section| {
            let own = |e: &&FindingEntry| section.findings.contains(&e.anchor);
            let cases = report.findings.iter().filter(own).map(of_finding).collect();
            (section.experiment.clone(), cases)
        })
        .collect();
    suites.push(("gates".to_owned(), report.gates.iter().map(of_gate).collect()));
    suites.retain(|(_, cases)| !cases.is_empty());
    let all = || suites.iter().flat_map(|(_, cases)| cases);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{}\" {} time=\"{:.3}\">\n",
        escape::html(&report.title, NAME_CHARS_MAX),
        counts(all()),
        report.run.duration.as_secs_f64()
    );
    for (name, cases) in &suites {
        let name = escape::html(name, NAME_CHARS_MAX);
        let _ = writeln!(out, "  <testsuite name=\"{name}\" {}>", counts(cases));
        for case in cases {
            write(&mut out, &name, case);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn of_finding(entry: &FindingEntry) -> Case {
    let finding = &entry.finding;
    let mut lines = vec![finding.detail.clone()];
    lines.extend(finding.evidence.iter().filter_map(|evidence| match evidence {
        Evidence::Figure(figure) => Some(format!("{}: {}", figure.label, number::figure(figure))),
        Evidence::Quote { label, text, .. } => Some(format!("{label}: {text}")),
        Evidence::Table(_) => None,
    }));
    if let Some(recommendation) = &finding.recommendation {
        lines.push(format!("Recommendation: {}", recommendation.advice));
    }
    Case {
        name: format!("{} {}", finding.id, finding.endpoint),
        verdict: entry.counted,
        message: finding.title.clone(),
        lines,
    }
}

fn of_gate(result: &GateResult) -> Case {
    let gate = &result.gate;
    let scenario = gate.scenario.as_deref().unwrap_or_default();
    Case {
        name: format!("{} {} {scenario}", gate.check, gate.phase),
        verdict: result.verdict,
        message: result.says.clone(),
        lines: result.measured.iter().map(number::figure).collect(),
    }
}

/// A FAIL is a failure, an INVALID an error, an INCONCLUSIVE skipped; a WARN passes and says why.
fn counts<'a>(cases: impl IntoIterator<Item = &'a Case>) -> String {
    let (mut all, mut failures, mut errors, mut skipped) = (0, 0, 0, 0);
    for case in cases {
        all += 1;
        match case.verdict {
            Verdict::Fail => failures += 1,
            Verdict::Invalid => errors += 1,
            Verdict::Inconclusive => skipped += 1,
            Verdict::Pass | Verdict::Warn => {}
        }
    }
    format!("tests=\"{all}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")
}

fn write(out: &mut String, suite: &str, case: &Case) {
    let name = escape::html(&case.name, NAME_CHARS_MAX);
    let message = escape::html(&case.message, NAME_CHARS_MAX);
    let _ = write!(out, "    <testcase classname=\"{suite}\" name=\"{name}\"");
    let tag = match case.verdict {
        Verdict::Pass => {
            out.push_str("/>\n");
            return;
        }
        Verdict::Warn => "system-out",
        Verdict::Inconclusive => "skipped",
        Verdict::Fail => "failure",
        Verdict::Invalid => "error",
    };
    let lines: Vec<String> = case
        .lines
        .iter()
        .filter(|line| !line.is_empty())
        .map(|line| escape::html(line, TEXT_CHARS_MAX))
        .collect();
    let text = lines.join("\n");
    let _ = if tag == "system-out" {
        writeln!(out, ">\n      <{tag}>{message}\n{text}</{tag}>\n    </testcase>")
    } else {
        writeln!(
            out,
            ">\n      <{tag} message=\"{message}\">{text}</{tag}>\n    </testcase>"
        )
    };
}
