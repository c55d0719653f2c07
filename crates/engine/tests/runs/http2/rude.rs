//! Peers of HTTP/2 that speak another protocol, take no request, or go away.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use prony_model::{Arrivals, Capture, Expect, Nanos, Outcome, Request, SampleFlags, Shape};

use super::{closed, fresh, get, item, once, outcomes, phase, plain, run};

/// A listener that greets each connection with these bytes once it has sent something, and then closes or waits.
fn rude(bytes: &'static [u8], closes: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut kept = Vec::new();
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let _ = socket.read(&mut [0; 1024]);
            let _ = socket.write_all(bytes);
            if !closes {
                kept.push(socket);
            }
        }
    });
    address
}

#[test]
fn a_server_of_another_protocol_is_told_from_a_silent_one() {
    for (bytes, closes, outcome, says) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"[..],
            true,
            Outcome::WrongProtocol,
            "drop --http2",
        ),
        (b"", true, Outcome::WrongProtocol, "drop --http2"),
        (
            &[0x15, 3, 1, 0, 2, 2, 22],
            false,
            Outcome::WrongProtocol,
            "https://",
        ),
        (b"", false, Outcome::ConnectTimeout, "greeting"),
    ] {
        let mut phase = phase(vec![get("/")], once(1));
        phase.limits.connect_timeout_ms = 300;
        phase.capture = Capture {
            responses_max: 1,
            body_bytes_max: 0,
            digests: false,
        };
        let result = run(&plain(rude(bytes, closes)), phase);
        assert_eq!(outcomes(&result), [outcome], "{bytes:?}");
        assert!(
            result.captures[0].error.contains(says),
            "{}",
            result.captures[0].error
        );
        assert_eq!((result.summary.connections, fresh(&result)), (0, 0));
    }
}

#[test]
fn a_reset_in_place_of_a_greeting_is_another_protocol() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            // What is not read when a socket is closed makes the kernel reset the connection.
            let _ = socket.unwrap().peek(&mut [0; 1]);
        }
    });
    let mut phase = phase(vec![get("/")], once(1));
    phase.capture = Capture {
        responses_max: 1,
        body_bytes_max: 0,
        digests: false,
    };
    let result = run(&plain(address), phase);
    assert_eq!(outcomes(&result), [Outcome::WrongProtocol]);
    assert!(result.captures[0].error.contains("drop --http2"));
}

/// Reads whole frames until `wanted` HEADERS have come.
fn read_requests(socket: &mut TcpStream, wanted: usize) -> Option<()> {
    let mut preface = [0; 24];
    socket.read_exact(&mut preface).ok()?;
    read_more(socket, wanted)
}

fn read_more(socket: &mut TcpStream, wanted: usize) -> Option<()> {
    let mut seen = 0;
    while seen < wanted {
        let mut head = [0; 9];
        socket.read_exact(&mut head).ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        socket.read_exact(&mut payload).ok()?;
        seen += usize::from(head[3] == 1);
    }
    Some(())
}

#[test]
fn what_the_target_did_not_look_at_is_sent_again() {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // A head of status 200 that ends the stream: index 8 of the static table.
    let ok = |stream: u8| [0, 0, 1, 1, 5, 0, 0, 0, stream, 0x88];
    let goaway = |last: u8| [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, last, 0, 0, 0, 0];
    for patient in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = plain(listener.local_addr().unwrap());
        thread::spawn(move || {
            for (k, socket) in listener.incoming().enumerate() {
                let mut socket = socket.unwrap();
                socket.write_all(&SETTINGS).unwrap();
                // Both requests of the first connection are there; it looks at one of them.
                let wanted = if k == 0 { 2 } else { 1 };
                if read_requests(&mut socket, wanted).is_none() {
                    continue;
                }
                if k == 0 {
                    socket.write_all(&goaway(1)).unwrap();
                    socket.write_all(&ok(1)).unwrap();
                } else if patient {
                    socket.write_all(&ok(1)).unwrap();
                } else {
                    socket.write_all(&goaway(0)).unwrap();
                }
                let _ = socket.read(&mut [0; 1024]);
            }
        });
        let mut target = target;
        target.streams = 2;
        let mut post = Request::get("/");
        post.method = "POST".to_owned();
        let result = run(&target, phase(vec![item(post, Expect::default())], closed(1, 2)));
        let second = if patient { Outcome::Ok } else { Outcome::Reset };
        let mut seen = outcomes(&result);
        seen.sort_unstable();
        assert_eq!(seen, [Outcome::Ok, second]);
        let again = |s: &&prony_model::Sample| s.flags.contains(SampleFlags::RESENT);
        assert_eq!(result.samples.iter().filter(again).count(), 1);
        // Five times again, and then no more.
        let connections = if patient { 2 } else { 6 };
        assert_eq!((result.summary.connections, fresh(&result)), (connections, 2));
    }
}

#[test]
fn a_peer_that_takes_no_request_is_not_dialled_without_end() {
    // MAX_CONCURRENT_STREAMS is 0; the other says goodbye with its greeting.
    const NO_STREAM: &[u8] = &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0];
    const GOODBYE: &[u8] = &[
        0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    for (greeting, outcome, connections) in [
        (NO_STREAM, Outcome::WriteTimeout, 1..=8),
        (GOODBYE, Outcome::Reset, 8..=48),
    ] {
        let mut phase = phase(
            vec![get("/")],
            Shape::Open {
                rate: 100.0,
                arrivals: Arrivals::Constant,
                duration_s: 0.08,
                in_flight_max: 100,
            },
        );
        phase.limits.timeout_ms = 500;
        let result = run(&plain(rude(greeting, false)), phase);
        assert_eq!(outcomes(&result), vec![outcome; 8]);
        assert!(
            connections.contains(&result.summary.connections),
            "{}",
            result.summary.connections
        );
    }
    let burst = Shape::Burst {
        size: 4,
        count: 1,
        interval_s: 0.0,
    };
    let mut phase = phase(vec![get("/")], burst);
    phase.limits.timeout_ms = 300;
    let result = run(&plain(rude(NO_STREAM, false)), phase);
    assert_eq!(outcomes(&result), vec![Outcome::WriteTimeout; 4]);
    assert_eq!(result.summary.connections, 4);
}

#[test]
fn streams_that_are_allowed_later_are_used() {
    const NO_STREAM: [u8; 15] = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0];
    const MANY: [u8; 15] = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 9];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = plain(listener.local_addr().unwrap());
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            socket.write_all(&NO_STREAM).unwrap();
            thread::sleep(Duration::from_millis(100));
            socket.write_all(&MANY).unwrap();
            if read_requests(&mut socket, 1).is_some() {
                socket.write_all(&[0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88]).unwrap();
                let _ = socket.read(&mut [0; 1024]);
            }
        }
    });
    let shape = Shape::Open {
        rate: 10.0,
        arrivals: Arrivals::Constant,
        duration_s: 0.1,
        in_flight_max: 9,
    };
    let result = run(&target, phase(vec![get("/")], shape));
    assert_eq!(outcomes(&result), [Outcome::Ok]);
    assert_eq!(result.summary.connections, 1);
}

#[test]
fn a_connection_that_is_lost_while_nothing_is_read_from_it_is_noticed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = plain(listener.local_addr().unwrap());
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            socket.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
            // Questions whose answers it does not read, until the client reads no more of them; then it is gone.
            let pings = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8].repeat(1000);
            socket.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
            while socket.write_all(&pings).is_ok() {}
        }
    });
    let mut phase = phase(vec![get("/")], once(1));
    phase.limits.timeout_ms = 60_000;
    let result = run(&target, phase);
    assert_eq!(outcomes(&result), [Outcome::Reset]);
    assert!(
        result.samples[0].service() < Nanos(50_000_000_000),
        "{:?}",
        result.samples
    );
}
