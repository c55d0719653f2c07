//! The knobs of the two presets and the typed settings read from them.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::BackendError;
use crate::knob::{KnobDef, fault, knob, twin};
use crate::stream_fault::Shares;
use crate::system::Start;

/// How many knobs there are.
const COUNT: usize = 49;
/// The defaults of `semantic`.
pub(crate) static OBSERVED_KNOBS: [KnobDef; COUNT] = twin(&TABLE, true);
/// The defaults of `semantic-fixed`.
pub(crate) static FIXED_KNOBS: [KnobDef; COUNT] = twin(&TABLE, false);

/// What is in force.
#[derive(Debug, Clone)]
pub(super) struct Config {
    /// S1: blocks of a finished request are never given back.
    pub(super) leak: bool,
    /// S2: a request runs to its end before the next begins, and nothing else is answered meanwhile.
    pub(super) serial: bool,
    /// S3: hits are reported and not used.
    pub(super) cache_discarded: bool,
    /// S4: no Retry-After, and three envelopes.
    pub(super) mixed_errors: bool,
    /// S5: probes wait for the inference in progress.
    pub(super) probes_block: bool,
    /// S6: output tokens are summed over the layers.
    pub(super) layered_usage: bool,
    /// S7: calls without a key count against the limits.
    pub(super) unauthenticated_counts: bool,
    /// Unknown fields and unknown models are accepted.
    pub(super) lenient_input: bool,
    /// Accepted keys; empty is open.
    pub(super) api_keys: Vec<String>,
    /// The key of the admin endpoints, if one is set.
    pub(super) admin_key: Option<String>,
    /// Requests per window and agent; 0 is no limit.
    pub(super) limit_agent: usize,
    /// Requests per window in all; 0 is no limit.
    pub(super) limit_global: usize,
    /// Length of the window.
    pub(super) window: Duration,
    /// Blocks in the pool.
    pub(super) blocks: usize,
    /// Bytes of one block.
    pub(super) block_bytes: u64,
    /// Tokens that a block holds, of one layer.
    pub(super) block_tokens: usize,
    /// Layers of the model: blocks per page.
    pub(super) layers: usize,
    /// What the scheduler may do and what it costs.
    pub(super) costs: Costs,
    /// Requests that may wait.
    pub(super) queue_max: usize,
    /// With `serial`: silence after which the loop takes up what has arrived.
    pub(super) gather: Duration,
    /// Where pages survive a restart.
    pub(super) cache_dir: Option<PathBuf>,
    /// Middle length of an answer.
    pub(super) answer_tokens: usize,
    /// Time to load a model.
    pub(super) load: Duration,
    /// Longest generation of an agent.
    pub(super) generate_max: Duration,
    /// Seed of everything random.
    pub(super) seed: u64,
    /// Names of the adapters there are.
    pub(super) adapters: Vec<String>,
    /// Adapters loaded at once.
    pub(super) adapters_max: usize,
    /// Whose names /metrics uses.
    pub(super) metrics_dialect: MetricsDialect,
    /// Completions, responses, embeddings and tokenisation are served too.
    pub(super) serving_api: bool,
    /// Sleep, wake and the reset of the cache are served too.
    pub(super) dev_api: bool,
    /// Tokens in one event of a stream.
    pub(super) stream_interval: usize,
    /// Faults of a share of the answers.
    pub(super) stream_fault: Shares,
    /// Requests kept in the account of single requests.
    pub(super) truth_requests: usize,
    /// Stream events kept for each of them.
    pub(super) truth_events: usize,
}

/// Whose names and shapes /metrics has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetricsDialect {
    /// Its own.
    Native,
    /// vLLM's.
    Vllm,
    /// SGLang's.
    Sglang,
    /// Text Generation Inference's.
    Tgi,
    /// Triton's.
    Triton,
    /// llama.cpp's server's.
    LlamaCpp,
    /// Dynamo's.
    Dynamo,
}

impl MetricsDialect {
    const WORDS: [&'static str; 7] = ["native", "vllm", "sglang", "tgi", "triton", "llamacpp", "dynamo"];

    fn of(word: &str) -> Self {
        match word {
            "vllm" => Self::Vllm,
            "sglang" => Self::Sglang,
            "tgi" => Self::Tgi,
            "triton" => Self::Triton,
            "llamacpp" => Self::LlamaCpp,
            "dynamo" => Self::Dynamo,
            _ => Self::Native,
        }
    }
}

/// What a step of the scheduler may hold and how long it takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Costs {
    /// Sequences in a step.
    pub(super) max_batch: usize,
    /// Tokens in a step, prompt and output together.
    pub(super) batch_tokens: usize,
    /// One token of a prompt.
    pub(super) prefill: Duration,
    /// One step that decodes.
    pub(super) decode_base: Duration,
    /// Each sequence in it.
    pub(super) decode_seq: Duration,
    /// One token reloaded from disk.
    pub(super) reload: Duration,
    /// Handing over one token of a step, while the next step runs.
    pub(super) send: Duration,
    /// Whether prompts are computed in pieces beside the others.
    pub(super) chunked: bool,
    /// Tokens of one prompt in a step; 0 is as many as there is room for.
    pub(super) prefill_chunk: usize,
    /// Tokens guessed ahead in each step of a sequence.
    pub(super) spec_tokens: usize,
    /// Share of the guesses that are right.
    pub(super) spec_acceptance: f64,
    /// Guessing one token.
    pub(super) draft: Duration,
    /// Keys and values of a prompt come over from where they were computed: each time ...
    pub(super) transfer: Duration,
    /// ... and per token.
    pub(super) transfer_token: Duration,
    /// Loading an adapter.
    pub(super) adapter_load: Duration,
    /// Giving one up before that.
    pub(super) adapter_evict: Duration,
    /// Waking up.
    pub(super) wake: Duration,
}

impl Costs {
    /// Of a machine that does nothing special and takes no time.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self {
            max_batch: 1,
            batch_tokens: 1,
            prefill: Duration::ZERO,
            decode_base: Duration::ZERO,
            decode_seq: Duration::ZERO,
            reload: Duration::ZERO,
            send: Duration::ZERO,
            chunked: true,
            prefill_chunk: 0,
            spec_tokens: 0,
            spec_acceptance: 0.0,
            draft: Duration::ZERO,
            transfer: Duration::ZERO,
            transfer_token: Duration::ZERO,
            adapter_load: Duration::ZERO,
            adapter_evict: Duration::ZERO,
            wake: Duration::ZERO,
        }
    }
}

impl Config {
    /// Reads and bounds every knob.
    pub(super) fn new(start: &Start<'_>) -> Result<Self, BackendError> {
        let settings = start.settings;
        let block_kib = settings.count("block_kib", 1, 1_048_576)?;
        let budget_mb = settings.count("budget_mb", 1, 16_777_216)?;
        let layers = settings.count("layers", 1, 1_024)? as usize;
        let blocks = match settings.count("pages", 0, 10_000_000)? as usize {
            0 => (budget_mb * 1024 / block_kib) as usize,
            pages => pages * layers,
        };
        if blocks < layers {
            return Err(settings.refuse(
                "budget_mb",
                "the budget must hold at least one block of every layer",
            ));
        }
        let millis = |name, max| settings.count(name, 0, max).map(Duration::from_millis);
        let micros = |name, max| settings.count(name, 0, max).map(Duration::from_micros);
        let platform_ms = |name| {
            settings
                .number(name, 0.0, 3_600_000.0)
                .map(|ms| Duration::from_secs_f64(ms / 1000.0 * start.time_scale))
        };
        let listed = |name| {
            let word = settings.word(name);
            let keys = word.split(',').map(str::trim).filter(|key| !key.is_empty());
            match word {
                "none" => Vec::new(),
                _ => keys.map(str::to_owned).collect(),
            }
        };
        let costs = Costs {
            max_batch: settings.count("max_batch", 1, 100_000)? as usize,
            batch_tokens: settings.count("batch_tokens", 1, 1_000_000)? as usize,
            prefill: micros("prefill_us", 10_000_000)?,
            decode_base: micros("decode_base_us", 60_000_000)?,
            decode_seq: micros("decode_seq_us", 60_000_000)?,
            reload: micros("reload_us", 10_000_000)?,
            send: micros("send_us", 10_000_000)?,
            chunked: settings.flag("chunked_prefill")?,
            prefill_chunk: settings.count("prefill_chunk", 0, 1_000_000)? as usize,
            spec_tokens: settings.count("spec_tokens", 0, 64)? as usize,
            spec_acceptance: settings.number("spec_acceptance", 0.0, 1.0)?,
            draft: micros("draft_us", 10_000_000)?,
            transfer: micros("transfer_us", 60_000_000)?,
            transfer_token: micros("transfer_token_us", 1_000_000)?,
            adapter_load: millis("adapter_load_ms", 600_000)?,
            adapter_evict: millis("adapter_evict_ms", 600_000)?,
            wake: millis("wake_ms", 600_000)?,
        };
        if costs.batch_tokens < costs.max_batch * (1 + costs.spec_tokens) {
            return Err(settings.refuse(
                "batch_tokens",
                "a step must hold a token of every sequence, and what is guessed ahead",
            ));
        }
        Ok(Self {
            leak: settings.flag("leak")?,
            serial: settings.flag("serial")?,
            cache_discarded: settings.flag("cache_discarded")?,
            mixed_errors: settings.flag("mixed_errors")?,
            probes_block: settings.flag("probes_block")?,
            layered_usage: settings.flag("layered_usage")?,
            unauthenticated_counts: settings.flag("unauthenticated_counts")?,
            lenient_input: settings.flag("lenient_input")?,
            api_keys: listed("api_keys"),
            admin_key: listed("admin_key").into_iter().next(),
            limit_agent: settings.count("limit_agent", 0, 1_000_000_000)? as usize,
            limit_global: settings.count("limit_global", 0, 1_000_000_000)? as usize,
            window: Duration::from_secs_f64(60.0 * start.time_scale),
            blocks,
            block_bytes: block_kib * 1024,
            block_tokens: settings.count("block_tokens", 1, 65_536)? as usize,
            layers,
            costs,
            queue_max: settings.count("queue_max", 1, 1_000_000)? as usize,
            gather: Duration::from_millis(settings.count("gather_ms", 0, 10_000)?),
            cache_dir: match settings.word("cache_dir") {
                "none" | "" => None,
                folder => Some(PathBuf::from(folder)),
            },
            answer_tokens: settings.count("answer_tokens", 2, 4_096)? as usize,
            load: platform_ms("load_ms")?,
            generate_max: platform_ms("generate_timeout_ms")?,
            seed: start.seed,
            adapters: listed("adapters"),
            adapters_max: settings.count("adapters_max", 1, 10_000)? as usize,
            metrics_dialect: MetricsDialect::of(settings.choice("metrics_dialect", &MetricsDialect::WORDS)?),
            serving_api: settings.flag("serving_api")?,
            dev_api: settings.flag("dev_api")?,
            stream_interval: settings.count("stream_interval", 1, 4_096)? as usize,
            stream_fault: Shares::read(settings.word("stream_fault"))
                .map_err(|reason| settings.refuse("stream_fault", &reason))?,
            truth_requests: settings.count("truth_requests", 0, 100_000)? as usize,
            truth_events: settings.count("truth_events", 0, 4_096)? as usize,
        })
    }

    /// The longest prompt that can be answered when nothing else runs.
    pub(super) fn prompt_max(&self) -> usize {
        let capacity = self.blocks / self.layers * self.block_tokens;
        capacity.saturating_sub(self.answer_tokens * 3 / 2 + 1).max(1)
    }
}

/// The observed definition of each knob, and its default in the fixed preset.
const TABLE: [(KnobDef, &str); COUNT] = [
    (
        fault(
            "S1",
            "leak",
            "blocks of the pool are never given back: each finished request costs one block of every layer for ever",
        ),
        "false",
    ),
    (
        fault(
            "S2",
            "serial",
            "a request runs to its end on the one event loop before the next begins; plain answers leave when the loop is free",
        ),
        "false",
    ),
    (
        fault(
            "S3",
            "cache_discarded",
            "a known prompt is reported as read from the cache, and computed all the same",
        ),
        "false",
    ),
    (
        fault(
            "S4",
            "mixed_errors",
            "503 carries no Retry-After, and errors come in three different envelopes",
        ),
        "false",
    ),
    (
        fault(
            "S5",
            "probes_block",
            "health probes and metrics wait until the inference in progress has ended",
        ),
        "false",
    ),
    (
        fault(
            "S6",
            "layered_usage",
            "output_tokens is summed over the layers of the model",
        ),
        "false",
    ),
    (
        fault(
            "S7",
            "unauthenticated_counts",
            "calls without a valid key use up the rate limit",
        ),
        "false",
    ),
    (
        knob(
            "lenient_input",
            "bool",
            "true",
            "ignore unknown fields, serve any model name, update the utilisation gauge at readiness probes only, as observed",
        ),
        "false",
    ),
    (
        knob(
            "api_keys",
            "list",
            "local-key-1,local-key-2",
            "accepted API keys, separated by commas; none leaves the service open",
        ),
        "local-key-1,local-key-2",
    ),
    (
        knob(
            "admin_key",
            "text",
            "local-admin-key",
            "the X-Admin-Key of the admin endpoints; none leaves it unset, which they answer with 500",
        ),
        "local-admin-key",
    ),
    (
        knob(
            "limit_agent",
            "1/min",
            "60",
            "requests of one agent (X-Agent-ID or path) in a sliding minute; 0 is no limit",
        ),
        "60",
    ),
    (
        knob(
            "limit_global",
            "1/min",
            "1000",
            "requests of everybody in a sliding minute; 0 is no limit",
        ),
        "1000",
    ),
    (
        knob("budget_mb", "MiB", "4096", "memory of the block pool"),
        "8192",
    ),
    (
        knob(
            "block_kib",
            "KiB",
            "2048",
            "size of one block: the keys and values of block_tokens tokens in one layer (fp16 as observed, 4 bits when fixed)",
        ),
        "64",
    ),
    (
        knob(
            "block_tokens",
            "count",
            "256",
            "tokens in one block; prefixes are shared in whole blocks",
        ),
        "32",
    ),
    (
        knob(
            "layers",
            "count",
            "48",
            "layers of the model: so many blocks belong together",
        ),
        "48",
    ),
    (
        knob(
            "max_batch",
            "count",
            "5",
            "sequences in one step of the scheduler (with serial: one)",
        ),
        "8",
    ),
    (
        knob(
            "batch_tokens",
            "count",
            "512",
            "tokens in one step; longer prompts are computed in chunks",
        ),
        "512",
    ),
    (
        knob(
            "prefill_us",
            "us",
            "2000",
            "time to compute one token of a prompt",
        ),
        "2000",
    ),
    (
        knob(
            "decode_base_us",
            "us",
            "30000",
            "time of a step that decodes, whatever it holds",
        ),
        "30000",
    ),
    (
        knob(
            "decode_seq_us",
            "us",
            "1000",
            "time that each decoding sequence adds to its step",
        ),
        "1000",
    ),
    (
        knob(
            "reload_us",
            "us",
            "50",
            "time to reload one token of a prefix from cache_dir",
        ),
        "50",
    ),
    (
        knob(
            "send_us",
            "us",
            "0",
            "the tokens of a step leave one after the other, so far apart, in the order of admission; 0 is all at once",
        ),
        "0",
    ),
    (
        knob(
            "queue_max",
            "count",
            "32",
            "requests that may wait; one more is answered 503 (with serial: requests taken up in one turn of the loop)",
        ),
        "64",
    ),
    (
        knob(
            "gather_ms",
            "ms",
            "50",
            "with serial: the loop takes up together what arrives with gaps shorter than this",
        ),
        "50",
    ),
    (
        knob(
            "cache_dir",
            "path",
            "none",
            "folder in which the prefixes computed outlive a restart; none keeps them in memory",
        ),
        "none",
    ),
    (
        knob(
            "answer_tokens",
            "count",
            "200",
            "middle length of an answer; lengths lie evenly between half of it and one and a half",
        ),
        "200",
    ),
    (
        knob(
            "load_ms",
            "ms",
            "0",
            "time to load a model (platform time): before listening as observed, behind /health/startup when fixed",
        ),
        "0",
    ),
    (
        knob(
            "generate_timeout_ms",
            "ms",
            "60000",
            "longest wait of /v1/agents/{id}/generate before 504 (platform time)",
        ),
        "60000",
    ),
    (
        knob(
            "chunked_prefill",
            "bool",
            "true",
            "compute long prompts in pieces beside the others; otherwise a step holds whole prompts or tokens of answers",
        ),
        "true",
    ),
    (
        knob(
            "prefill_chunk",
            "tokens",
            "0",
            "most tokens of one prompt in a step; 0 is as many as there is room for in batch_tokens",
        ),
        "0",
    ),
    (
        knob(
            "pages",
            "count",
            "0",
            "pages in the pool, each of block_tokens tokens; 0 takes what budget_mb holds. When they run out, the youngest gives way and is computed again",
        ),
        "0",
    ),
    (
        knob(
            "spec_tokens",
            "count",
            "0",
            "speculative decoding: tokens guessed ahead for each sequence in each step",
        ),
        "0",
    ),
    (
        knob(
            "spec_acceptance",
            "1",
            "0.7",
            "speculative decoding: chance that a guess is right, if those before it are",
        ),
        "0.7",
    ),
    (
        knob(
            "draft_us",
            "us",
            "0",
            "speculative decoding: time to guess one token",
        ),
        "0",
    ),
    (
        knob(
            "transfer_us",
            "us",
            "0",
            "time that the keys and values of a prompt take to come over from where they were computed",
        ),
        "0",
    ),
    (
        knob(
            "transfer_token_us",
            "us",
            "0",
            "the same per token of the prompt, added to it",
        ),
        "0",
    ),
    (
        knob(
            "adapters",
            "list",
            "none",
            "adapters (LoRA) that requests can name as their model, separated by commas",
        ),
        "none",
    ),
    (
        knob(
            "adapters_max",
            "count",
            "2",
            "adapters loaded at once; the one unused for longest gives way",
        ),
        "2",
    ),
    (
        knob(
            "adapter_load_ms",
            "ms",
            "200",
            "time to load an adapter, in which the step stands still",
        ),
        "200",
    ),
    (
        knob("adapter_evict_ms", "ms", "0", "time to give one up before that"),
        "0",
    ),
    (
        knob("wake_ms", "ms", "500", "time to wake up after POST /sleep"),
        "500",
    ),
    (
        knob(
            "metrics_dialect",
            "native|vllm|sglang|tgi|triton|llamacpp|dynamo",
            "native",
            "whose names GET /metrics uses; the values are the scheduler's own",
        ),
        "native",
    ),
    (
        knob(
            "serving_api",
            "bool",
            "false",
            "also serve /v1/completions, /v1/responses, /v1/embeddings, /tokenize and /detokenize",
        ),
        "false",
    ),
    (
        knob(
            "dev_api",
            "bool",
            "false",
            "also serve POST /sleep, /wake_up and /reset_prefix_cache and GET /is_sleeping, to everybody with a key",
        ),
        "false",
    ),
    (
        knob(
            "stream_interval",
            "tokens",
            "1",
            "tokens in one event of a stream; the last event may have fewer",
        ),
        "1",
    ),
    (
        knob(
            "stream_fault",
            "list",
            "none",
            "faults of streams, separated by commas, each name[=value][@event][*share of the answers]; docs/backend.md has the names",
        ),
        "none",
    ),
    (
        knob(
            "truth_requests",
            "count",
            "512",
            "requests of which the admin port keeps every instant",
        ),
        "512",
    ),
    (
        knob(
            "truth_events",
            "count",
            "64",
            "stream events kept for each of them",
        ),
        "64",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_on_as_observed_and_off_when_fixed() {
        let faults: Vec<_> = OBSERVED_KNOBS
            .iter()
            .zip(&FIXED_KNOBS)
            .filter_map(|(observed, fixed)| Some((observed.fault?, observed.default, fixed.default)))
            .collect();
        let ids = ["S1", "S2", "S3", "S4", "S5", "S6", "S7"];
        assert_eq!(faults, ids.map(|id| (id, "true", "false")));
    }
}
