//! What follows from what an engine told, beside what its clients saw.

use prony_model::{Finding, Outcome, PhaseResult, Severity, Source, StreamRecord, Verdict};
use prony_stats::mean;

use super::NAME;
use super::told::{Times, Told};
use crate::draft::Draft;
use crate::metric::{CONFIDENCE, mean_interval};

/// From this share on the key-value cache is full: what comes next must wait or push others out.
const KV_FULL: f64 = 0.95;
/// How far the server's count of first tokens may be from ours for the two to be of the same requests.
const COUNT_APART_MAX: f64 = 0.1;
/// Fewest first tokens on each side.
const ANSWERS_MIN: usize = 10;
/// What may lie between the two times to first token: so many milliseconds, or such a share of the server's.
const BETWEEN_MS: f64 = 20.0;
const BETWEEN_SHARE: f64 = 0.2;
/// The prefix cache has no effect when it finds less than half of what an ideal one would, if that is at least a tenth.
const IDEAL_MIN: f64 = 0.1;
const OF_IDEAL_MIN: f64 = 0.5;

/// Every finding, each where its metrics were told.
pub(super) fn of(told: &Told, phases: &[&PhaseResult]) -> Vec<Finding> {
    let records: Vec<&StreamRecord> = phases
        .iter()
        .flat_map(|p| &p.streams)
        .filter(|r| r.first_token.0 > 0)
        .filter(|r| r.first_token >= told.window.0 && r.first_token <= told.window.1)
        .collect();
    let source = Source {
        phase: phases.last().map(|p| p.index),
        scenario: String::new(),
    };
    [
        between(told, &records, &source),
        queueing(told, &source),
        preemption(told, &source),
        kv(told, &source),
        cache(told, phases, &source),
        speculation(told, phases, &source),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn draft(id: &str) -> Draft {
    Draft::new(NAME, id, "").advisory()
}

/// The client's time to first token less the server's: network, frontend and ourselves.
fn between(told: &Told, records: &[&StreamRecord], source: &Source) -> Option<Finding> {
    let server = told.ttft.as_ref()?;
    let client_ms: Vec<f64> = records
        .iter()
        .filter_map(|r| r.ttft())
        .map(prony_model::Nanos::as_millis_f64)
        .collect();
    let n = client_ms.len();
    let apart = (server.n - n as f64).abs() / server.n.max(1.0);
    let enough = n >= ANSWERS_MIN && server.n >= ANSWERS_MIN as f64;
    let client = if n == 0 { f64::NAN } else { mean(&client_ms) };
    let residual = client - server.mean_ms;
    let mut draft = draft("server-ttft");
    if n > 0 {
        let interval = mean_interval(&client_ms, CONFIDENCE);
        let around = interval.map(|(low, high)| (low - server.mean_ms, high - server.mean_ms));
        draft = draft
            .measured("TTFT of the client, mean", client, "ms", interval, n, source)
            .figure(
                &format!("TTFT of {}, mean", told.engine),
                server.mean_ms,
                "ms",
                server.n as usize,
                source,
            )
            .measured("between them", residual, "ms", around, n, source);
    }
    draft = buckets(draft, server, source);
    if !enough || apart > COUNT_APART_MAX {
        return Some(
            draft
                .verdict(Verdict::Inconclusive, Severity::Info)
                .title("The server's time to first token cannot be held against the client's")
                .detail(format!(
                    "{} counted {} first tokens between the first and the last reading of its metrics, the client saw {n}. Both \
                     need {ANSWERS_MIN}, and they must be of the same requests: up to {:.0} % apart.",
                    told.engine,
                    server.n,
                    COUNT_APART_MAX * 100.0
                ))
                .done(),
        );
    }
    let detail = format!(
        "Both are of the requests between the first and the last reading of the server's metrics. What lies between them is the \
         network, what stands before the engine, and the client itself. {} starts its clock when a request has arrived.",
        told.engine
    );
    let far = residual > BETWEEN_MS.max(BETWEEN_SHARE * server.mean_ms);
    let draft = if far {
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!(
                "{residual:.0} ms of the time to first token are not the engine's: clients wait {client:.0} ms, it says {:.0} ms",
                server.mean_ms
            ))
            .advice(
                "Look at what stands before the engine: gateway, tokenisation, connection set-up.",
                &format!("{client:.1} - {:.1} = {residual:.1} ms", server.mean_ms),
            )
    } else {
        draft.title(format!(
            "Client and server agree on the time to first token: {client:.1} ms and {:.1} ms",
            server.mean_ms
        ))
    };
    Some(draft.detail(detail).done())
}

/// Between which bounds the server's own quantiles lie.
fn buckets(draft: Draft, server: &Times, source: &Source) -> Draft {
    let rows: Vec<Vec<String>> = [0.5, 0.9, 0.99]
        .into_iter()
        .filter_map(|p| {
            let (low, high) = server.bounds_ms(p)?;
            let high = if high.is_finite() {
                format!("{high:.1}")
            } else {
                "no bound".to_owned()
            };
            Some(vec![format!("p{}", p * 100.0), format!("{low:.1}"), high])
        })
        .collect();
    if rows.is_empty() {
        return draft;
    }
    draft.table(
        "TTFT by the server's buckets",
        &["quantile", "above (ms)", "up to (ms)"],
        rows,
        source,
    )
}

fn queueing(told: &Told, source: &Source) -> Option<Finding> {
    let most = told.waiting_max?;
    let mut draft = draft("server-queueing")
        .figure("most requests waiting", most, "requests", told.readings, source)
        .figure(
            "readings with a queue",
            told.waiting_share,
            "share",
            told.readings,
            source,
        );
    if let Some(running) = told.running_max {
        draft = draft.figure(
            "most requests running",
            running,
            "requests",
            told.readings,
            source,
        );
    }
    if let Some(queue) = &told.queue {
        draft = draft.figure(
            "time in the queue, mean",
            queue.mean_ms,
            "ms",
            queue.n as usize,
            source,
        );
    }
    let draft = if most > 0.0 {
        draft
            .verdict(Verdict::Warn, Severity::Low)
            .title(format!("Up to {most} requests waited in the queue of {}", told.engine))
            .detail(
                "Requests that wait have no first token. Under a load meant to saturate, this is the load's doing; below that, more \
                 running slots or replicas would shorten the time to first token.",
            )
    } else {
        draft
            .title("No request waited in the server's queue when it was looked at")
            .detail("Its metrics are read every two seconds: a shorter queue may have been missed.")
    };
    Some(draft.done())
}

fn preemption(told: &Told, source: &Source) -> Option<Finding> {
    let times = told.preemptions?;
    let draft = draft("server-preemption").figure("preemptions", times, "", told.readings, source);
    Some(if times > 0.0 {
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!("{} put back {times} running requests to make room", told.engine))
            .detail(
                "A request that is put back is computed again from its prompt: its stream stalls, and the work is done twice. It \
                 happens when the key-value cache is too small for what runs at once.",
            )
            .advice(
                "Allow fewer requests at once, shorter contexts, or more memory for the key-value cache.",
                "",
            )
            .done()
    } else {
        draft.title("No running request was put back to make room").done()
    })
}

fn kv(told: &Told, source: &Source) -> Option<Finding> {
    let most = told.kv_share_max?;
    let draft = draft("server-kv-cache").figure(
        "most of the key-value cache in use",
        most,
        "share",
        told.readings,
        source,
    );
    Some(if most >= KV_FULL {
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!("The key-value cache was {:.0} % full", most * 100.0))
            .detail("What comes next must wait, or pushes others out.")
            .advice(
                "Allow fewer requests at once, or more memory for the key-value cache.",
                "",
            )
            .done()
    } else {
        draft
            .title(format!(
                "The key-value cache was at most {:.0} % full when it was looked at",
                most * 100.0
            ))
            .done()
    })
}

/// The prefix cache: what the server says, what its usage says, and what an ideal one could hold.
fn cache(told: &Told, phases: &[&PhaseResult], source: &Source) -> Option<Finding> {
    let (hits, queries) = told.prefix?;
    if queries <= 0.0 {
        return None;
    }
    let share = hits / queries;
    let good: Vec<&StreamRecord> = phases
        .iter()
        .flat_map(|p| &p.streams)
        .filter(|r| r.outcome == Outcome::Ok)
        .collect();
    let client = ratio(&good, |r| Some((r.usage.cached?, r.usage.input?)));
    let ideal = ratio(&good, |r| Some((r.shared_tokens?, r.prompt_tokens?)));
    let mut draft = draft("server-prefix-cache").figure(
        &format!("prompt tokens found in the cache, by {}", told.engine),
        share,
        "share",
        queries as usize,
        source,
    );
    if let Some((share, n)) = client {
        draft = draft.figure("the same by usage", share, "share", n, source);
    }
    if let Some((share, n)) = ideal {
        draft = draft.figure("what an ideal cache could hold", share, "share", n, source);
    }
    let wasted = ideal.filter(|(ideal, _)| *ideal >= IDEAL_MIN && share < OF_IDEAL_MIN * ideal);
    Some(match wasted {
        Some((ideal, _)) => draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!(
                "The prefix cache is not effective: {:.0} % of the prompt tokens came from it, {:.0} % could have",
                share * 100.0,
                ideal * 100.0
            ))
            .detail(
                "The prompts share beginnings that the cache did not hold: it is off, too small, or requests with the same beginning \
                 went to different replicas.",
            )
            .advice(
                "Switch the prefix cache on, or send requests with the same beginning to the same replica.",
                "",
            )
            .done(),
        None => draft
            .title(format!("{:.0} % of the prompt tokens came from the prefix cache", share * 100.0))
            .done(),
    })
}

/// Speculative decoding: tokens that a step gives, beside tokens that an event carries.
fn speculation(told: &Told, phases: &[&PhaseResult], source: &Source) -> Option<Finding> {
    let found = told.speculation?;
    let n = if found.steps > 0.0 {
        found.steps as usize
    } else {
        told.readings
    };
    let mut draft =
        draft("speculative-decoding").figure("acceptance length", found.length, "tokens", n, source);
    if let Some(share) = found.accepted_share {
        draft = draft.figure("guessed tokens that were right", share, "share", n, source);
    }
    let good: Vec<&StreamRecord> = phases
        .iter()
        .flat_map(|p| &p.streams)
        .filter(|r| r.outcome == Outcome::Ok)
        .collect();
    if let Some((per_event, answers)) = ratio(&good, |r| Some((r.usage.output?, r.token_events))) {
        draft = draft.figure(
            "output tokens in an event, by usage",
            per_event,
            "tokens",
            answers,
            source,
        );
    }
    let from = if found.steps > 0.0 {
        "1 + right guesses / steps, between the first and the last reading of its counters"
    } else {
        "as its gauge says, which it computes over a time of its own"
    };
    Some(
        draft
            .title(format!(
                "{} decodes speculatively: a step gives {:.2} tokens",
                told.engine, found.length
            ))
            .detail(format!(
                "The acceptance length is {from}. Single gaps between events are then steps and not tokens; the time per output token \
                 is not touched."
            ))
            .done(),
    )
}

/// A share over answers that know both numbers, with how many they are.
fn ratio(records: &[&StreamRecord], of: fn(&StreamRecord) -> Option<(u32, u32)>) -> Option<(f64, usize)> {
    let known: Vec<(u32, u32)> = records.iter().filter_map(|r| of(r)).collect();
    let whole: f64 = known.iter().map(|(_, whole)| f64::from(*whole)).sum();
    let part: f64 = known.iter().map(|(part, _)| f64::from(*part)).sum();
    (whole > 0.0).then(|| (part / whole, known.len()))
}
