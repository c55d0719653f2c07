//! Servers of known capacity for the load experiments: workers that take requests in turn, exponential or equal times, a
//! queue that may be bounded. It knows no experiment.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use prony_engine::Scripted;
use prony_model::{Endpoint, Evidence, Expect, Finding, Nanos, Request, Role, SampleRequest, Surface};
use prony_stats::erlang::Queue;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

/// A good answer.
pub(super) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// The one endpoint that these servers have.
pub(super) fn surface() -> Surface {
    Surface {
        endpoints: vec![Endpoint {
            name: "GET /work".to_owned(),
            method: "GET".to_owned(),
            path: "/work".to_owned(),
            role: Role::Inference,
            parameters: Vec::new(),
            body_schema: None,
            declared_statuses: vec![200],
            samples: vec![SampleRequest {
                request: Request::get("/work"),
                inputs: BTreeMap::new(),
            }],
            expect: Expect::default(),
        }],
        ..Surface::default()
    }
}

/// Workers that take requests first come, first served.
pub(super) struct Workers {
    rng: ChaCha8Rng,
    mean: Nanos,
    /// When each is free again.
    free: BinaryHeap<Reverse<Nanos>>,
    /// When those that wait will be taken, ascending.
    starts: VecDeque<Nanos>,
}

impl Workers {
    /// So many, with exponential times of that mean.
    pub(super) fn new(workers: u32, mean: Nanos, seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            mean,
            free: (0..workers).map(|_| Reverse(Nanos::ZERO)).collect(),
            starts: VecDeque::new(),
        }
    }

    /// Requests that wait at `now`.
    pub(super) fn waiting(&mut self, now: Nanos) -> usize {
        while self.starts.front().is_some_and(|start| *start <= now) {
            self.starts.pop_front();
        }
        self.starts.len()
    }

    /// Takes a request whose work is `factor` times the usual: when it is done.
    pub(super) fn take(&mut self, now: Nanos, factor: f64) -> Nanos {
        let next = self.free.pop().map_or(now, |Reverse(at)| at);
        let start = next.max(now);
        if start > now {
            self.starts.push_back(start);
        }
        let draw: f64 = Exp1.sample(&mut self.rng);
        let done = start + Nanos((draw * factor * self.mean.0 as f64) as u64);
        self.free.push(Reverse(done));
        done
    }
}

/// The highest rate per second at which 95 % of the requests to so many workers with an endless queue are answered within the
/// limit, from the tail of M/M/c.
pub(super) fn capacity_per_s(workers: u32, service_ms: f64, limit_ms: f64) -> f64 {
    let keeps = |per_ms: f64| {
        Queue::new(workers, per_ms, service_ms).is_some_and(|q| q.response_tail(limit_ms) <= 0.05)
    };
    let (mut low, mut high) = (0.0, f64::from(workers) / service_ms);
    while high - low > 1e-12 {
        let middle = f64::midpoint(low, high);
        if keeps(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    1000.0 * low
}

/// A figure of a finding.
pub(super) fn figure(finding: &Finding, label: &str) -> Option<f64> {
    finding.evidence.iter().find_map(|e| match e {
        Evidence::Figure(f) if f.label == label => Some(f.value),
        _ => None,
    })
}

/// An endless queue.
pub(super) struct Endless(pub Workers);

impl Scripted for Endless {
    fn take(&mut self, now: Nanos, _: &[u8]) -> (Cow<'static, [u8]>, Nanos) {
        (Cow::Borrowed(OK), self.0.take(now, 1.0))
    }
}
