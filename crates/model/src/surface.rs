//! What a target offers, as far as any HTTP client can see.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BodyCheck, Expect, Item, JsonText, Request, Scenario};

/// Everything discovery found out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Surface {
    /// Name the target gives itself, cleaned and bounded; empty when it gives none.
    #[serde(default)]
    pub name: String,
    /// Version the target gives itself.
    #[serde(default)]
    pub version: String,
    /// How it was found out: `openapi at /openapi.json`, `DZI descriptor at ...`, one line each.
    #[serde(default)]
    pub found_by: Vec<String>,
    /// The endpoints.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// By name of an endpoint, the credentials that its document asks for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub protected: BTreeMap<String, Vec<Protection>>,
    /// Names of the endpoints that the person wants loaded; empty leaves the choice to the experiments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chosen: Vec<String>,
    /// Interfaces to work that goes on after its request was answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobApi>,
    /// Names of the endpoints each call of which leaves something behind on the target, such as a stored file or a job. No
    /// experiment loads them unless the person chose them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keeps: Vec<String>,
    /// By name of an endpoint, the calls by which it was found out what it takes: those were its first, before the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub called: BTreeMap<String, EarlyCalls>,
    /// Scenarios of the suite that an experiment was told to send. They live as long as the process: the phases that send them
    /// are recorded.
    #[serde(skip)]
    pub scenarios: Vec<Scenario>,
}

impl Surface {
    /// Whether each call of an endpoint leaves something behind on the target: no experiment loads it unless the person chose it.
    pub fn leaves_behind(&self, endpoint: &Endpoint) -> bool {
        endpoint.creates() || self.keeps.contains(&endpoint.name)
    }
}

/// Calls of an endpoint before the run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyCalls {
    /// How many there were.
    pub calls: u32,
    /// What the slowest took, in ms, of those up to the first that was answered well: what is loaded at first use was loaded by then.
    /// Less the fastest exchange meanwhile, which stands for connecting and the way.
    pub slowest_ms: f64,
    /// Whether one of these was the first exchange of all: its time also holds what is done once to reach the target, such as resolving
    /// its name.
    #[serde(default)]
    pub holds_first: bool,
}

/// An interface to jobs: one request starts the work, another tells how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobApi {
    /// Name of the endpoint that starts a job.
    pub submit: String,
    /// Key of the job's id in its answer.
    pub id_key: String,
    /// Path template that tells how a job is, asked with GET.
    pub status: String,
    /// The parameter in it that takes the id.
    pub parameter: String,
    /// Method and path template that end a job early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<(String, String)>,
}

/// A credential that a document asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// `Authorization: SCHEME ...`.
    Authorization(String),
    /// A header of that name.
    Header(String),
    /// A query parameter of that name.
    Query(String),
    /// A cookie of that name.
    Cookie(String),
}

/// One operation of the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// `POST /api/analyze`: method and path template.
    pub name: String,
    /// Method, upper case.
    pub method: String,
    /// Path template with `{parameters}`.
    pub path: String,
    /// What it is for.
    pub role: Role,
    /// Path, query and header parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// JSON Schema of the request body, with references resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_schema: Option<JsonText>,
    /// Statuses that the document declares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declared_statuses: Vec<u16>,
    /// Requests that ought to be answered well, with distinct inputs where inputs could be had.
    pub samples: Vec<SampleRequest>,
    /// What a correct answer looks like.
    #[serde(default)]
    pub expect: Expect,
}

impl Endpoint {
    /// The samples as engine items with the endpoint's expectation.
    pub fn items(&self) -> Vec<Item> {
        self.samples
            .iter()
            .map(|s| Item {
                request: s.request.clone(),
                expect: self.expect.clone(),
            })
            .collect()
    }

    /// Whether it is called by gRPC: method, path and media type are the protocol's, and HTTP's status says nothing.
    pub fn is_call(&self) -> bool {
        self.expect.body.contains(&BodyCheck::Grpc)
    }

    /// Whether it is a tool that is called over JSON-RPC: its errors come within a good status.
    pub fn is_tool(&self) -> bool {
        self.expect.body.contains(&BodyCheck::Rpc)
    }

    /// Whether it makes something that can exist only once: a success is "created", and a second of the same name a conflict. So the
    /// same request is not answered well twice, which other endpoints that leave something behind may well do.
    pub fn creates(&self) -> bool {
        let declares = |status: u16| self.declared_statuses.contains(&status);
        self.method == "POST" && declares(201) && declares(409)
    }

    /// Whether calling it does the target's real work: not health, status, docs or metrics.
    pub fn is_work(&self) -> bool {
        matches!(
            self.role,
            Role::Inference | Role::Resource | Role::Media | Role::Tile
        )
    }
}

/// What an endpoint is for, judged from its path, method and schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Liveness or readiness.
    Health,
    /// State of a model or component.
    Status,
    /// A collection that names things.
    Listing,
    /// Takes input and computes: the reason why the target exists.
    Inference,
    /// One thing by id, as data.
    Resource,
    /// One thing by id, as image or other bytes.
    Media,
    /// A tile of a deep-zoom pyramid.
    Tile,
    /// Metrics for a scraper.
    Metrics,
    /// Documentation, the root document, anything else that does no work.
    Docs,
}

impl Role {
    /// Path segments, lower case, that mean liveness or readiness: such an endpoint does no work.
    pub const HEALTH_SEGMENTS: [&str; 13] = [
        "health",
        "healthz",
        "healthcheck",
        "health-check",
        "livez",
        "readyz",
        "live",
        "ready",
        "liveness",
        "readiness",
        "ping",
        "heartbeat",
        "startup",
    ];
}

/// A parameter outside the body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Whether it must be given.
    #[serde(default)]
    pub required: bool,
    /// Its JSON Schema.
    #[serde(default)]
    pub schema: JsonText,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// In a header.
    Header,
}

/// A request that ought to work, and the inputs in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SampleRequest {
    /// The request.
    pub request: Request,
    /// Field or parameter name to the value used, as text.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
}
