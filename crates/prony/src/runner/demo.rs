//! The embedded reference backend as a separate process: its command line, and what it says when it is ready.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::process::Process;
use super::target_log::Log;

/// How long a preset may take to become ready (it loads its model and makes its slides).
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How often its word is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Presets that imitate a platform whose own times are minutes, by the beginning of their names: how long those take here, so that
/// a check takes minutes and not hours.
const TIME_SCALES: [(&str, f64); 1] = [("runpod", 0.04)];

/// How long a preset's platform times take over what they are called; 1 for those that have none.
pub(super) fn time_scale(preset: &str) -> f64 {
    let scaled = TIME_SCALES.iter().find(|(name, _)| preset.starts_with(name));
    scaled.map_or(1.0, |(_, scale)| *scale)
}

/// `prony serve PRESET` on that port of loopback; 0 takes a free one.
pub(super) fn command(preset: &str, knobs: &BTreeMap<String, String>, port: u16) -> Result<Command> {
    let mut command = Command::new(itself()?);
    command.args([
        "serve",
        preset,
        "--host",
        "127.0.0.1",
        "--port",
        &port.to_string(),
    ]);
    // Our end of its standard input closes when this process ends, however it ends, and the child ends with it.
    command.arg("--until-stdin-closes").stdin(Stdio::piped());
    command.args(["--time-scale", &time_scale(preset).to_string()]);
    for (name, value) in knobs {
        command.arg("--set").arg(format!("{name}={value}"));
    }
    Ok(command)
}

/// This program.
pub(super) fn itself() -> Result<std::path::PathBuf> {
    std::env::current_exe().context("cannot find the path of this program")
}

/// Waits until it says where it listens: its address, and by name the addresses of what it serves beside its service.
pub(super) fn announced(
    process: &mut Process,
    log: &Log,
    preset: &str,
) -> Result<(String, BTreeMap<String, String>)> {
    let deadline = Instant::now() + READY_TIMEOUT;
    let line = loop {
        if let Some(line) = log.take_announced() {
            break line;
        }
        if process.ended().is_some() {
            process.drain_output();
            bail!("the demo backend '{preset}' did not start:{}", log.last_lines());
        }
        if Instant::now() >= deadline {
            bail!("the demo backend '{preset}' was not ready within {READY_TIMEOUT:?}");
        }
        thread::sleep(LOOK_EVERY);
    };
    let address = line.split_whitespace().nth(1);
    let address = address.context("the demo backend named no address")?.to_owned();
    let words: Vec<&str> = line.split_whitespace().skip(2).collect();
    let named = words
        .chunks_exact(2)
        .map(|pair| (pair[0].to_owned(), pair[1].to_owned()));
    Ok((address, named.collect()))
}
