//! A target in a process of its own, and a check of it that is told its URL, what any user of it has (a key, the address of its
//! upstream), and the words of the book: which experiment to run. Nothing of its defects.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::book::Preset;
use super::judge::Report;

/// How long a target may take to be ready.
const READY: Duration = Duration::from_secs(60);
/// How long a check may take to write its report after it was asked to end.
const LAST_WORDS: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// What is served.
pub(crate) struct Subject<'a> {
    /// Name of the preset.
    pub name: &'a str,
    /// `KNOB=VALUE`.
    pub set: Vec<&'a str>,
    /// How long the platform's times take.
    pub time_scale: f64,
    /// Seed of all that is random in it.
    pub seed: u64,
}

/// A served target; ends when dropped.
pub(crate) struct Served {
    child: Child,
    /// The target ends when this closes, so also when this process ends.
    stdin: Option<ChildStdin>,
    url: String,
    /// Addresses of its other services, by name.
    beside: BTreeMap<String, String>,
}

impl Served {
    /// Starts a target on a free port of loopback.
    pub(crate) fn start(program: &Path, subject: &Subject<'_>) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["serve", subject.name, "--port", "0", "--until-stdin-closes"]);
        command.args(["--seed", &subject.seed.to_string()]);
        command.args(["--time-scale", &subject.time_scale.to_string()]);
        for knob in &subject.set {
            command.args(["--set", knob]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("standard output is piped")?;
        let (sender, receiver) = mpsc::sync_channel(1);
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            let ready = lines.find(|line| line.starts_with("ready "));
            // The receiver may have given up; the rest is drained so that the target never blocks on its output.
            let _ = sender.send(ready);
            lines.for_each(drop);
        });
        let mut served = Self {
            child,
            stdin,
            url: String::new(),
            beside: BTreeMap::new(),
        };
        let line = receiver.recv_timeout(READY).ok().flatten();
        let Some(line) = line else {
            bail!("`{} serve {}` did not start", program.display(), subject.name);
        };
        let mut words = line.split_whitespace().skip(1);
        words
            .next()
            .context("it named no address")?
            .clone_into(&mut served.url);
        while let (Some(name), Some(url)) = (words.next(), words.next()) {
            served.beside.insert(name.to_owned(), url.to_owned());
        }
        Ok(served)
    }

    /// Checks it; a check that takes too long is asked to end, and what it found by then counts.
    pub(crate) fn check(
        &self,
        program: &Path,
        words: &[String],
        preset: &Preset,
        seed: u64,
        limit: Duration,
    ) -> Result<Report> {
        let folder = Scratch::new()?;
        let out = folder.0.join("report.json");
        let mut command = Command::new(program);
        command.args(["check", &self.url, "--json", "--seed", &seed.to_string()]);
        command.args(words);
        for header in &preset.headers {
            command.args(["--header", header]);
        }
        for (name, flag) in &preset.beside {
            let url = self
                .beside
                .get(name)
                .with_context(|| format!("the target has no `{name}`"))?;
            command.args([flag, url]);
        }
        command.arg("--output").arg(folder.0.join("run"));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut deadline = Instant::now() + limit;
        let mut asked = false;
        while child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                if asked {
                    child.kill()?;
                    child.wait()?;
                    break;
                }
                asked = true;
                deadline = Instant::now() + LAST_WORDS;
                terminate(&child)?;
            }
            thread::sleep(PAUSE);
        }
        let text = std::fs::read_to_string(&out)?;
        Report::parse(&text).with_context(|| format!("`{command:?}` gave no report"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stdin = None;
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(PAUSE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn terminate(child: &Child) -> Result<()> {
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).context("a process has a number")?;
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("SIGTERM")
}

/// A folder of its own, removed at the end.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let nanos = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)?
            .as_nanos();
        let path = std::env::temp_dir().join(format!("prony-ground-truth-{}-{nanos}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left in the folder for temporary files does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
