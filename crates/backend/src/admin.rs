//! The second listener: it tells what is true (faults in force, counts, service times) and nothing on the service port mentions it.
//!
//! `GET /truth`, `GET /truth/times?endpoint=NAME` (raw times, in order of completion), `POST /truth/reset`.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::fastapi::params::Query;
use crate::fastapi::reply::Reply;
use crate::preset::PresetDef;
use crate::recorder::Recorder;
use crate::settings::Settings;

/// What the admin port can tell.
pub(crate) struct Admin {
    preset: &'static PresetDef,
    settings: Settings,
    seed: u64,
    /// The stated law of the service time, where the preset has one.
    model: Option<Value>,
    /// What else the preset knows of itself at the moment: an object.
    state: Box<dyn Fn() -> Value + Send + Sync>,
    recorder: Arc<Recorder>,
}

impl Admin {
    /// Everything is fixed at the start except the account.
    pub(crate) fn new(
        preset: &'static PresetDef,
        settings: Settings,
        seed: u64,
        model: Option<Value>,
        state: Box<dyn Fn() -> Value + Send + Sync>,
        recorder: Arc<Recorder>,
    ) -> Self {
        Self {
            preset,
            settings,
            seed,
            model,
            state,
            recorder,
        }
    }

    /// Serves one request.
    pub(crate) fn handle(&self, request: &Request<Body>) -> Response<Body> {
        let reply = match (request.method(), request.uri().path()) {
            (&Method::GET, "/truth") => Reply::json(&self.truth()),
            (&Method::GET, "/truth/times") => {
                let query = Query::parse(request.uri().query().unwrap_or_default());
                match query
                    .get("endpoint")
                    .and_then(|endpoint| self.recorder.times(endpoint))
                {
                    Some(times) => Reply::json(&times),
                    None => Reply::not_found("give ?endpoint= one of the names under 'endpoints' of /truth"),
                }
            }
            (&Method::POST, "/truth/reset") => {
                self.recorder.reset();
                Reply::json(&json!({ "reset": true }))
            }
            (_, "/truth" | "/truth/times") => Reply::method_not_allowed("GET"),
            (_, "/truth/reset") => Reply::method_not_allowed("POST"),
            _ => Reply::detail(
                StatusCode::NOT_FOUND,
                "GET /truth, GET /truth/times?endpoint=NAME, POST /truth/reset",
            ),
        };
        reply.into_response()
    }

    fn truth(&self) -> Value {
        let on = |name: &str| {
            self.settings
                .values()
                .get(name)
                .is_some_and(|value| matches!(value.as_str(), "true" | "on" | "yes" | "1"))
        };
        let faults: Vec<Value> = self
            .preset
            .knobs
            .iter()
            .filter(|knob| knob.fault.is_some() && on(knob.name))
            .map(|knob| json!({ "id": knob.fault, "knob": knob.name, "description": knob.description }))
            .collect();
        let mut truth = json!({
            "preset": self.preset.name,
            "seed": self.seed,
            "faults": faults,
            "knobs": self.settings.values(),
            "service_model_ns": self.model,
        });
        for part in [(self.state)(), self.recorder.to_json()] {
            if let (Value::Object(truth), Value::Object(part)) = (&mut truth, part) {
                truth.extend(part);
            }
        }
        truth
    }
}
