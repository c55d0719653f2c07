//! The thirty input defects: each shows when it is in force, and none of them on the twin.

use crate::client;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use client::{Reply, Server};
use serde_json::json;

const JSON: &str = "content-type: application/json\r\n";

fn post(server: &Server, path: &str, body: &serde_json::Value) -> Reply {
    server.post(path, &body.to_string())
}

/// Whether the defect of that number shows.
fn shows(server: &Server, number: usize) -> bool {
    let long = "a".repeat(2001);
    let status = |path: &str, body: serde_json::Value, status| post(server, path, &body).status == status;
    let text =
        |path: &str, body: serde_json::Value, part: &str| post(server, path, &body).text().contains(part);
    match number {
        1 => status("/v1/classify", json!({ "labels": ["a"] }), 500),
        2 => status("/v1/rerank", json!({ "query": null, "documents": ["a"] }), 200),
        3 => server.get("/v1/search").status == 500,
        4 => status(
            "/v1/rerank",
            json!({ "query": "a", "documents": ["a"], "top_k": 0 }),
            200,
        ),
        5 => status("/v1/summarise", json!({ "text": "a", "style": "odd" }), 200),
        6 => status("/v1/summarise", json!({ "text": "a", "seed": i64::MAX }), 500),
        7 => status("/v1/classify", json!({ "text": "a", "labels": [] }), 500),
        8 => status("/v1/summarise", json!({ "text": "" }), 200),
        9 => status("/v1/moderate", json!({ "text": long }), 500),
        10 => status("/v1/embed", json!({ "text": long }), 200),
        11 => server.post("/v1/moderate", "{").text().contains("Traceback"),
        12 => server.post("/v1/rerank", &"[".repeat(10_000)).status == 500,
        13 => text("/v1/classify", json!({ "text": "é", "labels": ["a"] }), "Ã©"),
        14 => server.get("/v1/documents/none").status == 500,
        15 => server.get("/v1/documents/none/summary").status == 200,
        16 => server.get("/v1/embed").status == 200,
        17 => {
            server
                .send("POST", "/v1/summarise", "content-type: text/plain\r\n", b"{}")
                .status
                == 500
        }
        18 => {
            server
                .send(
                    "POST",
                    "/v1/classify",
                    &format!("{JSON}accept: image/png\r\n"),
                    b"{}",
                )
                .status
                == 500
        }
        19 => server.get("/v1/account").status == 200,
        20 => {
            server
                .send("GET", "/v1/billing", "authorization: Bearer wrong\r\n", b"")
                .status
                == 200
        }
        21 => server.get("/v1/preview?title=%3Cb%3E").text().contains("<b>"),
        22 => server.get("/v1/search?query=%27").text().contains("sqlite3"),
        23 => text("/v1/moderate", json!({ "text": "{{6*7}}" }), "42"),
        24 => server
            .get("/v1/assets/..%2F..%2Fetc%2Fpasswd")
            .text()
            .contains("root:"),
        25 => server.post("/v1/summarise", &" ".repeat(300_000)).status == 500,
        26 => status(
            "/v1/rerank",
            json!({ "query": "a", "documents": vec!["a"; 10_000] }),
            500,
        ),
        27 => {
            let _stalled: Vec<TcpStream> = (0..4).map(|_| stalled(server, "/v1/translate")).collect();
            std::thread::sleep(Duration::from_millis(50));
            !answers(server, "/v1/translate")
        }
        28 => {
            let mut stream = stalled(server, "/v1/embed");
            let mut text = String::new();
            let _ = stream.read_to_string(&mut text);
            text.starts_with("HTTP/1.1 500")
        }
        29 => {
            leave(server, "/v1/caption", 4);
            !answers(server, "/v1/caption")
        }
        _ => {
            leave(server, "/v1/complete", 60);
            !answers(server, "/v1/complete")
        }
    }
}

fn stalled(server: &Server, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.service).unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: test\r\n{JSON}content-length: 100\r\n\r\n{{");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// So many clients that ask together and leave while they are served.
fn leave(server: &Server, path: &str, clients: usize) {
    let body = r#"{"text":"a"}"#;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\n{JSON}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let streams: Vec<TcpStream> = (0..clients)
        .map(|_| {
            let mut stream = TcpStream::connect(server.service).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(10));
    drop(streams);
}

/// Whether a good request is answered within half a second: 25 times the work.
fn answers(server: &Server, path: &str) -> bool {
    let body = r#"{"text":"a"}"#;
    let mut stream = TcpStream::connect(server.service).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\n{JSON}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream
        .read_exact(&mut start)
        .is_ok_and(|()| start == *b"HTTP/1.1 200")
}

#[test]
fn each_defect_shows_alone() {
    for number in 1..=30 {
        let server = Server::start("truth", &[("defects", &number.to_string()), ("stall_ms", "800")]);
        assert!(shows(&server, number), "{number}");
        assert_eq!(server.truth()["defects"][0]["number"], json!(number));
        let others: Vec<usize> = (1..27)
            .filter(|other| *other != number && shows(&server, *other))
            .collect();
        assert_eq!(others, [0; 0], "beside {number}");
    }
}

#[test]
fn the_twin_shows_none_and_serves_good_input() {
    let server = Server::start("truth-fixed", &[("stall_ms", "300")]);
    let shown: Vec<usize> = (1..=30).filter(|number| shows(&server, *number)).collect();
    assert_eq!(shown, [0; 0]);
    let good = [
        ("/v1/classify", json!({ "text": "é", "labels": ["a", "b"] })),
        ("/v1/embed", json!({ "text": "a", "dimensions": 8 })),
        (
            "/v1/rerank",
            json!({ "query": "a", "documents": ["a", "b"], "top_k": 1 }),
        ),
        (
            "/v1/summarise",
            json!({ "text": "a b c", "style": "short", "seed": 4 }),
        ),
        ("/v1/moderate", json!({ "text": "{{6*7}}" })),
        ("/v1/translate", json!({ "text": "abc", "language": "de" })),
    ];
    for (path, body) in good {
        assert_eq!(post(&server, path, &body).status, 200, "{path}");
    }
    assert_eq!(server.get("/v1/search?query=a&limit=3").status, 200);
    assert_eq!(server.get("/v1/documents/doc-bridge").status, 200);
    let account = |token: &str| {
        server
            .send(
                "GET",
                "/v1/account",
                &format!("authorization: Bearer {token}\r\n"),
                b"",
            )
            .status
    };
    assert_eq!((account("open-sesame"), account("wrong")), (200, 401));
    let refused = server.send("DELETE", "/v1/embed", "", b"");
    assert_eq!(
        (refused.status, refused.header("allow").as_deref()),
        (405, Some("POST"))
    );
    assert_eq!(server.post("/v1/embed", r#"{"text":"a","odd":1}"#).status, 422);
    assert_eq!(server.post("/v1/embed", "{").status, 400);
}
