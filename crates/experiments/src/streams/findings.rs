//! What the streams of one endpoint allow to say.

use prony_model::{
    Distribution, Finding, Outcome, PhaseResult, Severity, Source, StreamRecord, StreamSummary, Verdict,
};
use prony_stats::{binomial, median, order};

use super::{NAME, slots};
use crate::draft::{Draft, source};
use crate::metric::CONFIDENCE;
use crate::streamed::{good, streaming_ms, ttft_ms};

/// Good answers below which nothing is said.
const ANSWERS_MIN: usize = 5;
/// Tokens that an answer needs before one can tell whether they came one by one.
const TOKENS_MIN: u32 = 8;
/// An answer is not streamed when its tokens come within this share of its time.
const AT_ONCE_SHARE: f64 = 0.02;
/// A stall that a reader feels: so many milliseconds, and so many times the usual gap.
const STALL_MS: f64 = 250.0;
const STALL_TIMES: f64 = 10.0;
/// Share of answers with a stall that matters.
const STALLED_SHARE: f64 = 0.01;
/// Tokens per chunk, and chunks in a shared read, from which single gaps say little.
const TOKENS_PER_CHUNK: f64 = 1.2;
const JOINED_SHARE: f64 = 0.05;
/// Times that the first token takes longer where streams wait for a slot.
const WAIT_TIMES: f64 = 1.5;
/// How far usage and events may be apart.
const APART: f64 = 0.02;

/// Every finding about one endpoint.
pub(super) fn of(phase: &PhaseResult) -> Vec<Finding> {
    let Some(name) = phase.phase.scenarios.first().map(|s| s.name.as_str()) else {
        return Vec::new();
    };
    let source = source(phase, name);
    let records = good(phase, name);
    let mut findings: Vec<Finding> = broken(phase, name, &source).into_iter().collect();
    if records.len() < ANSWERS_MIN {
        findings.push(too_few(name, records.len(), &source));
        return findings;
    }
    findings.push(speed(phase, name, &records, &source));
    findings.extend(batch(phase, name, &records, &source));
    findings.extend(at_once(name, &records, &source));
    findings.extend(stalls(name, &records, &source));
    findings.extend(coalescing(phase, name, &source));
    findings.push(usage(name, &records, &source));
    findings
}

fn too_few(name: &str, n: usize, source: &Source) -> Finding {
    Draft::new(NAME, "stream-speed", name)
        .advisory()
        .verdict(Verdict::Inconclusive, Severity::Info)
        .title("Too few streams ended well to tell how fast tokens come")
        .detail(format!("{n} did; {ANSWERS_MIN} are needed."))
        .figure("good answers", n as f64, "", n, source)
        .done()
}

/// Streams that a status of 200 calls good and that are not.
fn broken(phase: &PhaseResult, name: &str, source: &Source) -> Option<Finding> {
    let rows: Vec<_> = phase
        .summary
        .rows
        .iter()
        .filter(|r| !r.part && r.scenario == name)
        .collect();
    let count = |kinds: &[Outcome]| -> u64 {
        let of = rows.iter().filter(|r| kinds.contains(&r.outcome));
        of.map(|r| r.n).sum()
    };
    let kinds = [
        (Outcome::StreamError, "told of an error within a good status"),
        (Outcome::StreamUnfinished, "ended without the terminal marker"),
        (Outcome::StreamEmpty, "held no token"),
        (Outcome::Truncated, "were cut off"),
    ];
    let bad: u64 = kinds.iter().map(|(kind, _)| count(&[*kind])).sum();
    let of = bad + count(&[Outcome::Ok]);
    if of == 0 {
        return None;
    }
    let interval = binomial::clopper_pearson(bad, of, CONFIDENCE);
    let draft = Draft::new(NAME, "stream-ends", name).measured(
        "broken streams",
        bad as f64 / of as f64,
        "share",
        Some(interval),
        of as usize,
        source,
    );
    if bad == 0 {
        return Some(draft.title("Every stream ended as its protocol says").done());
    }
    let told: Vec<String> = kinds
        .iter()
        .filter(|(kind, _)| count(&[*kind]) > 0)
        .map(|(kind, says)| format!("{} {says}", count(&[*kind])))
        .collect();
    Some(
        draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!("{bad} of {of} streams are broken behind a good status"))
            .detail(format!(
                "{}. A client that looks at the status alone takes them for whole answers.",
                told.join(", ")
            ))
            .advice(
                "Send the terminal marker only after a whole answer, and an error before the first byte where there is still a \
                 status to set.",
                "",
            )
            .done(),
    )
}

/// The figures alone and at each step.
fn speed(phase: &PhaseResult, name: &str, records: &[&StreamRecord], source: &Source) -> Finding {
    let first = records.iter().map(|r| r.step).min().unwrap_or(0);
    let alone: Vec<&StreamRecord> = records.iter().copied().filter(|r| r.step == first).collect();
    let steps: Vec<&StreamSummary> = phase
        .summary
        .streams
        .iter()
        .filter(|s| s.scenario == name)
        .collect();
    let rows = steps.iter().map(|s| row(s)).collect();
    let ttft = ttft_ms(&alone);
    let mut draft = Draft::new(NAME, "stream-speed", name).advisory();
    let at_once = steps.first().map_or(1, |s| s.connections.max(1));
    let mut words = Vec::new();
    if let Some(estimate) = order::estimate(&ttft, 0.5, CONFIDENCE) {
        draft = draft.measured(
            &format!("TTFT at {at_once} at once, median"),
            estimate.value,
            "ms",
            estimate.interval,
            ttft.len(),
            source,
        );
        words.push(format!("the first token comes after {:.0} ms", estimate.value));
    }
    let tpot: Vec<f64> = alone
        .iter()
        .filter_map(|r| r.tpot_ns())
        .map(|ns| ns / 1e6)
        .collect();
    if let Some(estimate) = order::estimate(&tpot, 0.5, CONFIDENCE) {
        draft = draft.measured(
            &format!("TPOT at {at_once} at once, median"),
            estimate.value,
            "ms",
            estimate.interval,
            tpot.len(),
            source,
        );
        words.push(format!("the others every {:.1} ms", estimate.value));
    }
    if let Some(best) = steps
        .iter()
        .max_by(|a, b| a.tokens_per_s.total_cmp(&b.tokens_per_s))
    {
        draft = draft.figure(
            &format!(
                "most output tokens per second, at {} at once",
                best.connections.max(1)
            ),
            best.tokens_per_s,
            "1/s",
            best.ok as usize,
            source,
        );
    }
    draft
        .table(
            "By streams at once",
            &[
                "at once",
                "answers",
                "failed",
                "TTFT p50 (ms)",
                "TTFT p99 (ms)",
                "TPOT p50 (ms)",
                "ITL p99 (ms)",
                "output tokens/s",
                "tokens/s of a user",
            ],
            rows,
            source,
        )
        .title(format!("With {at_once} at once {}", words.join(", ")))
        .detail(
            "A user's speed is 1 over the mean TPOT. In a closed loop these times say how the server shares itself out, not how long \
             independent users would wait.",
        )
        .done()
}

fn row(s: &StreamSummary) -> Vec<String> {
    let user = if s.tpot.mean_ns > 0.0 {
        format!("{:.1}", 1e9 / s.tpot.mean_ns)
    } else {
        "-".to_owned()
    };
    vec![
        s.connections.max(1).to_string(),
        s.ok.to_string(),
        s.failed.to_string(),
        cell(&s.ttft, 0.5),
        cell(&s.ttft, 0.99),
        cell(&s.tpot, 0.5),
        cell(&s.itl, 0.99),
        format!("{:.1}", s.tokens_per_s),
        user,
    ]
}

fn cell(d: &Distribution, p: f64) -> String {
    let found = d.quantiles.iter().find(|q| (q.p - p).abs() < 1e-9);
    match found {
        Some(q) if d.n > 0 && q.needs_n == 0 => format!("{:.2}", q.value.as_millis_f64()),
        Some(q) if d.n > 0 => format!("needs {}", q.needs_n),
        _ => "-".to_owned(),
    }
}

/// How many streams the engine gives tokens to at the same time, where the ladder went beyond it.
fn batch(phase: &PhaseResult, name: &str, records: &[&StreamRecord], source: &Source) -> Option<Finding> {
    let steps = phase.summary.streams.iter().filter(|s| s.scenario == name);
    let seen: Vec<(u32, u32, Vec<&StreamRecord>)> = steps
        .filter_map(|step| {
            let of_step: Vec<&StreamRecord> =
                records.iter().copied().filter(|r| r.step == step.step).collect();
            Some((step.connections, slots::at_once(&of_step)?, of_step))
        })
        .filter(|(offered, _, of_step)| of_step.len() >= ANSWERS_MIN.max(*offered as usize))
        .collect();
    let (offered, at_once, beyond) = seen.last()?;
    // The last step must have had streams to spare, and those before it no more than it.
    if *offered < 2 * at_once || seen.iter().any(|(_, n, _)| n > at_once) {
        return None;
    }
    let waited = median(&mut ttft_ms(beyond));
    let within = seen.iter().rev().find(|(offered, _, _)| offered <= at_once)?;
    let usual = median(&mut ttft_ms(&within.2));
    // Fewer may be at it at the same time because each takes longest before its first token, and waits for nobody.
    if waited < WAIT_TIMES * usual {
        return None;
    }
    Some(
        Draft::new(NAME, "stream-slots", name)
            .advisory()
            .figure("streams that get tokens at the same time", f64::from(*at_once), "", beyond.len(), source)
            .figure(&format!("TTFT at {} at once, median", within.0), usual, "ms", within.2.len(), source)
            .figure(&format!("TTFT at {offered} at once, median"), waited, "ms", beyond.len(), source)
            .title(format!("{at_once} streams get tokens at the same time; more than that wait for their first token"))
            .detail(format!(
                "With {offered} streams asked for at once, no more than {at_once} were between their first and their last token. The first \
                 token came after {usual:.0} ms with {} at once and after {waited:.0} ms with {offered}.",
                within.0
            ))
            .advice(
                &format!("Allow {at_once} requests at a time for each replica, and queue or refuse the rest where you can see it."),
                &format!("streams between their first and last token at one moment: at most {at_once} of {offered}"),
            )
            .done(),
    )
}

/// Whether all tokens come together at the end: an answer that is called a stream and is none.
fn at_once(name: &str, records: &[&StreamRecord], source: &Source) -> Option<Finding> {
    let long: Vec<&StreamRecord> = records
        .iter()
        .copied()
        .filter(|r| r.output_tokens() >= TOKENS_MIN)
        .collect();
    if long.len() < ANSWERS_MIN {
        return None;
    }
    let together = long
        .iter()
        .zip(streaming_ms(&long))
        .filter(|(r, ms)| {
            r.e2e()
                .is_some_and(|e2e| *ms <= AT_ONCE_SHARE * e2e.as_millis_f64())
        })
        .count();
    let (low, high) = binomial::clopper_pearson(together as u64, long.len() as u64, CONFIDENCE);
    let draft = Draft::new(NAME, "stream-is-streamed", name).advisory().measured(
        "answers whose tokens all came together",
        together as f64 / long.len() as f64,
        "share",
        Some((low, high)),
        long.len(),
        source,
    );
    Some(if low > 0.5 {
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title("The answer is called a stream, but its tokens come all together at the end")
            .detail(
                "The time to first token is then the time of the whole answer. A proxy that buffers, or a server that computes \
                 everything before it sends, looks like this.",
            )
            .advice(
                "Switch off response buffering in what stands before the server (in nginx: proxy_buffering off).",
                "",
            )
            .done()
    } else {
        draft
            .title("Tokens come as they are made, not all together")
            .done()
    })
}

/// Stalls that a reader feels, at the least concurrency.
fn stalls(name: &str, records: &[&StreamRecord], source: &Source) -> Option<Finding> {
    let first = records.iter().map(|r| r.step).min()?;
    let alone: Vec<&StreamRecord> = records
        .iter()
        .copied()
        .filter(|r| r.step == first && r.token_events > 1)
        .collect();
    if alone.len() < ANSWERS_MIN {
        return None;
    }
    let mut gaps: Vec<f64> = alone
        .iter()
        .filter_map(|r| r.tpot_ns())
        .map(|ns| ns / 1e6)
        .collect();
    let usual = if gaps.is_empty() { 0.0 } else { median(&mut gaps) };
    let limit = STALL_MS.max(STALL_TIMES * usual);
    let stalled = alone
        .iter()
        .filter(|r| r.longest_gap.as_millis_f64() > limit)
        .count();
    let longest = alone.iter().map(|r| r.longest_gap).max()?.as_millis_f64();
    let (low, high) = binomial::clopper_pearson(stalled as u64, alone.len() as u64, CONFIDENCE);
    let draft = Draft::new(NAME, "stream-stalls", name)
        .advisory()
        .measured(
            &format!("answers with a gap over {limit:.0} ms"),
            stalled as f64 / alone.len() as f64,
            "share",
            Some((low, high)),
            alone.len(),
            source,
        )
        .figure("longest gap", longest, "ms", alone.len(), source);
    Some(if low > STALLED_SHARE {
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!(
                "Streams stall: {stalled} of {} answers stand still for longer than {limit:.0} ms",
                alone.len()
            ))
            .detail(
                "The mean of the gaps hides this: tools that print one inter-token latency for each request do not show it. The \
                 stream had no other beside it at this step.",
            )
            .done()
    } else {
        draft
            .title(format!(
                "No stalls that a reader would feel: the longest gap is {longest:.0} ms"
            ))
            .done()
    })
}

/// Chunks of several tokens, or several chunks in a read: what single gaps are worth.
fn coalescing(phase: &PhaseResult, name: &str, source: &Source) -> Option<Finding> {
    let steps = || phase.summary.streams.iter().filter(|s| s.scenario == name);
    let events: u64 = steps().map(|s| s.token_events).sum();
    let joined: u64 = steps().map(|s| s.joined).sum();
    let tokens: u64 = steps().map(|s| s.streamed_tokens).sum();
    if events == 0 {
        return None;
    }
    let per_chunk = tokens as f64 / events as f64;
    let share = joined as f64 / events as f64;
    (per_chunk >= TOKENS_PER_CHUNK || share >= JOINED_SHARE).then(|| {
        Draft::new(NAME, "stream-coalescing", name)
            .advisory()
            .figure("tokens per chunk", per_chunk, "ratio", events as usize, source)
            .figure("chunks that shared a read", share, "share", events as usize, source)
            .title("Tokens come in clumps: percentiles of single gaps are those of the server's or the network's packing")
            .detail("The time per output token is not touched by it. Tools that call every gap between chunks an ITL differ here.")
            .done()
    })
}

/// The server's count of tokens beside its events.
fn usage(name: &str, records: &[&StreamRecord], source: &Source) -> Finding {
    let counted: Vec<(u32, u32)> = records
        .iter()
        .filter_map(|r| Some((r.usage.output?, r.event_tokens)))
        .collect();
    if counted.is_empty() {
        return Draft::new(NAME, "stream-usage", name)
            .advisory()
            .title("The stream says nothing of usage: tokens are counted by events")
            .detail("Ask for it where the API has it: `stream_options: {include_usage: true}`.")
            .figure("answers", records.len() as f64, "", records.len(), source)
            .done();
    }
    let usage: f64 = counted.iter().map(|(u, _)| f64::from(*u)).sum();
    let events: f64 = counted.iter().map(|(_, e)| f64::from(*e)).sum();
    let apart = if usage > 0.0 {
        (usage - events).abs() / usage
    } else {
        1.0
    };
    let draft = Draft::new(NAME, "stream-usage", name)
        .advisory()
        .figure("output tokens by usage", usage, "", counted.len(), source)
        .figure(
            "output tokens carried by events",
            events,
            "",
            counted.len(),
            source,
        );
    if apart <= APART {
        draft
            .title("Usage and the events of the stream count the same tokens")
            .done()
    } else if usage > events {
        draft
            .title("Usage counts more tokens than there are events")
            .detail("Chunks of several tokens look like this, and so does a server that counts what it does not send.")
            .done()
    } else {
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title("Usage counts fewer tokens than the stream delivers")
            .detail("Whoever is billed by usage, or measures throughput with it, gets a wrong number.")
            .done()
    }
}
