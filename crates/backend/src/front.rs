//! What stands before a preset on its service port: the request's id, the common faults and the account of single requests. It knows
//! no preset, and does nothing where nothing is wanted of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response};
use tokio::net::TcpStream;

use crate::connection::Answers;
use crate::fastapi::reply::Reply;
use crate::faults::{Faults, Passage, Plan};
use crate::ledger::{Ledger, Page};
use crate::recorder::{Recorder, Times};
use crate::slip::{self, Slip, Told};
use crate::system::{Answering, System};
use crate::wire::Line;

/// The header of the id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is echoed.
const REQUEST_ID_MAX: usize = 128;
/// The endpoint under which the account holds what never came to the preset.
const REFUSED: &str = "refused before its endpoint";

/// The service of one preset.
pub(crate) struct Front {
    /// The preset.
    pub(crate) system: Arc<dyn System>,
    /// The common faults.
    pub(crate) faults: Arc<Faults>,
    /// Single requests.
    pub(crate) ledger: Arc<Ledger>,
    recorder: Arc<Recorder>,
    ids: Ids,
}

/// Where ids come from.
struct Ids {
    /// Whether answers without one get one.
    signs: bool,
    next: AtomicU64,
}

impl Front {
    /// `signs` when the preset leaves the id to what stands before it, and it is wanted.
    pub(crate) fn new(
        system: Arc<dyn System>,
        faults: Arc<Faults>,
        ledger: Arc<Ledger>,
        recorder: Arc<Recorder>,
        signs: bool,
    ) -> Self {
        Self {
            system,
            faults,
            ledger,
            recorder,
            ids: Ids {
                signs,
                next: AtomicU64::new(1),
            },
        }
    }

    /// Through the faults, and into the books.
    async fn accompany(self: Arc<Self>, line: Arc<Line>, request: Request) -> Response<Body> {
        let arrived = Instant::now();
        let mut page = self.ledger.open(request.method(), request.uri().path());
        let given = given_id(request.headers());
        page.entry.id.clone_from(&given);
        let plan = self.faults.plan(request.uri().path());
        let slip = Arc::new(Slip::new(plan.is_some()));
        let (mut response, passage) = match plan {
            None => {
                let handled = Arc::clone(&self.system).handle(request);
                let response = slip::under(Arc::clone(&slip), handled).await;
                (response, Passage::default())
            }
            Some(plan) => {
                let outlives = plan.gate.is_some();
                let faulty = Arc::clone(&self).faulty(plan, line, request, Arc::clone(&slip), arrived);
                if outlives {
                    // A turn is not given back by a client that leaves: the work goes on.
                    tokio::spawn(faulty)
                        .await
                        .unwrap_or_else(|_| (Reply::unhandled().into_response(), Passage::default()))
                } else {
                    faulty.await
                }
            }
        };
        let own = response.headers().get(REQUEST_ID).cloned();
        page.entry.id = own.or_else(|| given.or_else(|| self.ids.invent()));
        self.ids.sign(&mut response, page.entry.id.clone());
        fill(
            &mut page,
            slip.told(),
            arrived,
            response.status().as_u16(),
            passage,
        );
        response.map(|body| page.count(body))
    }

    async fn faulty(
        self: Arc<Self>,
        plan: Arc<Plan>,
        line: Arc<Line>,
        request: Request,
        slip: Arc<Slip>,
        arrived: Instant,
    ) -> (Response<Body>, Passage) {
        let mut pending = Pending {
            slip: &slip,
            recorder: &self.recorder,
            settled: false,
        };
        let handle = |request| {
            let handled = Arc::clone(&self.system).handle(request);
            slip::under(Arc::clone(&slip), handled)
        };
        let route = || slip.told().map(|told| told.endpoint);
        let (response, passage) = self.faults.pass(&plan, &line, request, handle, route).await;
        pending.settle(arrived, &passage, response.status().as_u16());
        drop(pending);
        (response, passage)
    }
}

impl Answers for Front {
    fn accepted(&self, stream: &TcpStream) {
        self.system.accepted(stream);
    }

    fn answer(self: Arc<Self>, line: &Arc<Line>, mut request: Request) -> Answering {
        if self.system.wants_line() {
            request.extensions_mut().insert(Arc::clone(line));
        }
        if self.ledger.is_wanted() || !self.faults.are_off() {
            return Box::pin(self.accompany(Arc::clone(line), request));
        }
        let handled = Arc::clone(&self.system);
        if !self.ids.signs {
            return handled.handle(request);
        }
        let given = given_id(request.headers());
        Box::pin(Signed {
            handled: handled.handle(request),
            given,
            front: self,
        })
    }
}

/// An answer that gets its id and nothing else.
struct Signed {
    handled: Answering,
    given: Option<HeaderValue>,
    front: Arc<Front>,
}

impl Future for Signed {
    type Output = Response<Body>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response<Body>> {
        let mut response = ready!(self.handled.as_mut().poll(context));
        let id = self.given.take().or_else(|| self.front.ids.invent());
        self.front.ids.sign(&mut response, id);
        Poll::Ready(response)
    }
}

impl Ids {
    fn invent(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&format!("{:016x}", self.next.fetch_add(1, Ordering::Relaxed))).ok()
    }

    fn sign(&self, response: &mut Response<Body>, id: Option<HeaderValue>) {
        if let Some(id) = id.filter(|_| self.signs) {
            response.headers_mut().entry(REQUEST_ID).or_insert(id);
        }
    }
}

/// A request whose account is written by us; one that is dropped before that was abandoned.
struct Pending<'a> {
    slip: &'a Slip,
    recorder: &'a Recorder,
    settled: bool,
}

impl Pending<'_> {
    /// What the client sees goes into the account: its status, and the time that the faults took as a part of the service.
    fn settle(&mut self, arrived: Instant, passage: &Passage, status: u16) {
        self.settled = true;
        let sojourn = arrived.elapsed();
        match self.slip.told() {
            Some(told) => {
                let service = told.visit.service(told.answered) + passage.extra;
                let times = Times { service, sojourn };
                self.recorder.settle(told.endpoint, status, arrived, times, true);
            }
            None if !passage.reached => {
                let times = Times {
                    service: passage.extra,
                    sojourn,
                };
                self.recorder.settle(REFUSED, status, arrived, times, false);
            }
            // The preset serves in a task that lost its slip, and has entered it already.
            None => {}
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(told) = self.slip.told().filter(|_| !self.settled) {
            self.recorder.abandon(told.visit);
        }
    }
}

fn given_id(headers: &HeaderMap) -> Option<HeaderValue> {
    headers
        .get(REQUEST_ID)
        .filter(|id| id.len() <= REQUEST_ID_MAX && id.as_bytes().iter().all(u8::is_ascii_graphic))
        .cloned()
}

fn fill(page: &mut Page, told: Option<Told>, arrived: Instant, status: u16, passage: Passage) {
    let entry = &mut page.entry;
    entry.status = status;
    entry.sojourn = arrived.elapsed();
    if let Some(told) = told {
        entry.endpoint = Some(told.endpoint);
        entry.wait = Some(passage.wait + told.visit.wait());
        entry.service = Some(told.visit.service(told.answered) + passage.extra);
    } else if !passage.applied.is_empty() {
        entry.wait = Some(passage.wait);
    }
    entry.faults = passage.applied;
}
