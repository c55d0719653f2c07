//! Two kinds of an endpoint's request: prefill-heavy and decode-heavy. It knows the fields of the public APIs, no server.

use prony_model::{Body, Endpoint, Item, Scenario};
use serde_json::Value;

use crate::RunView;
use crate::cache::{draw, plain_text};
use crate::streamed::{limit, scenario};
use crate::text_slot::text_slots;

/// Different prompts of a kind: none begins like another, so that no cache answers for the work.
const PROMPTS: u64 = 64;

/// A kind of request.
#[derive(Clone, Copy, Debug)]
struct Kind {
    name: &'static str,
    /// Words of the prompt, about as many tokens.
    words: u32,
    /// Output tokens at most.
    tokens: u32,
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "prefill-heavy",
        words: 1024,
        tokens: 16,
    },
    Kind {
        name: "decode-heavy",
        words: 16,
        tokens: 128,
    },
];

/// The two kinds of its streamed request; the request as it is where no place for a text was found.
pub(super) fn kinds(run: &RunView<'_>, endpoint: &Endpoint, seed: u64) -> Vec<Scenario> {
    let own = scenario(run, endpoint);
    let Some(item) = own.items.first() else {
        return Vec::new();
    };
    let made: Option<Vec<Scenario>> = KINDS
        .iter()
        .map(|kind| of_kind(endpoint, item, *kind, seed))
        .collect();
    made.unwrap_or_else(|| vec![own])
}

fn of_kind(endpoint: &Endpoint, item: &Item, kind: Kind, seed: u64) -> Option<Scenario> {
    let slot = text_slots(endpoint, &item.request).into_iter().next()?;
    // Six characters for each word.
    let words = u64::from(kind.words).min(slot.chars_max / 6).max(2) as u32;
    let items = (0..PROMPTS)
        .map(|number| {
            let bits = draw(seed, &[number, u64::from(kind.words)]);
            let mut made = item.clone();
            made.request = slot.with(&item.request, &plain_text(bits, words))?;
            let stream = made.expect.stream.as_mut()?;
            let Body::Text(text) = &made.request.body else {
                return None;
            };
            let mut body: Value = serde_json::from_str(text).ok()?;
            limit(stream.protocol, &mut body, kind.tokens)?;
            stream.max_tokens = Some(kind.tokens);
            made.request.body = Body::text(body.to_string());
            Some(made)
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Scenario::new(format!("{} {}", endpoint.name, kind.name), items))
}
