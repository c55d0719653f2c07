//! What experiments ask of the target's process: to be started anew, and to be told to stop while requests are in flight. Only of
//! one that Prony started.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use prony_model::{Event, Finding, Nanos, Phase, Reading, Severity, Surface, Verdict};

use super::Run;
use super::process::End;
use super::started::Started;
use crate::session::Session;
use crate::text::clean;

/// How often the stop flag is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

impl Run<'_> {
    /// Starts the target anew for an experiment; whether the phase can follow.
    pub(super) fn started_anew(&mut self, experiment: &str) -> Result<bool> {
        if !self.can_be_stopped(experiment) {
            return Ok(false);
        }
        self.snapshot_after();
        self.up_again()?;
        Ok(self.cut.is_none())
    }

    /// Whether the target was started here and what is asked of it outlives a start; if not, the report says what was not asked.
    pub(super) fn can_be_stopped(&mut self, experiment: &str) -> bool {
        let can = self.connection.started().is_some();
        if can && has_session(&self.surface) {
            let text = format!(
                "'{}' was not asked: it stops and starts the target, and the requests belong to a session that a new process does \
                 not know.",
                clean(experiment, 80)
            );
            self.journal.event(&Event::Noted { text });
            return false;
        }
        if !can {
            let text = format!(
                "'{}' was not asked: it stops and starts the target, and this one was not started by Prony. `--command`, or \
                 `command` of `[target]`, says how to start it.",
                clean(experiment, 80)
            );
            self.journal.event(&Event::Noted { text });
        }
        can
    }

    /// Runs a phase and tells the target to stop so long after its beginning.
    pub(super) fn stopped(&mut self, phase: Phase, after_ms: u64) -> Result<()> {
        self.snapshot_after();
        if self.is_down {
            self.up_again()?;
        }
        if self.cut.is_some() {
            return Ok(());
        }
        let Some(started) = self.connection.started().take() else {
            return Ok(());
        };
        let (session, epoch) = (self.session.clone(), self.connection.epoch);
        let after = Duration::from_millis(after_ms);
        let stopper = thread::spawn(move || stop(started, after, epoch, &session));
        let result = self.measure(phase);
        // A panic there is a bug here, and told as one.
        let (started, reading) = stopper
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        *self.connection.started() = Some(started);
        let mut result = result?;
        if let Some(reading) = reading {
            self.is_down = true;
            self.journal.event(&Event::ReadingTaken(reading.clone()));
            result.readings.push(reading);
        }
        self.results.push(result);
        Ok(())
    }

    /// Starts the target again, where it was started here: how long that took. One that does not come up ends the run, and is a
    /// finding.
    pub(super) fn up_again(&mut self) -> Result<Option<Duration>> {
        let outcome = self.connection.restart(&self.surface);
        self.waiting.extend(self.connection.take_starts());
        self.is_down = false;
        let error = match outcome {
            Ok(took) => return Ok(took),
            Err(error) => error,
        };
        if self.session.stopped() {
            self.cut = Some("Stopped by the user: what follows was not run.".to_owned());
            return Ok(None);
        }
        let Some(said) = error.downcast_ref::<crate::diagnostic::Diagnostic>() else {
            return Err(error);
        };
        let detail = clean(&said.what, 1000);
        self.cut = Some("The target did not start again: what follows was not run.".to_owned());
        self.finding(Finding {
            id: "no-restart".to_owned(),
            experiment: "startup".to_owned(),
            endpoint: String::new(),
            verdict: Verdict::Fail,
            severity: Severity::Critical,
            required: true,
            title: "The target did not start again after it was stopped.".to_owned(),
            detail,
            evidence: Vec::new(),
            recommendation: None,
        });
        Ok(None)
    }

    /// The state after the load, once: what experiments stop and start afterwards has forgotten the load.
    pub(super) fn snapshot_after(&mut self) {
        if !std::mem::replace(&mut self.is_closed, true) {
            self.snapshot("after");
        }
    }
}

/// Whether requests carry the name of a session that the target gave out while it was found out what it offers.
fn has_session(surface: &Surface) -> bool {
    let samples = surface.endpoints.iter().flat_map(|e| &e.samples);
    let mut headers = samples.flat_map(|sample| &sample.request.headers);
    headers.any(|header| header.name.eq_ignore_ascii_case("mcp-session-id"))
}

/// Tells the target to stop and waits for its end; one that does not end in time is killed. The reading is of the moment of the
/// signal; there is none where the person stopped the run before.
fn stop(
    mut started: Started,
    after: Duration,
    epoch: Instant,
    session: &Session,
) -> (Started, Option<Reading>) {
    let due = Instant::now() + after;
    while Instant::now() < due {
        if session.stop.load(Ordering::Relaxed) {
            return (started, None);
        }
        thread::sleep(LOOK_EVERY.min(due.saturating_duration_since(Instant::now())));
    }
    let (_, timeout) = started.timeouts();
    let signal = started.launch.stop_signal;
    let process = started.process();
    let early = process.ended();
    let signalled = Instant::now();
    process.signal(signal);
    let deadline = signalled + timeout;
    let mut end = None;
    while end.is_none() && Instant::now() < deadline && !session.stopped() {
        end = process.wait(LOOK_EVERY);
    }
    let took = signalled.elapsed();
    if end.is_none() {
        process.kill();
        if session.stopped() {
            return (started, None);
        }
    }
    let mut values = BTreeMap::from([
        ("timeout_ms".to_owned(), 1000.0 * timeout.as_secs_f64()),
        ("killed".to_owned(), f64::from(u8::from(end.is_none()))),
        ("early".to_owned(), f64::from(u8::from(early.is_some()))),
    ]);
    if let Some(end) = end {
        values.insert("exit_ms".to_owned(), 1000.0 * took.as_secs_f64());
        let (name, number) = match end {
            End::Code(code) => ("exit_code", code),
            End::Signal(signal) => ("exit_signal", signal),
        };
        values.insert(name.to_owned(), f64::from(number));
    }
    let at = Nanos::from(signalled.saturating_duration_since(epoch));
    let monitor = "stop".to_owned();
    (started, Some(Reading { at, monitor, values }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prony_model::{Endpoint, Expect, Header, Request, Role, SampleRequest, Surface};

    use super::has_session;

    #[test]
    fn a_session_is_known_by_its_header() {
        let of = |headers: Vec<Header>| Surface {
            endpoints: vec![Endpoint {
                name: "tool x".into(),
                method: "POST".into(),
                path: "/mcp".into(),
                role: Role::Inference,
                parameters: Vec::new(),
                body_schema: None,
                declared_statuses: Vec::new(),
                samples: vec![SampleRequest {
                    request: Request {
                        headers,
                        ..Request::get("/mcp")
                    },
                    inputs: BTreeMap::new(),
                }],
                expect: Expect::default(),
            }],
            ..Surface::default()
        };
        assert!(has_session(&of(vec![Header::new("Mcp-Session-Id", "s")])));
        assert!(!has_session(&of(vec![Header::new("mcp-protocol-version", "1")])));
    }
}
