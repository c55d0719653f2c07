//! The knobs that every preset has beside its own. A preset's own knob of the same name wins.

use crate::knob::{KnobDef, knob};

/// The common knobs. Each fault has one that switches it on; its `fault` is the fault's id.
#[rustfmt::skip]
pub(crate) static COMMON_KNOBS: [KnobDef; 31] = [
    knob("request_id", "bool", "true", "echo the x-request-id header, or invent one"),
    knob("fault_path", "text", "", "the faults below concern only paths that begin with this"),
    fault("fault_delay", "none|constant|lognormal|bimodal|empirical", "none", "delay",
        "time before the work begins: the same always, lognormal, two values, or values from a file"),
    knob("fault_delay_ms", "ms", "10", "mean of that time (not of one from a file)"),
    knob("fault_delay_sigma", "1", "0.5", "lognormal: sigma of its natural logarithm"),
    knob("fault_delay_slow_share", "1", "0.1", "bimodal: share of the requests that are slow"),
    knob("fault_delay_slow_factor", "1", "5", "bimodal: a slow request takes so many times as long as a fast one"),
    knob("fault_delay_csv", "file", "", "empirical: a file with a time in ms at the beginning of each line"),
    fault("fault_serial", "bool", "false", "serial", "one request at a time, health included, as with a blocked event loop"),
    fault("fault_slots", "count", "0", "slots", "requests in service at once; 0 is any number"),
    knob("fault_queue_max", "count", "16", "requests that may wait for a slot; the next one is refused"),
    knob("fault_queue_full", "503|429|wait", "503", "what becomes of a request when the queue is full: a status, or it waits all the same"),
    knob("fault_retry_after_s", "s", "1", "Retry-After of such a refusal; 0 leaves the header out"),
    fault("fault_leak_kib", "KiB", "0", "M1", "memory kept for ever, per request"),
    fault("fault_leak_fds", "count", "0", "leak-fds", "file descriptors kept open for ever, per request"),
    fault("fault_drift", "%", "0", "M2", "every answer takes longer by so much per 1,000 requests"),
    fault("fault_swap_n", "count", "0", "M3", "one in so many answers is that of an earlier request to the same route; 0 none"),
    fault("fault_truncate_n", "count", "0", "truncate", "one in so many answers ends half-way, with its length announced right or wrong in turn; 0 none"),
    fault("fault_corrupt_n", "count", "0", "corrupt", "one in so many answers has a wrong bit; 0 none"),
    fault("fault_reset_n", "count", "0", "reset", "one in so many connections is reset; 0 none"),
    knob("fault_reset_at", "start|middle", "middle", "the reset comes instead of the answer, or half-way through it"),
    fault("fault_stall_head_n", "count", "0", "stall-head", "one in so many answers stops half-way through its head; 0 none"),
    fault("fault_stall_body_n", "count", "0", "stall-body", "one in so many answers stops half-way through its body; 0 none"),
    knob("fault_stall_ms", "ms", "1000", "how long such an answer stops"),
    fault("fault_length_n", "count", "0", "length", "one in so many answers announces a wrong Content-Length; 0 none"),
    knob("fault_length_bytes", "bytes", "7", "what is added to the true length; negative announces too little"),
    fault("fault_envelope", "none|text|html|ok", "none", "envelope",
        "errors come in another envelope: plain text, an HTML page, or status 200 with the error inside"),
    fault("fault_long_input", "bytes", "0", "long-input", "a path or body longer than that is answered 500; 0 never"),
    fault("fault_constant", "bool", "false", "constant", "the first good answer of a route is given for ever"),
    fault("fault_ignore_unknown", "bool", "false", "ignore-unknown",
        "fields of a JSON body that the preset's OpenAPI document does not name are dropped silently (only at the start)"),
    knob("fault_seed", "count", "0", "added to the seed that decides which requests are hit"),
];

const fn fault(
    name: &'static str,
    unit: &'static str,
    default: &'static str,
    id: &'static str,
    description: &'static str,
) -> KnobDef {
    KnobDef {
        fault: Some(id),
        ..knob(name, unit, default, description)
    }
}
