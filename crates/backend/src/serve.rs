//! Starting and stopping: listeners, the runtime, and the handover of each connection to the preset's application.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use axum::serve::ListenerExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::admin::Admin;
use crate::error::BackendError;
use crate::preset::preset;
use crate::recorder::Recorder;
use crate::settings::Settings;
use crate::system::{Start, bind};

/// How long open requests may take to end after a shutdown was asked for.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// A name from [`crate::PRESETS`].
    pub preset: String,
    /// Address of the service port.
    pub host: IpAddr,
    /// Service port; 0 takes any free one.
    pub port: u16,
    /// Port of the truth, on 127.0.0.1 only; 0 takes any free one, `None` opens none.
    pub admin_port: Option<u16>,
    /// Knobs as `(name, value)`; the last setting of a name wins.
    pub knobs: Vec<(String, String)>,
    /// A folder of JPEG and PNG images to serve as slides.
    pub slides: Option<PathBuf>,
    /// Seed of everything random.
    pub seed: u64,
    /// How long the imitated platform's own times (start of a worker, queue limits) really take, over what they are
    /// called: 1/60 makes two minutes two seconds. Times of service are knobs and are left alone.
    pub time_scale: f64,
}

/// Where the backend listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The service.
    pub service: SocketAddr,
    /// The truth, if asked for.
    pub admin: Option<SocketAddr>,
    /// What the preset serves beside, by name.
    pub beside: Vec<(&'static str, SocketAddr)>,
}

/// Where the backend listens while it speaks over standard input and output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyStdio {
    /// The truth, if asked for.
    pub admin: Option<SocketAddr>,
    /// What the preset serves beside, by name.
    pub beside: Vec<(&'static str, SocketAddr)>,
}

/// Serves until `shutdown` completes. Blocks; builds its own async runtime, inside which `shutdown` is polled. `ready` is called once,
/// when every listener accepts connections and all that loads at the start is loaded.
pub fn serve(
    options: ServeOptions,
    ready: impl FnOnce(&Ready),
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), BackendError> {
    let told = |service: Option<SocketAddr>, admin, beside| {
        if let Some(service) = service {
            ready(&Ready {
                service,
                admin,
                beside,
            });
        }
    };
    run(options, true, told, shutdown)
}

/// Speaks over standard input and output until the input ends or `shutdown` completes; there is no service port, and nothing else is
/// written to standard output. Otherwise as [`serve`].
pub fn serve_stdio(
    options: ServeOptions,
    ready: impl FnOnce(&ReadyStdio),
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), BackendError> {
    let told = |_, admin, beside| ready(&ReadyStdio { admin, beside });
    run(options, false, told, shutdown)
}

fn run(
    options: ServeOptions,
    on_port: bool,
    ready: impl FnOnce(Option<SocketAddr>, Option<SocketAddr>, Vec<(&'static str, SocketAddr)>),
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), BackendError> {
    let ServeOptions {
        preset: name,
        host,
        port,
        admin_port,
        knobs,
        slides,
        seed,
        time_scale,
    } = options;
    let preset = preset(&name)?;
    let settings = Settings::new(preset, &knobs)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("backend")
        .build()?;
    let recorder = Arc::new(Recorder::new(admin_port.is_some()));
    let outcome = runtime.block_on(async {
        // Ports first: a port in use is told before slides are painted.
        let service = if on_port {
            Some(listen(SocketAddr::new(host, port))?)
        } else {
            None
        };
        let admin = match admin_port {
            Some(port) => Some(listen(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))?),
            None => None,
        };
        let system = (preset.start)(&Start {
            preset: preset.name,
            settings: &settings,
            host,
            slides,
            seed,
            time_scale,
            recorder: Arc::clone(&recorder),
        })?;
        let state = {
            let system = Arc::clone(&system);
            Box::new(move || system.state())
        };
        let truth = Arc::new(Admin::new(
            preset,
            settings,
            seed,
            system.model(),
            state,
            recorder,
        ));
        let admin_at = admin.as_ref().map(|(_, at)| *at);
        let (stop, stopped) = watch::channel(false);
        let mut servers = tokio::task::JoinSet::new();
        let service_at = service.as_ref().map(|(_, at)| *at);
        if let Some((listener, _)) = service {
            let accepted = Arc::clone(&system);
            let serving = Arc::clone(&system);
            servers.spawn(accept(
                listener,
                stopped.clone(),
                move |stream| accepted.accepted(stream),
                move |request| Arc::clone(&serving).handle(request),
            ));
        } else {
            let preset = preset.name;
            servers.spawn(
                Arc::clone(&system)
                    .stdio()
                    .ok_or(BackendError::NoStdio { preset })?,
            );
        }
        let mut beside = Vec::new();
        for one in Arc::clone(&system).beside() {
            beside.push((one.name, one.listener.local_addr()?));
            let handle = one.handle;
            servers.spawn(accept(
                one.listener,
                stopped.clone(),
                |_: &TcpStream| {},
                move |request| handle(request),
            ));
        }
        if let Some((listener, _)) = admin {
            let handle = move |request: Request| {
                let truth = Arc::clone(&truth);
                async move { truth.handle(&request) }
            };
            servers.spawn(accept(listener, stopped, |_: &TcpStream| {}, handle));
        }
        ready(service_at, admin_at, beside);
        tokio::select! {
            () = shutdown => {}
            Some(ended) = servers.join_next() => ended.map_err(std::io::Error::other)??,
        }
        system.stop();
        // Nobody listening any more is as good as having told them.
        let _ = stop.send(true);
        let drained = async { while servers.join_next().await.is_some() {} };
        // Connections still busy after that are cut.
        let _ = tokio::time::timeout(DRAIN_MAX, drained).await;
        Ok(())
    });
    runtime.shutdown_background();
    outcome
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BackendError> {
    let refuse = |source| BackendError::Listen { address, source };
    let listener = bind(address).map_err(refuse)?;
    let at = listener.local_addr().map_err(refuse)?;
    Ok((listener, at))
}

async fn accept<F>(
    listener: TcpListener,
    mut stopped: watch::Receiver<bool>,
    accepted: impl Fn(&TcpStream) + Send + Sync + 'static,
    handle: impl Fn(Request) -> F + Clone + Send + Sync + 'static,
) -> std::io::Result<()>
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let router: Router = Router::new().fallback(handle);
    let listener = listener.tap_io(move |stream| {
        // Without it small answers would wait for acknowledgements; a socket that refuses it still works.
        let _ = stream.set_nodelay(true);
        accepted(stream);
    });
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            // An error means that the sender is gone, which is a stop as well.
            let _ = stopped.wait_for(|stop| *stop).await;
        })
        .await
}
