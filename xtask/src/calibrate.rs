//! `cargo xtask calibrate`: counts how often Prony's conclusions are right, and keeps the table in docs/calibration.md.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// Where the table of the full form is kept.
const PAGE: &str = "docs/calibration.md";

/// Builds the calibration and runs it with these words. Only the full form of all questions replaces the page; any other is
/// printed.
pub(crate) fn run(words: &[&str]) -> Result<bool> {
    // Together with the binary: cargo then chooses the same features for both, and builds what they share once.
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--quiet",
            "--package",
            "prony",
            "--package",
            "prony-calibration",
        ])
        .status()
        .context("cargo build")?;
    if !built.success() {
        return Ok(false);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let output = Command::new(target.join("release/prony-calibration"))
        .args(words)
        .stderr(Stdio::inherit())
        .output()
        .context("prony-calibration")?;
    let page = String::from_utf8(output.stdout).context("the table is text")?;
    if words.is_empty() && !page.is_empty() {
        fs::write(PAGE, &page).with_context(|| format!("write {PAGE}"))?;
    } else {
        print!("{page}");
    }
    Ok(output.status.success())
}
