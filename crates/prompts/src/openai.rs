//! Bodies of OpenAI's endpoints. It must not know how the text came about.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prony_model::{OpenaiApi, OpenaiSpec, StreamProtocol};
use serde_json::{Map, Value, json};

use crate::make::{Conversation, Message, Role};
use crate::render::Api;

impl Api for OpenaiSpec {
    fn path(&self) -> String {
        let usual = match self.api {
            OpenaiApi::Chat => "/v1/chat/completions",
            OpenaiApi::Completions => "/v1/completions",
            OpenaiApi::Responses => "/v1/responses",
            OpenaiApi::Embeddings => "/v1/embeddings",
        };
        self.path.clone().unwrap_or_else(|| usual.to_owned())
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn stream(&self) -> Option<StreamProtocol> {
        let protocol = match self.api {
            OpenaiApi::Chat => StreamProtocol::OpenaiChat,
            OpenaiApi::Completions => StreamProtocol::OpenaiCompletions,
            OpenaiApi::Responses => StreamProtocol::OpenaiResponses,
            OpenaiApi::Embeddings => return None,
        };
        self.stream.then_some(protocol)
    }

    fn answer_at(&self) -> &'static str {
        match self.api {
            OpenaiApi::Chat => "/choices/0/message",
            OpenaiApi::Completions => "/choices/0/text",
            OpenaiApi::Responses => "/output/0",
            OpenaiApi::Embeddings => "/data/0/embedding",
        }
    }

    fn min_tokens(&self, output: u32) -> Option<u32> {
        (self.output.exact && self.api != OpenaiApi::Embeddings).then_some(output)
    }

    fn has_output(&self) -> bool {
        self.api != OpenaiApi::Embeddings
    }

    fn message(&self, message: &Message, pictures: &[Vec<u8>]) -> Value {
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        if pictures.is_empty() {
            return json!({"role": role, "content": message.text});
        }
        let responses = self.api == OpenaiApi::Responses;
        let part = |picture: &Vec<u8>| {
            let url = format!("data:image/png;base64,{}", STANDARD.encode(picture));
            if responses {
                json!({"type": "input_image", "image_url": url})
            } else {
                json!({"type": "image_url", "image_url": {"url": url}})
            }
        };
        let kind = if responses { "input_text" } else { "text" };
        let text = json!({"type": kind, "text": message.text});
        let parts: Vec<Value> = pictures.iter().map(part).chain([text]).collect();
        json!({"role": role, "content": parts})
    }

    fn body(&self, model: Value, messages: Vec<Value>, conversation: &Conversation, output: Value) -> Value {
        let mut body = Map::new();
        body.insert("model".to_owned(), model);
        let text = || conversation.messages.last().map_or("", |m| m.text.as_str());
        let (key, content) = match self.api {
            OpenaiApi::Chat => ("messages", Value::Array(messages)),
            OpenaiApi::Completions => ("prompt", text().into()),
            OpenaiApi::Responses => ("input", Value::Array(messages)),
            OpenaiApi::Embeddings => ("input", text().into()),
        };
        body.insert(key.to_owned(), content);
        if self.has_output() {
            let usual = match self.api {
                OpenaiApi::Responses => "max_output_tokens",
                _ => "max_tokens",
            };
            let field = self.output.field.as_deref().unwrap_or(usual);
            body.insert(field.to_owned(), output.clone());
            if self.output.exact {
                body.insert("min_tokens".to_owned(), output);
                body.insert("ignore_eos".to_owned(), true.into());
            }
            body.insert("stream".to_owned(), self.stream.into());
            if self.stream && self.api != OpenaiApi::Responses {
                body.insert("stream_options".to_owned(), json!({"include_usage": true}));
            }
        }
        if !self.tools.is_empty() {
            body.insert("tools".to_owned(), self.tools.clone().into());
        }
        body.extend(self.extra.clone());
        Value::Object(body)
    }
}
