//! A small inference service in simulated time: well, or with one planted fault. It reads requests as bytes, as any server
//! does, and knows nothing of the experiments that call it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use prony_engine::Scripted;
use prony_model::{Endpoint, Expect, JsonText, Nanos, Request, Role, SampleRequest, Surface};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};
use serde_json::{Value, json};

/// The endpoint that takes longest.
pub(super) const CLASSIFY: &str = "POST /v1/classify";
const SEARCH: &str = "POST /v1/search";
const HEALTH: &str = "GET /healthz";
const TEXTS: [&str; 6] = [
    "ships at sea",
    "stone bridges",
    "night trains",
    "old maps",
    "tall towers",
    "quiet rivers",
];
/// Longest text that is taken.
const TEXT_CHARS_MAX: usize = 200;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// One request at a time.
    Serial,
    /// One answer in twenty is a server error.
    Fails,
    /// The first classification loads a model.
    SlowFirst,
    /// Health waits for half a second while any work is under way.
    HealthStarves,
    /// Answers do not depend on the input.
    IgnoresInput,
    /// One class for everything, with certainty.
    OneClass,
    /// A text that is too long is a server error.
    CrashesOnLong,
    /// Bad input is taken silently.
    AcceptsAnything,
    /// Each request makes the next 0.4 % slower.
    Degrades,
    /// More than six requests at once are refused.
    Refuses,
    /// Everything takes three times as long.
    Slow,
}

/// The service.
pub(super) struct Emulator {
    fault: Fault,
    free: Vec<Nanos>,
    in_flight: Vec<Nanos>,
    served: u64,
    times: LogNormal<f64>,
    random: ChaCha8Rng,
}

impl Emulator {
    pub(super) fn new(fault: Fault, seed: u64) -> Self {
        let (workers, mean_ms) = match fault {
            Fault::Serial => (1, 20.0),
            Fault::Slow => (4, 60.0),
            _ => (4, 20.0),
        };
        Self {
            fault,
            free: vec![Nanos::ZERO; workers],
            in_flight: Vec::new(),
            served: 0,
            times: LogNormal::new(f64::ln(mean_ms) - 0.03, 0.25).expect("a sound spread"),
            random: ChaCha8Rng::seed_from_u64(seed ^ 0x7e57),
        }
    }

    /// When a request is done that comes now and takes so long on one of the workers.
    fn through_queue(&mut self, now: Nanos, takes_ms: f64) -> Nanos {
        let worker = self.free.iter_mut().min().expect("there is a worker");
        let done = now.max(*worker) + Nanos::from_millis_f64(takes_ms);
        *worker = done;
        self.in_flight.retain(|end| *end > now);
        self.in_flight.push(done);
        done
    }

    fn work(&mut self, now: Nanos, path: &str, body: &[u8]) -> (u16, Value, Nanos) {
        let soon = now + Nanos::from_millis_f64(0.5);
        let field = if path == "/v1/search" { "query" } else { "text" };
        let text = match taken(body, field) {
            Ok(text) => text,
            Err(_) if self.fault == Fault::AcceptsAnything => TEXTS[0].to_owned(),
            Err(_) if self.fault == Fault::CrashesOnLong && body.len() > TEXT_CHARS_MAX => {
                return (500, json!({"error": "internal server error"}), soon);
            }
            Err(why) => return (422, json!({"error": why}), soon),
        };
        self.in_flight.retain(|end| *end > now);
        if self.fault == Fault::Refuses && self.in_flight.len() >= 6 {
            return (503, json!({"error": "busy"}), soon);
        }
        self.served += 1;
        let mut takes_ms = self.times.sample(&mut self.random);
        match self.fault {
            Fault::SlowFirst if self.served == 1 => takes_ms += 2000.0,
            Fault::Degrades => takes_ms *= 1.0 + self.served as f64 / 250.0,
            _ => {}
        }
        if path == "/v1/search" {
            takes_ms /= 4.0;
        }
        let done = self.through_queue(now, takes_ms);
        if self.fault == Fault::Fails && self.served.is_multiple_of(20) {
            return (500, json!({"error": "internal server error"}), done);
        }
        (200, self.answer(path, &text), done)
    }

    fn answer(&self, path: &str, text: &str) -> Value {
        let mark = if self.fault == Fault::IgnoresInput {
            7
        } else {
            mark(text)
        };
        if path == "/v1/search" {
            let hits: Vec<Value> = (0..3)
                .map(|k| json!({"page": (mark >> (5 * k)) % 50, "score": (mark >> (7 * k)) % 1000}))
                .collect();
            return json!({"query": text, "hits": hits});
        }
        let (label, confidence) = if self.fault == Fault::OneClass {
            ("TRAVEL", 1.0)
        } else {
            let label = ["TRAVEL", "HISTORY"][(mark % 2) as usize];
            (label, 0.5 + ((mark >> 8) % 400) as f64 / 1000.0)
        };
        json!({"label": label, "confidence": confidence, "tokens": mark % 40})
    }
}

impl Scripted for Emulator {
    fn take(&mut self, now: Nanos, request: &[u8]) -> (Cow<'static, [u8]>, Nanos) {
        let (method, path, body) = read(request);
        let soon = now + Nanos::from_millis_f64(0.3);
        let (status, answer, done) = match (method.as_str(), path.as_str()) {
            ("GET", "/healthz") if self.fault == Fault::HealthStarves => {
                let busy = self.in_flight.iter().any(|end| *end > now);
                let late_ms = if busy { 500.0 } else { 0.3 };
                (
                    200,
                    json!({"status": "ok"}),
                    now + Nanos::from_millis_f64(late_ms),
                )
            }
            ("GET", "/healthz") => (200, json!({"status": "ok"}), soon),
            ("POST", "/v1/classify" | "/v1/search") => self.work(now, &path, &body),
            (_, "/healthz" | "/v1/classify" | "/v1/search") => {
                (405, json!({"error": "method not allowed"}), soon)
            }
            _ => (404, json!({"error": "not found"}), soon),
        };
        (Cow::Owned(reply(status, &path, &answer)), done)
    }
}

/// What discovery would find of it.
pub(super) fn surface() -> Surface {
    let plain = Request::get("/healthz");
    let health = SampleRequest {
        request: plain,
        inputs: BTreeMap::new(),
    };
    Surface {
        name: "Emulator".to_owned(),
        found_by: vec!["openapi at /openapi.json".to_owned()],
        endpoints: vec![
            endpoint(HEALTH, Role::Health, vec![health], None),
            inference(CLASSIFY, "text"),
            inference(SEARCH, "query"),
        ],
        ..Surface::default()
    }
}

fn inference(name: &str, field: &str) -> Endpoint {
    let path = name.trim_start_matches("POST ");
    let samples = TEXTS
        .iter()
        .map(|text| SampleRequest {
            request: Request::json("POST", path, &json!({ field: text })),
            inputs: BTreeMap::from([(field.to_owned(), (*text).to_owned())]),
        })
        .collect();
    let schema = json!({
        "type": "object",
        "properties": { field: {"type": "string", "minLength": 1, "maxLength": TEXT_CHARS_MAX} },
        "required": [field],
    });
    endpoint(name, Role::Inference, samples, Some(JsonText(schema)))
}

fn endpoint(name: &str, role: Role, samples: Vec<SampleRequest>, body_schema: Option<JsonText>) -> Endpoint {
    let (method, path) = name.split_once(' ').expect("method and path");
    Endpoint {
        name: name.to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        role,
        parameters: Vec::new(),
        declared_statuses: if body_schema.is_some() {
            vec![200, 422]
        } else {
            vec![200]
        },
        body_schema,
        samples,
        expect: Expect {
            status: vec![200],
            content_type: Some("application/json".to_owned()),
            ..Expect::default()
        },
    }
}

/// The text of a body, or why it is not taken.
fn taken(body: &[u8], field: &str) -> Result<String, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "no text")?;
    let value: Value = serde_json::from_str(text).map_err(|_| "no JSON")?;
    match value.get(field) {
        Some(Value::String(text)) if text.trim().is_empty() => Err("empty"),
        Some(Value::String(text)) if text.chars().count() > TEXT_CHARS_MAX => Err("too long"),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err("no text"),
        None => Err("missing"),
    }
}

/// Method, path without query, and body of a request.
fn read(request: &[u8]) -> (String, String, Vec<u8>) {
    let end = request.windows(4).position(|w| w == b"\r\n\r\n");
    let (head, body) = request.split_at(end.map_or(request.len(), |at| at + 4));
    let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default().to_owned();
    (method, path, body.to_vec())
}

fn reply(status: u16, path: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let reason = match status {
        200 => "OK",
        404 => "Not Found",
        405 => "Method Not Allowed",
        422 => "Unprocessable Content",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    };
    let allow = match (status, path) {
        (405, "/healthz") => "allow: GET\r\n",
        (405, _) => "allow: POST\r\n",
        _ => "",
    };
    format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\n{allow}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A number that differs from text to text (FNV-1a).
fn mark(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash >> 7
}
