//! What a suite says of requests to language models: `[scenario.openai]` and `[scenario.anthropic]`. Nouns only: no text is
//! made here and no token counted.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Requests to an OpenAI-compatible API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenaiSpec {
    /// Which of its endpoints.
    #[serde(default)]
    pub api: OpenaiApi,
    /// Model, or a mix of several: `{ of = ["base", "lora-a"], pick = "zipf" }`.
    pub model: ModelSpec,
    /// Ask for a stream of tokens.
    #[serde(default = "yes")]
    pub stream: bool,
    /// Path, where it is not the usual one of the endpoint: `/v1/chat/completions` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Different requests that are made before the start and held in memory; they are sent in `order`, again and again.
    #[serde(default = "prompts")]
    pub prompts: u32,
    /// Text of a system message in front of every prompt. Its tokens are not part of `prompt.tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What is asked.
    #[serde(default)]
    pub prompt: PromptSpec,
    /// How much is asked for.
    #[serde(default)]
    pub output: OutputSpec,
    /// Several turns: each arrival is a conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionSpec>,
    /// Pictures with every prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<ImageSpec>,
    /// Functions that the model may call, as the API takes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Value>,
    /// Further keys of the request, as in `{ temperature = 0 }`; they stand over those that are made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Value>,
}

impl OpenaiSpec {
    /// Streaming requests for one model.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            api: OpenaiApi::Chat,
            model: ModelSpec::One(model.into()),
            stream: true,
            path: None,
            prompts: prompts(),
            system: None,
            prompt: PromptSpec::default(),
            output: OutputSpec::default(),
            session: None,
            images: None,
            tools: Vec::new(),
            extra: BTreeMap::new(),
        }
    }
}

/// The endpoints of OpenAI's API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OpenaiApi {
    /// `/v1/chat/completions`.
    #[default]
    Chat,
    /// `/v1/completions`.
    Completions,
    /// `/v1/responses`.
    Responses,
    /// `/v1/embeddings`: never a stream.
    Embeddings,
}

/// Requests to Anthropic's Messages API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnthropicSpec {
    /// Model, or a mix of several.
    pub model: ModelSpec,
    /// Ask for a stream of tokens.
    #[serde(default = "yes")]
    pub stream: bool,
    /// Path, where it is not `/v1/messages`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Value of the header `anthropic-version`.
    #[serde(default = "anthropic_version")]
    pub version: String,
    /// Different requests that are made before the start and held in memory; they are sent in `order`, again and again.
    #[serde(default = "prompts")]
    pub prompts: u32,
    /// Text of the system prompt. Its tokens are not part of `prompt.tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What is asked.
    #[serde(default)]
    pub prompt: PromptSpec,
    /// Most output tokens: `max_tokens`.
    #[serde(default = "output_tokens")]
    pub max_tokens: Length,
    /// Tokens that the model may think: `thinking.budget_tokens`. It does not think by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking_tokens: Option<u32>,
    /// Mark the shared beginning of the prompts, or the system prompt where they share none, with `cache_control`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cache_control: bool,
    /// Several turns: each arrival is a conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionSpec>,
    /// Pictures with every prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<ImageSpec>,
    /// Tools, as the API takes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Value>,
    /// Further keys of the request; they stand over those that are made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Value>,
}

impl AnthropicSpec {
    /// Streaming requests for these models.
    pub fn new(model: ModelSpec) -> Self {
        Self {
            model,
            stream: true,
            path: None,
            version: anthropic_version(),
            prompts: prompts(),
            system: None,
            prompt: PromptSpec::default(),
            max_tokens: output_tokens(),
            thinking_tokens: None,
            cache_control: false,
            session: None,
            images: None,
            tools: Vec::new(),
            extra: BTreeMap::new(),
        }
    }
}

fn anthropic_version() -> String {
    "2023-06-01".to_owned()
}

fn yes() -> bool {
    true
}

fn prompts() -> u32 {
    256
}

fn output_tokens() -> Length {
    Length::Constant(128)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What is asked: made from the built-in text, or taken from a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PromptSpec {
    /// Length of a prompt in tokens, its shared beginning included and the system message not: a number, or a
    /// distribution such as `{ uniform = { from = 100, to = 900 } }`.
    pub tokens: Length,
    /// File `tokenizer.json` of the model (Hugging Face): lengths are then exact. Without one they are estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
    /// Vocabulary of OpenAI's models instead of a file: `o200k` or `cl100k`. Only where Prony was built with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<String>,
    /// Characters of the text for one token, where no tokenizer is given: 4 fits English roughly. A measured value, from
    /// `usage.prompt_tokens` of an answer, fits better; either way lengths are estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chars_per_token: Option<f64>,
    /// A beginning that groups of prompts share, to try a prefix cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedSpec>,
    /// Begin every arrival with a few words of its own, so that no cache holds any of it.
    #[serde(skip_serializing_if = "is_false")]
    pub cache_bust: bool,
    /// Prompts from a file instead of made ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DatasetSpec>,
    /// Lengths and shared blocks of a recorded trace: one prompt for each of its rows, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceSpec>,
}

impl Default for PromptSpec {
    fn default() -> Self {
        Self {
            tokens: Length::Constant(256),
            tokenizer: None,
            vocabulary: None,
            chars_per_token: None,
            shared: None,
            cache_bust: false,
            dataset: None,
            trace: None,
        }
    }
}

/// A beginning that groups of prompts share.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SharedSpec {
    /// Length of the beginning in tokens.
    pub tokens: u32,
    /// Different beginnings.
    #[serde(default = "one_group")]
    pub groups: u32,
    /// How unequal their use is: the k-th is used in proportion to `1 / k^zipf`; 0 uses all alike.
    #[serde(default)]
    pub zipf: f64,
}

fn one_group() -> u32 {
    1
}

/// Prompts from a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetSpec {
    /// The file, from the suite's folder.
    pub file: String,
    /// What is in it.
    pub format: DatasetFormat,
}

/// What is in a file of prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DatasetFormat {
    /// ShareGPT: one JSON list of `{"conversations": [{"from": "human", "value": "..."}, ...]}`.
    Sharegpt,
    /// One JSON object a line with `messages`, or with `body.messages` as OpenAI's batch files have it; or with `prompt`.
    OpenaiJsonl,
    /// One prompt a line.
    Lines,
}

/// A recorded trace of requests. The times are replayed by `shape.replay` of the same file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceSpec {
    /// The file, from the suite's folder.
    pub file: String,
    /// Whose it is.
    pub format: TraceFormat,
}

/// Whose trace it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TraceFormat {
    /// Mooncake (FAST 2025): JSON lines with `timestamp` in ms, `input_length`, `output_length`, `hash_ids` of blocks of
    /// 512 tokens.
    Mooncake,
    /// Alibaba Bailian (Qwen): as Mooncake with `timestamp` in s, `chat_id` and blocks of 16 tokens.
    Bailian,
    /// Azure 2023 and 2024: CSV with `TIMESTAMP`, `ContextTokens`, `GeneratedTokens`.
    Azure,
    /// BurstGPT: CSV with `Timestamp` in s, `Request tokens`, `Response tokens`. A failed request has 0 of the last.
    Burstgpt,
}

/// How much is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutputSpec {
    /// Most output tokens of a request: a number or a distribution.
    pub tokens: Length,
    /// Force the length with `min_tokens` and `ignore_eos`, which vLLM, SGLang and some others have. An answer with fewer
    /// tokens is then a failure.
    #[serde(skip_serializing_if = "is_false")]
    pub exact: bool,
    /// Name of this bound in the request; by default `max_tokens`, and `max_output_tokens` for responses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Default for OutputSpec {
    fn default() -> Self {
        Self {
            tokens: output_tokens(),
            exact: false,
            field: None,
        }
    }
}

/// Conversations of several turns. The user's turns have `prompt.tokens` each; those of the assistant that stand in the
/// history are scripted, so that every run sends the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionSpec {
    /// Turns of the user.
    pub turns: u32,
    /// Length of a scripted turn of the assistant in tokens.
    #[serde(default = "output_tokens")]
    pub answer_tokens: Length,
    /// Pause before each turn but the first, in milliseconds.
    #[serde(default)]
    pub think_ms: f64,
}

/// Pictures that are made: noise in colours, as PNG in a data URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// In each prompt.
    #[serde(default = "one_group")]
    pub count: u32,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// A length in tokens, or how it is drawn. In a suite a number is a constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Length {
    /// Always the same.
    Constant(u32),
    /// Drawn for every prompt.
    Drawn(Drawn),
}

/// How a length is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Drawn {
    /// Each whole number of a range alike, both ends included.
    Uniform {
        /// Smallest.
        from: u32,
        /// Largest.
        to: u32,
    },
    /// Normal, rounded; what falls outside the bounds is drawn again.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        sd: f64,
        /// Smallest.
        #[serde(default = "one_group")]
        min: u32,
        /// Largest.
        #[serde(default = "longest")]
        max: u32,
    },
    /// Lognormal, rounded; what falls outside the bounds is drawn again.
    Lognormal {
        /// Median.
        median: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
        /// Smallest.
        #[serde(default = "one_group")]
        min: u32,
        /// Largest.
        #[serde(default = "longest")]
        max: u32,
    },
    /// One of a list: an observed distribution.
    List {
        /// The lengths.
        of: Vec<u32>,
        /// How often each, relative to the others; alike by default.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        weights: Vec<f64>,
    },
}

fn longest() -> u32 {
    Length::MAX
}

impl Length {
    /// Longest that is made, in tokens.
    pub const MAX: u32 = 2_000_000;
}

/// Models and how one is picked for each request.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelSpec {
    /// One.
    One(String),
    /// Several.
    Mix(ModelMix),
}

/// Several models: a base and its LoRA adapters, for instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelMix {
    /// Their names.
    pub of: Vec<String>,
    /// Which is next.
    #[serde(default)]
    pub pick: ModelPick,
    /// With `pick = "zipf"`: the k-th is used in proportion to `1 / k^zipf`.
    #[serde(default = "zipf")]
    pub zipf: f64,
}

fn zipf() -> f64 {
    1.0
}

/// Which model is next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModelPick {
    /// First to last, then again.
    #[default]
    InTurn,
    /// Any, each alike.
    Random,
    /// Any, the first ones more often.
    Zipf,
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Constant(tokens) => serializer.serialize_u32(*tokens),
            Self::Drawn(drawn) => drawn.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Length;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of tokens, or a table such as { uniform = { from = 100, to = 900 } }")
            }
            fn visit_i64<E: Error>(self, tokens: i64) -> Result<Length, E> {
                let whole = u32::try_from(tokens).ok();
                whole.map(Length::Constant).ok_or_else(|| {
                    E::invalid_value(serde::de::Unexpected::Signed(tokens), &"a number of tokens")
                })
            }
            fn visit_u64<E: Error>(self, tokens: u64) -> Result<Length, E> {
                self.visit_i64(i64::try_from(tokens).unwrap_or(i64::MAX))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Length, A::Error> {
                Drawn::deserialize(MapAccessDeserializer::new(map)).map(Length::Drawn)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for Length {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Length".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let drawn = generator.subschema_for::<Drawn>();
        schemars::json_schema!({"anyOf": [{"type": "integer", "minimum": 0}, drawn]})
    }
}

impl Serialize for ModelSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(name) => serializer.serialize_str(name),
            Self::Mix(mix) => mix.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ModelSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = ModelSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, or a table such as { of = [\"base\", \"lora\"], pick = \"random\" }")
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<ModelSpec, E> {
                Ok(ModelSpec::One(name.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ModelSpec, A::Error> {
                ModelMix::deserialize(MapAccessDeserializer::new(map)).map(ModelSpec::Mix)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for ModelSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ModelSpec".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mix = generator.subschema_for::<ModelMix>();
        schemars::json_schema!({"anyOf": [{"type": "string"}, mix]})
    }
}
