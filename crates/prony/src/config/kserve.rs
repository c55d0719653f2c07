//! Inference on a model of a KServe V2 server: what must be right in `[scenario.kserve]`, and its requests, made from what the server
//! declares.

use prony_model::{Item, KserveSpec};
use prony_wire::kserve;

use super::document::Document;
use crate::diagnostic::{Diagnostic, nearest};
use crate::inference::{self, Fetch, Named, Transport};
use crate::text::clean;

/// Most different contents.
const CONTENTS_MAX: u32 = 64;
/// How inputs are described.
const INPUTS: &str = "`kserve.inputs = [{ name = \"x\", datatype = \"FP32\", shape = [1, 4] }]`";
/// Most names in a message.
const SHOWN_MAX: usize = 20;

/// What the suite says, before anything is asked of the target.
pub(super) fn validate(spec: &KserveSpec, document: &Document, path: &str) -> Result<(), Diagnostic> {
    let at = |key: &str| format!("{path}.kserve.{key}");
    if !inference::is_name(&spec.model) {
        return Err(document
            .error(&at("model"), format!("`{}` is no name of a model", spec.model))
            .next("letters, digits, `-`, `_` and `.`, as in `model = \"resnet-50\"`"));
    }
    if !spec.version.is_empty() && !inference::is_name(&spec.version) {
        return Err(document
            .error(
                &at("version"),
                format!("`{}` is no version of a model", spec.version),
            )
            .next("leave it out, and the server chooses"));
    }
    if !(1..=CONTENTS_MAX).contains(&spec.contents) {
        return Err(document
            .error(
                &at("contents"),
                format!("`contents` must be from 1 to {CONTENTS_MAX}"),
            )
            .next(format!("leave it out for {}", KserveSpec::CONTENTS)));
    }
    let strange = spec
        .inputs
        .iter()
        .position(|input| input.datatype != "BYTES" && input.element_bytes().is_none());
    match strange {
        Some(k) => Err(document
            .error(
                &at(&format!("inputs.{k}.datatype")),
                format!("`{}` is no type of a tensor", spec.inputs[k].datatype),
            )
            .next("BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, FP32, FP64 or BYTES")),
        None => Ok(()),
    }
}

/// The requests, from what the model declares. `note` hears what else is to be known of it.
pub(super) fn items(
    spec: &KserveSpec,
    by: Transport,
    fetch: &mut Fetch<'_>,
    note: &mut dyn FnMut(&str),
) -> Result<Vec<Item>, Diagnostic> {
    if by == Transport::Grpc {
        is_live(fetch)?;
    }
    let model = if spec.model.is_empty() {
        the_only_one(fetch, by)?
    } else {
        spec.model.clone()
    };
    let named = Named {
        model: &model,
        version: &spec.version,
    };
    let found = inference::declared(fetch, by, named).map_err(|why| unknown(fetch, by, &model, &why))?;
    if by == Transport::Grpc && !is_ready(fetch, named) {
        note(&format!("model {model} says that it is not ready"));
    }
    let inputs = if spec.inputs.is_empty() {
        &found.inputs
    } else {
        &spec.inputs
    };
    if inputs.is_empty() {
        return Err(Diagnostic::usage(format!(
            "model {model} declares no inputs, so no request can be made"
        ))
        .next(format!("describe them in a suite: {INPUTS}")));
    }
    if let Some(wanted) = spec
        .outputs
        .iter()
        .find(|name| !found.outputs.is_empty() && !found.outputs.iter().any(|output| output.name == **name))
    {
        let known: Vec<String> = found
            .outputs
            .iter()
            .map(|output| clean(&output.name, 80))
            .collect();
        return Err(Diagnostic::usage(format!(
            "model {model} declares no output `{}`",
            clean(wanted, 80)
        ))
        .next(format!("it has: {}", listed(&known))));
    }
    let expect = inference::expect(by, &found.outputs, &spec.outputs);
    (0..spec.contents as usize)
        .map(|k| {
            let request = inference::infer(by, named, inputs, &spec.outputs, k).map_err(|why| {
                Diagnostic::usage(format!("no request can be made for model {model}: {why}"))
                    .next(format!("describe others in a suite: {INPUTS}"))
            })?;
            Ok(Item {
                request,
                expect: expect.clone(),
            })
        })
        .collect()
}

/// Whether somebody speaks the protocol there.
fn is_live(fetch: &mut Fetch<'_>) -> Result<(), Diagnostic> {
    let answer = inference::ask(fetch, "ServerLive", &[]);
    let live = answer.and_then(|message| {
        kserve::whether(&message).map_err(|error| format!("its answer cannot be read: {error}"))
    });
    match live {
        Ok(true) => Ok(()),
        Ok(false) => Err(Diagnostic::unreachable("the server says that it is not live")
            .next("wait until it is, and look into its log")),
        Err(why) => Err(
            Diagnostic::unreachable(format!("no KServe V2 over gRPC there: ServerLive: {why}"))
                .next("check host and port: a server's port for gRPC is another than its port for HTTP"),
        ),
    }
}

fn is_ready(fetch: &mut Fetch<'_>, named: Named<'_>) -> bool {
    let asked = kserve::of_model(named.model, named.version);
    let told = inference::ask(fetch, "ModelReady", &asked).ok();
    // Who does not answer this says nothing.
    told.and_then(|message| kserve::whether(&message).ok())
        .unwrap_or(true)
}

/// The model that is meant where none is named.
fn the_only_one(fetch: &mut Fetch<'_>, by: Transport) -> Result<String, Diagnostic> {
    let mut models = inference::models(fetch, by);
    match models.len() {
        1 => Ok(models.remove(0)),
        0 => Err(
            Diagnostic::usage("no model is named, and the server does not list what it has")
                .next("name it: --kserve MODEL"),
        ),
        n => Err(Diagnostic::usage(format!("the server has {n} models"))
            .next(format!("name one: --kserve MODEL, of {}", listed(&models)))),
    }
}

/// A model that the server does not tell about.
fn unknown(fetch: &mut Fetch<'_>, by: Transport, model: &str, why: &str) -> Diagnostic {
    let models = inference::models(fetch, by);
    let diagnostic = Diagnostic::unreachable(format!("the server does not describe model {model}: {why}"));
    match nearest(model, models.iter().map(String::as_str)) {
        Some(meant) => diagnostic.next(format!("did you mean `{meant}`?")),
        None if models.is_empty() => diagnostic.next("check the name of the model, and that it is loaded"),
        None => diagnostic.next(format!("it lists: {}", listed(&models))),
    }
}

fn listed(names: &[String]) -> String {
    let shown = names[..names.len().min(SHOWN_MAX)].join(", ");
    if names.len() > SHOWN_MAX {
        format!("{shown} and {} more", names.len() - SHOWN_MAX)
    } else {
        shown
    }
}
