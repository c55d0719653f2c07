//! One request through the common faults: its turn, its extra time, the preset, and what is done to the answer. It knows no preset.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, Response, header};
use serde_json::{Value, json};

use super::harm::{Answer, Memories};
use super::held::Held;
use super::leak::Leak;
use super::plan::{Chance, Plan};
use super::unknown::Known;
use crate::alarm::Alarm;
use crate::error::BackendError;
use crate::fastapi::reply::Reply;
use crate::recorder::{Series, distribution, nanos};
use crate::settings::Settings;
use crate::wire::{Line, Order};

/// Extra times kept for the account.
const TIMES_MAX: usize = 500_000;
/// Longest body that is searched for unknown fields.
const STRIPPED_MAX: usize = 16 * 1024 * 1024;

/// The faults of one preset.
#[derive(Debug)]
pub(crate) struct Faults {
    on: AtomicBool,
    plan: RwLock<Arc<Plan>>,
    seed: u64,
    numbers: AtomicU64,
    leak: Leak,
    memories: Memories,
    known: Option<Known>,
    account: Mutex<Account>,
    alarm: Arc<Alarm>,
}

#[derive(Debug, Default, Clone)]
struct Account {
    applied: BTreeMap<&'static str, u64>,
    delay_ns: Series,
}

/// What became of one request on its way.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    /// Time until its turn.
    pub(crate) wait: Duration,
    /// Time that faults added to the work.
    pub(crate) extra: Duration,
    /// Whether the preset saw it.
    pub(crate) reached: bool,
    /// Faults that it met, by id.
    pub(crate) applied: Vec<&'static str>,
}

impl Faults {
    /// From the knobs; `known` where unknown fields are to be dropped.
    pub(crate) fn new(
        settings: &Settings,
        seed: u64,
        alarm: Arc<Alarm>,
        known: Option<Known>,
    ) -> Result<Self, BackendError> {
        let plan = Plan::new(settings, seed)?;
        Ok(Self {
            on: AtomicBool::new(plan.any),
            plan: RwLock::new(Arc::new(plan)),
            seed,
            numbers: AtomicU64::new(0),
            leak: Leak::default(),
            memories: Memories::default(),
            known,
            account: Mutex::default(),
            alarm,
        })
    }

    /// What is in force for a path; `None` is nothing.
    pub(crate) fn plan(&self, path: &str) -> Option<Arc<Plan>> {
        if !self.on.load(Ordering::Acquire) {
            return None;
        }
        let plan = self.plan.read().unwrap_or_else(PoisonError::into_inner);
        path.starts_with(plan.path.as_str()).then(|| Arc::clone(&plan))
    }

    /// Whether nothing is in force for any path.
    pub(crate) fn are_off(&self) -> bool {
        !self.on.load(Ordering::Acquire)
    }

    /// What would be in force with these knobs.
    pub(crate) fn lay_out(&self, settings: &Settings) -> Result<Plan, BackendError> {
        Plan::new(settings, self.seed)
    }

    /// The knobs were turned. Requests on their way keep what was in force when they came.
    pub(crate) fn follow(&self, plan: Plan) {
        let any = plan.any;
        *self.plan.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
        self.on.store(any, Ordering::Release);
    }

    /// One request. `route` names the answer's route when it is there.
    pub(crate) async fn pass<F>(
        &self,
        plan: &Plan,
        line: &Line,
        request: Request,
        handle: impl FnOnce(Request) -> F,
        route: impl FnOnce() -> Option<&'static str>,
    ) -> (Response<Body>, Passage)
    where
        F: Future<Output = Response<Body>>,
    {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let arrived = Instant::now();
        let mut passage = Passage::default();
        let turn = match &plan.gate {
            None => None,
            Some(gate) => {
                let Ok(turn) = gate.enter().await else {
                    passage.wait = arrived.elapsed();
                    passage.applied.push("slots");
                    self.count(&passage);
                    return (refusal(plan), passage);
                };
                Some(turn)
            }
        };
        let begun = Instant::now();
        passage.wait = if turn.is_some() {
            begun - arrived
        } else {
            Duration::ZERO
        };
        if let Some(time) = plan.delay_of(number) {
            self.alarm.sleep_until(begun + time).await;
            passage.extra = begun.elapsed();
            passage.applied.push("delay");
            self.keep(passage.extra);
        }
        let method = request.method().clone();
        let own_route = format!("{method} {}", request.uri().path());
        let response = match self.read(plan, request, &mut passage).await {
            Ok(request) => {
                passage.reached = true;
                handle(request).await
            }
            Err(refused) => refused.into_response(),
        };
        if plan.drift > 0.0 {
            let done = Instant::now();
            let longer = (done - begun).mul_f64(plan.drift * number as f64);
            self.alarm.sleep_until(done + longer).await;
            passage.extra += done.elapsed();
            passage.applied.push("M2");
        }
        if plan.leak_kib > 0.0 || plan.leak_fds > 0 {
            self.leak.served(plan.leak_kib, plan.leak_fds);
            let kinds = [("M1", plan.leak_kib > 0.0), ("leak-fds", plan.leak_fds > 0)];
            passage
                .applied
                .extend(kinds.iter().filter(|(_, on)| *on).map(|(id, _)| *id));
        }
        // The turn of a stream ends with its body.
        let is_stream = is_stream(&method, &response);
        let turn = turn.filter(|_| is_stream);
        let answer = Answer {
            route: route().unwrap_or(&own_route),
            method: &method,
            number,
            response,
        };
        let changed = self.memories.change(plan, answer, &mut passage.applied).await;
        let mut response = order(plan, number, &method, line, changed, &mut passage);
        if is_stream && (turn.is_some() || plan.drift > 0.0) {
            let longer = plan.drift * number as f64;
            response = response.map(|body| Body::new(Held::new(body, turn, longer, &self.alarm)));
        }
        self.count(&passage);
        (response, passage)
    }

    /// The input before the preset sees it.
    async fn read(&self, plan: &Plan, request: Request, passage: &mut Passage) -> Result<Request, Reply> {
        let declared = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        let path_bytes = request
            .uri()
            .path_and_query()
            .map_or(0, |path| path.as_str().len());
        if let Some(most) = plan.long_input {
            if path_bytes > most || declared.is_some_and(|length| length > most) {
                passage.applied.push("long-input");
                return Err(Reply::unhandled());
            }
            if declared.is_none() && !request.body().is_end_stream() {
                let (parts, body) = request.into_parts();
                let Ok(bytes) = to_bytes(body, most).await else {
                    passage.applied.push("long-input");
                    return Err(Reply::unhandled());
                };
                return Ok(Request::from_parts(parts, Body::from(bytes)));
            }
        }
        match &self.known {
            Some(known) if plan.ignore_unknown && declared.is_some_and(|length| length <= STRIPPED_MAX) => {
                Ok(strip(known, request, passage).await)
            }
            _ => Ok(request),
        }
    }

    fn count(&self, passage: &Passage) {
        if passage.applied.is_empty() {
            return;
        }
        let mut account = self.lock();
        for id in &passage.applied {
            *account.applied.entry(id).or_default() += 1;
        }
    }

    fn keep(&self, delay: Duration) {
        let mut account = self.lock();
        if account.delay_ns.len() < TIMES_MAX {
            account.delay_ns.push(nanos(delay));
        }
    }

    /// The account and the numbering begin anew, and no answer is remembered. What leaked stays.
    pub(crate) fn reset(&self) {
        let old = std::mem::take(&mut *self.lock());
        drop(old);
        self.memories.forget();
        self.numbers.store(0, Ordering::Relaxed);
    }

    /// What leaked is given back.
    pub(crate) fn free(&self) {
        self.leak.free();
    }

    /// How often each fault was met.
    pub(crate) fn applied(&self) -> BTreeMap<&'static str, u64> {
        self.lock().applied.clone()
    }

    /// Bytes and descriptors held.
    pub(crate) fn leaked(&self) -> (usize, usize) {
        self.leak.held()
    }

    /// What is true of them.
    pub(crate) fn to_json(&self) -> Value {
        let plan = Arc::clone(&self.plan.read().unwrap_or_else(PoisonError::into_inner));
        let model = plan
            .delay
            .as_ref()
            .map(|(law, scale_ms)| law.to_json(scale_ms * 1e6));
        let waiting = plan.gate.as_ref().map(|gate| gate.waiting());
        // A copy, so that no request waits for what is made of it.
        let account = self.lock().clone();
        json!({
            "on": plan.any,
            "path": plan.path,
            "requests": self.numbers.load(Ordering::Relaxed),
            "applied": account.applied,
            "delay_model_ns": model,
            "delay_ns": distribution(account.delay_ns.to_vec()),
            "waiting": waiting,
            "leaked": self.leak.to_json(),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What happens to the answer on the wire: one thing at most.
fn order(
    plan: &Plan,
    number: u64,
    method: &Method,
    line: &Line,
    mut response: Response<Body>,
    passage: &mut Passage,
) -> Response<Body> {
    let length = response.body().size_hint().exact();
    let has_body = length != Some(0) && method != Method::HEAD;
    let (id, order) = if plan.hits(Chance::Reset, number) {
        let order = if plan.reset_at_start {
            Order::Refuse
        } else {
            Order::Reset
        };
        ("reset", order)
    } else if plan.hits(Chance::StallHead, number) {
        ("stall-head", Order::StallHead(plan.stall))
    } else if plan.hits(Chance::StallBody, number) && has_body {
        ("stall-body", Order::StallBody(plan.stall))
    } else if let (true, Some(length), true) = (plan.hits(Chance::Length, number), length, has_body) {
        let other = length.saturating_add_signed(plan.length_bytes);
        if other > length {
            // Its client would wait for ever for what is missing.
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        ("length", Order::Announce(other))
    } else {
        return response;
    };
    passage.applied.push(id);
    line.order(order);
    response
}

/// Whether an answer goes on after its head, nobody knows for how long.
fn is_stream(method: &Method, response: &Response<Body>) -> bool {
    let body = response.body();
    method != Method::HEAD && body.size_hint().exact().is_none() && !body.is_end_stream()
}

fn refusal(plan: &Plan) -> Response<Body> {
    let reply = Reply::detail(plan.full, "Too many requests waiting");
    match plan.retry_after_s {
        0 => reply,
        seconds => reply.with(header::RETRY_AFTER, HeaderValue::from(seconds)),
    }
    .into_response()
}

/// The request without unknown fields.
async fn strip(known: &Known, request: Request, passage: &mut Passage) -> Request {
    let (mut parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, STRIPPED_MAX).await else {
        return Request::from_parts(parts, Body::empty());
    };
    let bytes = match known.strip(parts.method.as_str(), parts.uri.path(), &bytes) {
        Some(fewer) => {
            passage.applied.push("ignore-unknown");
            parts.headers.insert(header::CONTENT_LENGTH, fewer.len().into());
            fewer
        }
        None => bytes,
    };
    Request::from_parts(parts, Body::from(bytes))
}
