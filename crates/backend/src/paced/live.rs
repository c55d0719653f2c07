//! One answer in the making: what it says next and when, and what its record says. It is told the time and writes into memory; it knows
//! no sockets.

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

/// Bytes written at once where much is due.
const WRITE_MAX: usize = 64 * 1024;

/// Where an answer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is more to come.
    More,
    /// It has said everything.
    Ended,
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
    rng: ChaCha8Rng,
    /// Its next event with tokens.
    due_ns: u64,
    /// Its next comment.
    comment_ns: u64,
    /// Whether the opening events have left.
    opened: bool,
    /// When its last event was meant to leave, and left.
    before: Option<(u64, u64)>,
}

impl Live {
    /// For a request that was whole at a time.
    pub(super) fn new(
        asked: &Asked,
        pacing: &Arc<Pacing>,
        mut record: Record,
        seed: u64,
        close: bool,
    ) -> Self {
        let tokens = asked.tokens.unwrap_or(pacing.tokens);
        let usage = match pacing.usage {
            Telling::Asked => asked.usage,
            Telling::Always => true,
            Telling::Never => false,
        };
        record.tokens = tokens;
        record.chunk = pacing.chunk;
        record.path = asked.dialect.path();
        let arrived = record.arrived_ns;
        let mut live = Self {
            stream: asked.stream,
            close,
            script: Script::new(asked, record.seq, tokens, usage),
            rng: ChaCha8Rng::seed_from_u64(mix(seed, record.seq)),
            due_ns: arrived + pacing.ttft_ns,
            comment_ns: match pacing.keepalive_ns {
                0 => u64::MAX,
                every => arrived + every,
            },
            opened: false,
            before: None,
            pacing: Arc::clone(pacing),
            record,
        };
        if live.stream {
            live.record
                .events
                .reserve_exact(tokens.div_ceil(pacing.chunk).min(4096) as usize);
        } else {
            // The answer leaves when its last token would have.
            live.comment_ns = u64::MAX;
            for _ in 1..tokens.div_ceil(pacing.chunk) {
                live.due_ns += pacing.gap_ns(&mut live.rng);
            }
        }
        live
    }

    /// When it has something to say again.
    pub(super) fn next_ns(&self) -> u64 {
        self.due_ns.min(self.comment_ns)
    }

    /// What it says as soon as it is asked.
    pub(super) fn begin(&mut self, now_ns: u64, out: &mut Vec<u8>) {
        if !self.stream {
            return;
        }
        // Writing to memory cannot fail.
        let _ = write!(
            out,
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n\
             x-request-id: {}\r\n{}transfer-encoding: chunked\r\n\r\n",
            self.record.id,
            if self.close { "connection: close\r\n" } else { "" }
        );
        if self.pacing.opening == Opening::First {
            self.open(now_ns, out);
        }
    }

    fn open(&mut self, now_ns: u64, out: &mut Vec<u8>) {
        self.opened = true;
        self.record.opened_ns = Some(now_ns.saturating_sub(self.record.arrived_ns));
        for event in self.script.opening(self.pacing.opening == Opening::Never) {
            chunk(event.as_bytes(), out);
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
        while self.next_ns() <= now_ns && out.len() < WRITE_MAX {
            if self.comment_ns < self.due_ns {
                self.comment_ns += self.pacing.keepalive_ns;
                chunk(b": keepalive\n\n", out);
                continue;
            }
            let event = Leaving {
                intended_ns: self.due_ns,
                sent_ns: now_ns,
                before: self.before,
            };
            if !self.stream {
                let all = self.record.tokens;
                account.leave(&mut self.record, event, all);
                Answer::new(200, self.script.whole()).write(&self.record.id, self.close, out);
                return Progress::Ended;
            }
            if !self.opened {
                self.open(now_ns, out);
            }
            let first = self.record.tokens_sent;
            let count = self.pacing.chunk.min(self.record.tokens - first);
            text.clear();
            self.script.tokens(first, count, text);
            chunk(text.as_bytes(), out);
            account.leave(&mut self.record, event, count);
            self.before = Some((self.due_ns, now_ns));
            if self.record.tokens_sent == self.record.tokens {
                for event in self.script.closing() {
                    chunk(event.as_bytes(), out);
                }
                out.extend_from_slice(b"0\r\n\r\n");
                return Progress::Ended;
            }
            self.due_ns += self.pacing.gap_ns(&mut self.rng);
        }
        Progress::More
    }
}

/// One chunk of a body in chunks.
fn chunk(bytes: &[u8], out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = write!(out, "{:x}\r\n", bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}
