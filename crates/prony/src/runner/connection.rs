//! A target that answers: the engine bound to it, and the process behind it when that is on this host.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use prony_engine::monitors::{self, Watched};
use prony_engine::null_target::NullTarget;
use prony_engine::{Engine, EngineOptions, Target};
use prony_model::{
    Captured, ExitCode, Limits, Nanos, Outcome, Reading, Request, Secret, Suite, Surface, TargetSpec,
};

use super::behind::Behind;
use super::demo;
use super::patience::Patience;
use super::process::End;
use super::readiness::{self, Failure, Probes};
use super::started::{self, Started};
use super::stdio::{self, Bridge};
use super::{NullEngine, null_phase};
use crate::diagnostic::Diagnostic;
use crate::discovery::{self, Discovery, Fetch, Told};
use crate::inference;
use crate::sending::Secrets;
use crate::session::Session;
use crate::target_url::preset;
use crate::text::clean;
use crate::{origins, sending};

/// What to do when a TLS handshake failed or never ended.
pub(crate) const TLS_HINT: &str = "check the scheme: a port without TLS is written http://...; for a certificate that \
                                   is not trusted use --cacert or --insecure";

/// What to do when the target does not speak the protocol that was asked for.
pub(crate) const PROTOCOL_HINT: &str = "drop --http2 (in a suite: `http = \"2\"`), or check scheme and port";

/// What to do when something else than HTTP/1.1 comes from a port without TLS.
const OTHER_PROTOCOL_HINT: &str = "a port that speaks HTTP/2 only is asked with --http2, one that speaks gRPC with \
                                   grpc://HOST:PORT, one with TLS with https://";

/// Largest document that discovery reads.
const DOCUMENT_BYTES_MAX: u32 = 16 << 20;

/// An engine bound to a target.
pub(crate) struct Connection {
    pub(crate) engine: Engine,
    /// URL as shown and recorded: without user info.
    pub(crate) url: String,
    /// Whether the target runs on this host.
    pub(crate) is_local: bool,
    /// The process to watch.
    pid: Option<u32>,
    /// Said in the report when the target is a demo preset that carries planted faults.
    pub(crate) planted: Option<String>,
    /// The service behind the target, where it was named.
    pub(super) behind: Option<Behind>,
    pub(crate) epoch: Instant,
    target: Target,
    limits: Limits,
    stop: Arc<AtomicBool>,
    /// What was started here, and whether its starts are watched.
    started: Option<Started>,
    watches_starts: bool,
    /// The course of each start since these were taken last.
    starts: Vec<Reading>,
    bridge: Option<Bridge>,
}

impl Connection {
    /// Starts the target where it is a demo or a command, and binds an engine to it. Sends nothing yet but what tells whether a
    /// command is ready.
    pub(crate) fn open(suite: &Suite, secrets: &Secrets, session: &Session) -> Result<Self> {
        Self::open_with(suite, secrets, session, engine_options(suite, session))
    }

    /// The same for an engine that works as these options say.
    pub(crate) fn open_with(
        suite: &Suite,
        secrets: &Secrets,
        session: &Session,
        options: EngineOptions,
    ) -> Result<Self> {
        let spec = &suite.target;
        let demo = match preset(&spec.url) {
            Some(preset) => Some(Started::demo(preset, spec)?),
            None => None,
        };
        let bridge = bridge(spec, demo.as_ref())?;
        let begun = bridge.as_ref().map(|bridge| bridge.url.as_str());
        let begun = begun.or(demo.as_ref().map(|demo| demo.url.as_str()));
        let is_command = !spec.command.is_empty();
        let url = match begun {
            Some(url) => url.to_owned(),
            None if is_command => started::with_port(&spec.url)?,
            None => spec.url.clone(),
        };
        let own = preset(&spec.url).and_then(|name| own_credential(name, spec, secrets));
        let mut secrets = secrets.clone();
        secrets.headers.extend(own);
        let mut target = sending::target(&url, spec, &secrets)?;
        target.others = origins::targets(suite, demo.as_ref().map(|demo| &demo.beside))?;
        target.masked.extend(origins::secrets(&target.others));
        let epoch = options.epoch;
        let engine = Engine::new(&target, options)?;
        let is_local = engine.shares_host();
        let started = match demo {
            None if is_command => Some(begin(spec, &url, &engine, &secrets)?),
            demo => demo,
        };
        let listening = || {
            let port = engine.peer().port().filter(|_| is_local);
            port.and_then(monitors::listening_pid)
        };
        let contained = || spec.container.as_deref().and_then(monitors::container_pid);
        let pid = spec
            .pid
            .or_else(contained)
            .or_else(|| bridge.as_ref().and_then(Bridge::pid))
            .or_else(|| started.as_ref().map(Started::pid))
            .or_else(listening);
        let beside = started.as_ref().and_then(|one| one.beside.get("upstream"));
        let behind = spec.upstream.as_ref().or(beside).map(String::as_str);
        let behind = behind
            .map(|url| Behind::open(url, &spec.allow_hosts, epoch))
            .transpose()?;
        let asks_of_starts = |name: &&str| suite.experiment.contains_key(*name);
        let mut connection = Self {
            behind,
            engine,
            url: target.origin.to_string(),
            is_local,
            pid,
            planted: preset(&spec.url).and_then(|name| planted_faults(name, &spec.knobs)),
            epoch,
            limits: suite.run.limits.clone(),
            stop: Arc::clone(&session.stop),
            target,
            watches_starts: is_command || prony_experiments::OF_A_PROCESS.iter().any(asks_of_starts),
            started,
            starts: Vec::new(),
            bridge,
        };
        if let Some(started) = connection.started.as_ref().filter(|_| is_command) {
            let (typed, pid) = (clean(&started.typed(), 300), started.pid());
            session.note(&format!(
                "started `{typed}` (process {pid}); waiting until it is ready on {}",
                connection.url
            ));
            connection.watch_start(None)?;
        }
        Ok(connection)
    }

    /// Starts the target anew on the same address, if it was started here: how long it took until it was ready again.
    pub(super) fn restart(&mut self, surface: &Surface) -> Result<Option<Duration>> {
        if self.bridge.is_some() {
            return Ok(None);
        }
        let Some(started) = &mut self.started else {
            return Ok(None);
        };
        let began = Instant::now();
        started.again(&self.stop)?;
        self.pid = Some(started.pid());
        if self.watches_starts {
            self.watch_start(Some(surface))?;
        }
        Ok(Some(began.elapsed()))
    }

    /// What a reader should know of the way to the target.
    pub(super) fn way(&self) -> Option<String> {
        self.bridge.as_ref().map(Bridge::says)
    }

    /// The other servers that flows go to, by name, as they are shown.
    pub(super) fn others(&self) -> Vec<(String, String)> {
        let shown = |(name, other): &(String, Target)| (name.clone(), other.origin.to_string());
        self.target.others.iter().map(shown).collect()
    }

    /// Follows the start until the target is ready. An error says why it is not, and what to do.
    fn watch_start(&mut self, surface: Option<&Surface>) -> Result<()> {
        let Some(started) = &mut self.started else {
            return Ok(());
        };
        let probes = Probes::of(surface, started.launch.ready.as_deref());
        let (timeout, _) = started.timeouts();
        let course = readiness::watch(started.process(), &mut self.engine, &probes, timeout, &self.stop);
        match course {
            Ok(course) => {
                let at = Nanos::from(started.spawned().saturating_duration_since(self.epoch));
                self.starts.push(course.reading(at));
                Ok(())
            }
            Err(failure) => Err(not_started(started, &self.url, failure).into()),
        }
    }

    /// A sentence for the report where `what` is a command of the person's, whose output is kept in that file.
    pub(crate) fn started_by_command(&self, what: &str, file: &str) -> Option<String> {
        let started = self.started.as_ref().filter(|started| started.is_command())?;
        Some(format!(
            "Prony started {what} itself: `{}`. What it printed is in {file} beside this report.",
            clean(&started.typed(), 300)
        ))
    }

    /// The courses of the starts since this was asked last.
    pub(super) fn take_starts(&mut self) -> Vec<Reading> {
        std::mem::take(&mut self.starts)
    }

    /// The target that was started here, to be stopped elsewhere.
    pub(super) fn started(&mut self) -> &mut Option<Started> {
        &mut self.started
    }

    /// Keeps what the person's command prints in that file.
    pub(crate) fn keep_log(&self, file: &Path) -> Result<()> {
        self.started
            .as_ref()
            .map_or(Ok(()), |started| started.keep_log(file))
    }

    /// What of the target can be watched while it is under load.
    pub(crate) fn watched(&self, spec: &TargetSpec, surface: &Surface) -> Result<Watched> {
        Ok(Watched {
            pid: self.pid,
            port: self.engine.peer().port().filter(|_| self.is_local),
            metrics: sending::metrics(spec, &self.target, surface)?,
        })
    }

    /// Finds out what the target offers. An error says why nobody answered, and what to do.
    ///
    /// `path` is where the user pointed, below the target's base; `told` is what they said of it.
    pub(crate) fn discover(&mut self, path: &str, told: &Told) -> Result<Discovery> {
        let mut asking = Asking {
            engine: &mut self.engine,
            target: &self.target,
            limits: &self.limits,
            stop: &self.stop,
            began: Instant::now(),
            patience: Patience::default(),
        };
        let found = if self.target.origin.is_grpc() {
            discovery::grpc::discover(&mut |request: &Request| asking.fetch(request), path)
        } else {
            discovery::discover(&mut asking, path, told)
        };
        let says = asking.patience.says();
        let mut found = found.map_err(|answer| unreachable(&self.url, &answer))?;
        found.surface.found_by.extend(says);
        Ok(found)
    }

    /// Makes sure that somebody listens, whatever the answer. An error says why nobody does, and what to do.
    pub(crate) fn reach(&mut self) -> Result<()> {
        let answer = self.fetch(&if self.target.origin.is_grpc() {
            inference::call("ServerLive", &[])
        } else {
            Request::get("/")
        });
        let nobody = matches!(
            answer.outcome,
            Outcome::Dns
                | Outcome::Refused
                | Outcome::Unreachable
                | Outcome::ConnectTimeout
                | Outcome::Tls
                | Outcome::WrongProtocol
        );
        if nobody {
            return Err(unreachable(&self.url, &answer).into());
        }
        Ok(())
    }

    /// One request for what a suite's own requests are made of.
    pub(crate) fn fetch(&mut self, request: &Request) -> Captured {
        self.engine.fetch(request, &self.limits, DOCUMENT_BYTES_MAX)
    }

    /// An engine against the null target, on the same clock, and the phase that it runs.
    pub(super) fn null_engine(&self) -> Result<(prony_model::Phase, NullEngine)> {
        let null = NullTarget::start().context("cannot open a port for the null target")?;
        let url = format!("http://{}", null.addr());
        let options = EngineOptions {
            seed: 1,
            threads: 1,
            rate_max: 0.0,
            stop: Arc::clone(&self.stop),
            epoch: self.epoch,
            ..EngineOptions::default()
        };
        let engine = Engine::new(&Target::new(&url)?, options)?;
        Ok((null_phase(1.0), NullEngine::new(engine, null)))
    }
}

/// The engine as it is asked to find out: for a while, and until the person says stop.
struct Asking<'a> {
    engine: &'a mut Engine,
    target: &'a Target,
    limits: &'a Limits,
    stop: &'a AtomicBool,
    began: Instant,
    patience: Patience,
}

impl Fetch for Asking<'_> {
    fn fetch(&mut self, request: &Request) -> Captured {
        if self.stop.load(Ordering::Relaxed) || !self.patience.lasts(self.began.elapsed()) {
            return Patience::no_answer(request);
        }
        let limits = self.patience.limits(self.limits);
        let answer = self.engine.fetch(request, &limits, DOCUMENT_BYTES_MAX);
        self.patience.saw(answer.outcome);
        answer
    }

    fn sends(&self, name: &str) -> bool {
        let is_signed =
            self.target.signer.is_some() && (name == "authorization" || name.starts_with("x-amz-"));
        let mut headers = self.target.headers.iter();
        is_signed || headers.any(|(own, _)| own.eq_ignore_ascii_case(name))
    }

    fn leads(&self, from: &str, location: &str) -> Option<String> {
        let origin = &self.target.origin;
        let url = origin.follow(&origin.target(from), location)?;
        let target = origin.target_of(&url)?;
        // Paths of requests are below the target's own.
        let base = origin.target("/");
        let path = target.strip_prefix(base.trim_end_matches('/'))?;
        path.starts_with('/').then(|| path.to_owned())
    }
}

/// How the engine of a suite works.
pub(crate) fn engine_options(suite: &Suite, session: &Session) -> EngineOptions {
    let run = &suite.run;
    EngineOptions {
        seed: run.seed,
        threads: run.threads,
        rate_max: run.rate_max,
        real_time: !run.normal_priority,
        stop: Arc::clone(&session.stop),
        epoch: Instant::now(),
        ..EngineOptions::default()
    }
}

/// Starts the person's command, where nothing is there already that would be taken for it.
fn begin(spec: &TargetSpec, url: &str, engine: &Engine, secrets: &Secrets) -> Result<Started> {
    if !engine.shares_host() {
        let what = format!("the command starts a process on this machine, and {url} is not on its loopback");
        return Err(Diagnostic::usage(what)
            .next("give the address on which it listens here: http://127.0.0.1:8000")
            .into());
    }
    if readiness::listens(engine.peer()) {
        let what = format!(
            "something listens on {url} already: it would be measured, and not what the command starts"
        );
        return Err(Diagnostic::usage(what)
            .next("stop it, or leave the command out")
            .next("http://127.0.0.1:0 takes a free port, which stands for {port} in the command")
            .into());
    }
    Started::command(spec, url, sending::masked(secrets))
}

/// A start that came to nothing: what happened, what was printed, what to do next.
fn not_started(started: &Started, url: &str, failure: Failure) -> Diagnostic {
    let typed = clean(&started.typed(), 300);
    let printed = match started.last_lines() {
        lines if lines.is_empty() => "; it printed nothing".to_owned(),
        lines => format!("; it printed:{lines}"),
    };
    match failure {
        Failure::Stopped => Diagnostic {
            code: ExitCode::Interrupted,
            what: format!("stopped before `{typed}` was ready"),
            place: None,
            next: Vec::new(),
        },
        Failure::Ended(end) => {
            let how = match end {
                End::Code(code) => format!("ended with exit code {code}"),
                End::Signal(signal) => format!("was ended by signal {signal}"),
            };
            Diagnostic::unreachable(format!("`{typed}` {how} before it was ready on {url}{printed}"))
                .next(format!("run it by itself until it stays up: {typed}"))
                .next("a server that goes to the background must be told to stay in the foreground")
        }
        Failure::Late(last) => {
            let seconds = started.launch.start_timeout_ms as f64 / 1000.0;
            let last = clean(&last, 200);
            Diagnostic::unreachable(format!("`{typed}` was not ready on {url} within {seconds} s: {last}{printed}"))
                .next(format!("make sure that it listens on {url}"))
                .next(
                    "--start-timeout gives it more time, and --ready names the path that tells when it is ready (in a suite: \
                     `start_timeout_ms` and `ready` in `[target.launch]`)",
                )
        }
    }
}

/// Starts the processes of a target over standard input and output. Those of a preset share the service behind one that is
/// served over HTTP.
fn bridge(spec: &TargetSpec, demo: Option<&Started>) -> Result<Option<Bridge>> {
    let Some(mut command) = stdio::command(&spec.url) else {
        if spec.processes.is_some() {
            return Err(Diagnostic::usage("Prony starts several processes of a target over standard input and output only")
                .next("leave --processes (in a suite: `processes` in `[target]`) out, or write stdio:COMMAND for the URL")
                .into());
        }
        return Ok(None);
    };
    if let (Some(preset), Some(demo)) = (preset(&spec.url), demo) {
        let upstream = demo.beside.get("upstream");
        let upstream = upstream.with_context(|| {
            format!("the preset '{preset}' does not speak over standard input and output")
        })?;
        command = stdio::preset_command(preset, upstream, &spec.knobs)?;
    }
    Bridge::start(&command, spec.processes.unwrap_or(1)).map(Some)
}

/// The key that a demo accepts, where the user gives none: who starts a server knows its key.
fn own_credential(preset: &str, spec: &TargetSpec, secrets: &Secrets) -> Option<(String, Secret)> {
    const HEADER: &str = "x-api-key";
    let is_key = |name: &str| {
        ["authorization", HEADER]
            .iter()
            .any(|key| name.eq_ignore_ascii_case(key))
    };
    let given =
        secrets.headers.iter().any(|(name, _)| is_key(name)) || spec.headers.iter().any(|h| is_key(&h.name));
    let knob = prony_backend::preset(preset)
        .ok()?
        .knobs
        .iter()
        .find(|knob| knob.name == "api_keys")?;
    let keys = spec.knobs.get(knob.name).map_or(knob.default, String::as_str);
    let key = keys.split(',').map(str::trim).find(|key| !key.is_empty())?;
    (!given && key != "none").then(|| (HEADER.to_owned(), Secret::new(key)))
}

/// A sentence when the preset that the user asked for has faults switched on.
fn planted_faults(preset: &str, knobs: &BTreeMap<String, String>) -> Option<String> {
    let def = prony_backend::preset(preset).ok()?;
    let is_on = |knob: &prony_backend::KnobDef| {
        let value = knobs.get(knob.name).map_or(knob.default, String::as_str);
        knob.fault.is_some() && !matches!(value, "false" | "off" | "no" | "0" | "none")
    };
    def.knobs.iter().any(is_on).then(|| {
        format!(
            "The target is Prony's own demo backend, preset '{preset}', which carries planted faults on purpose. \
             The checks were not told which; `prony serve --list` names them.{}",
            scaled(preset)
        )
    })
}

/// A sentence when the preset's times are not those that they stand for.
fn scaled(preset: &str) -> String {
    let scale = demo::time_scale(preset);
    if (scale - 1.0).abs() < f64::EPSILON {
        return String::new();
    }
    format!(
        " The times of the platform that it imitates last {scale} of what they stand for: 1 s here is {:.0} s there.",
        1.0 / scale
    )
}

/// Nobody answered: what was tried, what happened, what to do next.
pub(super) fn unreachable(url: &str, answer: &Captured) -> Diagnostic {
    let why = if answer.error.is_empty() {
        answer.outcome.says().to_owned()
    } else {
        clean(&answer.error, 300)
    };
    let diagnostic = Diagnostic::unreachable(format!("no answer from {url}: {why}"));
    match answer.outcome {
        Outcome::Refused => diagnostic
            .next("start the backend, or check host and port; `prony check demo` needs no backend at all"),
        // The words of a handshake say what to do.
        Outcome::Tls | Outcome::WrongProtocol if !answer.error.is_empty() => diagnostic,
        Outcome::Tls => diagnostic.next(TLS_HINT),
        Outcome::WrongProtocol => diagnostic.next(PROTOCOL_HINT),
        Outcome::ConnectTimeout if url.starts_with("https:") || url.starts_with("grpcs:") => {
            diagnostic.next(TLS_HINT)
        }
        Outcome::Dns => diagnostic.next("check the host name for a typo"),
        Outcome::Malformed if url.starts_with("http:") => diagnostic.next(OTHER_PROTOCOL_HINT),
        _ if url.starts_with("grpc") => diagnostic
            .next("check that this is the server's port for gRPC, and that --timeout is long enough"),
        _ => diagnostic.next("check that this is an HTTP server, and that --timeout is long enough"),
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{Captured, Outcome};

    use super::unreachable;

    #[test]
    fn what_is_no_http_may_be_another_protocol() {
        let answer = Captured {
            outcome: Outcome::Malformed,
            ..Captured::unsent("")
        };
        let next = unreachable("http://127.0.0.1:1", &answer).next.join(" ");
        assert!(next.contains("--http2") && next.contains("grpc://"), "{next}");
    }
}
