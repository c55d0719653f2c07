//! The knobs of the two presets and the typed settings read from them.

use crate::error::BackendError;
use crate::knob::{KnobDef, fault, knob, twin};
use crate::settings::Settings;

use super::variants::VARIANTS;

const COUNT: usize = 25;

/// The defaults of `vision`.
pub(crate) static OBSERVED_KNOBS: [KnobDef; COUNT] = twin(&TABLE, true);
/// The defaults of `vision-fixed`.
pub(crate) static FIXED_KNOBS: [KnobDef; COUNT] = twin(&TABLE, false);

/// What is in force.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// V1: loading is a word and predicting a constant.
    pub(crate) placeholder: bool,
    /// V2: single inference ends in a 500.
    pub(crate) dead_single: bool,
    /// V2, as it was literally: batch inference as well.
    pub(crate) dead_batch: bool,
    /// V3: jobs stay pending for ever.
    pub(crate) jobs_stuck: bool,
    /// V3, the other way: failed images count as done.
    pub(crate) jobs_uncounted: bool,
    /// As observed: coerced types, ignored fields, unread pixels.
    pub(crate) lenient_input: bool,
    /// Every error is `{"error": ...}`, those of the framework included.
    pub(crate) flat_errors: bool,
    /// A model loads at its first use.
    pub(crate) lazy_load: bool,
    /// Indices of the models that are loaded from the start.
    pub(crate) preload: Vec<usize>,
    /// Load times over what is declared.
    pub(crate) load_scale: f64,
    /// Service times over what is declared.
    pub(crate) service_scale: f64,
    /// Spread of the service time: sigma of the logarithm.
    pub(crate) service_sigma: f64,
    /// Relative growth of the service time per 1,000 images.
    pub(crate) service_drift: f64,
    /// Memory of a model over the size of the weights that it imitates.
    pub(crate) memory_scale: f64,
    /// Most memory of all models together.
    pub(crate) memory_max_bytes: usize,
    /// Images processed at once.
    pub(crate) slots: usize,
    /// Requests that may wait for one.
    pub(crate) queue_max: usize,
    /// Jobs that run at once.
    pub(crate) jobs_running_max: usize,
    /// Jobs that are remembered.
    pub(crate) jobs_kept_max: usize,
    /// Most images of one job.
    pub(crate) job_images_max: usize,
    /// Largest request body.
    pub(crate) body_max_bytes: usize,
    /// Most bytes of uploaded images kept.
    pub(crate) store_max_bytes: usize,
    /// Memory kept for ever per request.
    pub(crate) leak_kib_per_request: usize,
}

impl Config {
    /// Reads and bounds every knob.
    pub(crate) fn new(settings: &Settings) -> Result<Self, BackendError> {
        let dead = settings.flag("dead_inference")?;
        let dead_which = settings.choice("dead_inference_routes", &["single", "all"])?;
        let lie = settings.flag("jobs_lie")?;
        let lie_how = settings.choice("jobs_lie_how", &["pending", "uncounted"])?;
        let mib = |name, max| settings.count(name, 1, max).map(|mib| mib as usize * 1024 * 1024);
        Ok(Self {
            placeholder: settings.flag("placeholder")?,
            dead_single: dead,
            dead_batch: dead && dead_which == "all",
            jobs_stuck: lie && lie_how == "pending",
            jobs_uncounted: lie && lie_how == "uncounted",
            lenient_input: settings.flag("lenient_input")?,
            flat_errors: settings.flag("flat_errors")?,
            lazy_load: settings.flag("lazy_load")?,
            preload: preload(settings)?,
            load_scale: settings.number("load_scale", 0.0, 1000.0)?,
            service_scale: settings.number("service_scale", 0.0, 1000.0)?,
            service_sigma: settings.number("service_sigma", 0.0, 3.0)?,
            service_drift: settings.number("service_drift", 0.0, 1000.0)?,
            memory_scale: settings.number("memory_scale", 0.0, 10.0)?,
            memory_max_bytes: mib("memory_max_mib", 65_536)?,
            slots: settings.count("slots", 1, 1024)? as usize,
            queue_max: match settings.count("queue_max", 0, 1_000_000)? {
                0 => usize::MAX,
                max => max as usize,
            },
            jobs_running_max: settings.count("jobs_running_max", 1, 1024)? as usize,
            jobs_kept_max: settings.count("jobs_kept_max", 1, 100_000)? as usize,
            job_images_max: settings.count("job_images_max", 1, 10_000)? as usize,
            body_max_bytes: mib("body_max_mib", 1024)?,
            store_max_bytes: mib("store_max_mib", 65_536)?,
            leak_kib_per_request: settings.count("leak_kib_per_request", 0, 65_536)? as usize,
        })
    }
}

fn preload(settings: &Settings) -> Result<Vec<usize>, BackendError> {
    match settings.word("preload") {
        "none" | "" => Ok(Vec::new()),
        "all" => Ok((0..VARIANTS.len()).collect()),
        names => names
            .split(',')
            .map(|name| {
                VARIANTS
                    .iter()
                    .position(|one| one.key == name.trim())
                    .ok_or_else(|| {
                        let valid: Vec<&str> = VARIANTS.iter().map(|one| one.key).collect();
                        settings.refuse(
                            "preload",
                            &format!("use none, all, or models from: {}", valid.join(", ")),
                        )
                    })
            })
            .collect(),
    }
}

/// The definition of each knob with its observed default, and its default in the fixed preset.
const TABLE: [(KnobDef, &str); COUNT] = [
    (
        fault(
            "V1",
            "placeholder",
            "models are placeholders: loading does nothing and every image gets the same constant box",
        ),
        "false",
    ),
    (
        fault(
            "V2",
            "dead_inference",
            "inference answers 500 after its input was validated: the routes call functions that do not exist",
        ),
        "false",
    ),
    (
        knob(
            "dead_inference_routes",
            "single|all",
            "single",
            "which routes dead_inference kills: single inference, or batch as well",
        ),
        "single",
    ),
    (
        fault(
            "V3",
            "jobs_lie",
            "batch jobs do not tell how they are: see jobs_lie_how",
        ),
        "false",
    ),
    (
        knob(
            "jobs_lie_how",
            "pending|uncounted",
            "pending",
            "with jobs_lie: jobs never leave 'pending', or they are 'completed' and failed images count as processed",
        ),
        "pending",
    ),
    (
        knob(
            "lenient_input",
            "bool",
            "true",
            "coerce types, ignore unknown fields, take images whose pixels cannot be decoded, as observed",
        ),
        "false",
    ),
    (
        knob(
            "flat_errors",
            "bool",
            "false",
            "errors of the framework (404, 405, 422) have the key 'error' too, not 'detail' alone",
        ),
        "true",
    ),
    (
        knob(
            "lazy_load",
            "bool",
            "true",
            "a model that is not loaded is loaded by the first request for it; otherwise that is an error",
        ),
        "true",
    ),
    (
        knob(
            "preload",
            "models",
            "none",
            "models that are loaded from the start: none, all, or names with commas between",
        ),
        "all",
    ),
    (
        knob(
            "load_scale",
            "1",
            "1",
            "time to load a model over the declared one (300 to 3000 ms); the platform's scale of time comes on top",
        ),
        "1",
    ),
    (
        knob(
            "service_scale",
            "1",
            "1",
            "time of the accelerator for one image over the nominal one (25 to 500 ms)",
        ),
        "1",
    ),
    (
        knob(
            "service_sigma",
            "1",
            "0.1",
            "spread of the accelerator time: sigma of its natural logarithm (0 is constant)",
        ),
        "0.1",
    ),
    (
        knob(
            "service_drift",
            "1",
            "0",
            "relative growth of the accelerator time per 1,000 images (0.5 is +50 %)",
        ),
        "0",
    ),
    (
        knob(
            "memory_scale",
            "1",
            "0.25",
            "memory that a loaded model really takes over its weights' size (5.4 to 857 MiB)",
        ),
        "0.25",
    ),
    (
        knob(
            "memory_max_mib",
            "MiB",
            "512",
            "most memory of all models; the one used longest ago is unloaded to make room",
        ),
        "1024",
    ),
    (
        knob(
            "slots",
            "count",
            "4",
            "requests whose images are processed in parallel",
        ),
        "4",
    ),
    (
        knob(
            "queue_max",
            "count",
            "0",
            "requests that may wait before the answer is 503 with Retry-After; 0 is no limit",
        ),
        "4096",
    ),
    (
        knob(
            "jobs_running_max",
            "count",
            "5",
            "batch jobs that run at the same time; others are pending",
        ),
        "5",
    ),
    (
        knob(
            "jobs_kept_max",
            "count",
            "1000",
            "jobs remembered; the oldest that has ended is forgotten, and when none has the answer is 429",
        ),
        "200",
    ),
    (
        knob("job_images_max", "count", "10000", "most images of one batch job"),
        "256",
    ),
    (
        knob(
            "body_max_mib",
            "MiB",
            "64",
            "largest request body; a larger one is answered 413",
        ),
        "32",
    ),
    (
        knob(
            "store_max_mib",
            "MiB",
            "1024",
            "most bytes of uploaded images kept; the oldest image is forgotten to make room",
        ),
        "256",
    ),
    (
        knob(
            "model",
            "path",
            "",
            "an ONNX model that answers in the place of every model, in the time that it takes (serve --model); slots is its sessions",
        ),
        "",
    ),
    (
        knob(
            "onnxruntime",
            "path",
            "",
            "with model: onnxruntime's library or a folder with it; else ORT_DYLIB_PATH or the active virtual environment",
        ),
        "",
    ),
    (
        knob(
            "leak_kib_per_request",
            "KiB",
            "0",
            "memory kept for ever by each request",
        ),
        "0",
    ),
];
