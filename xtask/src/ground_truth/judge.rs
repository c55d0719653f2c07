//! Reports against the truth: which finding proves a defect, and which accuses a target that has none.

use anyhow::{Context, Result};
use serde_json::Value;

use super::book::{Defect, Proof};

/// Verdicts that accuse.
const ACCUSING: [&str; 2] = ["fail", "warn"];

/// One report of a check.
pub(crate) struct Report {
    verdict: String,
    findings: Vec<Value>,
}

impl Report {
    /// Reads the JSON form of a report.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let report: Value = serde_json::from_str(text)?;
        let verdict = report["verdict"].as_str().context("a report has a verdict")?;
        let findings = report["findings"].as_array().context("a report has findings")?;
        Ok(Self {
            verdict: verdict.to_owned(),
            findings: findings.iter().map(|entry| entry["finding"].clone()).collect(),
        })
    }

    /// The verdict of the whole.
    pub(crate) fn verdict(&self) -> &str {
        &self.verdict
    }
}

/// The findings of all checks of one target.
#[derive(Default)]
pub(crate) struct Findings(Vec<Value>);

impl Findings {
    /// Adds those of a report.
    pub(crate) fn add(&mut self, report: Report) {
        self.0.extend(report.findings);
    }

    /// The title of a finding that proves the defect, or what came nearest.
    pub(crate) fn proof(&self, defect: &Defect) -> Result<String, String> {
        let proved = defect
            .proof
            .iter()
            .find_map(|proof| self.0.iter().find(|finding| proof.fits(finding)));
        if let Some(finding) = proved {
            return Ok(text(finding, "title").to_owned());
        }
        let near = defect.proof.iter().find_map(|proof| {
            self.0.iter().find(|finding| {
                text(finding, "id") == proof.finding && text(finding, "endpoint").contains(&proof.endpoint)
            })
        });
        Err(near.map_or_else(
            || format!("no finding `{}`", defect.proof[0].finding),
            |finding| {
                format!(
                    "{}: {}",
                    text(finding, "verdict").to_uppercase(),
                    text(finding, "title")
                )
            },
        ))
    }

    /// What a target that has none of the defects is accused of: every FAIL and WARN, and every finding that would have
    /// proved one of them.
    pub(crate) fn accusations(&self, defects: &[&Defect]) -> Vec<String> {
        let proves = |finding: &Value| defects.iter().any(|d| d.proof.iter().any(|p| p.fits(finding)));
        self.0
            .iter()
            .filter(|finding| ACCUSING.contains(&text(finding, "verdict")) || proves(finding))
            .map(|finding| {
                format!(
                    "{}: {}",
                    text(finding, "verdict").to_uppercase(),
                    text(finding, "title")
                )
            })
            .collect()
    }
}

impl Proof {
    fn fits(&self, finding: &Value) -> bool {
        let words = format!("{} {}", text(finding, "title"), text(finding, "detail"));
        text(finding, "id") == self.finding
            && text(finding, "experiment") == self.experiment
            && self
                .verdicts
                .iter()
                .any(|verdict| verdict == text(finding, "verdict"))
            && text(finding, "endpoint").contains(&self.endpoint)
            && self.says.iter().all(|word| words.contains(word))
            && self.figures.iter().all(|figure| {
                labelled(finding, &figure.label).is_some_and(|v| (figure.least..=figure.most).contains(&v))
            })
    }
}

fn text<'a>(finding: &'a Value, key: &str) -> &'a str {
    finding[key].as_str().unwrap_or_default()
}

fn labelled(finding: &Value, label: &str) -> Option<f64> {
    let evidence = finding["evidence"].as_array()?;
    let figure = evidence
        .iter()
        .map(|entry| &entry["figure"])
        .find(|figure| figure["label"] == label)?;
    figure["value"].as_f64()
}

#[cfg(test)]
mod tests {
    use super::{Findings, Report};
    use crate::ground_truth::book::{Defect, Figure, Proof};

    fn found(verdict: &str) -> Findings {
        let report = serde_json::json!({
            "verdict": verdict,
            "findings": [{"finding": {
                "id": "slow", "experiment": "ladder", "endpoint": "POST /a", "verdict": verdict, "title": "It is slow",
                "detail": "by far", "evidence": [{"figure": {"label": "ratio", "value": 3.0}}],
            }}],
        });
        let mut found = Findings::default();
        found.add(Report::parse(&report.to_string()).unwrap());
        found
    }

    fn defect(verdict: &str, most: f64) -> Defect {
        Defect {
            id: "X1".into(),
            preset: "x".into(),
            truth: "slow".into(),
            proof: vec![Proof {
                finding: "slow".into(),
                experiment: "ladder".into(),
                verdicts: vec![verdict.into()],
                endpoint: "/a".into(),
                says: vec!["by far".into()],
                figures: vec![Figure {
                    label: "ratio".into(),
                    least: 2.0,
                    most,
                }],
            }],
            set: Vec::new(),
            checks: Vec::new(),
        }
    }

    #[test]
    fn a_finding_proves_only_what_it_says() {
        assert_eq!(found("fail").proof(&defect("fail", 4.0)).unwrap(), "It is slow");
        assert!(
            found("pass")
                .proof(&defect("fail", 4.0))
                .unwrap_err()
                .contains("PASS")
        );
        assert!(found("fail").proof(&defect("fail", 2.5)).is_err());
    }

    #[test]
    fn a_clean_target_is_accused_by_a_verdict_or_by_the_proof_itself() {
        let (named, other) = (defect("pass", 4.0), defect("pass", 2.5));
        assert_eq!(found("warn").accusations(&[&other]).len(), 1);
        assert_eq!(found("pass").accusations(&[&named]).len(), 1);
        assert!(found("pass").accusations(&[&other]).is_empty());
    }
}
