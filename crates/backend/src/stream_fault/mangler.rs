//! What becomes of each event of an answer whose faults were ordered. It knows no connection and waits for nothing: it gives acts.

use serde_json::{Value, json};

use super::event::{Data, Event};
use super::order::{Dialect, Fault, Orders};

/// Between the two halves of a character.
const SPLIT_MS: u64 = 20;

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Before the first token.
    Opening,
    /// Tokens.
    Tokens,
    /// After the last one.
    Closing,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// These bytes of the body are sent, in a write of their own.
    Write(Vec<u8>),
    /// Nothing for so many milliseconds.
    Wait(u64),
    /// Nothing any more.
    WaitForEver,
    /// The body ends.
    End,
    /// The connection ends half-way through this piece of the body, of which the whole length was announced.
    Fin(Vec<u8>),
    /// The connection is reset.
    Reset,
}

/// The faults of one answer at work.
#[derive(Debug)]
pub(crate) struct Mangler {
    orders: Orders,
    dialect: Dialect,
    /// Events with tokens there will be, and those that came.
    total: u64,
    came: u64,
    begun: bool,
    over: bool,
    /// A block of thinking is open (Messages).
    thinking: bool,
    /// Events of reasoning; none where there is no reasoning.
    reasoning: Option<(&'static str, u64)>,
}

impl Mangler {
    /// For an answer of so many events with tokens; none where nothing is ordered.
    pub(crate) fn new(orders: &Orders, dialect: Dialect, total: u64) -> Option<Self> {
        if orders.is_empty() {
            return None;
        }
        let reasoning = orders.find(|fault| match fault {
            Fault::Reasoning(field, events) => Some((*field, events.unwrap_or(total.div_ceil(2)))),
            _ => None,
        });
        Some(Self {
            orders: orders.clone(),
            dialect,
            total,
            came: 0,
            begun: false,
            over: false,
            thinking: false,
            reasoning,
        })
    }

    /// Whether nothing can follow.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// What becomes of these events; the second part is whether their tokens are sent.
    pub(crate) fn pass(&mut self, kind: Kind, text: &str) -> (Vec<Act>, bool) {
        let mut acts = Vec::new();
        let mut sent = false;
        for event in Event::all(text) {
            if self.over {
                break;
            }
            match kind {
                Kind::Opening => self.opening(event, &mut acts),
                Kind::Tokens => sent |= self.tokens(event, &mut acts),
                Kind::Closing => self.closing(event, &mut acts),
            }
        }
        (acts, sent)
    }

    fn opening(&mut self, mut event: Event, acts: &mut Vec<Act>) {
        if self.reasoning.is_some()
            && self.dialect == Dialect::Messages
            && event.name.as_deref() == Some("content_block_start")
            && let Data::Json(value) = &mut event.data
        {
            self.thinking = true;
            value["content_block"] = json!({ "type": "thinking", "thinking": "", "signature": "" });
        }
        self.write(&event, acts);
    }

    fn tokens(&mut self, mut event: Event, acts: &mut Vec<Act>) -> bool {
        let place = self.came;
        self.came += 1;
        if place == 0 && self.orders.has(&Fault::Empty) {
            self.finish(acts);
            return false;
        }
        self.reason(place, &mut event, acts);
        let middle = self.total / 2;
        let here: Vec<Fault> = self
            .orders
            .0
            .iter()
            .filter(|order| order.at.unwrap_or(middle) == place)
            .map(|order| order.fault.clone())
            .collect();
        let mut times = 1;
        for fault in here {
            match fault {
                Fault::Error => {
                    let error = json!({ "error": {
                        "message": "EngineCore encountered an issue.", "type": "InternalServerError", "param": null, "code": 500,
                    } });
                    self.write(&unnamed(error), acts);
                    self.finish(acts);
                    return false;
                }
                Fault::ErrorEvent => {
                    let error = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
                    let event = Event {
                        name: Some("error".to_owned()),
                        data: Data::Json(error),
                    };
                    self.write(&event, acts);
                    return self.stop(Act::End, acts);
                }
                Fault::Truncate => return self.stop(Act::End, acts),
                Fault::Fin => {
                    let bytes = self.bytes(&event);
                    return self.stop(Act::Fin(bytes), acts);
                }
                Fault::Reset => return self.stop(Act::Reset, acts),
                Fault::Hang => return self.stop(Act::WaitForEver, acts),
                Fault::Stall(ms) => acts.push(Act::Wait(ms)),
                Fault::Comment => acts.push(Act::Write(self.ends(": keepalive\n\n"))),
                Fault::Duplicate => times = 2,
                Fault::Garble => {
                    let data = event.data();
                    let half = (data.len() / 2..data.len()).find(|place| data.is_char_boundary(*place));
                    event.data = Data::Text(data[..half.unwrap_or(data.len())].to_owned());
                }
                Fault::Giant(bytes) => {
                    if let Some(text) = event.text() {
                        *text = Value::from("x".repeat(bytes as usize));
                    }
                }
                Fault::CrossTalk => cross(&mut event),
                Fault::SplitUtf8 => {
                    self.split(&mut event, acts);
                    return true;
                }
                _ => {}
            }
        }
        for _ in 0..times {
            self.write(&event, acts);
        }
        true
    }

    /// The first tokens become reasoning.
    fn reason(&mut self, place: u64, event: &mut Event, acts: &mut Vec<Act>) {
        let Some((field, events)) = self.reasoning else {
            return;
        };
        if place >= events {
            self.think_no_more(acts);
            if self.dialect == Dialect::Messages
                && let Data::Json(value) = &mut event.data
            {
                value["index"] = json!(1);
            }
            return;
        }
        let Data::Json(value) = &mut event.data else {
            return;
        };
        match self.dialect {
            Dialect::Messages => {
                let text = value["delta"]["text"].take();
                value["delta"] = json!({ "type": "thinking_delta", "thinking": text });
            }
            Dialect::Chat => {
                let text = value["choices"][0]["delta"]["content"].take();
                value["choices"][0]["delta"] = json!({ field: text });
            }
            Dialect::Completions | Dialect::Responses => {}
        }
    }

    /// The block of thinking ends, and one of text begins.
    fn think_no_more(&mut self, acts: &mut Vec<Act>) {
        if !std::mem::take(&mut self.thinking) {
            return;
        }
        for data in [
            json!({ "type": "content_block_delta", "index": 0,
                "delta": { "type": "signature_delta", "signature": "cGFjZWQ=" } }),
            json!({ "type": "content_block_stop", "index": 0 }),
            json!({ "type": "content_block_start", "index": 1, "content_block": { "type": "text", "text": "" } }),
        ] {
            let event = Event {
                name: data["type"].as_str().map(str::to_owned),
                data: Data::Json(data),
            };
            self.write(&event, acts);
        }
    }

    fn closing(&mut self, mut event: Event, acts: &mut Vec<Act>) {
        if event.is_end() && self.orders.has(&Fault::NoDone) {
            return;
        }
        if self.reasoning.is_some()
            && !self.thinking
            && event.name.as_deref() == Some("content_block_stop")
            && let Data::Json(value) = &mut event.data
        {
            value["index"] = json!(1);
        }
        if self.orders.has(&Fault::NoUsage) && event.usage().is_some() {
            let Data::Json(value) = &mut event.data else {
                return;
            };
            if value["choices"].as_array().is_some_and(Vec::is_empty) {
                return;
            }
            if let Some(fields) = value.as_object_mut() {
                fields.remove("usage");
            }
        }
        let times = self.orders.find(|fault| match fault {
            Fault::WrongUsage(times) => Some(*times),
            _ => None,
        });
        if let (Some(times), Some(usage)) = (times, event.usage()) {
            let told = |usage: &Value, name: &str| usage[name].as_u64();
            for name in ["completion_tokens", "output_tokens"] {
                let Some(tokens) = told(usage, name) else {
                    continue;
                };
                if let Some(total) = told(usage, "total_tokens") {
                    usage["total_tokens"] = json!(total - tokens + tokens * times);
                }
                usage[name] = json!(tokens * times);
            }
        }
        self.write(&event, acts);
    }

    /// The marker of the end, where the dialect has one, and the end.
    fn finish(&mut self, acts: &mut Vec<Act>) {
        let event = match self.dialect {
            Dialect::Messages => Event {
                name: Some("message_stop".to_owned()),
                data: Data::Json(json!({ "type": "message_stop" })),
            },
            Dialect::Chat | Dialect::Completions => Event {
                name: None,
                data: Data::Text("[DONE]".to_owned()),
            },
            Dialect::Responses => {
                self.stop(Act::End, acts);
                return;
            }
        };
        if !self.orders.has(&Fault::NoDone) {
            self.write(&event, acts);
        }
        self.stop(Act::End, acts);
    }

    fn stop(&mut self, act: Act, acts: &mut Vec<Act>) -> bool {
        acts.push(act);
        self.over = true;
        false
    }

    /// A character of several bytes, cut in two.
    fn split(&mut self, event: &mut Event, acts: &mut Vec<Act>) {
        const CUT: &str = " h\u{e9}t\u{20ac}";
        if let Some(text) = event.text() {
            *text = Value::from(CUT);
        }
        let bytes = self.bytes(event);
        let euro = "\u{20ac}".as_bytes();
        let place = bytes.windows(euro.len()).position(|window| window == euro);
        let (first, second) = bytes.split_at(place.map_or(bytes.len() / 2, |place| place + 1));
        acts.push(Act::Write(first.to_vec()));
        acts.push(Act::Wait(SPLIT_MS));
        acts.push(Act::Write(second.to_vec()));
    }

    fn write(&mut self, event: &Event, acts: &mut Vec<Act>) {
        let bytes = self.bytes(event);
        acts.push(Act::Write(bytes));
    }

    fn bytes(&mut self, event: &Event) -> Vec<u8> {
        let text = event.write(self.orders.has(&Fault::MultiLine));
        self.ends(&text)
    }

    /// With the line ends and the mark that were ordered.
    fn ends(&mut self, text: &str) -> Vec<u8> {
        let mut text = if self.orders.has(&Fault::Crlf) {
            text.replace('\n', "\r\n")
        } else {
            text.to_owned()
        };
        if !std::mem::replace(&mut self.begun, true) && self.orders.has(&Fault::Bom) {
            text.insert(0, '\u{feff}');
        }
        text.into_bytes()
    }
}

fn unnamed(data: Value) -> Event {
    Event {
        name: None,
        data: Data::Json(data),
    }
}

/// The event of another answer: another id, other tokens.
fn cross(event: &mut Event) {
    if let Some(text) = event.text() {
        *text = Value::from(" another answer's tokens");
    }
    if let Data::Json(value) = &mut event.data
        && let Some(id) = value["id"].as_str()
    {
        let (prefix, _) = id.split_once('-').unwrap_or((id, ""));
        value["id"] = json!(format!("{prefix}-ffffffffffffffff"));
    }
}
