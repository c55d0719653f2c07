//! Requests that are signed when they are sent, and what a store says when it refuses one. Does no I/O; it knows the time of day,
//! and no keys beyond those of its route.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use prony_model::Outcome;

use super::Worker;
use super::call::{Call, Detour};
use super::capture::Ending;

/// So much of an answer to a signed request is kept, for what it says when it refuses.
pub(super) const REFUSAL_BYTES_MAX: usize = 2 << 10;

/// Longest code of a refusal.
const CODE_CHARS_MAX: usize = 64;

impl Worker<'_> {
    /// Signs a request where its way asks for it. The ending says why that cannot be.
    pub(super) fn sign(&self, call: &mut Call) -> Result<(), Ending> {
        let Some(signer) = &self.prepared.route(call.route).signer else {
            return Ok(());
        };
        let plan = self.prepared.item(call.scenario, call.item);
        let bytes = call
            .detour
            .as_ref()
            .map_or(plan.bytes(false), |d| d.bytes.as_slice());
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_s = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        let made = signer
            .sign(bytes, plan.payload.as_deref(), at_s)
            .map_err(|error| Ending {
                outcome: Outcome::Interrupted,
                status: 0,
                body_bytes: 0,
                error: error.to_string(),
                unconnected: true,
            })?;
        match &mut call.detour {
            Some(detour) => detour.bytes = made,
            None => {
                call.detour = Some(Box::new(Detour {
                    bytes: made,
                    http2: None,
                    // Redirects are not followed from signed requests.
                    target: String::new(),
                    no_body: plan.no_body,
                    hops: 0,
                    plain: None,
                }));
            }
        }
        Ok(())
    }
}

/// What a store says of a refusal, as an addition to its status: the code of its error document.
pub(super) fn reason(status: u16, body: &[u8]) -> String {
    let mut says = String::new();
    if status < 400 {
        return says;
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(REFUSAL_BYTES_MAX)]);
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map(|(code, _)| code);
    let plain = |code: &&str| {
        !code.is_empty() && code.len() <= CODE_CHARS_MAX && code.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    if let Some(code) = code.filter(plain) {
        // Writing to a String cannot fail.
        let _ = write!(says, ": the store says {code}");
    }
    says
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn the_code_of_a_refusal_is_told_and_nothing_else_of_it() {
        let body =
            b"<?xml version=\"1.0\"?>\n<Error><Code>SignatureDoesNotMatch</Code><Message>x</Message></Error>";
        assert_eq!(reason(403, body), ": the store says SignatureDoesNotMatch");
        for (status, body) in [
            (200, &body[..]),
            (403, b"<Error><Code>\x1b[31m</Code></Error>"),
            (403, b"<Code></Code>"),
            (403, b"<Code>no end"),
            (403, b"{\"detail\":\"no\"}"),
        ] {
            assert_eq!(reason(status, body), "", "{body:?}");
        }
    }
}
