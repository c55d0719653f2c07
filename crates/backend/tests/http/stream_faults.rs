//! Faults of streams, on the wire: each as it is sent by the paced streams and by the language model server.

use crate::client;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use client::Server;
use serde_json::{Value, json};

/// An answer as it came, to the last byte.
struct Raw {
    head: String,
    body: Vec<u8>,
    /// The connection was reset.
    reset: bool,
    /// Nothing came any more, and no end.
    open: bool,
}

/// Who is asked, and what is asked there.
struct Asker {
    server: Server,
    to: SocketAddr,
    paced: bool,
}

impl Asker {
    fn paced(knobs: &[(&str, &str)]) -> Self {
        let server = Server::start(
            "truth",
            &[&[("stream_ttft_ms", "1"), ("stream_itl_ms", "1")], knobs].concat(),
        );
        Self {
            to: server.listener("streams"),
            server,
            paced: true,
        }
    }

    fn semantic(knobs: &[(&str, &str)]) -> Self {
        let quick = [
            ("prefill_us", "10"),
            ("decode_base_us", "500"),
            ("decode_seq_us", "10"),
            ("api_keys", "none"),
        ];
        let server = Server::start("semantic-fixed", &[&quick, knobs].concat());
        Self {
            to: server.service,
            server,
            paced: false,
        }
    }

    fn both() -> [Self; 2] {
        [Self::paced(&[]), Self::semantic(&[])]
    }

    fn ask(&self, path: &str, fault: &str) -> Raw {
        let options = if path.contains("chat") {
            r#""stream_options":{"include_usage":true},"#
        } else {
            ""
        };
        let body = format!(
            r#"{{"model":"gemma-3-12b-it","stream":true,"max_tokens":8,{options}"messages":[{{"role":"user","content":"Hello there"}}]}}"#
        );
        let header = if fault.is_empty() {
            String::new()
        } else {
            format!("x-fault: {fault}\r\n")
        };
        let mut stream = TcpStream::connect(self.to).unwrap();
        // Long after everything that is sent at all; only what hangs on purpose waits for it.
        stream
            .set_read_timeout(Some(Duration::from_millis(1500)))
            .unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-type: application/json\r\n{header}\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let (mut reset, mut open) = (false, false);
        let mut part = vec![0; 65_536];
        loop {
            match stream.read(&mut part) {
                Ok(0) => break,
                Ok(count) => bytes.extend_from_slice(&part[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    reset = true;
                    break;
                }
                Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                    open = true;
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        let split = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("a head");
        Raw {
            head: String::from_utf8(bytes[..split].to_vec()).unwrap(),
            body: bytes[split + 4..].to_vec(),
            reset,
            open,
        }
    }

    fn chat(&self, fault: &str) -> Raw {
        self.ask("/v1/chat/completions", fault)
    }

    fn messages(&self, fault: &str) -> Raw {
        self.ask("/v1/messages", fault)
    }
}

impl Raw {
    /// The chunks of the body, and whether it has its end.
    fn chunks(&self) -> (Vec<Vec<u8>>, bool) {
        let mut chunks = Vec::new();
        let mut rest = &self.body[..];
        while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            if size == 0 {
                return (chunks, true);
            }
            if rest.len() < line + 4 + size {
                break;
            }
            chunks.push(rest[line + 2..line + 2 + size].to_vec());
            rest = &rest[line + 4 + size..];
        }
        (chunks, false)
    }

    fn bytes(&self) -> Vec<u8> {
        self.chunks().0.concat()
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    fn is_ended(&self) -> bool {
        self.chunks().1
    }

    /// The data of the events, JSON where it is.
    fn data(&self) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
        lines
            .map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data)))
            .collect()
    }

    fn deltas(&self, field: &str) -> usize {
        let data = self.data();
        let chat = data.iter().filter(|one| {
            one["choices"][0]["delta"][field]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        });
        let messages = data.iter().filter(|one| one["delta"][field].is_string());
        chat.count() + messages.count()
    }

    fn done(&self) -> bool {
        let text = self.text();
        text.contains("[DONE]") || text.contains("event: message_stop")
    }

    fn finished(&self) -> bool {
        let text = self.text();
        text.contains("\"finish_reason\":\"length\"") || text.contains("\"stop_reason\":\"max_tokens\"")
    }

    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (held, value) = line.split_once(':')?;
            held.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

#[test]
fn without_a_fault_an_answer_is_whole() {
    for asker in Asker::both() {
        let raw = asker.chat("");
        assert!(raw.is_ended() && raw.done() && raw.finished() && raw.deltas("content") == 8);
        let raw = asker.messages("");
        assert!(raw.is_ended() && raw.done() && raw.finished() && raw.deltas("text") == 8);
    }
}

#[test]
fn a_status_comes_instead_with_retry_after_or_without() {
    for asker in Asker::both() {
        let raw = asker.chat("status=429,retry-after=7");
        assert_eq!(
            (raw.status(), raw.header("retry-after").as_deref()),
            (429, Some("7"))
        );
        let raw = asker.messages("status=529");
        assert_eq!((raw.status(), raw.header("retry-after")), (529, None));
        let told: Value = serde_json::from_slice(&raw.body).unwrap();
        assert_eq!(told["error"]["type"], json!("overloaded_error"));
        let raw = asker.chat("nonsense");
        assert_eq!(raw.status(), 400);
        assert!(
            String::from_utf8(raw.body)
                .unwrap()
                .contains("there is no fault 'nonsense'")
        );
    }
}

#[test]
fn errors_come_in_band_first_or_in_the_middle() {
    for asker in Asker::both() {
        for (at, tokens) in [(0, 0), (3, 3)] {
            let raw = asker.chat(&format!("error@{at}"));
            assert_eq!(raw.deltas("content"), tokens);
            let errors: Vec<_> = raw
                .data()
                .into_iter()
                .filter(|one| one["error"].is_object())
                .collect();
            assert_eq!(errors[0]["error"]["code"], json!(500));
            assert!(raw.is_ended() && raw.done() && !raw.finished());
            let raw = asker.messages(&format!("error-event@{at}"));
            assert_eq!(raw.deltas("text"), tokens);
            let text = raw.text();
            let last = text.trim_end().rsplit("\n\n").next().unwrap();
            let data = last.strip_prefix("event: error\ndata: ").expect("a named error");
            let error =
                json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
            assert_eq!(serde_json::from_str::<Value>(data).unwrap(), error);
            assert!(raw.is_ended() && !raw.done());
        }
    }
}

#[test]
fn ends_come_too_early_in_every_way() {
    for asker in Asker::both() {
        let raw = asker.chat("truncate@3");
        assert!(raw.is_ended() && !raw.done() && !raw.finished() && raw.deltas("content") == 3);
        assert!(!raw.text().contains("\"completion_tokens\""));
        for (raw, field) in [
            (asker.chat("no-done"), "content"),
            (asker.messages("no-done"), "text"),
        ] {
            assert!(raw.is_ended() && !raw.done() && raw.finished() && raw.deltas(field) == 8);
        }
        let raw = asker.chat("fin@3");
        assert!(!raw.is_ended() && !raw.reset && !raw.open && raw.deltas("content") == 3);
        assert!(!raw.body.ends_with(b"\r\n"), "it ends in the middle of a chunk");
        let raw = asker.messages("reset@3");
        assert!(raw.reset && !raw.is_ended() && raw.deltas("text") == 3);
        let raw = asker.chat("hang@3");
        assert!(raw.open && !raw.is_ended() && raw.deltas("content") == 3);
        for (raw, field) in [
            (asker.chat("empty"), "content"),
            (asker.messages("empty"), "text"),
        ] {
            assert!(raw.is_ended() && raw.done() && !raw.finished() && raw.deltas(field) == 0);
        }
    }
}

#[test]
fn a_stall_is_followed_by_the_rest_and_is_part_of_what_was_intended() {
    for asker in Asker::both() {
        let raw = asker.chat("stall=120@3");
        assert!(raw.is_ended() && raw.done() && raw.deltas("content") == 8);
    }
    let asker = Asker::paced(&[("stream_itl_ms", "2")]);
    assert!(asker.chat("stall=120@3").is_ended());
    assert!(asker.chat("head-delay=40").is_ended());
    let streams = asker.server.ask_admin("GET", "/truth/streams").json();
    let (stalled, delayed) = (&streams["streams"][0], &streams["streams"][1]);
    let stalled_us = json!([
        1000.0, 3000.0, 5000.0, 127_000.0, 129_000.0, 131_000.0, 133_000.0, 135_000.0
    ]);
    assert_eq!(stalled["intended_us"], stalled_us);
    assert_eq!(
        (&stalled["faults"], &stalled["outcome"]),
        (&json!(["stall=120@3"]), &json!("whole"))
    );
    assert_eq!(delayed["intended_us"][0], json!(40_000.0));
}

#[test]
fn the_head_comes_later_and_says_something_else() {
    for asker in Asker::both() {
        let raw = asker.chat("head-delay=60,content-type=application/json");
        assert_eq!(raw.header("content-type").as_deref(), Some("application/json"));
        assert!(raw.is_ended() && raw.deltas("content") == 8);
        let raw = asker.chat("gzip");
        assert_eq!(raw.header("content-encoding").as_deref(), Some("gzip"));
        let mut text = String::new();
        flate2::read::GzDecoder::new(&raw.bytes()[..])
            .read_to_string(&mut text)
            .unwrap();
        assert!(raw.is_ended() && text.ends_with("data: [DONE]\n\n"));
    }
}

#[test]
fn reasoning_comes_in_its_fields() {
    for asker in Asker::both() {
        for (fault, field) in [
            ("reasoning-content", "reasoning_content"),
            ("reasoning", "reasoning"),
        ] {
            let raw = asker.chat(fault);
            assert_eq!((raw.deltas(field), raw.deltas("content")), (4, 4));
            let raw = asker.chat(&format!("{fault}=all"));
            assert_eq!((raw.deltas(field), raw.deltas("content")), (8, 0));
        }
        let raw = asker.messages("thinking=2");
        assert_eq!(
            (
                raw.deltas("thinking"),
                raw.deltas("text"),
                raw.deltas("signature")
            ),
            (2, 6, 1)
        );
        let text = raw.text();
        let names: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("event: content_block_"))
            .collect();
        assert_eq!(
            names.join(" "),
            "start delta delta delta stop start delta delta delta delta delta delta stop"
        );
        let last = raw
            .data()
            .into_iter()
            .rfind(|one| one["type"] == "content_block_stop");
        assert_eq!(last.unwrap()["index"], json!(1));
    }
}

#[test]
fn usage_is_left_out_or_wrong_and_events_hold_several_tokens() {
    for asker in Asker::both() {
        let raw = asker.chat("no-usage");
        assert!(raw.done() && !raw.text().contains("completion_tokens"));
        let raw = asker.messages("no-usage");
        let last = raw
            .data()
            .into_iter()
            .find(|one| one["type"] == "message_delta")
            .unwrap();
        assert!(raw.done() && last.get("usage").is_none());
        let raw = asker.chat("wrong-usage=3");
        let usage = raw
            .data()
            .into_iter()
            .find(|one| one["usage"].is_object())
            .unwrap()["usage"]
            .clone();
        assert_eq!(usage["completion_tokens"], json!(24));
        let prompt = usage["prompt_tokens"].as_u64().unwrap();
        assert_eq!(usage["total_tokens"].as_u64(), Some(prompt + 24));
        let raw = asker.chat("chunk=3");
        assert_eq!(raw.deltas("content"), 3);
        let whole = asker.chat("");
        let text = |raw: &Raw| -> String {
            let data = raw.data();
            data.iter()
                .filter_map(|one| one["choices"][0]["delta"]["content"].as_str())
                .collect()
        };
        assert_eq!(text(&raw), text(&whole));
    }
}

#[test]
fn events_are_spoilt_one_by_one() {
    for asker in Asker::both() {
        let raw = asker.chat("duplicate@2");
        assert_eq!(raw.deltas("content"), 9);
        let data = raw.data();
        assert_eq!(data[3], data[4]);
        let raw = asker.chat("garble@2");
        let broken: Vec<_> = raw.data().into_iter().filter(Value::is_string).collect();
        assert!(broken.len() == 2 && broken[0].as_str().unwrap().starts_with("{\""));
        assert_eq!(raw.deltas("content"), 7);
        let raw = asker.chat("giant=300000@2");
        assert_eq!(raw.deltas("content"), 8);
        assert!(raw.bytes().len() > 300_000);
        let raw = asker.chat("cross-talk@2");
        let data = raw.data();
        let ids: Vec<_> = data.iter().filter_map(|one| one["id"].as_str()).collect();
        assert_eq!(
            ids.iter().filter(|id| id.ends_with("-ffffffffffffffff")).count(),
            1
        );
        assert_eq!(ids[0], ids[1]);
        let raw = asker.messages("comment@2");
        assert!(
            raw.text()
                .contains("\n\n: keepalive\n\nevent: content_block_delta")
        );
    }
}

#[test]
fn lines_and_bytes_come_in_other_ways() {
    for asker in Asker::both() {
        let raw = asker.messages("crlf");
        let text = raw.text();
        assert!(text.contains("event: message_stop\r\ndata: ") && text.ends_with("\r\n\r\n"));
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
        let raw = asker.chat("multi-line");
        let text = raw.text();
        let event = text.split("\n\n").nth(1).unwrap();
        let lines: Vec<_> = event
            .lines()
            .map(|line| line.strip_prefix("data: ").unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        serde_json::from_str::<Value>(&lines.join("\n")).unwrap();
        let raw = asker.chat("bom");
        let text = raw.text();
        assert!(text.starts_with("\u{feff}data: ") && text.matches('\u{feff}').count() == 1);
        let raw = asker.chat("split-utf8@2");
        let (chunks, ended) = raw.chunks();
        assert!(ended && raw.text().contains(" h\u{e9}t\u{20ac}"));
        let cut = chunks
            .iter()
            .position(|chunk| std::str::from_utf8(chunk).is_err())
            .unwrap();
        assert_eq!(chunks[cut].last(), Some(&0xe2));
        assert_eq!(&chunks[cut + 1][..2], &[0x82, 0xac]);
    }
}

#[test]
fn a_knob_hits_a_share_of_all_answers_and_the_same_ones_again() {
    for start in [Asker::paced, Asker::semantic] {
        let hit = || -> Vec<bool> {
            let asker = start(&[("stream_fault", "truncate@2*0.5")]);
            (0..16).map(|_| !asker.chat("").done()).collect()
        };
        let first = hit();
        assert_eq!(first, hit());
        let asker = start(&[("stream_fault", "truncate@2*0.5")]);
        asker.chat("");
        assert_eq!(asker.server.ask_admin("POST", "/truth/reset").status, 200);
        let again: Vec<bool> = (0..16).map(|_| !asker.chat("").done()).collect();
        assert_eq!(first, again, "the numbering begins anew");
        let count = first.iter().filter(|hit| **hit).count();
        assert!((2..=14).contains(&count), "{count}");
    }
    let paced = Asker::paced(&[]);
    assert!(paced.paced && paced.chat("truncate@2").is_ended());
    let told = &paced.server.truth()["streams"]["ended"];
    assert_eq!(told["faulted"], json!(1));
}

#[test]
fn the_role_comes_early_where_it_is_ordered() {
    let asker = Asker::paced(&[("stream_ttft_ms", "30")]);
    assert!(asker.chat("role-early").done() && asker.chat("").done());
    let streams = asker.server.ask_admin("GET", "/truth/streams").json();
    let opened = |place: usize| streams["streams"][place]["opened_us"].as_f64().unwrap();
    assert!(opened(0) < 30_000.0 && opened(1) >= 30_000.0);
}
