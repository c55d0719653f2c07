//! The first groups of a table: requests, tokens, throughput, speed of a user, cache, lengths.

use prony_model::{Outcome, PhaseSummary, StreamRecord, StreamSummary};
use prony_stats::mean;

use super::lines::{line, no_line};
use super::{LineGroup, StreamLine};
use crate::definitions::worth;
use crate::number::{count, percent};

/// What the groups are made from.
pub(super) struct Source<'a> {
    /// The phase.
    pub phase: &'a PhaseSummary,
    /// Its streams.
    pub summary: &'a StreamSummary,
    /// The records of its good answers, as far as they were read.
    pub good: &'a [&'a StreamRecord],
    /// Whether these are all.
    pub whole: bool,
}

impl Source<'_> {
    /// Output tokens of good answers: the server's count of each that has one, else what its events carry.
    pub(super) fn output_tokens(&self) -> u64 {
        let s = self.summary;
        if s.with_usage == s.ok {
            s.usage_output
        } else if s.with_usage == 0 || !self.whole {
            s.event_tokens
        } else {
            self.good.iter().map(|r| u64::from(r.output_tokens())).sum()
        }
    }

    /// Input tokens, and who counted them.
    pub(super) fn input_tokens(&self) -> Option<(u64, &'static str)> {
        if self.summary.usage_input > 0 {
            return Some((self.summary.usage_input, ""));
        }
        let known: Option<u64> = self.good.iter().map(|r| r.prompt_tokens.map(u64::from)).sum();
        known
            .filter(|n| *n > 0 && self.whole)
            .map(|n| (n, "by the workload; the server does not say"))
    }

    /// Length of the step in seconds.
    pub(super) fn duration_s(&self) -> f64 {
        let s = self.summary;
        let steps = self.phase.streams.iter().any(|other| other.step != s.step);
        let mine = self
            .phase
            .rows
            .iter()
            .find(|r| !r.part && r.step == s.step && r.per_s > 0.0);
        match mine {
            Some(row) if steps => row.n as f64 / row.per_s,
            _ => (self.phase.ended - self.phase.started).as_secs_f64(),
        }
    }

    /// Failures by kind, most frequent first.
    fn failures(&self) -> Vec<(Outcome, u64)> {
        let s = self.summary;
        let rows = self.phase.rows.iter();
        let mut kinds: Vec<(Outcome, u64)> = rows
            .filter(|r| r.scenario == s.scenario && r.step == s.step && r.outcome.is_failure())
            .map(|r| (r.outcome, r.n))
            .collect();
        kinds.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        kinds
    }
}

/// Requests, tokens and throughput, as the first block of `vllm bench serve`.
pub(super) fn totals(source: &Source<'_>) -> LineGroup {
    let s = source.summary;
    let duration_s = source.duration_s();
    let mut failed = line("failed", "Failed requests", s.failed as f64, "");
    let kinds: Vec<String> = source
        .failures()
        .iter()
        .map(|(outcome, n)| format!("{} {}", count(*n), outcome.name()))
        .collect();
    failed.note = kinds.join(", ");
    let output = source.output_tokens();
    let mut lines = vec![line("completed", "Successful requests", s.ok as f64, ""), failed];
    if s.connections > 0 {
        lines.push(line(
            "connections",
            "Maximum request concurrency",
            f64::from(s.connections),
            "",
        ));
    }
    lines.push(line("duration_s", "Duration", duration_s, "s"));
    let input = source.input_tokens();
    lines.push(match input {
        Some((n, note)) => StreamLine {
            note: note.to_owned(),
            ..line("input_tokens", "Total input tokens", n as f64, "")
        },
        None => no_line(
            "input_tokens",
            "Total input tokens",
            "",
            "unknown: neither the server nor the workload says",
        ),
    });
    lines.push(StreamLine {
        note: counted_by(s),
        ..line("output_tokens", "Total output tokens", output as f64, "")
    });
    lines.push(line(
        "requests_per_s",
        "Request throughput",
        worth(s.ok as f64, duration_s),
        "1/s",
    ));
    let output_per_s = StreamLine {
        note: format!("delivered within a window of {:.1} s", s.window_s),
        ..line(
            "output_tokens_per_s",
            "Output token throughput",
            s.tokens_per_s,
            "1/s",
        )
    };
    lines.push(output_per_s);
    lines.push(match input {
        Some((n, _)) => line(
            "total_tokens_per_s",
            "Total token throughput",
            worth((n + output) as f64, duration_s),
            "1/s",
        ),
        None => no_line(
            "total_tokens_per_s",
            "Total token throughput",
            "1/s",
            "unknown without the input tokens",
        ),
    });
    LineGroup {
        title: String::new(),
        lines,
    }
}

fn counted_by(s: &StreamSummary) -> String {
    if s.with_usage == s.ok {
        String::new()
    } else if s.with_usage == 0 {
        "by the events; the server sends no usage".to_owned()
    } else {
        format!(
            "the server's usage of {} answers, else by the events",
            count(s.with_usage)
        )
    }
}

/// Speed of a user, chunks, counts side by side, cache, lengths.
pub(super) fn details(source: &Source<'_>) -> Vec<LineGroup> {
    let mut groups = vec![
        users(source),
        chunks(source),
        counted(source),
        cache(source),
        lengths(source),
    ];
    groups.retain(|g| !g.lines.is_empty());
    groups
}

fn users(source: &Source<'_>) -> LineGroup {
    let s = source.summary;
    let mut lines = Vec::new();
    if s.tpot.n > 0 && s.tpot.mean_ns > 0.0 {
        lines.push(line(
            "user_tokens_per_s_harmonic",
            "Tokens per second of a user (1 / mean TPOT)",
            1e9 / s.tpot.mean_ns,
            "1/s",
        ));
    }
    let speeds: Vec<f64> = source
        .good
        .iter()
        .filter_map(|r| r.tpot_ns())
        .map(|ns| 1e9 / ns)
        .collect();
    if !speeds.is_empty() {
        lines.push(line(
            "user_tokens_per_s_arithmetic",
            "The same, mean over answers",
            mean(&speeds),
            "1/s",
        ));
    }
    let per_token: Vec<f64> = source
        .good
        .iter()
        .filter(|r| r.output_tokens() > 0)
        .filter_map(|r| Some(r.e2e()?.as_millis_f64() / f64::from(r.output_tokens())))
        .collect();
    if !per_token.is_empty() {
        lines.push(line(
            "normalised_latency_ms",
            "E2EL per output token, mean",
            mean(&per_token),
            "ms",
        ));
    }
    LineGroup {
        title: "Speed of a user".to_owned(),
        lines,
    }
}

fn chunks(source: &Source<'_>) -> LineGroup {
    let s = source.summary;
    let mut lines = Vec::new();
    if let Some(per_chunk) = s.tokens_per_event() {
        lines.push(line("tokens_per_chunk", "Tokens per chunk", per_chunk, "ratio"));
    }
    if s.token_events > 0 {
        lines.push(line(
            "joined_share",
            "Chunks that shared a read",
            joined_share(s),
            "share",
        ));
    }
    lines.extend(stamped(source));
    LineGroup {
        title: "Chunks".to_owned(),
        lines,
    }
}

/// Whose clock stamped the events of the phase.
fn stamped(source: &Source<'_>) -> Option<StreamLine> {
    let validity = &source.phase.validity;
    let events = validity.stamped_by_kernel + validity.stamped_by_read;
    if events == 0 {
        return None;
    }
    let note = if validity.stamped_by_read == 0 {
        "by the kernel".to_owned()
    } else {
        format!(
            "by the kernel; {} of {} of the phase when they were read",
            count(validity.stamped_by_read),
            count(events)
        )
    };
    Some(StreamLine {
        note,
        ..line(
            "stamped_on_arrival_share",
            "Events stamped on arrival",
            worth(validity.stamped_by_kernel as f64, events as f64),
            "share",
        )
    })
}

/// Share of token events that came in one read with an earlier one.
pub(super) fn joined_share(s: &StreamSummary) -> f64 {
    worth(s.joined as f64, s.token_events as f64)
}

/// The server's count beside what its events carry, of the answers that have both; and how far they are apart.
pub(super) fn usage_and_events(source: &Source<'_>) -> Option<(u64, u64, f64)> {
    let s = source.summary;
    let (usage, events) = if s.with_usage == s.ok {
        (s.usage_output, s.event_tokens)
    } else {
        let both = || source.good.iter().filter(|r| r.usage.output.is_some());
        (
            both().map(|r| u64::from(r.usage.output.unwrap_or(0))).sum(),
            both().map(|r| u64::from(r.event_tokens)).sum(),
        )
    };
    let apart = worth((usage as f64 - events as f64).abs(), usage as f64);
    (usage > 0 && events > 0).then_some((usage, events, apart))
}

fn counted(source: &Source<'_>) -> LineGroup {
    let mut lines = Vec::new();
    if let Some((usage, events, apart)) = usage_and_events(source) {
        lines.push(line(
            "usage_output_tokens",
            "Output tokens, the server's usage",
            usage as f64,
            "",
        ));
        lines.push(line(
            "event_tokens",
            "Output tokens, carried by events",
            events as f64,
            "",
        ));
        lines.push(line("usage_apart_share", "Apart", apart, "share"));
    }
    if source.summary.usage_reasoning > 0 {
        lines.push(line(
            "reasoning_tokens",
            "Of them reasoning, by usage",
            source.summary.usage_reasoning as f64,
            "",
        ));
    }
    LineGroup {
        title: "Token counts side by side".to_owned(),
        lines,
    }
}

fn cache(source: &Source<'_>) -> LineGroup {
    let s = source.summary;
    let mut lines = Vec::new();
    if s.with_cached > 0 {
        lines.push(StreamLine {
            note: format!("usage of {} answers", count(s.with_cached)),
            ..line(
                "cache_hit_share",
                "Prompt tokens from a cache, by usage",
                worth(s.usage_cached as f64, s.usage_input as f64),
                "share",
            )
        });
    }
    let known: Vec<(u32, u32)> = source
        .good
        .iter()
        .filter_map(|r| Some((r.shared_tokens?, r.prompt_tokens?)))
        .collect();
    let prompt: u64 = known.iter().map(|(_, p)| u64::from(*p)).sum();
    if prompt > 0 {
        let shared: u64 = known.iter().map(|(s, _)| u64::from(*s)).sum();
        lines.push(line(
            "cache_theoretical_share",
            "What an ideal prefix cache could hold",
            shared as f64 / prompt as f64,
            "share",
        ));
    }
    LineGroup {
        title: "Prefix cache".to_owned(),
        lines,
    }
}

fn lengths(source: &Source<'_>) -> LineGroup {
    let s = source.summary;
    let [shortest, median, longest] = s.output_lengths;
    let mut lines = Vec::new();
    if longest > 0 {
        lines.push(StreamLine {
            note: format!("from {} to {}", count(shortest.into()), count(longest.into())),
            ..line(
                "output_length_p50",
                "Median answer in tokens",
                f64::from(median),
                "",
            )
        });
    }
    let asked: Vec<(u32, u32)> = source
        .good
        .iter()
        .filter_map(|r| Some((r.max_tokens?, r.output_tokens())))
        .collect();
    if !asked.is_empty() {
        let most: u64 = asked.iter().map(|(asked, _)| u64::from(*asked)).sum();
        let got: u64 = asked.iter().map(|(_, got)| u64::from(*got)).sum();
        let short = asked.iter().filter(|(asked, got)| got < asked).count();
        lines.push(StreamLine {
            note: format!(
                "{} of {} tokens; {} answers are shorter than asked",
                count(got),
                count(most),
                count(short as u64)
            ),
            ..line(
                "delivered_share",
                "Delivered of what was asked for",
                worth(got as f64, most as f64),
                "share",
            )
        });
    }
    if s.ok > 0 {
        lines.push(StreamLine {
            note: percent(worth(s.finished_by_length as f64, s.ok as f64)),
            ..line(
                "finished_by_length",
                "Answers cut at the asked length",
                s.finished_by_length as f64,
                "",
            )
        });
    }
    LineGroup {
        title: "Lengths".to_owned(),
        lines,
    }
}
