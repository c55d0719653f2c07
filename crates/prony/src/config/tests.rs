//! Every wrong suite gets one message at the right place; every right one expands, and prints back as itself.

mod diagnostics;
mod expansion;
mod matrix;
mod prompts;
mod round_trip;

use std::path::{Path, PathBuf};

use super::SuiteFile;
use super::read::{parse, read};
use crate::diagnostic::Diagnostic;

/// A suite that is complete; tests add to it.
const BASE: &str = r#"
[target]
url = "http://127.0.0.1:8000"

[[scenario]]
name = "health"
[scenario.http]
path = "/health"
"#;

fn suite(text: &str) -> Result<SuiteFile, Diagnostic> {
    parse("suite.toml", text, PathBuf::new())
}

/// The folder of the suites that come with Prony.
fn suites() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../suites")
}

#[test]
fn every_suite_that_comes_with_prony_is_valid() {
    let mut folders = vec![suites()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "toml") {
                let result = read(&path, &[]);
                assert!(result.is_ok(), "{}", result.unwrap_err().render(false));
                seen += 1;
            }
        }
    }
    assert!(seen >= 4, "{seen} suites");
}
