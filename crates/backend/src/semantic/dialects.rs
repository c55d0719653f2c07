//! The page for Prometheus under the names of other servers: the scheduler's own values, each under the name and in the unit that server
//! gives it. What this server cannot know has no line. It measures nothing itself.

use std::fmt::{Display, Write as _};

use super::config::{Config, MetricsDialect};
use super::core::Load;
use super::meters::{Buckets, Measured};
use super::native::utilisation;

/// What a page is made of.
#[derive(Debug)]
pub(super) struct Standing<'a> {
    /// How the scheduler stands.
    pub(super) load: Load,
    /// What it measured.
    pub(super) measured: Measured,
    /// Adapters in use, then those only loaded.
    pub(super) adapters: (Vec<String>, Vec<String>),
    /// The loaded model; empty where there is none.
    pub(super) model: &'a str,
    /// What is in force.
    pub(super) config: &'a Config,
}

/// The page.
pub(super) fn page(standing: &Standing<'_>) -> String {
    let mut page = Page {
        text: String::new(),
        labels: String::new(),
    };
    match standing.config.metrics_dialect {
        MetricsDialect::Native => {}
        MetricsDialect::Vllm => vllm(standing, &mut page),
        MetricsDialect::Sglang => sglang(standing, &mut page),
        MetricsDialect::Tgi => tgi(standing, &mut page),
        MetricsDialect::Triton => triton(standing, &mut page),
        MetricsDialect::LlamaCpp => llamacpp(standing, &mut page),
        MetricsDialect::Dynamo => dynamo(standing, &mut page),
    }
    page.text
}

impl Standing<'_> {
    /// Share of the pages that are in use.
    fn usage(&self) -> f64 {
        utilisation(&self.load.pool) / 100.0
    }

    /// Tokens that the pool holds.
    fn capacity(&self) -> f64 {
        (self.load.pool.total / self.config.layers * self.config.block_tokens) as f64
    }

    fn hit_rate(&self) -> f64 {
        ratio(self.measured.hit as f64, self.measured.queried as f64)
    }

    fn ended(&self) -> u64 {
        self.measured.stopped + self.measured.aborted
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// A page in the making.
struct Page {
    text: String,
    /// Of every line, without braces.
    labels: String,
}

impl Page {
    fn kind(&mut self, name: &str, kind: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.text,
            "# HELP {name} See the server of that name.\n# TYPE {name} {kind}"
        );
    }

    fn line(&mut self, name: &str, more: &str, value: impl Display) {
        let comma = if self.labels.is_empty() || more.is_empty() {
            ""
        } else {
            ","
        };
        let labels = format!("{}{comma}{more}", self.labels);
        let _ = match labels.as_str() {
            "" => writeln!(self.text, "{name} {value}"),
            _ => writeln!(self.text, "{name}{{{labels}}} {value}"),
        };
    }

    fn gauge(&mut self, name: &str, value: impl Display) {
        self.kind(name, "gauge");
        self.line(name, "", value);
    }

    /// A counter; the name of its family has no `_total`.
    fn counter(&mut self, name: &str, value: impl Display) {
        self.kind(name, "counter");
        self.line(name, "", value);
    }

    /// A histogram whose values are told in units of so much.
    fn histogram(&mut self, name: &str, of: &Buckets, unit: f64) {
        self.kind(name, "histogram");
        for (count, bound) in of.counts.iter().zip(of.bounds) {
            self.line(
                &format!("{name}_bucket"),
                &format!("le=\"{}\"", bound / unit),
                count,
            );
        }
        self.line(&format!("{name}_bucket"), "le=\"+Inf\"", of.count);
        self.line(&format!("{name}_sum"), "", of.sum / unit);
        self.line(&format!("{name}_count"), "", of.count);
    }
}

fn vllm(of: &Standing<'_>, page: &mut Page) {
    let (steps, measured, load) = (&of.load.steps, &of.measured, &of.load);
    page.labels = format!("engine=\"0\",model_name=\"{}\"", of.model);
    page.gauge("vllm:num_requests_running", load.running);
    page.gauge("vllm:num_requests_waiting", load.waiting);
    page.gauge("vllm:kv_cache_usage_perc", of.usage());
    page.kind("vllm:engine_sleep_state", "gauge");
    for (state, on) in [
        ("awake", !load.sleeping),
        ("weights_offloaded", load.sleeping),
        ("discard_all", false),
    ] {
        page.line(
            "vllm:engine_sleep_state",
            &format!("sleep_state=\"{state}\""),
            u8::from(on),
        );
    }
    page.kind("vllm:cache_config_info", "gauge");
    let blocks = load.pool.total / of.config.layers;
    let info = format!(
        "block_size=\"{}\",num_gpu_blocks=\"{blocks}\"",
        of.config.block_tokens
    );
    page.line("vllm:cache_config_info", &info, 1);
    if !of.config.adapters.is_empty() {
        page.kind("vllm:lora_requests_info", "gauge");
        let (max, running) = (of.config.adapters_max, of.adapters.0.join(","));
        let info =
            format!("max_lora=\"{max}\",running_lora_adapters=\"{running}\",waiting_lora_adapters=\"\"");
        page.line("vllm:lora_requests_info", &info, 1);
    }
    for (name, value) in [
        ("vllm:num_preemptions_total", steps.preempted),
        ("vllm:prefix_cache_queries_total", measured.queried),
        ("vllm:prefix_cache_hits_total", measured.hit),
        ("vllm:prompt_tokens_total", measured.prompt.sum as u64),
        ("vllm:prompt_tokens_cached_total", measured.hit),
        ("vllm:generation_tokens_total", steps.decoded),
    ] {
        page.counter(name, value);
    }
    page.kind("vllm:request_success_total", "counter");
    for (reason, count) in [("stop", measured.stopped), ("abort", measured.aborted)] {
        page.line(
            "vllm:request_success_total",
            &format!("finished_reason=\"{reason}\""),
            count,
        );
    }
    if of.config.costs.spec_tokens > 0 {
        page.counter("vllm:spec_decode_num_drafts_total", steps.drafts);
        page.counter("vllm:spec_decode_num_draft_tokens_total", steps.drafted);
        page.counter("vllm:spec_decode_num_accepted_tokens_total", steps.accepted);
    }
    for (name, buckets) in [
        ("vllm:time_to_first_token_seconds", &measured.ttft),
        ("vllm:inter_token_latency_seconds", &measured.itl),
        ("vllm:request_time_per_output_token_seconds", &measured.tpot),
        ("vllm:e2e_request_latency_seconds", &measured.e2e),
        ("vllm:request_queue_time_seconds", &measured.queue),
        ("vllm:request_prefill_time_seconds", &measured.prefill),
        ("vllm:request_decode_time_seconds", &measured.decode),
        ("vllm:request_inference_time_seconds", &measured.inference),
        ("vllm:request_prompt_tokens", &measured.prompt),
        ("vllm:request_generation_tokens", &measured.generated),
        ("vllm:iteration_tokens_total", &measured.step),
    ] {
        page.histogram(name, buckets, 1.0);
    }
}

fn sglang(of: &Standing<'_>, page: &mut Page) {
    let (steps, measured, load) = (&of.load.steps, &of.measured, &of.load);
    page.labels = format!("model_name=\"{}\"", of.model);
    page.gauge("sglang:num_running_reqs", load.running);
    page.gauge("sglang:num_queue_reqs", load.waiting);
    page.gauge("sglang:token_usage", of.usage());
    page.gauge("sglang:full_token_usage", of.usage());
    page.gauge("sglang:num_used_tokens", of.usage() * of.capacity());
    page.gauge("sglang:max_total_num_tokens", of.capacity());
    page.gauge("sglang:cache_hit_rate", of.hit_rate());
    page.counter("sglang:cached_tokens_total", measured.hit);
    page.counter("sglang:num_retracted_requests_total", steps.preempted);
    page.counter(
        "sglang:evicted_tokens_total",
        load.pool.counts.evicted * of.config.block_tokens as u64,
    );
    page.counter("sglang:prompt_tokens_total", measured.prompt.sum as u64);
    page.counter("sglang:generation_tokens_total", steps.decoded);
    page.counter("sglang:num_requests_total", of.ended());
    page.counter("sglang:num_aborted_requests_total", measured.aborted);
    if of.config.costs.spec_tokens > 0 {
        let (drafts, right) = (steps.drafts as f64, steps.accepted as f64);
        page.gauge("sglang:spec_accept_length", ratio(drafts + right, drafts));
        page.gauge("sglang:spec_accept_rate", ratio(right, steps.drafted as f64));
    }
    if !of.config.adapters.is_empty() {
        let loaded = (of.adapters.0.len() + of.adapters.1.len()) as f64;
        page.gauge(
            "sglang:lora_pool_utilization",
            ratio(loaded, of.config.adapters_max as f64),
        );
    }
    page.histogram("sglang:time_to_first_token_seconds", &measured.ttft, 1.0);
    page.histogram("sglang:inter_token_latency_seconds", &measured.itl, 1.0);
    page.histogram("sglang:e2e_request_latency_seconds", &measured.e2e, 1.0);
    page.histogram("sglang:queue_time_seconds", &measured.queue, 1.0);
}

fn tgi(of: &Standing<'_>, page: &mut Page) {
    let (measured, load) = (&of.measured, &of.load);
    page.gauge("tgi_queue_size", load.waiting);
    page.gauge("tgi_batch_current_size", load.running);
    page.gauge("tgi_batch_current_max_tokens", of.config.costs.batch_tokens);
    page.counter("tgi_request_count", measured.prompt.count);
    page.counter("tgi_request_success", measured.stopped);
    page.counter("tgi_request_failure", measured.aborted);
    for (name, buckets) in [
        ("tgi_request_duration", &measured.e2e),
        ("tgi_request_queue_duration", &measured.queue),
        ("tgi_request_inference_duration", &measured.inference),
        ("tgi_request_mean_time_per_token_duration", &measured.tpot),
        ("tgi_request_input_length", &measured.prompt),
        ("tgi_request_generated_tokens", &measured.generated),
    ] {
        page.histogram(name, buckets, 1.0);
    }
}

fn triton(of: &Standing<'_>, page: &mut Page) {
    const US: f64 = 1e-6;
    let (measured, load) = (&of.measured, &of.load);
    page.labels = format!("model=\"{}\",version=\"1\"", of.model);
    page.counter("nv_inference_request_success", measured.stopped);
    page.kind("nv_inference_request_failure", "counter");
    page.line(
        "nv_inference_request_failure",
        "reason=\"CANCELED\"",
        measured.aborted,
    );
    page.counter("nv_inference_count", measured.prompt.count);
    page.counter("nv_inference_exec_count", load.steps.taken);
    page.gauge("nv_inference_pending_request_count", load.waiting);
    for (name, buckets) in [
        ("nv_inference_request_duration_us", &measured.e2e),
        ("nv_inference_queue_duration_us", &measured.queue),
        ("nv_inference_compute_infer_duration_us", &measured.inference),
    ] {
        page.counter(name, (buckets.sum / US).round());
    }
    page.histogram("nv_inference_first_response_histogram_ms", &measured.ttft, 1e-3);
}

fn llamacpp(of: &Standing<'_>, page: &mut Page) {
    let (steps, measured, load) = (&of.load.steps, &of.measured, &of.load);
    let (prompts_s, answers_s) = (measured.prefill.sum, measured.decode.sum);
    let prompts = measured.prompt.sum - measured.hit as f64;
    page.counter("llamacpp:prompt_tokens_total", prompts);
    page.counter("llamacpp:prompt_seconds_total", prompts_s);
    page.counter("llamacpp:tokens_predicted_total", steps.decoded);
    page.counter("llamacpp:tokens_predicted_seconds_total", answers_s);
    page.counter("llamacpp:n_decode_total", measured.decodes);
    let busy = ratio(measured.busy as f64, measured.decodes as f64);
    page.gauge("llamacpp:n_busy_slots_per_decode", busy);
    page.gauge("llamacpp:prompt_tokens_seconds", ratio(prompts, prompts_s));
    page.gauge(
        "llamacpp:predicted_tokens_seconds",
        ratio(steps.decoded as f64, answers_s),
    );
    page.gauge("llamacpp:kv_cache_usage_ratio", of.usage());
    page.gauge("llamacpp:kv_cache_tokens", (of.usage() * of.capacity()).round());
    page.gauge("llamacpp:requests_processing", load.running);
    page.gauge("llamacpp:requests_deferred", load.waiting);
}

fn dynamo(of: &Standing<'_>, page: &mut Page) {
    let (steps, measured, load) = (&of.load.steps, &of.measured, &of.load);
    page.labels = format!("model=\"{}\"", of.model);
    page.gauge("dynamo_frontend_inflight_requests", load.running + load.waiting);
    page.gauge("dynamo_frontend_queued_requests", load.waiting);
    page.counter("dynamo_frontend_output_tokens_total", steps.decoded);
    page.histogram("dynamo_frontend_time_to_first_token_seconds", &measured.ttft, 1.0);
    page.histogram("dynamo_frontend_inter_token_latency_seconds", &measured.itl, 1.0);
    page.histogram("dynamo_frontend_request_duration_seconds", &measured.e2e, 1.0);
    page.gauge("dynamo_component_kvstats_gpu_cache_usage_percent", of.usage());
    page.gauge(
        "dynamo_component_kvstats_gpu_prefix_cache_hit_rate",
        of.hit_rate(),
    );
    let pages = load.pool.total / of.config.layers;
    page.gauge("dynamo_component_kvstats_total_blocks", pages);
    page.gauge(
        "dynamo_component_kvstats_active_blocks",
        (of.usage() * pages as f64).round(),
    );
}
