//! Which paths were really called while finding out, and how long that took: such a call may be the target's first, and what it loads is
//! there when the run begins. It must not know what is asked, or why.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use prony_model::{Captured, EarlyCalls, Endpoint, Outcome, Request, Surface};

use super::Fetch;

/// Passes requests on, and remembers what they took.
pub(super) struct Called<'a> {
    inner: &'a mut dyn Fetch,
    /// By method and path.
    calls: BTreeMap<(String, String), Calls>,
    /// The fastest exchange of all.
    fastest: Option<Duration>,
    /// Whether there was any.
    has_asked: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    n: u32,
    /// Of those up to the first that was answered well.
    slowest: Duration,
    is_warm: bool,
    /// Whether one of these was the first exchange of all.
    holds_first: bool,
}

impl Fetch for Called<'_> {
    fn fetch(&mut self, request: &Request) -> Captured {
        let began = Instant::now();
        let answer = self.inner.fetch(request);
        self.saw(request, &answer, began.elapsed());
        answer
    }

    fn sends(&self, name: &str) -> bool {
        self.inner.sends(name)
    }

    fn leads(&self, from: &str, location: &str) -> Option<String> {
        self.inner.leads(from, location)
    }
}

impl<'a> Called<'a> {
    pub(super) fn new(inner: &'a mut dyn Fetch) -> Self {
        Self {
            inner,
            calls: BTreeMap::new(),
            fastest: None,
            has_asked: false,
        }
    }

    fn saw(&mut self, request: &Request, answer: &Captured, took: Duration) {
        let is_first = !std::mem::replace(&mut self.has_asked, true);
        if answer.status > 0 {
            self.fastest = Some(self.fastest.map_or(took, |fastest| fastest.min(took)));
        }
        if !is_reached(answer) {
            return;
        }
        let place = (request.method.clone(), request.path.clone());
        let calls = self.calls.entry(place).or_default();
        calls.n += 1;
        if !calls.is_warm {
            calls.slowest = calls.slowest.max(took);
            calls.holds_first |= is_first;
            calls.is_warm = (200..300).contains(&answer.status);
        }
    }

    /// Says of each endpoint how it was called. Those that share one path, as tools do, are left out: which of them was called the
    /// path does not tell.
    pub(super) fn apply(&self, surface: &mut Surface) {
        let fastest = self.fastest.unwrap_or_default();
        for endpoint in &surface.endpoints {
            let calls: Vec<&Calls> = places(endpoint)
                .iter()
                .filter_map(|place| self.calls.get(place))
                .collect();
            let Some(slowest) = calls.iter().map(|calls| calls.slowest).max() else {
                continue;
            };
            let early = EarlyCalls {
                calls: calls.iter().map(|calls| calls.n).sum(),
                slowest_ms: 1000.0 * slowest.saturating_sub(fastest).as_secs_f64(),
                holds_first: calls.iter().any(|calls| calls.holds_first),
            };
            surface.called.insert(endpoint.name.clone(), early);
        }
    }
}

/// Whether the endpoint itself may have worked on a request: not where nothing is there, nor where it was refused at the door. One that
/// did not answer in time may have.
fn is_reached(answer: &Captured) -> bool {
    let is_late = answer.outcome == Outcome::HeadersTimeout;
    let is_at_the_door = matches!(answer.status, 0 | 300..=399 | 401 | 403 | 404 | 405 | 429);
    is_late || !is_at_the_door
}

/// Methods and paths by which an endpoint is called, once each.
fn places(endpoint: &Endpoint) -> BTreeSet<(String, String)> {
    if endpoint.is_tool() {
        return BTreeSet::new();
    }
    let sampled = endpoint
        .samples
        .iter()
        .map(|sample| (sample.request.method.clone(), sample.request.path.clone()));
    let own = (endpoint.method.clone(), endpoint.path.clone());
    sampled.chain([own]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use prony_model::{Captured, EarlyCalls, Outcome, Request, Role, Surface};
    use serde_json::json;

    use super::Called;
    use crate::discovery::tests::empty;
    use crate::discovery::{Told, bare, discover};

    #[test]
    fn what_the_calls_took_until_one_was_answered_well_is_kept() {
        let mut nobody = |_: &Request| empty();
        let mut called = Called::new(&mut nobody);
        let mut saw = |request: &Request, status: u16, outcome: Outcome, ms: u64| {
            let answer = Captured {
                status,
                outcome,
                ..empty()
            };
            called.saw(request, &answer, Duration::from_millis(ms));
        };
        let ask = Request::json("POST", "/predict", &json!({}));
        saw(&Request::get("/given"), 200, Outcome::Ok, 4002);
        saw(&Request::get("/predict"), 405, Outcome::Status4xx, 2);
        saw(&ask, 422, Outcome::Status4xx, 7);
        saw(&ask, 200, Outcome::Ok, 2002);
        saw(&ask, 200, Outcome::Ok, 5000);
        saw(&Request::get("/slow"), 0, Outcome::HeadersTimeout, 902);
        saw(&Request::get("/none"), 404, Outcome::Status4xx, 3000);
        let endpoint = |method: &str, path: &str| {
            let mut endpoint = bare(path, Role::Inference);
            endpoint.method = method.to_owned();
            endpoint.name = format!("{method} {path}");
            endpoint.samples.clear();
            endpoint
        };
        let mut surface = Surface {
            endpoints: vec![
                endpoint("POST", "/predict"),
                endpoint("GET", "/slow"),
                endpoint("GET", "/none"),
                endpoint("GET", "/given"),
            ],
            ..Surface::default()
        };
        called.apply(&mut surface);
        let early = |calls, slowest_ms, holds_first| EarlyCalls {
            calls,
            slowest_ms,
            holds_first,
        };
        let expected = [
            ("GET /given", early(1, 4000.0, true)),
            ("GET /slow", early(1, 900.0, false)),
            ("POST /predict", early(3, 2000.0, false)),
        ];
        let named = expected.map(|(name, early)| (name.to_owned(), early));
        assert_eq!(surface.called, BTreeMap::from(named));
    }

    #[test]
    fn an_endpoint_that_was_tried_is_known_to_have_been_called() {
        let mut fetch = |request: &Request| {
            let sent = request.body.to_bytes().unwrap_or_default();
            let is_input = String::from_utf8_lossy(&sent).contains("inputs");
            let (status, body) = match request.label().as_str() {
                "GET /ping" => (200, "{}"),
                "GET /invocations" => (405, "{}"),
                "POST /invocations" if is_input => (200, "[1]"),
                "POST /invocations" => (400, "{}"),
                _ => (404, "{}"),
            };
            Captured {
                status,
                outcome: if status == 200 {
                    Outcome::Ok
                } else {
                    Outcome::Status4xx
                },
                digest: format!("{status} {body}"),
                body: body.to_owned(),
                ..empty()
            }
        };
        let surface = discover(&mut fetch, "/", &Told::default()).unwrap().surface;
        let calls = |name: &str| surface.called.get(name).map(|early| early.calls);
        // Once without anything, and once with what it takes.
        assert_eq!(calls("POST /invocations"), Some(2));
    }
}
