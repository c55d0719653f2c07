//! One HTTP exchange with a worker, on a connection of its own. It knows no queue.

use std::net::SocketAddr;

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Headers that concern one connection only, and the credentials, which are the balancer's.
const KEPT_BACK: [HeaderName; 9] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::AUTHORIZATION,
    header::EXPECT,
];

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) body: Bytes,
}

/// Why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// Nobody answers there, or the answer broke off.
    Broken,
    /// The answer is larger than allowed.
    TooLarge,
}

impl Answer {
    /// For the client.
    pub(crate) fn into_response(mut self) -> Response<Body> {
        strip(&mut self.headers);
        self.headers.remove(header::CONTENT_LENGTH);
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// Sends the request to a worker and reads an answer of at most `limit` bytes.
pub(crate) async fn call(to: SocketAddr, parts: &Parts, body: Bytes, limit: usize) -> Result<Answer, Failed> {
    let broken = |_| Failed::Broken;
    let stream = TcpStream::connect(to).await.map_err(|_| Failed::Broken)?;
    // A socket that refuses it still works.
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let driver = Driver(tokio::spawn(async move {
        // What went wrong is told by the answer.
        let _ = connection.await;
    }));
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = parts.method.clone();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().map_err(|_| Failed::Broken)?;
    *request.headers_mut() = parts.headers.clone();
    strip(request.headers_mut());
    request.headers_mut().remove(header::CONTENT_LENGTH);
    if let Ok(host) = HeaderValue::from_str(&to.to_string()) {
        request.headers_mut().insert(header::HOST, host);
    }
    let response = sender.send_request(request).await.map_err(broken)?;
    let (head, body) = response.into_parts();
    let body = match Limited::new(body, limit).collect().await {
        Ok(whole) => whole.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => return Err(Failed::TooLarge),
        Err(_) => return Err(Failed::Broken),
    };
    drop(driver);
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body,
    })
}

/// The task that moves the bytes; it ends with the exchange.
struct Driver(tokio::task::JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn strip(headers: &mut HeaderMap) {
    for name in KEPT_BACK {
        headers.remove(name);
    }
}
