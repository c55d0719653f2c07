//! Finding out what a target is, with requests that any HTTP client could send.
//!
//! Discovery asks for documents (OpenAPI, descriptors, model lists), health and listings. It never calls an endpoint
//! that does the target's real work: the first such call belongs to the run, where it is recorded.

mod anthropic;
mod harvest;
mod llm;
mod openai;
mod openapi;
mod places;
mod protocols;
mod role;
mod tiles;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use prony_model::{Captured, Endpoint, Expect, Request, Role, SampleRequest, Surface};

use harvest::Harvest;
use openapi::Operation;

use crate::text;

/// Most endpoints that a surface holds; what is beyond is named in `found_by`.
const ENDPOINTS_MAX: usize = 60;
/// Distinct inputs per endpoint.
const SAMPLES_MAX: usize = 8;

/// Something that can perform one exchange. The engine can; tests use a table.
pub(crate) trait Fetch {
    /// One exchange; a failure is in the answer's `outcome` and `error`.
    fn fetch(&mut self, request: &Request) -> Captured;
}

impl<F: FnMut(&Request) -> Captured> Fetch for F {
    fn fetch(&mut self, request: &Request) -> Captured {
        self(request)
    }
}

/// Finds the endpoints of a target. `path` is the path of the URL the user gave.
///
/// Returns the answer to the first request instead when nobody answers at all.
pub(crate) fn discover(fetch: &mut dyn Fetch, path: &str) -> Result<Surface, Box<Captured>> {
    let first = fetch.fetch(&Request::get(path));
    if first.status == 0 && first.outcome.is_failure() {
        return Err(Box::new(first));
    }
    let mut surface = Surface::default();
    let catch_all = places::catch_all(fetch);
    let documents = places::documents(fetch, path, &first);
    let mut harvest = Harvest::default();

    if let Some((place, document)) = documents {
        surface.found_by.push(format!("OpenAPI document at {place}"));
        let mut api = openapi::read(&document);
        below(&mut api.operations, path, &place);
        surface.name = text::clean(&api.title, 80);
        surface.version = text::clean(&api.version, 40);
        listings(fetch, &api.operations, &mut harvest, &mut surface);
        operations(&api.operations, &harvest, &mut surface);
    }
    well_known(fetch, catch_all.as_ref(), &mut surface);
    protocols::dzi(fetch, path, &first, &mut surface);
    tiles::plan(fetch, &mut surface);
    protocols::kserve(fetch, &mut surface);
    let models = llm::Models::ask(fetch);
    openai::find(fetch, &models, &mut surface);
    anthropic::find(fetch, &models, &mut surface);
    the_url_itself(path, &first, &mut surface);
    bound(&mut surface);
    Ok(surface)
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

/// Asks the listings of the document for the values that other endpoints take.
fn listings(fetch: &mut dyn Fetch, operations: &[Operation], harvest: &mut Harvest, surface: &mut Surface) {
    let listings = operations
        .iter()
        .filter(|o| role::of(o) == Role::Listing)
        .take(12);
    for operation in listings {
        let answer = fetch.fetch(&Request::get(&operation.path));
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
        }
    }
}

/// Makes endpoints of a document's operations.
fn operations(operations: &[Operation], harvest: &Harvest, surface: &mut Surface) {
    for operation in operations {
        if let Some(why) = role::left_alone(operation) {
            surface.found_by.push(format!(
                "{} {} left alone: {why}",
                operation.method,
                text::clean(&operation.path, 80)
            ));
            continue;
        }
        let role = role::of(operation);
        if !operation.protection.is_empty() {
            let name = format!("{} {}", operation.method, operation.path);
            surface.protected.insert(name, operation.protection.clone());
        }
        let samples = value::samples(operation, harvest, samples_for(role));
        if samples.is_empty() {
            surface.found_by.push(format!(
                "{} {} left alone: no value could be made up for its parameters",
                operation.method,
                text::clean(&operation.path, 80)
            ));
            continue;
        }
        surface.endpoints.push(Endpoint {
            name: format!("{} {}", operation.method, operation.path),
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
            expect: expectation(operation),
        });
    }
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
fn well_known(fetch: &mut dyn Fetch, catch_all: Option<&Captured>, surface: &mut Surface) {
    for &(path, role) in places::WELL_KNOWN {
        if surface.endpoints.iter().any(|e| e.path == path) {
            continue;
        }
        let answer = fetch.fetch(&Request::get(path));
        let same_as_anything = catch_all.is_some_and(|any| any.digest == answer.digest);
        if answer.status != 200 || same_as_anything {
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

/// The URL that the user gave is an endpoint too, unless it is the root of a documented API.
fn the_url_itself(path: &str, first: &Captured, surface: &mut Surface) {
    let known = surface
        .endpoints
        .iter()
        .any(|e| e.samples.iter().any(|s| s.request.path == path));
    if known || (path == "/" && surface.endpoints.iter().any(Endpoint::is_work)) {
        return;
    }
    if (200..300).contains(&first.status) {
        surface
            .found_by
            .push(format!("the URL given: GET {}", text::clean(path, 80)));
        surface.endpoints.push(bare(path, Role::Resource));
    }
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
