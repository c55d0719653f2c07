//! One answer in the making: what it says next and when, and what its record says. It is told the time and writes into memory; it knows
//! no sockets.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Arc;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::account::{Account, Leaving, Record};
use super::answers::Answer;
use super::asked::Asked;
use super::pacing::{Opening, Pacing, Telling};
use super::script::Script;
use crate::law::mix;
use crate::stream_fault::{Act, Fault, Kind, Mangler, Orders, Zip};

/// Bytes written at once where much is due.
const WRITE_MAX: usize = 64 * 1024;
/// Most tokens of an answer that is no stream: while it is put together, no stream gets a token.
const WHOLE_MAX: u64 = 16_384;
/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;

/// Where an answer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is more to come.
    More,
    /// It has said everything, and this is how it ended.
    Ended(&'static str),
    /// The connection ends in the middle of it, with a reset or without.
    Cut(bool),
}

/// One answer.
#[derive(Debug)]
pub(super) struct Live {
    /// What is known of it.
    pub(super) record: Record,
    /// In events.
    stream: bool,
    /// Whether the connection ends with it.
    close: bool,
    script: Script,
    pacing: Arc<Pacing>,
    opening: Opening,
    rng: ChaCha8Rng,
    /// Its next event with tokens.
    due_ns: u64,
    /// Its next comment.
    comment_ns: u64,
    /// Whether the opening events have left.
    opened: bool,
    /// When its last event was meant to leave, and left.
    before: Option<(u64, u64)>,
    faulty: Option<Faulty>,
}

/// What is done to an answer on purpose.
#[derive(Debug)]
struct Faulty {
    orders: Orders,
    mangler: Mangler,
    zip: Option<Zip>,
    /// What is to be done next.
    acts: VecDeque<Act>,
    /// Until when nothing is done.
    resume_ns: Option<u64>,
    /// The head has not left yet.
    headless: bool,
    /// The event with tokens that leaves with the next write: when it was meant to, and how many.
    tokens: Option<(u64, u64)>,
}

impl Live {
    /// For a request that was whole at a time.
    pub(super) fn new(
        asked: &Asked,
        pacing: &Arc<Pacing>,
        mut record: Record,
        orders: &Orders,
        seed: u64,
        close: bool,
    ) -> Self {
        let most = if asked.stream { u64::MAX } else { WHOLE_MAX };
        let tokens = asked.tokens.unwrap_or(pacing.tokens).min(most);
        let usage = match pacing.usage {
            Telling::Asked => asked.usage,
            Telling::Always => true,
            Telling::Never => false,
        };
        record.tokens = tokens;
        record.chunk = orders.chunk().unwrap_or(pacing.chunk);
        record.path = asked.dialect.path();
        record.faults = orders.texts();
        let arrived = record.arrived_ns;
        let events = tokens.div_ceil(record.chunk);
        let mut live = Self {
            stream: asked.stream,
            close,
            script: Script::new(asked, record.seq, tokens, usage),
            opening: if orders.has(&Fault::RoleEarly) {
                Opening::First
            } else {
                pacing.opening
            },
            rng: ChaCha8Rng::seed_from_u64(mix(seed, record.seq)),
            due_ns: arrived + pacing.ttft_ns,
            comment_ns: match pacing.keepalive_ns {
                0 => u64::MAX,
                every => arrived + every,
            },
            opened: false,
            before: None,
            faulty: None,
            pacing: Arc::clone(pacing),
            record,
        };
        if live.stream {
            live.record.events.reserve_exact(events.min(4096) as usize);
            live.faulty = Mangler::new(orders, asked.dialect.of_faults(), events).map(|mangler| {
                let delay = orders.head_delay_ms() * MS;
                live.due_ns = live.due_ns.max(arrived + delay);
                Faulty {
                    orders: orders.clone(),
                    mangler,
                    zip: orders.has(&Fault::Gzip).then(Zip::new),
                    acts: VecDeque::new(),
                    resume_ns: (delay > 0).then_some(arrived + delay),
                    headless: delay > 0,
                    tokens: None,
                }
            });
        } else {
            // The answer leaves when its last token would have.
            live.comment_ns = u64::MAX;
            for _ in 1..events {
                live.due_ns += pacing.gap_ns(&mut live.rng);
            }
        }
        live
    }

    /// When it has something to do again; never at the end of time.
    pub(super) fn next_ns(&self) -> u64 {
        let resume = self.faulty.as_ref().and_then(|faulty| faulty.resume_ns);
        resume.unwrap_or_else(|| self.due_ns.min(self.comment_ns))
    }

    /// What it says as soon as it is asked.
    pub(super) fn begin(&mut self, now_ns: u64, account: &Account, out: &mut Vec<u8>) {
        if self.stream && !self.faulty.as_ref().is_some_and(|faulty| faulty.headless) {
            self.head(now_ns, out);
            // What is laid out so far are the opening events, which cannot end it.
            self.carry_out(now_ns, account, out);
        }
    }

    fn head(&mut self, now_ns: u64, out: &mut Vec<u8>) {
        let orders = self.faulty.as_ref().map(|faulty| &faulty.orders);
        let kind = orders.and_then(Orders::content_type);
        let zipped = orders.is_some_and(|orders| orders.has(&Fault::Gzip));
        // Writing to memory cannot fail.
        let _ = write!(
            out,
            "HTTP/1.1 200 OK\r\ncontent-type: {}\r\ncache-control: no-cache\r\nx-request-id: {}\r\n{}{}\
             transfer-encoding: chunked\r\n\r\n",
            kind.as_deref().unwrap_or("text/event-stream; charset=utf-8"),
            self.record.id,
            if zipped { "content-encoding: gzip\r\n" } else { "" },
            if self.close { "connection: close\r\n" } else { "" }
        );
        if self.opening == Opening::First {
            self.open(now_ns, out);
        }
    }

    fn open(&mut self, now_ns: u64, out: &mut Vec<u8>) {
        self.opened = true;
        self.record.opened_ns = Some(now_ns.saturating_sub(self.record.arrived_ns));
        for event in self.script.opening(self.opening == Opening::Never) {
            match &mut self.faulty {
                None => chunk(event.as_bytes(), out),
                Some(faulty) => {
                    let (acts, _) = faulty.mangler.pass(Kind::Opening, &event);
                    faulty.acts.extend(acts);
                }
            }
        }
    }

    /// Says what is due.
    pub(super) fn fire(
        &mut self,
        now_ns: u64,
        account: &Account,
        text: &mut String,
        out: &mut Vec<u8>,
    ) -> Progress {
        loop {
            if let Some(progress) = self.carry_out(now_ns, account, out) {
                return progress;
            }
            if self.next_ns() > now_ns || out.len() >= WRITE_MAX {
                return Progress::More;
            }
            if self.comment_ns < self.due_ns {
                self.comment_ns += self.pacing.keepalive_ns;
                self.comment(out);
                continue;
            }
            if !self.stream {
                self.leave(now_ns, self.due_ns, self.record.tokens, account);
                Answer::new(200, self.script.whole()).write(&self.record.id, self.close, out);
                return Progress::Ended("whole");
            }
            if !self.opened {
                self.open(now_ns, out);
            }
            let first = self.record.tokens_sent;
            let count = self.record.chunk.min(self.record.tokens - first);
            text.clear();
            self.script.tokens(first, count, text);
            let last = first + count == self.record.tokens;
            if self.faulty.is_some() {
                self.spoil(text, count, last);
                continue;
            }
            chunk(text.as_bytes(), out);
            self.leave(now_ns, self.due_ns, count, account);
            if last {
                for event in self.script.closing() {
                    chunk(event.as_bytes(), out);
                }
                out.extend_from_slice(b"0\r\n\r\n");
                return Progress::Ended("whole");
            }
            self.due_ns += self.pacing.gap_ns(&mut self.rng);
        }
    }

    fn leave(&mut self, now_ns: u64, intended_ns: u64, tokens: u64, account: &Account) {
        let event = Leaving {
            intended_ns,
            sent_ns: now_ns,
            before: self.before,
        };
        account.leave(&mut self.record, event, tokens);
        self.before = Some((intended_ns, now_ns));
    }

    fn comment(&mut self, out: &mut Vec<u8>) {
        const COMMENT: &[u8] = b": keepalive\n\n";
        match &mut self.faulty {
            None => chunk(COMMENT, out),
            Some(faulty) => faulty.acts.push_back(Act::Write(COMMENT.to_vec())),
        }
    }

    /// Lays out what becomes of an event whose answer has faults.
    fn spoil(&mut self, text: &str, count: u64, last: bool) {
        let Some(faulty) = &mut self.faulty else {
            return;
        };
        let (acts, sent) = faulty.mangler.pass(Kind::Tokens, text);
        let wait = |act: &Act| match act {
            Act::Wait(ms) => ms * MS,
            _ => 0,
        };
        let before: u64 = acts
            .iter()
            .take_while(|act| !matches!(act, Act::Write(_)))
            .map(wait)
            .sum();
        let all: u64 = acts.iter().map(wait).sum();
        faulty.tokens = sent.then_some((self.due_ns + before, count));
        faulty.acts.extend(acts);
        if last && !faulty.mangler.is_over() {
            for event in self.script.closing() {
                let (acts, _) = faulty.mangler.pass(Kind::Closing, &event);
                faulty.acts.extend(acts);
            }
            faulty.acts.push_back(Act::End);
        }
        self.due_ns += all + self.pacing.gap_ns(&mut self.rng);
    }

    /// Does what is laid out, as far as it may be done now; tells where it stands unless more can be laid out.
    fn carry_out(&mut self, now_ns: u64, account: &Account, out: &mut Vec<u8>) -> Option<Progress> {
        let faulty = self.faulty.as_mut()?;
        let mut meant_ns = now_ns;
        if let Some(resume_ns) = faulty.resume_ns {
            if resume_ns > now_ns {
                return Some(Progress::More);
            }
            meant_ns = resume_ns;
            faulty.resume_ns = None;
            if std::mem::take(&mut faulty.headless) {
                self.head(now_ns, out);
            }
        }
        loop {
            let faulty = self.faulty.as_mut()?;
            let zip = |zip: &mut Option<Zip>, bytes: Vec<u8>| match zip {
                Some(zip) => zip.piece(&bytes),
                None => bytes,
            };
            match faulty.acts.pop_front()? {
                Act::Write(bytes) => {
                    chunk(&zip(&mut faulty.zip, bytes), out);
                    if let Some((intended_ns, count)) = faulty.tokens.take() {
                        self.leave(now_ns, intended_ns, count, account);
                    }
                }
                Act::Wait(ms) => {
                    faulty.resume_ns = Some(meant_ns + ms * MS);
                    return Some(Progress::More);
                }
                Act::WaitForEver => {
                    faulty.resume_ns = Some(u64::MAX);
                    return Some(Progress::More);
                }
                Act::End => {
                    if let Some(zip) = &mut faulty.zip {
                        chunk(&zip.end(), out);
                    }
                    out.extend_from_slice(b"0\r\n\r\n");
                    let cut = faulty.mangler.is_over();
                    return Some(Progress::Ended(if cut { "faulted" } else { "whole" }));
                }
                Act::Fin(bytes) => {
                    let mut whole = Vec::new();
                    chunk(&zip(&mut faulty.zip, bytes), &mut whole);
                    out.extend_from_slice(&whole[..whole.len() / 2]);
                    return Some(Progress::Cut(false));
                }
                Act::Reset => return Some(Progress::Cut(true)),
            }
        }
    }
}

/// One chunk of a body in chunks; nothing for nothing, which would end the body.
fn chunk(bytes: &[u8], out: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    // Writing to memory cannot fail.
    let _ = write!(out, "{:x}\r\n", bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paced::asked::Dialect;
    use crate::preset::preset;
    use crate::settings::Settings;

    #[test]
    fn a_whole_answer_has_a_bound_of_its_own() {
        let pacing = Arc::new(Pacing::new(&Settings::new(preset("truth").unwrap(), &[]).unwrap()).unwrap());
        let tokens = |stream: bool, asked: u64| {
            let body = format!(r#"{{"prompt":"a","stream":{stream},"max_tokens":{asked}}}"#);
            let asked = Asked::read(Dialect::Completions, body.as_bytes()).unwrap();
            let orders = Orders::default();
            Live::new(&asked, &pacing, Record::default(), &orders, 1, false)
                .record
                .tokens
        };
        assert_eq!((tokens(false, 7), tokens(true, 1_000_000)), (7, 1_000_000));
        assert_eq!(tokens(false, 1_000_000), WHOLE_MAX);
    }
}
