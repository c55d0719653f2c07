//! Operations that want something that must be uploaded first: which upload gives it, and what to send.
//!
//! Nothing is sent here. An upload leaves something behind on the target, so it is a phase of the run, which is recorded;
//! what it brings fills in the requests of the operations that waited for it.

use prony_model::{
    Captured, Expect, ImageFormat, ImageKind, ImageSpec, Item, Request, SampleRequest, Surface,
};
use serde_json::{Value, json};

use super::harvest::Harvest;
use super::openapi::Operation;
use super::{expectation, made_samples, role, value};
use crate::pictures::{self, Part};
use crate::text;

/// Most uploads of different kinds.
const KINDS_MAX: usize = 3;
/// Most operations that are looked at for one that must be sent first.
const CANDIDATES_MAX: usize = 16;
/// Most fields of an operation that are looked at.
const FIELDS_MAX: usize = 64;
/// What is uploaded: small and large, little and much to see.
const PICTURES: [(u32, u32, ImageKind); 6] = [
    (320, 240, ImageKind::Medium),
    (64, 64, ImageKind::Simple),
    (160, 120, ImageKind::Complex),
    (1280, 720, ImageKind::Simple),
    (200, 600, ImageKind::Medium),
    (1920, 1080, ImageKind::Simple),
];

/// What is to be sent before the operations that need it can be asked.
#[derive(Clone, Debug)]
pub(crate) struct Preparation {
    uploads: Vec<Upload>,
    operations: Vec<Operation>,
    /// What was known before.
    found: Harvest,
    harvest: Harvest,
}

#[derive(Clone, Debug)]
struct Upload {
    /// Name of its endpoint.
    name: String,
    path: String,
    items: Vec<Item>,
    /// Path template that deletes what it made.
    delete: Option<String>,
}

/// A scenario of the preparation: its name and requests.
pub(crate) type Sending = (String, Vec<Item>);

/// The uploads that other operations wait for; `None` when there are none.
pub(super) fn plan(operations: &[Operation], harvest: &Harvest) -> Option<Preparation> {
    let uploads: Vec<Upload> = operations
        .iter()
        .filter(|o| is_upload(o))
        .take(CANDIDATES_MAX)
        .filter(|o| is_awaited(o, operations, harvest))
        .filter_map(|o| upload(o, operations, harvest))
        .take(KINDS_MAX)
        .collect();
    (!uploads.is_empty()).then(|| Preparation {
        uploads,
        operations: operations.to_vec(),
        found: harvest.clone(),
        harvest: harvest.clone(),
    })
}

/// Whether an operation stores a file that is sent to it.
pub(super) fn is_upload(operation: &Operation) -> bool {
    let Some(body) = &operation.body else { return false };
    let is_form = body.content_type.starts_with("multipart/form-data");
    let is_bytes =
        body.content_type.starts_with("image/") || body.content_type.starts_with("application/octet-stream");
    operation.method == "POST"
        && role::left_alone(operation).is_none()
        && !operation.path.contains('{')
        && (is_bytes || (is_form && file_fields(&body.schema).next().is_some()))
        && names_an_id(&operation.success_schema, 6)
}

/// The fields of a form that take a file.
fn file_fields(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .filter(|(_, field)| value::is_file(field))
}

/// Whether an answer of that schema tells what the new thing is called. An empty schema promises nothing and forbids nothing.
fn names_an_id(schema: &Value, depth: u32) -> bool {
    if schema.as_object().is_none_or(serde_json::Map::is_empty) {
        return depth == 6;
    }
    if depth == 0 {
        return false;
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let own = properties.into_iter().flatten().any(|(key, inner)| {
        let id = super::harvest::is_id(key) && !inner.is_array();
        id || names_an_id(inner, depth - 1)
    });
    let parts = ["allOf", "anyOf", "oneOf"]
        .iter()
        .filter_map(|key| schema.get(*key).and_then(Value::as_array))
        .flatten();
    own || schema
        .get("items")
        .is_some_and(|items| names_an_id(items, depth - 1))
        || parts.into_iter().any(|part| names_an_id(part, depth - 1))
}

/// Whether another operation takes an id that only this upload can give.
fn is_awaited(upload: &Operation, operations: &[Operation], harvest: &Harvest) -> bool {
    let mut with = harvest.clone();
    with.learn(&upload.path, &json!({"id": "an-id"}));
    let others = operations
        .iter()
        .filter(|o| o.path != upload.path && role::left_alone(o).is_none());
    others.into_iter().any(|o| {
        names(o)
            .any(|name| harvest.values(name, &o.path).is_empty() && !with.values(name, &o.path).is_empty())
    })
}

/// Names of the parameters and top-level body fields that an operation takes.
fn names(operation: &Operation) -> impl Iterator<Item = &str> {
    let fields = operation
        .body
        .iter()
        .filter_map(|body| body.schema.get("properties").and_then(Value::as_object))
        .flat_map(serde_json::Map::keys);
    let parameters = operation.parameters.iter().map(|p| &p.name);
    parameters.chain(fields).map(String::as_str).take(FIELDS_MAX)
}

fn upload(operation: &Operation, operations: &[Operation], harvest: &Harvest) -> Option<Upload> {
    let items: Vec<Item> = PICTURES
        .iter()
        .enumerate()
        .filter_map(|(k, &(width, height, kind))| {
            let image = ImageSpec {
                width,
                height,
                kind,
                format: format(operation),
                seed: k as u64 + 1,
            };
            request(operation, harvest, &image)
        })
        .filter(value::is_sendable)
        .map(|request| Item {
            request,
            expect: Expect {
                // Later requests need what the answer says, whatever its declared type.
                content_type: None,
                ..expectation(operation)
            },
        })
        .collect();
    let delete = operations.iter().find(|o| {
        let rest = o.path.strip_prefix(&operation.path);
        o.method == "DELETE"
            && value::is_sendable(&Request::get(&o.path))
            && rest.is_some_and(|rest| {
                rest.starts_with("/{") && rest.ends_with('}') && rest.matches('/').count() == 1
            })
    });
    (!items.is_empty()).then(|| Upload {
        name: operation.name(),
        path: operation.path.clone(),
        items,
        delete: delete.map(|o| o.path.clone()),
    })
}

fn format(operation: &Operation) -> ImageFormat {
    match &operation.body {
        Some(body) if body.content_type.starts_with("image/jp") => ImageFormat::Jpeg,
        _ => ImageFormat::Png,
    }
}

/// The operation's own sample with this picture in place of its file.
fn request(operation: &Operation, harvest: &Harvest, image: &ImageSpec) -> Option<Request> {
    let body = operation.body.as_ref()?;
    let mut request = value::samples(operation, harvest, 1).into_iter().next()?.request;
    let bytes = pictures::encoded(image);
    if !body.content_type.starts_with("multipart/form-data") {
        request.body = prony_model::Body::Bytes(bytes);
        return Some(request);
    }
    let fields = value::form_fields(operation, harvest)?;
    let parts: Vec<Part> = fields
        .into_iter()
        .map(|mut part| {
            if part.filename.is_some() {
                part.filename = Some(format!(
                    "{}x{}-{}.{}",
                    image.width,
                    image.height,
                    image.seed,
                    image.format.extension()
                ));
                part.bytes.clone_from(&bytes);
            }
            part
        })
        .collect();
    let (form, _) = pictures::form(&parts);
    request.body = prony_model::Body::Bytes(form);
    Some(request)
}

impl Preparation {
    /// What to send, one scenario for each upload.
    pub(crate) fn sendings(&self) -> Vec<Sending> {
        let of = |upload: &Upload| (upload.name.clone(), upload.items.clone());
        self.uploads.iter().map(of).collect()
    }

    /// Takes in the answers to one of them and fills in the requests that waited. Returns what it is good for.
    pub(crate) fn take(&mut self, name: &str, answers: &[&Captured], surface: &mut Surface) {
        let Some(upload) = self.uploads.iter().find(|u| u.name == name) else {
            return;
        };
        let good = answers.iter().filter(|a| (200..300).contains(&a.status));
        let stored: usize = good
            .filter_map(|a| a.json())
            .map(|json| self.harvest.learn(&upload.path, &json))
            .sum();
        surface.found_by.push(format!(
            "{} test pictures uploaded by {} for the requests that need one: {stored} ids",
            answers.len(),
            text::clean(name, 80)
        ));
        for operation in &self.operations {
            let name = operation.name();
            let Some(endpoint) = surface.endpoints.iter_mut().find(|e| e.name == name) else {
                continue;
            };
            let samples: Vec<SampleRequest> = made_samples(operation, &self.harvest);
            if uses(operation, &self.harvest, &upload.path) && !samples.is_empty() {
                endpoint.samples = samples;
            }
        }
    }

    /// Requests that delete what was uploaded, where the document offers it.
    pub(crate) fn clean_up(&self) -> Vec<Sending> {
        let sweep = |upload: &Upload| {
            let template = upload.delete.as_ref()?;
            let name = template.rsplit_once('{')?.1.trim_end_matches('}');
            let before = self.found.values(name, template);
            let ids = self.harvest.values(name, template).iter();
            let ids = ids.filter(|id| !before.contains(id));
            let item = |id: &Value| {
                let path = template.replace(&format!("{{{name}}}"), &value::in_path(id));
                Item {
                    request: Request {
                        method: "DELETE".to_owned(),
                        ..Request::get(path)
                    },
                    expect: Expect::default(),
                }
            };
            Some((format!("DELETE {template}"), ids.map(item).collect()))
        };
        self.uploads.iter().filter_map(sweep).collect()
    }
}

/// Whether an operation takes an id of what was uploaded there.
fn uses(operation: &Operation, harvest: &Harvest, path: &str) -> bool {
    operation.path != path
        && names(operation).any(|name| {
            let values = harvest.values(name, &operation.path);
            !values.is_empty() && harvest.is_of(values, path)
        })
}
