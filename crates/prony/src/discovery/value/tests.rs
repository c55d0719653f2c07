//! Values for what documents declare, within bounds, and what of an example may be varied.

use prony_model::{Body, Header, JsonText, Parameter, Place, Request};
use serde_json::{Value, json};

use super::super::harvest::Harvest;
use super::super::openapi::{Operation, RequestBody};
use super::{is_prose, is_sendable, samples};

fn post(schema: Value) -> Operation {
    Operation {
        method: "POST".into(),
        path: "/api/search".into(),
        body: Some(RequestBody {
            content_type: "application/json".into(),
            schema,
            required: true,
            example: None,
        }),
        ..Operation::default()
    }
}

fn json_of(body: &Body) -> Value {
    serde_json::from_slice(&body.to_bytes().unwrap()).unwrap()
}

#[test]
fn required_fields_only_with_listed_ids_and_distinct_text() {
    let mut harvest = Harvest::default();
    harvest.read(
        "/api/slides",
        &json!([{"slide_id": "a"}, {"slide_id": "b"}, {"slide_id": "c"}]),
    );
    let operation = post(
        json!({"type": "object", "required": ["slide_id", "query"], "properties": {
        "slide_id": {"type": "string"}, "query": {"type": "string", "maxLength": 512},
        "top_k": {"type": "integer", "default": 10}}}),
    );
    let made = samples(&operation, &harvest, 8);
    assert_eq!(made.len(), 8);
    let bodies: Vec<Value> = made.iter().map(|s| json_of(&s.request.body)).collect();
    assert_eq!(bodies[1]["slide_id"], "b");
    assert_ne!(bodies[0]["query"], bodies[1]["query"]);
    assert!(bodies[0].get("top_k").is_none());
    assert_eq!(made[2].inputs["slide_id"], "c");
}

#[test]
fn images_are_real_and_differ() {
    let operation = post(json!({"type": "object", "required": ["patches"], "properties": {
        "patches": {"type": "array", "minItems": 2, "items": {"type": "string", "description": "Base64 image"}}}}));
    let made = samples(&operation, &Harvest::default(), 3);
    let bodies: Vec<Value> = made.iter().map(|s| json_of(&s.request.body)).collect();
    assert_eq!(bodies[0]["patches"].as_array().unwrap().len(), 2);
    assert_ne!(bodies[0], bodies[1]);
    assert!(
        bodies[0]["patches"][0]
            .as_str()
            .unwrap()
            .starts_with("iVBORw0KGgo")
    );
}

#[test]
fn paths_are_encoded_and_bounds_kept() {
    let mut harvest = Harvest::default();
    harvest.read("/docs", &json!(["a b/c"]));
    let operation = Operation {
        method: "GET".into(),
        path: "/docs/{doc_id}".into(),
        parameters: vec![
            Parameter {
                name: "doc_id".into(),
                place: Place::Path,
                required: true,
                schema: JsonText(json!({"type": "string"})),
            },
            Parameter {
                name: "n".into(),
                place: Place::Query,
                required: true,
                schema: JsonText(json!({"type": "integer", "minimum": 5})),
            },
            Parameter {
                name: "opt".into(),
                place: Place::Query,
                required: false,
                schema: JsonText(json!({"type": "integer"})),
            },
        ],
        ..Operation::default()
    };
    let made = samples(&operation, &harvest, 4);
    assert_eq!(made.len(), 1, "one listed value gives one distinct request");
    assert_eq!(made[0].request.path, "/docs/a%20b%2Fc?n=5");
}

#[test]
fn all_of_and_any_of() {
    let operation = post(json!({"allOf": [
        {"type": "object", "properties": {"a": {"anyOf": [{"type": "null"}, {"type": "integer", "maximum": 0}]}}, "required": ["a"]},
        {"properties": {"b": {"enum": ["x", "y"]}}, "required": ["b"]}]}));
    let made = samples(&operation, &Harvest::default(), 1);
    assert_eq!(json_of(&made[0].request.body), json!({"a": 0, "b": "x"}));
}

#[test]
fn an_array_has_as_many_items_as_it_must_and_a_body_is_bounded() {
    let of = |least: u64, items: &Value| json!({"type": "array", "minItems": least, "items": items});
    let body = |field: Value| post(json!({"type": "object", "required": ["x"], "properties": {"x": field}}));
    let number = json!({"type": "number"});
    let made = samples(&body(of(768, &number)), &Harvest::default(), 2);
    assert_eq!(json_of(&made[1].request.body)["x"].as_array().unwrap().len(), 768);
    let deep = of(64, &of(64, &of(64, &of(64, &number))));
    assert!(samples(&body(deep), &Harvest::default(), 8).is_empty());
    let texts = of(64, &of(64, &of(64, &json!({"type": "string"}))));
    assert!(samples(&body(texts), &Harvest::default(), 8).is_empty());
    assert!(samples(&body(of(u64::MAX, &number)), &Harvest::default(), 8).is_empty());
    let pictures = of(16, &json!({"type": "string", "contentEncoding": "base64"}));
    assert_eq!(samples(&body(pictures), &Harvest::default(), 1).len(), 1);
}

#[test]
fn what_http_does_not_allow_is_not_sendable() {
    let get = |path: &str, header: Option<(&str, &str)>| {
        let mut request = Request::get(path);
        request
            .headers
            .extend(header.map(|(name, value)| Header::new(name, value)));
        is_sendable(&request)
    };
    assert!(get("/predict?x=1", Some(("x-id", "a b"))));
    assert!(!get("/predict ", None));
    assert!(!get("/predict", Some(("X Request ID", "1"))));
    assert!(!get("/predict", Some(("x-id", "a\nb"))));
}

#[test]
fn a_search_whose_parameters_are_all_optional_is_given_one() {
    let optional = |name: &str| Parameter {
        name: name.into(),
        place: Place::Query,
        required: false,
        schema: JsonText(json!({"type": "string"})),
    };
    let of = |path: &str, names: &[&str]| {
        let operation = Operation {
            method: "GET".into(),
            path: path.into(),
            parameters: names.iter().map(|name| optional(name)).collect(),
            ..Operation::default()
        };
        let mut harvest = Harvest::default();
        harvest.read("/slides", &json!([{"slide_id": "a"}]));
        samples(&operation, &harvest, 1).remove(0).request.path
    };
    assert_eq!(of("/search", &["q", "limit"]), "/search?q=red%20apple");
    assert_eq!(of("/similar", &["slide_id", "limit"]), "/similar?slide_id=a");
    assert_eq!(of("/documents", &["search", "limit"]), "/documents");
}

#[test]
fn only_prose_is_varied() {
    for text in [
        "hello",
        "string",
        "What is a river?",
        "Name 3 rivers.",
        "Grüße aus Wien",
    ] {
        assert!(is_prose(text), "{text}");
    }
    for text in [
        "https://example.com/cat.png",
        "data:image/png;base64,iVBORw0KGgo",
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
        "c1f3-22",
        "",
    ] {
        assert!(!is_prose(text), "{text}");
    }
}
