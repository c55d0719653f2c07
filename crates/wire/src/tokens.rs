//! What the events of a streamed model answer mean: tokens, usage, why it stopped, how it ended, errors within.
//!
//! One reader for each [`StreamProtocol`]. Most events of a stream differ from the one before in one string only: such
//! an event is recognised by its bytes and never parsed (see `template`); every other one is read as JSON. Both ways
//! say the same, which a property test holds. It knows no socket and no clock: whoever feeds it stamps the events.

mod anthropic;
mod kserve;
mod llamacpp;
mod ollama;
mod openai;
mod responses;
mod template;
mod tgi;

use prony_model::{FinishReason, StreamEventKind, StreamProtocol, TokenUsage};
use serde_json::Value;

use crate::sse::Event;
use template::Template;

/// Most characters that are kept of an error's words.
const WORDS_MAX: usize = 200;

/// What one event brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// What it is.
    pub kind: StreamEventKind,
    /// Tokens in it, as far as known; 0 when it carries none.
    pub tokens: u32,
    /// Bytes of text in it, decoded; 0 when it carries no token.
    pub text_bytes: u32,
}

impl Meaning {
    /// Carries nothing.
    const SILENT: Self = Self {
        kind: StreamEventKind::Silent,
        tokens: 0,
        text_bytes: 0,
    };

    /// Adds text of a kind to an event. Output goes before a tool call, and that before reasoning.
    fn add(&mut self, kind: StreamEventKind, text: &str) {
        if text.is_empty() {
            return;
        }
        let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.text_bytes = self.text_bytes.saturating_add(bytes);
        self.tokens = self.tokens.max(1);
        let rank = |kind| match kind {
            StreamEventKind::Output => 0,
            StreamEventKind::ToolCall => 1,
            StreamEventKind::Reasoning => 2,
            StreamEventKind::Silent => 3,
        };
        if rank(kind) < rank(self.kind) {
            self.kind = kind;
        }
    }
}

/// What a stream has said so far, beside its tokens.
#[derive(Clone, Debug, Default, PartialEq)]
struct Said {
    usage: TokenUsage,
    finish: FinishReason,
    /// The closing event came: `[DONE]`, `message_stop`, `response.completed`, `done`.
    closed: bool,
    error: Option<String>,
    malformed: Option<String>,
    /// Output tokens by the last usage that came with a chunk: where it grows, it counts the chunks' tokens.
    counted: Option<u32>,
    /// Whether a token came.
    begun: bool,
}

impl Said {
    /// Keeps the words of the first error.
    fn fail(&mut self, words: &str) {
        self.error.get_or_insert_with(|| short(words));
    }
}

/// Reads the events of one stream after another. Reusable.
#[derive(Clone, Debug)]
pub struct TokenDecoder {
    protocol: StreamProtocol,
    said: Said,
    template: Template,
    parses_all: bool,
}

impl TokenDecoder {
    /// For streams of a protocol.
    pub fn new(protocol: StreamProtocol) -> Self {
        Self {
            protocol,
            said: Said::default(),
            template: Template::default(),
            parses_all: false,
        }
    }

    /// One that parses every event: the slow path alone, to hold the fast one against.
    pub fn parsing_all(protocol: StreamProtocol) -> Self {
        Self {
            parses_all: true,
            ..Self::new(protocol)
        }
    }

    /// Prepares for another stream, and forgets everything of the last one.
    pub fn reset(&mut self, protocol: StreamProtocol) {
        self.protocol = protocol;
        self.said = Said::default();
        self.template.reset();
    }

    /// Gives memory back.
    pub fn slim(&mut self) {
        self.template = Template::default();
    }

    /// Takes the next event.
    pub fn event(&mut self, event: Event<'_>) -> Meaning {
        if let Some(meaning) = self.template.reads(event) {
            self.said.begun = true;
            return meaning;
        }
        let meaning = parse(self.protocol, &mut self.said, event);
        if meaning.kind.is_token() {
            self.said.begun = true;
            if !self.parses_all && self.template.may_learn() {
                self.learn(event, meaning);
            }
        }
        meaning
    }

    fn learn(&mut self, event: Event<'_>, meaning: Meaning) {
        let protocol = self.protocol;
        let keys = text_keys(protocol);
        // An event that says anything beside its text, to one who knows nothing yet, is not learnt.
        let blank = Said {
            begun: true,
            ..Said::default()
        };
        self.template.learn(event, meaning, keys, |data| {
            let mut said = blank.clone();
            let meaning = parse(protocol, &mut said, Event { data, ..event });
            (said == blank).then_some(meaning)
        });
    }

    /// Tokens as the server counted them so far.
    pub fn usage(&self) -> TokenUsage {
        self.said.usage
    }

    /// Why the model stopped, as far as it said.
    pub fn finish(&self) -> FinishReason {
        self.said.finish
    }

    /// Whether the terminal marker of the protocol came. A protocol that ends with the body has none.
    pub fn is_terminal(&self) -> bool {
        self.said.closed && (self.said.finish != FinishReason::None || !says_why(self.protocol))
    }

    /// What is missing of the terminal marker, in words.
    pub fn missing(&self) -> &'static str {
        match (self.protocol, self.said.closed, self.said.finish) {
            (StreamProtocol::OpenaiChat | StreamProtocol::OpenaiCompletions, true, _) => {
                "no finish_reason came before [DONE]"
            }
            (StreamProtocol::OpenaiChat | StreamProtocol::OpenaiCompletions, false, FinishReason::None) => {
                "neither a finish_reason nor [DONE] came"
            }
            (StreamProtocol::OpenaiChat | StreamProtocol::OpenaiCompletions, false, _) => {
                "a finish_reason came, but no [DONE]"
            }
            (StreamProtocol::OpenaiResponses, ..) => {
                "neither response.completed nor response.incomplete came"
            }
            (StreamProtocol::AnthropicMessages, true, _) => "no stop_reason came before message_stop",
            (StreamProtocol::AnthropicMessages, ..) => "no message_stop came",
            (StreamProtocol::TgiGenerate, ..) => "no event with generated_text came",
            (StreamProtocol::LlamacppCompletion, ..) => "no event with \"stop\": true came",
            (StreamProtocol::Ollama, ..) => "no line with \"done\": true came",
            (StreamProtocol::KserveGenerate | StreamProtocol::Sse, ..) => "the body did not end",
        }
    }

    /// Whether a stream of the protocol ends with its body rather than with an event.
    pub fn ends_with_body(&self) -> bool {
        matches!(
            self.protocol,
            StreamProtocol::KserveGenerate | StreamProtocol::Sse
        )
    }

    /// What an error within the stream said; bounded.
    pub fn error(&self) -> Option<&str> {
        self.said.error.as_deref()
    }

    /// What is wrong with the first event that could not be read; bounded.
    pub fn malformed(&self) -> Option<&str> {
        self.said.malformed.as_deref()
    }
}

/// Whether the protocol says why the model stopped in an event before the closing one.
fn says_why(protocol: StreamProtocol) -> bool {
    matches!(
        protocol,
        StreamProtocol::OpenaiChat | StreamProtocol::OpenaiCompletions | StreamProtocol::AnthropicMessages
    )
}

/// Names of the members that hold the text of a plain token event.
fn text_keys(protocol: StreamProtocol) -> &'static [&'static str] {
    match protocol {
        StreamProtocol::OpenaiChat => &["content", "reasoning_content", "reasoning", "arguments"],
        StreamProtocol::OpenaiCompletions | StreamProtocol::TgiGenerate => &["text"],
        StreamProtocol::OpenaiResponses => &["delta"],
        StreamProtocol::AnthropicMessages => &["text", "thinking", "partial_json"],
        StreamProtocol::KserveGenerate => &["text_output"],
        StreamProtocol::LlamacppCompletion => &["content"],
        StreamProtocol::Ollama => &["response", "content"],
        StreamProtocol::Sse => &[],
    }
}

/// The slow path: what any event means.
fn parse(protocol: StreamProtocol, said: &mut Said, event: Event<'_>) -> Meaning {
    let data = event.data.trim_ascii();
    if event.kind == b"error" {
        said.fail(&error_words(data));
        return Meaning::SILENT;
    }
    if data == b"[DONE]" {
        // Some gateways close streams of every protocol so.
        if matches!(
            protocol,
            StreamProtocol::OpenaiChat | StreamProtocol::OpenaiCompletions
        ) {
            said.closed = true;
        }
        return Meaning::SILENT;
    }
    if protocol == StreamProtocol::Sse {
        let mut meaning = Meaning::SILENT;
        if !data.is_empty() {
            meaning.kind = StreamEventKind::Output;
            meaning.tokens = 1;
            meaning.text_bytes = u32::try_from(event.data.len()).unwrap_or(u32::MAX);
        }
        return meaning;
    }
    let value = match serde_json::from_slice::<Value>(data) {
        Ok(value) if value.is_object() => value,
        Ok(_) => {
            said.malformed
                .get_or_insert_with(|| "an event that is no JSON object".to_owned());
            return Meaning::SILENT;
        }
        Err(error) => {
            said.malformed
                .get_or_insert_with(|| short(&format!("an event that is not JSON: {error}")));
            return Meaning::SILENT;
        }
    };
    match protocol {
        StreamProtocol::OpenaiChat => openai::chat(&value, said),
        StreamProtocol::OpenaiCompletions => openai::completions(&value, said),
        StreamProtocol::OpenaiResponses => responses::read(&value, event.kind, said),
        StreamProtocol::AnthropicMessages => anthropic::read(&value, event.kind, said),
        StreamProtocol::KserveGenerate => kserve::read(&value, said),
        StreamProtocol::TgiGenerate => tgi::read(&value, said),
        StreamProtocol::LlamacppCompletion => llamacpp::read(&value, said),
        StreamProtocol::Ollama => ollama::read(&value, said),
        StreamProtocol::Sse => Meaning::SILENT,
    }
}

/// The words of an error object, of its `message`, or of whatever it is.
fn error_words(data: &[u8]) -> String {
    match serde_json::from_slice::<Value>(data) {
        Ok(value) => words_of(value.get("error").unwrap_or(&value)),
        Err(_) => String::from_utf8_lossy(&data[..data.len().min(4 * WORDS_MAX)]).into_owned(),
    }
}

fn words_of(error: &Value) -> String {
    let part = |key: &str| error.get(key).and_then(Value::as_str);
    match (part("message"), part("type").or_else(|| part("code")), error) {
        (Some(message), Some(kind), _) => format!("{kind}: {message}"),
        (Some(message), None, _) => message.to_owned(),
        (None, _, Value::String(words)) => words.clone(),
        (None, Some(kind), _) => kind.to_owned(),
        _ => error.to_string(),
    }
}

fn short(words: &str) -> String {
    words.chars().take(WORDS_MAX).collect()
}

/// A count, where there is one that fits.
fn count(object: &Value, key: &str) -> Option<u32> {
    object.get(key)?.as_u64()?.try_into().ok()
}

/// A member's text, else nothing.
fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}
