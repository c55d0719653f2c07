//! Making up valid requests from a schema: what the target lists first, then the document's own examples, then plain
//! values that fit the type and the name.

use std::cell::Cell;
use std::collections::BTreeMap;

use base64::Engine as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use prony_model::{Body, Header, Parameter, Place, Request, SampleRequest};
use prony_wire::http1::{RequestParts, render};
use serde_json::{Map, Value, json};

use super::harvest::{Harvest, is_id};
use super::openapi::{Operation, RequestBody};
use crate::pictures::{self, Part};
use crate::sounds;

/// Characters that may stand unencoded in a path segment or query value (RFC 3986, unreserved).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// Deepest nesting of made-up values.
const DEPTH_MAX: u32 = 6;
/// Most values in one request; a text counts for one and one more for each [`TEXT_PART`] bytes of it.
const VALUES_MAX: u64 = 100_000;
const TEXT_PART: u64 = 64;
/// Ids in a list of ids.
const IDS_EACH: u64 = 2;

/// Plain sentences of public-domain flavour, distinct in words and length, for fields that take free text.
pub(super) const TEXTS: &[&str] = &[
    "The quick brown fox jumps over the lazy dog.",
    "Water boils at a lower temperature on a high mountain.",
    "Which rivers flow through the old town?",
    "A steam engine turns heat into motion.",
    "Bees return to the hive before the rain starts.",
    "Count the red apples on the wooden table.",
    "The night train to the coast leaves at nine.",
    "Glass is made of sand, soda and lime.",
];
/// Numbers for features and measures, another in each sample.
pub(super) const NUMBERS: [f64; 8] = [0.5, 1.5, 0.25, 2.5, 0.75, 4.0, 0.1, 6.5];
/// Short phrases, for search terms and names.
const PHRASES: &[&str] = &[
    "red apple",
    "steam engine",
    "old river",
    "night train",
    "bee hive",
    "glass window",
    "mountain lake",
    "wooden table",
];

/// Up to `count` distinct requests for an operation; empty when a required value cannot be made up.
pub(super) fn samples(operation: &Operation, harvest: &Harvest, count: usize) -> Vec<SampleRequest> {
    let mut made: Vec<SampleRequest> = Vec::new();
    for k in 0..count {
        let Some(sample) = sample(operation, harvest, k) else {
            break;
        };
        if !made.iter().any(|m| m.request == sample.request) {
            made.push(sample);
        }
    }
    made
}

fn sample(operation: &Operation, harvest: &Harvest, k: usize) -> Option<SampleRequest> {
    let mut path = operation.path.clone();
    let mut query: Vec<String> = Vec::new();
    let mut headers = Vec::new();
    let mut inputs = BTreeMap::new();
    let left = Cell::new(VALUES_MAX);
    let maker = Maker {
        harvest,
        path: &operation.path,
        k,
        left: &left,
    };
    for parameter in &operation.parameters {
        if !parameter.required && !helps(operation, parameter, harvest) {
            continue;
        }
        let Some(value) = maker.value(&parameter.name, &parameter.schema.0, DEPTH_MAX) else {
            if parameter.required {
                return None;
            }
            continue;
        };
        let text = plain(&value);
        let encoded = utf8_percent_encode(&text, RESERVED).to_string();
        match parameter.place {
            Place::Path => path = path.replace(&format!("{{{}}}", parameter.name), &encoded),
            Place::Query => query.push(format!("{}={encoded}", parameter.name)),
            Place::Header => headers.push(Header::new(&parameter.name, &text)),
        }
        inputs.insert(parameter.name.clone(), text);
    }
    if path.contains('{') {
        return None;
    }
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let mut body = Body::Empty;
    if let Some(spec) = &operation.body {
        match maker.body(spec, &mut inputs) {
            Some((made, content_type)) => {
                body = made;
                headers.push(Header::new("content-type", content_type));
            }
            None if spec.required => return None,
            None => {}
        }
    }
    let method = operation.method.clone();
    Some(SampleRequest {
        request: Request {
            method,
            path,
            headers,
            body,
        },
        inputs,
    })
}

/// Whether an optional parameter gets a value all the same: where nothing is required and the query alone says what is wanted, a
/// request without one may well be refused: an id that the target lists, and a text where the path says that something is searched
/// or asked for.
fn helps(operation: &Operation, parameter: &Parameter, harvest: &Harvest) -> bool {
    let is_asked = operation.parameters.iter().any(|p| p.required);
    if is_asked || operation.method != "GET" || parameter.place != Place::Query {
        return false;
    }
    let name = &parameter.name;
    let last = operation.path.rsplit('/').next().unwrap_or_default();
    let is_listed = is_id(name) && !harvest.values(name, &operation.path).is_empty();
    is_listed || (takes_text(last) && takes_text(name))
}

/// Whether HTTP allows what stands in the head of a request.
pub(super) fn is_sendable(request: &Request) -> bool {
    let parts = RequestParts {
        method: &request.method,
        target: &request.path,
        authority: "localhost",
        common: &[],
        headers: &request.headers,
        body: None,
        keep_alive: true,
    };
    render(&parts).is_ok()
}

/// The parts of the form that an operation takes, in its first sample.
pub(super) fn form_fields(operation: &Operation, harvest: &Harvest) -> Option<Vec<Part>> {
    let spec = operation.body.as_ref()?;
    let left = Cell::new(VALUES_MAX);
    let maker = Maker {
        harvest,
        path: &operation.path,
        k: 0,
        left: &left,
    };
    let value = maker.value("", &spec.schema, DEPTH_MAX)?;
    Some(maker.parts(&value, &spec.schema))
}

/// Whether a field of a form takes a file, or several.
pub(super) fn is_file(field: &Value) -> bool {
    let own = field.get("items").unwrap_or(field);
    own.get("format").is_some_and(|f| f == "binary") || own.get("contentMediaType").is_some()
}

/// A value as it stands in a path, encoded.
pub(super) fn in_path(value: &Value) -> String {
    utf8_percent_encode(&plain(value), RESERVED).to_string()
}

/// A value as it stands in a path, a query or a table.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Makes the values of the `k`-th sample of one operation.
struct Maker<'a> {
    harvest: &'a Harvest,
    path: &'a str,
    k: usize,
    /// How many more values the request may hold.
    left: &'a Cell<u64>,
}

impl Maker<'_> {
    fn body(&self, spec: &RequestBody, inputs: &mut BTreeMap<String, String>) -> Option<(Body, String)> {
        let mut value = self.value("", &spec.schema, DEPTH_MAX)?;
        if let Some(example) = &spec.example {
            value = self.like_example(example, &spec.schema);
        }
        if let Value::Object(object) = &value {
            inputs.extend(object.iter().map(|(key, v)| (key.clone(), plain(v))));
        }
        if spec.content_type.starts_with("multipart/form-data") {
            return Some(self.multipart(&value, &spec.schema));
        }
        if spec.content_type.starts_with("application/x-www-form-urlencoded") {
            let pairs: Vec<String> = value
                .as_object()?
                .iter()
                .map(|(key, v)| format!("{key}={}", utf8_percent_encode(&plain(v), RESERVED)))
                .collect();
            return Some((Body::text(pairs.join("&")), spec.content_type.clone()));
        }
        if spec.content_type.contains("json") || spec.content_type == "*/*" {
            return Some((Body::text(value.to_string()), "application/json".to_owned()));
        }
        if spec.content_type.starts_with("text/") {
            return Some((Body::text(TEXTS[self.k % TEXTS.len()]), spec.content_type.clone()));
        }
        Some((Body::Bytes(picture(self.k)), spec.content_type.clone()))
    }

    /// The document's own example, with the fields that can vary set to this sample's values.
    fn like_example(&self, example: &Value, schema: &Value) -> Value {
        let mut value = example.clone();
        if self.k == 0 {
            return value;
        }
        if let Some(object) = value.as_object_mut() {
            for (name, field) in object.iter_mut() {
                let own = schema.pointer(&format!(
                    "/properties/{}",
                    name.replace('~', "~0").replace('/', "~1")
                ));
                let varies = !self.harvest.values(name, self.path).is_empty()
                    || (field.as_str().is_some_and(is_prose) && takes_text(name));
                if varies && let Some(made) = self.value(name, own.unwrap_or(&Value::Null), DEPTH_MAX) {
                    *field = made;
                }
            }
        }
        value
    }

    /// Takes so many values from what is left; whether they were there.
    fn spend(&self, values: u64) -> bool {
        let rest = self.left.get().checked_sub(values);
        self.left.set(rest.unwrap_or(0));
        rest.is_some()
    }

    fn value(&self, name: &str, schema: &Value, depth: u32) -> Option<Value> {
        if depth == 0 || !self.spend(1) {
            return None;
        }
        if let Some(constant) = schema.get("const") {
            return Some(constant.clone());
        }
        if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
            return choices.iter().find(|c| !c.is_null()).cloned();
        }
        let listed = self.harvest.values(name, self.path);
        let kind = kind(schema);
        if !name.is_empty() && !listed.is_empty() && matches!(kind, Kind::Text | Kind::Whole | Kind::Any) {
            return Some(fit(self.pick(name, schema, listed, depth), kind));
        }
        if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
            return self.value(name, &merge(schema, all), depth - 1);
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(choices) = schema.get(key).and_then(Value::as_array) {
                let solid = choices
                    .iter()
                    .filter(|c| c.get("type").is_none_or(|t| t != "null"));
                return solid.into_iter().find_map(|c| self.value(name, c, depth - 1));
            }
        }
        let example = schema
            .get("example")
            .or_else(|| {
                schema
                    .get("examples")
                    .and_then(Value::as_array)?
                    .get(self.k.min(1))
            })
            .or_else(|| schema.get("examples").and_then(Value::as_array)?.first());
        let free_text = kind == Kind::Text && takes_text(name);
        if let Some(example) = example
            && !(free_text && self.k > 0)
        {
            return Some(example.clone());
        }
        if let Some(default) = schema.get("default").filter(|d| !d.is_null())
            && kind != Kind::Object
        {
            return Some(default.clone());
        }
        match kind {
            Kind::Object => self.object(schema, depth),
            Kind::Array => self.array(name, schema, depth),
            Kind::Whole => Some(Self::whole(name, schema)),
            Kind::Number => Some(json!(number(schema, NUMBERS[self.k % NUMBERS.len()]))),
            Kind::Flag => Some(json!(false)),
            Kind::Text | Kind::Any => {
                let text = self.text(name, schema);
                self.spend(text.len() as u64 / TEXT_PART)
                    .then(|| Value::String(text))
            }
        }
    }

    /// The value of this sample: another for each, but for a field that names the model. That one stays the same, the
    /// document's own example where there is one, so that what the samples differ in is their input.
    fn pick<'v>(&self, name: &str, schema: &Value, listed: &'v [Value], depth: u32) -> &'v Value {
        let names_model = depth < DEPTH_MAX && name.to_lowercase().contains("model");
        if !names_model {
            return &listed[self.k % listed.len()];
        }
        let examples = schema.get("examples").and_then(Value::as_array);
        let example = schema.get("example").or_else(|| examples?.first());
        let shown = example.and_then(|example| listed.iter().find(|value| *value == example));
        shown.unwrap_or(&listed[0])
    }

    fn object(&self, schema: &Value, depth: u32) -> Option<Value> {
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|r| r.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let empty = Map::new();
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let mut object = Map::new();
        for (name, field) in properties {
            if required.contains(&name.as_str()) {
                object.insert(name.clone(), self.value(name, field, depth - 1)?);
            }
        }
        // A body whose fields are all optional still wants an input: give it what can be listed or is plainly text.
        if required.is_empty() {
            for (name, field) in properties {
                let wanted = !self.harvest.values(name, self.path).is_empty() || takes_text(name);
                if wanted && let Some(value) = self.value(name, field, depth - 1) {
                    object.insert(name.clone(), value);
                }
            }
        }
        Some(Value::Object(object))
    }

    fn array(&self, name: &str, schema: &Value, depth: u32) -> Option<Value> {
        let any = json!({});
        let items = schema.get("items").unwrap_or(&any);
        if name == "messages" {
            return Some(json!([{"role": "user", "content": TEXTS[self.k % TEXTS.len()]}]));
        }
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).max(1);
        // Of things that are listed several, so that there are items to tell apart.
        let listed = self.harvest.values(name, self.path).len() as u64;
        let most = schema.get("maxItems").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let count = least.max(listed.min(IDS_EACH)).min(most.max(least));
        if count > self.left.get() {
            return None;
        }
        let item = |j: u64| {
            let next = Self {
                k: self.k + j as usize,
                ..*self
            };
            next.value(name, items, depth - 1)
        };
        let first = item(0)?;
        // Features differ from one another; of other things one is as good as many.
        let differ = |j: u64| j < listed || kind(items) == Kind::Number;
        let weight = weight(&first);
        let again = || self.spend(weight).then(|| first.clone());
        let others = (1..count).map(|j| if differ(j) { item(j) } else { again() });
        let others: Option<Vec<Value>> = others.collect();
        Some(std::iter::once(first.clone()).chain(others?).collect())
    }

    fn whole(name: &str, schema: &Value) -> Value {
        let index = [
            "level",
            "z",
            "zoom",
            "col",
            "column",
            "x",
            "row",
            "y",
            "offset",
            "skip",
            "page_index",
        ];
        let wish = if index.contains(&name.to_lowercase().as_str()) {
            0.0
        } else {
            1.0
        };
        json!(number(schema, wish) as i64)
    }

    fn text(&self, name: &str, schema: &Value) -> String {
        let k = self.k;
        let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
        let described = schema
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_lowercase();
        let encoding = schema
            .get("contentEncoding")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let lower = name.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|w| lower.contains(w));
        let chosen = match format {
            "date" => format!("2024-03-{:02}", k + 1),
            "date-time" => format!("2024-03-{:02}T12:00:00Z", k + 1),
            "uuid" => format!("00000000-0000-4000-8000-{k:012}"),
            "email" => format!("reader{k}@example.com"),
            "uri" | "url" => format!("https://example.com/item/{k}"),
            "byte" => picture_base64(k),
            _ if encoding == "base64" || described.contains("base64") || has(&["base64", "b64"]) => {
                picture_base64(k)
            }
            _ if has(&["image", "picture", "photo", "patch", "frame"])
                && !has(&["id", "name", "path", "url"]) =>
            {
                picture_base64(k)
            }
            _ if has(&["language", "lang", "locale"]) => {
                ["de", "fr", "es", "it", "pt", "nl", "sv", "pl"][k % 8].to_owned()
            }
            _ if lower.starts_with("tile") => "0_0".to_owned(),
            _ if has(&[
                "prompt", "text", "message", "content", "document", "passage", "body", "input", "sentence",
                "question",
            ]) =>
            {
                TEXTS[k % TEXTS.len()].to_owned()
            }
            _ if lower.is_empty() => TEXTS[k % TEXTS.len()].to_owned(),
            _ if takes_text(name) => PHRASES[k % PHRASES.len()].to_owned(),
            _ => format!("{}-{}", PHRASES[k % PHRASES.len()].replace(' ', "-"), k + 1),
        };
        fit_length(chosen, schema)
    }

    fn multipart(&self, value: &Value, schema: &Value) -> (Body, String) {
        let (bytes, content_type) = pictures::form(&self.parts(value, schema));
        (Body::Bytes(bytes), content_type)
    }

    /// The parts of a form with these values; a field that takes a file gets a picture, or a sound where its name, or the path,
    /// says so.
    fn parts(&self, value: &Value, schema: &Value) -> Vec<Part> {
        let part = |(name, field): (&String, &Value)| {
            let properties = schema.get("properties");
            let is_file = properties.and_then(|p| p.get(name)).is_some_and(is_file);
            let (filename, content_type, bytes) = if !is_file {
                (None, None, plain(field).into_bytes())
            } else if is_sound(name) || is_sound(self.path) {
                (Some("sample.wav"), Some("audio/wav"), sounds::wav(self.k))
            } else {
                (Some("sample.png"), Some("image/png"), picture(self.k))
            };
            Part {
                name: name.clone(),
                filename: filename.map(str::to_owned),
                content_type: content_type.map(str::to_owned),
                bytes,
            }
        };
        value.as_object().into_iter().flatten().map(part).collect()
    }
}

/// What a schema wants, as far as making one up goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Object,
    Array,
    Text,
    Whole,
    Number,
    Flag,
    Any,
}

fn kind(schema: &Value) -> Kind {
    let named = match schema.get("type") {
        Some(Value::String(name)) => Some(name.as_str()),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).find(|n| *n != "null"),
        _ => None,
    };
    match named {
        Some("object") => Kind::Object,
        Some("array") => Kind::Array,
        Some("string") => Kind::Text,
        Some("integer") => Kind::Whole,
        Some("number") => Kind::Number,
        Some("boolean") => Kind::Flag,
        _ if schema.get("properties").is_some() => Kind::Object,
        _ if schema.get("items").is_some() => Kind::Array,
        _ => Kind::Any,
    }
}

/// How many values a value counts for.
fn weight(value: &Value) -> u64 {
    let inner = match value {
        Value::String(text) => text.len() as u64 / TEXT_PART,
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(fields) => fields.values().map(weight).sum(),
        _ => 0,
    };
    1 + inner
}

/// Whether a text is words, and no address, code or encoded bytes, which another text could not stand for.
fn is_prose(text: &str) -> bool {
    let is_word = |word: &str| {
        let plain = word.trim_matches(|c: char| c.is_ascii_punctuation());
        (plain.len() <= 24 || !plain.is_ascii())
            && plain.chars().all(|c| c.is_alphabetic() || "'’-".contains(c))
    };
    let words = || text.split_whitespace();
    let wordlike = words().filter(|word| is_word(word)).count();
    let is_address = text.contains("://") || text.starts_with("data:");
    !is_address && wordlike > 0 && 2 * wordlike > words().count()
}

/// Whether a field of that name takes free text.
fn takes_text(name: &str) -> bool {
    let lower = name.to_lowercase();
    [
        "query", "prompt", "text", "question", "message", "content", "input", "sentence", "passage",
        "search", "term", "q",
    ]
    .iter()
    .any(|w| lower == *w || (w.len() > 1 && lower.contains(w)))
}

/// Whether a name means sound.
fn is_sound(name: &str) -> bool {
    let lower = name.to_lowercase();
    ["audio", "sound", "speech", "voice", "wav", "transcri"]
        .iter()
        .any(|word| lower.contains(word))
}

/// A listed value in the type that the schema wants.
fn fit(value: &Value, kind: Kind) -> Value {
    match (kind, value) {
        (Kind::Text, Value::Number(number)) => Value::String(number.to_string()),
        (Kind::Whole, Value::String(text)) => text.parse::<i64>().map_or_else(|_| value.clone(), Value::from),
        _ => value.clone(),
    }
}

/// `wish` moved into the schema's bounds.
fn number(schema: &Value, wish: f64) -> f64 {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let low = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|b| b + 1.0));
    let high = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|b| b - 1.0));
    let raised = low.map_or(wish, |low| wish.max(low));
    high.map_or(raised, |high| raised.min(high))
}

/// The text cut or repeated into the schema's length bounds.
fn fit_length(text: String, schema: &Value) -> String {
    let bound = |key: &str| schema.get(key).and_then(Value::as_u64).map(|n| n as usize);
    let mut text = text;
    if let Some(least) = bound("minLength")
        && !text.is_empty()
    {
        let unit = text.clone();
        while text.chars().count() < least.min(100_000) {
            text.push(' ');
            text.push_str(&unit);
        }
    }
    match bound("maxLength") {
        Some(most) => text.chars().take(most).collect(),
        None => text,
    }
}

/// `allOf` merged into one object schema.
fn merge(schema: &Value, parts: &[Value]) -> Value {
    let mut properties = Map::new();
    let mut required: Vec<Value> = Vec::new();
    let mut merged = Map::new();
    for part in parts.iter().chain([schema]) {
        for (key, value) in part
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| *key != "allOf")
        {
            match (key.as_str(), value) {
                ("properties", Value::Object(own)) => properties.extend(own.clone()),
                ("required", Value::Array(own)) => required.extend(own.iter().cloned()),
                _ => {
                    merged.insert(key.clone(), value.clone());
                }
            }
        }
    }
    if !properties.is_empty() {
        merged.insert("properties".into(), properties.into());
        merged.insert("required".into(), required.into());
    }
    Value::Object(merged)
}

/// A small PNG whose pixels depend on `k`: gradients and a disc, so that a real decoder and a real model have
/// something to look at. 96 x 96 pixels.
pub(super) fn picture(k: usize) -> Vec<u8> {
    let side = 96u32;
    let phase = k as u32;
    let image = image::RgbImage::from_fn(side, side, |x, y| {
        let (dx, dy) = (x.abs_diff(20 + 9 * (phase % 7)), y.abs_diff(70 - 8 * (phase % 6)));
        let inside = dx * dx + dy * dy < 15 * 15;
        let red = if inside { 220 } else { (x * 2 + 23 * phase) % 256 };
        let green = if inside { 40 } else { (y * 2 + 57 * phase) % 256 };
        image::Rgb([red as u8, green as u8, ((x + y + 91 * phase) % 256) as u8])
    });
    let mut png = std::io::Cursor::new(Vec::new());
    image
        .write_to(&mut png, image::ImageFormat::Png)
        .expect("writing to memory does not fail");
    png.into_inner()
}

pub(super) fn picture_base64(k: usize) -> String {
    base64::engine::general_purpose::STANDARD.encode(picture(k))
}

#[cfg(test)]
mod tests;
