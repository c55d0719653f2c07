//! The JSON format and its published schema agree with each other and with what is rendered.
//!
//! `PRONY_WRITE_REFERENCE=1 cargo test -p prony-report` rewrites the published schema.

mod made;

use std::path::Path;

use made::rich::{events, killed_events, record};
use prony_report::{Report, TerminalStyle, find, json_schema};

fn published() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/report.schema.json")
}

#[test]
fn the_published_schema_is_the_current_one() {
    let mut current = serde_json::to_string_pretty(&json_schema()).unwrap();
    current.push('\n');
    if std::env::var_os("PRONY_WRITE_REFERENCE").is_some() {
        std::fs::create_dir_all(published().parent().unwrap()).unwrap();
        std::fs::write(published(), &current).unwrap();
    }
    let stored = std::fs::read_to_string(published()).unwrap();
    assert!(
        stored == current,
        "docs/reference/report.schema.json is out of date: run this test with PRONY_WRITE_REFERENCE=1"
    );
}

#[test]
fn reports_fit_the_schema_and_read_back() {
    let schema = json_schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let runs = [events(), killed_events(), vec![]].map(|events| record(&events));
    for run in runs.into_iter().chain([made::streams::run()]) {
        let report = Report::build(&run);
        let text = (find("json").unwrap().render)(&report, TerminalStyle::default()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|e| format!("{e} at {}", e.instance_path()))
            .collect();
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(value["format"], 1);
        assert_eq!(
            serde_json::from_str::<Report>(&text).unwrap().findings,
            report.findings
        );
    }
}

#[test]
fn the_schema_refuses_what_is_no_report() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let report = Report::build(&record(&events()));
    let mut value = serde_json::to_value(&report).unwrap();
    value["verdict"] = "great".into();
    assert!(!validator.is_valid(&value));
    let mut value = serde_json::to_value(&report).unwrap();
    value.as_object_mut().unwrap().remove("findings");
    assert!(!validator.is_valid(&value));
}
