//! Conversations from a specification: whose text, how long, what they share. It must not know how an API wants them.

use std::path::Path;

use prony_model::{Length, SharedSpec};
use rand::Rng;

use crate::choose::{self, Stream, Zipf};
use crate::count::Counter;
use crate::overlap::shared_beginnings;
use crate::salt::{SALT, clean, salt_words, salted};
use crate::wanted::{self, BYTES_MAX, Wanted};
use crate::{PromptError, dataset, fit, picture, trace};

/// Between two parts of one text.
const SEAM: &str = "\n\n";
/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    System,
    User,
    Assistant,
}

/// What somebody says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) role: Role,
    pub(crate) text: String,
}

impl Message {
    pub(crate) fn new(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            text: text.into(),
        }
    }
}

/// One request of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// How many of the messages it sends.
    pub(crate) messages: usize,
    /// Their tokens, where they are known.
    pub(crate) tokens: Option<u32>,
    /// What an earlier request began with too.
    pub(crate) shared: Option<u32>,
    /// Most tokens of the answer.
    pub(crate) output: u32,
}

/// Messages, and the requests that send them: one, or one for each turn of a session.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conversation {
    pub(crate) model: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) turns: Vec<Turn>,
    /// PNG pictures.
    pub(crate) pictures: Vec<Vec<u8>>,
}

/// All of them, with what is to be said about how they were made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Made {
    pub(crate) conversations: Vec<Conversation>,
    /// The words that a salt is made of; empty without one.
    pub(crate) salt: Vec<String>,
    pub(crate) notes: Vec<String>,
}

/// Makes them.
pub(crate) fn make(wanted: &Wanted<'_>, folder: &Path, seed: u64) -> Result<Made, PromptError> {
    wanted::check(wanted)?;
    let counter = Counter::of(wanted.prompt, folder)?;
    let maker = Maker::new(wanted, &counter, seed)?;
    let mut made = Made {
        salt: maker.salt.clone(),
        ..Made::default()
    };
    let mut bytes = 0;
    let mut add = |made: &mut Made, conversation: Conversation, key: &str| {
        let texts = conversation.messages.iter().map(|m| m.text.len()).sum::<usize>();
        bytes += texts
            + conversation
                .pictures
                .iter()
                .map(|p| p.len() * 4 / 3)
                .sum::<usize>();
        made.conversations.push(conversation);
        if bytes > BYTES_MAX {
            return Err(wanted::too_large(key));
        }
        Ok(())
    };
    if let Some(spec) = &wanted.prompt.trace {
        let rows = trace::read(spec, &folder.join(&spec.file))?;
        let failed = rows.iter().filter(|row| row.output == 0).count();
        if failed > 0 {
            made.notes.push(format!(
                "{failed} rows of the trace are requests that failed: they are sent, and ask for one token"
            ));
        }
        for (k, row) in rows.iter().enumerate() {
            add(&mut made, maker.replayed(row, k as u64), "prompt.trace.file")?;
        }
    } else if let Some(spec) = &wanted.prompt.dataset {
        let turns = wanted.session.map_or(1, |session| session.turns as usize);
        let found = dataset::read(spec, &folder.join(&spec.file), turns, wanted.prompts as usize)?;
        made.notes.extend(found.notes);
        for (k, messages) in found.conversations.into_iter().enumerate() {
            add(
                &mut made,
                maker.given(messages, turns, k as u64),
                "prompt.dataset.file",
            )?;
        }
    } else {
        for k in 0..u64::from(wanted.prompts) {
            add(&mut made, maker.invented(k), "prompts")?;
        }
    }
    maker.count(&mut made);
    made.notes.insert(
        0,
        format!(
            "{} prompts, {:.1} MB, tokens {}",
            made.conversations.len(),
            bytes as f64 / 1e6,
            counter.says()
        ),
    );
    Ok(made)
}

struct Maker<'a> {
    wanted: &'a Wanted<'a>,
    counter: &'a Counter,
    seed: u64,
    /// What every prompt begins with: a place for the salt, the system text.
    head: String,
    /// Its tokens with an example of a salt.
    head_tokens: u32,
    /// The shared beginnings.
    shared: Vec<String>,
    /// How they are used.
    groups: Zipf,
    salt: Vec<String>,
    /// What stands for the salt when tokens are counted.
    example: String,
}

impl<'a> Maker<'a> {
    fn new(wanted: &'a Wanted<'a>, counter: &'a Counter, seed: u64) -> Result<Self, PromptError> {
        let salt = if wanted.prompt.cache_bust {
            salt_words(counter)?
        } else {
            Vec::new()
        };
        let mut maker = Self {
            wanted,
            counter,
            seed,
            head: String::new(),
            head_tokens: 0,
            shared: Vec::new(),
            groups: wanted
                .prompt
                .shared
                .map_or_else(|| Zipf::new(1, 0.0), |s| Zipf::new(s.groups as usize, s.zipf)),
            example: salt.first().map_or_else(String::new, |word| salted(|_| word)),
            salt,
        };
        if !maker.salt.is_empty() {
            maker.head.push(SALT);
        }
        if let Some(system) = wanted.system {
            maker.head.push_str(&clean(system));
            maker.head.push_str(SEAM);
        }
        maker.head_tokens = if maker.head.is_empty() {
            0
        } else {
            counter.count(&maker.plain(&maker.head))
        };
        if let Some(SharedSpec { tokens, groups, .. }) = wanted.prompt.shared {
            let before = maker.plain(&maker.head);
            for k in 0..u64::from(groups) {
                let found = fit::made(
                    counter,
                    &before,
                    maker.word(Stream::Shared, k),
                    maker.head_tokens + tokens,
                );
                maker.shared.push(found.text);
            }
        }
        Ok(maker)
    }

    /// The text with an example of a salt in its place.
    fn plain(&self, text: &str) -> String {
        text.replace(SALT, &self.example)
    }

    /// Where in the corpus a text begins.
    fn word(&self, stream: Stream, k: u64) -> u64 {
        choose::rng(self.seed, stream, k).random()
    }

    fn conversation(&self, messages: Vec<Message>, turns: Vec<Turn>, k: u64) -> Conversation {
        let pictures = self
            .wanted
            .images
            .map_or_else(Vec::new, |images| picture::make(images, self.seed, k));
        Conversation {
            model: choose::model(self.wanted.model, self.seed, k).to_owned(),
            messages,
            turns,
            pictures,
        }
    }

    fn turn(&self, messages: usize, k: u64) -> Turn {
        Turn {
            messages,
            tokens: None,
            shared: None,
            output: choose::length(self.wanted.output, self.seed, Stream::Output, k),
        }
    }

    /// A prompt, or a session, from the built-in text.
    fn invented(&self, k: u64) -> Conversation {
        let turns = self.wanted.session.map_or(1, |session| u64::from(session.turns));
        let (mut messages, mut sent) = (Vec::new(), Vec::new());
        for turn in 0..turns {
            let number = k * turns + turn;
            let mut tokens = choose::length(&self.wanted.prompt.tokens, self.seed, Stream::Prompt, number);
            let mut head = String::new();
            if turn == 0 {
                head.clone_from(&self.head);
                if let Some(shared) = self.wanted.prompt.shared {
                    let group = self.groups.pick(self.seed, Stream::Group, k);
                    head.push_str(&self.shared[group]);
                    if self.wanted.joined {
                        head.push_str(SEAM);
                    } else {
                        tokens -= shared.tokens;
                    }
                }
            }
            let word = self.word(Stream::Passage, number);
            if head.is_empty() || !self.wanted.joined {
                // Messages are counted one by one.
                if !head.is_empty() {
                    messages.push(Message::new(Role::System, head));
                }
                let text = fit::made(self.counter, "", word, tokens).text;
                messages.push(Message::new(Role::User, text));
            } else {
                let tokens = tokens + self.head_tokens;
                let text = fit::made(self.counter, &self.plain(&head), word, tokens).text;
                messages.push(Message::new(Role::User, head + &text));
            }
            sent.push(self.turn(messages.len(), number));
            if let Some(session) = self.wanted.session
                && turn + 1 < turns
            {
                let tokens = choose::length(&session.answer_tokens, self.seed, Stream::Answer, number);
                // Answers are of the same text, from other places.
                let text = fit::made(self.counter, "", word.rotate_left(17), tokens).text;
                messages.push(Message::new(Role::Assistant, text));
            }
        }
        self.conversation(messages, sent, k)
    }

    /// A request of a trace.
    fn replayed(&self, row: &trace::Row, k: u64) -> Conversation {
        let text = if row.blocks.is_empty() {
            let before = if self.wanted.joined {
                self.plain(&self.head)
            } else {
                String::new()
            };
            let tokens = row.input + if self.wanted.joined { self.head_tokens } else { 0 };
            fit::made(self.counter, &before, self.word(Stream::Passage, k), tokens).text
        } else {
            self.blocks(row)
        };
        let mut conversation = self.given(vec![Message::new(Role::User, text)], 1, k);
        conversation.turns[0].output = row.output.max(1);
        conversation
    }

    /// The text of a row's blocks: equal ids, equal text. Its end is fitted so that the whole has the row's length.
    fn blocks(&self, row: &trace::Row) -> String {
        let mut text = String::new();
        let whole = (row.input / row.block_tokens) as usize;
        for id in row.blocks.iter().take(whole) {
            // A blank before the first word keeps it apart from the block before it.
            text.push(' ');
            text += &fit::made(
                self.counter,
                " ",
                self.word(Stream::Shared, *id),
                row.block_tokens,
            )
            .text;
        }
        let last = row.blocks.get(whole).or(row.blocks.last()).copied().unwrap_or(0);
        let rest = row.input.saturating_sub(self.counter.count(&text));
        if rest > 0 {
            text.push(' ');
            text += &fit::made(self.counter, &text, self.word(Stream::Shared, last), row.input).text;
        }
        text
    }

    /// A conversation that somebody else wrote.
    fn given(&self, mut messages: Vec<Message>, turns: usize, k: u64) -> Conversation {
        if turns > 1 {
            // The steps of a session have the same messages in every conversation.
            messages.retain(|message| message.role != Role::System);
        }
        if !self.head.is_empty() {
            match messages.first_mut() {
                Some(first) if self.wanted.joined || first.role == Role::System => {
                    first.text.insert_str(0, &self.head);
                }
                _ => messages.insert(0, Message::new(Role::System, self.head.clone())),
            }
        }
        if self.wanted.joined {
            let texts: Vec<String> = messages.into_iter().map(|m| m.text).collect();
            messages = vec![Message::new(Role::User, texts.join(SEAM))];
        }
        let mut sent = Vec::new();
        for (at, message) in messages.iter().enumerate() {
            let last = at + 1 == messages.len();
            if (turns > 1 && message.role == Role::User) || (turns == 1 && last) {
                sent.push(self.turn(at + 1, k * turns as u64 + sent.len() as u64));
            }
        }
        self.conversation(messages, sent, k)
    }

    /// Counts the tokens of every request, and what it shares with earlier ones.
    fn count(&self, made: &mut Made) {
        if !self.counter.is_exact() {
            return;
        }
        let mut sequences = Vec::new();
        for conversation in &made.conversations {
            let (mut sequence, mut sent) = (Vec::new(), 0);
            for turn in &conversation.turns {
                for message in &conversation.messages[sent..turn.messages] {
                    // No token has such a number: it only tells who speaks.
                    sequence.push(MARK_FROM + message.role as u32);
                    sequence.extend(self.counter.ids(&self.plain(&message.text)));
                }
                sent = turn.messages;
                sequences.push(sequence.clone());
            }
        }
        let shared = shared_beginnings(&sequences);
        let turns = made.conversations.iter_mut().flat_map(|c| &mut c.turns);
        for ((turn, sequence), shared) in turns.zip(&sequences).zip(shared) {
            let tokens = |ids: &[u32]| ids.iter().filter(|id| **id < MARK_FROM).count() as u32;
            turn.tokens = Some(tokens(sequence));
            turn.shared = Some(if self.salt.is_empty() {
                tokens(&sequence[..shared as usize])
            } else {
                0
            });
        }
        self.tell_drift(made);
    }

    /// Says where a length was not met.
    fn tell_drift(&self, made: &mut Made) {
        if self.wanted.prompt.dataset.is_some() || self.wanted.prompt.trace.is_some() {
            return;
        }
        let Length::Constant(tokens) = self.wanted.prompt.tokens else {
            return;
        };
        let first = made.conversations.iter().filter_map(|c| c.turns.first()?.tokens);
        let off = first.filter(|found| *found != tokens + self.head_tokens).count();
        if off > 0 {
            made.notes.push(format!(
                "{off} prompts have another length than the asked: the tokenizer has no text of exactly that length here"
            ));
        }
    }
}

/// Numbers that no token has.
const MARK_FROM: u32 = u32::MAX - 8;
