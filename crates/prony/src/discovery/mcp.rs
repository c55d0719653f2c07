//! Servers of the Model Context Protocol over streamable HTTP: each tool becomes an endpoint, with calls made from its input
//! schema.
//!
//! Two eras are spoken: `initialize`, with a session where the server insists on one, and the stateless one of 2026-07-28.
//! Of the tools only those that list things are called here; the others belong to the run.

use prony_model::{
    BodyCheck, Captured, Endpoint, Expect, Header, JsonText, OutcomeClass, Request, Role, SampleRequest,
    Surface, name_words,
};
use serde_json::{Map, Value, json};

use super::harvest::Harvest;
use super::openapi::{Operation, RequestBody};
use super::{Fetch, SAMPLES_MAX, effects, value};
use crate::text;

/// The version offered to servers with `initialize`.
const OFFERED: &str = "2025-11-25";
/// The version of the stateless era.
const STATELESS: &str = "2026-07-28";
/// Most pages of tools that are read.
const PAGES_MAX: usize = 10;
/// Most listing tools that are asked.
const LISTINGS_MAX: usize = 8;
/// Words in a tool's name that mean a file is brought.
const FILES: &[&str] = &["download", "export", "content", "thumbnail", "preview"];
/// Ends of a parameter's name that mean something which has to exist.
const EXISTING: &[&str] = &["id", "ids", "filename", "file", "path"];
/// States of a job that has only begun.
const BEGUN: &[&str] = &["queued", "pending", "in_progress", "running", "created"];

/// How to talk to a server.
struct Speech {
    path: String,
    headers: Vec<Header>,
    is_stateless: bool,
}

/// The default place of common frameworks.
const USUAL: &str = "/mcp";

/// What was found out before, as far as it hints at a server.
pub(super) struct Hints<'a> {
    /// What the first answers tell.
    pub about: super::Hints<'a>,
    /// The front page and the listings.
    pub pages: &'a [String],
    /// Whether the user said what the URL takes.
    pub is_told: bool,
}

/// Makes endpoints of the tools of a server at the path given or at `/mcp`, where something hints at one.
pub(super) fn tools(fetch: &mut dyn Fetch, hints: &Hints<'_>, surface: &mut Surface) {
    let Some(speech) = places(fetch, hints, surface)
        .iter()
        .find_map(|place| greet(fetch, place, surface))
    else {
        return;
    };
    surface.endpoints.retain(|e| e.path != speech.path);
    let tools = list(fetch, &speech);
    let place = text::clean(&speech.path, 80);
    let era = if speech.is_stateless {
        STATELESS
    } else {
        "with initialize"
    };
    surface
        .found_by
        .push(format!("MCP server at {place} ({era}): {} tools", tools.len()));
    let harvest = harvest(fetch, &speech, &tools, surface);
    for tool in &tools {
        match endpoint(&speech, tool, &harvest) {
            Ok(endpoint) => {
                if leaves_behind(tool) {
                    surface.keeps.push(endpoint.name.clone());
                }
                surface.endpoints.push(endpoint);
            }
            Err(why) => surface
                .found_by
                .push(format!("tool {} left alone: {why}", text::clean(name(tool), 80))),
        }
    }
}

/// Where a server may be: at the URL given, unless the user said that something else is there, and at the usual place, where that
/// is named or answers as if something were there.
fn places(fetch: &mut dyn Fetch, hints: &Hints<'_>, surface: &Surface) -> Vec<String> {
    let path = hints.about.path;
    let refuses_get = matches!(hints.about.first.status, 400 | 405 | 406) && !hints.is_told;
    let is_named = path
        .split('?')
        .next()
        .unwrap_or_default()
        .trim_end_matches('/')
        .ends_with("mcp");
    let mut places = Vec::new();
    if path != "/" && (refuses_get || is_named) {
        places.push(path.to_owned());
    }
    let is_documented = hints.pages.iter().any(|page| page.contains(USUAL))
        || surface.endpoints.iter().any(|e| e.path == USUAL);
    let mut asked = Request::get(USUAL);
    // A server that is asked for events would keep the answer open.
    asked.headers.push(Header::new("accept", "application/json"));
    let answer = fetch.fetch(&asked);
    let elsewhere = answer
        .header("location")
        .filter(|_| (300..400).contains(&answer.status));
    if elsewhere.is_some_and(|to| to.ends_with("/mcp/")) {
        places.push(format!("{USUAL}/"));
    } else if is_documented || is_there(&answer, &hints.about) {
        places.push(USUAL.to_owned());
    }
    places.dedup();
    places
}

/// Whether the answer to a plain GET is one that something which takes POST may give: not that nothing is there, no page that is for
/// people, and not what the target answers to anything.
fn is_there(answer: &Captured, about: &super::Hints<'_>) -> bool {
    let is_page = answer
        .header("content-type")
        .is_some_and(|kind| kind.contains("html"));
    match answer.status {
        0 => answer.outcome.class() == OutcomeClass::Timeout,
        400 | 405 | 406 | 415 | 501 => true,
        401 | 403 | 200..300 => !is_page && !about.is_anything(answer),
        _ => false,
    }
}

/// Begins to talk; `None` when this is no MCP server.
fn greet(fetch: &mut dyn Fetch, path: &str, surface: &mut Surface) -> Option<Speech> {
    let mut speech = Speech {
        path: path.to_owned(),
        headers: Vec::new(),
        is_stateless: false,
    };
    let client = json!({"name": "prony", "version": env!("CARGO_PKG_VERSION")});
    let hello = json!({"protocolVersion": OFFERED, "capabilities": {}, "clientInfo": client});
    let answer = fetch.fetch(&speech.message("initialize", None, hello, 0));
    let result = answer
        .json()
        .filter(|r| answer.status == 200 && r.get("protocolVersion").is_some_and(Value::is_string));
    let session = answer.header("mcp-session-id").map(str::to_owned);
    // Requests that are in flight together should not share a session, so a server that can do without is asked without.
    if result.is_none() || session.is_some() {
        let stateless = Speech {
            path: path.to_owned(),
            headers: Vec::new(),
            is_stateless: true,
        };
        let answer = fetch.fetch(&stateless.message("server/discover", None, json!({}), 0));
        let speaks = answer.status == 200
            && prony_model::rpc_failure(prony_model::json_in(answer.body.as_bytes()).as_ref()).is_none();
        if speaks {
            named(surface, result.as_ref());
            named(surface, answer.json().as_ref());
            return Some(stateless);
        }
    }
    let result = result?;
    named(surface, Some(&result));
    let version = result
        .get("protocolVersion")
        .and_then(Value::as_str)
        .unwrap_or(OFFERED);
    speech.headers.push(Header::new("mcp-protocol-version", version));
    if let Some(session) = session {
        speech.headers.push(Header::new("mcp-session-id", session));
        surface
            .found_by
            .push("the MCP server insists on sessions: all requests of the run share one".to_owned());
    }
    let begun = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let mut begun = Request::json("POST", path, &begun);
    begun
        .headers
        .extend(speech.all_headers("notifications/initialized", None));
    fetch.fetch(&begun);
    Some(speech)
}

fn named(surface: &mut Surface, result: Option<&Value>) {
    let told = |key: &str| {
        let server = result?.get("serverInfo")?;
        Some(text::clean(server.get(key)?.as_str()?, 80))
    };
    if surface.name.is_empty() {
        surface.name = told("name").unwrap_or_default();
        surface.version = told("version").unwrap_or_default();
    }
}

impl Speech {
    /// One message. Requests that may be in flight together have different ids where they are different.
    fn message(&self, method: &str, tool: Option<&str>, mut params: Value, id: usize) -> Request {
        if self.is_stateless {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": STATELESS,
                "io.modelcontextprotocol/clientInfo": {"name": "prony", "version": env!("CARGO_PKG_VERSION")},
                "io.modelcontextprotocol/clientCapabilities": {},
            });
        }
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let mut request = Request::json("POST", &self.path, &message);
        request.headers.extend(self.all_headers(method, tool));
        request
    }

    fn all_headers(&self, method: &str, tool: Option<&str>) -> Vec<Header> {
        let mut headers = vec![Header::new("accept", "application/json, text/event-stream")];
        headers.extend(self.headers.iter().cloned());
        if self.is_stateless {
            headers.push(Header::new("mcp-protocol-version", STATELESS));
            headers.push(Header::new("mcp-method", method));
            headers.extend(tool.map(|name| Header::new("mcp-name", name)));
        }
        headers
    }
}

/// The tools, page by page.
fn list(fetch: &mut dyn Fetch, speech: &Speech) -> Vec<Value> {
    let mut tools = Vec::new();
    let mut params = json!({});
    for page in 0..PAGES_MAX {
        let answer = fetch.fetch(&speech.message("tools/list", None, params, page + 1));
        let Some(result) = answer.json() else {
            break;
        };
        let listed = result.get("tools").and_then(Value::as_array).cloned();
        tools.extend(listed.unwrap_or_default());
        match result.get("nextCursor").and_then(Value::as_str) {
            Some(cursor) => params = json!({"cursor": cursor}),
            None => break,
        }
    }
    // A name goes into headers and tables: what no protocol would allow there is no tool of ours.
    tools.retain(|t| !name(t).is_empty() && name(t).chars().all(|c| c.is_ascii_graphic()));
    tools
}

fn name(tool: &Value) -> &str {
    tool.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn hint(tool: &Value, key: &str) -> Option<bool> {
    tool.get("annotations")?.get(key)?.as_bool()
}

fn required(tool: &Value) -> Vec<&str> {
    let names = tool.pointer("/inputSchema/required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether it says that it changes nothing. Without a word it may change anything.
fn reads(tool: &Value) -> bool {
    hint(tool, "readOnlyHint") == Some(true)
}

/// Whether it may delete, overwrite or send something, as it says or as its name does.
fn has_effects(tool: &Value) -> bool {
    hint(tool, "destructiveHint") == Some(true) || effects::of_tool(name(tool), reads(tool))
}

/// Whether each call may leave something behind: it does not say that it only reads, and neither does its name.
fn leaves_behind(tool: &Value) -> bool {
    let is_support = matches!(role(tool), Role::Listing | Role::Health);
    let is_known = reads(tool) || is_support || effects::only_computes(name(tool));
    begins_a_job(tool) || !is_known
}

fn is_listing(tool: &Value) -> bool {
    let words = name_words(name(tool));
    let lists = words
        .first()
        .is_some_and(|word| word.starts_with("list") && !word.starts_with("listen"));
    required(tool).is_empty() && !has_effects(tool) && (reads(tool) || lists)
}

/// Asks the tools that list things for the values that others take.
fn harvest(fetch: &mut dyn Fetch, speech: &Speech, tools: &[Value], surface: &mut Surface) -> Harvest {
    let mut harvest = Harvest::default();
    for (id, tool) in tools
        .iter()
        .filter(|t| is_listing(t))
        .take(LISTINGS_MAX)
        .enumerate()
    {
        let tool = name(tool);
        let params = json!({"name": tool, "arguments": {}});
        let answer = fetch.fetch(&speech.message("tools/call", Some(tool), params, id + 1));
        let failed =
            prony_model::rpc_failure(prony_model::json_in(answer.body.as_bytes()).as_ref()).is_some();
        let Some(listed) = answer.json().filter(|_| answer.status == 200 && !failed) else {
            continue;
        };
        let subject = tool
            .trim_start_matches("list")
            .trim_start_matches("List")
            .trim_start_matches(['_', '-']);
        let found = harvest.read(&format!("/{subject}"), &listed);
        if found > 0 {
            surface
                .found_by
                .push(format!("{found} values listed by tool {}", text::clean(tool, 80)));
        }
    }
    harvest
}

/// A tool as an endpoint, or why it is not called.
fn endpoint(speech: &Speech, tool: &Value, harvest: &Harvest) -> Result<Endpoint, String> {
    let name = name(tool);
    if has_effects(tool) {
        return Err("it says that it has side effects".to_owned());
    }
    let role = role(tool);
    let count = match role {
        Role::Listing | Role::Health | Role::Status => 1,
        _ if leaves_behind(tool) => 1,
        _ => SAMPLES_MAX,
    };
    let samples = samples(speech, tool, harvest, count)?;
    Ok(Endpoint {
        name: format!("tool {name}"),
        method: "POST".to_owned(),
        path: speech.path.clone(),
        role,
        parameters: Vec::new(),
        body_schema: Some(JsonText(envelope(tool))),
        declared_statuses: Vec::new(),
        samples,
        expect: Expect {
            body: checks(tool),
            ..Expect::status(200)
        },
    })
}

fn role(tool: &Value) -> Role {
    let words = name_words(name(tool));
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    if required(tool).is_empty() && has(&Role::HEALTH_SEGMENTS) {
        Role::Health
    } else if is_listing(tool) {
        Role::Listing
    } else if has(FILES) {
        Role::Media
    } else if reads(tool) || begins_a_job(tool) {
        Role::Resource
    } else {
        Role::Inference
    }
}

/// Whether its answer is a job that has only begun: load would pile them up.
fn begins_a_job(tool: &Value) -> bool {
    let states = tool
        .pointer("/outputSchema/properties/status/enum")
        .and_then(Value::as_array);
    let mut states = states.into_iter().flatten().filter_map(Value::as_str);
    !reads(tool) && states.any(|s| BEGUN.contains(&s))
}

/// A success, and what the tool declares to bring, where its schema stands on its own.
fn checks(tool: &Value) -> Vec<BodyCheck> {
    let mut checks = vec![BodyCheck::Rpc];
    if let Some(schema) = tool.get("outputSchema").filter(|s| s.is_object())
        && !schema.to_string().contains("\"$")
        && jsonschema::validator_for(schema).is_ok()
    {
        let result = json!({"type": "object", "properties": {"structuredContent": schema}, "required": ["structuredContent"]});
        checks.push(BodyCheck::Schema(JsonText(
            json!({"properties": {"result": result}}),
        )));
    }
    checks
}

/// The schema of a message that calls a tool.
fn envelope(tool: &Value) -> Value {
    let arguments = tool
        .get("inputSchema")
        .cloned()
        .unwrap_or_else(|| json!({"type": "object"}));
    let params = json!({
        "type": "object",
        "properties": {"name": {"const": name(tool)}, "arguments": arguments},
        "required": ["name", "arguments"],
    });
    json!({
        "type": "object",
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "id": {"type": "integer"},
            "method": {"const": "tools/call"},
            "params": params,
        },
        "required": ["jsonrpc", "id", "method", "params"],
    })
}

/// Calls with distinct arguments, made as a request body would be.
fn samples(
    speech: &Speech,
    tool: &Value,
    harvest: &Harvest,
    count: usize,
) -> Result<Vec<SampleRequest>, String> {
    let name = name(tool);
    let mut schema = tool
        .get("inputSchema")
        .cloned()
        .unwrap_or_else(|| json!({"type": "object"}));
    let mut aliases = Vec::new();
    for wanted in required(tool) {
        let known = known_as(wanted, harvest);
        let last = name_words(wanted).pop().unwrap_or_default();
        let makes = ["output", "target", "new"].iter().any(|w| wanted.starts_with(w));
        let property = schema.pointer(&format!("/properties/{wanted}"));
        let is_free = property.is_none_or(|p| p.get("enum").is_none() && p.get("default").is_none());
        if known.is_none() && !makes && is_free && EXISTING.contains(&last.as_str()) {
            return Err(format!(
                "nothing lists a value for its {}",
                text::clean(wanted, 60)
            ));
        }
        if let Some(known) = known.filter(|k| *k != wanted) {
            aliases.push((wanted.to_owned(), known.to_owned()));
        }
    }
    for (wanted, known) in &aliases {
        rename(&mut schema, wanted, known);
    }
    let operation = Operation {
        method: "POST".to_owned(),
        path: speech.path.clone(),
        body: Some(RequestBody {
            content_type: "application/json".to_owned(),
            schema,
            required: true,
            example: None,
        }),
        ..Operation::default()
    };
    let made: Vec<SampleRequest> = value::samples(&operation, harvest, count)
        .into_iter()
        .enumerate()
        .filter_map(|(k, sample)| {
            let body = sample.request.body.to_bytes()?;
            let mut arguments: Map<String, Value> = serde_json::from_slice(&body).ok()?;
            let mut inputs = sample.inputs;
            for (wanted, known) in &aliases {
                arguments
                    .remove(known)
                    .map(|v| arguments.insert(wanted.clone(), v));
                inputs.remove(known).map(|v| inputs.insert(wanted.clone(), v));
            }
            let params = json!({"name": name, "arguments": arguments});
            Some(SampleRequest {
                request: speech.message("tools/call", Some(name), params, k + 1),
                inputs,
            })
        })
        .collect();
    if made.is_empty() {
        return Err("no value could be made up for its arguments".to_owned());
    }
    Ok(made)
}

/// The name under which values for a parameter are listed: its own, or its end: `previous_video_id` is a `video_id`.
fn known_as<'a>(wanted: &'a str, harvest: &Harvest) -> Option<&'a str> {
    let mut rest = wanted;
    loop {
        if !harvest.values(rest, "").is_empty() {
            return Some(rest);
        }
        // Any listing has an `id`: an end that says no more is nobody's.
        rest = rest.split_once('_')?.1;
        if ["id", "ids", "name", "path"].contains(&rest) {
            return None;
        }
    }
}

/// Gives a property of a schema another name.
fn rename(schema: &mut Value, from: &str, to: &str) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut)
        && let Some(property) = properties.remove(from)
    {
        properties.insert(to.to_owned(), property);
    }
    let required = schema.get_mut("required").and_then(Value::as_array_mut);
    for name in required
        .into_iter()
        .flatten()
        .filter(|name| name.as_str() == Some(from))
    {
        *name = json!(to);
    }
}

#[cfg(test)]
mod tests;
