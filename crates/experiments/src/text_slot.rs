//! Where a request takes free text, and the same request with another text there. It knows JSON and naming habits, no
//! endpoint and no verdict.

use prony_model::{Body, Endpoint, Place, Request};
use serde_json::Value;

use crate::mutation::{json_body, with_query};

/// Names whose value is text for a model, whatever it looks like.
const TEXT_NAMES: [&str; 9] = [
    "prompt",
    "text",
    "query",
    "question",
    "sentence",
    "instruction",
    "passage",
    "utterance",
    "q",
];
/// Names whose value is text where it reads like one.
const PERHAPS_TEXT_NAMES: [&str; 6] = ["content", "input", "message", "document", "body", "search"];
/// A field that takes no more than so many characters takes a name and no text.
const CHARS_LEAST: u64 = 64;
/// Stands for a text while a path is escaped.
const MARK: &str = "PronyTextSlot";

/// A place for text in a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TextSlot {
    at: At,
    /// Most characters that the document allows there; the largest number where it sets no bound.
    pub chars_max: u64,
}

#[derive(Clone, Debug, PartialEq)]
enum At {
    /// A JSON pointer into the body.
    Body(String),
    /// A query parameter.
    Query(String),
}

impl TextSlot {
    /// What it is called, for people.
    pub(crate) fn name(&self) -> &str {
        match &self.at {
            At::Body(pointer) => pointer.trim_start_matches('/'),
            At::Query(name) => name,
        }
    }

    /// The request with that text there, escaped as the place asks for. `{{...}}` in the text stays as it is, for a scenario
    /// with slots. `None` when the place is not in the request.
    pub(crate) fn with(&self, request: &Request, text: &str) -> Option<Request> {
        let mut request = request.clone();
        match &self.at {
            At::Body(pointer) => {
                let mut body = json_body(&request)?;
                *body.pointer_mut(pointer)? = Value::String(text.to_owned());
                request.body = Body::text(body.to_string());
            }
            At::Query(name) => {
                let (holes, plain) = (text.contains("{{"), with_query(&request.path, name, text));
                request.path = if holes {
                    with_query(&request.path, name, MARK).replace(MARK, text)
                } else {
                    plain
                };
            }
        }
        Some(request)
    }
}

/// The places for text in a request to an endpoint: the one that is named most plainly first.
pub(crate) fn text_slots(endpoint: &Endpoint, request: &Request) -> Vec<TextSlot> {
    let mut found: Vec<(u8, TextSlot)> = Vec::new();
    for parameter in endpoint.parameters.iter().filter(|p| p.place == Place::Query) {
        let there = request.path.split_once('?').is_some_and(|(_, query)| {
            query
                .split('&')
                .any(|pair| pair.split('=').next() == Some(&parameter.name))
        });
        if there
            && let Some(rank) = rank(&parameter.name, "")
            && let Some(chars_max) = room(Some(&parameter.schema.0))
        {
            let at = At::Query(parameter.name.clone());
            found.push((rank, TextSlot { at, chars_max }));
        }
    }
    if let Some(body) = json_body(request) {
        let schema = endpoint.body_schema.as_ref().map(|s| &s.0);
        walk(&body, schema, "", "", &mut found);
    }
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, slot)| slot).collect()
}

fn walk(value: &Value, schema: Option<&Value>, name: &str, pointer: &str, found: &mut Vec<(u8, TextSlot)>) {
    match value {
        Value::String(text) => {
            if let Some(rank) = rank(name, text)
                && let Some(chars_max) = room(schema)
            {
                let at = At::Body(pointer.to_owned());
                found.push((rank, TextSlot { at, chars_max }));
            }
        }
        Value::Object(map) => {
            for (key, inner) in map {
                let inside = schema.and_then(|s| s.get("properties")?.get(key));
                let step = key.replace('~', "~0").replace('/', "~1");
                walk(inner, inside, key, &format!("{pointer}/{step}"), found);
            }
        }
        // The last one of a list is the newest of a conversation.
        Value::Array(list) => {
            if let Some((index, last)) = list.iter().enumerate().next_back() {
                let inside = schema.and_then(|s| s.get("items"));
                walk(last, inside, name, &format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// How plainly a field is text, 0 most; `None` when it is none.
fn rank(name: &str, value: &str) -> Option<u8> {
    let last = prony_model::name_words(name).pop().unwrap_or_default();
    let stem = last.strip_suffix('s').unwrap_or(&last);
    let is = |names: &[&str]| names.contains(&last.as_str()) || names.contains(&stem);
    if is(&TEXT_NAMES) {
        Some(0)
    } else if is(&PERHAPS_TEXT_NAMES) && value.split_whitespace().count() > 1 {
        Some(1)
    } else {
        None
    }
}

/// Most characters of a field, the largest number without a bound; `None` when it takes no free text.
fn room(schema: Option<&Value>) -> Option<u64> {
    let Some(schema) = schema else {
        return Some(u64::MAX);
    };
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or("string");
    let choosy = ["enum", "const", "pattern", "format"]
        .iter()
        .any(|key| schema.get(*key).is_some());
    let chars_max = schema
        .get("maxLength")
        .and_then(Value::as_u64)
        .unwrap_or(u64::MAX);
    (kind == "string" && !choosy && chars_max >= CHARS_LEAST).then_some(chars_max)
}

#[cfg(test)]
mod tests {
    use prony_model::{Endpoint, Expect, JsonText, Parameter, Place, Request, Role};
    use serde_json::{Value, json};

    use super::text_slots;

    fn endpoint(schema: Option<Value>, parameters: Vec<Parameter>) -> Endpoint {
        Endpoint {
            name: "POST /x".into(),
            method: "POST".into(),
            path: "/x".into(),
            role: Role::Inference,
            parameters,
            body_schema: schema.map(JsonText),
            declared_statuses: Vec::new(),
            samples: Vec::new(),
            expect: Expect::default(),
        }
    }

    fn names(endpoint: &Endpoint, request: &Request) -> Vec<String> {
        let slots = text_slots(endpoint, request);
        slots.iter().map(|slot| slot.name().to_owned()).collect()
    }

    #[test]
    fn text_is_found_by_its_name_and_its_look() {
        let chat = json!({"model": "a", "messages": [
            {"role": "system", "content": "You are kind."}, {"role": "user", "content": "Name three rivers."}
        ]});
        let request = Request::json("POST", "/x", &chat);
        assert_eq!(names(&endpoint(None, vec![]), &request), ["messages/1/content"]);
        let search = json!({"query": "ships", "document": "alpha-1", "top_k": 3});
        let request = Request::json("POST", "/x", &search);
        assert_eq!(names(&endpoint(None, vec![]), &request), ["query"]);
        let closed = json!({"properties": {"query": {"type": "string", "maxLength": 20}}});
        assert_eq!(names(&endpoint(Some(closed), vec![]), &request), [""; 0]);
        let image = Request::json("POST", "/x", &json!({"input": "aGVsbG8=", "id": "a b"}));
        assert_eq!(names(&endpoint(None, vec![]), &image), [""; 0]);
    }

    #[test]
    fn a_text_goes_where_it_belongs_and_holes_stay_open() {
        let parameter = Parameter {
            name: "q".into(),
            place: Place::Query,
            required: true,
            schema: JsonText(json!({"type": "string", "maxLength": 100})),
        };
        let endpoint = endpoint(None, vec![parameter]);
        let request = Request::get("/x?q=old%20maps&k=2");
        let slot = &text_slots(&endpoint, &request)[0];
        assert_eq!(slot.chars_max, 100);
        assert_eq!(slot.with(&request, "a b").unwrap().path, "/x?q=a%20b&k=2");
        assert_eq!(slot.with(&request, "m-{{n}}").unwrap().path, "/x?q=m-{{n}}&k=2");
        let body = Request::json("POST", "/x", &json!({"text": "old", "k": 1}));
        let slot = &text_slots(&endpoint, &body)[0];
        let new = slot.with(&body, "a \"b\"").unwrap();
        assert_eq!(
            super::json_body(&new).unwrap(),
            json!({"text": "a \"b\"", "k": 1})
        );
    }
}
