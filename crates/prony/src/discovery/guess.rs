//! What an endpoint for inference takes when no document says it: a few bodies that such servers commonly take are tried, and the
//! first that is answered well is varied. Only endpoints whose place says that they infer are tried.

use std::collections::BTreeMap;

use prony_model::{Body, Captured, Endpoint, Header, Request, Role, SampleRequest, Surface};
use serde_json::{Value, json};

use super::value::{NUMBERS, TEXTS, picture};
use super::{Fetch, SAMPLES_MAX};
use crate::text;

/// Most bodies that are tried at one endpoint, beside the empty one.
const TRIES_MAX: usize = 7;
/// Most endpoints of a document that are tried.
const ENDPOINTS_MAX: usize = 2;
/// Last segments of paths that mean inference.
const INFERS: &[&str] = &[
    "predict",
    "predictions",
    "infer",
    "inference",
    "invocations",
    "generate",
    "classify",
    "detect",
    "score",
    "embed",
    "encode",
    "transcribe",
];

/// A kind of body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A JSON object with one field.
    Field(String, Holds),
    /// A table of named columns, as MLflow reads it.
    Columns(Vec<String>),
    /// A line of numbers.
    Csv,
    /// A sentence.
    Text,
    /// A PNG.
    Picture,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Number,
    Text,
    /// One row of numbers, in a list.
    Rows,
    /// One text, in a list.
    Texts,
}

impl Shape {
    /// An object with that field.
    pub(super) fn field(name: &str, holds: Holds) -> Self {
        Self::Field(name.to_owned(), holds)
    }

    /// The `k`-th request of the kind.
    fn request(&self, path: &str, k: usize) -> SampleRequest {
        let row =
            |width: usize| -> Vec<f64> { (0..width).map(|i| NUMBERS[(k + i) % NUMBERS.len()]).collect() };
        let sentence = TEXTS[k % TEXTS.len()];
        let (name, value) = match self {
            Self::Field(name, holds) => {
                let value = match holds {
                    Holds::Number => json!(NUMBERS[k % NUMBERS.len()]),
                    Holds::Text => json!(sentence),
                    Holds::Rows => json!([row(4)]),
                    Holds::Texts => json!([sentence]),
                };
                (name.as_str(), value)
            }
            Self::Columns(names) => {
                let table = json!({"columns": names, "data": [row(names.len())]});
                ("dataframe_split", table)
            }
            Self::Csv => {
                let line: Vec<String> = row(4).iter().map(ToString::to_string).collect();
                return plain(path, "text/csv", Body::text(line.join(",")), line.join(","));
            }
            Self::Text => return plain(path, "text/plain", Body::text(sentence), sentence.to_owned()),
            Self::Picture => {
                return plain(path, "image/png", Body::Bytes(picture(k)), format!("picture {k}"));
            }
        };
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        SampleRequest {
            request: Request::json("POST", path, &json!({ name: value })),
            inputs: BTreeMap::from([(name.to_owned(), shown)]),
        }
    }

    /// In words.
    fn shown(&self) -> String {
        match self {
            Self::Field(name, _) => format!("{{\"{}\": ...}}", text::clean(name, 40)),
            Self::Columns(names) => format!("a table of {} columns", names.len()),
            Self::Csv => "a line of numbers (text/csv)".to_owned(),
            Self::Text => "a plain text".to_owned(),
            Self::Picture => "a picture (image/png)".to_owned(),
        }
    }
}

fn plain(path: &str, content_type: &str, body: Body, shown: String) -> SampleRequest {
    SampleRequest {
        request: Request {
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: vec![Header::new("content-type", content_type)],
            body,
        },
        inputs: BTreeMap::from([("body".to_owned(), shown)]),
    }
}

/// Requests that the endpoint answers well, and a line that says how they were found; else what to type.
pub(super) fn requests(
    fetch: &mut dyn Fetch,
    path: &str,
    shapes: &[Shape],
) -> Result<(Vec<SampleRequest>, String), String> {
    let shown = text::clean(path, 80);
    let empty = fetch.fetch(&Request::json("POST", path, &json!({})));
    if !matches!(empty.status, 401 | 403 | 404 | 405 | 429) {
        // One that takes anything must show that it reads what it is given.
        let anything = (200..300).contains(&empty.status).then(|| empty.digest.clone());
        let mut left: Vec<Shape> = named_fields(&empty);
        left.extend(shapes.iter().cloned());
        let mut tried: Vec<Shape> = Vec::new();
        while tried.len() < TRIES_MAX && !left.is_empty() {
            let shape = left.remove(0);
            if tried.contains(&shape) {
                continue;
            }
            let answer = fetch.fetch(&shape.request(path, 0).request);
            if is_good(&answer) && anything.as_ref() != Some(&answer.digest) {
                let samples = (0..SAMPLES_MAX).map(|k| shape.request(path, k)).collect();
                let line = format!(
                    "POST {shown} takes {}: tried, since no document says it",
                    shape.shown()
                );
                return Ok((samples, line));
            }
            if let Some(columns) = missing_columns(&answer) {
                left.insert(0, columns);
            }
            tried.push(shape);
        }
    }
    Err(format!(
        "POST {shown} answers {}; what it takes no document says: prony check URL{shown} -b '{{\"FIELD\": \"text\"}}', -F FIELD=@ for a picture",
        empty.status
    ))
}

/// Asks the documented endpoints for inference whose document does not say what they take.
pub(super) fn undescribed(fetch: &mut dyn Fetch, surface: &mut Surface) {
    let asked: Vec<Request> = surface
        .endpoints
        .iter()
        .filter(|e| is_undescribed(e) && !surface.keeps.contains(&e.name))
        .filter_map(|e| Some(e.samples.first()?.request.clone()))
        .take(ENDPOINTS_MAX)
        .collect();
    for request in asked {
        let path = request.path.clone();
        // It needs nothing.
        if is_good(&fetch.fetch(&request)) {
            continue;
        }
        let shapes = [
            Shape::field("input", Holds::Number),
            Shape::field("input", Holds::Text),
            Shape::field("inputs", Holds::Text),
            Shape::field("text", Holds::Text),
            Shape::field("prompt", Holds::Text),
            Shape::field("instances", Holds::Rows),
        ];
        // MLflow since version 3 has a document that does not say what this takes.
        let of_mlflow = [
            Shape::field("inputs", Holds::Rows),
            Shape::field("inputs", Holds::Texts),
            Shape::field("instances", Holds::Rows),
            Shape::field("inputs", Holds::Text),
        ];
        let shapes = if path.ends_with("/invocations") {
            &of_mlflow[..]
        } else {
            &shapes
        };
        match requests(fetch, &path, shapes) {
            Ok((samples, line)) => {
                surface.found_by.push(line);
                for endpoint in surface
                    .endpoints
                    .iter_mut()
                    .filter(|e| e.path == path && e.method == "POST")
                {
                    endpoint.samples.clone_from(&samples);
                }
            }
            Err(line) => {
                surface.found_by.push(line);
                surface
                    .endpoints
                    .retain(|e| !(e.path == path && e.method == "POST"));
            }
        }
    }
}

fn is_undescribed(endpoint: &Endpoint) -> bool {
    let last = endpoint
        .path
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_lowercase();
    let says_nothing = endpoint.samples.iter().all(|sample| match &sample.request.body {
        Body::Empty => true,
        Body::Text(body) => body == "{}",
        _ => false,
    });
    endpoint.method == "POST"
        && endpoint.role == Role::Inference
        && endpoint.parameters.iter().all(|p| !p.required)
        && INFERS.contains(&last.as_str())
        && says_nothing
}

/// A success that is more than an error with a good status.
fn is_good(answer: &Captured) -> bool {
    let only_error = answer.json().is_some_and(|json| {
        let object = json.as_object();
        object.is_some_and(|o| o.get("error").is_some_and(|e| !e.is_null() && !e.is_number()) && o.len() <= 2)
    });
    (200..300).contains(&answer.status) && answer.status != 202 && !only_error
}

/// Fields that a refusal of the empty object names: those of a validation error, else the first name in quotes.
fn named_fields(refusal: &Captured) -> Vec<Shape> {
    let Some(json) = refusal.json().filter(|_| refusal.status >= 400) else {
        return Vec::new();
    };
    let details = json.get("detail").and_then(Value::as_array);
    let located: Vec<&str> = details
        .into_iter()
        .flatten()
        .filter_map(|detail| detail.get("loc")?.as_array()?.get(1..)?.last()?.as_str())
        .collect();
    let said = ["error", "message", "detail"]
        .iter()
        .find_map(|key| json.get(*key)?.as_str());
    let quoted = said.and_then(|words| {
        let parts: Vec<&str> = words.split(['\'', '`', '"']).collect();
        parts.into_iter().skip(1).step_by(2).find(|part| is_name(part))
    });
    let name = match located.as_slice() {
        [only] if is_name(only) => Some(*only),
        [] => quoted,
        // One field alone would not do.
        _ => None,
    };
    name.into_iter()
        .flat_map(|name| [Shape::field(name, Holds::Text), Shape::field(name, Holds::Number)])
        .collect()
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty() && text.len() <= 40 && text.chars().all(plain)
}

/// The columns that MLflow misses: `Model is missing inputs ['a', 'b']`.
fn missing_columns(answer: &Captured) -> Option<Shape> {
    const COLUMNS_MAX: usize = 200;
    let json = answer.json().filter(|_| answer.status >= 400)?;
    let words = json.get("message")?.as_str()?;
    let list = words.split_once("missing inputs [")?.1.split_once(']')?.0;
    let names: Vec<String> = list
        .split('\'')
        .skip(1)
        .step_by(2)
        .take(COLUMNS_MAX)
        .map(str::to_owned)
        .collect();
    (!names.is_empty()).then_some(Shape::Columns(names))
}
