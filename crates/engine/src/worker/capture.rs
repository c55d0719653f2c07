//! How a request ended, and the response as it is kept: bounded, without secrets. Does no I/O.

use std::fmt::Write as _;

use prony_model::{Captured, Header, Outcome};

use super::call::Call;
use crate::mask::Masks;

/// How a request ended.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub(super) outcome: Outcome,
    pub(super) status: u16,
    pub(super) body_bytes: u64,
    /// What went wrong, in words; empty when nothing did or nobody asks.
    pub(super) error: String,
    /// Whether no connection could be made for it.
    pub(super) unconnected: bool,
}

/// Largest head of which a captured response has the lines.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Most header lines, and longest value, of a captured response.
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 1024;

/// The response of a call, bounded and without secrets. A `digest` of 0 was not asked for.
pub(super) fn captured(
    call: &Call,
    ending: &Ending,
    digest: u64,
    body_bytes_max: usize,
    masks: &Masks,
) -> Captured {
    let lines = if call.answer.head.len() <= HEAD_BYTES_MAX {
        call.answer.headers()
    } else {
        Vec::new()
    };
    let headers = lines
        .into_iter()
        .take(HEADERS_MAX)
        .map(|(name, value)| {
            let secret = [
                "set-cookie",
                "authorization",
                "proxy-authorization",
                "www-authenticate",
            ];
            let value = if secret.iter().any(|s| name.eq_ignore_ascii_case(s)) {
                "***".to_owned()
            } else {
                let kept = String::from_utf8_lossy(&value[..value.len().min(HEADER_BYTES_MAX)]).into_owned();
                masks.apply(kept, value.len() > HEADER_BYTES_MAX)
            };
            Header { name, value }
        })
        .collect();
    let whole = &call.answer.body;
    let mut kept = &whole[..whole.len().min(body_bytes_max)];
    let text = match std::str::from_utf8(kept) {
        Ok(text) => Some(text),
        // A cut in the middle of a character does not make a text binary.
        Err(e) if e.error_len().is_none() && (kept.len() as u64) < ending.body_bytes => {
            std::str::from_utf8(&kept[..e.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    let mut head = String::new();
    let mut bytes = Vec::new();
    if text.is_none() {
        bytes = kept[..kept.len().min(Captured::BYTES_MAX)].to_vec();
        kept = &kept[..kept.len().min(Captured::HEAD_BYTES_MAX)];
        for byte in kept {
            // Writing to a String cannot fail.
            let _ = write!(head, "{byte:02x}");
        }
    }
    let cut = (kept.len() as u64) < ending.body_bytes;
    let body = text.map_or_else(|| String::from_utf8_lossy(kept).into_owned(), str::to_owned);
    Captured {
        seq: call.order.seq,
        scenario: call.scenario,
        item: call.item,
        status: ending.status,
        outcome: ending.outcome,
        headers,
        cut,
        binary: text.is_none(),
        body: masks.apply(body, cut),
        body_bytes: ending.body_bytes,
        head: masks.apply(head, cut),
        bytes,
        // 0 is that of a body that was not digested.
        digest: if digest == 0 {
            String::new()
        } else {
            format!("{digest:016x}")
        },
        error: masks.apply(ending.error.clone(), false),
    }
}
