//! Text of an exact number of tokens: cut where the tokens say, count again, mend until it is right. Bounded.
//!
//! Cutting a text after its n-th token does not always leave n tokens: the last ones may join differently once what
//! followed is gone, or together with what stands before. So the whole is counted again after each cut.

use crate::corpus::passage;
use crate::count::Counter;

/// Cuts tried around the first one, by characters to both sides.
const CUTS_MAX: usize = 24;
/// Passages tried.
const PASSAGES_MAX: u64 = 8;
/// Doublings of a passage that is too short.
const GROWTHS_MAX: u32 = 12;

/// A text that was fitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fitted {
    /// It.
    pub(crate) text: String,
    /// Tokens of it together with what stands before.
    pub(crate) tokens: u32,
}

/// Text of the corpus, from a word on, that has `tokens` tokens together with what stands `before` it. Where no cut of any
/// passage has so many, the nearest.
pub(crate) fn made(counter: &Counter, before: &str, word: u64, tokens: u32) -> Fitted {
    let mut nearest: Option<Fitted> = None;
    for attempt in 0..PASSAGES_MAX {
        // A prime number of words further on.
        let word = word.wrapping_add(attempt * 7_919);
        let found = cut(counter, before, tokens, |chars| passage(word, chars));
        if found.tokens == tokens {
            return found;
        }
        if nearest
            .as_ref()
            .is_none_or(|best| best.tokens.abs_diff(tokens) > found.tokens.abs_diff(tokens))
        {
            nearest = Some(found);
        }
    }
    nearest.unwrap_or(Fitted {
        text: String::new(),
        tokens: counter.count(before),
    })
}

/// The beginning of `source` (given how many characters are wanted) that has `tokens` tokens together with what stands
/// before it, or the nearest that was tried.
fn cut(counter: &Counter, before: &str, tokens: u32, source: impl Fn(usize) -> String) -> Fitted {
    let wanted = tokens as usize;
    let mut chars = wanted * 5 + 64;
    let (mut text, mut ends) = (String::new(), Vec::new());
    for _ in 0..GROWTHS_MAX {
        text = format!("{before}{}", source(chars));
        ends = counter.ends(&text);
        if ends.len() > wanted {
            break;
        }
        chars *= 2;
    }
    let first = match wanted.checked_sub(1).and_then(|k| ends.get(k)) {
        Some(end) => *end,
        None if wanted == 0 => 0,
        None => text.len(),
    };
    let mut best: Option<(u32, usize)> = None;
    for at in around(&text, first, before.len()) {
        let found = counter.count(&text[..at]);
        let off = found.abs_diff(tokens);
        if best.is_none_or(|(best, _)| off < best) {
            best = Some((off, at));
        }
        if off == 0 {
            break;
        }
    }
    let at = best.map_or(before.len(), |(_, at)| at);
    Fitted {
        tokens: counter.count(&text[..at]),
        text: text[before.len()..at].to_owned(),
    }
}

/// Places to cut a text: the first, then further and further from it to both sides, never before `from`.
fn around(text: &str, first: usize, from: usize) -> impl Iterator<Item = usize> + '_ {
    let floor = (0..=first.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    let forward = (floor + 1..=text.len()).filter(|at| text.is_char_boundary(*at));
    let backward = (0..floor).rev().filter(|at| text.is_char_boundary(*at));
    let mut forward = forward.take(CUTS_MAX);
    let mut backward = backward.take(CUTS_MAX);
    let mut turn = false;
    let rest = std::iter::from_fn(move || {
        turn = !turn;
        if turn {
            forward.next().or_else(|| backward.next())
        } else {
            backward.next().or_else(|| forward.next())
        }
    });
    std::iter::once(floor).chain(rest).filter(move |at| *at >= from)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};
    use tokenizers::Tokenizer;

    use super::{Fitted, made};
    use crate::corpus::passage;
    use crate::count::Counter;

    /// The tokenizer of the examples with a token for two line breaks, which common vocabularies have: a text that ends with
    /// them then has one token less than where it goes on.
    fn joining() -> Counter {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../suites/examples/data/tokenizer.json");
        let mut spec: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        spec["model"]["vocab"]["\u{10a}\u{10a}"] = json!(2_000);
        let merges = spec["model"]["merges"].as_array_mut().unwrap();
        merges.push(json!(["\u{10a}", "\u{10a}"]));
        Counter::File(Box::new(Tokenizer::from_bytes(spec.to_string()).unwrap()))
    }

    #[test]
    fn a_cut_that_misses_is_mended() {
        let counter = joining();
        let text = passage(5, 4_000);
        let ends = counter.ends(&text);
        let missed: Vec<usize> = (1..160)
            .filter(|n| counter.count(&text[..ends[n - 1]]) as usize != *n)
            .collect();
        assert!(!missed.is_empty(), "this tokenizer would need no mending");
        for tokens in missed.into_iter().chain(1..20).map(|n| n as u32) {
            let found = made(&counter, "", 5, tokens);
            assert_eq!((found.tokens, counter.count(&found.text)), (tokens, tokens));
        }
    }

    #[test]
    fn what_stands_before_is_counted_too() {
        let counter = joining();
        let before = "A system text.\n";
        let own = counter.count(before);
        for tokens in own..own + 30 {
            let found = made(&counter, before, 9, tokens);
            assert_eq!(counter.count(&format!("{before}{}", found.text)), tokens);
        }
        // Less than what is there already: nothing is added, and the truth is told.
        let least = made(&counter, before, 9, 1);
        assert_eq!(
            least,
            Fitted {
                text: String::new(),
                tokens: own
            }
        );
    }

    #[test]
    fn estimates_are_by_characters() {
        let counter = Counter::Ratio(4.0);
        let found = made(&counter, "", 3, 25);
        assert_eq!((found.tokens, found.text.len()), (25, 100));
    }
}
