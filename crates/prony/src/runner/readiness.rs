//! From the start of a process to its first good answers: when somebody listens, lives and is ready, each asked for again and again.
//! It judges nothing.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use prony_engine::Engine;
use prony_model::{Limits, Nanos, Reading, Request, Role, Surface};
use prony_wire::Peer;

use super::process::{End, Process};
use crate::discovery::health_paths;

/// Longest wait for one answer.
const ANSWER_TIMEOUT_MS: u64 = 1000;
/// Largest answer that is read.
const BYTES_MAX: u32 = 64 << 10;
/// The pause between looks is such a part of the time since the start, within bounds: that is how exact the times are.
const PARTS: u32 = 100;
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// Paths of probes that are not among the usual places.
const FURTHER: [&str; 5] = [
    "/health/startup",
    "/startupz",
    "/live",
    "/ready",
    "/v2/health/ready",
];

/// What a probe asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Startup,
    Live,
    Ready,
}

/// Paths that tell how far a start is.
#[derive(Clone, Debug)]
pub(super) struct Probes {
    paths: Vec<(Kind, Vec<String>)>,
    /// The person named the path of readiness: it must be there.
    is_named: bool,
}

impl Probes {
    /// Those of the target where they are known, else all usual ones; the person's own word counts first.
    pub(super) fn of(surface: Option<&Surface>, named: Option<&str>) -> Self {
        let known: Vec<&str> = surface
            .into_iter()
            .flat_map(|surface| &surface.endpoints)
            .filter(|e| e.role == Role::Health && e.method == "GET" && !e.path.contains('{'))
            .map(|e| e.path.as_str())
            .collect();
        let all: Vec<&str> = if known.is_empty() {
            health_paths().chain(FURTHER).collect()
        } else {
            known
        };
        let of = |kind| {
            all.iter()
                .filter(|p| kind_of(p) == kind)
                .map(|p| (*p).to_owned())
                .collect()
        };
        let ready = named.map_or_else(|| of(Kind::Ready), |path| vec![path.to_owned()]);
        Self {
            paths: vec![
                (Kind::Startup, of(Kind::Startup)),
                (Kind::Live, of(Kind::Live)),
                (Kind::Ready, ready),
            ],
            is_named: named.is_some(),
        }
    }
}

/// What a health path tells, by its last segment.
fn kind_of(path: &str) -> Kind {
    match path.trim_end_matches('/').rsplit('/').next().unwrap_or_default() {
        "ready" | "readyz" | "readiness" => Kind::Ready,
        "startup" | "startupz" => Kind::Startup,
        _ => Kind::Live,
    }
}

/// When what was seen first, since the start of the process.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    listen: Option<Duration>,
    answer: Option<Duration>,
    startup: Option<Duration>,
    live: Option<Duration>,
    ready: Option<Duration>,
}

impl Course {
    /// As a reading at the moment of the start: `listen_ms`, `answer_ms`, `startup_ms`, `live_ms`, `ready_ms`; what the target has
    /// no probe for is absent.
    pub(super) fn reading(&self, at: Nanos) -> Reading {
        let seen = [
            ("listen_ms", self.listen),
            ("answer_ms", self.answer),
            ("startup_ms", self.startup),
            ("live_ms", self.live),
            ("ready_ms", self.ready),
        ];
        Reading {
            at,
            monitor: "start".to_owned(),
            values: seen
                .into_iter()
                .filter_map(|(name, time)| Some((name.to_owned(), 1000.0 * time?.as_secs_f64())))
                .collect::<BTreeMap<_, _>>(),
        }
    }

    fn of(&mut self, kind: Kind) -> &mut Option<Duration> {
        match kind {
            Kind::Startup => &mut self.startup,
            Kind::Live => &mut self.live,
            Kind::Ready => &mut self.ready,
        }
    }
}

/// Why a start came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The process ended.
    Ended(End),
    /// It took too long; what was seen last.
    Late(String),
    /// The person asked to stop.
    Stopped,
}

/// Whether somebody accepts connections there.
pub(super) fn listens(peer: &Peer) -> bool {
    match peer {
        Peer::Tcp(address) => TcpStream::connect_timeout(address, Duration::from_secs(1)).is_ok(),
        Peer::Unix(path) => UnixStream::connect(path).is_ok(),
        Peer::Inner => false,
    }
}

/// Waits until the target is ready.
pub(super) fn watch(
    process: &mut Process,
    engine: &mut Engine,
    probes: &Probes,
    timeout: Duration,
    stop: &AtomicBool,
) -> Result<Course, Failure> {
    let mut course = Course::default();
    let mut asked = probes.clone();
    let mut last = String::new();
    let spawned = process.spawned;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Failure::Stopped);
        }
        if let Some(end) = process.ended() {
            return Err(Failure::Ended(end));
        }
        if spawned.elapsed() >= timeout {
            return Err(Failure::Late(last));
        }
        if course.listen.is_none() && listens(engine.peer()) {
            course.listen = Some(spawned.elapsed());
        }
        if course.listen.is_none() {
            "nobody listens there".clone_into(&mut last);
        } else if ask(engine, &mut asked, spawned, &mut course, &mut last) {
            return Ok(course);
        }
        thread::sleep((spawned.elapsed() / PARTS).clamp(PAUSE_MIN, PAUSE_MAX));
    }
}

/// One round of questions; whether nothing is left to ask.
fn ask(
    engine: &mut Engine,
    asked: &mut Probes,
    spawned: Instant,
    course: &mut Course,
    last: &mut String,
) -> bool {
    let limits = Limits {
        timeout_ms: ANSWER_TIMEOUT_MS,
        ..Limits::default()
    };
    for k in 0..asked.paths.len() {
        let (kind, paths) = &mut asked.paths[k];
        let is_named = asked.is_named && *kind == Kind::Ready;
        let mut at = 0;
        while at < paths.len() && course.of(*kind).is_none() {
            let answer = engine.fetch(&Request::get(&paths[at]), &limits, BYTES_MAX);
            let now = spawned.elapsed();
            if answer.status == 0 {
                *last = format!("{} gives no answer: it {}", paths[at], answer.outcome.says());
                // It must not keep the others from being asked.
                asked.paths.rotate_left(k + 1);
                return false;
            }
            *last = format!("{} answers {}", paths[at], answer.status);
            course.answer.get_or_insert(now);
            match answer.status {
                200..=299 => *course.of(*kind) = Some(now),
                // It is not there, or tells strangers nothing.
                300..=499 if answer.status != 429 && !is_named => drop(paths.remove(at)),
                _ => at += 1,
            }
        }
    }
    asked
        .paths
        .iter()
        .all(|(kind, paths)| paths.is_empty() || course.of(*kind).is_some())
}

#[cfg(test)]
mod tests {
    use prony_model::{Nanos, Surface};

    use super::{Course, Kind, Probes, kind_of};
    use std::time::Duration;

    #[test]
    fn paths_tell_by_their_last_word() {
        for (path, kind) in [
            ("/health/ready", Kind::Ready),
            ("/readyz", Kind::Ready),
            ("/health/startup", Kind::Startup),
            ("/api/health", Kind::Live),
            ("/livez/", Kind::Live),
        ] {
            assert_eq!(kind_of(path), kind, "{path}");
        }
        let probes = Probes::of(Some(&Surface::default()), Some("/up"));
        assert_eq!(probes.paths[2], (Kind::Ready, vec!["/up".to_owned()]));
        assert!(probes.paths[1].1.contains(&"/healthz".to_owned()), "{probes:?}");
    }

    #[test]
    fn what_was_not_seen_is_not_told() {
        let course = Course {
            listen: Some(Duration::from_millis(1500)),
            ..Course::default()
        };
        let reading = course.reading(Nanos(7));
        assert_eq!(
            reading.values.into_iter().collect::<Vec<_>>(),
            [("listen_ms".to_owned(), 1500.0)]
        );
    }
}
