//! Starting and stopping: the runtime, the listeners, and what is served on each.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admin::Admin;
use crate::alarm::Alarm;
use crate::connection::{Answers, accept};
use crate::error::{BackendError, nearest};
use crate::index::Index;
use crate::preset::{COMMON_KNOBS, PRESETS, PresetDef, preset};
use crate::serve_http2::accept_http2;
use crate::settings::Settings;
use crate::stage::{Cast, Stage};
use crate::system::{Answering, Speaking, bind};

/// How long open requests may take to end after a shutdown was asked for.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// What a person types to serve every preset at once.
pub const ALL: &str = "all";

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// A name from [`crate::PRESETS`], or [`ALL`]: then the service port has an index, and each preset any free port.
    pub preset: String,
    /// Address of the service port.
    pub host: IpAddr,
    /// Service port; 0 takes any free one.
    pub port: u16,
    /// Port of the truth, on 127.0.0.1 only; 0 takes any free one, `None` opens none.
    pub admin_port: Option<u16>,
    /// Knobs as `(name, value)`; the last setting of a name wins. With every preset at once: common knobs for all of them, and
    /// `PRESET.KNOB` for one.
    pub knobs: Vec<(String, String)>,
    /// A folder of JPEG and PNG images to serve as slides.
    pub slides: Option<PathBuf>,
    /// Seed of everything random.
    pub seed: u64,
    /// How long the imitated platform's own times (start of a worker, queue limits) really take, over what they are
    /// called: 1/60 makes two minutes two seconds. Times of service are knobs and are left alone.
    pub time_scale: f64,
    /// Write a line of JSON per request to standard error.
    pub log: bool,
    /// Speak over standard input and output in place of the service port, until the input ends; only for presets whose protocol
    /// does. Nothing else is written to standard output then.
    pub stdio: bool,
}

/// Where the backend listens. Its text is the line that whoever started it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The service, or the index of all services; none where it speaks over standard input and output.
    pub service: Option<SocketAddr>,
    /// The truth, if asked for.
    pub admin: Option<SocketAddr>,
    /// What the preset serves beside, by name.
    pub beside: Vec<(&'static str, SocketAddr)>,
    /// Every preset, where all are served.
    pub presets: Vec<Served>,
}

/// One preset of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The preset's name.
    pub name: &'static str,
    /// Its service.
    pub service: SocketAddr,
    /// What it serves beside.
    pub beside: Vec<(&'static str, SocketAddr)>,
}

impl fmt::Display for Ready {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ready")?;
        if let Some(service) = self.service {
            write!(out, " http://{service}")?;
        }
        if let Some(admin) = self.admin {
            write!(out, " admin http://{admin}")?;
        }
        for (name, at) in &self.beside {
            write!(out, " {name} http://{at}")?;
        }
        for served in &self.presets {
            write!(out, " {} http://{}", served.name, served.service)?;
            for (name, at) in &served.beside {
                write!(out, " {}.{name} http://{at}", served.name)?;
            }
        }
        Ok(())
    }
}

/// Serves until `shutdown` completes. Blocks; builds its own async runtime, inside which `shutdown` is polled. `ready` is called once,
/// when every listener accepts connections and all that loads at the start is loaded.
pub fn serve(
    options: ServeOptions,
    ready: impl FnOnce(&Ready),
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), BackendError> {
    let cast = Play::cast(&options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("backend")
        .build()?;
    let outcome = runtime.block_on(async {
        let mut play = Play::open(options, cast).await?;
        ready(&play.told);
        let outcome = tokio::select! {
            () = shutdown => Ok(()),
            said = &mut play.conversation => said,
        };
        play.close().await;
        Ok(outcome?)
    });
    runtime.shutdown_background();
    outcome
}

/// Everything that runs.
struct Play {
    /// Never ends where there is a service port.
    conversation: Speaking,
    stages: Vec<Arc<Stage>>,
    servers: JoinSet<()>,
    stop: watch::Sender<bool>,
    told: Ready,
}

impl Play {
    /// The presets with their settings: wrong names and values are told before anything is opened.
    fn cast(options: &ServeOptions) -> Result<Vec<(&'static PresetDef, Settings)>, BackendError> {
        if options.stdio && options.preset == ALL {
            return Err(BackendError::NoStdio { preset: ALL });
        }
        if options.preset != ALL {
            let preset = preset(&options.preset)?;
            return Ok(vec![(preset, Settings::new(preset, &options.knobs)?)]);
        }
        if let Some(folder) = &options.slides {
            return Err(BackendError::Slides {
                folder: folder.clone(),
                reason: "not every preset has slides; serve one that has".to_owned(),
            });
        }
        check_shared(&options.knobs)?;
        PRESETS
            .iter()
            .map(|preset| Ok((preset, Settings::new(preset, &of_one(preset, &options.knobs))?)))
            .collect()
    }

    async fn open(
        options: ServeOptions,
        cast: Vec<(&'static PresetDef, Settings)>,
    ) -> Result<Self, BackendError> {
        // Ports first: a port in use is told before slides are painted.
        let all = options.preset == ALL;
        let main = if options.stdio {
            None
        } else {
            Some(listen(SocketAddr::new(options.host, options.port))?)
        };
        let admin = match options.admin_port {
            Some(port) => Some(listen(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))?),
            None => None,
        };
        let alarm = Arc::new(Alarm::start()?);
        let common = Cast {
            host: options.host,
            slides: options.slides,
            seed: options.seed,
            time_scale: options.time_scale,
            admin: admin.is_some(),
            log: options.log,
            alarm: Arc::clone(&alarm),
        };
        let (stop, stopped) = watch::channel(false);
        let mut play = Self {
            conversation: Box::pin(std::future::pending()),
            stages: Vec::new(),
            servers: JoinSet::new(),
            stop,
            told: Ready {
                service: main.as_ref().map(|(_, at)| *at),
                admin: admin.as_ref().map(|(_, at)| *at),
                beside: Vec::new(),
                presets: Vec::new(),
            },
        };
        let mut main = main;
        for (preset, settings) in cast {
            let stage = Arc::new(Stage::start(preset, settings, &common).await?);
            let service = if options.stdio {
                let name = preset.name;
                play.conversation = Arc::clone(stage.system())
                    .stdio()
                    .ok_or(BackendError::NoStdio { preset: name })?;
                None
            } else {
                let (listener, at) = match main.take_if(|_| !all) {
                    Some(main) => main,
                    None => listen(SocketAddr::new(options.host, 0))?,
                };
                play.serve(listener, &stopped, Arc::clone(&stage.front), &alarm);
                Some(at)
            };
            let mut beside = stage.system().own_listeners();
            for one in Arc::clone(stage.system()).beside() {
                beside.push((one.name, one.listener.local_addr()?));
                play.serve(one.listener, &stopped, one.handle, &alarm);
            }
            for one in Arc::clone(stage.system()).beside_http2() {
                beside.push((one.name, one.listener.local_addr()?));
                play.servers
                    .spawn(accept_http2(one.listener, stopped.clone(), one.handle));
            }
            match service.filter(|_| all) {
                Some(service) => play.told.presets.push(Served {
                    name: preset.name,
                    service,
                    beside,
                }),
                None => play.told.beside = beside,
            }
            play.stages.push(stage);
        }
        if let Some((listener, _)) = admin {
            let admin = Arc::new(Admin::new(play.stages.clone(), all));
            play.serve(listener, &stopped, admin, &alarm);
        }
        if let Some((listener, _)) = main {
            let index = Index::new(&play.told.presets);
            let answers = Arc::new(move |request| -> Answering {
                let response = index.answer(&request);
                Box::pin(std::future::ready(response))
            });
            play.serve(listener, &stopped, answers, &alarm);
        }
        Ok(play)
    }

    fn serve<A: Answers + ?Sized>(
        &mut self,
        listener: TcpListener,
        stopped: &watch::Receiver<bool>,
        answers: Arc<A>,
        alarm: &Arc<Alarm>,
    ) {
        self.servers
            .spawn(accept(listener, stopped.clone(), answers, Arc::clone(alarm)));
    }

    /// No new work; what is open may end.
    async fn close(mut self) {
        for stage in &self.stages {
            stage.system().stop();
        }
        // Nobody listening any more is as good as having told them.
        let _ = self.stop.send(true);
        let drained = async { while self.servers.join_next().await.is_some() {} };
        // Connections still busy after that are cut.
        let _ = tokio::time::timeout(DRAIN_MAX, drained).await;
    }
}

/// With every preset at once, a knob without a preset before it must be one that all have.
fn check_shared(pairs: &[(String, String)]) -> Result<(), BackendError> {
    for (name, _) in pairs {
        let known = match name.split_once('.') {
            Some((of, _)) => {
                preset(of)?;
                true
            }
            None => COMMON_KNOBS.iter().any(|knob| knob.name == name),
        };
        if !known {
            let valid: Vec<&'static str> = COMMON_KNOBS.iter().map(|knob| knob.name).collect();
            return Err(BackendError::UnknownKnob {
                preset: ALL,
                name: name.clone(),
                nearest: nearest(name, &valid),
                valid,
            });
        }
    }
    Ok(())
}

/// The knobs that concern one preset: the common ones that it has, then its own.
fn of_one(preset: &PresetDef, pairs: &[(String, String)]) -> Vec<(String, String)> {
    let shared = pairs
        .iter()
        .filter(|(name, _)| preset.common_knobs().any(|knob| knob.name == name))
        .cloned();
    let own = pairs.iter().filter_map(|(name, value)| {
        let (of, knob) = name.split_once('.')?;
        (of == preset.name).then(|| (knob.to_owned(), value.clone()))
    });
    shared.chain(own).collect()
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BackendError> {
    let refuse = |source| BackendError::Listen { address, source };
    let listener = bind(address).map_err(refuse)?;
    let at = listener.local_addr().map_err(refuse)?;
    Ok((listener, at))
}
