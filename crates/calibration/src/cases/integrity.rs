//! The integrity experiment against servers that swap or cut one answer in a thousand, and against sound ones.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use prony_engine::Scripted;
use prony_model::{Budget, Endpoint, Expect, Nanos, Outcome, Request, Role, SampleRequest, Surface, Verdict};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::drive::Drive;
use crate::measure::{Bound, Case, Measure};

/// Time of one request; all are served at once.
const SERVICE_MS: f64 = 10.0;
/// Answers that are judged in each run.
const REQUESTS: u64 = 5_000;
/// One answer in so many is bad.
const BAD: f64 = 1.0 / 1_000.0;

/// How a server goes wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The answer to the request before.
    Swap,
    /// The first half of the answer, with the length that it has.
    Cut,
}

/// What of a request its answer shows.
#[derive(Clone, Copy, PartialEq)]
enum Shows {
    /// The text comes back.
    Text,
    /// Nothing, but the same request always gets the same bytes.
    Bytes,
    /// A number that always differs, and what was asked for.
    Name,
}

struct Server {
    fault: Fault,
    shows: Shows,
    before: Vec<u8>,
    rng: ChaCha8Rng,
    damaged: Damaged,
}

/// When the requests came whose answers were really bad: other bytes than those of a sound server.
type Damaged = Arc<Mutex<HashSet<Nanos>>>;

impl Server {
    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(request);
        let path = text.split(' ').nth(1).unwrap_or_default();
        let body = text.split("\r\n\r\n").nth(1).unwrap_or_default();
        match self.shows {
            Shows::Text => {
                let asked: Value = serde_json::from_str(body).unwrap_or_default();
                json!({"id": self.rng.random::<u32>(), "answer": format!("You said {}.", asked["prompt"])})
                    .to_string()
                    .into_bytes()
            }
            Shows::Bytes => path.as_bytes().repeat(20),
            Shows::Name => json!({"took": self.rng.random::<u32>(), "of": path, "pages": path.len()})
                .to_string()
                .into_bytes(),
        }
    }
}

impl Scripted for Server {
    fn take(&mut self, now: Nanos, request: &[u8]) -> (Cow<'static, [u8]>, Nanos) {
        let right = self.answer(request);
        let bad = self.rng.random::<f64>() < BAD;
        let body = match self.fault {
            Fault::Swap if bad && !self.before.is_empty() => self.before.clone(),
            Fault::Cut if bad => right[..right.len() / 2].to_vec(),
            _ => right.clone(),
        };
        if body != right {
            let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
            damaged.insert(now);
        }
        self.before = right;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let time_ms = SERVICE_MS * self.rng.random_range(0.5..1.5);
        (
            Cow::Owned([head.as_bytes(), &body].concat()),
            now + Nanos::from_millis_f64(time_ms),
        )
    }
}

fn surface(shows: Shows) -> Surface {
    let requests: Vec<Request> = match shows {
        Shows::Text => vec![Request::json(
            "POST",
            "/ask",
            &json!({"prompt": "Name three rivers."}),
        )],
        _ => (0..6).map(|k| Request::get(format!("/pages/page-{k}"))).collect(),
    };
    let method = requests[0].method.clone();
    let endpoint = Endpoint {
        name: format!("{method} /x"),
        method,
        path: "/x".to_owned(),
        role: if shows == Shows::Text {
            Role::Inference
        } else {
            Role::Resource
        },
        parameters: Vec::new(),
        body_schema: None,
        declared_statuses: Vec::new(),
        samples: requests
            .into_iter()
            .map(|request| SampleRequest {
                request,
                inputs: BTreeMap::new(),
            })
            .collect(),
        expect: Expect::default(),
    };
    Surface {
        endpoints: vec![endpoint],
        ..Surface::default()
    }
}

/// The verdict of a run, and whether one of the answers that it judged was really bad.
fn verdict(fault: Fault, shows: Shows, seed: u64) -> (Verdict, bool) {
    let damaged = Damaged::default();
    let server = Server {
        fault,
        shows,
        before: Vec::new(),
        rng: ChaCha8Rng::seed_from_u64(seed),
        damaged: Arc::clone(&damaged),
    };
    let driven = Drive {
        surface: &surface(shows),
        budget: Budget::Thorough,
        seed,
        monitor: &mut |_| Vec::new(),
    }
    .run(
        &[(
            "integrity",
            json!({"requests": REQUESTS, "connections": 64, "duration_s": 600}),
        )],
        server,
    );
    let damaged = damaged.lock().unwrap_or_else(PoisonError::into_inner);
    let is_damaged = driven
        .phases
        .iter()
        .filter(|phase| phase.phase.name.ends_with("together"))
        .flat_map(|phase| &phase.samples)
        .any(|s| s.outcome != Outcome::Interrupted && damaged.contains(&s.sent));
    (
        driven.finding("integrity").expect("it concludes").verdict,
        is_damaged,
    )
}

pub(super) const DAMAGE: Case = Case {
    question: "integrity",
    criterion: "One answer in a thousand swapped with another request's, or cut short with a right length, is found in at least \
                99 % of runs of 5,000 answers; no sound server of 200 is called bad. A tenth of further requests give up.",
    remark: "Chance leaves 0.7 % of such runs without a bad answer, and of swaps among six pages one in six changes nothing: only \
             runs in which a judged answer really was bad count. That is stricter than the share of all runs.",
    run: |effort| {
        let ways = [
            (Shows::Text, "text comes back"),
            (Shows::Bytes, "same bytes"),
            (Shows::Name, "answers differ but name their page"),
        ];
        let mut measures = Vec::new();
        for (shows, way) in ways {
            let found = |fault| -> Vec<bool> {
                let runs = effort.each(200, |seed| verdict(fault, shows, seed));
                let damaged = runs.into_iter().filter(|(_, is_damaged)| *is_damaged);
                damaged.map(|(verdict, _)| verdict == Verdict::Fail).collect()
            };
            let complained = effort.each(200, |seed| verdict(Fault::None, shows, seed).0 != Verdict::Pass);
            let rate =
                |what: &str, runs: &[bool], bound| Measure::rate(format!("{way}: {what}"), runs, bound);
            measures.push(rate("swaps found", &found(Fault::Swap), Bound::AtLeast(0.99)));
            measures.push(rate("cuts found", &found(Fault::Cut), Bound::AtLeast(0.99)));
            measures.push(rate("sound servers called bad", &complained, Bound::AtMost(0.0)));
        }
        measures
    },
};
