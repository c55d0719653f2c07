//! A process that Prony started: in a group of its own, so that the end of it is the end of all that it started, and of nothing
//! else. It must not know what the process does.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use prony_model::StopSignal;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use super::target_log::Log;

/// How long it may take to end after it was asked to, where nobody measures it.
const END_TIMEOUT: Duration = Duration::from_secs(3);
/// How often an end is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long the rest of its output may take to arrive once it has ended.
const OUTPUT_TIMEOUT: Duration = Duration::from_millis(500);
/// Ends the group when this process ends without having done so: its end of the pipe closes with it, however it ends. A line says
/// that the group is gone.
const GUARD: &str = "read -r line || { kill -s TERM -- \"-$1\"; sleep 3; kill -s KILL -- \"-$1\"; }";

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, with that code.
    Code(i32),
    /// By that signal.
    Signal(i32),
}

/// A running process. Dropping it ends it and all that it started.
pub(super) struct Process {
    child: Child,
    pid: Pid,
    guard: Option<Child>,
    outputs: Vec<thread::JoinHandle<()>>,
    end: Option<End>,
    /// When it was started.
    pub(super) spawned: Instant,
}

impl Process {
    /// Starts it; what it prints goes to the log.
    pub(super) fn start(mut command: Command, log: &Arc<Log>) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        // A group of its own: Ctrl-C in the terminal is for us, and we end it ourselves.
        command
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let spawned = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start `{program}`"))?;
        let pid = Pid::from_child(&child);
        let mut outputs = Vec::new();
        outputs.extend(child.stdout.take().map(|stream| log.follow(stream, "out")));
        outputs.extend(child.stderr.take().map(|stream| log.follow(stream, "err")));
        Ok(Self {
            guard: guard(pid),
            child,
            pid,
            outputs,
            end: None,
            spawned,
        })
    }

    /// Its number.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it, and nobody else of its group, a signal, as platforms do. One that has ended does not hear it.
    pub(super) fn signal(&self, signal: StopSignal) {
        if self.end.is_none() {
            // It may be ending at this moment.
            let _ = kill_process(self.pid, number(signal));
        }
    }

    /// How it ended, if it has. The rest of its group is ended then, too.
    pub(super) fn ended(&mut self) -> Option<End> {
        if self.end.is_none() {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            let status = waitid(WaitId::Pid(self.pid), options).ok().flatten()?;
            self.end = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Some(End::Code(code)),
                (_, signal) => Some(End::Signal(signal.unwrap_or_default())),
            };
            self.clear();
        }
        self.end
    }

    /// Waits for its end; `None` when it did not come in time.
    pub(super) fn wait(&mut self, timeout: Duration) -> Option<End> {
        let deadline = Instant::now() + timeout;
        loop {
            let end = self.ended();
            if end.is_some() || Instant::now() >= deadline {
                return end;
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Ends it now, without asking.
    pub(super) fn kill(&mut self) {
        // Those that are gone need no end.
        let _ = kill_process_group(self.pid, Signal::KILL);
        let _ = self.wait(END_TIMEOUT);
    }

    /// Asks it to end, as a platform does, and ends it if it does not in time, or once the flag is set.
    pub(super) fn finish(&mut self, signal: StopSignal, timeout: Duration, stop: &AtomicBool) {
        self.signal(signal);
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline && !stop.load(Ordering::Relaxed) {
            if self.wait(LOOK_EVERY).is_some() {
                return;
            }
        }
        self.kill();
    }

    /// Waits a little for the rest of its output.
    pub(super) fn drain_output(&self) {
        let deadline = Instant::now() + OUTPUT_TIMEOUT;
        while Instant::now() < deadline && !self.outputs.iter().all(thread::JoinHandle::is_finished) {
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Ends what is left of the group. Its leader is not reaped before, so that the number of the group cannot be another's.
    fn clear(&mut self) {
        let _ = kill_process_group(self.pid, Signal::KILL);
        let _ = self.child.wait();
        if let Some(mut guard) = self.guard.take() {
            if let Some(mut line) = guard.stdin.take() {
                // A guard that is gone needs no word.
                let _ = std::io::Write::write_all(&mut line, b"over\n");
            }
            let _ = guard.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // Those that are gone need no end.
            let _ = kill_process_group(self.pid, Signal::TERM);
        }
        if self.wait(END_TIMEOUT).is_none() {
            self.kill();
        }
    }
}

/// Without a shell there is none, and then only an end of ours that runs no code leaves the group behind.
fn guard(pid: Pid) -> Option<Child> {
    Command::new("sh")
        .args(["-c", GUARD, "prony-guard", &pid.as_raw_nonzero().to_string()])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

fn number(signal: StopSignal) -> Signal {
    match signal {
        StopSignal::Term => Signal::TERM,
        StopSignal::Int => Signal::INT,
        StopSignal::Quit => Signal::QUIT,
        StopSignal::Hup => Signal::HUP,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::{End, Process};
    use crate::runner::target_log::Log;
    use prony_model::StopSignal;

    /// Long enough to end a hung test.
    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> (Process, std::sync::Arc<Log>) {
        let log = Log::new(Vec::new());
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        (Process::start(command, &log).unwrap(), log)
    }

    fn said(log: &Log, word: &str) -> String {
        let deadline = Instant::now() + LONG;
        while !log.last_lines().contains(word) {
            assert!(Instant::now() < deadline, "it never said {word}");
            std::thread::sleep(Duration::from_millis(1));
        }
        log.last_lines()
    }

    #[test]
    fn the_way_of_the_end_is_told() {
        let (mut process, log) = shell("echo hello; exit 7");
        assert_eq!(process.wait(LONG), Some(End::Code(7)));
        process.drain_output();
        assert!(log.last_lines().contains("hello"));
        let (mut process, log) = shell("echo up; exec sleep 60");
        said(&log, "up");
        process.signal(StopSignal::Term);
        assert_eq!(process.wait(LONG), Some(End::Signal(15)));
    }

    #[test]
    fn one_that_does_not_listen_ends_with_all_it_started() {
        let (mut process, log) = shell("trap '' TERM; (trap '' TERM; sleep 61) & echo child $!; wait");
        let text = said(&log, "child");
        let child = text.trim().rsplit(' ').next().unwrap().to_owned();
        // A process that nobody has reaped yet is no process any more.
        let runs = || {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
        };
        assert!(runs(), "{text}");
        process.signal(StopSignal::Term);
        process.kill();
        let deadline = Instant::now() + LONG;
        while runs() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!runs(), "it outlived its group");
    }
}
