//! Starts the benchmarks. What they do is written in `bench/peers.py`, `bench/tokens.py` and
//! `bench/token_peers.py`.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

/// Runs a script of `bench/` with these words; whether it came to its end.
pub(crate) fn run(script: &str, words: &[&str]) -> anyhow::Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask has no parent directory")?;
    let ended = Command::new("python3")
        .arg(root.join("bench").join(script))
        .args(words)
        .status()
        .context("python3 is needed: apt-get install python3")?;
    Ok(ended.success())
}
