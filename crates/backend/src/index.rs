//! The page that lists every preset where all are served: HTML for people, JSON for programs. It knows names and addresses only.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::fastapi::reply::Reply;
use crate::preset::preset;
use crate::serve::Served;

/// The finished pages.
pub(crate) struct Index {
    html: String,
    json: Value,
}

impl Index {
    /// Of these presets.
    pub(crate) fn new(served: &[Served]) -> Self {
        let entries: Vec<Value> = served.iter().map(entry).collect();
        let rows: String = entries.iter().map(row).collect();
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Reference backend</title></head>\n<body>\n\
             <h1>Reference backend</h1>\n<p>The same as <a href=\"/presets.json\">JSON</a>.</p>\n<ul>\n{rows}</ul>\n</body>\n</html>\n"
        );
        Self {
            html,
            json: json!({ "presets": entries }),
        }
    }

    /// Serves one request.
    pub(crate) fn answer(&self, request: &Request) -> Response<Body> {
        let wants_json = request
            .headers()
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("application/json"));
        let reply = match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/presets.json") => Reply::json(&self.json),
            (&Method::GET | &Method::HEAD, "/") if wants_json => Reply::json(&self.json),
            (&Method::GET | &Method::HEAD, "/") => {
                Reply::new(StatusCode::OK, "text/html; charset=utf-8", self.html.clone())
            }
            (_, "/" | "/presets.json") => Reply::method_not_allowed("GET"),
            _ => Reply::not_found("GET / and GET /presets.json list the presets"),
        };
        reply.into_response()
    }
}

fn entry(served: &Served) -> Value {
    let beside: serde_json::Map<String, Value> = served
        .beside
        .iter()
        .map(|(name, at)| ((*name).to_owned(), json!(format!("http://{at}"))))
        .collect();
    json!({
        "name": served.name,
        "title": preset(served.name).map_or("", |def| def.title),
        "url": format!("http://{}", served.service),
        "beside": beside,
    })
}

fn row(entry: &Value) -> String {
    let text = |name: &str| escaped(entry[name].as_str().unwrap_or_default());
    format!(
        "<li><a href=\"{url}/\">{name}</a> ({url}): {title}</li>\n",
        url = text("url"),
        name = text("name"),
        title = text("title")
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
