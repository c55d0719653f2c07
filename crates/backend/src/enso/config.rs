//! The knobs of the two presets and the typed settings read from them.

use crate::error::BackendError;
use crate::knob::{KnobDef, fault, knob, twin};
use crate::settings::Settings;

/// The defaults of `enso`.
pub(crate) static OBSERVED_KNOBS: [KnobDef; 20] = twin(&TABLE, true);
/// The defaults of `enso-fixed`.
pub(crate) static FIXED_KNOBS: [KnobDef; 20] = twin(&TABLE, false);

/// What is in force.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// E1: one request at a time, health included.
    pub(crate) serial: bool,
    /// E2: the report is a constant text.
    pub(crate) template_report: bool,
    /// E3: the search ranks by attention and ignores the query.
    pub(crate) ignore_query: bool,
    /// E4: every slide gets score 0.
    pub(crate) degenerate: bool,
    /// E5: status endpoints never say that a model is loaded.
    pub(crate) status_lies: bool,
    /// E6: a model loads on its first use.
    pub(crate) lazy_load: bool,
    /// E7: an id longer than a file name may be ends in a 500.
    pub(crate) long_id_500: bool,
    /// As observed: parameters without bounds, coerced types, ignored fields.
    pub(crate) lenient_input: bool,
    /// Simulated accelerator time of one analysis, mean.
    pub(crate) device_ms: f64,
    /// Its spread: sigma of the logarithm.
    pub(crate) device_sigma: f64,
    /// Simulated time to read a picture's pixels, mean.
    pub(crate) storage_ms: f64,
    /// Time to load one model on first use.
    pub(crate) lazy_load_ms: f64,
    /// Requests served at once when not serial.
    pub(crate) slots: usize,
    /// Requests that may wait for a slot; 0 is no limit.
    pub(crate) queue_max: usize,
    /// Width of the generated slides.
    pub(crate) slide_px: usize,
    /// Memory kept for ever per request.
    pub(crate) leak_kib_per_request: usize,
    /// Relative growth of the accelerator time per 1,000 requests.
    pub(crate) service_drift: f64,
    /// Largest request body.
    pub(crate) body_max_bytes: usize,
    /// What /health says about an accelerator.
    pub(crate) cuda_available: bool,
    /// Answers carry an id that a client may choose.
    pub(crate) request_id: bool,
}

impl Config {
    /// Reads and bounds every knob.
    pub(crate) fn new(settings: &Settings) -> Result<Self, BackendError> {
        Ok(Self {
            serial: settings.flag("serial")?,
            template_report: settings.flag("template_report")?,
            ignore_query: settings.flag("ignore_query")?,
            degenerate: settings.flag("degenerate")?,
            status_lies: settings.flag("status_lies")?,
            lazy_load: settings.flag("lazy_load")?,
            long_id_500: settings.flag("long_id_500")?,
            lenient_input: settings.flag("lenient_input")?,
            device_ms: settings.number("device_ms", 0.0, 600_000.0)?,
            device_sigma: settings.number("device_sigma", 0.0, 3.0)?,
            storage_ms: settings.number("storage_ms", 0.0, 600_000.0)?,
            lazy_load_ms: settings.number("lazy_load_ms", 0.0, 600_000.0)?,
            slots: settings.count("slots", 1, 1024)? as usize,
            queue_max: settings.count("queue_max", 0, 1_000_000)? as usize,
            slide_px: settings.count("slide_px", 64, 16_384)? as usize,
            leak_kib_per_request: settings.count("leak_kib_per_request", 0, 65_536)? as usize,
            service_drift: settings.number("service_drift", 0.0, 1_000.0)?,
            body_max_bytes: settings.count("body_max_mib", 1, 1_024)? as usize * 1024 * 1024,
            cuda_available: settings.flag("cuda_available")?,
            request_id: settings.flag("request_id")?,
        })
    }
}

/// The observed definition of each knob, and its default in the fixed preset.
const TABLE: [(KnobDef, &str); 20] = [
    (
        fault(
            "E1",
            "serial",
            "serve one request at a time, health checks included, like a blocked event loop",
        ),
        "false",
    ),
    (
        fault(
            "E2",
            "template_report",
            "the report generator is missing: every slide gets the same static text",
        ),
        "false",
    ),
    (
        fault(
            "E3",
            "ignore_query",
            "semantic search falls back to attention ranking and ignores the query",
        ),
        "false",
    ),
    (
        fault(
            "E4",
            "degenerate",
            "every slide is NON-RESPONDER with confidence 1.0",
        ),
        "false",
    ),
    (
        fault(
            "E5",
            "status_lies",
            "status endpoints say model_loaded false for ever, though requests are answered",
        ),
        "false",
    ),
    (
        fault(
            "E6",
            "lazy_load",
            "each model loads at its first use, not before the server is ready",
        ),
        "false",
    ),
    (
        fault(
            "E7",
            "long_id_500",
            "an id longer than a file name may be ends in a 500 instead of a 4xx",
        ),
        "false",
    ),
    (
        knob(
            "lenient_input",
            "bool",
            "true",
            "coerce types, ignore unknown fields and leave k, top_patches and size unbounded, as observed",
        ),
        "false",
    ),
    (
        knob(
            "device_ms",
            "ms",
            "20",
            "mean simulated accelerator time of one analysis; report 1.25, search 0.6, similar and heatmap 0.5, embed 0.4 of it",
        ),
        "20",
    ),
    (
        knob(
            "device_sigma",
            "1",
            "0.1",
            "spread of the accelerator time: sigma of its natural logarithm (0 is constant)",
        ),
        "0.1",
    ),
    (
        knob(
            "storage_ms",
            "ms",
            "5",
            "mean simulated time to read the pixels of a tile or thumbnail from storage",
        ),
        "5",
    ),
    (
        knob(
            "lazy_load_ms",
            "ms",
            "800",
            "time that one model takes to load at its first use (with lazy_load)",
        ),
        "800",
    ),
    (
        knob(
            "slots",
            "count",
            "4",
            "requests served in parallel when serial is off",
        ),
        "4",
    ),
    (
        knob(
            "queue_max",
            "count",
            "0",
            "requests that may wait for a slot before the answer is 503 with Retry-After; 0 is no limit",
        ),
        "4096",
    ),
    (
        knob(
            "slide_px",
            "px",
            "2048",
            "width of the generated slides; ignored with a slides folder",
        ),
        "2048",
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
    (
        knob(
            "service_drift",
            "1",
            "0",
            "relative growth of the accelerator time per 1,000 requests (0.5 is +50 %)",
        ),
        "0",
    ),
    (
        knob(
            "body_max_mib",
            "MiB",
            "32",
            "largest request body; a larger one is answered 413",
        ),
        "32",
    ),
    (
        knob(
            "cuda_available",
            "bool",
            "false",
            "what /health says about an accelerator",
        ),
        "false",
    ),
    (
        knob(
            "request_id",
            "bool",
            "true",
            "echo the x-request-id header, or invent one",
        ),
        "true",
    ),
];
