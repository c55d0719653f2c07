//! What a preset is to the server around it: something that answers requests and can tell its own truth. It knows no preset.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use crate::error::BackendError;
use crate::recorder::Recorder;
use crate::settings::Settings;

/// An answer in the making.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// A conversation over standard input and output, until the input ends.
pub(crate) type Speaking = Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>>;

/// A running preset.
pub(crate) trait System: Send + Sync {
    /// Serves one request of the service port.
    fn handle(self: Arc<Self>, request: Request) -> Answering;

    /// The stated law of the service time, where there is one.
    fn model(&self) -> Option<Value> {
        None
    }

    /// Whether it wants the way to a request's connection, as an extension of the request.
    fn wants_line(&self) -> bool {
        false
    }

    /// What is true of it now, beyond the account: an object, or null.
    fn state(&self) -> Value {
        Value::Null
    }

    /// A connection to the service port was accepted.
    fn accepted(&self, _stream: &TcpStream) {}

    /// Listeners beside the service port, each with the name under which it is told (`store http://...`).
    fn beside(self: Arc<Self>) -> Vec<Beside> {
        Vec::new()
    }

    /// More of them, which speak HTTP/2 without being asked to (prior knowledge), as gRPC does.
    fn beside_http2(self: Arc<Self>) -> Vec<Beside> {
        Vec::new()
    }

    /// Listeners that it serves itself, by name.
    fn own_listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        Vec::new()
    }

    /// Single streams of tokens, for the admin port: those of an id, or the last so many.
    fn streams(&self, _id: Option<&str>, _recent: usize) -> Option<Value> {
        None
    }

    /// The account begins anew, its own with it.
    fn reset(&self) {}

    /// Whether a knob of its own can be turned while it runs.
    fn can_turn(&self, _name: &str) -> bool {
        false
    }

    /// Takes up the knobs of its own that can be turned while it runs: all of them, or none where one does not do. The error says
    /// what is wrong with it.
    fn turn(&self, _turned: &Settings) -> Result<(), String> {
        Ok(())
    }

    /// The conversation over standard input and output that takes the service port's place, where there is one.
    fn stdio(self: Arc<Self>) -> Option<Speaking> {
        None
    }

    /// The service stops: no new work is taken up, what waits is told so.
    fn stop(&self) {}
}

/// A listener of a preset beside its service port.
pub(crate) struct Beside {
    /// What it is: `store`, `mcp` ...
    pub(crate) name: &'static str,
    /// Already bound.
    pub(crate) listener: TcpListener,
    /// Who answers there.
    pub(crate) handle: Arc<dyn Fn(Request) -> Answering + Send + Sync>,
}

/// What a preset has at its start. It runs inside the runtime.
pub(crate) struct Start<'a> {
    /// The preset's name, as the person typed it.
    pub(crate) preset: &'static str,
    /// Its knobs.
    pub(crate) settings: &'a Settings,
    /// Address of every listener.
    pub(crate) host: IpAddr,
    /// The folder of images that the person gave.
    pub(crate) slides: Option<PathBuf>,
    /// Seed of everything random.
    pub(crate) seed: u64,
    /// The true length of every time of the imitated platform over its nominal length: 1/60 makes two minutes two seconds.
    pub(crate) time_scale: f64,
    /// The account.
    pub(crate) recorder: Arc<Recorder>,
}

impl Start<'_> {
    /// Refuses a folder of images, for presets without them.
    pub(crate) fn without_slides(&self) -> Result<(), BackendError> {
        match &self.slides {
            Some(folder) => Err(BackendError::Slides {
                folder: folder.clone(),
                reason: format!("preset '{}' has no slides", self.preset),
            }),
            None => Ok(()),
        }
    }

    /// A listener on any free port, for what the preset serves beside its service port.
    pub(crate) fn listen(&self) -> Result<TcpListener, BackendError> {
        let address = SocketAddr::new(self.host, 0);
        bind(address).map_err(|source| BackendError::Listen { address, source })
    }
}

/// Starts a preset; everything that loads at the start is loaded when it returns.
pub(crate) type Starting = fn(&Start<'_>) -> Result<Arc<dyn System>, BackendError>;

/// Binds a listener; port 0 takes a free one. It must run inside the runtime.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
