//! A phase made ready to send: requests as bytes, checks compiled, addresses known. Shared read-only by the workers.

use std::net::IpAddr;

use prony_model::{Capture, Limits, Nanos, Phase, Request, Secret};
use prony_wire::http1::{RequestParts, render};
use prony_wire::{Clock, Link, Origin, Peer, WireError};

use crate::EngineError;
use crate::bodies::Checks;
use crate::mask::Masks;

/// Where requests go, and what they have in common.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) origin: Origin,
    pub(crate) peer: Peer,
    /// How long the resolver took; `None` when it was not asked.
    pub(crate) dns: Option<Nanos>,
    /// Addresses that connections start from, in turn; none when the system chooses.
    pub(crate) sources: Vec<IpAddr>,
    pub(crate) link: Link,
    pub(crate) headers: Vec<(String, Secret)>,
    pub(crate) masks: Masks,
}

/// One item, rendered once.
#[derive(Clone, Debug)]
pub(crate) struct PreparedItem {
    bytes: Vec<u8>,
    /// The same with `connection: close`, where connections are closed after a number of requests.
    last_bytes: Option<Vec<u8>>,
    /// Request target as sent.
    pub(crate) target: String,
    /// Whether the answer has no body by method.
    pub(crate) no_body: bool,
    /// Whether it may be sent again when a reused connection turns out closed.
    pub(crate) idempotent: bool,
    pub(crate) checks: Checks,
    request: Request,
}

/// A phase made ready.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) index: u16,
    pub(crate) route: Route,
    pub(crate) limits: Limits,
    pub(crate) capture: Capture,
    pub(crate) clock: Clock,
    /// Items by scenario.
    pub(crate) items: Vec<Vec<PreparedItem>>,
}

impl Prepared {
    pub(crate) fn new(index: u16, phase: &Phase, route: Route, clock: Clock) -> Result<Self, EngineError> {
        let wrong = |why: &str| EngineError::Phase {
            phase: phase.name.clone(),
            why: why.to_owned(),
        };
        if phase.scenarios.is_empty() {
            return Err(wrong("it has no scenario: name at least one"));
        }
        let mut items = Vec::with_capacity(phase.scenarios.len());
        for scenario in &phase.scenarios {
            if scenario.items.is_empty() {
                return Err(wrong(&format!("scenario {:?} has no request", scenario.name)));
            }
            let prepare = |item: &prony_model::Item| {
                let checks = Checks::new(&item.expect).map_err(|why| EngineError::Check {
                    scenario: scenario.name.clone(),
                    why,
                })?;
                let target = route.origin.target(&item.request.path);
                let method = item.request.method.clone();
                let rendered = |keep| bytes(&route, keep, &item.request, &method, &target, true);
                let keep_alive = phase.limits.keep_alive;
                let counted = keep_alive && phase.limits.requests_on_one().is_some();
                Ok(PreparedItem {
                    bytes: rendered(keep_alive)?,
                    last_bytes: counted.then(|| rendered(false)).transpose()?,
                    target,
                    no_body: method == "HEAD",
                    idempotent: is_idempotent(&method),
                    checks,
                    request: item.request.clone(),
                })
            };
            items.push(
                scenario
                    .items
                    .iter()
                    .map(prepare)
                    .collect::<Result<Vec<_>, EngineError>>()?,
            );
        }
        Ok(Self {
            index,
            route,
            limits: phase.limits.clone(),
            capture: phase.capture,
            clock,
            items,
        })
    }

    pub(crate) fn item(&self, scenario: u16, item: u32) -> &PreparedItem {
        &self.items[scenario as usize][item as usize]
    }

    /// The request that follows a redirect, and its method. 303 turns into GET, and so do 301 and 302 after a POST
    /// (RFC 9110, section 15.4); 307 and 308 repeat the request.
    pub(crate) fn redirected(
        &self,
        scenario: u16,
        item: u32,
        status: u16,
        target: &str,
    ) -> Result<(Vec<u8>, bool), WireError> {
        let request = &self.item(scenario, item).request;
        let to_get = match status {
            303 => request.method != "HEAD",
            301 | 302 => request.method == "POST",
            _ => false,
        };
        let method = if to_get { "GET" } else { request.method.as_str() };
        Ok((
            bytes(
                &self.route,
                self.limits.keep_alive,
                request,
                method,
                target,
                !to_get,
            )?,
            method == "HEAD",
        ))
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

fn bytes(
    route: &Route,
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
        common: &route.headers,
        headers: &request.headers,
        body: body.as_deref(),
        keep_alive,
    })
}

fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE")
}
