//! What the events of each protocol mean, and that the fast way of reading them says what the slow one says.

use prony_model::{FinishReason, StreamEventKind as Kind, StreamProtocol as Protocol, TokenUsage};
use prony_wire::sse::SseDecoder;
use prony_wire::tokens::{Meaning, TokenDecoder};
use proptest::prelude::*;

/// Everything that a stream says.
#[derive(Debug, PartialEq)]
struct Said {
    meanings: Vec<Meaning>,
    usage: TokenUsage,
    finish: FinishReason,
    terminal: bool,
    error: Option<String>,
    malformed: Option<String>,
}

impl Said {
    /// Kinds and tokens of the events that carry any.
    fn tokens(&self) -> Vec<(Kind, u32)> {
        let meanings = self.meanings.iter().filter(|m| m.kind.is_token());
        meanings.map(|m| (m.kind, m.tokens)).collect()
    }
}

fn read_with<'a>(mut tokens: TokenDecoder, pieces: impl IntoIterator<Item = &'a [u8]>) -> Said {
    let mut sse = SseDecoder::default();
    let mut meanings = Vec::new();
    for piece in pieces {
        sse.feed(piece, &mut |event| meanings.push(tokens.event(event)))
            .unwrap();
    }
    Said {
        meanings,
        usage: tokens.usage(),
        finish: tokens.finish(),
        terminal: tokens.is_terminal(),
        error: tokens.error().map(str::to_owned),
        malformed: tokens.malformed().map(str::to_owned),
    }
}

fn read(protocol: Protocol, bytes: &[u8]) -> Said {
    let said = read_with(TokenDecoder::new(protocol), [bytes]);
    assert_eq!(
        said,
        read_with(TokenDecoder::parsing_all(protocol), [bytes]),
        "fast and slow"
    );
    let single = bytes.chunks(1);
    assert_eq!(
        said,
        read_with(TokenDecoder::new(protocol), single),
        "byte by byte"
    );
    said
}

/// Events with this data each.
fn stream(data: &[&str]) -> Vec<u8> {
    data.iter()
        .flat_map(|d| format!("data: {d}\n\n").into_bytes())
        .collect()
}

/// A chunk of a chat completion.
fn chunk(delta: &str, finish: &str) -> String {
    format!(
        r#"{{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
    )
}

fn chat(chunks: &[String]) -> Said {
    let data: Vec<&str> = chunks.iter().map(String::as_str).collect();
    read(Protocol::OpenaiChat, &stream(&data))
}

#[test]
fn a_chat_from_role_to_done() {
    let said = chat(&[
        chunk(r#"{"role":"assistant","content":""}"#, "null"),
        chunk(r#"{"content":"The"}"#, "null"),
        chunk(r#"{"content":" sea \n"}"#, "null"),
        chunk(r#"{"content":" é"}"#, "null"),
        chunk(r#"{"content":" is"}"#, "null"),
        chunk(r#"{"content":" wide"}"#, "null"),
        chunk("{}", r#""stop""#),
        r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":0}}}"#.to_owned(),
        "[DONE]".to_owned(),
    ]);
    assert_eq!(said.tokens(), [(Kind::Output, 1); 5]);
    let bytes: Vec<u32> = said.meanings.iter().map(|m| m.text_bytes).collect();
    assert_eq!(bytes, [0, 3, 6, 3, 3, 5, 0, 0, 0]);
    assert_eq!(
        said.usage,
        TokenUsage {
            input: Some(9),
            output: Some(5),
            cached: Some(4),
            reasoning: Some(0)
        }
    );
    assert_eq!((said.finish, said.terminal), (FinishReason::Stop, true));
    assert_eq!((said.error, said.malformed), (None, None));
}

#[test]
fn what_carries_a_token_in_a_chat() {
    for (delta, kind) in [
        (r#"{"content":"x"}"#, Kind::Output),
        (r#"{"refusal":"no"}"#, Kind::Output),
        (r#"{"audio":{"data":"AAAA"}}"#, Kind::Output),
        (r#"{"content":[{"type":"text","text":"x"}]}"#, Kind::Output),
        (r#"{"reasoning":"hm"}"#, Kind::Reasoning),
        (r#"{"reasoning_content":"hm","content":null}"#, Kind::Reasoning),
        (r#"{"reasoning":"hm","content":"x"}"#, Kind::Output),
        (
            r#"{"tool_calls":[{"index":0,"function":{"name":"f"}}]}"#,
            Kind::ToolCall,
        ),
        (
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#,
            Kind::ToolCall,
        ),
        (r#"{"function_call":{"arguments":"{"}}"#, Kind::ToolCall),
        (r#"{"role":"assistant"}"#, Kind::Silent),
        (r#"{"content":""}"#, Kind::Silent),
        (r#"{"content":null}"#, Kind::Silent),
        (r#"{"reasoning_content":""}"#, Kind::Silent),
        (
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"","arguments":""}}]}"#,
            Kind::Silent,
        ),
        ("{}", Kind::Silent),
        ("null", Kind::Silent),
        ("7", Kind::Silent),
    ] {
        let said = chat(&[chunk(delta, "null")]);
        assert_eq!(said.meanings[0].kind, kind, "{delta}");
        assert_eq!(said.meanings[0].tokens, u32::from(kind.is_token()), "{delta}");
    }
}

#[test]
fn usage_that_grows_with_the_chunks_counts_their_tokens() {
    let with = |text: &str, n: u32| {
        format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}],"usage":{{"prompt_tokens":3,"completion_tokens":{n}}}}}"#
        )
    };
    let said = chat(&[
        with("", 0),
        with("a b", 2),
        with("c", 3),
        with("", 5),
        with("", 5),
        with("d", 9),
    ]);
    assert_eq!(said.tokens(), [2, 1, 2, 4].map(|n| (Kind::Output, n)));
    assert_eq!(said.meanings[4].kind, Kind::Silent, "nothing grew");
    assert_eq!(said.usage.output, Some(9));
    // A usage that comes only at the end counts no chunk.
    let said = chat(&[chunk(r#"{"content":"a"}"#, "null"), with("b", 7)]);
    assert_eq!(said.tokens(), [(Kind::Output, 1); 2]);
}

#[test]
fn the_end_of_a_chat_takes_both_marks() {
    let (token, stop) = (chunk(r#"{"content":"a"}"#, "null"), chunk("{}", r#""length""#));
    let done = "[DONE]".to_owned();
    assert!(!chat(&[token.clone(), done.clone()]).terminal);
    assert!(!chat(&[token.clone(), stop.clone()]).terminal);
    let said = chat(&[token, stop, done]);
    assert_eq!((said.terminal, said.finish), (true, FinishReason::Length));
}

#[test]
fn errors_within_a_stream() {
    let said = chat(&[
        chunk(r#"{"content":"a"}"#, "null"),
        r#"{"error":{"message":"engine died","type":"InternalServerError","code":500}}"#.to_owned(),
        "[DONE]".to_owned(),
    ]);
    assert_eq!(said.error.as_deref(), Some("InternalServerError: engine died"));
    let named = b"event: error\ndata: {\"error\":{\"message\":\"overloaded\"}}\n\n";
    for protocol in Protocol::ALL {
        let said = read(*protocol, named);
        assert_eq!(said.error.as_deref(), Some("overloaded"), "{protocol:?}");
    }
    assert_eq!(
        chat(&[r#"{"object":"error","message":"no model","code":404}"#.to_owned()])
            .error
            .as_deref(),
        Some("no model")
    );
    assert!(chat(&[chunk("{}", r#""error""#)]).error.is_some());
    let long = format!(r#"{{"error":"{}"}}"#, "x".repeat(10_000));
    assert_eq!(chat(&[long]).error.map(|words| words.len()), Some(200));
}

#[test]
fn what_is_no_json_is_malformed() {
    for data in [
        "{",
        "[1]",
        "7",
        "{\"a\":\u{7}}",
        "{\"choices\":[{\"delta\":{\"content\":\"\u{1}\"}}]}",
    ] {
        let said = chat(&[chunk(r#"{"content":"a"}"#, "null"), data.to_owned()]);
        assert!(said.malformed.is_some(), "{data}");
        assert_eq!(said.tokens().len(), 1, "{data}");
    }
    let mut bytes = stream(&[&chunk(r#"{"content":"a"}"#, "null")]);
    let at = bytes.windows(3).position(|w| w == b"\"a\"").unwrap();
    let whole = bytes.clone();
    bytes[at + 1] = 0xff;
    let said = read(Protocol::OpenaiChat, &[whole, bytes].concat());
    assert!(said.malformed.is_some(), "invalid UTF-8 after a learnt event");
}

#[test]
fn completions() {
    let one = |text: &str, finish: &str| {
        format!(
            r#"{{"object":"text_completion","choices":[{{"index":0,"text":"{text}","finish_reason":{finish}}}]}}"#
        )
    };
    let data = [
        one("a", "null"),
        one(" b", "null"),
        one(" c", "null"),
        one("", r#""length""#),
    ];
    let mut data: Vec<&str> = data.iter().map(String::as_str).collect();
    data.push("[DONE]");
    let said = read(Protocol::OpenaiCompletions, &stream(&data));
    assert_eq!(said.tokens(), [(Kind::Output, 1); 3]);
    assert_eq!((said.terminal, said.finish), (true, FinishReason::Length));
}

#[test]
fn responses() {
    let said = read(
        Protocol::OpenaiResponses,
        &stream(&[
            r#"{"type":"response.created","sequence_number":0,"response":{"usage":null}}"#,
            r#"{"type":"response.reasoning_summary_text.delta","sequence_number":1,"delta":"hm"}"#,
            r#"{"type":"response.output_text.delta","sequence_number":2,"delta":"Hi"}"#,
            r#"{"type":"response.output_text.delta","sequence_number":3,"delta":" there"}"#,
            r#"{"type":"response.output_text.delta","sequence_number":4,"delta":""}"#,
            r#"{"type":"response.output_text.done","text":"Hi there"}"#,
            r#"{"type":"response.function_call_arguments.delta","delta":"{"}"#,
            r#"{"type":"response.completed","response":{"output":[{"type":"message"}],"usage":{"input_tokens":8,"output_tokens":3,"input_tokens_details":{"cached_tokens":2},"output_tokens_details":{"reasoning_tokens":1}}}}"#,
        ]),
    );
    assert_eq!(
        said.tokens(),
        [Kind::Reasoning, Kind::Output, Kind::Output, Kind::ToolCall].map(|k| (k, 1))
    );
    assert_eq!((said.terminal, said.finish), (true, FinishReason::Stop));
    assert_eq!(said.usage.input, Some(8));
    assert_eq!(said.usage.reasoning, Some(1));
    let cut = read(
        Protocol::OpenaiResponses,
        &stream(&[
            r#"{"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"}}}"#,
        ]),
    );
    assert_eq!((cut.terminal, cut.finish), (true, FinishReason::Length));
    let failed = read(
        Protocol::OpenaiResponses,
        &stream(&[
            r#"{"type":"response.failed","response":{"error":{"code":"server_error","message":"died"}}}"#,
        ]),
    );
    assert_eq!(failed.error.as_deref(), Some("server_error: died"));
    assert!(!failed.terminal);
}

#[test]
fn anthropic_messages() {
    let bytes = b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":5,\"cache_read_input_tokens\":100,\"output_tokens\":1}}}\n\n\
event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
event: ping\ndata: {\"type\": \"ping\"}\n\n\
event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\n\n\
event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"EqQ\"}}\n\n\
event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n\
event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" you\"}}\n\n\
event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}}\n\n\
event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\"}}\n\n\
event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n\
event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":15}}\n\n\
event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let said = read(Protocol::AnthropicMessages, bytes);
    assert_eq!(
        said.tokens(),
        [Kind::Reasoning, Kind::Output, Kind::Output, Kind::ToolCall].map(|k| (k, 1))
    );
    assert_eq!(
        said.usage,
        TokenUsage {
            input: Some(115),
            output: Some(15),
            cached: Some(100),
            reasoning: None
        }
    );
    assert_eq!((said.terminal, said.finish), (true, FinishReason::ToolUse));
}

#[test]
fn a_tool_that_takes_nothing_is_called_by_its_name() {
    let bytes = stream(&[
        r#"{"type":"message_start","message":{"usage":{"input_tokens":10,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t1","name":"now","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":9}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    let said = read(Protocol::AnthropicMessages, &bytes);
    assert_eq!(said.tokens(), [(Kind::ToolCall, 1)]);
    assert_eq!((said.terminal, said.finish), (true, FinishReason::ToolUse));
}

#[test]
fn thoughts_in_parts_are_reasoning() {
    let said = chat(&[
        chunk(
            r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"},{"type":"text","text":"!"}]}]}"#,
            "null",
        ),
        chunk(r#"{"content":[{"type":"thinking","thinking":"so"}]}"#, "null"),
        chunk(r#"{"content":[{"type":"thinking","thinking":[]}]}"#, "null"),
        chunk(r#"{"content":[{"type":"text","text":"Hello"}]}"#, "null"),
        chunk("{}", r#""stop""#),
    ]);
    assert_eq!(
        said.tokens(),
        [Kind::Reasoning, Kind::Reasoning, Kind::Output].map(|kind| (kind, 1))
    );
    assert_eq!(said.meanings[0].text_bytes, 3);
}

#[test]
fn kserve_and_plain_streams_end_with_their_body() {
    let said = read(
        Protocol::KserveGenerate,
        &stream(&[
            r#"{"model_name":"m","text_output":"a"}"#,
            r#"{"model_name":"m","text_output":""}"#,
        ]),
    );
    assert_eq!(said.tokens(), [(Kind::Output, 1)]);
    assert!(TokenDecoder::new(Protocol::KserveGenerate).ends_with_body());
    let failed = read(Protocol::KserveGenerate, &stream(&[r#"{"error":"no slot"}"#]));
    assert_eq!(failed.error.as_deref(), Some("no slot"));
    let said = read(
        Protocol::Sse,
        b"data: tick\n\n: beat\n\ndata\n\ndata: x\ndata: y\n\n",
    );
    assert_eq!(said.tokens(), [(Kind::Output, 1); 2]);
    assert!(TokenDecoder::new(Protocol::Sse).ends_with_body());
}

#[test]
fn text_generation_inference_ends_with_the_whole_text() {
    let said = read(
        Protocol::TgiGenerate,
        &stream(&[
            r#"{"index":1,"token":{"id":5,"text":" a","logprob":-0.5,"special":false},"generated_text":null,"details":null}"#,
            r#"{"index":2,"token":{"id":6,"text":" b","logprob":-0.5,"special":false},"generated_text":null,"details":null}"#,
            r#"{"index":3,"token":{"id":2,"text":"</s>","logprob":-0.1,"special":true},"generated_text":" a b","details":{"finish_reason":"eos_token","generated_tokens":3,"seed":null,"input_length":7}}"#,
        ]),
    );
    assert_eq!(said.tokens(), [(Kind::Output, 1); 2]);
    assert_eq!((said.terminal, said.finish), (true, FinishReason::Stop));
    assert_eq!((said.usage.input, said.usage.output), (Some(7), Some(3)));
    let failed = read(
        Protocol::TgiGenerate,
        &stream(&[r#"{"error":"Model is overloaded","error_type":"overloaded"}"#]),
    );
    assert_eq!(failed.error.as_deref(), Some("Model is overloaded"));
    assert!(!failed.terminal);
}

#[test]
fn llama_cpp_ends_with_stop() {
    let said = read(
        Protocol::LlamacppCompletion,
        &stream(&[
            r#"{"index":0,"content":" a","tokens":[5],"stop":false,"id_slot":-1,"tokens_predicted":1,"tokens_evaluated":4}"#,
            r#"{"index":0,"content":" b","tokens":[6],"stop":false,"id_slot":-1,"tokens_predicted":2,"tokens_evaluated":4}"#,
            r#"{"index":0,"content":"","tokens":[],"id_slot":0,"stop":true,"tokens_predicted":2,"tokens_evaluated":4,"stop_type":"limit"}"#,
        ]),
    );
    assert_eq!(said.tokens(), [(Kind::Output, 1); 2]);
    assert_eq!((said.terminal, said.finish), (true, FinishReason::Length));
    assert_eq!((said.usage.input, said.usage.output), (Some(4), Some(2)));
    let cut = read(
        Protocol::LlamacppCompletion,
        &stream(&[r#"{"content":" a","stop":false}"#]),
    );
    assert!(!cut.terminal);
}

#[test]
fn ollama_ends_with_done() {
    let said = read(
        Protocol::Ollama,
        &stream(&[
            r#"{"model":"m","created_at":"2024-01-01T00:00:00Z","message":{"role":"assistant","content":"","thinking":"hm"},"done":false}"#,
            r#"{"model":"m","created_at":"2024-01-01T00:00:01Z","message":{"role":"assistant","content":" a"},"done":false}"#,
            r#"{"model":"m","created_at":"2024-01-01T00:00:02Z","response":" b","done":false}"#,
            r#"{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":9,"eval_count":3}"#,
        ]),
    );
    assert_eq!(
        said.tokens(),
        [Kind::Reasoning, Kind::Output, Kind::Output].map(|kind| (kind, 1))
    );
    assert_eq!((said.terminal, said.finish), (true, FinishReason::Stop));
    assert_eq!((said.usage.input, said.usage.output), (Some(9), Some(3)));
    let failed = read(
        Protocol::Ollama,
        &stream(&[r#"{"error":"model runner stopped"}"#]),
    );
    assert_eq!(failed.error.as_deref(), Some("model runner stopped"));
}

#[test]
fn odd_line_ends_comments_and_a_byte_order_mark() {
    let token = chunk(r#"{"content":"\u00e9 é"}"#, "null");
    let stop = chunk("{}", r#""stop""#);
    let text = format!(
        "\u{feff}: keep-alive\r\n\r\ndata: {token}\r\n\r\ndata:{token}\r\rdata: {stop}\n\ndata: [DONE]\n\n"
    );
    let said = read(Protocol::OpenaiChat, text.as_bytes());
    assert_eq!(said.tokens(), [(Kind::Output, 1); 2]);
    assert_eq!(said.meanings[0].text_bytes, 5);
    assert!(said.terminal);
    // One document over several data lines.
    let (head, tail) = token.split_at(token.find(",\"choices\"").unwrap() + 1);
    let said = read(
        Protocol::OpenaiChat,
        format!("data: {head}\ndata: {tail}\n\n").as_bytes(),
    );
    assert_eq!(said.tokens(), [(Kind::Output, 1)]);
}

#[test]
fn a_giant_event_is_read_whole() {
    let said = chat(&[chunk(
        &format!(r#"{{"content":"{}"}}"#, "x".repeat(500_000)),
        "null",
    )]);
    assert_eq!(said.meanings[0].text_bytes, 500_000);
}

#[test]
fn a_text_that_looks_like_a_shape_is_no_shape() {
    // The name of the member occurs within a text, and as a member elsewhere.
    for delta in [
        r#"{"content":"say \"content\":\"x\" twice"}"#,
        r#"{"content":"","x\"content":"y"}"#,
        r#"{"note":{"content":"z"},"role":"assistant"}"#,
        r#"{"content":"a","content":"b"}"#,
    ] {
        let chunks: Vec<String> = (0..4).map(|_| chunk(delta, "null")).collect();
        chat(&chunks);
    }
}

#[test]
fn a_reason_to_stop_is_heard_every_time() {
    let with = |reason: &str| chunk(r#"{"content":"a"}"#, reason);
    let said = chat(&[
        with("\"stop\""),
        with("\"stop\""),
        with("\"length\""),
        with("\"stop\""),
    ]);
    assert_eq!(said.finish, FinishReason::Stop);
}

/// Data that is nearly a chat chunk: plain ones, and ones with something odd.
fn data() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        6 => "[ a-z]{1,8}",
        1 => Just(String::new()),
        1 => "[\\PC]{0,6}",
        1 => Just("\\n".to_owned()),
        1 => Just("\\u00e9".to_owned()),
        1 => Just("\\ud83d".to_owned()),
        1 => Just("\",\"role\":\"x".to_owned()),
        1 => Just("\u{1}".to_owned()),
        1 => Just("\\".to_owned()),
    ];
    let key = prop_oneof![
        8 => Just("content"),
        2 => Just("reasoning_content"),
        1 => Just("reasoning"),
        1 => Just("role"),
        1 => Just("text"),
        1 => Just("delta"),
    ];
    let finish = prop_oneof![8 => Just("null"), 1 => Just("\"stop\"")];
    let tail = prop_oneof![
        8 => Just(String::new()),
        1 => (0_u32..9).prop_map(|n| format!(",\"usage\":{{\"completion_tokens\":{n}}}")),
        1 => Just(",\"error\":{\"message\":\"e\"}".to_owned()),
        1 => Just("}".to_owned()),
    ];
    let made = (key, text, finish, tail).prop_map(|(key, text, finish, tail)| {
        format!(
            r#"{{"id":"a","type":"response.output_text.delta","delta":"{text}","choices":[{{"index":0,"text":"{text}","delta":{{"{key}":"{text}"}},"finish_reason":{finish}}}]{tail}}}"#
        )
    });
    let plain = ("[ a-z\\\\\"]{0,6}", any::<bool>()).prop_map(|(text, thinks)| {
        let key = if thinks { "reasoning" } else { "content" };
        format!(r#"{{"id":"a","choices":[{{"index":0,"delta":{{"{key}":"{text}"}},"finish_reason":null}}]}}"#)
    });
    prop_oneof![3 => made, 6 => plain, 1 => Just("[DONE]".to_owned())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn fast_and_slow_agree_and_splits_do_not_matter(
        data in proptest::collection::vec(data(), 1..24),
        which in 0..Protocol::ALL.len(),
        cuts in proptest::collection::vec(0.0_f64..1.0, 0..6),
    ) {
        let protocol = Protocol::ALL[which];
        let bytes: Vec<u8> = data.iter().flat_map(|d| format!("data: {d}\n\n").into_bytes()).collect();
        let whole = read_with(TokenDecoder::new(protocol), [bytes.as_slice()]);
        prop_assert_eq!(&whole, &read_with(TokenDecoder::parsing_all(protocol), [bytes.as_slice()]));
        let mut at: Vec<usize> = cuts.iter().map(|c| (c * bytes.len() as f64) as usize).collect();
        at.sort_unstable();
        let ends = at.iter().copied().chain([bytes.len()]);
        let pieces: Vec<&[u8]> = std::iter::once(0).chain(at.iter().copied()).zip(ends).map(|(a, b)| &bytes[a..b]).collect();
        prop_assert_eq!(&whole, &read_with(TokenDecoder::new(protocol), pieces));
    }
}
