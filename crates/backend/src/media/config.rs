//! The knobs of the two presets and the typed settings read from them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::BackendError;
use crate::knob::{self, KnobDef, twin};
use crate::settings::Settings;

/// The defaults of `media`.
pub(crate) static OBSERVED_KNOBS: [KnobDef; KNOBS] = twin(&TABLE, true);
/// The defaults of `media-fixed`.
pub(crate) static FIXED_KNOBS: [KnobDef; KNOBS] = twin(&TABLE, false);

const KNOBS: usize = 28;
const MIB: f64 = 1024.0 * 1024.0;

/// A setting that the person forgot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unset {
    /// None.
    Nothing,
    /// Where videos are written.
    VideoPath,
    /// Where images are read and written.
    ImagePath,
    /// The key of the generation service.
    ApiKey,
}

/// What is in force.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Z1: one download at a time.
    pub(crate) serial_downloads: bool,
    /// Z2: the end of the bytes is taken for the end of the file.
    pub(crate) unverified_downloads: bool,
    /// Z3: files are written in their final place, over what is there.
    pub(crate) direct_write: bool,
    /// Z4: results do not say what had to be repeated.
    pub(crate) silent_retries: bool,
    /// As observed: unknown arguments are ignored, numbers are unbounded.
    pub(crate) lenient_input: bool,
    /// The server's folder; a temporary one when none is given.
    pub(crate) folder: Option<PathBuf>,
    /// Another process's generation service.
    pub(crate) upstream: Option<SocketAddr>,
    /// What is missing from the server's settings.
    pub(crate) unset: Unset,
    /// Sessions over HTTP.
    pub(crate) sessions: bool,
    /// Whether answers over HTTP are event streams.
    pub(crate) event_streams: bool,
    /// Pictures worked on at once.
    pub(crate) cpu_threads: usize,
    /// Repetitions of a call to the generation service.
    pub(crate) retries_max: u32,
    /// Bytes that the folder may take.
    pub(crate) disk_bytes_max: u64,
    /// Edge of the reference images made at the start.
    pub(crate) reference_px: u32,
    /// How the generation service is.
    pub(crate) service: Service,
    /// The true length of a platform's time over its nominal length.
    pub(crate) time_scale: f64,
}

/// The generation service. Times of its platform are scaled already.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// Length of a video file.
    pub(crate) video_bytes: u64,
    /// Completed videos at the start.
    pub(crate) videos: usize,
    /// Edge of a generated image.
    pub(crate) image_px: u32,
    /// From creation to the first progress.
    pub(crate) queue: Duration,
    /// From the first progress to the end.
    pub(crate) render: Duration,
    /// From the end until the content is gone.
    pub(crate) expires: Duration,
    /// Before the first byte of any answer.
    pub(crate) latency: Duration,
    /// Bytes per second of one transfer; `None` is as fast as it goes.
    pub(crate) pace: Option<f64>,
    /// Share of throttled transfers, and their bytes per second.
    pub(crate) throttle: (f64, f64),
    /// Share of calls answered 429.
    pub(crate) reject_rate: f64,
    /// Share of calls answered 500 or 503.
    pub(crate) error_rate: f64,
    /// Share of transfers that end early.
    pub(crate) truncate_rate: f64,
    /// Share of jobs that fail.
    pub(crate) fail_rate: f64,
    /// As in [`Config`].
    pub(crate) time_scale: f64,
}

impl Config {
    /// Reads and bounds every knob.
    pub(crate) fn new(settings: &Settings, time_scale: f64) -> Result<Self, BackendError> {
        let rate = |name| settings.number(name, 0.0, 1.0);
        let scaled = |name| -> Result<Duration, BackendError> {
            Ok(Duration::from_secs_f64(
                settings.number(name, 0.0, 1e6)? * time_scale,
            ))
        };
        let pace = settings.number("pace_mib_s", 0.0, 100_000.0)? * MIB;
        Ok(Self {
            serial_downloads: settings.flag("serial_downloads")?,
            unverified_downloads: settings.flag("unverified_downloads")?,
            direct_write: settings.flag("direct_write")?,
            silent_retries: settings.flag("silent_retries")?,
            lenient_input: settings.flag("lenient_input")?,
            folder: Some(settings.word("folder"))
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            upstream: upstream(settings)?,
            unset: match settings.choice("unset", &["none", "video_path", "image_path", "api_key"])? {
                "video_path" => Unset::VideoPath,
                "image_path" => Unset::ImagePath,
                "api_key" => Unset::ApiKey,
                _ => Unset::Nothing,
            },
            sessions: settings.flag("sessions")?,
            event_streams: settings.choice("answers", &["sse", "json"])? == "sse",
            cpu_threads: settings.count("cpu_threads", 1, 1024)? as usize,
            retries_max: settings.count("retries", 0, 100)? as u32,
            disk_bytes_max: (settings.number("disk_mib", 1.0, 1e6)? * MIB) as u64,
            reference_px: settings.count("reference_px", 16, 4096)? as u32,
            service: Service {
                video_bytes: (settings.number("video_mib", 0.001, 512.0)? * MIB) as u64,
                videos: settings.count("videos", 0, 1000)? as usize,
                image_px: settings.count("image_px", 16, 2048)? as u32,
                queue: scaled("queue_s")?,
                render: scaled("render_s")?,
                expires: scaled("expires_s")?,
                latency: Duration::from_secs_f64(settings.number("latency_ms", 0.0, 600_000.0)? / 1000.0),
                pace: (pace > 0.0).then_some(pace),
                throttle: (
                    rate("throttle_rate")?,
                    settings.number("throttle_kib_s", 1.0, 1e8)? * 1024.0,
                ),
                reject_rate: rate("reject_rate")?,
                error_rate: rate("error_rate")?,
                truncate_rate: rate("truncate_rate")?,
                fail_rate: rate("fail_rate")?,
                time_scale,
            },
            time_scale,
        })
    }
}

/// The address of another process's service: on this machine only.
fn upstream(settings: &Settings) -> Result<Option<SocketAddr>, BackendError> {
    let word = settings.word("upstream");
    if word.is_empty() {
        return Ok(None);
    }
    word.strip_prefix("http://")
        .and_then(|at| at.trim_end_matches('/').parse::<SocketAddr>().ok())
        .filter(|at| at.ip().is_loopback())
        .map(Some)
        .ok_or_else(|| {
            settings.refuse(
                "upstream",
                "give http://127.0.0.1:PORT: a loopback address and a port",
            )
        })
}

const fn fault(id: &'static str, name: &'static str, description: &'static str) -> (KnobDef, &'static str) {
    (knob::fault(id, name, description), "false")
}

/// A knob whose default differs in the fixed preset.
const fn differing(
    name: &'static str,
    unit: &'static str,
    defaults: (&'static str, &'static str),
    description: &'static str,
) -> (KnobDef, &'static str) {
    (knob::knob(name, unit, defaults.0, description), defaults.1)
}

const fn knob(
    name: &'static str,
    unit: &'static str,
    default: &'static str,
    description: &'static str,
) -> (KnobDef, &'static str) {
    differing(name, unit, (default, default), description)
}

/// The observed definition of each knob, and its default in the fixed preset.
const TABLE: [(KnobDef, &str); KNOBS] = [
    fault(
        "Z1",
        "serial_downloads",
        "downloads pass through one lock: one at a time, however many are asked for at once",
    ),
    fault(
        "Z2",
        "unverified_downloads",
        "the end of the bytes is taken for the end of the file: neither Content-Length nor ETag is checked",
    ),
    fault(
        "Z3",
        "direct_write",
        "files are written in their final place: seen while partial, and over what is there",
    ),
    fault(
        "Z4",
        "silent_retries",
        "calls to the generation service are repeated without a word in the tool's result",
    ),
    differing(
        "lenient_input",
        "bool",
        ("true", "false"),
        "ignore unknown arguments and leave numbers unbounded, as observed",
    ),
    knob(
        "folder",
        "path",
        "",
        "where files are written, in videos/ and images/; a temporary folder when empty, removed at the end",
    ),
    knob(
        "upstream",
        "URL",
        "",
        "http://127.0.0.1:PORT of a generation service in another process; one of its own when empty",
    ),
    knob(
        "unset",
        "name",
        "none",
        "a setting that was forgotten: none, video_path, image_path or api_key",
    ),
    knob(
        "sessions",
        "bool",
        "false",
        "MCP over HTTP with sessions (Mcp-Session-Id); stateless as observed when off",
    ),
    knob(
        "answers",
        "name",
        "sse",
        "stateless answers to POST: sse (an event stream, as observed) or json",
    ),
    knob(
        "cpu_threads",
        "1",
        "40",
        "pictures resized at once; the observed thread pool has 40",
    ),
    differing(
        "retries",
        "1",
        ("2", "4"),
        "times a failed call to the generation service is repeated: connection errors, 408, 409, 429, 5xx",
    ),
    knob(
        "disk_mib",
        "MiB",
        "2048",
        "bytes that all files together may take; then there is no space left",
    ),
    knob(
        "reference_px",
        "px",
        "1024",
        "longer edge of the three reference images made at the start",
    ),
    knob("video_mib", "MiB", "1", "length of a video file"),
    knob("videos", "1", "8", "completed videos that exist at the start"),
    knob("image_px", "px", "512", "edge of a generated image"),
    knob(
        "queue_s",
        "s",
        "0.5",
        "time that a job is queued; scaled by --time-scale",
    ),
    knob(
        "render_s",
        "s",
        "2",
        "time that a job is in progress; scaled by --time-scale",
    ),
    knob(
        "expires_s",
        "s",
        "3600",
        "time from a job's end until its content is gone; scaled by --time-scale",
    ),
    knob(
        "latency_ms",
        "ms",
        "20",
        "time before the first byte of any answer of the generation service",
    ),
    knob(
        "pace_mib_s",
        "MiB/s",
        "8",
        "pace of each transfer from the generation service; 0 is as fast as it goes",
    ),
    knob("throttle_rate", "1", "0", "share of transfers that are throttled"),
    knob("throttle_kib_s", "KiB/s", "512", "pace of a throttled transfer"),
    knob(
        "reject_rate",
        "1",
        "0.02",
        "share of calls that the generation service answers 429 with retry-after",
    ),
    knob(
        "error_rate",
        "1",
        "0.02",
        "share of calls that the generation service answers 500 or 503, in turn",
    ),
    knob(
        "truncate_rate",
        "1",
        "0.05",
        "share of transfers that end early: in turn by a cut connection and with the shorter length in the head",
    ),
    knob("fail_rate", "1", "0", "share of jobs that end in failed"),
];
