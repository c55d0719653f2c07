//! An arrival that may take several requests: the steps of a flow, the polls of a step, the attempts at either. Each
//! request has its own sample, and the arrival one more. Does no I/O.

use std::cmp::Ordering;

use prony_model::{Nanos, Outcome, Sample, SampleFlags, Secret};
use prony_wire::http1::request_line;

use super::Worker;
use super::call::{Answer, Call, Detour, Order};
use super::capture::Ending;
use super::retry::{self, Failure};
use crate::choice::{Pick, mix};
use crate::cookies::Cookies;
use crate::feed::Who;
use crate::script::{Bring, From, Script, Step};
use crate::table::scalar;

/// Longest value that is carried from one step to the next.
const CARRIED_BYTES_MAX: usize = 64 << 10;

/// An arrival under way.
#[derive(Debug)]
pub(super) struct Journey {
    /// As the schedule gave it.
    order: Order,
    pick: Pick,
    /// The step it is at.
    item: u32,
    attempt: u8,
    polls: u16,
    /// Attempts that were followed by another, over all steps.
    superseded: u32,
    /// The stamps of its first request.
    first: Option<First>,
    bytes_in: u64,
    carried: Vec<Option<Box<str>>>,
    /// Where its flow keeps them.
    cookies: Option<Cookies>,
}

#[derive(Clone, Copy, Debug)]
struct First {
    sent: Nanos,
    byte: Nanos,
    connect_us: u32,
    tls_us: u32,
    waited: bool,
}

/// How an arrival goes on after a request.
#[derive(Debug)]
pub(super) enum Onward {
    /// With another request, at this time.
    Next(Box<Journey>, Nanos),
    /// Not at all.
    End(Box<Journey>),
}

impl Onward {
    pub(super) fn carried(&self) -> &[Option<Box<str>>] {
        &self.journey().carried
    }

    /// The cookies of the arrival, which an answer that is kept must not repeat.
    pub(super) fn cookies(&self) -> impl Iterator<Item = Secret> {
        self.journey().cookies.iter().flat_map(Cookies::secrets)
    }

    fn journey(&self) -> &Journey {
        match self {
            Self::Next(journey, _) | Self::End(journey) => journey,
        }
    }
}

/// An arrival that waits for the time of its next request. The earliest is the greatest.
#[derive(Debug)]
pub(super) struct Later {
    pub(super) at: Nanos,
    journey: Box<Journey>,
}

impl Ord for Later {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.journey.order.seq).cmp(&(self.at, self.journey.order.seq))
    }
}

impl PartialOrd for Later {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Later {}

impl Worker<'_> {
    /// Starts an arrival: its only request, or its first.
    pub(super) fn begin(&mut self, order: Order) {
        let pick = self.chooser.pick(order.seq);
        self.active += 1;
        let script = self.prepared.script(pick.scenario).filter(|s| s.composite);
        let journey = script.map(|script| {
            Box::new(Journey {
                order,
                pick,
                item: pick.item,
                attempt: 0,
                polls: 0,
                superseded: 0,
                first: None,
                bytes_in: 0,
                carried: vec![None; script.carried()],
                cookies: script.cookies.then(Cookies::default),
            })
        });
        self.issue(order, pick, journey);
    }

    /// For whom the values of a request are.
    pub(super) fn who(&self, order: &Order, turn: u64) -> Who {
        let has_users = self.source.as_ref().is_some_and(|s| s.users() > 0);
        let (worker, workers) = (u64::from(self.share.worker), u64::from(self.share.workers));
        Who {
            seq: order.seq,
            turn,
            user: if has_users {
                worker + u64::from(order.user) * workers
            } else {
                0
            },
        }
    }

    /// The marks that the answer to a call must carry; none where nobody looks for one.
    pub(super) fn marks(&self, call: &Call) -> Vec<String> {
        let plan = self.prepared.item(call.scenario, call.item);
        match self.prepared.script(call.scenario) {
            _ if plan.marks.is_empty() => Vec::new(),
            Some(script) => {
                let carried = call.journey.as_ref().map_or(&[][..], |j| &j.carried);
                script.marks(call.item as usize, self.who(&call.order, call.turn), carried)
            }
            None => plan.marks.clone(),
        }
    }

    /// Fills in the holes of a call's request, where it has any.
    pub(super) fn fill(&self, call: &mut Call) {
        let plan = self.prepared.item(call.scenario, call.item);
        let (Some(template), Some(script)) = (&plan.template, self.prepared.script(call.scenario)) else {
            return;
        };
        let carried = call.journey.as_ref().map_or(&[][..], |j| &j.carried);
        let mut bytes = Vec::new();
        template.fill(
            self.who(&call.order, call.turn),
            &script.feeds,
            carried,
            &mut bytes,
        );
        call.detour = Some(Box::new(Detour {
            http2: self.prepared.route(plan.route).in_http2(&bytes).ok().flatten(),
            target: request_line(&bytes).1.to_owned(),
            bytes,
            no_body: plan.no_body,
            hops: 0,
            plain: None,
        }));
    }

    /// Adds the cookies of its arrival to a call's request.
    pub(super) fn add_cookies(&self, call: &mut Call) {
        let planned = self.prepared.item(call.scenario, call.item);
        let kept = call.journey.as_ref().and_then(|journey| journey.cookies.as_ref());
        let Some(cookies) = kept.filter(|_| !planned.signed) else {
            return;
        };
        let route = self.prepared.route(call.route);
        let plain = call
            .detour
            .as_ref()
            .map_or(planned.bytes(false), |d| d.bytes.as_slice());
        let Some(bytes) = cookies.carried(call.route, &route.origin, plain) else {
            return;
        };
        let plain = plain.to_vec();
        let http2 = route.in_http2(&bytes).ok().flatten();
        let detour = call.detour.get_or_insert_with(|| {
            Box::new(Detour {
                bytes: Vec::new(),
                http2: None,
                target: planned.target.clone(),
                no_body: planned.no_body,
                hops: 0,
                plain: None,
            })
        });
        (detour.bytes, detour.http2, detour.plain) = (bytes, http2, Some(plain));
    }

    /// Takes the cookies that an answer sets, where its arrival keeps them.
    pub(super) fn take_cookies(&self, call: &mut Call) {
        let Some(cookies) = call.journey.as_mut().and_then(|journey| journey.cookies.as_mut()) else {
            return;
        };
        let target = match &call.detour {
            Some(detour) => &detour.target,
            None => &self.prepared.item(call.scenario, call.item).target,
        };
        if let Some(url) = self.prepared.route(call.route).origin.url(target) {
            cookies.take(call.route, &url, &call.answer.headers());
        }
    }

    /// A request of an arrival that may take several has ended: what it brought, and how the arrival goes on. What it
    /// did not bring changes its ending.
    pub(super) fn weigh(
        &self,
        call: &mut Call,
        ending: &Ending,
        mut journey: Box<Journey>,
        now: Nanos,
    ) -> (Ending, Onward) {
        let mut ending = ending.clone();
        let Some(script) = self.prepared.script(call.scenario) else {
            return (ending, Onward::End(journey));
        };
        let is_flow = !script.steps.is_empty();
        call.flags.insert(if is_flow {
            SampleFlags::STEP
        } else {
            SampleFlags::ATTEMPT
        });
        journey.note(call, &ending);
        if ending.outcome == Outcome::Ok
            && let Some(step) = script.steps.get(call.item as usize)
        {
            match journey.step(step, &call.answer) {
                Ok(true) if journey.item as usize + 1 < script.steps.len() => {
                    journey.item += 1;
                    (journey.attempt, journey.polls) = (0, 0);
                    let think = script.steps[journey.item as usize].think;
                    return (ending, Onward::Next(journey, now + think));
                }
                Ok(true) => {}
                Ok(false) => {
                    let every = step.until.as_ref().map_or(0, |until| until.every_ms);
                    let at = now + Nanos(u64::from(every) * 1_000_000);
                    return (ending, Onward::Next(journey, at));
                }
                Err(why) => {
                    ending.outcome = Outcome::WrongBody;
                    ending.error = why;
                }
            }
        }
        match self.pause(script, call, &ending, &journey) {
            Some(pause) => {
                call.flags.insert(SampleFlags::RETRIED);
                journey.attempt += 1;
                journey.superseded += 1;
                (ending, Onward::Next(journey, now + pause))
            }
            None => (ending, Onward::End(journey)),
        }
    }

    /// The pause before the next attempt; `None` when there is none.
    fn pause(&self, script: &Script, call: &Call, ending: &Ending, journey: &Journey) -> Option<Nanos> {
        let policy = script.retry.as_ref()?;
        let repeatable = self.prepared.item(call.scenario, call.item).repeatable;
        let failure = Failure {
            outcome: ending.outcome,
            status: ending.status,
            attempt: journey.attempt,
            harmless: repeatable || call.sent == Nanos::ZERO,
            headers: &call.answer.headers(),
        };
        let random = mix(script.seed ^ u64::from(journey.item), journey.order.seq);
        // Never at once: a target that is gone would be tried again on the same stack.
        retry::pause(policy, &failure, random).map(|pause| pause.max(Nanos(1)))
    }

    /// The next request of an arrival, or its end.
    pub(super) fn proceed(&mut self, onward: Onward, ending: &Ending, now: Nanos) {
        match onward {
            Onward::Next(journey, at) if at <= now => self.take_up(journey, now),
            Onward::Next(journey, at) => self.later.push(Later { at, journey }),
            Onward::End(journey) => self.arrive(&journey, ending, now),
        }
    }

    /// Takes up what waited until now.
    pub(super) fn resume(&mut self, now: Nanos) {
        while self.later.peek().is_some_and(|later| later.at <= now) {
            if let Some(Later { at, journey }) = self.later.pop() {
                self.take_up(journey, at);
            }
        }
    }

    /// Ends what waits for its next request: nothing will be sent any more.
    pub(super) fn cut_waiting(&mut self, now: Nanos) {
        let ending = Ending {
            outcome: Outcome::Interrupted,
            status: 0,
            body_bytes: 0,
            error: String::new(),
            unconnected: false,
        };
        while let Some(Later { journey, .. }) = self.later.pop() {
            self.arrive(&journey, &ending, now);
        }
    }

    fn take_up(&mut self, journey: Box<Journey>, intended: Nanos) {
        let order = Order {
            intended,
            ..journey.order
        };
        let pick = Pick {
            item: journey.item,
            ..journey.pick
        };
        self.issue(order, pick, Some(journey));
    }

    /// Records a whole arrival and frees its user.
    fn arrive(&mut self, journey: &Journey, ending: &Ending, now: Nanos) {
        let order = &journey.order;
        let mut flags = SampleFlags::WHOLE;
        if journey.first.is_some_and(|f| f.waited) {
            flags.insert(SampleFlags::WAITED);
        }
        let sent = journey.first.map_or(order.intended, |f| f.sent);
        self.slowest = self.slowest.max(now - sent);
        self.outbox.push(Sample {
            seq: order.seq,
            intended: order.intended,
            sent,
            first_byte: journey.first.map_or(Nanos::ZERO, |f| f.byte),
            done: now,
            digest: 0,
            bytes_in: u32::try_from(journey.bytes_in).unwrap_or(u32::MAX),
            item: journey.item,
            connect_us: journey.first.map_or(0, |f| f.connect_us),
            tls_us: journey.first.map_or(0, |f| f.tls_us),
            attempt: u8::try_from(journey.superseded).unwrap_or(u8::MAX),
            status: ending.status,
            scenario: journey.pick.scenario,
            step: order.step,
            phase: self.prepared.index,
            worker: self.share.worker as u16,
            outcome: ending.outcome,
            flags,
        });
        self.active -= 1;
        if let Some(source) = &mut self.source {
            source.freed(order.user, now, ending.unconnected);
        }
    }
}

impl Journey {
    pub(super) fn attempt(&self) -> u8 {
        self.attempt
    }

    pub(super) fn cookies(&self) -> Option<&Cookies> {
        self.cookies.as_ref()
    }

    /// Notes what the whole arrival's record needs of a request.
    fn note(&mut self, call: &Call, ending: &Ending) {
        self.bytes_in += ending.body_bytes;
        if self.first.is_none() && call.sent != Nanos::ZERO {
            self.first = Some(First {
                sent: call.sent,
                byte: call.first_byte,
                connect_us: call.connect_us,
                tls_us: call.tls_us,
                waited: call.flags.contains(SampleFlags::WAITED),
            });
        }
    }

    /// Takes from a good answer what the step carries. Whether the step is done, or is to be repeated; the error says
    /// what is missing.
    fn step(&mut self, step: &Step, answer: &Answer) -> Result<bool, String> {
        let json = std::cell::OnceCell::new();
        let parsed = || json.get_or_init(|| prony_model::json_in(&answer.body)).as_ref();
        if let Some(until) = &step.until {
            let found = parsed().and_then(|v| v.pointer(&until.pointer)).map(scalar);
            if found.as_deref() != Some(until.value.as_str()) {
                self.polls += 1;
                if self.polls < until.polls_max {
                    return Ok(false);
                }
                let shown: String = found.map_or_else(
                    || "nothing".to_owned(),
                    |found| format!("{:?}", found.chars().take(80).collect::<String>()),
                );
                return Err(format!(
                    "after {} polls the body has {shown} at {:?}, not {:?}",
                    self.polls, until.pointer, until.value
                ));
            }
        }
        for bring in &step.carry {
            self.carried[bring.index] = Some(bring.find(answer, &parsed)?);
        }
        Ok(true)
    }
}

impl Bring {
    fn find<'j>(
        &self,
        answer: &Answer,
        json: &impl Fn() -> Option<&'j serde_json::Value>,
    ) -> Result<Box<str>, String> {
        let name = &self.name;
        let value: Box<str> = match &self.from {
            From::Json(pointer) => match json().map(|v| v.pointer(pointer)) {
                None => return Err(format!("the body is not JSON, so there is no {name:?} to carry")),
                Some(None) => {
                    return Err(format!(
                        "the JSON body has nothing at {pointer:?} to carry as {name:?}"
                    ));
                }
                Some(Some(value)) => scalar(value),
            },
            From::Header(header) => {
                let lines = answer.headers();
                let found = lines.iter().find(|(n, _)| n.eq_ignore_ascii_case(header));
                match found {
                    None => return Err(format!("there is no header {header:?} to carry as {name:?}")),
                    Some((_, value)) => String::from_utf8_lossy(value).trim().into(),
                }
            }
            From::Regex(regex) => {
                let text = String::from_utf8_lossy(&answer.body);
                let found = regex.captures(&text).and_then(|c| c.get(1).or_else(|| c.get(0)));
                match found {
                    None => {
                        return Err(format!(
                            "the body does not match {:?}, so there is no {name:?} to carry",
                            regex.as_str()
                        ));
                    }
                    Some(found) => found.as_str().into(),
                }
            }
        };
        if value.len() > CARRIED_BYTES_MAX {
            return Err(format!(
                "the value to carry as {name:?} has {} bytes; at most {CARRIED_BYTES_MAX} are carried",
                value.len()
            ));
        }
        if self.places.iter().any(|place| !place.fits(&value)) {
            return Err(format!(
                "the value to carry as {name:?} holds a line break, blank or control character and cannot stand in a \
                 header or path"
            ));
        }
        Ok(value)
    }
}
