//! What a complete answer comes to, whatever protocol brought it: a redirect to follow, or a judgement. Does no I/O.

use prony_model::{Nanos, Outcome, SampleFlags};
use prony_wire::http1::Head;

use super::Worker;
use super::call::{Call, Detour};
use super::capture::Ending;
use super::sign;
use crate::bodies;

impl Worker<'_> {
    /// A complete answer: follow it, or judge it. `ending` has its status and length.
    pub(super) fn conclude(&mut self, mut call: Box<Call>, head: &Head, mut ending: Ending, now: Nanos) {
        let prepared = self.prepared;
        let plan = prepared.item(call.scenario, call.item);
        if (300..400).contains(&head.status)
            && prepared.limits.redirects_max > 0
            && !plan.checks.accepts(head.status)
            && let Some(location) = head.location
        {
            let location = String::from_utf8_lossy(location.of(&call.answer.head)).into_owned();
            match self.follow(&call, head, &location) {
                Ok(Some(detour)) => {
                    call.detour = Some(Box::new(detour));
                    call.answer.clear();
                    call.flags.insert(SampleFlags::REDIRECTED);
                    return self.place(call);
                }
                Ok(None) => {}
                Err(error) => {
                    ending.outcome = Outcome::RedirectLoop;
                    ending.error = error;
                    return self.end(call, &ending, now);
                }
            }
        }
        let content_type = head
            .content_type
            .map_or(&[][..], |span| span.of(&call.answer.head));
        let marks = self.marks(&call);
        let lines = plan.checks.needs_lines.then(|| call.answer.headers());
        let (outcome, error) = plan.checks.judge(&bodies::Answer {
            marks: &marks,
            status: head.status,
            content_type,
            body: &call.answer.body,
            body_bytes: ending.body_bytes,
            digest: call.answer.digest(),
            lines: lines.as_deref().unwrap_or_default(),
            has_trailers: call.answer.has_trailers(),
        });
        (ending.outcome, ending.error) = match &mut call.answer.meter {
            Some(meter) if outcome == Outcome::Ok => meter.judge(content_type),
            _ => (outcome, error),
        };
        if ending.outcome != Outcome::Ok && plan.signed {
            ending
                .error
                .push_str(&sign::reason(head.status, &call.answer.body));
        }
        self.end(call, &ending, now);
    }

    /// An answer that broke off. A stream whose terminal marker had come is complete all the same: what broke off is only
    /// the end of the transport.
    pub(super) fn broke_off(&mut self, call: Box<Call>, head: Option<Head>, ending: Ending, now: Nanos) {
        let transport = matches!(
            ending.outcome,
            Outcome::Reset | Outcome::Truncated | Outcome::BodyTimeout | Outcome::Malformed
        );
        match head {
            Some(head) if transport && call.answer.is_over() => self.conclude(call, &head, ending, now),
            _ => self.end(call, &ending, now),
        }
    }

    /// The next request of a redirect that stays at home; `None` when it leaves; an error when it goes in circles.
    fn follow(&self, call: &Call, head: &Head, location: &str) -> Result<Option<Detour>, String> {
        let prepared = self.prepared;
        let (from, hops) = match &call.detour {
            Some(detour) => (detour.target.as_str(), detour.hops),
            None => (prepared.item(call.scenario, call.item).target.as_str(), 0),
        };
        let route = prepared.route(call.route);
        // A signature is good for one address.
        let Some(target) = route
            .origin
            .follow(from, location)
            .filter(|_| route.signer.is_none())
        else {
            return Ok(None);
        };
        let shown: String = target.chars().take(200).collect();
        if target == from && head.status != 303 {
            return Err(format!("{shown} redirects to itself"));
        }
        if hops >= prepared.limits.redirects_max {
            return Err(format!(
                "more than {} redirects, the last to {shown}",
                prepared.limits.redirects_max
            ));
        }
        let next = prepared
            .redirected(call.scenario, call.item, head.status, &target)
            .and_then(|(bytes, no_body)| Ok((route.in_http2(&bytes)?, bytes, no_body)));
        match next {
            Ok((http2, bytes, no_body)) => Ok(Some(Detour {
                bytes,
                http2,
                target,
                no_body,
                hops: hops + 1,
            })),
            Err(_) => Ok(None),
        }
    }
}
