//! One worker: a web server around one model, as the balancer's processes run it. It loads its weights, answers `/ping`, and dresses
//! the person on one picture with the garment of another. It knows no balancer.

mod load;
mod tryon;

pub(crate) use load::generate;
pub(crate) use tryon::samples;

use std::os::unix::process::parent_id;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use serde_json::{Value, json};

use crate::alarm::Alarm;
use crate::error::BackendError;
use crate::fastapi::body::Body as Fields;
use crate::fastapi::reply::Reply;
use crate::gate::Gate;
use crate::knob::{KnobDef, knob};
use crate::recorder::{Recorder, Visit};
use crate::system::{Answering, Start, System};

/// How long the request waited inside the worker and how long it was served, in microseconds: for the balancer's account only.
pub(crate) const INSIDE: HeaderName = HeaderName::from_static("x-inside-us");
/// Which worker answered.
pub(crate) const WORKER_ID: HeaderName = HeaderName::from_static("x-worker-id");
/// What a garment may be.
pub(crate) const CLOTH_TYPES: [&str; 3] = ["upper", "lower", "overall"];
/// Longest path of a picture where it is bounded.
pub(crate) const PATH_MAX: usize = 512;
/// Largest seed where it is bounded.
pub(crate) const SEED_MAX: i64 = 4_294_967_295;
const BODY_MAX: usize = 64 * 1024 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What a worker is started with.
#[rustfmt::skip]
pub(crate) static KNOBS: [KnobDef; 14] = [
    knob("worker_id", "text", "local", "what the worker is called"),
    knob("volume", "path", "", "folder with the pictures; empty is a fresh one of its own"),
    knob("weights", "path", "", "file that is read before the worker is ready; empty is none"),
    knob("heirloom", "path", "", "folder that is removed when the process that started this one has gone before it; empty is none"),
    knob("load_s", "s", "7", "how long loading takes in all"),
    knob("begun_ms", "ms", "0", "when loading began, since 1970: the start of the process is then a part of it; 0: when the process is there"),
    knob("first_call_s", "s", "5", "what the first inference takes longer than the others"),
    knob("service_s", "s", "9.6", "time of one inference, median"),
    knob("service_sigma", "1", "0.02", "its spread: sigma of the logarithm"),
    knob("concurrency", "count", "1", "inferences at once"),
    knob("ping_starves", "bool", "false", "one request at a time, health included, like a blocked event loop"),
    knob("never_initialising", "bool", "false", "nothing is answered while loading, and the first inference warms the model up"),
    knob("ignore_unknown", "bool", "false", "ignore fields that are not known and leave lengths unbounded"),
    knob("missing_is_500", "bool", "false", "refusals inside the handler come out as 500"),
];

struct Worker {
    id: HeaderValue,
    volume: PathBuf,
    own_volume: std::sync::Mutex<Option<tempfile::TempDir>>,
    heirloom: Option<PathBuf>,
    parent: u32,
    ready: AtomicBool,
    cold: AtomicBool,
    weights: OnceLock<Vec<u8>>,
    results: AtomicU64,
    gate: Gate,
    ping_starves: bool,
    ignore_unknown: bool,
    missing_is_500: bool,
    first_call: Duration,
    service: Duration,
    sigma: f64,
    rng: std::sync::Mutex<ChaCha8Rng>,
    alarm: Alarm,
    recorder: Arc<Recorder>,
}

/// Starts the preset.
pub(crate) fn start(start: &Start<'_>) -> Result<Arc<dyn System>, BackendError> {
    start.without_slides()?;
    let settings = start.settings;
    let seconds = |name: &'static str| {
        settings
            .number(name, 0.0, 1e6)
            .map(|s| Duration::from_secs_f64(s * start.time_scale))
    };
    let (volume, own_volume) = match settings.word("volume") {
        "" => {
            let folder = tempfile::Builder::new().prefix("prony-volume-").tempdir()?;
            (folder.path().to_owned(), Some(folder))
        }
        path => (PathBuf::from(path), None),
    };
    let never_initialising = settings.flag("never_initialising")?;
    let ping_starves = settings.flag("ping_starves")?;
    let late = match settings.number("begun_ms", 0.0, 1e15)? {
        0.0 => Duration::ZERO,
        ms => SystemTime::now()
            .duration_since(UNIX_EPOCH + Duration::from_secs_f64(ms / 1000.0))
            .unwrap_or_default(),
    };
    let load_time = seconds("load_s")?.saturating_sub(late);
    let first_call = seconds("first_call_s")?;
    let weights = Some(settings.word("weights"))
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let slots = if ping_starves {
        1
    } else {
        settings.count("concurrency", 1, 64)? as usize
    };
    let worker = Arc::new(Worker {
        id: HeaderValue::from_str(settings.word("worker_id"))
            .map_err(|_| settings.refuse("worker_id", "letters and digits are needed"))?,
        volume,
        own_volume: std::sync::Mutex::new(own_volume),
        heirloom: Some(settings.word("heirloom"))
            .filter(|path| !path.is_empty())
            .map(PathBuf::from),
        parent: parent_id(),
        ready: AtomicBool::new(false),
        cold: AtomicBool::new(never_initialising),
        weights: OnceLock::new(),
        results: AtomicU64::new(0),
        gate: Gate::new(slots, usize::MAX),
        ping_starves,
        ignore_unknown: settings.flag("ignore_unknown")?,
        missing_is_500: settings.flag("missing_is_500")?,
        first_call,
        service: seconds("service_s")?,
        sigma: settings.number("service_sigma", 0.0, 1.0)?,
        rng: std::sync::Mutex::new(ChaCha8Rng::seed_from_u64(start.seed)),
        alarm: Alarm::start()?,
        recorder: Arc::clone(&start.recorder),
    });
    let loading = Arc::clone(&worker);
    if never_initialising {
        loading.load(weights, Instant::now() + load_time)?;
    } else {
        // Warmed up before it says that it is ready.
        let until = Instant::now() + load_time + first_call;
        std::thread::Builder::new()
            .name("loading".to_owned())
            .spawn(move || loading.load(weights, until))?;
    }
    Ok(worker)
}

impl System for Worker {
    fn handle(self: Arc<Self>, request: Request<Body>) -> Answering {
        Box::pin(async move {
            // The work goes on when the client leaves.
            let task = crate::slip::spawn(self.serve(request));
            task.await.unwrap_or_else(|_| Reply::unhandled()).into_response()
        })
    }

    fn state(&self) -> Value {
        json!({ "loaded_bytes": self.weights.get().map_or(0, Vec::len), "results": self.results.load(Ordering::Relaxed) })
    }

    fn stop(&self) {
        drop(lock(&self.own_volume).take());
        if let Some(folder) = self.heirloom.as_ref().filter(|_| parent_id() != self.parent) {
            // Others that were started by the same process do it too.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

impl Worker {
    /// Reads the weights and is ready, not before `until`. The weights stay in memory.
    fn load(self: Arc<Self>, weights: Option<PathBuf>, until: Instant) -> std::io::Result<()> {
        let held = match weights {
            Some(path) => load::weights(&path)?,
            None => Vec::new(),
        };
        // Loaded once in the life of a worker.
        let _ = self.weights.set(held);
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    async fn serve(self: Arc<Self>, request: Request<Body>) -> Reply {
        let mut visit = self.recorder.arrive();
        let arrived = Instant::now();
        let (parts, body) = request.into_parts();
        let bytes = match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_MAX)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(_)) => return Reply::detail(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large"),
            Err(_) => {
                return Reply::detail(StatusCode::REQUEST_TIMEOUT, "Request body did not arrive in time");
            }
        };
        let turn = if self.ping_starves {
            self.gate.enter().await.ok()
        } else {
            None
        };
        let mut begun = Instant::now();
        self.recorder.begin(&mut visit, turn.is_some());
        let (endpoint, reply) = match (&parts.method, parts.uri.path()) {
            (&Method::GET, "/ping") => ("GET /ping", self.ping()),
            (&Method::POST, "/api/v1/tryon") => (
                "POST /api/v1/tryon",
                self.tryon(&parts, &bytes, &mut visit, &mut begun).await,
            ),
            (_, "/ping") => ("unrouted", Reply::method_not_allowed("GET")),
            (_, "/api/v1/tryon") => ("unrouted", Reply::method_not_allowed("POST")),
            _ => ("unrouted", Reply::not_found("Not Found")),
        };
        self.recorder.end(&mut visit);
        drop(turn);
        self.recorder.finish(visit, endpoint, reply.status.as_u16());
        let inside = format!(
            "{} {}",
            (begun - arrived).as_micros(),
            begun.elapsed().as_micros()
        );
        match HeaderValue::from_str(&inside) {
            Ok(inside) => reply.with(INSIDE, inside).with(WORKER_ID, self.id.clone()),
            Err(_) => reply,
        }
    }

    fn ping(&self) -> Reply {
        if self.ready.load(Ordering::Acquire) {
            Reply::json(&json!({ "status": "healthy" }))
        } else {
            Reply {
                status: StatusCode::NO_CONTENT,
                headers: Vec::new(),
                body: Bytes::new(),
            }
        }
    }

    async fn tryon(
        self: &Arc<Self>,
        parts: &Parts,
        bytes: &[u8],
        visit: &mut Visit,
        begun: &mut Instant,
    ) -> Reply {
        let content_type = parts
            .headers
            .get(header::CONTENT_TYPE)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let order = match self.read(bytes, content_type.as_deref()) {
            Ok(order) => order,
            Err(refused) => return refused,
        };
        if !self.ready.load(Ordering::Acquire) {
            return Reply::detail(
                StatusCode::SERVICE_UNAVAILABLE,
                "Worker is not ready or is initializing.",
            );
        }
        let turn = if self.ping_starves {
            None
        } else {
            let turn = self.gate.enter().await.ok();
            *begun = Instant::now();
            self.recorder.begin(visit, turn.is_some());
            turn
        };
        let reply = match self.infer(order, *begun).await {
            Ok(name) => {
                self.results.fetch_add(1, Ordering::Relaxed);
                Reply::json(&json!({ "result_image_path": name }))
            }
            Err(refused) if self.missing_is_500 => Reply::detail(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!(
                    "An internal error occurred: {}: {}",
                    refused.status.as_u16(),
                    refused.why
                ),
            ),
            Err(refused) => Reply::detail(refused.status, refused.why),
        };
        drop(turn);
        reply
    }

    fn read(&self, bytes: &[u8], content_type: Option<&str>) -> Result<tryon::Order, Reply> {
        let mut fields = Fields::decode(bytes, content_type, self.ignore_unknown)?;
        let (shortest, longest) = if self.ignore_unknown {
            (0, None)
        } else {
            (1, Some(PATH_MAX))
        };
        let largest = if self.ignore_unknown { i64::MAX } else { SEED_MAX };
        let order = tryon::Order {
            person: fields.string("person_image_path", shortest, longest),
            garment: fields.string("garment_image_path", shortest, longest),
            cloth_type: fields.word("cloth_type", "upper", &CLOTH_TYPES),
            seed: fields.integer(
                "seed",
                -1,
                if self.ignore_unknown { i64::MIN } else { -1 },
                largest,
            ),
        };
        fields.finish().map(|()| order)
    }

    /// One inference: the picture is made and written at once, then time passes as if a GPU had made it, and only then is it seen.
    async fn infer(self: &Arc<Self>, order: tryon::Order, begun: Instant) -> Result<String, tryon::Refused> {
        let (chance, name) = {
            let mut rng = lock(&self.rng);
            (rng.random(), tryon::result_name(rng.random()))
        };
        let (volume, written) = (self.volume.clone(), name.clone());
        blocking(move || {
            let picture = tryon::picture(&volume, &order, chance)?;
            tryon::write(&volume, &written, &picture)
        })
        .await?;
        let normal: f64 = StandardNormal.sample(&mut *lock(&self.rng));
        let mut time = self.service.mul_f64((self.sigma * normal).exp());
        if self.cold.swap(false, Ordering::AcqRel) {
            time += self.first_call;
        }
        self.alarm.sleep_until(begun + time).await;
        tryon::show(&self.volume, &name).map(|()| name)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, tryon::Refused> + Send + 'static,
) -> Result<T, tryon::Refused> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(tryon::Refused {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            why: "the picture could not be made".to_owned(),
        })
    })
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
