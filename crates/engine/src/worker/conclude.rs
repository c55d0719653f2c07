//! What a complete answer comes to, whatever protocol brought it: a redirect to follow, or a judgement. Does no I/O.

use prony_model::{Nanos, Outcome, SampleFlags};
use prony_wire::http1::{Head, request_line};

use super::Worker;
use super::call::{Call, Detour};
use super::capture::Ending;
use super::sign;
use crate::bodies;

/// Where a redirect leads.
enum Lead {
    /// To this request, by that way.
    To(u16, Box<Detour>),
    /// Where nothing is sent: why, in words after those of the status.
    Away(String),
    /// In circles.
    Circle(String),
}

impl Worker<'_> {
    /// A complete answer: follow it, or judge it. `ending` has its status and length.
    pub(super) fn conclude(&mut self, mut call: Box<Call>, head: &Head, mut ending: Ending, now: Nanos) {
        let prepared = self.prepared;
        let plan = prepared.item(call.scenario, call.item);
        if call.journey.is_some() {
            self.take_cookies(&mut call);
        }
        let mut left = None;
        if (300..400).contains(&head.status)
            && prepared.limits.redirects_max > 0
            && !plan.checks.accepts(head.status)
            && let Some(location) = head.location
        {
            let location = String::from_utf8_lossy(location.of(&call.answer.head)).into_owned();
            match self.follow(&call, head, &location) {
                Lead::To(route, detour) => {
                    call.route = route;
                    call.detour = Some(detour);
                    call.answer.clear();
                    call.first_byte = Nanos::ZERO;
                    call.flags.insert(SampleFlags::REDIRECTED);
                    return self.place(call);
                }
                Lead::Away(why) => left = Some(why),
                Lead::Circle(error) => {
                    ending.outcome = Outcome::RedirectLoop;
                    ending.error = error;
                    return self.end(call, &ending, now);
                }
            }
        }
        let content_type = head
            .content_type
            .map_or(&[][..], |span| span.of(&call.answer.head));
        let (outcome, error) = if plan.checks.are_of_status_alone() {
            plan.checks.judge_status(head.status)
        } else {
            let marks = self.marks(&call);
            let lines = plan.checks.needs_lines.then(|| call.answer.headers());
            plan.checks.judge(&bodies::Answer {
                marks: &marks,
                status: head.status,
                content_type,
                body: &call.answer.body,
                body_bytes: ending.body_bytes,
                digest: call.answer.digest(),
                lines: lines.as_deref().unwrap_or_default(),
                has_trailers: call.answer.has_trailers(),
            })
        };
        (ending.outcome, ending.error) = match &mut call.answer.meter {
            Some(meter) if outcome == Outcome::Ok => meter.judge(content_type),
            _ => (outcome, error),
        };
        if let Some(why) = left.filter(|_| ending.outcome == Outcome::Status3xx) {
            ending.error.push_str(&why);
        }
        if ending.outcome != Outcome::Ok && plan.signed {
            ending
                .error
                .push_str(&sign::reason(head.status, &call.answer.body));
        }
        self.end(call, &ending, now);
    }

    /// An answer that broke off. A stream whose terminal marker had come is complete all the same: what broke off is only
    /// the end of the transport. How long we waited in vain for that end is not the target's time.
    pub(super) fn broke_off(&mut self, mut call: Box<Call>, head: Option<Head>, ending: Ending, now: Nanos) {
        let transport = matches!(
            ending.outcome,
            Outcome::Reset | Outcome::Truncated | Outcome::BodyTimeout | Outcome::Malformed
        );
        match head {
            Some(head) if transport && call.answer.is_over() => {
                if ending.outcome == Outcome::BodyTimeout {
                    call.answer.ended_with_its_marker();
                }
                self.conclude(call, &head, ending, now);
            }
            _ => self.end(call, &ending, now),
        }
    }

    /// Where a redirect leads.
    fn follow(&self, call: &Call, head: &Head, location: &str) -> Lead {
        let prepared = self.prepared;
        let planned = prepared.item(call.scenario, call.item);
        let (from, hops) = match &call.detour {
            Some(detour) => (detour.target.as_str(), detour.hops),
            None => (planned.target.as_str(), 0),
        };
        let sent = call.detour.as_ref().map_or(planned.bytes(false), |detour| {
            detour.plain.as_ref().unwrap_or(&detour.bytes)
        });
        let Some(url) = prepared.route(call.route).origin.follow(from, location) else {
            return Lead::Away("; where it leads is no URL".to_owned());
        };
        // A signature is good for one address.
        if planned.signed {
            return Lead::Away("; a signed request is not sent elsewhere".to_owned());
        }
        let Some((route, target)) = prepared.way_to(call.route, &url) else {
            let server = if url.has_host() {
                url.origin().ascii_serialization()
            } else {
                format!("{}:", url.scheme())
            };
            let server: String = server.chars().take(200).collect();
            return Lead::Away(format!(
                "; it leads to {server}, which is neither the target nor an origin that was named"
            ));
        };
        if hops >= prepared.limits.redirects_max {
            return Lead::Circle(format!("more than {} redirects", prepared.limits.redirects_max));
        }
        let way = (call.route, route);
        let next = prepared.redirected(call.scenario, way, sent, head.status, &target);
        let Ok((plain, no_body)) = next else {
            return Lead::Away("; it leads to what HTTP does not allow as a path".to_owned());
        };
        let cookies = call.journey.as_ref().and_then(|journey| journey.cookies());
        let is_same = way.0 == way.1 && target == from && request_line(&plain).0 == request_line(sent).0;
        // Where cookies are kept the same request may be answered otherwise the next time.
        if is_same && head.status != 303 && cookies.is_none() {
            return Lead::Circle("it redirects to itself".to_owned());
        }
        let to = prepared.route(route);
        let carried = cookies.and_then(|cookies| cookies.carried(route, &to.origin, &plain));
        let (bytes, plain) = match carried {
            Some(bytes) => (bytes, Some(plain)),
            None => (plain, None),
        };
        match to.in_http2(&bytes) {
            Ok(http2) => Lead::To(
                route,
                Box::new(Detour {
                    bytes,
                    http2,
                    target,
                    no_body,
                    hops: hops + 1,
                    plain,
                }),
            ),
            Err(_) => Lead::Away("; HTTP/2 cannot say the request that it leads to".to_owned()),
        }
    }
}
