//! Bodies of Anthropic's Messages API. It must not know how the text came about.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prony_model::{AnthropicSpec, StreamProtocol};
use serde_json::{Map, Value, json};

use crate::make::{Conversation, Message, Role};
use crate::render::Api;

impl Api for AnthropicSpec {
    fn path(&self) -> String {
        self.path.clone().unwrap_or_else(|| "/v1/messages".to_owned())
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        vec![("anthropic-version", self.version.clone())]
    }

    fn stream(&self) -> Option<StreamProtocol> {
        self.stream.then_some(StreamProtocol::AnthropicMessages)
    }

    fn answer_at(&self) -> &'static str {
        "/content/0"
    }

    fn min_tokens(&self, _: u32) -> Option<u32> {
        None
    }

    fn has_output(&self) -> bool {
        true
    }

    fn message(&self, message: &Message, pictures: &[Vec<u8>]) -> Value {
        // The system prompt is a list of blocks, which the body takes out of the messages.
        if message.role == Role::System {
            let mut block = json!({"type": "text", "text": message.text});
            if self.cache_control {
                block["cache_control"] = json!({"type": "ephemeral"});
            }
            return json!([block]);
        }
        let role = if message.role == Role::User {
            "user"
        } else {
            "assistant"
        };
        if pictures.is_empty() {
            return json!({"role": role, "content": message.text});
        }
        let part = |picture: &Vec<u8>| {
            json!({"type": "image", "source": {
                "type": "base64", "media_type": "image/png", "data": STANDARD.encode(picture)
            }})
        };
        let text = json!({"type": "text", "text": message.text});
        let parts: Vec<Value> = pictures.iter().map(part).chain([text]).collect();
        json!({"role": role, "content": parts})
    }

    fn body(
        &self,
        model: Value,
        mut messages: Vec<Value>,
        conversation: &Conversation,
        output: Value,
    ) -> Value {
        let mut body = Map::new();
        body.insert("model".to_owned(), model);
        body.insert("max_tokens".to_owned(), output);
        if conversation
            .messages
            .first()
            .is_some_and(|m| m.role == Role::System)
        {
            body.insert("system".to_owned(), messages.remove(0));
        }
        body.insert("messages".to_owned(), messages.into());
        body.insert("stream".to_owned(), self.stream.into());
        if let Some(budget) = self.thinking_tokens {
            body.insert(
                "thinking".to_owned(),
                json!({"type": "enabled", "budget_tokens": budget}),
            );
        }
        if !self.tools.is_empty() {
            body.insert("tools".to_owned(), self.tools.clone().into());
        }
        body.extend(self.extra.clone());
        Value::Object(body)
    }
}
