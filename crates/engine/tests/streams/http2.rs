//! The same over HTTP/2: several streams of tokens on one connection.

use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::{Request as Asked, Response};
use prony_engine::{Engine, EngineOptions, Target};
use prony_model::{HttpVersion, Item, Outcome, Phase, Request, Shape, StreamExpect, StreamProtocol};

use super::server::{Heard, phase};
use super::{done, role, stop, token};

/// A server by others, without TLS.
fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(socket).await.unwrap();
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        // A client that is gone needs no answer.
                        tokio::spawn(async move { drop(answer(request, respond).await) });
                    }
                });
            }
        });
    });
    address
}

async fn answer(request: Asked<h2::RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let response = Response::builder()
        .header("content-type", "text/event-stream")
        .body(())
        .unwrap();
    let mut stream = respond.send_response(response, false)?;
    let path = request.uri().path().to_owned();
    let end: &[Vec<u8>] = match path.as_str() {
        "/cut" | "/reset" => &[],
        _ => &[stop(), done()],
    };
    for piece in [role(), token("a"), token(" b"), token(" c")].iter().chain(end) {
        stream.send_data(piece.clone().into(), false)?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    match path.as_str() {
        "/reset" | "/whole-then-reset" => {
            stream.send_reset(Reason::INTERNAL_ERROR);
            Ok(())
        }
        "/whole-then-nothing" => std::future::pending().await,
        _ => stream.send_data(Bytes::new(), true),
    }
}

/// So many requests for a path, four at a time on one connection.
fn load(address: SocketAddr, path: &str, requests: u64) -> Heard {
    let mut target = Target::new(&format!("http://{address}")).unwrap();
    target.http = HttpVersion::Http2;
    target.streams = 4;
    let mut phase: Phase = phase(StreamExpect::new(StreamProtocol::OpenaiChat), requests, 60_000);
    let expect = phase.scenarios[0].items[0].expect.clone();
    phase.scenarios[0].items = vec![Item {
        request: Request::get(path),
        expect,
    }];
    phase.shape = Shape::Closed {
        connections: 1,
        requests: Some(requests),
        duration_s: None,
        think_ms: 0.0,
    };
    let mut heard = Heard::default();
    let options = EngineOptions {
        epoch: Instant::now(),
        ..EngineOptions::default()
    };
    let result = Engine::new(&target, options)
        .unwrap()
        .run(0, phase, &mut heard)
        .unwrap();
    assert_eq!(result.summary.connections, 1);
    assert_eq!(heard.records.len() as u64, requests);
    heard
}

#[test]
fn streams_on_one_connection() {
    let address = start();
    let mut one_by_one = 0;
    for (path, outcome) in [
        ("/", Outcome::Ok),
        ("/cut", Outcome::StreamUnfinished),
        ("/reset", Outcome::Reset),
        ("/whole-then-reset", Outcome::Ok),
        ("/whole-then-nothing", Outcome::Ok),
    ] {
        for record in load(address, path, 8).records {
            assert_eq!(record.outcome, outcome, "{path}");
            assert_eq!((record.token_events, record.text_bytes), (3, 5), "{path}");
            let stamps = [
                record.sent,
                record.first_event,
                record.first_token,
                record.last_token,
                record.end,
            ];
            assert!(stamps.is_sorted() && record.sent.0 > 0, "{path}: {stamps:?}");
            one_by_one += u32::from(record.first_event < record.last_token);
        }
    }
    // Where the machine stood still for the whole of a stream, its pieces are read at once: so not of every stream.
    assert!(one_by_one > 0, "every piece of every stream was stamped at once");
}
