//! Every test of the documents that the suites send again is a line of docs/suites/matrix.toml, and what the line names is in its suite.
//! It knows which lines there must be; it sends nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use prony_experiments::Check;
use prony_model::{Claim, Generate, Suite};
use serde::Deserialize;

use super::suites;
use crate::config::read;

/// The tests and groups of tests of the five documents. The fourth document's downloads are two lines, because one server with 32 calls
/// and four servers with eight are two tests.
const LINES: [&str; 20] = [
    "enso bursts",
    "enso loops",
    "enso slides",
    "enso tiles",
    "enso edge cases",
    "enso system",
    "runpod rounds",
    "runpod round 2",
    "semantic cold and sequential",
    "semantic health",
    "semantic ramp",
    "semantic many agents",
    "semantic recovery",
    "semantic soak",
    "vision modes",
    "vision over gRPC",
    "vision leak and cleanup",
    "media downloads",
    "media downloads over four processes",
    "media benchmark",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Matrix {
    line: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    says: String,
    suite: String,
    #[serde(default)]
    scenarios: Vec<String>,
    #[serde(default)]
    experiments: Vec<String>,
    #[serde(default)]
    claims: Vec<String>,
    #[serde(default)]
    report: Vec<String>,
    /// The document's own load: phase to shape in words.
    phases: BTreeMap<String, String>,
    /// Load that the suite adds.
    #[serde(default)]
    beside: BTreeMap<String, String>,
}

fn matrix() -> Vec<Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/suites/matrix.toml");
    let text = std::fs::read_to_string(path).unwrap();
    toml::from_str::<Matrix>(&text).unwrap().line
}

fn suite(name: &str) -> Suite {
    let file = read(&suites().join(name), &[]);
    file.unwrap_or_else(|e| panic!("{}", e.render(false))).suite
}

#[test]
fn every_test_of_the_documents_has_its_line() {
    let lines = matrix();
    let ids: Vec<&str> = lines.iter().map(|line| line.id.as_str()).collect();
    assert_eq!(ids, LINES);
    for line in &lines {
        assert!(!line.says.is_empty(), "{}", line.id);
        let answered = line.phases.len() + line.report.len();
        assert!(answered > 0, "{}: nothing sends it and nothing shows it", line.id);
    }
}

#[test]
fn what_a_line_names_is_in_its_suite() {
    let sections = prony_report::json_schema();
    for line in matrix() {
        let (id, suite) = (&line.id, suite(&line.suite));
        for (phase, shape) in line.phases.iter().chain(&line.beside) {
            let found = suite.phase.iter().find(|p| p.name == *phase);
            let found = found.unwrap_or_else(|| panic!("{id}: {} has no phase {phase:?}", line.suite));
            assert_eq!(found.shape.label(), *shape, "{id}: {phase}");
        }
        let loaded: BTreeSet<&str> = suite
            .phase
            .iter()
            .filter(|p| line.phases.contains_key(&p.name) || line.beside.contains_key(&p.name))
            .flat_map(|p| p.scenarios.iter().map(String::as_str))
            .collect();
        for scenario in &line.scenarios {
            assert!(
                loaded.contains(scenario.as_str()),
                "{id}: no phase of it sends {scenario:?}"
            );
        }
        for experiment in &line.experiments {
            assert!(
                suite.experiment.contains_key(experiment),
                "{id}: no experiment {experiment}"
            );
        }
        for claim in &line.claims {
            assert!(
                suite.claim.iter().any(|c| c.id == *claim),
                "{id}: no claim {claim}"
            );
        }
        for section in &line.report {
            assert!(
                sections["properties"].get(section).is_some(),
                "{id}: reports have no {section}"
            );
        }
    }
}

/// Whether a claim is about the target's memory, by its own words.
fn is_about_memory(claim: &Claim) -> bool {
    claim.says.to_lowercase().contains("memory")
}

/// The metrics of phases know no memory, so such a claim needs what an experiment concluded, or nothing that could uphold it.
#[test]
fn what_is_said_of_memory_is_never_upheld_by_requests_alone() {
    let mut seen = 0;
    let names: BTreeSet<String> = matrix().into_iter().map(|line| line.suite).collect();
    for name in names {
        for claim in suite(&name).claim.iter().filter(|claim| is_about_memory(claim)) {
            let on_findings = claim
                .holds_if
                .iter()
                .any(|gate| !Check::parse(&gate.check).unwrap().is_on_phase());
            assert!(
                on_findings || claim.holds_if.is_empty(),
                "{name}: {} rests on requests alone",
                claim.id
            );
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen} claims about memory");
}

#[test]
fn the_matrix_of_variants_and_classes_is_whole() {
    let suite = suite("vision.toml");
    let feed = &suite.feed["variant"];
    let Some(Generate::Choice { of }) = &feed.generate else {
        panic!("{feed:?}");
    };
    let places: BTreeSet<&String> = of.iter().collect();
    let classes = suite.scenario.iter().find(|s| s.name == "image classes").unwrap();
    // The models, the load and the upload come before the classes.
    assert_eq!((places.len(), classes.step.len() - 3), (16, 14));
    assert!(classes.step[0].http.path.ends_with("offset={{variant}}"));
}
