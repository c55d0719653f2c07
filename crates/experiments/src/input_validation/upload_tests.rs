//! Forms, bytes, tools and models against the experiment: what is wrong with one must be found, and nothing on its sound twin.

use std::collections::BTreeMap;

use prony_model::{
    Body, BodyCheck, Budget, Endpoint, Expect, Finding, Header, JsonText, Request, Role, SampleRequest,
    Severity, Surface, Verdict,
};
use serde_json::{Value, json};

use super::case::{Class, Wanted};
use super::generate::cases;
use crate::fake::{Reply, body_json, complaints, run};

const FORM: &str = "POST /predict";
const BYTES: &str = "POST /classify";
const TOOL: &str = "tool score";
const MODEL: &str = "POST /generate";

/// A picture as far as the target looks: a beginning, a middle and an end.
fn picture(k: u8) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.extend([k; 40]);
    bytes.extend(b"IEND");
    bytes
}

fn form(k: u8) -> Request {
    let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n";
    let tail = "\r\n--b\r\nContent-Disposition: form-data; name=\"top\"\r\n\r\n3\r\n--b--\r\n";
    let body = [head.as_bytes(), &picture(k), tail.as_bytes()].concat();
    posted("/predict", "multipart/form-data; boundary=b", Body::Bytes(body))
}

fn posted(path: &str, kind: &str, body: Body) -> Request {
    Request {
        method: "POST".to_owned(),
        path: path.to_owned(),
        headers: vec![Header::new("content-type", kind)],
        body,
    }
}

fn call(text: &str) -> Request {
    let params = json!({"name": "score", "arguments": {"text": text, "top": 2}});
    Request::json(
        "POST",
        "/mcp",
        &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}),
    )
}

fn prompt(text: &str) -> Request {
    let body = json!({"prompt": text, "n_predict": 16, "options": {"num_predict": 16, "seed": 1}});
    Request::json("POST", "/generate", &body)
}

fn endpoint(name: &str, path: &str, schema: Option<Value>, samples: Vec<Request>) -> Endpoint {
    let is_tool = name == TOOL;
    Endpoint {
        name: name.to_owned(),
        method: "POST".to_owned(),
        path: path.to_owned(),
        role: Role::Inference,
        parameters: Vec::new(),
        body_schema: schema.map(JsonText),
        declared_statuses: Vec::new(),
        samples: samples
            .into_iter()
            .map(|request| SampleRequest {
                request,
                inputs: BTreeMap::new(),
            })
            .collect(),
        expect: Expect {
            body: is_tool.then_some(BodyCheck::Rpc).into_iter().collect(),
            ..Expect::status(200)
        },
    }
}

fn surface() -> Surface {
    let file = json!({"type": "string", "format": "binary"});
    let fields = json!({"type": "object", "properties": {"file": file, "top": {"type": "integer"}}, "required": ["file"]});
    let arguments = json!({"type": "object", "required": ["text"],
                           "properties": {"text": {"type": "string"}, "top": {"type": "integer"}}});
    let message = json!({"properties": {"params": {"properties": {"arguments": arguments}}}});
    let bytes = |k| posted("/classify", "image/png", Body::Bytes(picture(k)));
    Surface {
        endpoints: vec![
            endpoint(FORM, "/predict", Some(fields), vec![form(1), form(2)]),
            endpoint(BYTES, "/classify", None, vec![bytes(1), bytes(2)]),
            endpoint(TOOL, "/mcp", Some(message), vec![call("one"), call("two")]),
            endpoint(MODEL, "/generate", None, vec![prompt("one"), prompt("two")]),
        ],
        ..Surface::default()
    }
}

/// What the target does with what it should refuse, by what is wrong; `None` refuses it.
type Fault = fn(&str) -> Option<Reply>;

/// The target: each endpoint says what is wrong and, unless the fault has it otherwise, refuses it.
fn answer(request: &Request, fault: Fault) -> Reply {
    if request.method != "POST" {
        return Reply::json(405, &json!({"error": "POST only"}));
    }
    let body = request.body.to_bytes().unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    match request.path.as_str() {
        "/predict" if !text.contains("filename=") => refuse("form without a file", fault),
        "/predict" => {
            let start = text.find("\r\n\r\n").map_or(0, |at| at + 4);
            let file = &text[start..];
            looked_at(&file[..file.find("\r\n--b").unwrap_or_default()], "file", fault)
        }
        "/classify" => looked_at(&text, "body", fault),
        "/mcp" => tool(request, fault),
        "/generate" => generated(request),
        _ => Reply::json(404, &json!({"error": "no such path"})),
    }
}

fn refuse(what: &str, fault: Fault) -> Reply {
    fault(what).unwrap_or_else(|| Reply::json(422, &json!({"error": what})))
}

fn looked_at(picture: &str, what: &str, fault: Fault) -> Reply {
    if picture.is_empty() {
        refuse(&format!("empty {what}"), fault)
    } else if !picture.contains("PNG") {
        refuse(&format!("{what} that is no picture"), fault)
    } else if !picture.ends_with("IEND") {
        refuse(&format!("{what} cut short"), fault)
    } else {
        Reply::json(200, &json!({"label": "cat", "score": 0.5}))
    }
}

fn tool(request: &Request, fault: Fault) -> Reply {
    let message = body_json(request).unwrap_or_default();
    let arguments = &message["params"]["arguments"];
    let wrong = match (&arguments["text"], &arguments["top"]) {
        (Value::Null, _) => "argument missing",
        (Value::String(_), Value::Null | Value::Number(_)) => "",
        _ => "argument of another type",
    };
    let result = if wrong.is_empty() {
        json!({"content": [{"type": "text", "text": "0.5"}], "isError": false})
    } else if let Some(reply) = fault(wrong) {
        return reply;
    } else {
        json!({"content": [{"type": "text", "text": "{\"error\": \"cannot read /home/films\"}"}], "isError": true})
    };
    Reply::json(200, &json!({"jsonrpc": "2.0", "id": 1, "result": result}))
}

/// A model that ends only where a limit says so: without one there is no answer. It renders what looks like a template.
fn generated(request: &Request) -> Reply {
    let Some(body) = body_json(request).filter(Value::is_object) else {
        return Reply::json(400, &json!({"error": "no JSON object"}));
    };
    let Some(prompt) = body["prompt"].as_str() else {
        return Reply::json(400, &json!({"error": "no prompt"}));
    };
    let is_bounded = body["n_predict"] == json!(16) && body["options"]["num_predict"] == json!(16);
    if is_bounded {
        let text = prompt.replace("{{7331*7919}}", "58054189");
        Reply::json(200, &json!({"response": text, "done": true}))
    } else {
        Reply::reset()
    }
}

fn judged(surface: &Surface, fault: Fault) -> Vec<Finding> {
    let names = ["coverage", "input-validation", "errors"];
    run(&names, surface, Budget::Standard, |r| answer(r, fault)).1
}

fn overview(findings: &[Finding]) -> &Finding {
    findings.iter().find(|f| f.id == "input-validation").unwrap()
}

/// The server errors on input at an endpoint.
fn server_errors<'a>(findings: &'a [Finding], endpoint: &str) -> Vec<&'a Finding> {
    findings
        .iter()
        .filter(|f| f.id == "server-error-on-input" && f.endpoint == endpoint)
        .collect()
}

const CRASH: fn() -> Reply = || Reply::json(500, &json!({"error": "oops"}));

#[test]
fn a_sound_target_of_forms_bytes_tools_and_models_draws_no_complaint() {
    for budget in [Budget::Quick, Budget::Standard, Budget::Thorough] {
        let names = ["coverage", "input-validation", "errors"];
        let (_, findings) = run(&names, &surface(), budget, |r| answer(r, |_| None));
        assert_eq!(complaints(&findings), [""; 0], "{findings:#?}");
        let detail = &overview(&findings).detail;
        for gap in ["fields of forms", "arguments of tools", "number of tokens"] {
            assert!(detail.contains(gap), "{gap}: {detail}");
        }
    }
}

#[test]
fn each_bad_form_and_body_that_crashes_is_named() {
    let faults: [(Fault, &str, &str); 7] = [
        (
            |what| (what == "form without a file").then(CRASH),
            FORM,
            "A missing file `file`",
        ),
        (
            |what| (what == "empty file").then(CRASH),
            FORM,
            "An empty file as `file`",
        ),
        (
            |what| (what == "file that is no picture").then(CRASH),
            FORM,
            "A text in the file `a.png` as `file`",
        ),
        (
            |what| (what == "file cut short").then(Reply::reset),
            FORM,
            "The first half of the file as `file`",
        ),
        (|what| (what == "empty body").then(CRASH), BYTES, "An empty body"),
        (
            |what| (what == "body that is no picture").then(CRASH),
            BYTES,
            "A body of bytes that mean nothing",
        ),
        (
            |what| (what == "body cut short").then(CRASH),
            BYTES,
            "The first half of the body",
        ),
    ];
    for (fault, endpoint, title) in faults {
        let findings = judged(&surface(), fault);
        let found = server_errors(&findings, endpoint);
        assert_eq!(found.len(), 1, "{title}: {findings:#?}");
        assert!(found[0].title.starts_with(title), "{}", found[0].title);
        assert_eq!(found[0].verdict, Verdict::Fail);
        assert_eq!(
            complaints(&findings),
            ["input-validation", "server-error-on-input"]
        );
    }
}

#[test]
fn a_form_without_its_required_file_must_not_be_taken() {
    let findings = judged(&surface(), |what| {
        (what == "form without a file").then(|| Reply::json(200, &json!({"label": "cat"})))
    });
    let taken = findings.iter().find(|f| f.id == "bad-input-accepted").unwrap();
    assert_eq!((taken.counted(), taken.endpoint.as_str()), (Verdict::Warn, FORM));
}

#[test]
fn files_that_might_be_kept_are_not_sent() {
    let mut surface = surface();
    surface.keeps = vec![FORM.to_owned(), BYTES.to_owned(), TOOL.to_owned()];
    let mut wrong = Vec::new();
    let names = ["coverage", "input-validation"];
    let (_, findings) = run(&names, &surface, Budget::Standard, |r| {
        let reply = answer(r, |_| None);
        if reply.status == 422 {
            wrong.push(String::from_utf8_lossy(&reply.body).into_owned());
        }
        assert!(r.path != "/mcp" || reply.body.ends_with(b"\"isError\":false}}") || reply.status == 405);
        reply
    });
    assert!(
        !wrong.is_empty() && wrong.iter().all(|w| w.contains("without a file")),
        "{wrong:?}"
    );
    assert!(
        overview(&findings)
            .detail
            .contains("bad files where they might be kept")
    );
    assert!(
        overview(&findings)
            .detail
            .contains("tools that were not chosen, may leave something behind")
    );
}

#[test]
fn a_tool_that_crashes_or_takes_anything_is_told() {
    let crash = judged(&surface(), |what| (what == "argument missing").then(CRASH));
    let found = server_errors(&crash, TOOL);
    assert_eq!(found.len(), 1, "{crash:#?}");
    assert!(
        found[0].title.starts_with("A missing `text`"),
        "{}",
        found[0].title
    );
    assert_eq!(found[0].verdict, Verdict::Fail);
    let cut = judged(&surface(), |what| {
        (what == "argument of another type").then(Reply::reset)
    });
    assert_eq!(server_errors(&cut, TOOL)[0].severity, Severity::High);
    let taken = judged(&surface(), |_| {
        Some(Reply::json(
            200,
            &json!({"jsonrpc": "2.0", "id": 1, "result": {"content": []}}),
        ))
    });
    let warned = |f: &&Finding| f.id == "bad-input-accepted" && f.endpoint == TOOL;
    assert!(taken.iter().any(|f| warned(&f) && f.counted() == Verdict::Warn));
}

#[test]
fn a_trace_within_a_good_status_of_a_tool_is_one() {
    let findings = judged(&surface(), |what| {
        let said = "Traceback (most recent call last):\n  File \"app.py\", line 3";
        let result = json!({"content": [{"type": "text", "text": said}], "isError": true});
        what.starts_with("argument")
            .then(|| Reply::json(200, &json!({"jsonrpc": "2.0", "id": 1, "result": result})))
    });
    let leak = findings.iter().find(|f| f.id == "leaks-internals").unwrap();
    assert_eq!((leak.endpoint.as_str(), leak.verdict), (TOOL, Verdict::Fail));
}

#[test]
fn the_bound_of_tokens_stays_where_no_document_says_what_it_must_be() {
    let surface = surface();
    let model = surface.endpoints.iter().find(|e| e.name == MODEL).unwrap();
    let found = cases(model, &model.samples[0], 1);
    let bounds = |c: &&str| ["n_predict", "options"].contains(c);
    assert_eq!(found.iter().map(|c| c.field.as_str()).filter(bounds).count(), 0);
    assert!(
        found
            .iter()
            .any(|c| c.class == Class::MissingField && c.field == "prompt")
    );

    let mut declared = model.clone();
    declared.body_schema = Some(JsonText(
        json!({"type": "object", "required": ["prompt", "n_predict"],
        "properties": {"prompt": {"type": "string"}, "n_predict": {"type": "integer", "minimum": 1, "maximum": 100}}}),
    ));
    let found = cases(&declared, &declared.samples[0], 1);
    let of_bound: Vec<(Class, Wanted)> = found
        .iter()
        .filter(|c| c.field == "n_predict")
        .map(|c| (c.class, c.wanted))
        .collect();
    assert!(
        of_bound.contains(&(Class::MissingField, Wanted::Refused)),
        "{of_bound:?}"
    );
    assert!(
        of_bound
            .iter()
            .all(|(class, _)| !matches!(class, Class::OddNumbers | Class::OutOfRange)),
        "{of_bound:?}"
    );
}
