//! The media presets over HTTP: the Model Context Protocol by hand, the generation service beside, and what the truth says of both.

use crate::client;

use std::net::SocketAddr;
use std::path::Path;

use client::Server;
use serde_json::{Value, json};

/// A generation service without failures, small and quick.
const CALM: [(&str, &str); 8] = [
    ("reject_rate", "0"),
    ("error_rate", "0"),
    ("truncate_rate", "0"),
    ("latency_ms", "0"),
    ("video_mib", "0.0625"),
    ("pace_mib_s", "0"),
    ("reference_px", "48"),
    ("answers", "json"),
];

fn start(preset: &str, knobs: &[(&str, &str)]) -> Server {
    Server::start(preset, &[&CALM, knobs].concat())
}

fn ask(server: &Server, headers: &str, message: &Value) -> client::Reply {
    let body = message.to_string();
    let (at, length) = (server.service, body.len());
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\n{headers}content-length: {length}\r\n\r\n"
    );
    client::exchange(at, &head, body.as_bytes())
}

fn call(server: &Server, tool: &str, arguments: &Value) -> Value {
    let message = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "arguments": arguments }
    });
    ask(server, "x-request-id: call-1\r\n", &message).json()["result"].clone()
}

/// One request to the generation service.
fn upstream(server: &Server, method: &str, path: &str, headers: &str) -> client::Reply {
    let truth = server.truth();
    let url = truth["upstream_url"].as_str().unwrap();
    let at: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}content-length: 0\r\n\r\n"
    );
    client::exchange(at, &head, b"")
}

fn first_video(server: &Server) -> String {
    let page = upstream(server, "GET", "/v1/videos?order=asc&limit=1", "").json();
    page["data"][0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn tools_are_listed_and_unknown_ones_refused() {
    let server = start("media", &[]);
    let listed = ask(
        &server,
        "",
        &json!({ "jsonrpc": "2.0", "id": "a", "method": "tools/list" }),
    );
    let tools = listed.json()["result"]["tools"].clone();
    assert_eq!(tools.as_array().unwrap().len(), 11);
    assert!(
        tools
            .as_array()
            .unwrap()
            .iter()
            .all(|tool| tool["inputSchema"]["type"] == "object")
    );
    let unknown =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "no_tool" } });
    assert_eq!(ask(&server, "", &unknown).json()["error"]["code"], -32602);
    let told = ask(
        &server,
        "",
        &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
    );
    assert_eq!(told.status, 202);
    let version = "mcp-protocol-version: 1999-01-01\r\n";
    let asked = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    assert_eq!(ask(&server, version, &asked).status, 400);
    assert_eq!(
        ask(&server, "x-request-id: mine\r\n", &asked)
            .header("x-request-id")
            .as_deref(),
        Some("mine")
    );
    assert_eq!(server.get("/health").json(), json!({ "status": "ok" }));
    // A name that is not this machine's may have been made to lead here by a page in a browser.
    assert_eq!(server.get("/mcp").status, 403);
}

#[test]
fn a_download_is_a_file_and_the_truth_knows_it() {
    for preset in ["media", "media-fixed"] {
        let server = start(preset, &[]);
        let id = first_video(&server);
        let result = call(&server, "download_video", &json!({ "video_id": id }));
        assert_eq!(result["isError"], false, "{result}");
        let path = result["structuredContent"]["path"].as_str().unwrap();
        let reference = upstream(&server, "GET", &format!("/v1/videos/{id}/content"), "");
        assert_eq!(std::fs::read(path).unwrap(), reference.body);
        let truth = server.truth();
        let file = &truth["files"]["recent"][0];
        assert_eq!(
            (&file["path"], &file["bytes"]),
            (&result["structuredContent"]["path"], &json!(65536))
        );
        let tag = reference.header("etag").unwrap();
        assert_eq!(file["sha256"].as_str(), Some(tag.trim_matches('"')));
        let made = &truth["calls"]["recent"][0];
        assert_eq!(
            (&made["request_id"], &made["upstream_attempts"], &made["ok"]),
            (&json!("call-1"), &json!(1), &json!(true))
        );
        let folder = truth["folder"].as_str().unwrap().to_owned();
        assert!(Path::new(&folder).is_dir());
        drop(server);
        assert!(
            !Path::new(&folder).exists(),
            "a temporary folder goes with its server"
        );
    }
}

#[test]
fn a_cut_download_is_a_success_or_repeated() {
    let knobs = [("truncate_rate", "0.6"), ("retries", "50")];
    for (preset, whole) in [("media", false), ("media-fixed", true)] {
        let mut options = client::options(preset, &[&CALM[..], &knobs[..]].concat());
        options.time_scale = 0.001;
        let server = Server::with(options);
        let id = first_video(&server);
        let results: Vec<Value> = (0..8)
            .map(|n| {
                call(
                    &server,
                    "download_video",
                    &json!({ "video_id": id, "filename": format!("{n}.mp4") }),
                )
            })
            .collect();
        let sizes: Vec<u64> = results
            .iter()
            .map(|result| {
                assert_eq!(result["isError"], false, "{result}");
                std::fs::metadata(result["structuredContent"]["path"].as_str().unwrap())
                    .unwrap()
                    .len()
            })
            .collect();
        assert_eq!(sizes.iter().all(|size| *size == 65536), whole, "{sizes:?}");
        let retried: usize = results
            .iter()
            .filter_map(|result| {
                result["structuredContent"]["upstream"]["failures"]
                    .as_array()
                    .map(Vec::len)
            })
            .sum();
        assert_eq!(retried > 0, whole);
    }
}

#[test]
fn downloads_overlap_or_wait_for_each_other() {
    for (preset, serial) in [("media", true), ("media-fixed", false)] {
        // So slow that those that may overlap do.
        let server = start(preset, &[("pace_mib_s", "0.125")]);
        let ids = upstream(&server, "GET", "/v1/videos?limit=4", "").json()["data"].clone();
        std::thread::scope(|scope| {
            for video in ids.as_array().unwrap() {
                scope.spawn(|| call(&server, "download_video", &json!({ "video_id": video["id"] })));
            }
        });
        let truth = server.truth();
        let most = truth["downloads"]["in_flight_max"].as_u64().unwrap();
        assert_eq!(truth["downloads"]["begun"], 4);
        assert_eq!(most == 1, serial, "{preset}: {most}");
        assert_eq!(truth["lock"]["count"].as_u64().unwrap() > 0, serial);
    }
}

#[test]
fn strict_and_lenient_arguments() {
    let more = json!({ "limit": 1, "more": true });
    let lenient = call(&start("media", &[]), "list_videos", &more);
    assert_eq!(lenient["isError"], false);
    let strict = call(&start("media-fixed", &[]), "list_videos", &more);
    assert_eq!(strict["isError"], true);
    let text = strict["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("Unexpected keyword argument"), "{text}");
}

#[test]
fn the_disk_is_bounded() {
    let server = start("media", &[("disk_mib", "1"), ("video_mib", "0.4")]);
    let id = first_video(&server);
    let put = |name: &str| {
        call(
            &server,
            "download_video",
            &json!({ "video_id": id, "filename": name }),
        )
    };
    assert_eq!(put("a.mp4")["isError"], false);
    assert_eq!(put("b.mp4")["isError"], false);
    let full = put("c.mp4");
    assert_eq!(full["isError"], true);
    assert!(
        full["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("No space left on device"),
        "{full}"
    );
}

#[test]
fn contents_obey_ranges_and_tags() {
    let server = start("media", &[]);
    let path = format!("/v1/videos/{}/content", first_video(&server));
    let whole = upstream(&server, "GET", &path, "");
    assert_eq!((whole.status, whole.body.len()), (200, 65536));
    let part = upstream(&server, "GET", &path, "range: bytes=10-19\r\n");
    assert_eq!((part.status, part.body.as_slice()), (206, &whole.body[10..20]));
    assert_eq!(part.header("content-range").as_deref(), Some("bytes 10-19/65536"));
    assert_eq!(
        upstream(&server, "GET", &path, "range: bytes=65536-\r\n").status,
        416
    );
    let tag = whole.header("etag").unwrap();
    assert_eq!(
        upstream(&server, "GET", &path, &format!("if-none-match: {tag}\r\n")).status,
        304
    );
    let stale = "range: bytes=0-1\r\nif-range: \"other\"\r\n";
    assert_eq!(upstream(&server, "GET", &path, stale).status, 200);
    assert_eq!(upstream(&server, "DELETE", &path, "").status, 405);
    assert_eq!(
        upstream(&server, "GET", "/v1/videos/none/content", "").status,
        404
    );
}
