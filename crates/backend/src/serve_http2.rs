//! Accepting connections that speak HTTP/2 from their first byte. The other listeners never do, so it is kept apart from theirs.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::system::Answering;

/// Who answers on such a listener.
type Handle = Arc<dyn Fn(Request) -> Answering + Send + Sync>;

/// Requests at once on one connection.
const STREAMS_MAX: u32 = 256;
/// Bytes that a client may send ahead, on a stream and on a connection.
const WINDOW_BYTES: u32 = 1024 * 1024;
/// Pause after the system had no connection to give.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until it is told to stop, then lets open requests end.
pub(crate) async fn accept_http2(listener: TcpListener, mut stopped: watch::Receiver<bool>, handle: Handle) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = told(&mut stopped) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, stopped.clone(), Arc::clone(&handle)));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn serve(stream: TcpStream, mut stopped: watch::Receiver<bool>, handle: Handle) {
    // A socket that refuses it still works.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let answering = handle(request.map(Body::new));
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .serve_connection(TokioIo::new(stream), service)
    );
    // How a connection ends is its client's business.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = told(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// Returns when the service is to stop.
async fn told(stopped: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stopped.wait_for(|stop| *stop).await;
}
