//! Text to tokens and back. A token is a run of at most six letters or digits with the space before it, a run of white space, or any
//! other single character: about four bytes of English. What the model says is drawn from the digest of its prompt, so that equal
//! prompts get equal answers. It knows nothing of requests.

/// Longest run of letters in one token.
const RUN_MAX: usize = 6;

/// Marks in a prompt, below every text token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Mark {
    /// Start of everything.
    Begin = 1,
    /// Start of a turn; the role follows.
    Turn = 2,
    /// End of a turn.
    End = 3,
    /// Whose turn.
    System = 4,
    /// Whose turn.
    User = 5,
    /// Whose turn.
    Model = 6,
    /// Whose turn.
    Tool = 7,
    /// A picture, which counts as many tokens.
    Picture = 8,
}

/// Tokens below this one are marks.
const TEXT_FROM: u32 = 16;

/// The words of every answer: at most six letters each, so that each is one token wherever it stands.
const WORDS: [&str; 64] = [
    "water", "light", "stone", "river", "cloud", "field", "house", "paper", "table", "green", "north",
    "small", "early", "quiet", "round", "sharp", "carry", "build", "learn", "write", "count", "order",
    "point", "value", "model", "layer", "cache", "token", "batch", "queue", "block", "state", "often",
    "never", "about", "under", "after", "below", "every", "other", "which", "where", "while", "since",
    "place", "shape", "sound", "trace", "level", "scale", "first", "later", "equal", "known", "given",
    "taken", "found", "holds", "keeps", "moves", "turns", "shows", "makes", "needs",
];

/// Appends the tokens of `text`.
pub(super) fn encode(text: &str, into: &mut Vec<u32>) {
    let mut rest = text;
    while !rest.is_empty() {
        let length = piece(rest);
        into.push(id(&rest[..length]));
        rest = &rest[length..];
    }
}

/// The tokens of `text`, each with its piece.
pub(super) fn pieces(text: &str) -> Vec<(u32, &str)> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(piece(rest));
        found.push((id(piece), piece));
        rest = more;
    }
    found
}

/// Bytes of the first token of a text that is not empty.
fn piece(text: &str) -> usize {
    let word = |text: &str| {
        text.char_indices()
            .take(RUN_MAX)
            .take_while(|(_, letter)| letter.is_alphanumeric())
            .last()
            .map_or(0, |(at, letter)| at + letter.len_utf8())
    };
    if let Some(after) = text.strip_prefix(' ') {
        let length = word(after);
        if length > 0 {
            return length + 1;
        }
    }
    let length = word(text);
    if length > 0 {
        return length;
    }
    let space: usize = text
        .chars()
        .take_while(|letter| letter.is_whitespace())
        .map(char::len_utf8)
        .sum();
    if space > 0 {
        return space;
    }
    text.chars().next().map_or(0, char::len_utf8)
}

/// The token of a piece of text.
fn id(piece: &str) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    for byte in piece.bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    hash.max(TEXT_FROM)
}

/// Continues a chain of digests by some tokens.
pub(super) fn chain(before: u64, tokens: &[u32]) -> u64 {
    tokens.iter().fold(before ^ 0x9e37_79b9_7f4a_7c15, |hash, token| {
        mixed(hash.rotate_left(5) ^ u64::from(*token))
    })
}

/// Spreads every bit over all others (the finaliser of splitmix64).
pub(super) fn mixed(bits: u64) -> u64 {
    let mut bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Why an answer ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// It was complete.
    EndTurn,
    /// It reached the number asked for.
    MaxTokens,
    /// It came to this sequence.
    Sequence(String),
}

/// An answer, token by token.
#[derive(Debug, Clone)]
pub(super) struct Script {
    /// What is seen of it.
    pub(super) text: String,
    /// Where each token ends in `text`; a token that is cut away ends where the one before it does.
    pub(super) ends: Vec<usize>,
    /// The tokens.
    pub(super) ids: Vec<u32>,
    /// Why it ends.
    pub(super) stop: Stop,
}

impl Script {
    /// What the model says to a prompt. Its length lies evenly between half of `middle` and one and a half of it.
    pub(super) fn new(prompt: &[u32], seed: u64, middle: usize, max_tokens: usize, stops: &[String]) -> Self {
        let digest = mixed(chain(0, prompt) ^ mixed(seed));
        let natural = (middle / 2 + (digest % (middle as u64 + 1)) as usize).max(1);
        let mut script = Self {
            text: String::new(),
            ends: Vec::new(),
            ids: Vec::new(),
            stop: if natural > max_tokens {
                Stop::MaxTokens
            } else {
                Stop::EndTurn
            },
        };
        let length = natural.min(max_tokens);
        let mut left_in_sentence = 0;
        let mut state = digest;
        for index in 0..length {
            state = mixed(state);
            let from = script.text.len();
            if index > 0 && (index + 1 == natural || left_in_sentence == 0) {
                script.text.push('.');
                left_in_sentence = 5 + (state % 8) as usize;
            } else {
                if index == 0 {
                    left_in_sentence = 5 + (state >> 32) as usize % 8;
                } else {
                    script.text.push(' ');
                }
                let opens = script.text.trim_end().is_empty() || script.text.trim_end().ends_with('.');
                let word = WORDS[(state % WORDS.len() as u64) as usize];
                if opens {
                    script.text.push_str(&word[..1].to_uppercase());
                    script.text.push_str(&word[1..]);
                } else {
                    script.text.push_str(word);
                }
                left_in_sentence -= 1;
            }
            script.ids.push(id(&script.text[from..]));
            script.ends.push(script.text.len());
            if script.cut(stops) {
                break;
            }
        }
        script
    }

    /// Ends the answer before the earliest stop sequence in it, if there is one.
    fn cut(&mut self, stops: &[String]) -> bool {
        let found = stops
            .iter()
            .filter(|stop| !stop.is_empty())
            .filter_map(|stop| self.text.find(stop.as_str()).map(|at| (at, stop)))
            .min_by_key(|(at, _)| *at);
        let Some((at, stop)) = found else {
            return false;
        };
        self.stop = Stop::Sequence(stop.clone());
        self.text.truncate(at);
        for end in &mut self.ends {
            *end = (*end).min(at);
        }
        true
    }

    /// Tokens of the answer.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// What is seen of the tokens `from..to`.
    pub(super) fn part(&self, from: usize, to: usize) -> &str {
        let end = |count: usize| match count {
            0 => 0,
            _ => self.ends.get(count - 1).copied().unwrap_or(self.text.len()),
        };
        &self.text[end(from)..end(to)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        encode(text, &mut ids);
        ids
    }

    #[test]
    fn tokens_are_short_runs() {
        for (text, count) in [
            ("", 0),
            ("Hello", 1),
            ("Hello world", 2),
            ("internationalisation", 4),
            ("a,b", 3),
            ("a  b\n\nc", 5),
            ("é€😀", 3),
        ] {
            assert_eq!(ids(text).len(), count, "{text}");
        }
        assert_ne!(ids("Hello"), ids(" Hello"));
    }

    #[test]
    fn an_answer_read_again_has_the_tokens_it_was_made_of() {
        for seed in 0..50 {
            let script = Script::new(&ids("What is a cache?"), seed, 200, 4096, &[]);
            assert_eq!(ids(&script.text), script.ids);
            assert!((100..=300).contains(&script.len()), "{}", script.len());
            assert_eq!(script.stop, Stop::EndTurn);
            assert!(script.text.ends_with('.'));
        }
    }

    #[test]
    fn limits_and_stop_sequences_hold() {
        let prompt = ids("Say something.");
        let whole = Script::new(&prompt, 1, 200, 4096, &[]);
        let short = Script::new(&prompt, 1, 200, 10, &[]);
        assert_eq!((short.len(), short.stop.clone()), (10, Stop::MaxTokens));
        assert!(whole.text.starts_with(&short.text));
        let cut = Script::new(
            &prompt,
            1,
            200,
            4096,
            &[". ".to_owned(), "never there".to_owned()],
        );
        assert_eq!(cut.stop, Stop::Sequence(". ".to_owned()));
        assert!(!cut.text.contains('.') && whole.text.starts_with(&cut.text));
        assert_eq!(cut.part(0, cut.len()), cut.text);
        assert_ne!(whole.text, Script::new(&prompt, 2, 200, 4096, &[]).text);
        assert_ne!(
            whole.text,
            Script::new(&ids("Say nothing."), 1, 200, 4096, &[]).text
        );
    }
}
