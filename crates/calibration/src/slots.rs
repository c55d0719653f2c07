//! Servers in simulated time that the cases of load and latency share: so many slots, first come first served, with times that a
//! case gives. A request for `/health` does no work and waits for nobody.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use prony_engine::Scripted;
use prony_model::{
    Arrivals, Capture, Endpoint, Expect, Item, Limits, Nanos, Phase, Request, Role, SampleRequest, Scenario,
    Shape, Surface,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{\"status\":\"ok\"}";

/// The endpoint that works.
pub(crate) const WORK: &str = "POST /work";

/// So many slots, and how long each request takes in one.
pub(crate) struct Slots<F> {
    /// When each slot is free again.
    free: BinaryHeap<Reverse<Nanos>>,
    /// Of every request, also of those without work, in ms.
    path_ms: f64,
    /// Work of the request with that number from 0, in ms.
    work_ms: F,
    rng: ChaCha8Rng,
    taken: u64,
}

impl<F: FnMut(u64, &mut ChaCha8Rng) -> f64 + Send> Slots<F> {
    pub(crate) fn new(slots: usize, path_ms: f64, seed: u64, work_ms: F) -> Self {
        Self {
            free: (0..slots).map(|_| Reverse(Nanos::ZERO)).collect(),
            path_ms,
            work_ms,
            rng: ChaCha8Rng::seed_from_u64(seed),
            taken: 0,
        }
    }
}

impl<F: FnMut(u64, &mut ChaCha8Rng) -> f64 + Send> Scripted for Slots<F> {
    fn take(&mut self, now: Nanos, request: &[u8]) -> (Cow<'static, [u8]>, Nanos) {
        let path = Nanos::from_millis_f64(self.path_ms);
        if request.starts_with(b"GET /health") {
            return (Cow::Borrowed(ANSWER), now + path);
        }
        let work = Nanos::from_millis_f64((self.work_ms)(self.taken, &mut self.rng));
        self.taken += 1;
        // Half of the path before the work, half after it.
        let arrived = now + Nanos(path.0 / 2);
        let Reverse(free) = self.free.pop().unwrap_or(Reverse(Nanos::ZERO));
        let done = arrived.max(free) + work;
        self.free.push(Reverse(done));
        (Cow::Borrowed(ANSWER), done + Nanos(path.0 - path.0 / 2))
    }
}

/// A factor with mean 1 whose logarithm has that standard deviation.
pub(crate) fn log_normal(rng: &mut ChaCha8Rng, log_sd: f64) -> f64 {
    let z: f64 = StandardNormal.sample(rng);
    (log_sd * z - log_sd * log_sd / 2.0).exp()
}

/// One endpoint that works and one that does not.
pub(crate) fn surface() -> Surface {
    let endpoint = |name: &str, role: Role, request: Request| {
        let (method, path) = name.split_once(' ').unwrap_or_default();
        Endpoint {
            name: name.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            role,
            parameters: Vec::new(),
            body_schema: None,
            declared_statuses: vec![200],
            samples: vec![SampleRequest {
                request,
                inputs: BTreeMap::new(),
            }],
            expect: Expect::default(),
        }
    };
    Surface {
        endpoints: vec![
            endpoint(
                WORK,
                Role::Inference,
                Request::json("POST", "/work", &serde_json::json!({"input": 1})),
            ),
            endpoint("GET /health", Role::Health, Request::get("/health")),
        ],
        ..Surface::default()
    }
}

/// One request in a shape.
pub(crate) fn phase(shape: Shape) -> Phase {
    let item = Item {
        request: Request::get("/"),
        expect: Expect::default(),
    };
    Phase {
        name: "load".to_owned(),
        experiment: "calibration".to_owned(),
        scenarios: vec![Scenario::new("load", vec![item])],
        shape,
        limits: Limits::default(),
        capture: Capture::NONE,
    }
}

/// Arrivals at a rate.
pub(crate) fn open(rate: f64, arrivals: Arrivals, duration_s: f64) -> Shape {
    Shape::Open {
        rate,
        arrivals,
        duration_s,
        in_flight_max: 100_000,
    }
}
