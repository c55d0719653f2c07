//! Starts the benchmarks beside the peers. What they do is written in `bench/peers.py`.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

/// Runs `bench/peers.py` with these words; whether it came to its end.
pub(crate) fn peers(words: &[&str]) -> anyhow::Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask has no parent directory")?;
    let ended = Command::new("python3")
        .arg(root.join("bench/peers.py"))
        .args(words)
        .status()
        .context("python3 is needed: apt-get install python3")?;
    Ok(ended.success())
}
