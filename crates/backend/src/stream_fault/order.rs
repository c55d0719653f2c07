//! What may be ordered: the names of the faults, their values and at which event they strike. It knows no events.

use crate::law::mix;

/// The header of a request that orders faults for its own answer.
pub(crate) const FAULT_HEADER: &str = "x-fault";
/// Most faults of one request.
const ORDERS_MAX: usize = 8;
/// Longest wait, in milliseconds.
const WAIT_MAX_MS: u64 = 3_600_000;
/// Largest event.
const GIANT_MAX: u64 = 64 * 1024 * 1024;
/// Named milliseconds, bytes and the like where an order gives none.
const HEAD_DELAY_MS: u64 = 1000;
const STALL_MS: u64 = 2000;
const GIANT_BYTES: u64 = 1024 * 1024;

/// The shape of requests and events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's completions.
    Completions,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's Messages.
    Messages,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This status instead of an answer.
    Status(u16),
    /// So many seconds in the Retry-After of that status.
    RetryAfter(u64),
    /// The head comes so many milliseconds later.
    HeadDelay(u64),
    /// Another content type.
    ContentType(String),
    /// The body is compressed, whatever the client accepts.
    Gzip,
    /// An error in the data of an event without a name, then the end.
    Error,
    /// An event named error, then the end.
    ErrorEvent,
    /// An orderly end of the body with nothing of what ends an answer.
    Truncate,
    /// Everything but the marker of the end.
    NoDone,
    /// The connection ends in the middle of a chunk.
    Fin,
    /// The connection is reset.
    Reset,
    /// Nothing for so many milliseconds, then everything goes on.
    Stall(u64),
    /// Nothing any more, and no end.
    Hang,
    /// The marker of the end, and not one token.
    Empty,
    /// The opening events come at once.
    RoleEarly,
    /// The first so many events with tokens are reasoning, in a field of this name (OpenAI) or a block of thinking (Messages).
    Reasoning(&'static str, Option<u64>),
    /// So many tokens in each event.
    Chunk(u64),
    /// No usage.
    NoUsage,
    /// The tokens of the answer are told so many times too many.
    WrongUsage(u64),
    /// An event twice.
    Duplicate,
    /// An event whose JSON breaks off.
    Garble,
    /// Lines end with carriage return and line feed.
    Crlf,
    /// The data of every event comes on two lines.
    MultiLine,
    /// A byte order mark before everything.
    Bom,
    /// A character of several bytes is cut over two writes.
    SplitUtf8,
    /// An event with so many bytes of text.
    Giant(u64),
    /// Tokens of another request.
    CrossTalk,
    /// A comment.
    Comment,
}

/// A fault, and at which event with tokens it strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// What.
    pub(crate) fault: Fault,
    /// Counted from 0; without it the middle one.
    pub(crate) at: Option<u64>,
    /// As it was written.
    pub(crate) text: String,
}

/// Every fault of one answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Orders(pub(crate) Vec<Order>);

impl Orders {
    /// From a header: orders separated by commas, each `name[=value][@event]`.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let orders = parts.map(Order::read).collect::<Result<Vec<_>, _>>()?;
        if orders.len() > ORDERS_MAX {
            return Err(format!("at most {ORDERS_MAX} faults can be ordered at once"));
        }
        Ok(Self(orders))
    }

    /// Whether none is ordered.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As they were written.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.0.iter().map(|order| order.text.clone()).collect()
    }

    /// The first thing that `wanted` finds.
    pub(crate) fn find<T>(&self, wanted: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(|order| wanted(&order.fault))
    }

    /// Whether this one is among them.
    pub(crate) fn has(&self, fault: &Fault) -> bool {
        self.0.iter().any(|order| order.fault == *fault)
    }

    /// The status instead of an answer, with its Retry-After.
    pub(crate) fn status(&self) -> Option<(u16, Option<u64>)> {
        let status = self.find(|fault| match fault {
            Fault::Status(status) => Some(*status),
            _ => None,
        })?;
        let after = self.find(|fault| match fault {
            Fault::RetryAfter(seconds) => Some(*seconds),
            _ => None,
        });
        Some((status, after))
    }

    /// How much later the head comes, in milliseconds.
    pub(crate) fn head_delay_ms(&self) -> u64 {
        self.find(|fault| match fault {
            Fault::HeadDelay(ms) => Some(*ms),
            _ => None,
        })
        .unwrap_or_default()
    }

    /// The content type in place of the right one.
    pub(crate) fn content_type(&self) -> Option<String> {
        self.find(|fault| match fault {
            Fault::ContentType(text) => Some(text.clone()),
            _ => None,
        })
    }

    /// Tokens in each event.
    pub(crate) fn chunk(&self) -> Option<u64> {
        self.find(|fault| match fault {
            Fault::Chunk(tokens) => Some(*tokens),
            _ => None,
        })
    }
}

impl Order {
    fn read(text: &str) -> Result<Self, String> {
        let (rest, at) = match text.rsplit_once('@') {
            None => (text, None),
            Some((rest, at)) => match at.parse() {
                Ok(at) => (rest, Some(at)),
                Err(_) => return Err(format!("'@{at}' of a fault must be the number of an event")),
            },
        };
        let (name, value) = match rest.split_once('=') {
            None => (rest, None),
            Some((name, value)) => (name, Some(value)),
        };
        let number = |default: u64, max: u64| match value.map(str::parse::<u64>) {
            None => Ok(default),
            Some(Ok(number)) if number <= max => Ok(number),
            Some(_) => Err(format!("fault '{name}' takes a whole number up to {max}")),
        };
        let some = |max: u64| match value {
            None | Some("all") => Ok(value.map(|_| u64::MAX)),
            Some(_) => number(0, max).map(Some),
        };
        let fault = match name {
            "status" => match number(503, 599)? {
                status @ 400..=599 => Fault::Status(status as u16),
                _ => return Err("fault 'status' takes a status from 400 to 599".to_owned()),
            },
            "retry-after" => Fault::RetryAfter(number(1, 86_400)?),
            "head-delay" => Fault::HeadDelay(number(HEAD_DELAY_MS, WAIT_MAX_MS)?),
            "content-type" => {
                let kind = value.unwrap_or("application/json");
                if !kind.bytes().all(|byte| byte.is_ascii_graphic()) {
                    return Err("fault 'content-type' takes the name of a type".to_owned());
                }
                Fault::ContentType(kind.to_owned())
            }
            "gzip" => Fault::Gzip,
            "error" => Fault::Error,
            "error-event" => Fault::ErrorEvent,
            "truncate" => Fault::Truncate,
            "no-done" => Fault::NoDone,
            "fin" => Fault::Fin,
            "reset" => Fault::Reset,
            "stall" => Fault::Stall(number(STALL_MS, WAIT_MAX_MS)?),
            "hang" => Fault::Hang,
            "empty" => Fault::Empty,
            "role-early" => Fault::RoleEarly,
            "reasoning-content" => Fault::Reasoning("reasoning_content", some(u64::MAX)?),
            "reasoning" | "thinking" => Fault::Reasoning("reasoning", some(u64::MAX)?),
            "chunk" => Fault::Chunk(number(4, 1024)?.max(1)),
            "no-usage" => Fault::NoUsage,
            "wrong-usage" => Fault::WrongUsage(number(2, 1000)?),
            "duplicate" => Fault::Duplicate,
            "garble" => Fault::Garble,
            "crlf" => Fault::Crlf,
            "multi-line" => Fault::MultiLine,
            "bom" => Fault::Bom,
            "split-utf8" => Fault::SplitUtf8,
            "giant" => Fault::Giant(number(GIANT_BYTES, GIANT_MAX)?),
            "cross-talk" => Fault::CrossTalk,
            "comment" => Fault::Comment,
            _ => {
                let shown: String = name.chars().take(64).collect();
                return Err(format!(
                    "there is no fault '{shown}'; there are: {}",
                    NAMES.join(", ")
                ));
            }
        };
        Ok(Self {
            fault,
            at,
            text: text.to_owned(),
        })
    }
}

/// Every name.
const NAMES: [&str; 30] = [
    "status",
    "retry-after",
    "head-delay",
    "content-type",
    "gzip",
    "error",
    "error-event",
    "truncate",
    "no-done",
    "fin",
    "reset",
    "stall",
    "hang",
    "empty",
    "role-early",
    "reasoning-content",
    "reasoning",
    "thinking",
    "chunk",
    "no-usage",
    "wrong-usage",
    "duplicate",
    "garble",
    "crlf",
    "multi-line",
    "bom",
    "split-utf8",
    "giant",
    "cross-talk",
    "comment",
];

/// Faults of a share of all answers, from a knob: orders separated by commas, each `name[=value][@event][*share]`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shares(Vec<(Order, f64)>);

impl Shares {
    /// Reads the knob; `none` is none.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim);
        let parts = parts.filter(|part| !part.is_empty() && *part != "none");
        let read = |part: &str| {
            let (order, share) = match part.rsplit_once('*') {
                None => (part, 1.0),
                Some((order, share)) => match share.parse::<f64>() {
                    Ok(share) if (0.0..=1.0).contains(&share) => (order, share),
                    _ => return Err(format!("'*{share}' of a fault must be a share from 0 to 1")),
                },
            };
            Ok((Order::read(order)?, share))
        };
        parts.map(read).collect::<Result<Vec<_>, String>>().map(Self)
    }

    /// Those that hit the answer with this number: the seed and the number alone decide.
    pub(crate) fn draw(&self, seed: u64, number: u64) -> Orders {
        let hits = |(place, (order, share)): (usize, &(Order, f64))| {
            let drawn = mix(mix(seed, number), place as u64) as f64 / u64::MAX as f64;
            (drawn < *share || *share >= 1.0).then(|| order.clone())
        };
        Orders(self.0.iter().enumerate().filter_map(hits).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_a_name_a_value_and_a_place() {
        let orders = Orders::read("stall=500@3, reset, status=429,retry-after=7").unwrap();
        assert_eq!(
            (&orders.0[0].fault, orders.0[0].at),
            (&Fault::Stall(500), Some(3))
        );
        assert_eq!((&orders.0[1].fault, orders.0[1].at), (&Fault::Reset, None));
        assert_eq!(orders.status(), Some((429, Some(7))));
        for bad in [
            "nope",
            "stall=x",
            "reset@x",
            "status=200",
            "giant=99999999999",
            "content-type=a b",
        ] {
            assert!(Orders::read(bad).is_err(), "{bad}");
        }
        assert!(Orders::read(&"bom,".repeat(9)).is_err());
        for name in NAMES {
            assert!(Orders::read(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_share_hits_about_that_many_and_the_same_ones_again() {
        let shares = Shares::read("reset@2*0.25,bom").unwrap();
        let hit = |number| shares.draw(7, number).has(&Fault::Reset);
        let count = (0..4000).filter(|number| hit(*number)).count();
        assert!((900..1100).contains(&count), "{count}");
        assert!((0..100).all(|number| hit(number) == hit(number) && shares.draw(7, number).has(&Fault::Bom)));
        assert!(Shares::read("none").unwrap().draw(1, 1).is_empty());
        assert!(Shares::read("reset*2").is_err());
    }
}
