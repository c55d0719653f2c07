//! What discovery must leave alone, and what it must not take for something else.

use prony_model::{Captured, Header, Outcome, Protection, Request, Surface};
use serde_json::{Value, json};

use super::super::Fetch;
use super::{Endpoint, Told, body, discover, empty, endpoint};

/// A target that answers by label; what it is asked is kept.
struct Server<A> {
    answer: A,
    asked: Vec<String>,
}

impl<A: Fn(&str) -> Captured> Fetch for Server<A> {
    fn fetch(&mut self, request: &Request) -> Captured {
        self.asked.push(request.label());
        (self.answer)(&request.label())
    }

    fn sends(&self, name: &str) -> bool {
        name == "x-api-key"
    }
}

fn found(path: &str, answer: impl Fn(&str) -> Captured) -> (Surface, Vec<String>) {
    let mut server = Server {
        answer,
        asked: Vec::new(),
    };
    let surface = discover(&mut server, path, &Told::default()).unwrap().surface;
    (surface, server.asked)
}

fn answer(status: u16, body: &Value) -> Captured {
    Captured {
        status,
        digest: format!("{status} {body}"),
        body: body.to_string(),
        ..empty()
    }
}

fn moved(status: u16, to: &str) -> Captured {
    Captured {
        headers: vec![Header::new("location", to)],
        ..answer(status, &Value::Null)
    }
}

fn not_found() -> Captured {
    answer(404, &json!({"detail": "Not Found"}))
}

fn document(paths: &Value) -> Captured {
    answer(
        200,
        &json!({"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": paths}),
    )
}

fn names(surface: &Surface) -> Vec<&str> {
    surface.endpoints.iter().map(|e| e.name.as_str()).collect()
}

fn said(surface: &Surface) -> String {
    surface.found_by.join("\n")
}

#[test]
fn no_get_with_effects_is_sent() {
    let get = json!({"get": {"responses": {"200": {}}}});
    let of_item = json!({"get": {"responses": {"200": {}}, "parameters": [
        {"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}]}});
    let paths = json!({"/shutdown": get, "/flush_cache": get, "/items": get, "/items/{id}/delete": of_item,
                       "/items/{id}": of_item});
    let (surface, asked) = found("/", |label| match label {
        "GET /openapi.json" => document(&paths),
        "GET /items" => answer(200, &json!([{"id": "a"}])),
        _ => not_found(),
    });
    assert_eq!(names(&surface), ["GET /items", "GET /items/{id}"]);
    let sent = |word: &str| asked.iter().any(|label| label.contains(word));
    assert!(
        !sent("shutdown") && !sent("flush") && !sent("delete"),
        "{asked:?}"
    );
}

#[test]
fn the_credential_of_the_run_is_not_made_up_again() {
    let header =
        |name: &str| json!({"name": name, "in": "header", "required": true, "schema": {"type": "string"}});
    let post =
        json!({"post": {"responses": {"200": {}}, "parameters": [header("x-api-key"), header("x-team")]}});
    let paths = json!({"/predict/all": post});
    let (surface, _) = found("/", |label| match label {
        "GET /openapi.json" => document(&paths),
        _ => not_found(),
    });
    let predict = endpoint(&surface, "POST /predict/all");
    let sent: Vec<&str> = predict.samples[0]
        .request
        .headers
        .iter()
        .map(|h| h.name.as_str())
        .collect();
    assert_eq!(sent, ["x-team"]);
    assert_eq!(
        surface.protected["POST /predict/all"],
        [Protection::Header("x-api-key".to_owned())]
    );
}

#[test]
fn a_stream_that_does_not_end_is_left_alone() {
    let get = json!({"get": {"responses": {"200": {}}}});
    let paths = json!({"/events": get, "/feed": get, "/items": get});
    let (surface, _) = found("/", |label| match label {
        "GET /openapi.json" => document(&paths),
        "GET /events" => Captured {
            headers: vec![Header::new("Content-Type", "text/event-stream; charset=utf-8")],
            ..answer(200, &Value::Null)
        },
        "GET /feed" => Captured {
            outcome: Outcome::BodyTimeout,
            ..answer(200, &Value::Null)
        },
        "GET /items" => answer(200, &json!([])),
        _ => not_found(),
    });
    assert_eq!(names(&surface), ["GET /items"]);
    assert!(
        said(&surface).contains("GET /feed left alone"),
        "{}",
        said(&surface)
    );
}

#[test]
fn the_run_asks_where_redirects_lead_but_for_what_a_document_names() {
    let get = json!({"get": {"responses": {"200": {}}}});
    let paths = json!({"/items": get});
    let (surface, _) = found("/", |label| match label {
        "GET /openapi.json" => document(&paths),
        "GET /items" => moved(307, "/items/"),
        "GET /health" => moved(308, "/health/"),
        "POST /mcp" | "GET /mcp" => moved(307, "/mcp/"),
        "GET /mcp/" => answer(405, &Value::Null),
        "POST /mcp/" => answer(
            200,
            &json!({"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "2025-06-18", "tools": [
                {"name": "search", "inputSchema": {"type": "object", "required": ["query"],
                    "properties": {"query": {"type": "string"}}}}]}}),
        ),
        "GET /items/" | "GET /health/" => answer(200, &json!([])),
        _ => not_found(),
    });
    assert_eq!(names(&surface), ["GET /items", "GET /health/", "tool search"]);
    for endpoint in &surface.endpoints[1..] {
        assert!(endpoint.path.ends_with('/'), "{}", endpoint.path);
        let mut samples = endpoint.samples.iter();
        assert!(samples.all(|s| s.request.path == endpoint.path));
    }
    assert!(
        said(&surface).contains("/health redirects to /health/"),
        "{}",
        said(&surface)
    );
}

#[test]
fn who_asks_for_credentials_everywhere_speaks_no_known_api_yet() {
    let guard = json!({"detail": "Not authenticated"});
    let (surface, _) = found("/", |_| answer(401, &guard));
    assert!(!surface.endpoints.iter().any(Endpoint::is_work));
    assert!(!said(&surface).contains("OpenAI"), "{}", said(&surface));
    assert!(said(&surface).contains("--bearer-env"), "{}", said(&surface));
    // Other words than everywhere else tell the API.
    let (surface, _) = found("/", |label| match label {
        "POST /v1/chat/completions" => answer(401, &json!({"error": {"message": "no key"}})),
        _ => answer(401, &guard),
    });
    assert!(said(&surface).contains("OpenAI-compatible"), "{}", said(&surface));
}

#[test]
fn what_cannot_be_sent_is_left_alone() {
    let header =
        json!([{"name": "X Request ID", "in": "header", "required": true, "schema": {"type": "string"}}]);
    let broken = json!([{"name": "x-id", "in": "header", "required": true, "schema": {"type": "string", "example": "a\nb"}}]);
    let get = json!({"get": {"responses": {"200": {}}}});
    let paths = json!({
        "/predict ": get,
        "/one/record": {"get": {"responses": {}, "parameters": header}},
        "/two/record": {"get": {"responses": {}, "parameters": broken}},
        "/items": get
    });
    let (surface, _) = found("/", |label| match label {
        "GET /openapi.json" => document(&paths),
        "GET /items" => answer(200, &json!([])),
        _ => not_found(),
    });
    assert_eq!(names(&surface), ["GET /items"]);
    assert_eq!(
        said(&surface).matches("does not allow").count(),
        3,
        "{}",
        said(&surface)
    );
}

#[test]
fn what_only_creates_is_not_loaded_unless_it_is_asked_for() {
    let post = |status: &str| {
        json!({"post": {"responses": {status: {}, "422": {}}, "requestBody": {"content": {"application/json": {"schema":
            {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}}}}}})
    };
    let paths = json!({"/notes": post("201"), "/score": post("200")});
    let (surface, _) = found("/", |label| match label {
        "GET /openapi.json" => document(&paths),
        _ => not_found(),
    });
    assert!(surface.leaves_behind(endpoint(&surface, "POST /notes")));
    assert!(!surface.leaves_behind(endpoint(&surface, "POST /score")));
    assert!(
        said(&surface).contains("POST /notes; --endpoint"),
        "{}",
        said(&surface)
    );
}

#[test]
fn apis_of_models_are_found_below_the_path_given() {
    let (surface, _) = found("/openai/v1", |label| match label {
        "GET /openai/v1/models" => answer(200, &json!({"data": [{"id": "tiny"}]})),
        "POST /openai/v1/embeddings" => answer(422, &json!({"error": {"message": "m"}})),
        _ => not_found(),
    });
    assert_eq!(names(&surface), ["POST /openai/v1/embeddings"]);
    assert_eq!(body(&surface.endpoints[0])["model"], "tiny");
    let (surface, _) = found("/serving/v2", |label| match label {
        "GET /serving/v2" => answer(200, &json!({"name": "s", "extensions": []})),
        "POST /serving/v2/repository/index" => answer(200, &json!([{"name": "m"}])),
        "GET /serving/v2/models/m" => answer(
            200,
            &json!({"name": "m", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]}),
        ),
        _ => not_found(),
    });
    assert!(
        names(&surface).contains(&"POST /serving/v2/models/m/infer"),
        "{:?}",
        names(&surface)
    );
}
