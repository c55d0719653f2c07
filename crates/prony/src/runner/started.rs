//! A target that Prony started, and can stop and start again on the same address: the embedded backend, or a command of the
//! person's. It must not know what is measured of it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use prony_model::{LaunchSpec, Secret, TargetSpec};

use super::demo;
use super::process::Process;
use super::target_log::Log;
use crate::diagnostic::Diagnostic;
use crate::session::quote;

/// The word for the target's port in a command and its environment.
const PORT: &str = "{port}";

/// A running target.
pub(super) struct Started {
    recipe: Recipe,
    process: Process,
    log: Arc<Log>,
    /// How it is waited for and stopped.
    pub(super) launch: LaunchSpec,
    /// Where it listens.
    pub(super) url: String,
    /// What it serves beside its service, by name: where that listens.
    pub(super) beside: BTreeMap<String, String>,
}

enum Recipe {
    Demo {
        preset: String,
        knobs: BTreeMap<String, String>,
    },
    Command {
        words: Vec<String>,
        /// Values of variables that are not recorded.
        secrets: Vec<(String, Secret)>,
    },
}

impl Started {
    /// The embedded backend on a free port of loopback, ready.
    pub(super) fn demo(preset: &str, spec: &TargetSpec) -> Result<Self> {
        let knobs = &spec.knobs;
        let log = Log::new(Vec::new());
        let mut process = Process::start(demo::command(preset, knobs, 0)?, &log)?;
        let (url, beside) = demo::announced(&mut process, &log, preset)?;
        Ok(Self {
            recipe: Recipe::Demo {
                preset: preset.to_owned(),
                knobs: knobs.clone(),
            },
            process,
            log,
            launch: spec.launch.clone(),
            url,
            beside,
        })
    }

    /// The person's command, which has only just been started.
    pub(super) fn command(spec: &TargetSpec, url: &str, masked: Vec<Secret>) -> Result<Self> {
        let mut secrets = Vec::new();
        for (name, variable) in &spec.launch.env_from {
            let value = std::env::var(variable).map_err(|_| {
                Diagnostic::usage(format!("the environment variable `{variable}` is not set")).next(format!(
                    "set it: `env_from` of the target gives it to the command as `{name}`"
                ))
            })?;
            secrets.push((name.clone(), Secret::new(value)));
        }
        let port = port_of(url)?;
        let at_port = |text: &String| text.replace(PORT, &port.to_string());
        let words: Vec<String> = spec.command.iter().map(at_port).collect();
        let mut launch = spec.launch.clone();
        launch.env.values_mut().for_each(|value| *value = at_port(value));
        let log = Log::new(
            masked
                .into_iter()
                .chain(secrets.iter().map(|s| s.1.clone()))
                .collect(),
        );
        Ok(Self {
            process: Process::start(order(&words, &launch, &secrets)?, &log)?,
            recipe: Recipe::Command { words, secrets },
            log,
            launch,
            url: url.to_owned(),
            beside: BTreeMap::new(),
        })
    }

    /// Ends it, if it has not ended, and starts the same on the same port. Who wants all to stop does not wait for an end.
    pub(super) fn again(&mut self, stop: &AtomicBool) -> Result<()> {
        let (_, timeout) = self.timeouts();
        self.process.finish(self.launch.stop_signal, timeout, stop);
        self.log.add("---", "started anew");
        match &self.recipe {
            Recipe::Demo { preset, knobs } => {
                // What it said before is of no use any more.
                self.process.drain_output();
                drop(self.log.take_announced());
                let command = demo::command(preset, knobs, port_of(&self.url)?)?;
                self.process = Process::start(command, &self.log)?;
                let (url, beside) = demo::announced(&mut self.process, &self.log, preset)?;
                (self.url, self.beside) = (url, beside);
            }
            Recipe::Command { words, secrets } => {
                self.process = Process::start(order(words, &self.launch, secrets)?, &self.log)?;
            }
        }
        Ok(())
    }

    /// Its process.
    pub(super) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The number of its process.
    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// When it was started last.
    pub(super) fn spawned(&self) -> Instant {
        self.process.spawned
    }

    /// Whether it is a command of the person's.
    pub(super) fn is_command(&self) -> bool {
        matches!(self.recipe, Recipe::Command { .. })
    }

    /// The command as a person would type it.
    pub(super) fn typed(&self) -> String {
        match &self.recipe {
            Recipe::Demo { preset, .. } => format!("prony serve {preset}"),
            Recipe::Command { words, .. } => words.iter().map(|w| quote(w)).collect::<Vec<_>>().join(" "),
        }
    }

    /// What it printed last.
    pub(super) fn last_lines(&self) -> String {
        self.process.drain_output();
        self.log.last_lines()
    }

    /// Keeps what the person's command prints in that file.
    pub(super) fn keep_log(&self, file: &Path) -> Result<()> {
        if self.is_command() {
            self.log
                .keep_in(file)
                .with_context(|| format!("cannot keep the target's output in {}", file.display()))?;
        }
        Ok(())
    }

    /// How long it may take to become ready, and to stop.
    pub(super) fn timeouts(&self) -> (Duration, Duration) {
        let launch = &self.launch;
        (
            Duration::from_millis(launch.start_timeout_ms),
            Duration::from_millis(launch.stop_timeout_ms),
        )
    }
}

/// The words as a process to be.
fn order(words: &[String], launch: &LaunchSpec, secrets: &[(String, Secret)]) -> Result<Command> {
    let (program, arguments) = words.split_first().context("the command is empty")?;
    let mut command = if program == "prony" {
        Command::new(demo::itself()?)
    } else {
        Command::new(program)
    };
    command.args(arguments).stdin(Stdio::null()).envs(&launch.env);
    command.envs(secrets.iter().map(|(name, value)| (name, value.reveal())));
    if let Some(cwd) = &launch.cwd {
        command.current_dir(cwd);
    }
    Ok(command)
}

/// The URL with a free port where its own is 0.
pub(super) fn with_port(url: &str) -> Result<String> {
    let mut parsed = crate::target_url::parse(url)?;
    if parsed.port() != Some(0) {
        return Ok(url.to_owned());
    }
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    let port = free.context("no free port on loopback")?.port();
    // It fails only for URLs without a host, and those do not parse.
    let _ = parsed.set_port(Some(port));
    Ok(parsed.as_str().trim_end_matches('/').to_owned())
}

fn port_of(url: &str) -> Result<u16> {
    let parsed = crate::target_url::parse(url)?;
    parsed
        .port_or_known_default()
        .context("the target's URL has no port")
}

#[cfg(test)]
mod tests {
    use super::{port_of, with_port};

    #[test]
    fn a_port_of_zero_becomes_a_free_one() {
        let url = with_port("http://127.0.0.1:0").unwrap();
        assert!(
            url.starts_with("http://127.0.0.1:") && port_of(&url).unwrap() > 0,
            "{url}"
        );
        assert_eq!(
            with_port("http://localhost:81/x").unwrap(),
            "http://localhost:81/x"
        );
        assert_eq!(
            (port_of("http://h").unwrap(), port_of("https://h/").unwrap()),
            (80, 443)
        );
    }
}
