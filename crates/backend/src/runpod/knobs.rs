//! The knobs of `runpod` and of its twin without defects.

use crate::knob::{self, KnobDef};
use crate::store_s3;

const OWN: usize = 43;
const COUNT: usize = OWN + store_s3::KNOBS.len();

/// The defaults of `runpod`.
pub(crate) static OBSERVED_KNOBS: [KnobDef; COUNT] = knobs(true);
/// The defaults of `runpod-fixed`.
pub(crate) static FIXED_KNOBS: [KnobDef; COUNT] = knobs(false);

/// Each knob as observed, and its default in the fixed preset.
#[rustfmt::skip]
const TABLE: [(KnobDef, &str); OWN] = [
    fault("R1", "hidden_wait",
        "answers do not tell how long they waited, so that a place in the queue looks like a slow service; off: Server-Timing tells"),
    fault("R2", "deadline_drop",
        "whoever waited for wait_max_s is dropped with a 400; off: what cannot be served in that time is refused at once, 503 with Retry-After"),
    fault("R3", "ping_starves", "a worker serves one request at a time, /ping included, like a blocked event loop"),
    fault("R4", "uneven", "the second of the workers is healthy and gets no request while others queue"),
    fault("R5", "never_initialising",
        "/ping is 200 from the first answer, never 204, and the first inference of a worker takes first_call_s longer"),
    fault("R6", "ignore_unknown", "unknown fields are ignored (mask_type for cloth_type), lengths are unbounded, types coerced"),
    fault("R7", "missing_is_500", "an input that is not there is a 404 inside, and comes out as a 500"),
    knob("workers_min", "count", "0", "1", "active workers, which are never stopped"),
    knob("workers_max", "count", "3", "8", "most workers"),
    knob("worker_concurrency", "count", "1", "1", "requests that a worker gets at once"),
    knob("scaler", "queue_delay|request_count", "queue_delay", "request_count",
        "more workers when requests have waited for scaler_value seconds, or one for each scaler_value requests waiting and in progress"),
    knob("scaler_value", "s|count", "4", "1", "seconds or requests, as scaler says"),
    knob("provision_s", "s", "3", "3", "start of a worker: until there is a machine"),
    knob("image_s", "s", "3", "3", "start of a worker: until the image is there and the process starts"),
    knob("load_s", "s", "7", "7", "start of a worker: its process starts and loads"),
    knob("first_call_s", "s", "5", "5", "warming up: in the first inference (R5), or before /ping says 200"),
    knob("service_s", "s", "9.6", "9.6", "time of one inference, median"),
    knob("service_sigma", "1", "0.02", "0.02", "its spread: sigma of the logarithm"),
    knob("idle_s", "s", "5", "5", "a worker without work for so long is stopped, while nobody waits"),
    knob("wait_max_s", "s", "120", "120", "longest wait for a worker"),
    knob("processing_max_s", "s", "330", "330", "a request in progress for so long is answered 524; its work goes on"),
    knob("init_max_s", "s", "420", "420", "a worker that is not healthy after so long is stopped; never under 10 s of this machine"),
    knob("ping_s", "s", "5", "5", "time between the health checks of a healthy worker; five times as often before"),
    knob("ping_timeout_s", "s", "20", "20", "a health check that takes longer has failed; never under 1 s of this machine"),
    knob("ping_failures", "count", "3", "3", "failed health checks in a row after which a worker is evicted; another status than 200 does it at once"),
    knob("wrong_port", "bool", "false", "false", "the balancer looks for the workers at a port where nobody listens"),
    knob("wrong_port_s", "s", "480", "480", "how long it looks before requests are answered 502"),
    knob("payload_mb", "MB", "30", "30", "largest body of a request (413) and of an answer (502)"),
    knob("flashboot", "bool", "false", "false", "a stopped worker's process is kept, and taken up again instead of a new one"),
    knob("flashboot_s", "s", "2", "2", "how long taking it up takes"),
    knob("flashboot_keep_s", "s", "60", "60", "how long it is kept"),
    knob("routing", "round_robin|least_busy", "round_robin", "least_busy",
        "which free worker gets a request: each in turn, or the one with the least to do that has served the least"),
    knob("worker_header", "bool", "true", "true", "answers name their worker in x-worker-id"),
    knob("api_key", "text", "", "", "what 'Authorization: Bearer' must hold; empty: anybody may call"),
    knob("endpoint", "both|balancer|queue", "both", "both", "which of the two kinds of API the endpoint has"),
    knob("endpoint_id", "text", "tryon", "tryon", "its name in the paths of the queue API"),
    knob("job_timeout_s", "s", "600", "600", "a job in progress for so long has failed"),
    knob("job_ttl_s", "s", "86400", "86400", "a job that waited for so long has failed"),
    knob("job_keep_s", "s", "1800", "1800", "how long a finished job is remembered"),
    knob("price_flex", "USD/s", "0.00031", "0.00031", "price of a worker that comes and goes, per second of the platform"),
    knob("price_active", "USD/s", "0.00022", "0.00022", "price of an active worker"),
    knob("weights_mb", "MB", "8", "8", "size of the file that each worker loads"),
    knob("worker_program", "path", "", "", "program that is started as a worker with the words 'serve runpod-worker ...'; empty: this program"),
];

const fn knobs(observed: bool) -> [KnobDef; COUNT] {
    let mut out = [TABLE[0].0; COUNT];
    let mut at = 0;
    while at < COUNT {
        if at < OWN {
            out[at] = TABLE[at].0;
            if !observed {
                out[at].default = TABLE[at].1;
            }
        } else {
            out[at] = store_s3::KNOBS[at - OWN];
        }
        at += 1;
    }
    out
}

const fn fault(id: &'static str, name: &'static str, description: &'static str) -> (KnobDef, &'static str) {
    (knob::fault(id, name, description), "false")
}

const fn knob(
    name: &'static str,
    unit: &'static str,
    observed: &'static str,
    fixed: &'static str,
    description: &'static str,
) -> (KnobDef, &'static str) {
    (knob::knob(name, unit, observed, description), fixed)
}
