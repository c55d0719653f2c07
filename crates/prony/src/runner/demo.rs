//! The embedded reference backend as a separate process: started, waited for, ended by its own pid.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a preset may take to become ready (it loads its model and makes its slides).
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it may take to end after it was asked to.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// Presets that imitate a platform whose own times are minutes, by the beginning of their names: how long those take here, so that
/// a check takes minutes and not hours.
const TIME_SCALES: [(&str, f64); 1] = [("runpod", 0.04)];

/// How long a preset's platform times take over what they are called; 1 for those that have none.
pub(super) fn time_scale(preset: &str) -> f64 {
    let scaled = TIME_SCALES.iter().find(|(name, _)| preset.starts_with(name));
    scaled.map_or(1.0, |(_, scale)| *scale)
}

/// A running preset. Dropping it ends the process.
pub(crate) struct Demo {
    child: Child,
    preset: String,
    knobs: BTreeMap<String, String>,
    /// Where it listens.
    pub(crate) url: String,
    /// What it serves beside its service, by name: where that listens.
    pub(crate) beside: BTreeMap<String, String>,
}

impl Demo {
    /// Starts `prony serve PRESET` on a free port of loopback and waits until it says that it is ready.
    pub(crate) fn start(preset: &str, knobs: &BTreeMap<String, String>) -> Result<Self> {
        Self::start_at(preset, knobs, 0)
    }

    /// The same preset on the same port, after the old process has ended.
    pub(crate) fn again(self) -> Result<Self> {
        let (preset, knobs) = (self.preset.clone(), self.knobs.clone());
        let port = self.url.rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.context("the demo backend named no port")?;
        drop(self);
        Self::start_at(&preset, &knobs, port)
    }

    fn start_at(preset: &str, knobs: &BTreeMap<String, String>, port: u16) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find the path of this program")?;
        let mut command = Command::new(program);
        // Our end of its standard input closes when this process ends, however it ends, and the child ends with it.
        command.args([
            "serve",
            preset,
            "--host",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--until-stdin-closes",
        ]);
        command.args(["--time-scale", &time_scale(preset).to_string()]);
        for (name, value) in knobs {
            command.arg("--set").arg(format!("{name}={value}"));
        }
        // Its own process group: Ctrl-C in the terminal is for us, and we end it ourselves.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start the demo backend")?;
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (sender, receiver) = mpsc::sync_channel(1);
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines();
            let ready = lines
                .by_ref()
                .map_while(Result::ok)
                .find(|line| line.starts_with("ready "));
            // The receiver may have given up; the rest is drained so that the child never blocks on its output.
            let _ = sender.send(ready);
            lines.for_each(drop);
        });
        let errors = thread::spawn(move || {
            BufReader::new(stderr)
                .lines()
                .map_while(Result::ok)
                .take(50)
                .collect::<Vec<_>>()
                .join("\n")
        });
        let mut demo = Self {
            child,
            preset: preset.to_owned(),
            knobs: knobs.clone(),
            url: String::new(),
            beside: BTreeMap::new(),
        };
        match receiver.recv_timeout(READY_TIMEOUT) {
            Ok(Some(line)) => {
                let address = line.split_whitespace().nth(1);
                address
                    .context("the demo backend named no address")?
                    .clone_into(&mut demo.url);
                let words: Vec<&str> = line.split_whitespace().skip(2).collect();
                let named = words
                    .chunks_exact(2)
                    .map(|pair| (pair[0].to_owned(), pair[1].to_owned()));
                demo.beside = named.collect();
                Ok(demo)
            }
            Ok(None) => {
                let said = errors.join().unwrap_or_default();
                bail!("the demo backend '{preset}' did not start:\n{}", said.trim())
            }
            Err(_) => bail!("the demo backend '{preset}' was not ready within {READY_TIMEOUT:?}"),
        }
    }

    /// The process to watch.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            // It may have ended already; then there is nothing to do.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + END_TIMEOUT;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
