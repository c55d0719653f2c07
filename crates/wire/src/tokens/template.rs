//! The shape of the plain token event of one stream: the bytes before and after its text.
//!
//! An event with the same bytes around a JSON string without escapes is the same JSON document but for that string, so
//! it needs no parsing. A shape is learnt only if the document with another text in that place was parsed and meant the
//! same. Knows bytes; what they mean is told by whoever learns.

use prony_model::StreamEventKind;

use super::Meaning;
use crate::sse::Event;

/// Longest event that is learnt.
const EVENT_BYTES_MAX: usize = 2 << 10;

/// Shapes in a row that may turn out useless before a stream is read by parsing alone.
const USELESS_MAX: u8 = 8;

/// The text that stands in for the real one when a shape is tried.
const STAND_IN: &[u8] = b"prony";

/// The shape, once learnt.
#[derive(Clone, Debug, Default)]
pub(super) struct Template {
    /// Bytes before the text, then those after it, then the name of the event.
    bytes: Vec<u8>,
    before: usize,
    after: usize,
    kind: Option<StreamEventKind>,
    /// Whether an event fitted it.
    used: bool,
    useless: u8,
}

impl Template {
    /// Forgets the shape.
    pub(super) fn reset(&mut self) {
        self.bytes.clear();
        (self.kind, self.used, self.useless) = (None, false, 0);
    }

    /// Whether it is worth learning a shape.
    pub(super) fn may_learn(&self) -> bool {
        self.useless < USELESS_MAX
    }

    /// What an event means that has the shape; `None` when it has not, or not for certain.
    pub(super) fn reads(&mut self, event: Event<'_>) -> Option<Meaning> {
        let kind = self.kind?;
        let (before, rest) = self.bytes.split_at(self.before);
        let (after, name) = rest.split_at(self.after);
        let text = event.data.strip_prefix(before)?.strip_suffix(after)?;
        if text.is_empty() || !is_plain(text) || event.kind != name {
            return None;
        }
        self.used = true;
        Some(Meaning {
            kind,
            tokens: 1,
            text_bytes: text.len() as u32,
        })
    }

    /// Learns the shape of an event that has a text under one of `keys`. `parse` reads a document and says what it
    /// means, if it changes nothing else.
    pub(super) fn learn(
        &mut self,
        event: Event<'_>,
        meaning: Meaning,
        keys: &[&str],
        parse: impl Fn(&[u8]) -> Option<Meaning>,
    ) {
        if event.data.len() > EVENT_BYTES_MAX || meaning.tokens != 1 {
            return;
        }
        if self.kind.is_some() && !self.used {
            self.useless += 1;
        }
        self.kind = None;
        for (start, end) in keys.iter().filter_map(|key| place(event.data, key)) {
            let (before, after) = (&event.data[..start], &event.data[end..]);
            let tried = [before, STAND_IN, after].concat();
            let expected = Meaning {
                text_bytes: STAND_IN.len() as u32,
                ..meaning
            };
            if parse(&tried) != Some(expected) {
                continue;
            }
            self.bytes.clear();
            for part in [before, after, event.kind] {
                self.bytes.extend_from_slice(part);
            }
            (self.before, self.after) = (before.len(), after.len());
            (self.kind, self.used) = (Some(meaning.kind), false);
            return;
        }
        self.useless = self.useless.saturating_add(1);
    }
}

/// Where the only string under a key lies.
fn place(data: &[u8], key: &str) -> Option<(usize, usize)> {
    let name = format!("\"{key}\":");
    let mut found = memchr::memmem::find_iter(data, name.as_bytes());
    let at = found.next()? + name.len();
    if found.next().is_some() {
        return None;
    }
    let open = at + data[at..].iter().position(|byte| *byte != b' ')?;
    if data[open] != b'"' {
        return None;
    }
    let mut end = open + 1;
    loop {
        match data.get(end)? {
            b'"' => return Some((open + 1, end)),
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
}

/// Whether bytes are the inside of a JSON string as they stand: no escapes, no quotes, no control characters, UTF-8.
fn is_plain(text: &[u8]) -> bool {
    let (mut special, mut wide) = (false, false);
    for byte in text {
        special |= *byte < 0x20 || *byte == b'"' || *byte == b'\\';
        wide |= *byte >= 0x80;
    }
    !special && (!wide || std::str::from_utf8(text).is_ok())
}
