//! A phase made ready to send: requests as bytes, checks compiled, addresses known. Shared read-only by the workers.

use std::net::IpAddr;

use prony_model::{
    Abandon, Capture, Credentials, HttpVersion, Item, Limits, Nanos, Phase, Request, Scenario, Secret,
};
use prony_wire::http1::{Elsewhere, RequestParts, redirected, render};
use prony_wire::sigv4::{self, Signer};
use prony_wire::{Clock, Link, Origin, Peer, WireError, http2};
use url::Url;

use crate::bodies::Checks;
use crate::choice::mix;
use crate::credentials::Common;
use crate::mask::Masks;
use crate::script::{Script, own_marks};
use crate::template::{Draft, Template};
use crate::{EngineError, Inner};

/// Largest request whose answer may rest: a larger one may not fit a socket at once, and what is left waits for an edge.
const RESTING_REQUEST_BYTES_MAX: usize = 16 << 10;

/// Where requests go, and what they have in common.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) origin: Origin,
    pub(crate) inner: Option<Inner>,
    pub(crate) peer: Peer,
    /// How long the resolver took; `None` when it was not asked.
    pub(crate) dns: Option<Nanos>,
    /// Addresses that connections start from, in turn; none when the system chooses.
    pub(crate) sources: Vec<IpAddr>,
    pub(crate) link: Link,
    pub(crate) http: HttpVersion,
    /// Requests at once on each HTTP/2 connection.
    pub(crate) streams: u32,
    pub(crate) headers: Common,
    pub(crate) masks: Masks,
    pub(crate) signer: Option<Signer>,
}

impl Route {
    /// A rendered request as HTTP/2 sends it; `None` where only HTTP/1.1 is spoken.
    pub(crate) fn in_http2(&self, bytes: &[u8]) -> Result<Option<http2::Request>, WireError> {
        match self.http {
            HttpVersion::Http1 => Ok(None),
            HttpVersion::Http2 | HttpVersion::Auto => {
                http2::Request::from_http1(bytes, self.origin.is_tls()).map(Some)
            }
        }
    }
}

/// One item, rendered once.
#[derive(Clone, Debug)]
pub(crate) struct PreparedItem {
    bytes: Vec<u8>,
    /// The same with `connection: close`, where connections are closed after a number of requests.
    last_bytes: Option<Vec<u8>>,
    /// The same as HTTP/2 sends it, where it may.
    pub(crate) http2: Option<http2::Request>,
    /// Request target as sent, but for the secrets in its query.
    pub(crate) target: String,
    /// Where it goes: see [`Prepared::route()`].
    pub(crate) route: u16,
    /// Whether it is signed when it is sent.
    pub(crate) signed: bool,
    /// The digest of its body for a signature, where it is signed and its body has no holes.
    pub(crate) payload: Option<String>,
    /// Whether the answer has no body by method.
    pub(crate) no_body: bool,
    /// Whether it may be sent again when a reused connection turns out closed.
    pub(crate) repeatable: bool,
    pub(crate) checks: Checks,
    /// What is filled in for every arrival; `bytes` is then of no use.
    pub(crate) template: Option<Template>,
    /// Whether the head or the body of the answer is needed for what comes after it.
    pub(crate) needs_head: bool,
    pub(crate) needs_body: bool,
    /// The marks that its answer must carry, as they are written.
    pub(crate) marks: Vec<String>,
}

/// A phase made ready.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) index: u16,
    /// To the target.
    pub(crate) route: Route,
    /// To other servers, by name.
    others: Vec<(String, Route)>,
    pub(crate) limits: Limits,
    pub(crate) capture: Capture,
    pub(crate) clock: Clock,
    /// Items by scenario.
    pub(crate) items: Vec<Vec<PreparedItem>>,
    /// By scenario, what it is beyond its requests.
    scripts: Vec<Option<Box<Script>>>,
    /// By scenario, who gives up.
    abandons: Vec<Option<Abandon>>,
    /// By scenario.
    credentials: Vec<Credentials>,
    seed: u64,
}

impl Prepared {
    /// Whether any answer is read as a stream of tokens.
    pub(crate) fn streams(&self) -> bool {
        self.items
            .iter()
            .flatten()
            .any(|item| item.checks.stream().is_some())
    }

    /// Whether nothing waits for an answer, so that the instant at which it arrived is all that matters, and the kernel can say
    /// that: one request per arrival, HTTP/1.1 over TCP, real time.
    pub(crate) fn answers_may_rest(&self) -> bool {
        let plain = |route: &Route| {
            route.http == HttpVersion::Http1 && matches!(route.peer, Peer::Tcp(_)) && route.signer.is_none()
        };
        plain(&self.route)
            && self.others.iter().all(|(_, other)| plain(other))
            && self.scripts.iter().flatten().all(|script| !script.composite)
            && self.limits.redirects_max == 0
            && self
                .items
                .iter()
                .flatten()
                .all(|item| item.template.is_none() && item.bytes.len() <= RESTING_REQUEST_BYTES_MAX)
            && !self.clock.is_simulated()
    }

    /// `seed` decides the values that are filled in.
    pub(crate) fn new(
        index: u16,
        phase: &Phase,
        (route, others): (Route, Vec<(String, Route)>),
        clock: Clock,
        seed: u64,
    ) -> Result<Self, EngineError> {
        let wrong = |why: &str| EngineError::Phase {
            phase: phase.name.clone(),
            why: why.to_owned(),
        };
        if phase.scenarios.is_empty() {
            return Err(wrong("it has no scenario: name at least one"));
        }
        let mut items = Vec::with_capacity(phase.scenarios.len());
        let mut scripts = Vec::with_capacity(phase.scenarios.len());
        for (k, scenario) in phase.scenarios.iter().enumerate() {
            if scenario.items.is_empty() {
                return Err(wrong(&format!("scenario {:?} has no request", scenario.name)));
            }
            let script = Script::new(scenario, mix(seed, k as u64))?;
            if let Some(script) = &script {
                script.check_users(scenario, &phase.shape)?;
            }
            let making = Making {
                phase,
                scenario,
                script: script.as_ref(),
                route: &route,
                others: &others,
            };
            items.push(
                scenario
                    .items
                    .iter()
                    .enumerate()
                    .map(|(i, item)| making.item(i, item))
                    .collect::<Result<Vec<_>, EngineError>>()?,
            );
            scripts.push(script.map(Box::new));
        }
        Ok(Self {
            index,
            route,
            others,
            limits: phase.limits.clone(),
            capture: phase.capture,
            clock,
            items,
            scripts,
            abandons: phase.scenarios.iter().map(|s| s.abandon).collect(),
            credentials: phase.scenarios.iter().map(|s| s.credentials).collect(),
            seed,
        })
    }

    /// The way of an item: 0 is that to the target.
    pub(crate) fn route(&self, at: u16) -> &Route {
        match at.checked_sub(1).and_then(|k| self.others.get(usize::from(k))) {
            Some((_, route)) => route,
            None => &self.route,
        }
    }

    /// How many ways there are beside that to the target.
    pub(crate) fn others(&self) -> usize {
        self.others.len()
    }

    /// Most connections that one arrival may hold at once: one for each server that its requests go to.
    pub(crate) fn servers(&self) -> u32 {
        let most = |items: &Vec<PreparedItem>| {
            let mut routes: Vec<u16> = items.iter().map(|item| item.route).collect();
            routes.sort_unstable();
            routes.dedup();
            routes.len() as u32
        };
        if self.limits.redirects_max > 0 {
            return self.others.len() as u32 + 1;
        }
        let flows = self.items.iter().zip(&self.scripts).filter(|(_, s)| s.is_some());
        flows.map(|(items, _)| most(items)).max().unwrap_or(1).max(1)
    }

    /// The way that the first request of every arrival takes; that to the target where they differ.
    pub(crate) fn first_route(&self) -> u16 {
        let mut firsts = self.items.iter().map(|items| items[0].route);
        let first = firsts.next().unwrap_or(0);
        if firsts.all(|other| other == first) {
            first
        } else {
            0
        }
    }

    /// How long an arrival is waited for, where its client gives up.
    pub(crate) fn patience(&self, scenario: u16, seq: u64) -> Option<Nanos> {
        let abandon = self.abandons[scenario as usize]?;
        let seed = mix(self.seed, u64::from(scenario)).rotate_left(41);
        let (who, when) = (unit(mix(seed, seq)), unit(mix(seed.rotate_left(7), seq)));
        (who < abandon.share).then(|| Nanos::from_millis_f64(when * abandon.within_ms))
    }

    /// What a scenario is beyond its requests.
    pub(crate) fn script(&self, scenario: u16) -> Option<&Script> {
        self.scripts[scenario as usize].as_deref()
    }

    /// Most requests that an arrival may take one after the other.
    pub(crate) fn requests_max(&self) -> u64 {
        let scripts = self.scripts.iter().flatten();
        scripts.map(|s| s.requests_max()).max().unwrap_or(1)
    }

    /// Arrivals of each scenario after which one of its feeds is used up.
    pub(crate) fn lasts(&self) -> Vec<Option<u64>> {
        self.scripts
            .iter()
            .map(|s| s.as_ref().and_then(|s| s.lasts()))
            .collect()
    }

    pub(crate) fn item(&self, scenario: u16, item: u32) -> &PreparedItem {
        &self.items[scenario as usize][item as usize]
    }

    /// The way to a URL, and its request target there: `from`, if it leads there. `None` where it leads to no server that was
    /// named.
    pub(crate) fn way_to(&self, from: u16, url: &Url) -> Option<(u16, String)> {
        let mut ways = std::iter::once(from).chain(0..=self.others.len() as u16);
        ways.find_map(|at| Some((at, self.route(at).origin.target_of(url)?)))
    }

    /// The request that follows a redirect of one that was sent, and whether its answer has no body.
    pub(crate) fn redirected(
        &self,
        scenario: u16,
        (from, to): (u16, u16),
        sent: &[u8],
        status: u16,
        target: &str,
    ) -> Result<(Vec<u8>, bool), WireError> {
        let credentials = self.credentials[scenario as usize];
        let common = self.route(to).headers.with(credentials);
        let authority = self.route(to).origin.authority();
        let elsewhere = (from != to).then_some(Elsewhere {
            authority: &authority,
            common: &common,
        });
        redirected(sent, status, target, elsewhere)
    }
}

/// What the items of a scenario are made ready with.
struct Making<'a> {
    phase: &'a Phase,
    scenario: &'a Scenario,
    script: Option<&'a Script>,
    route: &'a Route,
    others: &'a [(String, Route)],
}

impl Making<'_> {
    fn wrong(&self, why: String) -> EngineError {
        EngineError::Phase {
            phase: self.phase.name.clone(),
            why,
        }
    }

    /// The way of an item, and its number.
    fn route(&self, item: usize) -> Result<(u16, &Route), EngineError> {
        let steps = self.scenario.flow.as_ref().map_or(&[][..], |flow| &flow.steps);
        let Some(name) = steps.get(item).and_then(|step| step.origin.as_ref()) else {
            return Ok((0, self.route));
        };
        let at = self.others.iter().position(|(known, _)| known == name);
        let at = at.ok_or_else(|| {
            self.wrong(format!(
                "a step of scenario {:?} goes to the origin {name:?}, which is not known",
                self.scenario.name
            ))
        })?;
        Ok((at as u16 + 1, &self.others[at].1))
    }

    fn keeps_cookies(&self) -> bool {
        self.scenario.flow.as_ref().is_some_and(|flow| flow.cookies)
    }

    fn item(&self, i: usize, item: &Item) -> Result<PreparedItem, EngineError> {
        let (at, route) = self.route(i)?;
        let draft = self.script.and_then(|s| s.drafts[i].as_ref());
        let request = self.script.map_or(&item.request, |s| s.request(i, &item.request));
        let is_own = |name: &str| {
            sigv4::OWN_HEADERS
                .iter()
                .any(|own| name.eq_ignore_ascii_case(own))
        };
        let signed = route.signer.is_some();
        if let Some(header) = request.headers.iter().find(|h| signed && is_own(&h.name)) {
            return Err(self.wrong(format!(
                "a request of scenario {:?} has the header {:?}, which its signature brings: remove it",
                self.scenario.name, header.name
            )));
        }
        let check = |why| EngineError::Check {
            scenario: self.scenario.name.clone(),
            why,
        };
        let expect = self
            .script
            .map_or(Ok(None), |s| s.expect(i, self.scenario))
            .map_err(check)?;
        let checks = Checks::new(expect.as_ref().unwrap_or(&item.expect)).map_err(check)?;
        let (needs_head, needs_body) = self.script.map_or((false, false), |s| s.needs(i));
        let target = route.origin.target(&request.path);
        let method = item.request.method.as_str();
        let credentials = self.scenario.credentials;
        let common = route.headers.with(credentials);
        // What is kept of the request has no secrets in it.
        let sent = route.headers.target(&target, credentials);
        let rendered = |keep| bytes(route, &common, keep, request, method, &sent, true);
        let keep_alive = self.phase.limits.keep_alive;
        let counted = keep_alive && self.phase.limits.requests_on_one().is_some();
        let bytes = rendered(keep_alive)?;
        let template = draft.map(|draft| draft.finish(&bytes));
        let fixed = !draft.is_some_and(Draft::body_has_holes);
        Ok(PreparedItem {
            // One with holes is made when they are filled.
            http2: match template {
                Some(_) => None,
                None => route.in_http2(&bytes)?,
            },
            template,
            needs_head: needs_head
                || checks.needs_lines
                || self.keeps_cookies()
                || self.phase.capture.is_of_failures(),
            needs_body,
            bytes,
            last_bytes: counted.then(|| rendered(false)).transpose()?,
            target,
            route: at,
            signed,
            payload: (signed && fixed).then(|| sigv4::digest(&request.body.to_bytes().unwrap_or_default())),
            no_body: method == "HEAD",
            repeatable: is_idempotent(method) || item.expect.stream.is_some(),
            checks,
            marks: own_marks(&item.expect.body).map(str::to_owned).collect(),
        })
    }
}

impl PreparedItem {
    /// The request as sent; `last` when it is the last on its connection.
    pub(crate) fn bytes(&self, last: bool) -> &[u8] {
        match &self.last_bytes {
            Some(bytes) if last => bytes,
            _ => &self.bytes,
        }
    }
}

/// A number from 0 to 1, 1 excluded, from 64 random bits.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

fn bytes(
    route: &Route,
    common: &[(String, Secret)],
    keep_alive: bool,
    request: &Request,
    method: &str,
    target: &str,
    with_body: bool,
) -> Result<Vec<u8>, WireError> {
    let body = if with_body { request.body.to_bytes() } else { None };
    render(&RequestParts {
        method,
        target,
        authority: &route.origin.authority(),
        common,
        headers: &request.headers,
        body: body.as_deref(),
        keep_alive,
    })
}

fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE")
}
