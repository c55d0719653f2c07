//! The typed settings of the platform, read from the knobs: every time is what it really takes here.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::BackendError;
use crate::settings::Settings;
use crate::system::Start;

/// However short times are made, a real process gets so long to start, and a real health check so long to be answered: what a busy
/// machine needs would otherwise look like a worker that is ill.
const INIT_LEAST: Duration = Duration::from_secs(10);
const PING_LEAST: Duration = Duration::from_secs(1);

/// When workers are added.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scaler {
    /// When requests have waited for so long.
    QueueDelay(Duration),
    /// One for each so many requests waiting and in progress.
    RequestCount(f64),
}

/// Which free worker gets a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Routing {
    /// Each in turn.
    RoundRobin,
    /// The one with the least to do that has served the least.
    LeastBusy,
}

/// Which API the endpoint has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Both.
    Both,
    /// Requests go to workers as they are.
    Balancer,
    /// Jobs.
    Queue,
}

/// What is in force.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// R1.
    pub(crate) hidden_wait: bool,
    /// R2.
    pub(crate) deadline_drop: bool,
    /// R4.
    pub(crate) uneven: bool,
    /// R6, for the document.
    pub(crate) ignore_unknown: bool,
    /// R7, for the document.
    pub(crate) missing_is_500: bool,
    pub(crate) workers_min: usize,
    pub(crate) workers_max: usize,
    pub(crate) concurrency: usize,
    pub(crate) scaler: Scaler,
    /// Provisioning and image.
    pub(crate) before_process: Duration,
    pub(crate) idle: Duration,
    pub(crate) wait_max: Duration,
    pub(crate) processing_max: Duration,
    pub(crate) init_max: Duration,
    pub(crate) ping: Duration,
    pub(crate) ping_timeout: Duration,
    pub(crate) ping_failures: u64,
    /// How long a worker is looked for at the wrong port, if it is.
    pub(crate) wrong_port: Option<Duration>,
    pub(crate) payload_max: usize,
    /// How long a stopped worker is kept, if it is.
    pub(crate) flashboot: Option<Duration>,
    pub(crate) flashboot_start: Duration,
    pub(crate) routing: Routing,
    pub(crate) worker_header: bool,
    pub(crate) api_key: Option<String>,
    pub(crate) endpoint: Endpoint,
    pub(crate) endpoint_id: String,
    pub(crate) job_timeout: Duration,
    pub(crate) job_ttl: Duration,
    pub(crate) job_keep: Duration,
    pub(crate) price_flex: f64,
    pub(crate) price_active: f64,
    pub(crate) weights_mib: usize,
    pub(crate) program: Option<PathBuf>,
    /// Requests that may wait where those beyond are refused at once.
    pub(crate) queue_max: usize,
    /// Knobs that the workers get as they are.
    pub(crate) for_workers: Vec<(String, String)>,
    pub(crate) seed: u64,
    pub(crate) time_scale: f64,
    /// Median time of one inference, its spread, and what the first takes longer.
    pub(crate) service: Duration,
    pub(crate) service_sigma: f64,
    pub(crate) first_call: Duration,
}

impl Config {
    /// Reads and bounds every knob.
    pub(crate) fn new(start: &Start<'_>) -> Result<Self, BackendError> {
        let settings = start.settings;
        let seconds = |name| settings.number(name, 0.0, 1e7);
        let scaled = |seconds: f64| Duration::from_secs_f64(seconds * start.time_scale);
        let time = |name| seconds(name).map(scaled);
        let workers_max = settings.count("workers_max", 1, 64)? as usize;
        let concurrency = settings.count("worker_concurrency", 1, 64)? as usize;
        let scaler_value = settings.number("scaler_value", 0.0, 1e6)?;
        let starting_s = seconds("provision_s")? + seconds("image_s")? + seconds("load_s")?;
        let warming_s = seconds("first_call_s")?;
        // Nine tenths of what the workers can serve before the first that waits gives up.
        let serving_s = seconds("wait_max_s")? - starting_s - warming_s;
        let servable = 0.9 * serving_s / seconds("service_s")?.max(1e-3) * (workers_max * concurrency) as f64;
        Ok(Self {
            hidden_wait: settings.flag("hidden_wait")?,
            deadline_drop: settings.flag("deadline_drop")?,
            uneven: settings.flag("uneven")?,
            ignore_unknown: settings.flag("ignore_unknown")?,
            missing_is_500: settings.flag("missing_is_500")?,
            workers_min: settings.count("workers_min", 0, workers_max as u64)? as usize,
            workers_max,
            concurrency,
            scaler: match settings.choice("scaler", &["queue_delay", "request_count"])? {
                "request_count" => Scaler::RequestCount(scaler_value.max(0.01)),
                _ => Scaler::QueueDelay(scaled(scaler_value)),
            },
            before_process: time("provision_s")? + time("image_s")?,
            idle: time("idle_s")?,
            wait_max: time("wait_max_s")?,
            processing_max: time("processing_max_s")?,
            init_max: time("init_max_s")?.max(INIT_LEAST),
            ping: time("ping_s")?.max(Duration::from_millis(1)),
            ping_timeout: time("ping_timeout_s")?.max(PING_LEAST),
            ping_failures: settings.count("ping_failures", 1, 1000)?,
            wrong_port: settings
                .flag("wrong_port")?
                .then(|| time("wrong_port_s"))
                .transpose()?,
            payload_max: (settings.number("payload_mb", 0.0, 64.0)? * 1e6) as usize,
            flashboot: settings
                .flag("flashboot")?
                .then(|| time("flashboot_keep_s"))
                .transpose()?,
            flashboot_start: time("flashboot_s")?,
            routing: match settings.choice("routing", &["round_robin", "least_busy"])? {
                "least_busy" => Routing::LeastBusy,
                _ => Routing::RoundRobin,
            },
            worker_header: settings.flag("worker_header")?,
            api_key: Some(settings.word("api_key").to_owned()).filter(|key| !key.is_empty()),
            endpoint: match settings.choice("endpoint", &["both", "balancer", "queue"])? {
                "balancer" => Endpoint::Balancer,
                "queue" => Endpoint::Queue,
                _ => Endpoint::Both,
            },
            endpoint_id: settings.word("endpoint_id").to_owned(),
            job_timeout: time("job_timeout_s")?,
            job_ttl: time("job_ttl_s")?,
            job_keep: time("job_keep_s")?,
            price_flex: settings.number("price_flex", 0.0, 1e3)?,
            price_active: settings.number("price_active", 0.0, 1e3)?,
            weights_mib: settings.count("weights_mb", 0, 1024)? as usize,
            program: Some(settings.word("worker_program"))
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            queue_max: (servable as usize).max(1),
            for_workers: for_workers(settings),
            seed: start.seed,
            time_scale: start.time_scale,
            service: time("service_s")?,
            service_sigma: settings.number("service_sigma", 0.0, 1.0)?,
            first_call: if settings.flag("never_initialising")? {
                time("first_call_s")?
            } else {
                Duration::ZERO
            },
        })
    }

    /// Seconds of the platform that a time here stands for.
    pub(crate) fn platform_s(&self, time: Duration) -> f64 {
        time.as_secs_f64() / self.time_scale
    }
}

fn for_workers(settings: &Settings) -> Vec<(String, String)> {
    [
        ("load_s", "load_s"),
        ("first_call_s", "first_call_s"),
        ("service_s", "service_s"),
        ("service_sigma", "service_sigma"),
        ("concurrency", "worker_concurrency"),
        ("ping_starves", "ping_starves"),
        ("never_initialising", "never_initialising"),
        ("ignore_unknown", "ignore_unknown"),
        ("missing_is_500", "missing_is_500"),
    ]
    .map(|(theirs, ours)| (theirs.to_owned(), settings.word(ours).to_owned()))
    .to_vec()
}
