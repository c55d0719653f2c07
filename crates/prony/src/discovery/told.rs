//! An endpoint that the person tells: bodies that it answers well, where no document names it. It must not send anything.

use std::collections::BTreeMap;

use prony_model::{Body, Endpoint, Header, Request, SampleRequest};
use serde_json::{Map, Value, json};

use super::harvest::Harvest;
use super::openapi::{Operation, RequestBody};
use super::protocols::work;
use super::{SAMPLES_MAX, made_samples};

/// What the person said of the endpoint at the path of the URL given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// Bodies that it answers well.
    pub bodies: Vec<String>,
    /// Their content type; JSON where they are JSON, else plain text.
    pub content_type: Option<String>,
    /// Fields of a form; an `@` in place of a value stands for a picture.
    pub form: Vec<(String, String)>,
}

impl Told {
    /// Whether nothing was said.
    pub(crate) fn is_empty(&self) -> bool {
        self.bodies.is_empty() && self.form.is_empty()
    }
}

/// The endpoint, asked with POST. With one body alone its texts are varied; several are sent as they are.
pub(super) fn endpoint(told: &Told, path: &str) -> Endpoint {
    let samples = if told.form.is_empty() {
        match one_json_object(told) {
            Some(object) => varied(path, &object),
            None => as_they_are(told, path),
        }
    } else {
        form(told, path)
    };
    work(path, samples, Vec::new())
}

fn one_json_object(told: &Told) -> Option<Map<String, Value>> {
    let [only] = told.bodies.as_slice() else {
        return None;
    };
    let is_json = told.content_type.as_ref().is_none_or(|t| t.contains("json"));
    match serde_json::from_str(only) {
        Ok(Value::Object(object)) if is_json => Some(object),
        _ => None,
    }
}

/// The object itself, then others with other texts in the fields that take free text.
fn varied(path: &str, object: &Map<String, Value>) -> Vec<SampleRequest> {
    let kind = |value: &Value| {
        if value.is_string() {
            json!({"type": "string"})
        } else {
            json!({})
        }
    };
    let fields: Map<String, Value> = object.iter().map(|(name, v)| (name.clone(), kind(v))).collect();
    let body = RequestBody {
        content_type: "application/json".to_owned(),
        schema: json!({"type": "object", "properties": fields}),
        required: true,
        example: Some(Value::Object(object.clone())),
    };
    made(path, body)
}

/// The samples that discovery makes for a document with such a body.
fn made(path: &str, body: RequestBody) -> Vec<SampleRequest> {
    let operation = Operation {
        method: "POST".to_owned(),
        path: path.to_owned(),
        body: Some(body),
        ..Operation::default()
    };
    made_samples(&operation, &Harvest::default())
}

fn as_they_are(told: &Told, path: &str) -> Vec<SampleRequest> {
    let sample = |text: &String| {
        let json: Option<Value> = serde_json::from_str(text).ok();
        let usual = if json.is_some() {
            "application/json"
        } else {
            "text/plain; charset=utf-8"
        };
        let content_type = told.content_type.as_deref().unwrap_or(usual);
        let inputs: BTreeMap<String, String> = match json {
            Some(Value::Object(object)) => object.into_iter().map(|(name, v)| (name, shown(&v))).collect(),
            _ => BTreeMap::from([("body".to_owned(), text.clone())]),
        };
        SampleRequest {
            request: Request {
                method: "POST".to_owned(),
                path: path.to_owned(),
                headers: vec![Header::new("content-type", content_type)],
                body: Body::text(text.clone()),
            },
            inputs,
        }
    };
    told.bodies.iter().take(SAMPLES_MAX).map(sample).collect()
}

fn form(told: &Told, path: &str) -> Vec<SampleRequest> {
    let field = |value: &str| match value {
        "@" => json!({"type": "string", "format": "binary"}),
        text => json!({"type": "string", "const": text}),
    };
    let fields: Map<String, Value> = told
        .form
        .iter()
        .map(|(name, value)| (name.clone(), field(value)))
        .collect();
    let names: Vec<&String> = fields.keys().collect();
    let schema = json!({"type": "object", "required": names, "properties": fields});
    let body = RequestBody {
        content_type: "multipart/form-data".to_owned(),
        schema,
        required: true,
        example: None,
    };
    made(path, body)
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prony_model::Body;

    use super::{Told, endpoint};

    fn bodies(told: &Told) -> Vec<String> {
        let text = |body: &Body| match body {
            Body::Text(text) => text.clone(),
            Body::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("{other:?}"),
        };
        let made = endpoint(told, "/v1/score");
        assert_eq!(made.name, "POST /v1/score");
        made.samples.iter().map(|s| text(&s.request.body)).collect()
    }

    #[test]
    fn one_body_is_sent_as_it_is_and_then_with_other_texts() {
        let told = Told {
            bodies: vec![r#"{"prompt":"hello","top_k":3}"#.to_owned()],
            ..Told::default()
        };
        let sent = bodies(&told);
        assert_eq!(sent[0], told.bodies[0]);
        assert_eq!(sent.iter().collect::<BTreeSet<_>>().len(), 8, "{sent:?}");
        assert!(sent.iter().all(|body| body.contains(r#""top_k":3"#)), "{sent:?}");
    }

    #[test]
    fn several_bodies_are_sent_as_they_are() {
        let told = Told {
            bodies: vec!["[1, 2]".to_owned(), "[3, 4]".to_owned()],
            ..Told::default()
        };
        assert_eq!(bodies(&told), told.bodies);
        let types = |told: &Told| endpoint(told, "/").samples[0].request.headers[0].value.clone();
        assert_eq!(types(&told), "application/json");
        let text = Told {
            bodies: vec!["plain".to_owned()],
            ..Told::default()
        };
        assert_eq!(types(&text), "text/plain; charset=utf-8");
        let given = Told {
            content_type: Some("application/x-lines".to_owned()),
            ..told
        };
        assert_eq!(types(&given), "application/x-lines");
    }

    #[test]
    fn a_form_has_a_picture_where_one_is_asked_for() {
        let told = Told {
            form: vec![
                ("image".to_owned(), "@".to_owned()),
                ("top".to_owned(), "2".to_owned()),
            ],
            ..Told::default()
        };
        let sent = bodies(&told);
        assert!(sent.len() > 1, "{}", sent.len());
        assert!(
            sent[0].contains("filename=\"sample.png\"") && sent[0].contains("\r\n\r\n2\r\n"),
            "{}",
            sent[0]
        );
    }
}
