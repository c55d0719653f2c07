//! Streams of tokens from a server that says what it is told: every fault has its outcome, every oddity its figures. No test
//! asserts how long anything takes.

mod http2;
mod server;
mod stamps;

use prony_model::{
    FinishReason, Outcome, Request, SampleFlags, StreamEventKind, StreamExpect, StreamProtocol, StreamRecord,
};
use server::{HEAD, Heard, Step, answer, chat, phase, run, serve, serve_some};

/// A chunk of a chat completion.
fn delta(delta: &str, finish: &str) -> Vec<u8> {
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
    .into_bytes()
}

fn role() -> Vec<u8> {
    delta(r#"{"role":"assistant","content":""}"#, "null")
}

fn token(text: &str) -> Vec<u8> {
    delta(&format!(r#"{{"content":"{text}"}}"#), "null")
}

fn stop() -> Vec<u8> {
    delta("{}", r#""stop""#)
}

fn usage(output: u32) -> Vec<u8> {
    format!("data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":7,\"completion_tokens\":{output}}}}}\n\n")
        .into_bytes()
}

fn done() -> Vec<u8> {
    b"data: [DONE]\n\n".to_vec()
}

/// A short good answer: each piece a chunk of its own.
fn good(pieces: Vec<Vec<u8>>) -> Vec<Step> {
    let mut steps: Vec<Step> = pieces.into_iter().map(Step::Say).collect();
    steps.extend([stop(), done()].map(Step::Say));
    steps.push(Step::End);
    steps
}

#[test]
fn a_good_answer_has_all_its_stamps() {
    let (result, record) = chat(vec![
        Step::Say(role()),
        Step::Pause(40),
        Step::Say(token("The")),
        Step::Pause(40),
        Step::Say(token(" sea")),
        Step::Say(stop()),
        Step::Say(usage(2)),
        Step::Say(done()),
        Step::End,
    ]);
    assert_eq!(record.outcome, Outcome::Ok, "{:?}", result.captures[0].error);
    assert_eq!(
        (record.token_events, record.event_tokens, record.events),
        (2, 2, 6)
    );
    assert_eq!((record.usage.input, record.usage.output), (Some(7), Some(2)));
    assert_eq!((record.finish, record.terminal), (FinishReason::Stop, true));
    assert_eq!(record.text_bytes, 7);
    let stamps = [
        record.sent,
        record.first_byte,
        record.first_event,
        record.first_token,
        record.last_token,
        record.end,
    ];
    assert!(stamps.is_sorted() && record.sent.0 > 0, "{stamps:?}");
    assert_eq!(record.first_output, record.first_token);
    assert!(
        record.first_event < record.first_token,
        "who speaks came before what is said"
    );
    assert!(record.first_token < record.last_token);
    assert_eq!(record.longest_gap, record.last_token - record.first_token);
    let kinds: Vec<_> = record.timeline.events(record.sent).map(|e| e.kind).collect();
    let (silent, output) = (StreamEventKind::Silent, StreamEventKind::Output);
    assert_eq!(kinds, [silent, output, output, silent, silent, silent]);
    let stream = &result.summary.streams[0];
    assert_eq!((stream.ok, stream.failed, stream.gaps), (1, 0, 1));
    assert_eq!((stream.ttft.n, stream.tpot.n, stream.itl.n), (1, 1, 1));
    assert_eq!(
        (stream.usage_output, stream.with_usage, stream.usage_input),
        (2, 1, 7)
    );
    assert_eq!(stream.output_lengths, [2, 2, 2]);
    assert_eq!(stream.scenario, "chat");
}

/// What a script comes to, and words that its error holds.
fn fails(script: Vec<Step>, outcome: Outcome, words: &str) -> StreamRecord {
    let (result, record) = chat(script);
    let error = &result.captures[0].error;
    assert_eq!(record.outcome, outcome, "{error}");
    assert!(error.contains(words), "{error}");
    let stream = &result.summary.streams[0];
    assert_eq!((stream.ok, stream.failed), (0, u64::from(outcome.is_failure())));
    assert_eq!(
        (stream.ttft.n, stream.gaps, stream.token_events),
        (0, 0, 0),
        "no time of a failure counts"
    );
    record
}

#[test]
fn each_fault_has_its_outcome() {
    let some = || [role(), token("a"), token(" b")].map(Step::Say).to_vec();
    let then = |rest: &[Step]| [some(), rest.to_vec()].concat();
    let error =
        b"data: {\"error\":{\"message\":\"engine died\",\"type\":\"InternalServerError\"}}\n\n".to_vec();
    let named = b"event: error\ndata: {\"error\":{\"message\":\"overloaded\"}}\n\n".to_vec();
    fails(
        vec![Step::Say(role()), Step::Say(stop()), Step::Say(done()), Step::End],
        Outcome::StreamEmpty,
        "no token",
    );
    fails(
        vec![Step::Say(done()), Step::End],
        Outcome::StreamUnfinished,
        "no finish_reason",
    );
    let record = fails(
        then(&[Step::Say(error), Step::Say(done()), Step::End]),
        Outcome::StreamError,
        "engine died",
    );
    assert_eq!(record.token_events, 2, "what came before is recorded");
    fails(
        then(&[Step::Say(named), Step::End]),
        Outcome::StreamError,
        "overloaded",
    );
    fails(
        then(&[Step::End]),
        Outcome::StreamUnfinished,
        "neither a finish_reason nor [DONE]",
    );
    fails(
        then(&[Step::Say(stop()), Step::End]),
        Outcome::StreamUnfinished,
        "no [DONE]",
    );
    fails(
        then(&[Step::Say(done()), Step::End]),
        Outcome::StreamUnfinished,
        "no finish_reason",
    );
    fails(then(&[Step::Fin]), Outcome::Truncated, "before the end");
    let reset = fails(then(&[Step::Pause(50), Step::Reset]), Outcome::Reset, "lost");
    assert!(reset.first_token > reset.sent && reset.end >= reset.last_token);
    fails(
        then(&[Step::Say(b"data: {\"choices\":\n\n".to_vec()), Step::End]),
        Outcome::StreamMalformed,
        "not JSON",
    );
    // An event that never ended.
    fails(
        then(&[Step::Say(b"data: [DO".to_vec()), Step::End]),
        Outcome::StreamUnfinished,
        "within an event",
    );
}

#[test]
fn a_stall_ends_in_a_timeout() {
    let script = vec![Step::Say(role()), Step::Say(token("a")), Step::Hold];
    let (_, record) = answer(StreamExpect::new(StreamProtocol::OpenaiChat), HEAD, script, 700);
    assert_eq!(record.outcome, Outcome::BodyTimeout);
    assert_eq!((record.token_events, record.terminal), (1, false));
}

#[test]
fn an_answer_that_was_whole_is_good_however_its_transport_ends() {
    let whole = || [token("a"), token(" b"), stop(), done()].map(Step::Say).to_vec();
    for end in [Step::Fin, Step::Reset, Step::Hold] {
        let (result, record) = chat([whole(), vec![Step::Pause(20), end.clone()]].concat());
        assert_eq!(
            record.outcome,
            Outcome::Ok,
            "{end:?}: {}",
            result.captures[0].error
        );
        let done = result.samples[0].done;
        assert!(record.terminal && record.end <= done);
        if matches!(end, Step::Hold) {
            assert_eq!(record.end, done, "our wait for the end is not its time");
        }
        assert!(result.summary.validity.little_error < 1e-3, "{end:?}");
    }
}

#[test]
fn a_connection_that_closes_at_the_next_request_costs_none() {
    // A POST, which is not repeated where its answer is no stream.
    let asked = |streamed: bool| {
        let url = serve_some(HEAD, good(vec![token("yes")]), 1);
        let mut phase = phase(StreamExpect::new(StreamProtocol::OpenaiChat), 3, 60_000);
        let item = &mut phase.scenarios[0].items[0];
        item.request = Request {
            method: "POST".to_owned(),
            ..Request::get("/")
        };
        if !streamed {
            item.expect.stream = None;
        }
        let samples = run(&url, phase, &mut Heard::default()).samples;
        samples
            .iter()
            .map(|s| (s.outcome, s.flags.contains(SampleFlags::RESENT)))
            .collect::<Vec<_>>()
    };
    let again = (Outcome::Ok, true);
    assert_eq!(asked(true), [(Outcome::Ok, false), again, again]);
    assert_eq!(asked(false)[..2], [(Outcome::Ok, false), (Outcome::Reset, false)]);
}

#[test]
fn fewer_tokens_than_were_forced() {
    let expect = |least| StreamExpect {
        min_tokens: Some(least),
        ..StreamExpect::new(StreamProtocol::OpenaiChat)
    };
    let script = || good(vec![token("a"), token(" b")]);
    assert_eq!(answer(expect(2), HEAD, script(), 60_000).1.outcome, Outcome::Ok);
    assert_eq!(
        answer(expect(3), HEAD, script(), 60_000).1.outcome,
        Outcome::StreamShort
    );
    // The server's own count goes before the number of events.
    let script = good(vec![token("a"), token(" b"), usage(9)]);
    assert_eq!(answer(expect(9), HEAD, script, 60_000).1.outcome, Outcome::Ok);
}

#[test]
fn what_is_no_event_stream() {
    let expect = StreamExpect::new(StreamProtocol::OpenaiChat);
    for (head, outcome) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
            Outcome::WrongBody,
        ),
        (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
            Outcome::Status4xx,
        ),
        ("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", Outcome::Status503),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-streams\r\ncontent-length: 0\r\n\r\n",
            Outcome::WrongBody,
        ),
    ] {
        let (_, record) = answer(expect, head, Vec::new(), 60_000);
        assert_eq!(record.outcome, outcome, "{head}");
        assert_eq!((record.events, record.first_event.0), (0, 0));
    }
}

#[test]
fn reasoning_comes_before_output() {
    let think = delta(r#"{"reasoning_content":"hm"}"#, "null");
    let (_, record) = chat(good(vec![role(), think.clone(), think, token("a")]));
    assert_eq!(record.outcome, Outcome::Ok);
    assert_eq!(record.token_events, 3);
    assert!(record.first_token > record.sent && record.first_output >= record.first_token);
    let only = delta(r#"{"reasoning":"hm"}"#, "null");
    let (_, record) = chat(good(vec![only]));
    assert_eq!(
        (record.outcome, record.first_output.0),
        (Outcome::Ok, 0),
        "no output, but a token"
    );
}

#[test]
fn several_tokens_per_event() {
    let mut pieces: Vec<Vec<u8>> = (0..10).map(|_| token(" a b c d")).collect();
    pieces.push(usage(40));
    let mut steps: Vec<Step> = Vec::new();
    for piece in pieces {
        steps.extend([Step::Say(piece), Step::Pause(4)]);
    }
    steps.extend([Step::Say(stop()), Step::Say(done()), Step::End]);
    let (result, record) = chat(steps);
    assert_eq!(
        (record.token_events, record.output_tokens(), record.first_tokens),
        (10, 40, 4)
    );
    let stream = &result.summary.streams[0];
    // Nine gaps, each shared out among four tokens.
    assert_eq!((stream.chunk_gap.n, stream.itl.n), (9, 36));
    assert!((stream.chunk_gap.mean_ns / stream.itl.mean_ns - 4.0).abs() < 0.01);
}

#[test]
fn tokens_that_share_a_read_are_joined() {
    let together = [token("a"), token(" b"), token(" c")].concat();
    let (result, record) = chat(good(vec![together]));
    assert_eq!((record.token_events, record.joined), (3, 2));
    let stream = &result.summary.streams[0];
    assert_eq!((stream.joined, stream.gaps, stream.stalls), (2, 2, 0));
}

#[test]
fn oddities_change_nothing() {
    let text = [role(), token("é a"), token(" b"), stop(), done()].concat();
    let crlf = String::from_utf8(text.clone())
        .unwrap()
        .replace('\n', "\r\n")
        .into_bytes();
    let beats = [b": keep-alive\n\n".to_vec(), text.clone(), b": bye\n\n".to_vec()].concat();
    let bom = ["\u{feff}".as_bytes(), &text].concat();
    for (name, bytes, comments) in [
        ("plain", text.clone(), 0),
        ("CRLF", crlf, 0),
        ("comments", beats, 2),
        ("byte order mark", bom, 0),
    ] {
        // Byte by byte, each in a chunk of its own: characters, lines and events are split everywhere.
        let mut steps: Vec<Step> = bytes.chunks(1).map(|b| Step::Say(b.to_vec())).collect();
        steps.push(Step::End);
        let (result, record) = chat(steps);
        assert_eq!(
            record.outcome,
            Outcome::Ok,
            "{name}: {}",
            result.captures[0].error
        );
        let counts = (
            record.token_events,
            record.events,
            record.comments,
            record.text_bytes,
        );
        assert_eq!(counts, (2, 5, comments, 6), "{name}");
    }
}

#[test]
fn a_body_without_length_ends_with_its_connection() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let bytes = [token("a"), stop(), done()].concat();
    let expect = StreamExpect::new(StreamProtocol::OpenaiChat);
    let (_, record) = answer(expect, HEAD, vec![Step::Raw(bytes), Step::Fin], 60_000);
    assert_eq!(record.outcome, Outcome::Ok);
    let (_, record) = answer(expect, HEAD, vec![Step::Raw(token("a")), Step::Fin], 60_000);
    assert_eq!(record.outcome, Outcome::StreamUnfinished);
}

#[test]
fn each_protocol_ends_in_its_own_way() {
    let cases = [
        (StreamProtocol::Sse, "data: a\n\ndata: b\n\n", Outcome::Ok),
        (
            StreamProtocol::Sse,
            "data: a\n\ndata: b",
            Outcome::StreamUnfinished,
        ),
        (
            StreamProtocol::KserveGenerate,
            "data: {\"text_output\":\"a\"}\n\n",
            Outcome::Ok,
        ),
        (
            StreamProtocol::KserveGenerate,
            "data: {\"error\":\"full\"}\n\n",
            Outcome::StreamError,
        ),
        (
            StreamProtocol::TgiGenerate,
            "data:{\"token\":{\"text\":\"a\",\"special\":false},\"generated_text\":\"a\"}\n\n",
            Outcome::Ok,
        ),
        (
            StreamProtocol::TgiGenerate,
            "data:{\"token\":{\"text\":\"a\",\"special\":false},\"generated_text\":null}\n\n",
            Outcome::StreamUnfinished,
        ),
        (
            StreamProtocol::LlamacppCompletion,
            "data: {\"content\":\"a\",\"stop\":false}\n\ndata: {\"content\":\"\",\"stop\":true}\n\n",
            Outcome::Ok,
        ),
        (
            StreamProtocol::OpenaiCompletions,
            "data: {\"choices\":[{\"text\":\"a\",\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n",
            Outcome::Ok,
        ),
        (
            StreamProtocol::OpenaiResponses,
            "data: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\ndata: {\"type\":\"response.completed\"}\n\n",
            Outcome::Ok,
        ),
        (
            StreamProtocol::AnthropicMessages,
            "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
            Outcome::Ok,
        ),
        (
            StreamProtocol::AnthropicMessages,
            "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n",
            Outcome::StreamUnfinished,
        ),
    ];
    for (protocol, body, outcome) in cases {
        let script = vec![Step::Say(body.as_bytes().to_vec()), Step::End];
        let (_, record) = answer(StreamExpect::new(protocol), HEAD, script, 60_000);
        assert_eq!(record.outcome, outcome, "{body}");
    }
}

#[test]
fn lines_of_json_are_a_stream_too() {
    const LINES: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
    let expect = StreamExpect::new(StreamProtocol::Ollama);
    let token = |text: &str| Step::Say(format!("{{\"response\":\"{text}\",\"done\":false}}\n").into_bytes());
    let done = b"{\"response\":\"\",\"done\":true,\"done_reason\":\"stop\",\"eval_count\":2}";
    let ended = [&done[..], b"\n"].concat();
    let error = b"{\"error\":\"model runner stopped\"}\n".to_vec();
    for (head, last, outcome) in [
        (LINES, Some(ended), Outcome::Ok),
        (LINES, Some(done.to_vec()), Outcome::Ok),
        (LINES, None, Outcome::StreamUnfinished),
        (LINES, Some(error), Outcome::StreamError),
        (HEAD, Some(done.to_vec()), Outcome::WrongBody),
    ] {
        let mut script = vec![token("a"), token(" b")];
        script.extend(last.map(Step::Say));
        script.push(Step::End);
        let (_, record) = answer(expect, head, script, 60_000);
        assert_eq!(record.outcome, outcome);
        if outcome == Outcome::Ok {
            assert_eq!((record.token_events, record.usage.output), (2, Some(2)));
            assert_eq!((record.terminal, record.finish), (true, FinishReason::Stop));
        }
    }
}

#[test]
fn many_streams_are_added_up_without_loss() {
    const REQUESTS: u64 = 300;
    let url = serve(
        HEAD,
        good(vec![role(), token("a"), token(" b"), token(" c"), usage(3)]),
    );
    let mut heard = Heard::default();
    let expect = StreamExpect::new(StreamProtocol::OpenaiChat);
    let result = run(&url, phase(expect, REQUESTS, 60_000), &mut heard);
    let stream = &result.summary.streams[0];
    assert_eq!((stream.ok, stream.failed), (REQUESTS, 0));
    assert_eq!((stream.token_events, stream.gaps), (3 * REQUESTS, 2 * REQUESTS));
    assert_eq!((stream.ttft.n, stream.itl.n), (REQUESTS, 2 * REQUESTS));
    assert_eq!(heard.records.len() as u64, REQUESTS);
    // The records alone say the same.
    let again = prony_engine::summarise_streams(&result.phase, &heard.records);
    assert_eq!(again, result.summary.streams);
}
