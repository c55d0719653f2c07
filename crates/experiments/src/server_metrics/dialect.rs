//! How serving engines name their metrics. A static registry: what a name means, and nothing of what follows from its value.

/// A histogram of times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Histogram {
    /// Its name without `_sum`, `_count` and `_bucket`.
    pub name: &'static str,
    /// One of its units in milliseconds.
    pub unit_ms: f64,
}

/// The names of one engine. Of several names for one thing, older and newer versions, the first that is told counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Dialect {
    /// The engine.
    pub engine: &'static str,
    /// Requests that run now.
    pub running: &'static [&'static str],
    /// Requests that wait now.
    pub waiting: &'static [&'static str],
    /// Share of the key-value cache in use, from 0 to 1.
    pub kv_share: &'static [&'static str],
    /// Prompt tokens that were found in a prefix cache, counted.
    pub prefix_hits: &'static [&'static str],
    /// Prompt tokens that were looked for, counted.
    pub prefix_queries: &'static [&'static str],
    /// Requests that were put back to make room, counted.
    pub preemptions: &'static [&'static str],
    /// Speculative decoding.
    pub speculation: Speculation,
    /// Time to first token.
    pub ttft: Option<Histogram>,
    /// Time in the queue.
    pub queue: Option<Histogram>,
}

/// How speculative decoding is told: by counters, or as a ready ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Speculation {
    /// Guesses made, one for each sequence and step, counted.
    pub drafts: &'static [&'static str],
    /// Tokens guessed, counted.
    pub drafted: &'static [&'static str],
    /// Tokens of them that were right, counted.
    pub accepted: &'static [&'static str],
    /// Tokens that a step gave, on average: a gauge.
    pub length: &'static [&'static str],
}

impl Speculation {
    const NONE: Self = Self {
        drafts: &[],
        drafted: &[],
        accepted: &[],
        length: &[],
    };
}

const fn seconds(name: &'static str) -> Histogram {
    Histogram { name, unit_ms: 1e3 }
}

/// Every engine whose names are known. Adding one is one entry.
pub(super) static DIALECTS: &[Dialect] = &[
    Dialect {
        engine: "vLLM",
        running: &["vllm:num_requests_running"],
        waiting: &["vllm:num_requests_waiting"],
        kv_share: &["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"],
        prefix_hits: &["vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"],
        prefix_queries: &[
            "vllm:prefix_cache_queries_total",
            "vllm:gpu_prefix_cache_queries_total",
        ],
        preemptions: &["vllm:num_preemptions_total"],
        speculation: Speculation {
            drafts: &["vllm:spec_decode_num_drafts_total"],
            drafted: &["vllm:spec_decode_num_draft_tokens_total"],
            accepted: &["vllm:spec_decode_num_accepted_tokens_total"],
            length: &[],
        },
        ttft: Some(seconds("vllm:time_to_first_token_seconds")),
        queue: Some(seconds("vllm:request_queue_time_seconds")),
    },
    Dialect {
        engine: "SGLang",
        running: &["sglang:num_running_reqs"],
        waiting: &["sglang:num_queue_reqs"],
        kv_share: &["sglang:token_usage", "sglang:full_token_usage"],
        prefix_hits: &["sglang:cached_tokens_total"],
        prefix_queries: &["sglang:prompt_tokens_total"],
        preemptions: &[
            "sglang:num_retracted_requests_total",
            "sglang:num_retracted_reqs_total",
        ],
        speculation: Speculation {
            length: &["sglang:spec_accept_length"],
            ..Speculation::NONE
        },
        ttft: Some(seconds("sglang:time_to_first_token_seconds")),
        queue: Some(seconds("sglang:queue_time_seconds")),
    },
    Dialect {
        engine: "TGI",
        running: &["tgi_batch_current_size"],
        waiting: &["tgi_queue_size"],
        kv_share: &[],
        prefix_hits: &[],
        prefix_queries: &[],
        preemptions: &[],
        speculation: Speculation::NONE,
        ttft: None,
        queue: Some(seconds("tgi_request_queue_duration")),
    },
    Dialect {
        engine: "Triton",
        running: &[],
        waiting: &["nv_inference_pending_request_count"],
        kv_share: &[],
        prefix_hits: &[],
        prefix_queries: &[],
        preemptions: &[],
        speculation: Speculation::NONE,
        ttft: Some(Histogram {
            name: "nv_inference_first_response_histogram_ms",
            unit_ms: 1.0,
        }),
        queue: None,
    },
    Dialect {
        engine: "llama.cpp",
        running: &["llamacpp:requests_processing"],
        waiting: &["llamacpp:requests_deferred"],
        kv_share: &["llamacpp:kv_cache_usage_ratio"],
        prefix_hits: &[],
        prefix_queries: &[],
        preemptions: &[],
        speculation: Speculation::NONE,
        ttft: None,
        queue: None,
    },
    Dialect {
        engine: "Dynamo",
        running: &["dynamo_frontend_inflight_requests"],
        waiting: &["dynamo_frontend_queued_requests"],
        kv_share: &["dynamo_component_kvstats_gpu_cache_usage_percent"],
        prefix_hits: &[],
        prefix_queries: &[],
        preemptions: &[],
        speculation: Speculation::NONE,
        ttft: Some(seconds("dynamo_frontend_time_to_first_token_seconds")),
        queue: None,
    },
];

/// What to read of a target's metrics, by what is done with the values of several label sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerMetrics {
    /// Added up.
    pub sums: Vec<&'static str>,
    /// The largest counts.
    pub peaks: Vec<&'static str>,
    /// Histograms: sum, count and buckets, added up.
    pub histograms: Vec<&'static str>,
}

/// The metrics of every engine whose names are known.
pub fn server_metrics() -> ServerMetrics {
    let mut wanted = ServerMetrics::default();
    for dialect in DIALECTS {
        for names in [
            dialect.running,
            dialect.waiting,
            dialect.prefix_hits,
            dialect.prefix_queries,
            dialect.preemptions,
            dialect.speculation.drafts,
            dialect.speculation.drafted,
            dialect.speculation.accepted,
        ] {
            wanted.sums.extend(names);
        }
        wanted.peaks.extend(dialect.kv_share);
        wanted.peaks.extend(dialect.speculation.length);
        let histograms = [dialect.ttft, dialect.queue];
        wanted
            .histograms
            .extend(histograms.into_iter().flatten().map(|h| h.name));
    }
    wanted
}
