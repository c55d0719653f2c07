//! KServe V2 over gRPC: what a server says of itself and of its models becomes endpoints. It calls nothing that does work.

use std::collections::BTreeMap;

use prony_model::{BodyCheck, Captured, Endpoint, Expect, Request, Role, SampleRequest, Surface};
use prony_wire::kserve;

use super::Discovery;
use crate::inference::{self, Fetch, Named, Transport};
use crate::text::clean;

/// Models that are driven; the others are named.
const MODELS_MAX: usize = 4;
/// Requests with different content.
const SAMPLES: usize = 6;

/// Finds the endpoints. `path` is that of the URL the user gave: it may name a model. Returns the answer to the first request instead
/// when nobody answers at all.
pub(crate) fn discover(fetch: &mut Fetch<'_>, path: &str) -> Result<Discovery, Box<Captured>> {
    let live = inference::call("ServerLive", &[]);
    let first = fetch(&live);
    if first.status == 0 && first.outcome.is_failure() {
        return Err(Box::new(first));
    }
    let mut surface = Surface::default();
    for method in ["ServerLive", "ServerReady"] {
        match inference::ask(fetch, method, &[]) {
            Ok(_) => surface.endpoints.push(endpoint(
                method,
                method,
                Role::Health,
                vec![sample(inference::call(method, &[]), "")],
                Expect {
                    body: vec![BodyCheck::Grpc],
                    ..Expect::status(200)
                },
            )),
            Err(why) => surface.found_by.push(format!("{method}: {why}")),
        }
    }
    let told = inference::ask(fetch, "ServerMetadata", &[]);
    if let Some(server) = told.ok().and_then(|message| kserve::server(&message).ok()) {
        surface.name = clean(&server.name, 80);
        surface.version = clean(&server.version, 40);
        surface
            .found_by
            .push(format!("KServe V2 over gRPC: {}", clean(&server.name, 60)));
    }
    let (given, version) = Named::in_path(path).map_or(("", ""), |named| (named.model, named.version));
    let mut models = inference::models(fetch, Transport::Grpc);
    if !given.is_empty() {
        models = vec![given.to_owned()];
    } else if models.is_empty() {
        surface.found_by.push(
            "it does not list its models: give the URL of one, as in grpc://host:port/MODEL".to_owned(),
        );
    }
    for model in models.iter().take(MODELS_MAX) {
        let named = Named { model, version };
        match of_model(fetch, named) {
            Ok(endpoint) => surface.endpoints.push(endpoint),
            Err(why) => surface.found_by.push(format!("model {model} left alone: {why}")),
        }
    }
    if models.len() > MODELS_MAX {
        surface.found_by.push(format!(
            "{} further models of the repository left out; name one in the URL to check it",
            models.len() - MODELS_MAX
        ));
    }
    Ok(Discovery {
        surface,
        preparation: None,
    })
}

/// An endpoint for inference on a model; in words why there can be none.
fn of_model(fetch: &mut Fetch<'_>, named: Named<'_>) -> Result<Endpoint, String> {
    let found = inference::declared(fetch, Transport::Grpc, named)?;
    if found.inputs.is_empty() {
        return Err("it declares no inputs, so no request could be made up".to_owned());
    }
    let made = |k| {
        let request = inference::infer(Transport::Grpc, named, &found.inputs, &[], k)?;
        Ok(sample(request, &format!("content {k}")))
    };
    let samples: Result<Vec<SampleRequest>, String> = (0..SAMPLES).map(made).collect();
    Ok(endpoint(
        &format!("ModelInfer {}", named.model),
        "ModelInfer",
        Role::Inference,
        samples?,
        inference::expect(Transport::Grpc, &found.outputs, &[]),
    ))
}

/// What a sample's inputs are; empty for none.
fn sample(request: Request, inputs: &str) -> SampleRequest {
    let varied = (!inputs.is_empty()).then(|| ("inputs".to_owned(), inputs.to_owned()));
    SampleRequest {
        request,
        inputs: BTreeMap::from_iter(varied),
    }
}

fn endpoint(name: &str, method: &str, role: Role, samples: Vec<SampleRequest>, expect: Expect) -> Endpoint {
    Endpoint {
        name: name.to_owned(),
        method: "POST".to_owned(),
        path: kserve::path(method),
        role,
        parameters: Vec::new(),
        body_schema: None,
        declared_statuses: Vec::new(),
        samples,
        expect,
    }
}
