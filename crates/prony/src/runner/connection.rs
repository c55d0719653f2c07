//! A target that answers: the engine bound to it, and the process behind it when that is on this host.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use prony_engine::monitors::{self, Watched};
use prony_engine::null_target::NullTarget;
use prony_engine::{Engine, EngineOptions, Target};
use prony_model::{Captured, Limits, Outcome, Request, Secret, Suite, Surface, TargetSpec};

use super::behind::Behind;
use super::demo::{self, Demo};
use super::patience::Patience;
use super::stdio::{self, Bridge};
use super::{NullEngine, null_phase};
use crate::diagnostic::Diagnostic;
use crate::discovery::{self, Discovery, Told};
use crate::sending;
use crate::session::Session;
use crate::text::clean;

/// What to do when a TLS handshake failed or never ended.
pub(crate) const TLS_HINT: &str = "check the scheme: a port without TLS is written http://...; for a certificate that \
                                   is not trusted use --cacert or --insecure";

/// What to do when the target does not speak the protocol that was asked for.
pub(crate) const PROTOCOL_HINT: &str = "drop --http2 (in a suite: `http = \"2\"`), or check scheme and port";

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
    demo: Option<Demo>,
    _bridge: Option<Bridge>,
}

impl Connection {
    /// Starts the demo if the target is one, and binds an engine to the target. Sends nothing yet.
    pub(crate) fn open(suite: &Suite, secrets: &[(String, Secret)], session: &Session) -> Result<Self> {
        let spec = &suite.target;
        let demo = match preset(&spec.url) {
            Some(preset) => Some(Demo::start(preset, &spec.knobs)?),
            None => None,
        };
        let bridge = stdio::command(&spec.url)
            .map(|command| Bridge::start(&command, spec.processes.unwrap_or(1)))
            .transpose()?;
        let started = demo.as_ref().map(|demo| demo.url.as_str());
        let started = started.or(bridge.as_ref().map(|bridge| bridge.url.as_str()));
        let url = started.unwrap_or(spec.url.as_str());
        let own = preset(&spec.url).and_then(|name| own_credential(name, spec, secrets));
        let secrets = [secrets, own.as_slice()].concat();
        let target = sending::target(url, spec, &secrets)?;
        let epoch = Instant::now();
        let options = EngineOptions {
            seed: suite.run.seed,
            threads: suite.run.threads,
            rate_max: suite.run.rate_max,
            real_time: !suite.run.normal_priority,
            stop: Arc::clone(&session.stop),
            epoch,
            ..EngineOptions::default()
        };
        let engine = Engine::new(&target, options)?;
        let is_local = engine.shares_host();
        let listening = || {
            let port = engine.peer().port().filter(|_| is_local);
            port.and_then(monitors::listening_pid)
        };
        let contained = || spec.container.as_deref().and_then(monitors::container_pid);
        let pid = spec
            .pid
            .or_else(contained)
            .or_else(|| demo.as_ref().map(Demo::pid))
            .or_else(|| bridge.as_ref().and_then(Bridge::pid))
            .or_else(listening);
        let behind = spec
            .upstream
            .as_deref()
            .or(demo.as_ref().and_then(|demo| demo.upstream.as_deref()));
        let behind = behind
            .map(|url| Behind::open(url, &spec.allow_hosts, epoch))
            .transpose()?;
        Ok(Self {
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
            demo,
            _bridge: bridge,
        })
    }

    /// Starts the target anew on the same address, if it was started here: how long it took until it was ready again.
    pub(super) fn restart(&mut self) -> Result<Option<Duration>> {
        let Some(demo) = self.demo.take() else {
            return Ok(None);
        };
        let began = Instant::now();
        let demo = demo.again()?;
        self.pid = Some(demo.pid());
        self.demo = Some(demo);
        Ok(Some(began.elapsed()))
    }

    /// What of the target can be watched while it is under load.
    pub(super) fn watched(&self, spec: &TargetSpec, surface: &Surface) -> Result<Watched> {
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
        let limits = Limits {
            redirects_max: 5,
            ..self.limits.clone()
        };
        let engine = &mut self.engine;
        let stop = &self.stop;
        let began = Instant::now();
        let mut patience = Patience::default();
        let mut fetch = |request: &Request| {
            if stop.load(Ordering::Relaxed) || !patience.lasts(began.elapsed()) {
                return Patience::no_answer(request);
            }
            let answer = engine.fetch(request, &patience.limits(&limits), DOCUMENT_BYTES_MAX);
            patience.saw(answer.outcome);
            answer
        };
        let mut found =
            discovery::discover(&mut fetch, path, told).map_err(|answer| unreachable(&self.url, &answer))?;
        found.surface.found_by.extend(patience.says());
        Ok(found)
    }

    /// Makes sure that somebody listens, whatever the answer. An error says why nobody does, and what to do.
    pub(crate) fn reach(&mut self) -> Result<()> {
        let answer = self.get("/");
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

    /// One GET, for documents that a suite names.
    pub(crate) fn get(&mut self, path: &str) -> Captured {
        self.engine
            .fetch(&Request::get(path), &self.limits, DOCUMENT_BYTES_MAX)
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

/// The preset of a `demo` target.
fn preset(url: &str) -> Option<&str> {
    if url == "demo" {
        Some("enso")
    } else {
        url.strip_prefix("demo:")
    }
}

/// The key that a demo accepts, where the user gives none: who starts a server knows its key.
fn own_credential(preset: &str, spec: &TargetSpec, secrets: &[(String, Secret)]) -> Option<(String, Secret)> {
    const HEADER: &str = "x-api-key";
    let is_key = |name: &str| {
        ["authorization", HEADER]
            .iter()
            .any(|key| name.eq_ignore_ascii_case(key))
    };
    let given = secrets.iter().any(|(name, _)| is_key(name)) || spec.headers.iter().any(|h| is_key(&h.name));
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
        Outcome::ConnectTimeout if url.starts_with("https:") => diagnostic.next(TLS_HINT),
        Outcome::Dns => diagnostic.next("check the host name for a typo"),
        _ => diagnostic.next("check that this is an HTTP server, and that --timeout is long enough"),
    }
}
