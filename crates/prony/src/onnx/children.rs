//! The processes that run the model: started one after another, waited for, ended when they take too long or the person stops. It
//! measures nothing.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::ask::{Answer, Job, Refused, Told};
use crate::session::Session;
use crate::text::clean;

/// Between two looks at whether a process has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Most of what a process says on standard error that is kept.
const SAID_MAX: usize = 2000;

/// How a process ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It told what it found.
    Told(Box<Told>),
    /// It could not do what it was asked.
    Refused(Refused),
    /// It ended without a word, or was ended because it took too long: how, in words.
    Lost(String),
    /// The person stopped the run.
    Stopped,
}

/// Lets a fresh process do a job, for so long at most.
pub(super) fn ask(job: &Job, limit: Duration, session: &Session) -> anyhow::Result<Ended> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let mut child = Command::new(program)
        .args(["--quiet", "model", "--probe"])
        .arg(&job.model)
        // The job names the library.
        .env_remove("ORT_DYLIB_PATH")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start a process that runs the model")?;
    if let Some(mut stdin) = child.stdin.take() {
        // A process that is gone already tells by how it ended.
        let _ = stdin.write_all(serde_json::to_string(job)?.as_bytes());
    }
    let out = child.stdout.take().map(reader);
    let err = child.stderr.take().map(reader);
    let (status, late) = wait(&mut child, limit, session)?;
    let text = |stream: Option<thread::JoinHandle<Vec<u8>>>| {
        let bytes = stream.and_then(|s| s.join().ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (out, err) = (text(out), text(err));
    if session.stopped() {
        return Ok(Ended::Stopped);
    }
    if late {
        return Ok(Ended::Lost(format!(
            "it did not answer within {} s and was ended; --timeout gives it more",
            limit.as_secs_f64().ceil()
        )));
    }
    Ok(match serde_json::from_str::<Answer>(&out) {
        Ok(Answer::Told(told)) if status.success() => Ended::Told(told),
        Ok(Answer::Refused(refused)) if status.success() => Ended::Refused(refused),
        _ => Ended::Lost(how(status, &err)),
    })
}

fn reader(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read until an error is all there is.
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}

/// Waits for the end; the second value says whether it was forced because time was up.
fn wait(child: &mut Child, limit: Duration, session: &Session) -> anyhow::Result<(ExitStatus, bool)> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, false));
        }
        let late = began.elapsed() > limit;
        if late || session.stopped() {
            // It may have ended in this moment.
            let _ = child.kill();
            return Ok((child.wait()?, late));
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// How it ended, in words.
fn how(status: ExitStatus, said: &str) -> String {
    let end = match (status.signal(), status.code()) {
        (Some(signal), _) => format!("it was ended by signal {signal}"),
        (None, Some(code)) => format!("it ended with exit code {code}"),
        (None, None) => "it ended".to_owned(),
    };
    let said = clean(said.trim(), SAID_MAX);
    if said.is_empty() {
        end
    } else {
        format!("{end}; it said: {said}")
    }
}
