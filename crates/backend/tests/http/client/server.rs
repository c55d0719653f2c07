//! A backend on free ports, for the length of a test.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread::JoinHandle;

use prony_backend::{BackendError, ServeOptions, serve};
use serde_json::Value;
use tokio::sync::oneshot;

use super::reply::{Reply, exchange};

/// A running backend; dropping it stops it.
pub(crate) struct Server {
    pub(crate) service: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) beside: Vec<(&'static str, SocketAddr)>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), BackendError>>>,
}

pub(crate) fn options(preset: &str, knobs: &[(&str, &str)]) -> ServeOptions {
    ServeOptions {
        preset: preset.to_owned(),
        host: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 0,
        admin_port: Some(0),
        knobs: knobs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        slides: None,
        seed: 1,
        time_scale: 1.0,
        log: false,
        stdio: false,
    }
}

impl Server {
    pub(crate) fn start(preset: &str, knobs: &[(&str, &str)]) -> Self {
        Self::with(options(preset, knobs))
    }

    /// With the platform's times at this scale.
    pub(crate) fn scaled(preset: &str, knobs: &[(&str, &str)], time_scale: f64) -> Self {
        let mut options = options(preset, knobs);
        options.time_scale = time_scale;
        Self::with(options)
    }

    pub(crate) fn with(options: ServeOptions) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (ready, at) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            serve(options, |told| ready.send(told.clone()).unwrap(), async {
                let _ = stopped.await;
            })
        });
        let told = at.recv().expect("the server should become ready");
        Self {
            service: told.service.unwrap(),
            admin: told.admin.unwrap(),
            beside: told.beside,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The listener of that name beside the service port.
    pub(crate) fn listener(&self, name: &str) -> SocketAddr {
        let found = self.beside.iter().find(|(known, _)| *known == name);
        found.expect("a listener of that name").1
    }

    /// A pathology server with small slides and a fast accelerator.
    pub(crate) fn enso(preset: &str, knobs: &[(&str, &str)]) -> Self {
        let small = [
            ("slide_px", "1024"),
            ("device_ms", "1"),
            ("lazy_load_ms", "5"),
            ("storage_ms", "0"),
        ];
        Self::start(preset, &[&small, knobs].concat())
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        exchange(
            self.service,
            &format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"),
            b"",
        )
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Reply {
        self.send(
            "POST",
            path,
            "content-type: application/json\r\n",
            body.as_bytes(),
        )
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
        );
        exchange(self.service, &head, body)
    }

    pub(crate) fn truth(&self) -> Value {
        exchange(
            self.admin,
            "GET /truth HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n",
            b"",
        )
        .json()
    }

    pub(crate) fn ask_admin(&self, method: &str, path: &str) -> Reply {
        exchange(
            self.admin,
            &format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"),
            b"",
        )
    }

    /// Uploads files as one form.
    pub(crate) fn upload(&self, path: &str, files: &[(&str, &[u8])], fields: &[(&str, &str)]) -> Reply {
        let mut body = Vec::new();
        for (name, value) in fields {
            let part = format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        for (name, bytes) in files {
            let part = format!(
                "--b\r\ncontent-disposition: form-data; name=\"files\"; filename=\"{name}\"\r\ncontent-type: image/png\r\n\r\n"
            );
            body.extend_from_slice(part.as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--b--\r\n");
        self.send(
            "POST",
            path,
            "content-type: multipart/form-data; boundary=b\r\n",
            &body,
        )
    }

    /// `count` requests at once.
    pub(crate) fn burst(&self, count: usize, request: impl Fn(&Self) -> Reply + Sync) -> Vec<Reply> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(|| request(self))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let outcome = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            outcome.unwrap().unwrap();
        }
    }
}
