//! The knobs of `truth` and of its twin without input defects.

use crate::knob::{KnobDef, knob};
use crate::paced::STREAM_KNOBS;

const OWN: usize = 47;
const COUNT: usize = OWN + STREAM_KNOBS.len();

/// The knobs of `truth`.
pub(crate) static KNOBS: [KnobDef; COUNT] = with_streams(&TABLE);
/// The knobs of `truth-fixed`: the same, with no input defect planted and no work for clients that have gone.
pub(crate) static FIXED_KNOBS: [KnobDef; COUNT] = fixed();

/// Where `cancel` stands.
const CANCEL: usize = 11;

#[rustfmt::skip]
const TABLE: [KnobDef; OWN] = [
    knob("service", "det|exp|lognormal|bimodal|tokens", "lognormal",
        "distribution of the service time: constant, exponential, lognormal, two values, or so much per token of the answer"),
    knob("mean_ms", "ms", "5", "mean of the service time (with tokens: of an answer of 16 tokens)"),
    knob("sigma", "1", "0.5", "spread of a lognormal service time: sigma of its natural logarithm"),
    knob("slow_share", "1", "0.1", "bimodal: share of the requests that are slow"),
    knob("slow_factor", "1", "5", "bimodal: a slow request takes so many times as long as a fast one"),
    knob("servers", "count", "1", "requests in service at once"),
    knob("queue_max", "count", "1000000", "requests that may wait; the next one is shed"),
    knob("shed_status", "status", "503", "status of a shed request: 503 or 429"),
    knob("retry_after_s", "s", "1", "Retry-After of a shed request; 0 leaves the header out"),
    knob("retry_after", "fixed|true|false", "fixed",
        "what Retry-After says: always retry_after_s, the time until the queue will have drained, or 0 whatever the queue is"),
    knob("serial", "bool", "false", "one request in service at a time, whatever 'servers' says"),
    knob("cancel", "bool", "false", "stop working for a client that has gone; otherwise its work goes on"),
    knob("slowdown", "1", "0", "each waiting request makes the service time longer by this share of it (retries then lock it in)"),
    knob("crash_queue", "count", "0", "cut every connection and lose the queue when so many wait; 0 never"),
    knob("restart_ms", "ms", "2000", "how long it stays away after a crash"),
    knob("freeze_ms", "ms", "0", "everything stands still for so long ..."),
    knob("freeze_every_ms", "ms", "1000", "... once in so long"),
    knob("warmup", "1", "0", "the first service times are longer by this share, which fades away"),
    knob("warmup_requests", "count", "100", "requests after which the warm-up has faded to 1/e"),
    knob("drift", "1", "0", "relative growth of the service time per 1,000 requests (0.5 is +50 %)"),
    knob("run_sd", "1", "0", "sd of the logarithm of a factor on all times that the seed of the run decides"),
    knob("memory", "flat|leak|plateau|log|steps|saw|step|warmup", "flat", "shape of the memory kept, over the requests served"),
    knob("memory_kib", "KiB", "16", "memory kept per request, where the shape is not flat"),
    knob("memory_at", "count", "1000",
        "requests: where the plateau begins, the step comes, a step or tooth ends, and the scale of log and warmup"),
    knob("workers", "count", "0", "most workers of a pool that starts them on demand; 0 is no pool but 'servers'"),
    knob("cold_ms", "ms", "2000", "how long a worker takes to start"),
    knob("idle_ms", "ms", "5000", "a worker without work for so long is stopped"),
    knob("give_up_ms", "ms", "120000", "a request that found no worker for so long is answered 400"),
    knob("imbalance", "bool", "false", "the second worker is healthy and never gets a request"),
    knob("worker_header", "bool", "true", "answers name their worker in x-worker-id"),
    knob("prefill_us", "us", "20", "time per token of the prompt that is not in the prefix cache"),
    knob("cache_block", "tokens", "16", "tokens of a block of the prefix cache; 0 is no cache"),
    knob("cache_blocks", "count", "4096", "blocks that the prefix cache holds; the one unused for longest leaves first"),
    knob("cache_ttl_ms", "ms", "600000", "a block unused for so long is gone"),
    knob("cache_usage", "bool", "true", "answers say in usage.cached_tokens how many tokens were in the cache"),
    knob("swap_n", "count", "0", "one in so many answers of POST /v1/infer is that of another request; 0 none"),
    knob("truncate_n", "count", "0", "one in so many answers ends too early; 0 none"),
    knob("corrupt_n", "count", "0", "one in so many answers has a wrong byte; 0 none"),
    knob("range", "good|bad|none", "good", "range requests of files: right, off by one byte, or ignored"),
    knob("etag", "bool", "true", "files have an ETag and obey If-Range"),
    knob("file_kib", "KiB", "64", "size of each file"),
    knob("nonce", "bool", "true", "POST /v1/infer and /v1/generate return the nonce of the request"),
    knob("body_bytes", "B", "64", "size of the body of GET /work"),
    knob("auth_token", "text", "open-sesame", "the bearer token of the endpoints that need one"),
    knob("stall_ms", "ms", "2000", "a request body that stands still for so long is given up with 408"),
    knob("body_max_kib", "KiB", "256", "largest request body; a larger one is answered 413"),
    KnobDef { fault: Some("I1-I30"), ..knob("defects", "all|none|1,5,9", "all", "input defects in force, by number; the admin port lists them") },
];

const fn fixed() -> [KnobDef; COUNT] {
    let mut knobs = TABLE;
    knobs[CANCEL].default = "true";
    knobs[OWN - 1].default = "none";
    with_streams(&knobs)
}

/// These, then the knobs of the streams.
const fn with_streams(own: &[KnobDef; OWN]) -> [KnobDef; COUNT] {
    let mut knobs = [own[0]; COUNT];
    let mut place = 0;
    while place < COUNT {
        knobs[place] = if place < OWN {
            own[place]
        } else {
            STREAM_KNOBS[place - OWN]
        };
        place += 1;
    }
    knobs
}

#[cfg(test)]
mod tests {
    use super::{FIXED_KNOBS, KNOBS};

    #[test]
    fn the_twins_differ_in_what_is_wrong_alone() {
        for (a, b) in KNOBS.iter().zip(&FIXED_KNOBS) {
            assert_eq!(a.name, b.name);
            let differs = ["defects", "cancel"].contains(&a.name);
            assert_eq!(a.default != b.default, differs, "{}", a.name);
        }
    }
}
