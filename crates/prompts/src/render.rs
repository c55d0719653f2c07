//! From conversations to items, and to the flow of a session. It must not know which API is behind [`Api`].

use prony_model::{
    BodyCheck, Expect, Feed, FeedOrder, Flow, Generate, Item, Request, SessionSpec, Slots, Step,
    StreamExpect, StreamProtocol,
};
use serde_json::Value;

use crate::make::{Conversation, Made, Message};
use crate::salt::{SALT, SALT_WORDS, salted};

/// Stands in a body for what every conversation of a session has its own of; no text has it, since it is taken out.
const HOLE: char = '\u{e002}';
/// What is filled in for the words of a salt.
const SALT_HOLES: [&str; SALT_WORDS] = ["{{salt0}}", "{{salt1}}", "{{salt2}}", "{{salt3}}"];

/// How an API wants a request.
pub(crate) trait Api {
    /// Path of the endpoint.
    fn path(&self) -> String;
    /// Headers beside the content type.
    fn headers(&self) -> Vec<(&'static str, String)>;
    /// What its events mean, where a stream is asked for.
    fn stream(&self) -> Option<StreamProtocol>;
    /// Where an answer that is no stream has what was asked for.
    fn answer_at(&self) -> &'static str;
    /// The fewest tokens of an answer, where the request forces them.
    fn min_tokens(&self, output: u32) -> Option<u32>;
    /// Whether an answer has tokens at all.
    fn has_output(&self) -> bool;
    /// One message.
    fn message(&self, message: &Message, pictures: &[Vec<u8>]) -> Value;
    /// The whole body.
    fn body(&self, model: Value, messages: Vec<Value>, conversation: &Conversation, output: Value) -> Value;
}

/// One item for each conversation, all of one request.
pub(crate) fn items(api: &impl Api, made: &Made) -> Vec<Item> {
    let item = |conversation: &Conversation| {
        let turn = conversation.turns[0];
        let sent = &conversation.messages[..turn.messages];
        let message = |(at, message): (usize, &Message)| {
            let last = at + 1 == sent.len();
            api.message(message, if last { &conversation.pictures } else { &[] })
        };
        let messages = sent.iter().enumerate().map(message).collect();
        let model = conversation.model.clone().into();
        let body = api.body(model, messages, conversation, turn.output.into());
        Item {
            request: request(api, written(&body)),
            expect: expect(api, Some(turn.output), turn.tokens, turn.shared),
        }
    };
    made.conversations.iter().map(item).collect()
}

/// The steps of a session, with a feed for everything that differs from one conversation to the next. What they all have in
/// common is known of a step; what differs is not.
pub(crate) fn session(api: &impl Api, made: &Made, spec: &SessionSpec) -> (Vec<Item>, Flow, Slots) {
    let mut slots = Slots::default();
    let first = &made.conversations[0];
    let feed = |slots: &mut Slots, name: String, values: Vec<String>| {
        let hole = format!("{HOLE}{name}{HOLE}");
        slots.feeds.insert(name, choice(values, FeedOrder::InTurn));
        Value::from(hole)
    };
    let model = feed(
        &mut slots,
        "model".to_owned(),
        made.conversations
            .iter()
            .map(|c| Value::from(c.model.as_str()).to_string())
            .collect(),
    );
    let messages: Vec<Value> = (0..first.messages.len())
        .map(|at| {
            let each = made.conversations.iter();
            let values = each
                .map(|c| written(&api.message(&c.messages[at], &[])))
                .collect();
            feed(&mut slots, format!("message{at}"), values)
        })
        .collect();
    let (mut items, mut steps) = (Vec::new(), Vec::new());
    for turn in 0..first.turns.len() {
        let turns = || made.conversations.iter().map(|c| c.turns[turn]);
        let output = feed(
            &mut slots,
            format!("output{turn}"),
            turns().map(|t| t.output.to_string()).collect(),
        );
        let upto = messages[..first.turns[turn].messages].to_vec();
        let body = api.body(model.clone(), upto, first, output);
        items.push(Item {
            request: request(api, opened(&body.to_string())),
            expect: expect(
                api,
                common(turns().map(|t| Some(t.output))),
                common(turns().map(|t| t.tokens)),
                common(turns().map(|t| t.shared)),
            ),
        });
        steps.push(Step {
            name: format!("turn-{}", turn + 1),
            think_ms: if turn == 0 { 0.0 } else { spec.think_ms },
            ..Step::default()
        });
    }
    let flow = Flow {
        steps,
        ..Flow::default()
    };
    (items, flow, slots)
}

/// The value that all have, if they have one.
fn common(mut values: impl Iterator<Item = Option<u32>>) -> Option<u32> {
    let first = values.next()??;
    values.all(|value| value == Some(first)).then_some(first)
}

/// Adds the feeds of a salt.
pub(crate) fn salt_feeds(made: &Made, slots: &mut Option<Slots>) {
    if made.salt.is_empty() {
        return;
    }
    let slots = slots.get_or_insert_default();
    for k in 0..SALT_WORDS {
        slots
            .feeds
            .insert(format!("salt{k}"), choice(made.salt.clone(), FeedOrder::Random));
    }
}

fn choice(of: Vec<String>, order: FeedOrder) -> Feed {
    Feed {
        generate: Some(Generate::Choice { of }),
        order,
        ..Feed::default()
    }
}

fn request(api: &impl Api, body: String) -> Request {
    let mut request = Request::json("POST", api.path(), &Value::Null);
    request.body = prony_model::Body::Text(body);
    let headers = api.headers().into_iter();
    request
        .headers
        .extend(headers.map(|(name, value)| prony_model::Header::new(name, value)));
    request
}

fn expect(api: &impl Api, output: Option<u32>, tokens: Option<u32>, shared: Option<u32>) -> Expect {
    match api.stream() {
        Some(protocol) => Expect {
            stream: Some(StreamExpect {
                min_tokens: output.and_then(|output| api.min_tokens(output)),
                max_tokens: output,
                prompt_tokens: tokens,
                shared_tokens: shared,
                ..StreamExpect::new(protocol)
            }),
            ..Expect::default()
        },
        None => Expect {
            body: vec![BodyCheck::Json(api.answer_at().to_owned())],
            ..Expect::default()
        },
    }
}

/// A JSON value as text in which nothing but a salt is to be filled in.
fn written(value: &Value) -> String {
    // Two braces in a row stand inside a string only.
    let text = value.to_string().replace("{{", "{\\u007b");
    if text.contains(SALT) {
        text.replace(SALT, &salted(|k| SALT_HOLES[k]))
    } else {
        text
    }
}

/// The same of a body with holes of its own: strings that are nothing but a name.
fn opened(text: &str) -> String {
    let text = text.replace("{{", "{\\u007b");
    let mut out = String::with_capacity(text.len());
    for (k, part) in text.split(HOLE).enumerate() {
        if k % 2 == 1 {
            // The quotes around the hole go: what comes is JSON itself.
            out.pop();
            out += "{{";
            out += part;
            out += " | raw}}";
        } else {
            out.push_str(if k == 0 { part } else { &part[1..] });
        }
    }
    out
}
