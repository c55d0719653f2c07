//! The prompts of the cache experiment: texts of an exact length in words that share a beginning, or nothing at all. A pure
//! function of a seed.

use std::fmt::Write as _;

use crate::dzi::mix;

/// Which prompt a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Arm {
    /// Sent to fill the cache; not counted.
    Warm,
    /// Never sent before, from its first word on.
    Miss,
    /// Sent before, word for word.
    Hit,
    /// The beginning was sent before, the last word is new.
    Prefix,
}

/// A request of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Number of the block, from 0.
    pub block: u32,
    /// Its arm.
    pub arm: Arm,
}

/// How often a prompt is sent before it counts as sent before: more than once, for a balancer with a few replicas.
const WARM_SENDS: u32 = 3;
/// Words of five letters: texts of as many words have as many letters, and about as many tokens.
const WORDS: [&str; 64] = [
    "water", "stone", "river", "light", "house", "plant", "train", "glass", "bread", "cloud", "green",
    "north", "paper", "sound", "table", "wheel", "apple", "beach", "chair", "dance", "earth", "field",
    "grass", "heart", "image", "knife", "lemon", "metal", "night", "ocean", "piano", "queen", "round",
    "sheep", "tower", "uncle", "voice", "wheat", "youth", "angle", "brick", "coast", "drift", "eagle",
    "flame", "grain", "horse", "index", "joint", "label", "maple", "noble", "olive", "pearl", "quiet",
    "ridge", "shore", "torch", "urban", "valve", "waves", "yield", "zebra", "cabin",
];

/// The order of the requests: the warm-up, then blocks that hold each arm once, in random order.
pub(super) fn turns(arms: &[Arm], blocks: u32, seed: u64) -> Vec<Turn> {
    let warm = (0..WARM_SENDS).map(|_| Turn {
        block: 0,
        arm: Arm::Warm,
    });
    let mut all: Vec<Turn> = warm.collect();
    for block in 0..blocks {
        let mut order: Vec<(u64, Arm)> = arms
            .iter()
            .enumerate()
            .map(|(i, arm)| (draw(seed, &[u64::from(block), i as u64]), *arm))
            .collect();
        order.sort_unstable();
        all.extend(order.into_iter().map(|(_, arm)| Turn { block, arm }));
    }
    all
}

/// The order of the requests that tell how often a repeated prompt meets the cache: each prompt until it counts as sent
/// before, then so many repeats of them in turn. The block is the number of the prompt.
pub(super) fn repeats(prompts: u32, count: u32) -> Vec<Turn> {
    let warm = (0..WARM_SENDS * prompts).map(|i| Turn {
        block: i % prompts,
        arm: Arm::Warm,
    });
    let again = (0..count).map(|i| Turn {
        block: i % prompts,
        arm: Arm::Hit,
    });
    warm.chain(again).collect()
}

/// Letters and blanks of a text of so many words.
pub(crate) fn letters(words: u32) -> u64 {
    match words {
        0 | 1 => 16,
        words => 33 + 6 * (u64::from(words) - 2),
    }
}

/// The text of a turn: so many words, the same number of letters whatever the arm.
pub(super) fn text(turn: Turn, number: u64, words: u32, seed: u64) -> String {
    let anchor = draw(seed, &[u64::MAX]);
    let fresh = draw(seed, &[number, 1]);
    match turn.arm {
        Arm::Warm | Arm::Hit => sentence(anchor, anchor, words),
        Arm::Prefix => sentence(anchor, fresh, words),
        Arm::Miss => sentence(fresh, fresh, words),
    }
}

/// A text of so many words that these bits decide, new from its first word on.
pub(crate) fn plain_text(bits: u64, words: u32) -> String {
    sentence(bits, bits, words)
}

/// A word of 64 random bits, words of the list, and another such word.
fn sentence(head: u64, tail: u64, words: u32) -> String {
    let mut text = nonce(head);
    for i in 2..words {
        let word = WORDS[(draw(head, &[u64::from(i)]) % WORDS.len() as u64) as usize];
        text.push(' ');
        text.push_str(word);
    }
    if words > 1 {
        text.push(' ');
        text.push_str(&nonce(mix(tail)));
    }
    text
}

/// Sixteen hexadecimal digits.
pub(super) fn nonce(bits: u64) -> String {
    let mut digits = String::with_capacity(16);
    // Writing to a String cannot fail.
    let _ = write!(digits, "{bits:016x}");
    digits
}

/// Random bits that a seed and numbers decide.
pub(crate) fn draw(seed: u64, numbers: &[u64]) -> u64 {
    numbers.iter().fold(mix(seed), |bits, number| {
        mix(bits ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    })
}

#[cfg(test)]
mod tests {
    use super::{Arm, Turn, letters, text, turns};

    #[test]
    fn arms_share_what_they_should_and_are_equally_long() {
        let of = |arm, number| text(Turn { block: 0, arm }, number, 20, 7);
        let (warm, hit, prefix, miss) = (
            of(Arm::Warm, 0),
            of(Arm::Hit, 1),
            of(Arm::Prefix, 2),
            of(Arm::Miss, 3),
        );
        assert_eq!(warm, hit);
        assert_eq!(warm[..warm.len() - 16], prefix[..prefix.len() - 16]);
        assert_ne!(warm, prefix);
        assert_ne!(warm[..16], miss[..16]);
        assert_ne!(of(Arm::Miss, 4), miss);
        for text in [&warm, &prefix, &miss] {
            assert_eq!((text.len() as u64, text.split(' ').count()), (letters(20), 20));
        }
    }

    #[test]
    fn every_block_has_every_arm_in_random_order() {
        let arms = [Arm::Miss, Arm::Hit, Arm::Prefix];
        let all = turns(&arms, 300, 5);
        let blocks: Vec<&[Turn]> = all[3..].chunks(3).collect();
        assert_eq!(blocks.len(), 300);
        for arm in arms {
            let first = blocks.iter().filter(|b| b[0].arm == arm).count();
            // 100 expected, standard deviation 8.2.
            assert!((67..133).contains(&first), "{arm:?} first {first} times");
            assert!(
                blocks
                    .iter()
                    .all(|b| b.iter().filter(|t| t.arm == arm).count() == 1)
            );
        }
        assert_ne!(turns(&arms, 300, 6), all);
    }
}
