//! The overload script against four servers, each of which takes too much load in its own way.

use std::borrow::Cow;

use prony_engine::Scripted;
use prony_model::{Budget, Finding, Nanos, Verdict};
use serde_json::json;

use super::queue::{Endless, OK, Workers, capacity_per_s, figure, surface};
use crate::drive::Drive;
use crate::effort::Effort;
use crate::measure::{Bound, Case, Kind, Measure};

/// Mean time of one request.
const SERVICE_MS: f64 = 40.0;
/// Length of the script, in s.
const SCRIPT_S: f64 = 510.0;
/// What is said of a server that is not back when a shorter watch ends.
const NOT_BACK_YET: &str = "metastable or slow to recover";
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";

pub(super) const CLASSES: Case = Case {
    question: "overload",
    criterion: "Four servers are told apart in at least 19 of 20 runs each: a bounded queue that refuses at once (graceful), an endless \
                queue whose clients give up (congestion collapse), the same with clients that retry (metastable), and one that goes \
                down and restarts. So is a server whose work grows with its queue, without retries (metastable). The shorter script of \
                --thorough watches the end for 64 s instead of 300, and calls that server metastable or slow to recover. So it calls one \
                with a breaker that stays half open for two minutes, and warns: the full script finds that one slow to recover and \
                graceful.",
    remark: "",
    run: |effort| {
        vec![
            classified(
                effort,
                "bounded queue, 503 at once",
                "graceful",
                bounded,
                Script::Full,
            ),
            classified(
                effort,
                "endless queue, clients give up",
                "congestion collapse",
                endless,
                Script::Full,
            ),
            classified(
                effort,
                "the same, clients retry",
                "metastable",
                endless,
                Script::WithRetries,
            ),
            classified(
                effort,
                "work grows with the queue",
                "metastable",
                thrashing,
                Script::Full,
            ),
            classified(
                effort,
                "crash and restart",
                "crashes and restarts",
                crashing,
                Script::Full,
            ),
            classified(
                effort,
                "work grows with the queue, as long as --thorough",
                NOT_BACK_YET,
                thrashing,
                Script::Shipped,
            ),
            warned(
                effort,
                "half-open breaker, as long as --thorough",
                NOT_BACK_YET,
                half_open,
                Script::Shipped,
            ),
            warned(effort, "half-open breaker", "graceful", half_open, Script::Full),
        ]
    },
};

pub(super) const GOODPUT: Case = Case {
    question: "overload",
    criterion: "Goodput kept by a bounded queue at twice its capacity is within 0.05 of what theory gives, \
                min(1, c mu / lambda) lambda / lambda*, in at least 19 of 20 runs.",
    remark: "",
    run: |effort| {
        let (workers, slo_ms) = (8, 6.0 * SERVICE_MS);
        let capacity = capacity_per_s(workers, SERVICE_MS, slo_ms);
        let most = f64::from(workers) / SERVICE_MS * 1000.0;
        let truth = (most / (2.0 * capacity)).min(1.0) * 2.0;
        let near: Vec<bool> = effort.each(20, |seed| {
            let finding = surged(seed, bounded, Script::Full);
            figure(&finding, "goodput kept at twice the capacity")
                .is_some_and(|percent| (percent / 100.0 - truth).abs() <= 0.05)
        });
        vec![
            Measure::rate(format!("within 0.05 of {truth:.3}"), &near, Bound::AtLeast(0.95))
                .counts(Kind::Accuracy),
        ]
    },
};

/// A server and what is known of it.
struct Known {
    server: Box<dyn Scripted>,
    capacity: f64,
    slo_ms: f64,
}

/// Which surge a server meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    /// In its full length.
    Full,
    /// The same after it, with clients that retry.
    WithRetries,
    /// As it is without any parameter in a thorough run.
    Shipped,
}

fn classified(effort: Effort, what: &str, class: &str, of: fn(u64) -> Known, script: Script) -> Measure {
    let right: Vec<bool> = effort.each(20, |seed| surged(seed, of, script).title.contains(class));
    Measure::rate(format!("{what}: called {class}"), &right, Bound::AtLeast(0.95))
}

/// The same, where it must be no more and no less than a warning.
fn warned(effort: Effort, what: &str, class: &str, of: fn(u64) -> Known, script: Script) -> Measure {
    let right: Vec<bool> = effort.each(20, |seed| {
        let finding = surged(seed, of, script);
        finding.title.contains(class) && finding.verdict == Verdict::Warn
    });
    Measure::rate(
        format!("{what}: warned of as {class}"),
        &right,
        Bound::AtLeast(0.95),
    )
}

/// The finding of a run, that of the surge with retries where the script asks for it.
fn surged(seed: u64, of: fn(u64) -> Known, script: Script) -> Finding {
    let Known {
        server,
        capacity,
        slo_ms,
    } = of(seed);
    let surface = surface();
    let drive = Drive {
        surface: &surface,
        budget: Budget::Thorough,
        seed,
        monitor: &mut |_| Vec::new(),
    };
    let full = |retries: bool| {
        let surges = if retries { 2.0 } else { 1.0 };
        json!({
            "rate": capacity, "slo_ms": slo_ms, "retries": retries, "duration_s": SCRIPT_S * surges / 0.9,
        })
    };
    let (params, id) = match script {
        Script::Full => (full(false), "overload"),
        Script::WithRetries => (full(true), "overload-with-retries"),
        Script::Shipped => (json!({ "rate": capacity, "slo_ms": slo_ms }), "overload"),
    };
    let driven = drive.run(&[("overload", params)], Boxed(server));
    driven.finding(id).expect("there always is one").clone()
}

struct Boxed(Box<dyn Scripted>);

impl Scripted for Boxed {
    fn take(&mut self, now: Nanos, request: &[u8]) -> (Cow<'static, [u8]>, Nanos) {
        self.0.take(now, request)
    }

    fn closes(&self) -> bool {
        self.0.closes()
    }
}

fn workers(count: u32, seed: u64) -> Workers {
    Workers::new(count, Nanos::from_millis_f64(SERVICE_MS), seed ^ 0x5eed)
}

/// Eight workers and a queue of sixteen: what waits for two service times is answered in time.
struct Bounded(Workers);

impl Scripted for Bounded {
    fn take(&mut self, now: Nanos, _: &[u8]) -> (Cow<'static, [u8]>, Nanos) {
        if self.0.waiting(now) >= 16 {
            return (Cow::Borrowed(BUSY), now + Nanos::from_millis_f64(1.0));
        }
        (Cow::Borrowed(OK), self.0.take(now, 1.0))
    }
}

fn bounded(seed: u64) -> Known {
    let slo_ms = 6.0 * SERVICE_MS;
    Known {
        server: Box::new(Bounded(workers(8, seed))),
        capacity: capacity_per_s(8, SERVICE_MS, slo_ms),
        slo_ms,
    }
}

/// The same with a breaker: once it has refused far more than it took for a while, every second request is refused for two
/// minutes, however little comes.
struct HalfOpen {
    workers: Workers,
    /// Requests that met a full queue less those that were taken, never below none.
    pressed: u32,
    /// Until when every second request is refused.
    until: Nanos,
    refused_last: bool,
}

impl HalfOpen {
    /// At three times the capacity it is reached within a second, at twice the capacity never: more are taken than refused.
    const PRESSED_MAX: u32 = 50;
    const OPEN: Nanos = Nanos(120_000_000_000);
}

impl Scripted for HalfOpen {
    fn take(&mut self, now: Nanos, _: &[u8]) -> (Cow<'static, [u8]>, Nanos) {
        let busy = (Cow::Borrowed(BUSY), now + Nanos::from_millis_f64(1.0));
        self.refused_last = now < self.until && !self.refused_last;
        if self.refused_last {
            return busy;
        }
        if self.workers.waiting(now) >= 16 {
            self.pressed += 1;
            if self.pressed >= Self::PRESSED_MAX && now >= self.until {
                self.until = now + Self::OPEN;
            }
            return busy;
        }
        self.pressed = self.pressed.saturating_sub(1);
        (Cow::Borrowed(OK), self.workers.take(now, 1.0))
    }
}

fn half_open(seed: u64) -> Known {
    Known {
        server: Box::new(HalfOpen {
            workers: workers(8, seed),
            pressed: 0,
            until: Nanos::ZERO,
            refused_last: false,
        }),
        ..bounded(seed)
    }
}

/// Four workers; it works on for clients that have gone. The limit leaves room to catch up at 0.8 of the capacity.
fn endless(seed: u64) -> Known {
    let slo_ms = 4.0 * SERVICE_MS;
    Known {
        server: Box::new(Endless(workers(4, seed))),
        capacity: capacity_per_s(4, SERVICE_MS, slo_ms),
        slo_ms,
    }
}

/// Each request in the queue makes all work longer, up to three times: what a long queue once slows down stays slow.
struct Thrashing(Workers);

impl Scripted for Thrashing {
    fn take(&mut self, now: Nanos, _: &[u8]) -> (Cow<'static, [u8]>, Nanos) {
        let longer = 1.0 + (self.0.waiting(now) as f64 / 100.0).min(2.0);
        (Cow::Borrowed(OK), self.0.take(now, longer))
    }
}

fn thrashing(seed: u64) -> Known {
    Known {
        server: Box::new(Thrashing(workers(4, seed))),
        ..endless(seed)
    }
}

/// Once too many wait it goes down as soon as those are served, loses what came after them, resets whoever comes, and is new
/// after twenty seconds.
struct Crashing {
    workers: Workers,
    seed: u64,
    /// When it goes down.
    ends: Option<Nanos>,
    closes: bool,
}

impl Crashing {
    const WAITING_MAX: usize = 100;
    const DOWN: Nanos = Nanos(20_000_000_000);
}

impl Scripted for Crashing {
    fn take(&mut self, now: Nanos, _: &[u8]) -> (Cow<'static, [u8]>, Nanos) {
        self.closes = false;
        if self.ends.is_some_and(|ends| now >= ends + Self::DOWN) {
            self.ends = None;
            self.seed += 1;
            self.workers = workers(4, self.seed);
        }
        if self.ends.is_some_and(|ends| now >= ends) {
            self.closes = true;
            return (Cow::Borrowed(b""), now + Nanos::from_millis_f64(1.0));
        }
        let done = self.workers.take(now, 1.0);
        match self.ends {
            Some(ends) if done > ends => {
                self.closes = true;
                (Cow::Borrowed(b""), ends)
            }
            Some(_) => (Cow::Borrowed(OK), done),
            None => {
                if self.workers.waiting(now) > Self::WAITING_MAX {
                    self.ends = Some(done);
                }
                (Cow::Borrowed(OK), done)
            }
        }
    }

    fn closes(&self) -> bool {
        self.closes
    }
}

fn crashing(seed: u64) -> Known {
    Known {
        server: Box::new(Crashing {
            workers: workers(4, seed),
            seed,
            ends: None,
            closes: false,
        }),
        ..endless(seed)
    }
}
