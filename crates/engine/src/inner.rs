//! Servers that exist only in this process: `null:` answers at once and costs nothing, so that what remains is the
//! engine's own ceiling; `sim:` is a queue with workers in simulated time, whose right answers a person can compute, and
//! of which an hour takes seconds; a script is any server that a program writes, in simulated time too. Opens no socket.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prony_model::Nanos;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What every request is answered with.
pub(crate) const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{\"status\":\"ok\"}";
/// What a request is answered with that finds the queue full.
pub(crate) const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

/// A server within this process, as a target.
#[derive(Clone, Debug, PartialEq)]
pub enum Inner {
    /// Answers at once.
    Null,
    /// A queue in simulated time.
    Sim(Simulation),
    /// A server of the caller's, in simulated time.
    Scripted(ScriptedServer),
}

/// A server that a program writes, to hold conclusions against a truth it knows.
pub trait Scripted: Send {
    /// A request comes at `now`, as the bytes that were sent: the bytes of its answer, and when they are there (not before
    /// `now`). Called in the order of time. No bytes leave the request without an answer.
    fn take(&mut self, now: Nanos, request: &[u8]) -> (Cow<'static, [u8]>, Nanos);

    /// Whether the connection of the request that was taken last ends with its answer. One that ends at a time without any
    /// bytes was reset, as by a server that went down.
    fn closes(&self) -> bool {
        false
    }
}

/// A [`Scripted`] server as a target. It keeps its state from phase to phase; clones are the same server.
#[derive(Clone)]
pub struct ScriptedServer(Arc<Mutex<dyn Scripted>>);

impl ScriptedServer {
    /// That server as a target.
    pub fn new(server: impl Scripted + 'static) -> Self {
        Self(Arc::new(Mutex::new(server)))
    }
}

impl fmt::Debug for ScriptedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptedServer")
    }
}

impl PartialEq for ScriptedServer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A queue: `workers` of them take requests in the order in which they come.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulation {
    /// Mean time of one request, in nanoseconds.
    pub service: Nanos,
    /// Whether times are exponential with that mean, rather than all the same.
    pub exponential: bool,
    /// How many requests are worked on at once; at least 1.
    pub workers: u32,
    /// Requests that may wait; those beyond are answered 503.
    pub queue: u32,
    /// It stands still for the last so many nanoseconds (first) of every so many (second).
    pub freeze: Option<(Nanos, Nanos)>,
    /// Seed of the times.
    pub seed: u64,
}

impl Default for Simulation {
    fn default() -> Self {
        Self {
            service: Nanos(1_000_000),
            exponential: false,
            workers: 1,
            queue: u32::MAX,
            freeze: None,
            seed: 0,
        }
    }
}

impl Inner {
    /// From `null:` or `sim:service=5ms,workers=4,...`; `None` when the text names another kind of target. The error
    /// says what to write.
    pub fn parse(text: &str) -> Option<Result<Self, String>> {
        if text == "null:" {
            return Some(Ok(Self::Null));
        }
        text.strip_prefix("sim:")
            .map(|settings| Simulation::parse(settings).map(Self::Sim))
    }
}

impl Simulation {
    fn parse(settings: &str) -> Result<Self, String> {
        let mut simulation = Self::default();
        for setting in settings.split(',').filter(|s| !s.is_empty()) {
            let wrong = || {
                format!(
                    "{setting:?} is no setting of a simulated server: write service=5ms, spread=constant or \
                     spread=exponential, workers=4, queue=100, freeze=1s/10s, seed=1"
                )
            };
            let (name, value) = setting.split_once('=').ok_or_else(wrong)?;
            match name {
                "service" => simulation.service = time(value).ok_or_else(wrong)?,
                "spread" => {
                    simulation.exponential = match value {
                        "exponential" => true,
                        "constant" => false,
                        _ => return Err(wrong()),
                    }
                }
                "workers" => simulation.workers = value.parse().ok().filter(|n| *n > 0).ok_or_else(wrong)?,
                "queue" => simulation.queue = value.parse().map_err(|_| wrong())?,
                "seed" => simulation.seed = value.parse().map_err(|_| wrong())?,
                "freeze" => {
                    let (length, every) = value.split_once('/').ok_or_else(wrong)?;
                    let pair = time(length).zip(time(every)).filter(|(l, e)| l < e);
                    simulation.freeze = Some(pair.ok_or_else(wrong)?);
                }
                _ => return Err(wrong()),
            }
        }
        Ok(simulation)
    }
}

/// `5ms`, `250us`, `1.5s`.
fn time(text: &str) -> Option<Nanos> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(at);
    let seconds = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        "us" => 1e-6,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    (number.is_finite() && number >= 0.0).then(|| Nanos::from_secs_f64(number * seconds))
}

/// The running server.
#[derive(Debug)]
pub(crate) enum Server {
    Null,
    Sim(Box<Queue>),
    Scripted(ScriptedServer),
}

#[derive(Debug)]
pub(crate) struct Queue {
    simulation: Simulation,
    rng: ChaCha8Rng,
    /// When each worker is free again.
    free: BinaryHeap<Reverse<Nanos>>,
    /// When those that wait will be taken, ascending.
    starts: VecDeque<Nanos>,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) struct Coming {
    /// Its answer; without bytes it has none.
    pub(crate) answer: Cow<'static, [u8]>,
    /// When that is there.
    pub(crate) at: Nanos,
    /// Whether the connection ends then.
    pub(crate) closes: bool,
}

impl Server {
    pub(crate) fn new(inner: &Inner) -> Self {
        match inner {
            Inner::Null => Self::Null,
            Inner::Sim(simulation) => Self::Sim(Box::new(Queue {
                rng: ChaCha8Rng::seed_from_u64(simulation.seed),
                free: (0..simulation.workers).map(|_| Reverse(Nanos::ZERO)).collect(),
                starts: VecDeque::new(),
                simulation: simulation.clone(),
            })),
            Inner::Scripted(server) => Self::Scripted(server.clone()),
        }
    }

    /// A request comes at `now`: what becomes of it.
    pub(crate) fn take(&mut self, now: Nanos, request: &[u8]) -> Coming {
        let (answer, at, closes) = match self {
            Self::Null => (Cow::Borrowed(ANSWER), now, false),
            Self::Sim(queue) => {
                let (answer, at) = queue.take(now);
                (Cow::Borrowed(answer), at, false)
            }
            Self::Scripted(server) => {
                let mut server = server.0.lock().unwrap_or_else(PoisonError::into_inner);
                let (answer, at) = server.take(now, request);
                (answer, at, server.closes())
            }
        };
        Coming { answer, at, closes }
    }
}

impl Queue {
    fn take(&mut self, now: Nanos) -> (&'static [u8], Nanos) {
        while self.starts.front().is_some_and(|start| *start <= now) {
            self.starts.pop_front();
        }
        let next = self.free.peek().map_or(now, |Reverse(at)| *at);
        if next > now && self.starts.len() as u64 >= u64::from(self.simulation.queue) {
            return (BUSY, now);
        }
        self.free.pop();
        let start = next.max(now);
        if start > now {
            self.starts.push_back(start);
        }
        let mean = self.simulation.service;
        let work = if self.simulation.exponential {
            let draw: f64 = self.rng.random();
            Nanos((-(1.0 - draw).ln() * mean.0 as f64) as u64)
        } else {
            mean
        };
        let done = self.through(start, work);
        self.free.push(Reverse(done));
        (ANSWER, done)
    }

    /// When work that starts at `start` is done, with the times in which the server stands still.
    fn through(&self, mut start: Nanos, mut work: Nanos) -> Nanos {
        let Some((length, every)) = self.simulation.freeze else {
            return start + work;
        };
        let awake = every - length;
        loop {
            let at = Nanos(start.0 % every.0);
            let left = awake - at;
            if at < awake && work <= left {
                return start + work;
            }
            work = work - left;
            start += every - at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BUSY, Inner, Server, Simulation};
    use prony_model::Nanos;

    const MS: u64 = 1_000_000;

    fn server(settings: &str) -> Server {
        Server::new(&Inner::parse(&format!("sim:{settings}")).unwrap().unwrap())
    }

    #[test]
    fn settings() {
        assert_eq!(Inner::parse("http://127.0.0.1"), None);
        assert_eq!(Inner::parse("null:"), Some(Ok(Inner::Null)));
        let read =
            Inner::parse("sim:service=2.5ms,spread=exponential,workers=4,queue=9,freeze=1s/10s,seed=3");
        let expected = Simulation {
            service: Nanos(2_500_000),
            exponential: true,
            workers: 4,
            queue: 9,
            freeze: Some((Nanos::SECOND, Nanos(10 * Nanos::SECOND.0))),
            seed: 3,
        };
        assert_eq!(read, Some(Ok(Inner::Sim(expected))));
        for bad in [
            "x=1",
            "workers=0",
            "service=5",
            "service=-1ms",
            "freeze=10s/1s",
            "spread=odd",
        ] {
            let error = Inner::parse(&format!("sim:{bad}")).unwrap().unwrap_err();
            assert!(error.contains("write service=5ms"), "{error}");
        }
    }

    #[test]
    fn two_workers_and_room_for_one() {
        let mut server = server("service=10ms,workers=2,queue=1");
        let taken: Vec<_> = (0..4).map(|_| server.take(Nanos(MS), b"")).collect();
        let times: Vec<u64> = taken.iter().map(|coming| coming.at.0 / MS).collect();
        assert_eq!(times, [11, 11, 21, 1], "the fourth is turned away");
        assert_eq!(*taken[3].answer, *BUSY);
        assert_eq!(server.take(Nanos(12 * MS), b"").at, Nanos(22 * MS));
    }

    #[test]
    fn work_stops_while_it_stands_still() {
        let mut server = server("service=1ms,workers=1,freeze=10ms/100ms");
        assert_eq!(server.take(Nanos(50 * MS), b"").at, Nanos(51 * MS));
        // Half a millisecond before the freeze, and half after it.
        assert_eq!(
            server.take(Nanos(89 * MS + MS / 2), b"").at,
            Nanos(100 * MS + MS / 2)
        );
        assert_eq!(server.take(Nanos(195 * MS), b"").at, Nanos(201 * MS));
    }
}
