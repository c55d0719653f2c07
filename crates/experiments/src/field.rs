//! The inputs of an endpoint as its document declares them.

use prony_model::{Body, Endpoint, Place, Request, SampleRequest};
use serde_json::Value;

use crate::mutation::{json_body, with_query, with_segment, without_query};

/// Where an input stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    Body,
    Query,
    Path,
}

/// The one JSON type of an input, when there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    List,
    Object,
    Unclear,
}

/// One declared input.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub name: String,
    pub spot: Spot,
    pub required: bool,
    pub nullable: bool,
    pub kind: Kind,
    /// The schema of its one type.
    pub schema: Value,
}

impl Field {
    /// A bound of the schema.
    pub(crate) fn bound(&self, keyword: &str) -> Option<f64> {
        self.schema.get(keyword).and_then(Value::as_f64)
    }

    /// Whether its name says that it names a thing: `id`, `slide_id`, `imageKey`.
    pub(crate) fn is_id(&self) -> bool {
        prony_model::name_words(&self.name)
            .last()
            .is_some_and(|w| ["id", "key", "uuid", "slug"].contains(&w.as_str()))
    }

    /// Whether its name says that it refers to something kept elsewhere: `image_path`, `documentUri`, `file`.
    pub(crate) fn is_reference(&self) -> bool {
        prony_model::name_words(&self.name)
            .last()
            .is_some_and(|w| ["path", "file", "filename", "uri", "object"].contains(&w.as_str()))
    }

    /// The base request with another value here; `None` when it cannot be put there.
    pub(crate) fn set(&self, endpoint: &Endpoint, base: &SampleRequest, value: &Value) -> Option<Request> {
        self.put(&endpoint.path, &base.request, value)
    }

    /// A request to an endpoint of that path template with another value here; `None` when it cannot be put there.
    pub(crate) fn put(&self, template: &str, request: &Request, value: &Value) -> Option<Request> {
        let mut changed = request.clone();
        let text = || match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match self.spot {
            Spot::Body => {
                let mut body = json_body(request)?;
                body.as_object_mut()?.insert(self.name.clone(), value.clone());
                changed.body = Body::text(body.to_string());
            }
            Spot::Query => changed.path = with_query(&request.path, &self.name, &text()),
            Spot::Path => changed.path = with_segment(template, &request.path, &self.name, &text())?,
        }
        Some(changed)
    }

    /// The base request without it; `None` for a part of the path.
    pub(crate) fn remove(&self, base: &SampleRequest) -> Option<Request> {
        let mut request = base.request.clone();
        match self.spot {
            Spot::Body => {
                let mut body = json_body(&base.request)?;
                body.as_object_mut()?.remove(&self.name)?;
                request.body = Body::text(body.to_string());
            }
            Spot::Query => request.path = without_query(&request.path, &self.name),
            Spot::Path => return None,
        }
        (request != base.request).then_some(request)
    }
}

/// Whether a name says that it bounds the tokens of an answer: `max_tokens`, `maxOutputTokens`, `n_predict`.
pub(crate) fn limits_tokens(name: &str) -> bool {
    let words = prony_model::name_words(name);
    let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
    (has(&["max"]) && has(&["token", "tokens"])) || (has(&["predict"]) && has(&["n", "num"]))
}

/// Whether a value, or a schema, names such a bound anywhere within.
pub(crate) fn names_token_limit(value: &Value) -> bool {
    match value {
        Value::Object(map) => map
            .iter()
            .any(|(name, inner)| limits_tokens(name) || names_token_limit(inner)),
        Value::Array(list) => list.iter().any(names_token_limit),
        _ => false,
    }
}

/// Every input of the endpoint, the required first.
pub(crate) fn fields(endpoint: &Endpoint) -> Vec<Field> {
    let mut found: Vec<Field> = endpoint
        .parameters
        .iter()
        .filter_map(|p| {
            let spot = match p.place {
                Place::Path => Spot::Path,
                Place::Query => Spot::Query,
                Place::Header => return None,
            };
            Some(field(
                &p.name,
                spot,
                p.required || spot == Spot::Path,
                &p.schema.0,
            ))
        })
        .collect();
    if let Some(schema) = &endpoint.body_schema {
        let required = |name: &str| {
            schema
                .0
                .get("required")
                .and_then(Value::as_array)
                .is_some_and(|list| list.iter().any(|n| n == name))
        };
        let properties = schema.0.get("properties").and_then(Value::as_object);
        found.extend(
            properties
                .into_iter()
                .flatten()
                .map(|(name, s)| field(name, Spot::Body, required(name), s)),
        );
    }
    found.sort_by_key(|f| !f.required);
    found
}

/// An input of a JSON body that no document declares: a value of it tells its kind.
pub(crate) fn shown(name: &str, value: &Value) -> Field {
    let kind = match value {
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Null => "null",
    };
    field(name, Spot::Body, false, &serde_json::json!({ "type": kind }))
}

fn field(name: &str, spot: Spot, required: bool, schema: &Value) -> Field {
    let nullable_here = schema.get("nullable") == Some(&Value::Bool(true));
    let (single, nullable) = single(schema);
    Field {
        name: name.to_owned(),
        spot,
        required,
        nullable: nullable || nullable_here,
        kind: kind(single),
        schema: single.clone(),
    }
}

/// Of a choice between one type and null, that type; whether null is allowed.
fn single(schema: &Value) -> (&Value, bool) {
    let is_null = |s: &Value| s.get("type").is_some_and(|t| t == "null");
    for keyword in ["anyOf", "oneOf"] {
        if let Some(list) = schema.get(keyword).and_then(Value::as_array) {
            let mut others = list.iter().filter(|s| !is_null(s));
            let nullable = list.iter().any(is_null);
            return match (others.next(), others.next()) {
                (Some(only), None) => (only, nullable),
                _ => (schema, true),
            };
        }
    }
    let lists_null = schema
        .get("type")
        .and_then(Value::as_array)
        .is_some_and(|list| list.iter().any(|t| t == "null"));
    (schema, lists_null)
}

fn kind(schema: &Value) -> Kind {
    let name = match schema.get("type") {
        Some(Value::String(name)) => name.as_str(),
        Some(Value::Array(list)) => {
            let mut names = list.iter().filter_map(Value::as_str).filter(|n| *n != "null");
            match (names.next(), names.next()) {
                (Some(only), None) => only,
                _ => "",
            }
        }
        _ => "",
    };
    if schema
        .get("anyOf")
        .or(schema.get("oneOf"))
        .or(schema.get("allOf"))
        .is_some()
    {
        return Kind::Unclear;
    }
    match name {
        "string" => Kind::Text,
        "integer" => Kind::Integer,
        "number" => Kind::Number,
        "boolean" => Kind::Boolean,
        "array" => Kind::List,
        "object" => Kind::Object,
        _ => Kind::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{limits_tokens, names_token_limit};

    #[test]
    fn a_bound_of_tokens_is_known_by_its_name_wherever_it_stands() {
        for name in [
            "max_tokens",
            "max_new_tokens",
            "maxOutputTokens",
            "n_predict",
            "num_predict",
        ] {
            assert!(limits_tokens(name), "{name}");
        }
        for name in ["max_length", "tokens", "predict", "n", "top_k"] {
            assert!(!limits_tokens(name), "{name}");
        }
        assert!(names_token_limit(&json!({"options": {"num_predict": 16}})));
        assert!(!names_token_limit(
            &json!({"options": [{"seed": 1}], "prompt": "max_tokens"})
        ));
    }
}
