//! What `prony load --stream` says of the tokens: in the document and in the text. It computes nothing but shares.

use std::fmt::Write as _;

use prony_experiments::Goodput;
use prony_model::StreamSummary;
use schemars::JsonSchema;
use serde::Serialize;

use super::document::Times;
use super::summary::{number, times_line};

/// From so many tokens per event, or so large a share of events that shared a read, inter-token latency is that of the
/// network and the server's writes, not of the model.
const COALESCED_TOKENS: f64 = 1.2;
const COALESCED_SHARE: f64 = 0.05;

/// How good answers streamed. Times are milliseconds; answers that failed are in none of them.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct StreamFigures {
    /// Step of the load, from 0.
    pub step: u16,
    /// Good answers.
    pub ok: u64,
    /// Answers that failed.
    pub failed: u64,
    /// From the first byte of the request sent to the first event with a token, reasoning and tool calls included.
    pub ttft: Times,
    /// The same from when the request was due.
    pub ttft_scheduled: Times,
    /// To the first event of any kind.
    pub first_event: Times,
    /// To the first output that is not reasoning.
    pub ttfo: Times,
    /// From the first to the last token, over the tokens after the first event; one value for each answer.
    pub tpot: Times,
    /// Inter-token latency, weighted by tokens: an event of k tokens after a gap g is k values of g / k.
    pub itl: Times,
    /// Gaps between events with tokens, as they came.
    pub chunk_gap: Times,
    /// The longest gap of each answer.
    pub longest_gap: Times,
    /// To the last token.
    pub e2e: Times,
    /// To the terminal marker.
    pub e2e_transport: Times,
    /// Gaps above five times the median gap, and gaps in all.
    pub stalls: u64,
    /// Gaps in all.
    pub gaps: u64,
    /// Tokens delivered within the window, per second.
    pub tokens_per_s: f64,
    /// Length of that window in seconds: from the first token to when the last request was sent.
    pub window_s: f64,
    /// Output tokens by the server's count, of the answers that have one; null when none has.
    pub usage_output: Option<u64>,
    /// Tokens that events are known to carry.
    pub event_tokens: u64,
    /// Events with tokens.
    pub token_events: u64,
    /// Those of them that shared a read with an earlier one of their answer.
    pub joined: u64,
    /// Output tokens for each event with tokens, without reasoning that is counted and not sent.
    pub tokens_per_event: Option<f64>,
    /// Input tokens by the server's count.
    pub usage_input: u64,
    /// Those of them that came from a cache; null when no answer says.
    pub usage_cached: Option<u64>,
    /// Shortest, median and longest answer in tokens.
    pub output_lengths: [u32; 3],
    /// Answers cut at the asked length.
    pub finished_by_length: u64,
    /// Why inter-token latency is not that of the model, where it is not.
    pub warning: Option<String>,
}

impl StreamFigures {
    pub(super) fn of(s: &StreamSummary) -> Self {
        let joined_share = (s.token_events > 0).then(|| s.joined as f64 / s.token_events as f64);
        let tokens_per_event = s.tokens_per_event();
        Self {
            step: s.step,
            ok: s.ok,
            failed: s.failed,
            ttft: Times::of(&s.ttft),
            ttft_scheduled: Times::of(&s.ttft_scheduled),
            first_event: Times::of(&s.first_event),
            ttfo: Times::of(&s.ttfo),
            tpot: Times::of(&s.tpot),
            itl: Times::of(&s.itl),
            chunk_gap: Times::of(&s.chunk_gap),
            longest_gap: Times::of(&s.longest_gap),
            e2e: Times::of(&s.e2e),
            e2e_transport: Times::of(&s.e2e_transport),
            stalls: s.stalls,
            gaps: s.gaps,
            tokens_per_s: s.tokens_per_s,
            window_s: s.window_s,
            usage_output: (s.with_usage > 0).then_some(s.usage_output),
            event_tokens: s.event_tokens,
            token_events: s.token_events,
            joined: s.joined,
            tokens_per_event,
            usage_input: s.usage_input,
            usage_cached: (s.with_cached > 0).then_some(s.usage_cached),
            output_lengths: s.output_lengths,
            finished_by_length: s.finished_by_length,
            warning: warning(tokens_per_event, joined_share),
        }
    }
}

/// How many requests held every limit.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct GoodputFigures {
    /// Requests that held all of them.
    pub good: u64,
    /// Requests that ended, well or not.
    pub of: u64,
    /// Share of good ones.
    pub share: f64,
    /// Lower end of its exact 95 % interval.
    pub share_lo: f64,
    /// Upper end of it.
    pub share_hi: f64,
    /// Good requests per second.
    pub per_s: f64,
    /// Each limit, and how many held it.
    pub limits: Vec<LimitFigures>,
}

/// One limit.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct LimitFigures {
    /// In words.
    pub limit: String,
    /// Requests that held it.
    pub held: u64,
}

impl GoodputFigures {
    pub(super) fn of(goodput: &Goodput) -> Self {
        Self {
            good: goodput.good,
            of: goodput.of,
            share: goodput.good as f64 / goodput.of.max(1) as f64,
            share_lo: goodput.interval.0,
            share_hi: goodput.interval.1,
            per_s: goodput.per_s,
            limits: goodput
                .each
                .iter()
                .map(|(limit, held)| LimitFigures {
                    limit: limit.clone(),
                    held: *held,
                })
                .collect(),
        }
    }
}

/// The line of the text summary.
pub(super) fn write_goodput(out: &mut String, goodput: &GoodputFigures) {
    let each: Vec<String> = goodput
        .limits
        .iter()
        .map(|l| format!("{}: {}", l.limit, l.held))
        .collect();
    let _ = writeln!(
        out,
        "goodput    {} of {} requests held every limit, {:.2} % (95 % interval {:.2} to {:.2}), {}/s; {}",
        goodput.good,
        goodput.of,
        100.0 * goodput.share,
        100.0 * goodput.share_lo,
        100.0 * goodput.share_hi,
        number(goodput.per_s),
        each.join(", ")
    );
}

fn warning(tokens_per_event: Option<f64>, joined: Option<f64>) -> Option<String> {
    let (tokens, joined) = (tokens_per_event?, joined?);
    (tokens >= COALESCED_TOKENS || joined >= COALESCED_SHARE).then(|| {
        format!(
            "{tokens:.2} tokens per event, {:.1} % of events shared a read: inter-token percentiles are limited by how the \
             server and the network put tokens together",
            joined * 100.0
        )
    })
}

/// The lines of the text summary.
pub(super) fn write(out: &mut String, streams: &[StreamFigures]) {
    for s in streams.iter().filter(|s| s.ok > 0) {
        let _ = writeln!(
            out,
            "\n{:<18} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "streams", "mean", "p50", "p90", "p95", "p99", "p99.9", "longest"
        );
        let rows = [
            ("TTFT", &s.ttft),
            ("TTFT from due", &s.ttft_scheduled),
            ("first event", &s.first_event),
            ("TTFO", &s.ttfo),
            ("TPOT", &s.tpot),
            ("ITL", &s.itl),
            ("chunk gap", &s.chunk_gap),
            ("longest gap", &s.longest_gap),
            ("E2E", &s.e2e),
        ];
        for (name, times) in rows.into_iter().filter(|(_, times)| times.n > 0) {
            times_line(out, name, times);
        }
        let [shortest, median, longest] = s.output_lengths;
        let _ = writeln!(
            out,
            "tokens     {}/s over {:.1}s; {} by the server's count, {} in events; {shortest} to {longest} each, median \
             {median}",
            number(s.tokens_per_s),
            s.window_s,
            s.usage_output
                .map_or_else(|| "none".to_owned(), |n| n.to_string()),
            s.event_tokens
        );
        let _ = writeln!(
            out,
            "stalls     {} of {} gaps above five times the median gap",
            s.stalls, s.gaps
        );
        if let Some(cached) = s.usage_cached {
            let share = 100.0 * cached as f64 / s.usage_input.max(1) as f64;
            let _ = writeln!(
                out,
                "cache      {cached} of {} input tokens came from a cache ({share:.1} %)",
                s.usage_input
            );
        }
        if let Some(warning) = &s.warning {
            let _ = writeln!(out, "           warning, coalesced: {warning}");
        }
    }
}
