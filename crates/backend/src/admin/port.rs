//! The admin port's endpoints. Where every preset is served, each has its own below its name: `/enso/truth`.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{document, metrics};
use crate::connection::Answers;
use crate::fastapi::params::Query;
use crate::fastapi::reply::Reply;
use crate::knob::KnobDef;
use crate::stage::Stage;
use crate::system::Answering;
use crate::wire::Line;

/// Longest body of a request.
const BODY_MAX: usize = 64 * 1024;
/// Requests listed when no number is given, and at most.
const RECENT: usize = 100;
const RECENT_MAX: usize = 10_000;

/// What the admin port can tell.
pub(crate) struct Admin {
    stages: Vec<Arc<Stage>>,
    /// Whether every preset is served.
    all: bool,
}

impl Admin {
    /// Of these presets.
    pub(crate) fn new(stages: Vec<Arc<Stage>>, all: bool) -> Self {
        Self { stages, all }
    }

    /// Serves one request.
    async fn handle(self: Arc<Self>, request: Request) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let reply = match (&parts.method, parts.uri.path()) {
            (&Method::GET, "/metrics") => Reply::new(
                StatusCode::OK,
                "text/plain; version=0.0.4; charset=utf-8",
                metrics::page(&self.stages),
            ),
            (&Method::GET, "/openapi.json") => Reply::json(&document::document(&self.names())),
            (&Method::GET, "/") => {
                Reply::json(&json!({ "presets": self.names(), "openapi": "/openapi.json" }))
            }
            (_, "/" | "/metrics" | "/openapi.json") => Reply::method_not_allowed("GET"),
            (method, path) => match self.find(path) {
                Some((stage, rest)) => {
                    let query = Query::parse(parts.uri.query().unwrap_or_default());
                    Self::of_stage(stage, method, rest, &query, body).await
                }
                None => Reply::not_found("GET /openapi.json says what there is"),
            },
        };
        reply.into_response()
    }

    /// The names before the paths, where there are any.
    fn names(&self) -> Vec<&'static str> {
        self.stages
            .iter()
            .filter(|_| self.all)
            .map(|stage| stage.preset.name)
            .collect()
    }

    fn find<'a>(&self, path: &'a str) -> Option<(&Stage, &'a str)> {
        if !self.all {
            return self.stages.first().map(|stage| (stage.as_ref(), path));
        }
        let (name, _) = path.strip_prefix('/')?.split_once('/')?;
        let stage = self.stages.iter().find(|stage| stage.preset.name == name)?;
        Some((stage, &path[name.len() + 1..]))
    }

    async fn of_stage(stage: &Stage, method: &Method, path: &str, query: &Query, body: Body) -> Reply {
        match (method, path) {
            (&Method::GET, "/truth") => Reply::json(&truth(stage)),
            (&Method::GET, "/truth/times") => match query
                .get("endpoint")
                .and_then(|endpoint| stage.recorder.times(endpoint))
            {
                Some(times) => Reply::json(&times),
                None => Reply::not_found("give ?endpoint= one of the names under 'endpoints' of /truth"),
            },
            (&Method::GET, "/truth/requests") => requests(stage, query),
            (&Method::GET, "/truth/streams") => streams(stage, query),
            (&Method::GET, "/truth/knobs") => Reply::json(&knobs(stage)),
            (&Method::PUT, "/truth/knobs") => turn(stage, body).await,
            (&Method::POST, "/truth/reset") => {
                stage.recorder.reset();
                stage.front.faults.reset();
                stage.front.ledger.clear();
                stage.system().reset();
                Reply::json(&json!({ "reset": true }))
            }
            (&Method::POST, "/truth/leak/free") => {
                stage.front.faults.free();
                Reply::json(&json!({ "freed": true }))
            }
            (_, "/truth" | "/truth/times" | "/truth/requests" | "/truth/streams") => {
                Reply::method_not_allowed("GET")
            }
            (_, "/truth/knobs") => Reply::method_not_allowed("GET, PUT"),
            (_, "/truth/reset" | "/truth/leak/free") => Reply::method_not_allowed("POST"),
            _ => Reply::not_found("GET /openapi.json says what there is"),
        }
    }
}

impl Answers for Admin {
    /// Descriptors that leaked are given back by asking here.
    fn is_indispensable(&self) -> bool {
        true
    }

    fn answer(self: Arc<Self>, _line: &Arc<Line>, request: Request) -> Answering {
        Box::pin(self.handle(request))
    }
}

fn recent(query: &Query) -> Result<usize, Reply> {
    let count = query.get("recent").map_or(Ok(RECENT), str::parse);
    count.ok().filter(|count| *count <= RECENT_MAX).ok_or_else(|| {
        Reply::detail(
            StatusCode::UNPROCESSABLE_ENTITY,
            "recent must be a number up to 10000",
        )
    })
}

fn streams(stage: &Stage, query: &Query) -> Reply {
    let recent = match recent(query) {
        Ok(recent) => recent,
        Err(refused) => return refused,
    };
    match stage.system().streams(query.get("id"), recent) {
        Some(streams) => Reply::json(&json!({ "streams": streams })),
        None => Reply::not_found("this preset has no paced streams"),
    }
}

fn requests(stage: &Stage, query: &Query) -> Reply {
    let recent = match recent(query) {
        Ok(recent) => recent,
        Err(refused) => return refused,
    };
    let found = match query.get("id") {
        Some(id) => stage.front.ledger.find(id),
        None => stage.front.ledger.recent(recent),
    };
    Reply::json(&json!({ "requests": found }))
}

fn knobs(stage: &Stage) -> Value {
    let settings = stage.settings();
    json!({
        "knobs": settings.values_of(stage.preset.knobs.iter()),
        "common_knobs": settings.values_of(stage.preset.common_knobs()),
    })
}

async fn turn(stage: &Stage, body: Body) -> Reply {
    let refuse = |reason: String| Reply::detail(StatusCode::UNPROCESSABLE_ENTITY, reason);
    let Ok(bytes) = to_bytes(body, BODY_MAX).await else {
        return Reply::detail(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long");
    };
    let Ok(Value::Object(asked)) = serde_json::from_slice(&bytes) else {
        return refuse("give a JSON object of knobs and their values".to_owned());
    };
    let pairs: Vec<(String, String)> = asked
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => (name, text),
            other => (name, other.to_string()),
        })
        .collect();
    match stage.turn(&pairs) {
        Ok(()) => Reply::json(&knobs(stage)),
        Err(reason) => refuse(reason),
    }
}

fn truth(stage: &Stage) -> Value {
    let settings = stage.settings();
    // One that is no switch is a list of defects, or none.
    let is_on = |knob: &KnobDef| match knob.unit {
        "bool" => settings.flag(knob.name).is_ok_and(|on| on),
        _ => settings.word(knob.name) != "none",
    };
    let own = stage
        .preset
        .knobs
        .iter()
        .filter(|knob| knob.fault.is_some() && is_on(knob));
    let common = stage
        .preset
        .common_knobs()
        .filter(|knob| knob.fault.is_some() && settings.word(knob.name) != knob.default);
    let faults: Vec<Value> = own
        .chain(common)
        .map(|knob| json!({ "id": knob.fault, "knob": knob.name, "description": knob.description }))
        .collect();
    let mut truth = json!({
        "preset": stage.preset.name,
        "seed": stage.seed,
        "faults": faults,
        "knobs": settings.values_of(stage.preset.knobs.iter()),
        "common_knobs": settings.values_of(stage.preset.common_knobs()),
        "common_faults": stage.front.faults.to_json(),
        "service_model_ns": stage.model,
    });
    for part in [stage.system().state(), stage.recorder.to_json()] {
        if let (Value::Object(truth), Value::Object(part)) = (&mut truth, part) {
            truth.extend(part);
        }
    }
    truth
}
