//! A suite: the whole of what a person can ask for, as one value. `prony check` makes one, `prony run` reads one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AnthropicSpec, Capture, Carry, Endpoint, Expect, Feed, Header, HttpVersion, ImageSpec, JsonText,
    LaunchSpec, Limits, OpenaiSpec, Order, OriginSpec, PartSpec, Retry, Shape, TensorSpec, Until,
};

/// A suite file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Short name, used in the report.
    #[serde(default)]
    pub name: String,
    /// What it is for, one paragraph.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where to send load.
    pub target: TargetSpec,
    /// Other servers that steps of flows go to, by name: `[origin.store]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub origin: BTreeMap<String, OriginSpec>,
    /// How to run.
    #[serde(default)]
    pub run: RunSpec,
    /// What is promised to users, and the load that is expected: what recommendations need and no measurement tells.
    #[serde(default, skip_serializing_if = "Objective::is_default")]
    pub objective: Objective,
    /// Experiments to run, by name, with their parameters: `[experiment.baseline]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub experiment: BTreeMap<String, serde_json::Value>,
    /// Where the values of `{{NAME.COLUMN}}` in requests come from: `[feed.NAME]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub feed: BTreeMap<String, Feed>,
    /// Send again what failed, in every scenario that says nothing of its own: `[retry]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Scenarios that phases refer to by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scenario: Vec<ScenarioSpec>,
    /// Phases written by hand, run in order before the experiments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phase: Vec<PhaseSpec>,
    /// Conditions on phases that decide the verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gate: Vec<Gate>,
    /// Claims by others to be held against the measurements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claim: Vec<Claim>,
    /// The endpoints that experiments work on; when there are none, discovery finds them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoint: Vec<EndpointSpec>,
}

/// An endpoint as a suite carries it.
pub type EndpointSpec = Endpoint;

/// Where to send load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetSpec {
    /// `http://host:port/base`, `grpc://host:port` (`grpcs:` with TLS) for KServe V2 over gRPC, `demo:NAME` for the embedded reference
    /// backend, or `stdio:COMMAND ARGUMENT...` for an MCP server over standard input and output.
    pub url: String,
    /// Program and arguments of the target, which Prony starts, watches and stops: `["python", "server.py", "--port", "{port}"]`.
    /// `{port}` stands for the URL's port; where that is 0, a free one is taken. The word `prony` at its beginning is this program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// How `command` is started, waited for and stopped.
    #[serde(default, skip_serializing_if = "LaunchSpec::is_default")]
    pub launch: LaunchSpec,
    /// Knobs of the embedded backend (`demo:NAME` only).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub knobs: BTreeMap<String, String>,
    /// Headers of every request. No secrets here: use the `_env` fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// Environment variable whose value becomes `Authorization: Bearer ...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_env: Option<String>,
    /// Environment variable whose value becomes `x-api-key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// Unix domain socket to connect to; the URL then only names the host in the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix_socket: Option<String>,
    /// `HOST:PORT` to connect to instead of the URL's; the requests still name the URL's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_to: Option<String>,
    /// Addresses of this machine that connections start from, in turn: each has its own range of ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bind: Vec<IpAddr>,
    /// Accept any certificate.
    #[serde(default, skip_serializing_if = "is_false")]
    pub insecure: bool,
    /// PEM file with further trusted roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cacert: Option<String>,
    /// PEM file with the client certificate and its chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// PEM file with the key of `cert`; by default it is in the same file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Name to send and to verify in the TLS handshake instead of the URL's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Make a whole TLS handshake on every connection instead of taking up the session of an earlier one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_tls_resumption: bool,
    /// Version of HTTP: `"1.1"` (the default), `"2"`, or `"auto"` for what the target prefers over TLS.
    #[serde(default, skip_serializing_if = "is_http1")]
    pub http: HttpVersion,
    /// Requests at once on each HTTP/2 connection, 1 by default. A closed loop of so many connections has so many times
    /// the users; ladders, bursts and open loops count requests, and need so many times fewer connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<u32>,
    /// Hosts other than loopback that may be loaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_hosts: Vec<String>,
    /// Process to watch; by default the one that listens on the port, if it is on this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Container to watch, by name or id (its cgroup is read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Processes of a `stdio:` target, started together; connections are dealt to them in turn. By default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
    /// URL of a service that the target itself calls: it is asked for its counts and for the lengths of its contents, and not
    /// loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// URL at which the target tells its metrics to Prometheus; by default the one that discovery finds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_url: Option<String>,
    /// Metrics to read there beside the well-known ones of a process, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gauges: Vec<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_http1(http: &HttpVersion) -> bool {
    *http == HttpVersion::Http1
}

/// How to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunSpec {
    /// Seed of every random choice.
    pub seed: u64,
    /// How much time the experiments may take.
    pub budget: Budget,
    /// Never send more than so many requests per second; 0 means no cap.
    pub rate_max: f64,
    /// Worker threads; 0 means one.
    pub threads: u32,
    /// Do not ask for real-time priority for the threads that send.
    #[serde(skip_serializing_if = "is_false")]
    pub normal_priority: bool,
    /// Endpoints that the experiments load, as `METHOD /path` or `/path`; by default those that do the most work.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// Endpoints that are asked and not loaded, by name, since each request leaves something behind: what discovery found of them.
    /// `endpoints` wins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_loaded: Vec<String>,
    /// Limits of every phase that has none of its own.
    pub limits: Limits,
}

impl Default for RunSpec {
    fn default() -> Self {
        Self {
            seed: 1,
            budget: Budget::Standard,
            rate_max: 0.0,
            threads: 1,
            normal_priority: false,
            endpoints: Vec::new(),
            not_loaded: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// What is promised to users, and the load that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Objective {
    /// Longest response that users accept, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_ms: Option<f64>,
    /// Share of good answers that is promised over 30 days.
    pub success_share: f64,
    /// Most requests per second that are expected, over all replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_per_s: Option<f64>,
    /// By what share the load may grow within a minute: 0.5 for half as much again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth_per_min: Option<f64>,
    /// Days until the target is restarted anyway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_days: Option<f64>,
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            response_ms: None,
            success_share: 0.99,
            peak_per_s: None,
            growth_per_min: None,
            restart_days: None,
        }
    }
}

impl Objective {
    /// Whether nothing was stated.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How much time the experiments may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// About half a minute.
    Quick,
    /// About two minutes.
    #[default]
    Standard,
    /// About 25 minutes.
    Thorough,
}

/// A named source of requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScenarioSpec {
    /// Its name.
    pub name: String,
    /// How the next item is chosen.
    #[serde(default)]
    pub order: Order,
    /// Share of arrivals in a mix.
    #[serde(default = "one")]
    pub weight: f64,
    /// An HTTP request, or several made from lists of values: `[scenario.http]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSpec>,
    /// Tiles planned from a deep-zoom descriptor: `[scenario.dzi]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dzi: Option<DziSpec>,
    /// Inference on a model of a KServe V2 server, made from what the model declares: `[scenario.kserve]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kserve: Option<KserveSpec>,
    /// Prompts for an OpenAI-compatible API: `[scenario.openai]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openai: Option<OpenaiSpec>,
    /// Prompts for Anthropic's Messages API: `[scenario.anthropic]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anthropic: Option<AnthropicSpec>,
    /// Steps of a flow, each with its request: `[[scenario.step]]`. One arrival takes them all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub step: Vec<StepSpec>,
    /// Each arrival of a flow keeps the cookies that answers set, as a browser does, and sends them back with its next steps to
    /// the same server. They are never recorded.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cookies: bool,
    /// Send again what failed: `[scenario.retry]`. That of the suite by default; `attempts = 1` does without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

/// One step of a flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepSpec {
    /// Its name, unique in its flow.
    pub name: String,
    /// Pause before the step, in milliseconds.
    #[serde(default)]
    pub think_ms: f64,
    /// What later steps take from its answer, as `{{carry.NAME}}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub carry: BTreeMap<String, Carry>,
    /// Repeat the step until its answer says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    /// Name of the `[origin.NAME]` that it goes to; the target by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Its request. `values` do not belong here: each arrival takes its own from a feed.
    pub http: HttpSpec,
}

fn one() -> f64 {
    1.0
}

/// The one kind that a scenario has.
#[derive(Clone, Debug, PartialEq)]
pub enum ScenarioKind<'a> {
    /// HTTP requests.
    Http(&'a HttpSpec),
    /// Deep-zoom tiles.
    Dzi(&'a DziSpec),
    /// Inference over KServe V2.
    Kserve(&'a KserveSpec),
    /// Prompts for an OpenAI-compatible API.
    Openai(&'a OpenaiSpec),
    /// Prompts for Anthropic's Messages API.
    Anthropic(&'a AnthropicSpec),
    /// Several steps.
    Flow(&'a [StepSpec]),
}

impl ScenarioSpec {
    /// The kind; `None` unless exactly one is given.
    pub fn kind(&self) -> Option<ScenarioKind<'_>> {
        let steps = (!self.step.is_empty()).then_some(self.step.as_slice());
        let kinds = [
            self.http.as_ref().map(ScenarioKind::Http),
            self.dzi.as_ref().map(ScenarioKind::Dzi),
            self.kserve.as_ref().map(ScenarioKind::Kserve),
            self.openai.as_ref().map(ScenarioKind::Openai),
            self.anthropic.as_ref().map(ScenarioKind::Anthropic),
            steps.map(ScenarioKind::Flow),
        ];
        let mut given = kinds.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(kind), None) => Some(kind),
            _ => None,
        }
    }
}

/// Requests made from a template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSpec {
    /// Method.
    #[serde(default = "get")]
    pub method: String,
    /// Path and query. `{{name}}` takes a value of `values`, `{{feed.column}}` one of a feed for each arrival; there are
    /// also `{{seq}}`, `{{user}}`, `{{random.int(1,100)}}`, `{{random.hex(16)}}`, `{{random.uuid}}` and, in a flow,
    /// `{{carry.name}}`. Values are escaped by their place; `{{name | raw}}` is not.
    pub path: String,
    /// Headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// JSON body; `{{name}}` inside strings takes a value of `values`. A request has at most one body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<serde_json::Value>,
    /// JSON body as text, for what TOML cannot say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_text: Option<JsonText>,
    /// Text body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// File whose bytes are the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_file: Option<String>,
    /// Parts of a `multipart/form-data` body: `[{ name = "file", image = { width = 640, height = 480 } }]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub multipart: Vec<PartSpec>,
    /// A generated picture as the whole body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSpec>,
    /// Lists of values; item `k` takes the `k`-th of each list, and the longest list decides how many items there are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Vec<String>>,
    /// What a correct answer looks like.
    #[serde(default)]
    pub expect: Expect,
}

fn get() -> String {
    "GET".to_owned()
}

/// Deep-zoom tiles planned from the target's own descriptor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DziSpec {
    /// Path of the descriptor.
    pub descriptor: String,
    /// Tile path with `{level}`, `{col}` and `{row}`; by default the Deep Zoom convention next to the descriptor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tile_path: Option<String>,
    /// Which tiles.
    #[serde(default)]
    pub pick: DziPick,
    /// How many.
    pub tiles: u32,
}

/// Inference on a model of a KServe V2 server (Open Inference Protocol), over gRPC where the target's URL begins with `grpc:`, else
/// over HTTP. What it takes is asked of the target before the load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KserveSpec {
    /// Name of the model.
    pub model: String,
    /// Its version; the server chooses by default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Its inputs, where the model declares none or others are meant: `[{ name = "x", datatype = "FP32", shape = [1, 4] }]`. A free
    /// dimension (-1) becomes 1, or the side of a picture.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<TensorSpec>,
    /// Outputs to ask for, by name; all by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    /// Different contents that requests take in turn, 1 to 64.
    #[serde(default = "contents", skip_serializing_if = "is_contents")]
    pub contents: u32,
}

impl KserveSpec {
    /// Different contents by default.
    pub const CONTENTS: u32 = 6;
}

fn contents() -> u32 {
    KserveSpec::CONTENTS
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_contents(contents: &u32) -> bool {
    *contents == KserveSpec::CONTENTS
}

/// Which tiles of a pyramid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DziPick {
    /// Tiles that exist, spread over the levels; each must be 200 and an image.
    #[default]
    Valid,
    /// Tiles outside the pyramid; each must be 404.
    OutOfRange,
    /// Tiles that exist, in the order in which a viewer asks for them: the whole, closer, aside, back. Each must be 200 and an image.
    Viewport,
}

/// A phase written by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PhaseSpec {
    /// Its name.
    pub name: String,
    /// One sentence for the report.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Names of scenarios.
    pub scenarios: Vec<String>,
    /// When requests are sent: `shape.burst = { size = 10 }`.
    pub shape: Shape,
    /// Timeouts and sizes; those of `[run.limits]` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Which responses are kept.
    #[serde(default)]
    pub capture: Capture,
    /// Whether its failures only warn.
    #[serde(default)]
    pub advisory: bool,
    /// Start the target anew before it, where Prony started it (`demo:NAME`, or `command`): what the phases before it left behind is gone.
    /// Another target stays as it is, and the report says so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fresh: bool,
}

/// A condition on a phase or on a finding, decided on the interval and not on the point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Phase that a metric is measured in, by name, or `EXPERIMENT/PHASE`. None for a condition on findings.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// Scenario in the phase, `SCENARIO/STEP` for a step of a flow, or endpoint of the finding; all of them together by
    /// default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// On a phase `METRIC OP NUMBER`: `p99_ms <= 500`, `error_rate <= 0.01`, `goodput_rps >= 40`, `count == 80`. On findings
    /// `capacity_rps >= 40`, `leak = "none"`, `finding.ID = "pass"`, `finding.ID <= "warn"`.
    pub check: String,
}

/// What someone says of the target, to be held against the measurements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Short id: `T1`.
    pub id: String,
    /// The claim in its author's words.
    pub says: String,
    /// Conditions that must all hold for the claim to be upheld.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds_if: Vec<Gate>,
    /// Findings any of which contradicts the claim when it is FAIL or WARN: `ID`, or `ID ENDPOINT` for that of one
    /// endpoint (`input-ignored POST /api/search`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unless: Vec<String>,
    /// What the measurements can and cannot say about it, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}
