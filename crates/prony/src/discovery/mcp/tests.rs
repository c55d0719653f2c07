//! Tools of servers that answer in either way, with and without sessions, and those that are left alone.

use std::collections::BTreeMap;

use prony_model::{BodyCheck, Captured, Outcome, Request, Role, Surface};
use serde_json::{Value, json};

use super::{Hints, tools};

/// A server with a listing, a download, a job and a deletion. Answers as events where it is told so.
struct Server {
    streams: bool,
    session: bool,
    stateless: bool,
    seen: Vec<String>,
}

fn answered(status: u16, body: String, session: bool) -> Captured {
    let mut headers = vec![prony_model::Header::new("content-type", "application/json")];
    if session {
        headers.push(prony_model::Header::new("Mcp-Session-Id", "s-1"));
    }
    Captured {
        seq: 0,
        scenario: 0,
        item: 0,
        status,
        outcome: if status == 200 {
            Outcome::Ok
        } else {
            Outcome::Status4xx
        },
        headers,
        body_bytes: body.len() as u64,
        body,
        cut: false,
        binary: false,
        head: String::new(),
        bytes: Vec::new(),
        digest: String::new(),
        error: String::new(),
    }
}

fn hints<'a>(
    path: &'a str,
    (first, elsewhere): (&'a Captured, &'a Captured),
    pages: &'a [String],
) -> Hints<'a> {
    let about = super::super::Hints {
        path,
        first,
        elsewhere,
    };
    Hints {
        about,
        pages,
        is_told: false,
    }
}

impl Server {
    fn answer(&mut self, request: &Request) -> Captured {
        let header = |name: &str| request.headers.iter().any(|h| h.name == name);
        if request.path != "/mcp" {
            return answered(404, "{}".to_owned(), false);
        }
        if request.method != "POST" {
            return answered(405, "{}".to_owned(), false);
        }
        let message: Value = serde_json::from_slice(&request.body.to_bytes().unwrap()).unwrap();
        let method = message["method"].as_str().unwrap().to_owned();
        let tool = message
            .pointer("/params/name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        self.seen.push(format!("{method} {tool}").trim().to_owned());
        let insists = self.session && !header("mcp-session-id") && method != "initialize";
        let new_era = header("mcp-method");
        let served = if new_era { self.stateless } else { !insists };
        if !served {
            return answered(400, "{}".to_owned(), false);
        }
        let object = |required: Value, properties: Value| json!({"type": "object", "required": required, "properties": properties});
        let text = json!({"type": "string"});
        let job = object(
            json!(["status"]),
            json!({"status": {"enum": ["queued", "completed"]}}),
        );
        let result = match (method.as_str(), tool) {
            ("initialize", _) => {
                json!({"protocolVersion": "2025-06-18", "serverInfo": {"name": "films", "version": "2"}})
            }
            ("server/discover", _) => json!({"resultType": "complete"}),
            ("tools/list", _) => json!({"tools": [
                {"name": "list_films", "inputSchema": object(json!([]), json!({})), "annotations": {"readOnlyHint": true}},
                {"name": "download_film", "inputSchema": object(json!(["film_id"]), json!({"film_id": text, "filename": text}))},
                {"name": "remix_film", "inputSchema": object(json!(["previous_film_id"]), json!({"previous_film_id": text})), "outputSchema": job},
                {"name": "delete_film", "inputSchema": object(json!(["film_id"]), json!({"film_id": text}))},
                {"name": "get_song", "inputSchema": object(json!(["song_id"]), json!({"song_id": text}))},
            ]}),
            ("tools/call", "list_films") => {
                json!({"structuredContent": {"data": [{"id": "f1"}, {"id": "f2"}]}, "content": []})
            }
            _ => return answered(202, String::new(), false),
        };
        let body = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
        let body = if self.streams {
            format!("event: message\ndata: {body}\n\n")
        } else {
            body
        };
        answered(200, body, self.session && method == "initialize")
    }

    fn surface(mut self) -> (Surface, Vec<String>) {
        let mut surface = Surface::default();
        let first = answered(404, String::new(), false);
        tools(
            &mut |request: &Request| self.answer(request),
            &hints("/", (&first, &first), &[]),
            &mut surface,
        );
        (surface, self.seen)
    }
}

fn server() -> Server {
    Server {
        streams: true,
        session: false,
        stateless: false,
        seen: Vec::new(),
    }
}

fn arguments(request: &Request) -> Value {
    let message: Value = serde_json::from_slice(&request.body.to_bytes().unwrap()).unwrap();
    message["params"]["arguments"].clone()
}

#[test]
fn tools_become_endpoints_with_calls_from_their_schemas() {
    for streams in [true, false] {
        let (surface, seen) = Server { streams, ..server() }.surface();
        assert_eq!(surface.name, "films");
        let roles: BTreeMap<&str, (Role, usize)> = surface
            .endpoints
            .iter()
            .map(|e| (e.name.as_str(), (e.role, e.samples.len())))
            .collect();
        assert_eq!(
            roles,
            BTreeMap::from([
                ("tool list_films", (Role::Listing, 1)),
                ("tool download_film", (Role::Media, 2)),
                ("tool remix_film", (Role::Resource, 1)),
            ]),
            "{:?}",
            surface.found_by
        );
        let download = surface
            .endpoints
            .iter()
            .find(|e| e.name.ends_with("download_film"))
            .unwrap();
        assert_eq!(arguments(&download.samples[1].request), json!({"film_id": "f2"}));
        assert_eq!(download.expect.body, [BodyCheck::Rpc]);
        let remix = surface
            .endpoints
            .iter()
            .find(|e| e.name.ends_with("remix_film"))
            .unwrap();
        assert_eq!(
            arguments(&remix.samples[0].request),
            json!({"previous_film_id": "f1"})
        );
        assert_eq!(remix.expect.body.len(), 2);
        assert_eq!(
            surface
                .found_by
                .iter()
                .filter(|f| f.contains("left alone"))
                .count(),
            2
        );
        // Nothing but the listing is called before the run.
        let called: Vec<&String> = seen.iter().filter(|s| s.starts_with("tools/call")).collect();
        assert_eq!(called, ["tools/call list_films"]);
    }
}

#[test]
fn a_session_is_carried_unless_the_server_can_do_without() {
    let (surface, _) = Server {
        session: true,
        ..server()
    }
    .surface();
    let has = |surface: &Surface, name: &str| {
        surface.endpoints.iter().all(|e| {
            e.samples
                .iter()
                .all(|s| s.request.headers.iter().any(|h| h.name == name))
        })
    };
    assert!(!surface.endpoints.is_empty() && has(&surface, "mcp-session-id"));
    let (surface, _) = Server {
        session: true,
        stateless: true,
        ..server()
    }
    .surface();
    assert!(!surface.endpoints.is_empty() && has(&surface, "mcp-name") && !has(&surface, "mcp-session-id"));
}

#[test]
fn whoever_answers_anything_is_no_server() {
    let mut surface = Surface::default();
    let page = answered(200, "{\"jsonrpc\":\"2.0\",\"result\":{}}".to_owned(), false);
    let mut anything = |_: &Request| page.clone();
    tools(&mut anything, &hints("/", (&page, &page), &[]), &mut surface);
    assert!(surface.endpoints.is_empty());
}

/// What is posted to a target of which every GET is answered so.
fn posted(path: &str, pages: &[String], status: u16, kind: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let first = answered(200, "{}".to_owned(), false);
    let elsewhere = answered(404, "{}".to_owned(), false);
    let mut answer = |request: &Request| {
        if request.method == "POST" {
            seen.push(request.path.clone());
        }
        let mut answer = answered(status, String::new(), false);
        answer.headers = vec![
            prony_model::Header::new("content-type", kind),
            prony_model::Header::new("location", "/mcp/"),
        ];
        answer
    };
    tools(
        &mut answer,
        &hints(path, (&first, &elsewhere), pages),
        &mut Surface::default(),
    );
    seen.dedup();
    seen
}

#[test]
fn nothing_is_posted_where_nothing_hints_at_a_server() {
    for (status, kind) in [
        (404, "application/json"),
        (404, "text/html"),
        (401, "text/html"),
        (200, "text/html"),
        (500, "text/plain"),
    ] {
        assert!(posted("/", &[], status, kind).is_empty(), "{status} {kind}");
    }
    for (status, kind) in [
        (405, "text/plain"),
        (406, "application/json"),
        (400, "application/json"),
        (401, "application/json"),
        (501, "text/html"),
    ] {
        assert_eq!(posted("/", &[], status, kind), ["/mcp"], "{status} {kind}");
    }
    assert_eq!(posted("/", &[], 307, "text/plain"), ["/mcp/"]);
    assert_eq!(
        posted("/", &["see \"/mcp\"".to_owned()], 404, "text/html"),
        ["/mcp"]
    );
    assert_eq!(posted("/tools/mcp", &[], 404, "text/html"), ["/tools/mcp"]);
}

/// The endpoints of a server with these tools, and what was called.
fn with_tools(listed: &Value) -> (Surface, Vec<String>) {
    let mut called = Vec::new();
    let mut surface = Surface::default();
    let first = answered(404, String::new(), false);
    let mut fetch = |request: &Request| {
        if request.path != "/mcp" || request.method != "POST" {
            return answered(
                if request.path == "/mcp" { 405 } else { 404 },
                "{}".to_owned(),
                false,
            );
        }
        let message: Value = serde_json::from_slice(&request.body.to_bytes().unwrap()).unwrap();
        let result = match message["method"].as_str().unwrap() {
            "initialize" => json!({"protocolVersion": "2025-06-18", "serverInfo": {}}),
            "tools/list" => json!({ "tools": listed }),
            "tools/call" => {
                called.push(message["params"]["name"].as_str().unwrap().to_owned());
                json!({"structuredContent": {"files": [{"fileId": "f1"}, {"fileId": "f2"}]}, "content": []})
            }
            _ => return answered(202, String::new(), false),
        };
        let body = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        answered(200, body.to_string(), false)
    };
    tools(&mut fetch, &hints("/", (&first, &first), &[]), &mut surface);
    (surface, called)
}

fn tool(name: &str, required: &[&str]) -> Value {
    let properties: BTreeMap<&str, Value> = required
        .iter()
        .map(|name| (*name, json!({"type": "string"})))
        .collect();
    json!({"name": name, "inputSchema": {"type": "object", "required": required, "properties": properties}})
}

#[test]
fn a_name_in_camel_case_tells_as_much() {
    let mut clears = tool("clearAll", &[]);
    clears["annotations"] = json!({"readOnlyHint": true});
    let listed = json!([
        tool("listFiles", &[]),
        clears,
        tool("deleteFile", &["fileId"]),
        tool("readFile", &["fileId"]),
        tool("readPage", &["pageId"]),
    ]);
    let (surface, called) = with_tools(&listed);
    let names: Vec<&str> = surface.endpoints.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(
        names,
        ["tool listFiles", "tool readFile"],
        "{:?}",
        surface.found_by
    );
    assert_eq!(called, ["listFiles"]);
}

#[test]
fn what_may_leave_something_behind_is_asked_once_and_not_loaded() {
    let mut reads = tool("entities", &["names"]);
    reads["annotations"] = json!({"readOnlyHint": true});
    let listed = json!([
        tool("create_issue", &["title"]),
        tool("search_issues", &["query"]),
        reads
    ]);
    let (surface, _) = with_tools(&listed);
    assert_eq!(surface.keeps, ["tool create_issue"]);
    let samples: Vec<usize> = surface.endpoints.iter().map(|e| e.samples.len()).collect();
    assert_eq!(samples[0], 1);
    assert!(samples[1] > 1, "{samples:?}");
}
