//! Discovery against a table of answers: a documented API, an undocumented one, a catch-all, a hostile one.

mod guarded;
mod shapes;

use std::collections::BTreeMap;

use prony_model::{Captured, Endpoint, Outcome, Request, Role, Surface};
use serde_json::json;

use super::{Told, discover};

/// A target made of `path -> (status, body)`; everything else is 404.
struct Fake {
    pages: BTreeMap<String, (u16, String)>,
    asked: Vec<String>,
}

impl Fake {
    fn new(pages: &[(&str, u16, String)]) -> Self {
        let pages = pages
            .iter()
            .map(|(path, status, body)| ((*path).to_owned(), (*status, body.clone())))
            .collect();
        Self {
            pages,
            asked: Vec::new(),
        }
    }

    fn answer(&mut self, request: &Request) -> Captured {
        self.asked.push(request.label());
        let (status, body) = self
            .pages
            .get(&request.path)
            .cloned()
            .unwrap_or((404, "not found".to_owned()));
        Captured {
            status,
            outcome: if status < 300 {
                Outcome::Ok
            } else {
                Outcome::Status4xx
            },
            digest: format!("{:016x}", body.len() as u64 * 31 + u64::from(status)),
            body_bytes: body.len() as u64,
            body,
            ..empty()
        }
    }

    fn discover(&mut self, path: &str) -> Surface {
        let mut fetch = |request: &Request| self.answer(request);
        discover(&mut fetch, path, &Told::default())
            .expect("the fake answers")
            .surface
    }
}

/// An answer without a status, a head or a body.
pub(super) fn empty() -> Captured {
    Captured {
        seq: 0,
        scenario: 0,
        item: 0,
        status: 0,
        outcome: Outcome::Ok,
        headers: Vec::new(),
        digest: String::new(),
        body_bytes: 0,
        body: String::new(),
        head: String::new(),
        bytes: Vec::new(),
        cut: false,
        binary: false,
        error: String::new(),
    }
}

fn endpoint<'a>(surface: &'a Surface, name: &str) -> &'a Endpoint {
    surface
        .endpoints
        .iter()
        .find(|e| e.name == name)
        .unwrap_or_else(|| panic!("{name} not found"))
}

#[test]
fn a_documented_api_whose_document_was_moved() {
    let document = json!({
        "openapi": "3.1.0", "info": {"title": "Clips\u{1b}[31m", "version": "2"},
        "paths": {
            "/v2/clips": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"type": "array"}}}}}}},
            "/v2/clips/{clip_id}": {
                "get": {"parameters": [{"name": "clip_id", "in": "path", "required": true, "schema": {"type": "string"}}],
                        "responses": {"200": {"content": {"application/json": {"schema": {"type": "object"}}}}}},
                "delete": {"responses": {}}},
            "/v2/label": {"post": {"requestBody": {"required": true, "content": {"application/json": {"schema":
                {"type": "object", "required": ["clip_id", "question"], "properties":
                    {"clip_id": {"type": "string"}, "question": {"type": "string"}}}}}},
                "responses": {"200": {"content": {"application/json": {"schema": {"type": "object"}}}}, "422": {}}}}
        }
    });
    let mut fake = Fake::new(&[
        ("/", 200, r#"{"docs": "/help"}"#.to_owned()),
        (
            "/help",
            200,
            "SwaggerUIBundle({url: '/spec/clips.json'})".to_owned(),
        ),
        ("/spec/clips.json", 200, document.to_string()),
        (
            "/v2/clips",
            200,
            r#"[{"clip_id": "c1"}, {"clip_id": "c2"}]"#.to_owned(),
        ),
        ("/health", 200, "ok".to_owned()),
    ]);
    let surface = fake.discover("/");
    assert_eq!(surface.name, "Clips[31m", "control characters are gone");
    let label = endpoint(&surface, "POST /v2/label");
    assert_eq!(label.role, Role::Inference);
    assert!(label.samples.len() >= 4);
    assert_eq!(label.samples[1].inputs["clip_id"], "c2");
    assert_eq!(label.declared_statuses, [200, 422]);
    assert_eq!(endpoint(&surface, "GET /v2/clips/{clip_id}").samples.len(), 2);
    assert_eq!(endpoint(&surface, "GET /health").role, Role::Health);
    assert!(!surface.endpoints.iter().any(|e| e.method == "DELETE"));
    assert!(
        surface
            .found_by
            .iter()
            .any(|l| l.contains("DELETE") && l.contains("left alone"))
    );
    assert!(
        !fake
            .asked
            .iter()
            .any(|a| a.contains("/v2/label") || a.contains("/v2/clips/c1")),
        "no work before the run"
    );
}

#[test]
fn a_plain_url_is_its_own_endpoint() {
    let mut fake = Fake::new(&[("/answer?x=1", 200, "42".to_owned())]);
    let surface = fake.discover("/answer?x=1");
    assert_eq!(surface.endpoints.len(), 1);
    assert_eq!(surface.endpoints[0].samples[0].request.path, "/answer?x=1");
    assert!(surface.endpoints[0].is_work());
}

#[test]
fn a_catch_all_proves_nothing() {
    let page = "<html>app</html>".to_owned();
    let mut fake = Fake::new(&[
        ("/", 200, page.clone()),
        ("/no-such-path-7c1e0f3b", 200, page.clone()),
        ("/health", 200, page.clone()),
        ("/metrics", 200, "up 1\n".to_owned()),
    ]);
    let surface = fake.discover("/");
    let names: Vec<&str> = surface.endpoints.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["GET /metrics", "GET /"]);
}

#[test]
fn openai_models_make_a_chat_endpoint() {
    let mut fake = Fake::new(&[("/v1/models", 200, json!({"data": [{"id": "tiny"}]}).to_string())]);
    let surface = fake.discover("/");
    let chat = endpoint(&surface, "POST /v1/chat/completions");
    assert!(chat.samples.len() >= 4);
    assert!(
        String::from_utf8(chat.samples[0].request.body.to_bytes().unwrap())
            .unwrap()
            .contains("\"tiny\"")
    );
}

fn body(endpoint: &Endpoint) -> serde_json::Value {
    serde_json::from_slice(&endpoint.samples[0].request.body.to_bytes().unwrap()).unwrap()
}

#[test]
fn the_apis_of_language_models_are_known_by_their_errors() {
    let of_openai =
        json!({"error": {"message": "m", "type": "invalid_request_error", "param": null, "code": null}})
            .to_string();
    let of_anthropic =
        json!({"type": "error", "error": {"type": "invalid_request_error", "message": "m"}}).to_string();
    let models = json!({"data": [{"id": "tiny", "type": "model"}]}).to_string();
    let mut fake = Fake::new(&[
        ("/v1/models", 200, models),
        ("/v1/chat/completions", 400, of_openai.clone()),
        ("/v1/embeddings", 422, of_openai),
        ("/v1/messages", 400, of_anthropic.clone()),
        ("/v1/messages/count_tokens", 400, of_anthropic),
    ]);
    let surface = fake.discover("/");
    let work: Vec<&str> = surface
        .endpoints
        .iter()
        .filter(|e| e.is_work())
        .map(|e| e.name.as_str())
        .collect();
    assert_eq!(
        work,
        [
            "POST /v1/chat/completions",
            "POST /v1/embeddings",
            "POST /v1/messages",
            "POST /v1/messages/count_tokens"
        ]
    );
    let messages = endpoint(&surface, "POST /v1/messages");
    assert!(
        messages.samples[0]
            .request
            .headers
            .iter()
            .any(|h| h.name == "anthropic-version")
    );
    assert_eq!(
        (
            body(messages)["model"].clone(),
            body(messages)["max_tokens"].clone()
        ),
        (json!("tiny"), json!(16))
    );
    assert!(
        body(endpoint(&surface, "POST /v1/messages/count_tokens"))
            .get("max_tokens")
            .is_none()
    );
    let texts: std::collections::BTreeSet<_> = messages
        .samples
        .iter()
        .map(|s| s.inputs["messages"].clone())
        .collect();
    assert_eq!(texts.len(), messages.samples.len(), "each asks something else");
}

#[test]
fn a_document_says_which_of_them_there_are_and_keeps_what_it_declares() {
    let post = json!({"post": {"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
                               "responses": {"200": {}, "429": {}}}});
    let document =
        json!({"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {"/v1/messages": post}});
    let models = json!({"data": [{"id": "tiny"}]}).to_string();
    let mut fake = Fake::new(&[
        ("/openapi.json", 200, document.to_string()),
        ("/v1/models", 200, models),
    ]);
    let surface = fake.discover("/");
    assert_eq!(surface.endpoints.iter().filter(|e| e.is_work()).count(), 1);
    let messages = endpoint(&surface, "POST /v1/messages");
    assert_eq!(
        (body(messages)["model"].clone(), &messages.declared_statuses[..]),
        (json!("tiny"), &[200, 429][..])
    );
    assert!(
        !fake.asked.iter().any(|asked| asked.starts_with("POST /v1")),
        "{:?}",
        fake.asked
    );
}

#[test]
fn a_stranger_is_told_which_key_to_give() {
    let of_anthropic =
        json!({"type": "error", "error": {"type": "authentication_error", "message": "m"}}).to_string();
    let mut fake = Fake::new(&[
        ("/v1/models", 401, of_anthropic.clone()),
        ("/v1/messages", 401, of_anthropic),
    ]);
    let surface = fake.discover("/");
    assert!(
        surface.found_by.iter().any(|line| line.contains("--api-key-env")),
        "{:?}",
        surface.found_by
    );
    assert!(!surface.endpoints.iter().any(Endpoint::is_work));
}

#[test]
fn a_deep_zoom_descriptor_gives_a_tile_endpoint() {
    let xml = r#"<?xml version="1.0"?><Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="jpeg"
        Overlap="1" TileSize="254"><Size Width="1000" Height="700"/></Image>"#;
    let mut fake = Fake::new(&[("/img/a.dzi", 200, xml.to_owned())]);
    let surface = fake.discover("/img/a.dzi");
    let tiles = surface
        .endpoints
        .iter()
        .find(|e| e.role == Role::Tile)
        .expect("a tile endpoint");
    assert_eq!(tiles.path, "/img/a_files/{level}/{col}_{row}.jpeg");
    assert_eq!(tiles.samples.len(), 8);
    assert_eq!(tiles.samples[7].request.path, "/img/a_files/10/0_0.jpeg");
}

#[test]
fn tiles_of_a_documented_api_are_planned_from_its_descriptor() {
    let xml = r#"<Image Format="png" Overlap="1" TileSize="256"><Size Width="600" Height="500"/></Image>"#;
    let id = json!({"name": "slide", "in": "path", "required": true, "schema": {"type": "string"}});
    let of = |name: &str, kind: &str| json!({"name": name, "in": "path", "required": true, "schema": {"type": kind}});
    let document = json!({
        "openapi": "3.1.0", "info": {"title": "Slides", "version": "1"},
        "paths": {
            "/slides": {"get": {"responses": {"200": {"description": "ok"}}}},
            "/slides/{slide}/dzi": {"get": {"parameters": [id], "responses": {"200": {"description": "ok",
                "content": {"application/xml": {}}}}}},
            "/slides/{slide}/dzi_files/{level}/{tile_spec}": {"get": {
                "parameters": [id, of("level", "integer"), of("tile_spec", "string")],
                "responses": {"200": {"description": "ok", "content": {"image/png": {}}}}}}
        }
    });
    let mut fake = Fake::new(&[
        ("/openapi.json", 200, document.to_string()),
        ("/slides", 200, json!(["s1"]).to_string()),
        ("/slides/s1/dzi", 200, xml.to_owned()),
    ]);
    let surface = fake.discover("/");
    let tiles = endpoint(&surface, "GET /slides/{slide}/dzi_files/{level}/{tile_spec}");
    assert_eq!(
        tiles.samples.last().unwrap().request.path,
        "/slides/s1/dzi_files/10/0_0.png"
    );
    assert!(surface.found_by.iter().any(|line| line.contains("tiles planned")));
}

#[test]
fn json_without_a_schema_promises_nothing() {
    let of = |schema: serde_json::Value| {
        json!({"get": {"responses": {"200": {"description": "ok",
        "content": {"application/json": {"schema": schema}}}}}})
    };
    let document = json!({
        "openapi": "3.1.0", "info": {"title": "Pictures", "version": "1"},
        "paths": {"/one/picture": of(json!({})), "/one/record": of(json!({"type": "object", "properties": {}}))}
    });
    let surface = Fake::new(&[("/openapi.json", 200, document.to_string())]).discover("/");
    assert_eq!(endpoint(&surface, "GET /one/picture").expect.content_type, None);
    assert_eq!(
        endpoint(&surface, "GET /one/record")
            .expect
            .content_type
            .as_deref(),
        Some("application/json")
    );
}

#[test]
fn nobody_answers() {
    let mut fetch = |_: &Request| {
        let mut answer = Fake::new(&[]).answer(&Request::get("/"));
        answer.status = 0;
        answer.outcome = Outcome::Refused;
        answer
    };
    assert_eq!(
        discover(&mut fetch, "/", &Told::default()).unwrap_err().outcome,
        Outcome::Refused
    );
}

/// A service that wants a picture uploaded before it looks at one.
fn upload_document(delete: bool) -> serde_json::Value {
    let id = json!([{"name": "image_id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}}]);
    let stored = json!({"type": "object", "properties": {"uploaded": {"type": "array", "items":
        {"type": "object", "properties": {"id": {"type": "string"}}}}}});
    let answer =
        |schema: &serde_json::Value| json!({"200": {"content": {"application/json": {"schema": schema}}}});
    let mut document = json!({"openapi": "3.1.0", "info": {"title": "Pictures", "version": "1"}, "paths": {
        "/images": {
            "post": {"responses": answer(&stored), "requestBody": {"required": true, "content": {"multipart/form-data":
                {"schema": {"type": "object", "required": ["files"], "properties":
                    {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}}}}}}},
            "get": {"responses": answer(&json!({"type": "object"}))}},
        "/images/{image_id}": {"get": {"parameters": id, "responses": answer(&json!({"type": "object"}))}},
        "/look": {"post": {"responses": answer(&json!({"type": "object"})), "requestBody": {"required": true,
            "content": {"application/json": {"schema": {"type": "object", "required": ["image_ids"], "properties":
                {"image_ids": {"type": "array", "minItems": 1, "items": {"type": "string"}}}}}}}}}
    }});
    if delete {
        document["paths"]["/images/{image_id}"]["delete"] =
            json!({"parameters": id, "responses": {"204": {}}});
    }
    document
}

fn stored(fake: &mut Fake, id: &str) -> Captured {
    let mut answer = fake.answer(&Request::get("/"));
    answer.status = 201;
    answer.body = json!({"uploaded": [{"id": id, "format": "PNG"}]}).to_string();
    answer
}

#[test]
fn what_must_be_uploaded_first_is_planned_and_its_ids_are_used() {
    for delete in [false, true] {
        let mut fake = Fake::new(&[
            ("/openapi.json", 200, upload_document(delete).to_string()),
            ("/images", 200, json!({"images": [], "total": 0}).to_string()),
        ]);
        let mut fetch = |request: &Request| fake.answer(request);
        let found = discover(&mut fetch, "/", &Told::default()).expect("the fake answers");
        let (mut surface, mut preparation) = (found.surface, found.preparation.expect("an upload"));
        assert_eq!(surface.keeps, ["POST /images"]);
        let sendings = preparation.sendings();
        assert_eq!(sendings.len(), 1);
        assert!(sendings[0].1.len() >= 4, "pictures of several kinds");
        assert!(
            !fake.asked.iter().any(|a| a.starts_with("POST /images")),
            "nothing is sent before the run"
        );
        let answers: Vec<Captured> = ["p1", "p2", "p3"]
            .iter()
            .map(|id| stored(&mut fake, id))
            .collect();
        let answers: Vec<&Captured> = answers.iter().collect();
        preparation.take("POST /images", &answers, &mut surface);
        let look = endpoint(&surface, "POST /look");
        let body = String::from_utf8(look.samples[0].request.body.to_bytes().unwrap()).unwrap();
        assert_eq!(body, r#"{"image_ids":["p1","p2"]}"#);
        assert_eq!(
            endpoint(&surface, "GET /images/{image_id}").samples[2]
                .request
                .path,
            "/images/p3"
        );
        assert!(surface.found_by.iter().any(|line| line.contains("3 ids")));
        let swept: Vec<String> = preparation
            .clean_up()
            .into_iter()
            .flat_map(|(_, items)| items)
            .map(|item| item.request.label())
            .collect();
        if delete {
            assert_eq!(
                swept,
                ["DELETE /images/p1", "DELETE /images/p2", "DELETE /images/p3"]
            );
        } else {
            assert!(swept.is_empty());
        }
    }
}

#[test]
fn nothing_is_uploaded_where_the_target_lists_what_it_has() {
    let mut fake = Fake::new(&[
        ("/openapi.json", 200, upload_document(false).to_string()),
        ("/images", 200, json!({"images": [{"id": "own"}]}).to_string()),
    ]);
    let mut fetch = |request: &Request| fake.answer(request);
    assert!(
        discover(&mut fetch, "/", &Told::default())
            .expect("the fake answers")
            .preparation
            .is_none()
    );
}

#[test]
fn a_front_page_that_fails_is_an_endpoint_and_one_that_names_paths_says_which() {
    let mut failing = Fake::new(&[("/", 500, String::new())]);
    assert_eq!(endpoint(&failing.discover("/"), "GET /").role, Role::Resource);
    let page = json!({"service": "x", "endpoints": ["/labels", "POST /predict"], "home": "//elsewhere"});
    let mut naming = Fake::new(&[("/", 200, page.to_string())]);
    let said = naming.discover("/").found_by.join("\n");
    assert!(said.contains("it names /labels, /predict, and not"), "{said}");
}

#[test]
fn an_endpoint_that_was_told_takes_the_place_of_the_url() {
    let mut fake = Fake::new(&[("/", 200, "hello".to_owned())]);
    let told = Told {
        bodies: vec![json!({"text": "hello"}).to_string()],
        ..Told::default()
    };
    let mut fetch = |request: &Request| fake.answer(request);
    let surface = discover(&mut fetch, "/predict", &told)
        .expect("the fake answers")
        .surface;
    let names: Vec<&str> = surface.endpoints.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["POST /predict"]);
    assert_eq!(surface.endpoints[0].samples.len(), 8);
}

#[test]
fn a_listing_names_its_descriptors() {
    let document = json!({"openapi": "3.0.0", "paths": {"/images": {"get": {"responses": {"200": {}}}}}});
    let descriptor = r#"<?xml version="1.0"?><Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="jpeg" Overlap="0" TileSize="256"><Size Width="900" Height="700"/></Image>"#;
    let mut fake = Fake::new(&[
        ("/openapi.json", 200, document.to_string()),
        (
            "/images",
            200,
            json!([{"id": "a", "dzi": "/images/a.dzi"}]).to_string(),
        ),
        ("/images/a.dzi", 200, descriptor.to_owned()),
    ]);
    let surface = fake.discover("/");
    assert!(
        surface.endpoints.iter().any(|e| e.role == Role::Tile),
        "{:?}",
        surface.found_by
    );
}

#[test]
fn a_model_that_no_index_lists_is_known_by_its_url() {
    let mut fake = Fake::new(&[
        ("/v2", 200, json!({"name": "m", "extensions": []}).to_string()),
        (
            "/v2/models/iris",
            200,
            json!({"name": "iris", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]})
                .to_string(),
        ),
    ]);
    let said = fake.discover("/").found_by.join("\n");
    assert!(said.contains("does not list its models"), "{said}");
    let surface = fake.discover("/v2/models/iris");
    assert!(
        !endpoint(&surface, "POST /v2/models/iris/infer")
            .samples
            .is_empty()
    );
}
