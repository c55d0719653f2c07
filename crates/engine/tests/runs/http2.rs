//! HTTP/2 against a server by others, and against frames written by hand where a server would not do it.

mod rude;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::{HeaderMap, Request as Asked, Response};
use prony_engine::{Engine, EngineOptions, NoSink, Target};
use prony_model::{
    Arrivals, Body, BodyCheck, Capture, Expect, HttpVersion, Item, Limits, Outcome, Phase, PhaseResult,
    Request, SampleFlags, Scenario, Shape,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

const BIG_BYTES: usize = 1 << 20;

fn big() -> Bytes {
    (0..BIG_BYTES)
        .map(|i| (i % 251) as u8)
        .collect::<Vec<u8>>()
        .into()
}

/// How a server behaves beside its paths.
#[derive(Clone, Copy, Debug, Default)]
struct Manners {
    /// Streams at once that it allows.
    streams_max: Option<u32>,
    /// Says goodbye in good order after so many requests on a connection.
    goodbye_after: Option<u32>,
    /// Offers HTTP/1.1 only in the handshake.
    http1_only: bool,
    tls: bool,
}

/// A server that runs until the test ends.
struct Server {
    address: SocketAddr,
    certificate: String,
    /// Most streams that were open at once on one connection.
    most: Arc<AtomicU32>,
    connections: Arc<AtomicU32>,
}

impl Server {
    fn start(manners: Manners) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = if manners.http1_only {
            vec![b"http/1.1".to_vec()]
        } else {
            vec![b"h2".to_vec(), b"http/1.1".to_vec()]
        };
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (most, connections) = (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
        let (seen, counted) = (Arc::clone(&most), Arc::clone(&connections));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((socket, _)) = listener.accept().await {
                    counted.fetch_add(1, Ordering::Relaxed);
                    let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                    tokio::spawn(async move {
                        if manners.tls {
                            if let Ok(socket) = acceptor.accept(socket).await {
                                serve(socket, manners, seen).await;
                            }
                        } else {
                            serve(socket, manners, seen).await;
                        }
                    });
                }
            });
        });
        Self {
            address,
            certificate: made.cert.pem(),
            most,
            connections,
        }
    }

    fn target(&self) -> Target {
        plain(self.address)
    }
}

fn plain(address: SocketAddr) -> Target {
    let mut target = Target::new(&format!("http://{address}")).unwrap();
    target.http = HttpVersion::Http2;
    target
}

async fn serve(socket: impl AsyncRead + AsyncWrite + Unpin, manners: Manners, most: Arc<AtomicU32>) {
    let mut builder = h2::server::Builder::new();
    if let Some(max) = manners.streams_max {
        builder.max_concurrent_streams(max);
    }
    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else {
        return;
    };
    let (mut requests, open) = (0, Arc::new(AtomicU32::new(0)));
    while let Some(Ok((request, respond))) = connection.accept().await {
        requests += 1;
        if manners.goodbye_after == Some(requests) {
            connection.graceful_shutdown();
        }
        if request.uri().path() == "/crash" {
            return;
        }
        most.fetch_max(open.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        let open = Arc::clone(&open);
        tokio::spawn(async move {
            // A client that is gone needs no answer.
            let _ = answer(request, respond).await;
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn answer(request: Asked<h2::RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let plain = |status: u16| Response::builder().status(status);
    let (head, mut body) = request.into_parts();
    match head.uri.path() {
        "/echo" => {
            let mut whole = Vec::new();
            while let Some(part) = body.data().await {
                let part = part?;
                let _ = body.flow_control().release_capacity(part.len());
                whole.extend_from_slice(&part);
            }
            let kind = head.headers.get("x-kind").cloned();
            let mut response = plain(200)
                .header("content-type", "application/json")
                .body(())
                .unwrap();
            if let Some(kind) = kind {
                response.headers_mut().insert("x-kind", kind);
            }
            let mut stream = respond.send_response(response, false)?;
            let says = format!(
                r#"{{"bytes":{},"sum":{},"authority":"{}"}}"#,
                whole.len(),
                whole.iter().map(|b| u64::from(*b)).sum::<u64>(),
                head.uri.authority().map_or("", http::uri::Authority::as_str),
            );
            stream.send_data(says.into(), true)
        }
        "/big" => {
            let mut stream = respond.send_response(plain(200).body(()).unwrap(), false)?;
            stream.send_data(big(), true)
        }
        "/empty" => respond
            .send_response(plain(204).body(()).unwrap(), true)
            .map(drop),
        "/moved" => {
            let moved = plain(302).header("location", "/").body(()).unwrap();
            respond.send_response(moved, true).map(drop)
        }
        "/early" => {
            let mut stream = respond.send_response(plain(413).body(()).unwrap(), false)?;
            // Dropped here, the rest of the request is refused with RST_STREAM and NO_ERROR.
            stream.send_data("too much".into(), true)
        }
        "/trailers" => {
            respond.send_informational(Response::builder().status(103).body(()).unwrap())?;
            let mut stream = respond.send_response(plain(200).body(()).unwrap(), false)?;
            stream.send_data("hello".into(), false)?;
            let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
            stream.send_trailers(trailers)
        }
        "/reset" => {
            respond.send_reset(Reason::ENHANCE_YOUR_CALM);
            Ok(())
        }
        "/half" => {
            let mut stream = respond.send_response(plain(200).body(()).unwrap(), false)?;
            stream.send_data("half".into(), false)?;
            std::future::pending().await
        }
        "/silent" => std::future::pending().await,
        "/long-head" => {
            let long = plain(200).header("x-long", "v".repeat(70_000)).body(()).unwrap();
            respond.send_response(long, true).map(drop)
        }
        _ => {
            let response = plain(200).header("content-type", "text/plain").body(()).unwrap();
            let is_head = head.method == http::Method::HEAD;
            let mut stream = respond.send_response(response, is_head)?;
            if is_head {
                Ok(())
            } else {
                stream.send_data("hello".into(), true)
            }
        }
    }
}

fn item(request: Request, expect: Expect) -> Item {
    Item { request, expect }
}

fn get(path: &str) -> Item {
    item(Request::get(path), Expect::default())
}

fn phase(items: Vec<Item>, shape: Shape) -> Phase {
    Phase {
        name: "p".to_owned(),
        experiment: "test".to_owned(),
        scenarios: vec![Scenario::new("s", items)],
        shape,
        limits: Limits::default(),
        capture: Capture::NONE,
    }
}

fn closed(connections: u32, requests: u64) -> Shape {
    Shape::Closed {
        connections,
        requests: Some(requests),
        duration_s: None,
        think_ms: 0.0,
    }
}

fn once(n: u64) -> Shape {
    Shape::Sequential {
        requests: n,
        duration_s: None,
    }
}

fn run_on(target: &Target, threads: u32, phase: Phase) -> PhaseResult {
    let options = EngineOptions {
        threads,
        epoch: Instant::now(),
        ..EngineOptions::default()
    };
    Engine::new(target, options)
        .unwrap()
        .run(0, phase, &mut NoSink)
        .unwrap()
}

fn run(target: &Target, phase: Phase) -> PhaseResult {
    run_on(target, 1, phase)
}

fn outcomes(result: &PhaseResult) -> Vec<Outcome> {
    result.samples.iter().map(|s| s.outcome).collect()
}

fn fresh(result: &PhaseResult) -> usize {
    let new = |flags: SampleFlags| flags.contains(SampleFlags::NEW_CONNECTION);
    result.samples.iter().filter(|s| new(s.flags)).count()
}

fn all_ok(result: &PhaseResult, n: u64) {
    let s = &result.summary;
    assert_eq!((s.offered, s.ok, s.failed, s.own), (n, n, 0, 0), "{:?}", s.rows);
    for s in &result.samples {
        assert!(
            s.intended <= s.sent && s.sent <= s.first_byte && s.first_byte <= s.done,
            "{s:?}"
        );
    }
    assert!(s.validity.little_error < 1e-3, "{:?}", s.validity);
}

#[test]
fn a_closed_loop_uses_every_stream_of_its_connections() {
    let server = Server::start(Manners::default());
    for (threads, connections) in [(1, 3), (2, 3)] {
        let mut target = server.target();
        target.streams = 8;
        let before = server.connections.load(Ordering::Relaxed);
        let result = run_on(&target, threads, phase(vec![get("/")], closed(connections, 600)));
        all_ok(&result, 600);
        assert_eq!(result.summary.connections, 3);
        assert_eq!(server.connections.load(Ordering::Relaxed) - before, 3);
        // The first request of each connection, and nobody else, opened it.
        assert_eq!(fresh(&result), 3);
        assert_eq!(result.samples.iter().filter(|s| s.connect_us > 0).count(), 3);
        assert!(result.samples.iter().all(|s| (s.status, s.bytes_in) == (200, 5)));
    }
    assert_eq!(server.most.load(Ordering::Relaxed), 8);
}

#[test]
fn one_stream_is_the_default() {
    let server = Server::start(Manners::default());
    let result = run(&server.target(), phase(vec![get("/")], closed(2, 60)));
    all_ok(&result, 60);
    assert_eq!((fresh(&result), server.most.load(Ordering::Relaxed)), (2, 1));
    assert_eq!(
        result
            .summary
            .validity
            .warnings
            .iter()
            .filter(|w| w.name == "streams")
            .count(),
        0
    );
}

#[test]
fn an_open_loop_fills_streams_before_it_opens_connections() {
    let server = Server::start(Manners::default());
    let mut target = server.target();
    target.streams = 4;
    let mut phase = phase(
        vec![get("/silent")],
        Shape::Open {
            rate: 1000.0,
            arrivals: Arrivals::Constant,
            duration_s: 0.02,
            in_flight_max: 100,
        },
    );
    phase.limits.timeout_ms = 300;
    let result = run(&target, phase);
    assert_eq!(outcomes(&result), vec![Outcome::HeadersTimeout; 20]);
    assert_eq!((result.summary.connections, fresh(&result)), (5, 5));
    assert_eq!(server.most.load(Ordering::Relaxed), 4);
}

#[test]
fn a_burst_shares_connections_that_were_opened_before() {
    let server = Server::start(Manners::default());
    let mut target = server.target();
    target.streams = 8;
    let shape = Shape::Burst {
        size: 20,
        count: 1,
        interval_s: 0.0,
    };
    let result = run(&target, phase(vec![get("/")], shape));
    all_ok(&result, 20);
    assert_eq!((result.summary.connections, fresh(&result)), (3, 3));
    assert!(result.samples.iter().all(|s| s.connect_us == 0));
}

#[test]
fn what_the_target_allows_is_respected_and_waiting_for_it_is_its_own_time() {
    let server = Server::start(Manners {
        streams_max: Some(1),
        ..Manners::default()
    });
    let mut target = server.target();
    target.streams = 6;
    let result = run(&target, phase(vec![get("/")], closed(1, 120)));
    all_ok(&result, 120);
    assert_eq!(
        (server.most.load(Ordering::Relaxed), result.summary.connections),
        (1, 1)
    );
    let waited = |s: &&prony_model::Sample| s.flags.contains(SampleFlags::WAITED);
    assert!(result.samples.iter().filter(waited).count() >= 100);
    assert!(result.samples.iter().filter(waited).all(|s| s.own_lag().0 == 0));
    let warned = result
        .summary
        .validity
        .warnings
        .iter()
        .find(|w| w.name == "streams");
    assert!(
        warned.is_some_and(|w| w.says.contains("allows 1 streams")),
        "{warned:?}"
    );
}

#[test]
fn bodies_are_sent_received_checked_and_kept() {
    let server = Server::start(Manners::default());
    let digest = format!("{:016x}", twox_hash::XxHash3_64::oneshot(&big()));
    let check = |check| Expect {
        body: vec![check],
        ..Expect::default()
    };
    let text = "0123456789".repeat(30_000);
    let mut echo = Request::get("/echo");
    echo.method = "POST".to_owned();
    echo.headers = vec![prony_model::Header::new("X-Kind", "loud")];
    echo.body = Body::Text(text.clone());
    let sum: u64 = text.bytes().map(u64::from).sum();
    let mut phase = phase(
        vec![
            item(Request::get("/big"), check(BodyCheck::Xxh3(digest.clone()))),
            item(
                echo,
                check(BodyCheck::JsonEquals {
                    pointer: "/sum".to_owned(),
                    value: sum.to_string(),
                }),
            ),
            item(Request::get("/big"), check(BodyCheck::Xxh3("0".repeat(16)))),
            get("/trailers"),
            get("/empty"),
            item(
                Request {
                    method: "HEAD".to_owned(),
                    ..Request::get("/")
                },
                Expect::default(),
            ),
        ],
        once(6),
    );
    phase.capture = Capture {
        responses_max: 6,
        body_bytes_max: 1000,
        digests: true,
    };
    let result = run(&server.target(), phase);
    let ok = Outcome::Ok;
    assert_eq!(outcomes(&result), [ok, ok, Outcome::Checksum, ok, ok, ok]);
    let bytes: Vec<u32> = result.samples.iter().map(|s| s.bytes_in).collect();
    assert_eq!(
        (bytes[0], bytes[2], bytes[3..].to_vec()),
        (1 << 20, 1 << 20, vec![5, 0, 0])
    );
    assert_eq!(result.captures[0].digest, digest);
    let kept = &result.captures[1];
    assert!(
        kept.headers
            .iter()
            .any(|h| (h.name.as_str(), h.value.as_str()) == ("x-kind", "loud"))
    );
    let authority = server.address.to_string();
    assert!(
        kept.body.contains(r#""bytes":300000"#) && kept.body.contains(&authority),
        "{}",
        kept.body
    );
    assert_eq!((result.captures[4].status, result.summary.connections), (204, 1));
}

#[test]
fn redirects_are_followed_and_early_answers_count() {
    let server = Server::start(Manners::default());
    let mut early = Request::get("/early");
    early.method = "POST".to_owned();
    early.body = Body::Text("x".repeat(4 << 20));
    let expect = Expect::status(413);
    let mut phase = phase(vec![get("/moved"), item(early, expect), get("/")], once(3));
    phase.limits.redirects_max = 3;
    let result = run(&server.target(), phase);
    assert_eq!(outcomes(&result), [Outcome::Ok; 3], "{:?}", result.samples);
    assert!(result.samples[0].flags.contains(SampleFlags::REDIRECTED));
    assert_eq!((result.samples[1].status, result.samples[1].bytes_in), (413, 8));
    assert_eq!(result.summary.connections, 1);
}

#[test]
fn a_fault_of_one_request_leaves_the_connection_to_the_next() {
    let server = Server::start(Manners::default());
    let good = || get("/");
    let mut phase = phase(
        vec![
            get("/silent"),
            good(),
            get("/half"),
            good(),
            get("/reset"),
            good(),
            get("/long-head"),
            good(),
            get("/big"),
            good(),
        ],
        once(10),
    );
    phase.limits.timeout_ms = 400;
    phase.limits.body_bytes_max = 100_000;
    phase.capture = Capture {
        responses_max: 10,
        body_bytes_max: 100,
        digests: false,
    };
    let result = run(&server.target(), phase);
    let ok = Outcome::Ok;
    assert_eq!(
        outcomes(&result),
        [
            Outcome::HeadersTimeout,
            ok,
            Outcome::BodyTimeout,
            ok,
            Outcome::Reset,
            ok,
            Outcome::HeadersTooLarge,
            ok,
            Outcome::BodyTooLarge,
            ok,
        ]
    );
    assert!(
        result.captures[4].error.contains("ENHANCE_YOUR_CALM"),
        "{}",
        result.captures[4].error
    );
    assert_eq!((result.samples[2].status, result.samples[2].bytes_in), (200, 4));
    assert_eq!((result.summary.connections, fresh(&result)), (1, 1));
}

#[test]
fn goodbyes_in_good_order_fail_nothing() {
    let server = Server::start(Manners {
        goodbye_after: Some(10),
        ..Manners::default()
    });
    let mut target = server.target();
    target.streams = 4;
    let result = run(&target, phase(vec![get("/")], closed(1, 100)));
    all_ok(&result, 100);
    let opened = u64::from(server.connections.load(Ordering::Relaxed));
    assert!(opened >= 4, "{opened}");
    assert_eq!(result.summary.connections, opened);
    assert_eq!(fresh(&result) as u64, opened);
}

#[test]
fn a_connection_that_ends_at_once_resets_what_is_on_it() {
    let server = Server::start(Manners::default());
    let mut phase = phase(vec![get("/"), get("/crash"), get("/")], once(3));
    phase.capture = Capture {
        responses_max: 3,
        body_bytes_max: 100,
        digests: false,
    };
    let result = run(&server.target(), phase);
    // A GET on a connection that had served before is sent again once, as in HTTP/1.1, and meets the same end.
    assert_eq!(outcomes(&result), [Outcome::Ok, Outcome::Reset, Outcome::Ok]);
    assert!(result.samples[1].flags.contains(SampleFlags::RESENT));
    assert!(
        result.captures[1].error.contains("lost"),
        "{}",
        result.captures[1].error
    );
    assert_eq!(result.summary.connections, 3);
}

#[test]
fn connections_are_closed_after_so_many_requests() {
    let server = Server::start(Manners::default());
    let mut each = phase(vec![get("/")], closed(2, 12));
    each.limits.keep_alive = false;
    let result = run(&server.target(), each);
    all_ok(&result, 12);
    assert_eq!((result.summary.connections, fresh(&result)), (12, 12));
    let mut target = server.target();
    target.streams = 4;
    let mut some = phase(vec![get("/")], closed(1, 40));
    some.limits.requests_per_connection = 10;
    let result = run(&target, some);
    all_ok(&result, 40);
    assert_eq!(result.summary.connections, 4);
}

#[test]
fn tls_agrees_on_http2_or_says_that_it_cannot() {
    let both = Server::start(Manners {
        tls: true,
        ..Manners::default()
    });
    let old = Server::start(Manners {
        tls: true,
        http1_only: true,
        ..Manners::default()
    });
    let file = std::env::temp_dir().join(format!("prony-http2-{}.pem", std::process::id()));
    let secure = |server: &Server, http| {
        std::fs::write(&file, &server.certificate).unwrap();
        let mut target = Target::new(&format!("https://localhost:{}", server.address.port())).unwrap();
        target.tls.cacert = Some(file.clone());
        target.connect_to = Some(("127.0.0.1".to_owned(), server.address.port()));
        target.http = http;
        target
    };
    for http in [HttpVersion::Http2, HttpVersion::Auto] {
        let mut target = secure(&both, http);
        target.streams = 2;
        let result = run(&target, phase(vec![get("/")], closed(2, 40)));
        all_ok(&result, 40);
        assert_eq!((result.summary.connections, fresh(&result)), (2, 2));
        assert!(
            result
                .samples
                .iter()
                .filter(|s| s.connect_us > 0)
                .all(|s| s.tls_us > 0)
        );
    }
    let mut refused = phase(vec![get("/")], once(1));
    refused.capture = Capture {
        responses_max: 1,
        body_bytes_max: 0,
        digests: false,
    };
    let result = run(&secure(&old, HttpVersion::Http2), refused);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(outcomes(&result), [Outcome::WrongProtocol]);
    assert!(
        result.captures[0].error.contains("drop --http2"),
        "{}",
        result.captures[0].error
    );
    assert_eq!(result.summary.connections, 0);
}
