//! From a listener to requests: accepting, HTTP/1.1 on each connection, and an orderly end. It knows no preset.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::alarm::Alarm;
use crate::system::Answering;
use crate::wire::{Line, Wire};

/// How long to wait after a failure to accept that is not of one connection: no descriptors left, above all.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who answers what a listener brings.
pub(crate) trait Answers: Send + Sync + 'static {
    /// A connection was accepted.
    fn accepted(&self, _stream: &TcpStream) {}

    /// Whether a connection must be accepted even when there are no descriptors left.
    fn is_indispensable(&self) -> bool {
        false
    }

    /// One request; `line` leads to its connection.
    fn answer(self: Arc<Self>, line: &Arc<Line>, request: Request) -> Answering;
}

impl<F: ?Sized> Answers for F
where
    F: Fn(Request) -> Answering + Send + Sync + 'static,
{
    fn answer(self: Arc<Self>, _line: &Arc<Line>, request: Request) -> Answering {
        (*self)(request)
    }
}

/// Serves a listener until `stopped` says so, and then until the last open request is answered.
pub(crate) async fn accept<A: Answers + ?Sized>(
    listener: TcpListener,
    mut stopped: watch::Receiver<bool>,
    answers: Arc<A>,
    alarm: Arc<Alarm>,
) {
    // Every connection holds a receiver: when none is left, all have ended.
    let (ended, open) = watch::channel(());
    let mut spare = answers.is_indispensable().then(spare).flatten();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // An error means that the sender is gone, which is a stop as well.
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                // Without it small answers would wait for acknowledgements; a socket that refuses it still works.
                let _ = stream.set_nodelay(true);
                answers.accepted(&stream);
                let line = Arc::new(Line::new(Arc::clone(&alarm)));
                let service = Bound {
                    answers: Arc::clone(&answers),
                    line: Arc::clone(&line),
                };
                let (stopped, open) = (stopped.clone(), open.clone());
                tokio::spawn(async move {
                    connection(Wire::new(stream, line), service, stopped).await;
                    drop(open);
                });
                if spare.is_none() && answers.is_indispensable() {
                    spare = self::spare();
                }
            }
            Err(error) if of_one_connection(&error) => {}
            // Giving the spare one up makes room for this connection.
            Err(_) if spare.take().is_some() => {}
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop((listener, open));
    ended.closed().await;
}

/// A descriptor kept for when there are no others.
fn spare() -> Option<std::fs::File> {
    std::fs::File::open("/dev/null").ok()
}

fn of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

async fn connection<A: Answers + ?Sized>(wire: Wire, service: Bound<A>, mut stopped: watch::Receiver<bool>) {
    let mut serving = pin!(http1::Builder::new().serve_connection(TokioIo::new(wire), service));
    tokio::select! {
        // A connection that breaks is its client's affair.
        _ = serving.as_mut() => return,
        _ = stopped.wait_for(|stop| *stop) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

/// Who answers on one connection.
struct Bound<A: ?Sized> {
    answers: Arc<A>,
    line: Arc<Line>,
}

impl<A: Answers + ?Sized> Service<Request<Incoming>> for Bound<A> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Sure;

    fn call(&self, request: Request<Incoming>) -> Sure {
        let request = request.map(|body| {
            if body.is_end_stream() {
                Body::empty()
            } else {
                Body::new(body)
            }
        });
        Sure(Arc::clone(&self.answers).answer(&self.line, request))
    }
}

/// An answer that cannot fail.
struct Sure(Answering);

impl Future for Sure {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(ready!(self.0.as_mut().poll(context))))
    }
}
