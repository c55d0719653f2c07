//! Finding out what a target is, with requests that any HTTP client could send.
//!
//! Discovery asks for documents (OpenAPI, descriptors, model lists), health and listings. It does not call an endpoint that does
//! the target's real work: the first such call belongs to the run, where it is recorded. The exceptions are endpoints for inference
//! of which nothing says what they take (`guess`), or whether the model does it at all (`sound`): these are tried with a few
//! requests, and what was found says so.

mod anthropic;
mod by_path;
mod called;
mod effects;
mod gradio;
pub(crate) mod grpc;
mod guess;
mod harvest;
mod jobs;
mod llm;
mod mcp;
mod moved;
mod native;
mod openai;
mod openapi;
mod places;
mod protocols;
mod role;
mod runpod;
mod s3;
mod sound;
mod tensors;
mod tiles;
mod told;
mod uploads;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use prony_model::{Captured, Endpoint, Expect, Outcome, Request, Role, SampleRequest, Surface};

use called::Called;
use harvest::Harvest;
use moved::Following;
use openapi::Operation;
pub(crate) use places::health_paths;
pub(crate) use tensors::{fit, tensor};
pub(crate) use told::Told;
pub(crate) use uploads::Preparation;

use crate::text;

/// Most endpoints that a surface holds; what is beyond is named in `found_by`.
const ENDPOINTS_MAX: usize = 60;
/// Distinct inputs per endpoint.
const SAMPLES_MAX: usize = 8;
/// Most endpoints that are named as left out of load.
const NAMED_MAX: usize = 12;
/// Why a request cannot be sent.
const UNSENDABLE: &str = "its path or a header of it holds what HTTP does not allow there";

/// Something that can perform one exchange. The engine can; tests use a table.
pub(crate) trait Fetch {
    /// One exchange; a failure is in the answer's `outcome` and `error`.
    fn fetch(&mut self, request: &Request) -> Captured;

    /// Whether a header of that name, in lower case, goes with every request of the run.
    fn sends(&self, _name: &str) -> bool {
        false
    }

    /// The path at the target to which a `Location` leads from another; `None` where it leads elsewhere.
    fn leads(&self, _from: &str, location: &str) -> Option<String> {
        let is_path = location.starts_with('/') && !location.starts_with("//");
        is_path.then(|| location.to_owned())
    }
}

impl<F: FnMut(&Request) -> Captured> Fetch for F {
    fn fetch(&mut self, request: &Request) -> Captured {
        self(request)
    }
}

/// What the first answers tell.
#[derive(Clone, Copy)]
struct Hints<'a> {
    /// Path of the URL given.
    path: &'a str,
    /// The answer to it.
    first: &'a Captured,
    /// The answer to a path that cannot exist.
    elsewhere: &'a Captured,
}

impl Hints<'_> {
    /// Whether an answer is what the target answers to any path.
    fn is_anything(&self, answer: &Captured) -> bool {
        self.elsewhere.status == 200 && self.elsewhere.digest == answer.digest
    }
}

/// What was found out of a target.
#[derive(Clone, Debug)]
pub(crate) struct Discovery {
    /// Its endpoints.
    pub surface: Surface,
    /// What must be sent before some of them can be asked.
    pub preparation: Option<Preparation>,
}

/// Finds the endpoints of a target. `path` is the path of the URL the user gave, `told` what they said of it.
///
/// Returns the answer to the first request instead when nobody answers at all.
pub(crate) fn discover(fetch: &mut dyn Fetch, path: &str, told: &Told) -> Result<Discovery, Box<Captured>> {
    let mut called = Called::new(fetch);
    let mut following = Following::new(&mut called);
    let fetch: &mut dyn Fetch = &mut following;
    let first = fetch.fetch(&Request::get(path));
    if first.status == 0 && first.outcome.is_failure() {
        return Err(Box::new(first));
    }
    let mut surface = Surface::default();
    let elsewhere = places::elsewhere(fetch);
    let hints = Hints {
        path,
        first: &first,
        elsewhere: &elsewhere,
    };
    let is_gradio = gradio::is_page(&first);
    let mut documents = None;
    let mut routes = Vec::new();
    if !is_gradio {
        documents = places::documents(fetch, path, &first);
    }
    if documents.is_none() && !is_gradio {
        routes = by_path::routes(fetch, &hints);
        documents = places::below(fetch, &routes);
    }
    let has_document = documents.is_some();
    let mut harvest = Harvest::default();
    let mut preparation = None;
    let mut pages = vec![first.body.clone()];
    let mut named = BTreeSet::new();
    let kserve = protocols::kserve_models(fetch, path, &mut harvest, &mut surface);

    if let Some((place, document)) = documents {
        surface.found_by.push(format!("OpenAPI document at {place}"));
        let mut api = openapi::read(&document);
        let route = routes
            .iter()
            .find(|route| place.starts_with(&format!("{route}/")));
        below(&mut api.operations, route.map_or(path, String::as_str), &place);
        surface.name = text::clean(&api.title, 80);
        surface.version = text::clean(&api.version, 40);
        for operation in &mut api.operations {
            operation.leave_headers(&|name| fetch.sends(name));
        }
        let listed = listings(fetch, &api.operations, &mut harvest, &mut surface);
        pages.extend(listed.pages);
        api.operations.retain(|o| !listed.endless.contains(&o.name()));
        named = api.operations.iter().map(Operation::name).collect();
        surface.jobs = jobs::find(&api.operations);
        let kept = api
            .operations
            .iter()
            .filter(|o| uploads::is_upload(o) || only_creates(o));
        let submits = surface.jobs.iter().map(|job| job.submit.clone());
        surface.keeps = kept.map(Operation::name).chain(submits).collect();
        operations(&api.operations, &harvest, &mut surface);
        by_path::cog(&api.operations, &mut surface);
        if told.is_empty() {
            guess::undescribed(fetch, &mut surface);
        }
        preparation = uploads::plan(&api.operations, &harvest);
    }
    well_known(fetch, &hints, &mut surface);
    protocols::dzi(fetch, path, &first, &pages, &mut surface);
    tiles::plan(fetch, &mut surface);
    protocols::kserve(fetch, kserve.as_ref(), &mut surface);
    let models = llm::Models::ask(fetch, &hints);
    let documented = llm::has_document(&surface);
    let sounds = told.is_empty() && sound::find(fetch, &models, documented, &mut surface);
    openai::find(fetch, &models, documented, sounds, &mut surface);
    anthropic::find(fetch, &models, &mut surface);
    native::find(fetch, &hints, has_document, &mut surface);
    if is_gradio {
        gradio::find(fetch, &hints, &mut surface);
    }
    if told.is_empty() {
        if !has_document {
            by_path::ray(fetch, &routes, &mut surface);
        }
        by_path::find(fetch, &hints, &models, &mut surface);
    }
    runpod::undocumented(fetch, path, &mut surface);
    s3::recognise(&first, &mut surface);
    let hints = mcp::Hints {
        about: hints,
        pages: &pages,
        is_told: !told.is_empty(),
    };
    mcp::tools(fetch, &hints, &mut surface);
    if told.is_empty() {
        the_url_itself(path, &first, &mut surface);
    } else {
        as_told(told, path, &mut surface);
    }
    following.apply(&mut surface, |name| named.contains(name));
    settle(&elsewhere, &mut surface);
    called.apply(&mut surface);
    Ok(Discovery { surface, preparation })
}

/// Takes out what cannot be asked or is too much, and says what a reader should know of the rest.
fn settle(elsewhere: &Captured, surface: &mut Surface) {
    sendable(surface);
    bound(surface);
    left_out_of_load(surface);
    if llm::is_guard(elsewhere) && !surface.endpoints.iter().any(Endpoint::is_work) {
        surface.found_by.push(format!(
            "a path that cannot exist is answered {}, as if every path asked for credentials: give them with --bearer-env VARIABLE, \
             or --api-key-env VARIABLE for the header x-api-key",
            elsewhere.status
        ));
    }
}

/// A document found below the path that the user gave, whose own paths do not start there, belongs to an application
/// behind a proxy that strips that path: its operations are below it too.
fn below(operations: &mut [Operation], path: &str, place: &str) {
    let base = path.split('?').next().unwrap_or_default().trim_end_matches('/');
    let inside = |p: &str| p.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'));
    let is_page = ["docs", "redoc", "swagger"]
        .iter()
        .any(|word| base.ends_with(word));
    if base.is_empty() || is_page || !inside(place) || operations.iter().any(|o| inside(&o.path)) {
        return;
    }
    for operation in operations {
        operation.path = format!("{base}{}", operation.path);
    }
}

/// What the listings of a document answered.
#[derive(Default)]
struct Listed {
    /// Their bodies.
    pages: Vec<String>,
    /// Names of those whose answers have no end.
    endless: BTreeSet<String>,
}

/// Asks the listings of the document for the values that other endpoints take.
fn listings(
    fetch: &mut dyn Fetch,
    operations: &[Operation],
    harvest: &mut Harvest,
    surface: &mut Surface,
) -> Listed {
    let mut listed = Listed::default();
    let listings = operations
        .iter()
        .filter(|o| role::of(o) == Role::Listing && role::left_alone(o).is_none())
        .take(12);
    for operation in listings {
        let answer = fetch.fetch(&Request::get(&operation.path));
        if is_endless(&answer) {
            surface.found_by.push(format!(
                "{} {} left alone: its answer is a stream that does not end",
                operation.method,
                text::clean(&operation.path, 80)
            ));
            listed.endless.insert(operation.name());
            continue;
        }
        if answer.status == 200
            && let Some(json) = answer.json()
        {
            let found = harvest.read(&operation.path, &json);
            if found > 0 {
                surface.found_by.push(format!(
                    "{found} values listed at {}",
                    text::clean(&operation.path, 80)
                ));
            }
            listed.pages.push(answer.body);
        }
    }
    listed
}

/// Whether an answer began well and is a stream that goes on and on.
fn is_endless(answer: &Captured) -> bool {
    let is_stream = answer
        .header("content-type")
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/event-stream"));
    (200..300).contains(&answer.status) && (is_stream || answer.outcome == Outcome::BodyTimeout)
}

/// Whether every success that a document declares for it is something created: load would fill the target. Frameworks that declare
/// 201 for every POST declare it for those that only compute an answer as well.
fn only_creates(operation: &Operation) -> bool {
    let mut good = operation
        .statuses
        .iter()
        .filter(|s| (200..300).contains(*s))
        .peekable();
    operation.method == "POST"
        && !effects::path_only_computes(&operation.path)
        && good.peek().is_some()
        && good.all(|status| *status == 201)
}

/// Makes endpoints of a document's operations.
fn operations(operations: &[Operation], harvest: &Harvest, surface: &mut Surface) {
    for operation in operations {
        if let Some(why) = role::left_alone(operation).or_else(|| runpod::left_alone(operations, operation)) {
            surface.found_by.push(format!(
                "{} {} left alone: {why}",
                operation.method,
                text::clean(&operation.path, 80)
            ));
            continue;
        }
        let role = runpod::role(operations, operation).unwrap_or_else(|| role::of(operation));
        if !operation.protection.is_empty() {
            surface
                .protected
                .insert(operation.name(), operation.protection.clone());
        }
        if is_of_jobs(operation, harvest, surface) {
            surface.found_by.push(format!(
                "{} {} is asked with the ids of jobs, once there are any",
                operation.method,
                text::clean(&operation.path, 80)
            ));
            continue;
        }
        let samples = made_samples(operation, harvest);
        if samples.is_empty() {
            let is_made = !value::samples(operation, harvest, 1).is_empty();
            let why = if is_made {
                UNSENDABLE
            } else {
                "no value could be made up for its parameters"
            };
            surface.found_by.push(format!(
                "{} {} left alone: {why}",
                operation.method,
                text::clean(&operation.path, 80)
            ));
            continue;
        }
        surface.endpoints.push(Endpoint {
            name: operation.name(),
            method: operation.method.clone(),
            path: operation.path.clone(),
            role,
            parameters: operation.parameters.clone(),
            body_schema: operation
                .body
                .as_ref()
                .map(|b| prony_model::JsonText(b.schema.clone())),
            declared_statuses: operation.statuses.clone(),
            samples,
            expect: runpod::expect(operations, operation, expectation(operation)),
        });
    }
}

/// Whether an operation takes the id of a job and none is known.
fn is_of_jobs(operation: &Operation, harvest: &Harvest, surface: &Surface) -> bool {
    let asked = surface
        .jobs
        .iter()
        .find(|job| operation.path.starts_with(&job.status));
    asked.is_some_and(|job| harvest.values(&job.parameter, &operation.path).is_empty())
}

/// The samples of an operation that can be sent, as many as its role wants.
fn made_samples(operation: &Operation, harvest: &Harvest) -> Vec<SampleRequest> {
    let mut samples = value::samples(operation, harvest, samples_for(role::of(operation)));
    samples.retain(|sample| value::is_sendable(&sample.request));
    samples
}

fn samples_for(role: Role) -> usize {
    match role {
        Role::Health | Role::Status | Role::Listing | Role::Metrics | Role::Docs => 1,
        Role::Inference | Role::Resource | Role::Media | Role::Tile => SAMPLES_MAX,
    }
}

/// A success of the type that the document declares, where it declares just one that means something. JSON without a
/// schema is what frameworks write when nobody said anything: the answer may as well be an image.
fn expectation(operation: &Operation) -> Expect {
    let schema_says_nothing = operation
        .success_schema
        .as_object()
        .is_none_or(serde_json::Map::is_empty);
    let content_type = match operation.success_types.as_slice() {
        [only] if only == "*/*" || (only == "application/json" && schema_says_nothing) => None,
        [only] => Some(only.clone()),
        _ => None,
    };
    Expect {
        content_type,
        ..Expect::default()
    }
}

/// Health, status, metrics and model lists at their usual places, documented or not.
fn well_known(fetch: &mut dyn Fetch, hints: &Hints<'_>, surface: &mut Surface) {
    for &(path, role) in places::WELL_KNOWN {
        if surface.endpoints.iter().any(|e| e.path == path) {
            continue;
        }
        let answer = fetch.fetch(&Request::get(path));
        if answer.status != 200 || hints.is_anything(&answer) {
            continue;
        }
        surface
            .found_by
            .push(format!("GET {path} answers, though no document names it"));
        surface.endpoints.push(bare(path, role));
    }
}

/// An endpoint that takes no input.
fn bare(path: &str, role: Role) -> Endpoint {
    Endpoint {
        name: format!("GET {path}"),
        method: "GET".to_owned(),
        path: path.to_owned(),
        role,
        parameters: Vec::new(),
        body_schema: None,
        declared_statuses: Vec::new(),
        samples: vec![SampleRequest {
            request: Request::get(path),
            inputs: BTreeMap::new(),
        }],
        expect: Expect::default(),
    }
}

/// The endpoint that the user described takes the place of what was found of it.
fn as_told(told: &Told, path: &str, surface: &mut Surface) {
    let endpoint = told::endpoint(told, path);
    surface
        .found_by
        .push(format!("{} as told", text::clean(&endpoint.name, 80)));
    surface.endpoints.retain(|e| e.name != endpoint.name);
    surface.endpoints.push(endpoint);
}

/// The URL that the user gave is an endpoint too, unless it is the root of a documented API. One that fails is one to report.
fn the_url_itself(path: &str, first: &Captured, surface: &mut Surface) {
    let known = surface
        .endpoints
        .iter()
        .any(|e| e.samples.iter().any(|s| s.request.path == path));
    if known || (path == "/" && surface.endpoints.iter().any(Endpoint::is_work)) {
        return;
    }
    if (200..300).contains(&first.status) || first.status >= 500 {
        surface
            .found_by
            .push(format!("the URL given: GET {}", text::clean(path, 80)));
        surface.endpoints.push(bare(path, Role::Resource));
        let named = paths_in(first);
        if !named.is_empty() {
            surface.found_by.push(format!(
                "it names {}, and not what they take: give one of them as the URL, with -b for its body",
                named.join(", ")
            ));
        }
    } else if let Some(elsewhere) = first
        .header("location")
        .filter(|_| (300..400).contains(&first.status))
    {
        surface.found_by.push(format!(
            "the URL given answers {} and points to {}, which was not followed: give that URL instead",
            first.status,
            text::clean(elsewhere, 80)
        ));
    }
}

/// Paths that a front page in JSON names.
fn paths_in(first: &Captured) -> Vec<String> {
    const PATHS_MAX: usize = 10;
    fn collect(value: &serde_json::Value, depth: u32, found: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => {
                // `POST /predict` or `/predict`.
                let path = text.rsplit(' ').next().unwrap_or_default();
                let plain =
                    path.len() > 1 && path.len() <= 80 && path.starts_with('/') && !path.starts_with("//");
                if plain && found.len() < PATHS_MAX {
                    found.push(text::clean(path, 80));
                }
            }
            serde_json::Value::Array(list) if depth > 0 => {
                for inner in list {
                    collect(inner, depth - 1, found);
                }
            }
            serde_json::Value::Object(map) if depth > 0 => {
                for inner in map.values() {
                    collect(inner, depth - 1, found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let Some(json) = first.json() {
        collect(&json, 4, &mut found);
    }
    found
}

/// Takes out what HTTP does not allow to be sent: one such request would end the whole run.
fn sendable(surface: &mut Surface) {
    let (endpoints, found_by) = (&mut surface.endpoints, &mut surface.found_by);
    endpoints.retain_mut(|endpoint| {
        let before = endpoint.samples.len();
        endpoint.samples.retain(|s| value::is_sendable(&s.request));
        let left = before == 0 || !endpoint.samples.is_empty();
        if !left {
            let name = text::clean(&endpoint.name, 80);
            found_by.push(format!("{name} left alone: {UNSENDABLE}"));
        }
        left
    });
}

/// Says which endpoints no experiment loads.
fn left_out_of_load(surface: &mut Surface) {
    let kept = surface.endpoints.iter().filter(|e| surface.leaves_behind(e));
    let names: Vec<String> = kept.map(|e| text::clean(&e.name, 60)).collect();
    if names.is_empty() {
        return;
    }
    let further = match names.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    surface.found_by.push(format!(
        "asked and not loaded, since each call may leave something behind: {}{further}; --endpoint NAME loads one all the same",
        names[..names.len().min(NAMED_MAX)].join(", ")
    ));
}

/// Drops duplicates and what is beyond the bound.
fn bound(surface: &mut Surface) {
    let mut seen = BTreeSet::new();
    surface.endpoints.retain(|e| seen.insert(e.name.clone()));
    if surface.endpoints.len() > ENDPOINTS_MAX {
        // Work first: those are what the user came for.
        surface.endpoints.sort_by_key(|e| !e.is_work());
        let left = surface.endpoints.split_off(ENDPOINTS_MAX);
        surface.found_by.push(format!(
            "{} further endpoints left out (limit {ENDPOINTS_MAX}); name them in a suite to include them",
            left.len()
        ));
    }
}

#[cfg(test)]
mod tests;
