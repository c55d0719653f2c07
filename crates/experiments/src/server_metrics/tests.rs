//! Two readings by hand and the streams between them: the truth in both directions.

use std::collections::BTreeMap;

use prony_model::{Evidence, Finding, Nanos, Reading, TokenUsage, Verdict};

use super::dialect::DIALECTS;
use super::{findings, server_metrics, told};
use crate::fake::streamed::{Answer, phase};

fn reading(at_s: f64, values: &[(&str, f64)]) -> Reading {
    Reading {
        at: Nanos::from_secs_f64(at_s),
        monitor: "metrics".to_owned(),
        values: values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect(),
    }
}

/// Twenty answers, one a second from the first second on, all of this time to first token.
fn answers(ttft_ms: f64) -> Vec<Answer> {
    (1..=20)
        .map(|k| Answer::new(f64::from(k) * 1000.0, ttft_ms, 5.0))
        .collect()
}

const TTFT: &str = "vllm:time_to_first_token_seconds";

/// vLLM before and after: 20 first tokens of 0.05 s each, on top of 100 of before.
fn calm() -> Vec<(&'static str, f64, f64)> {
    vec![
        ("vllm:num_requests_running", 0.0, 1.0),
        ("vllm:num_requests_waiting", 0.0, 0.0),
        ("vllm:kv_cache_usage_perc", 0.1, 0.4),
        ("vllm:num_preemptions_total", 7.0, 7.0),
        ("vllm:prefix_cache_queries_total", 1000.0, 3000.0),
        ("vllm:prefix_cache_hits_total", 100.0, 1100.0),
        ("vllm:time_to_first_token_seconds_count", 100.0, 120.0),
        ("vllm:time_to_first_token_seconds_sum", 50.0, 51.0),
        ("vllm:time_to_first_token_seconds_bucket{le=0.04}", 10.0, 10.0),
        ("vllm:time_to_first_token_seconds_bucket{le=0.06}", 20.0, 38.0),
        ("vllm:time_to_first_token_seconds_bucket{le=1.0}", 100.0, 120.0),
    ]
}

fn conclude(values: &[(&'static str, f64, f64)], answers: &[Answer]) -> Vec<Finding> {
    let at = |pick: fn(&(&'static str, f64, f64)) -> (&'static str, f64)| -> Vec<(&str, f64)> {
        values.iter().map(pick).collect()
    };
    let readings = vec![
        reading(0.5, &at(|v| (v.0, v.1))),
        reading(40.0, &at(|v| (v.0, v.2))),
    ];
    let phase = phase("streams", "x", answers, readings);
    let phases = [&phase];
    told::told(&phases).map_or_else(Vec::new, |told| findings::of(&told, &phases))
}

fn verdicts(findings: &[Finding]) -> BTreeMap<&str, Verdict> {
    findings.iter().map(|f| (f.id.as_str(), f.verdict)).collect()
}

fn with(name: &str, after: f64) -> Vec<(&'static str, f64, f64)> {
    let mut values = calm();
    for value in &mut values {
        if value.0 == name {
            value.2 = after;
        }
    }
    values
}

#[test]
fn a_calm_server_is_not_complained_about() {
    let findings = conclude(&calm(), &answers(52.0));
    assert_eq!(findings.len(), 5);
    assert!(
        findings.iter().all(|f| f.verdict == Verdict::Pass),
        "{:?}",
        verdicts(&findings)
    );
    // Client 52, server (51 - 50) / 20 s = 50: 2 between them.
    let Evidence::Figure(between) = &findings[0].evidence[2] else {
        panic!("{:?}", findings[0]);
    };
    assert!((between.value - 2.0).abs() < 1e-6, "{between:?}");
}

#[test]
fn what_the_buckets_allow_to_say() {
    let readings = |after: bool| -> Vec<(&str, f64)> {
        let values = calm();
        values
            .iter()
            .map(|v| (v.0, if after { v.2 } else { v.1 }))
            .collect()
    };
    let phase = phase(
        "streams",
        "x",
        &answers(52.0),
        vec![reading(0.5, &readings(false)), reading(40.0, &readings(true))],
    );
    let ttft = told::told(&[&phase]).unwrap().ttft.unwrap();
    // None of the 20 up to 40 ms, 18 up to 60 ms, all up to a second.
    assert_eq!(ttft.bounds_ms(0.5), Some((40.0, 60.0)));
    assert_eq!(ttft.bounds_ms(0.9), Some((40.0, 60.0)));
    assert_eq!(ttft.bounds_ms(0.99), Some((60.0, 1000.0)));
}

#[test]
fn every_trouble_has_its_finding() {
    for (name, after, id) in [
        ("vllm:num_requests_waiting", 5.0, "server-queueing"),
        ("vllm:num_preemptions_total", 9.0, "server-preemption"),
        ("vllm:kv_cache_usage_perc", 0.99, "server-kv-cache"),
    ] {
        let findings = conclude(&with(name, after), &answers(52.0));
        for (found, verdict) in verdicts(&findings) {
            let wanted = if found == id { Verdict::Warn } else { Verdict::Pass };
            assert_eq!(verdict, wanted, "{found} when {name}");
        }
    }
    // 150 ms at the client against 50 at the server.
    let findings = conclude(&calm(), &answers(150.0));
    assert_eq!(verdicts(&findings)["server-ttft"], Verdict::Warn);
}

#[test]
fn a_cache_that_finds_less_than_half_of_what_it_could() {
    let shared = |share: u32| -> Vec<Answer> {
        let usage = TokenUsage {
            input: Some(100),
            output: Some(20),
            cached: Some(1),
            reasoning: None,
        };
        answers(52.0)
            .into_iter()
            .map(|a| Answer {
                shared: Some((share, 100)),
                usage,
                ..a
            })
            .collect()
    };
    let cold = with("vllm:prefix_cache_hits_total", 120.0);
    // 20 of 2,000 found, 80 % could have been.
    assert_eq!(
        verdicts(&conclude(&cold, &shared(80)))["server-prefix-cache"],
        Verdict::Warn
    );
    // The same where next to nothing is shared.
    assert_eq!(
        verdicts(&conclude(&cold, &shared(2)))["server-prefix-cache"],
        Verdict::Pass
    );
    // Half of the tokens found.
    assert_eq!(
        verdicts(&conclude(&calm(), &shared(80)))["server-prefix-cache"],
        Verdict::Pass
    );
}

#[test]
fn other_requests_make_the_two_incomparable() {
    let mut values = with("vllm:time_to_first_token_seconds_count", 160.0);
    values.retain(|v| !v.0.contains("_bucket"));
    assert_eq!(
        verdicts(&conclude(&values, &answers(52.0)))["server-ttft"],
        Verdict::Inconclusive
    );
}

#[test]
fn a_server_that_began_anew_or_is_not_known_says_nothing() {
    let fell = with("vllm:num_preemptions_total", 0.0);
    assert!(!verdicts(&conclude(&fell, &answers(52.0))).contains_key("server-preemption"));
    let none: Vec<(&'static str, f64, f64)> = vec![("rss_bytes", 1.0, 2.0)];
    assert!(conclude(&none, &answers(52.0)).is_empty());
}

#[test]
fn every_engine_is_recognised_by_its_own_names() {
    for dialect in DIALECTS {
        let signs: Vec<&str> = [dialect.running, dialect.waiting].concat();
        assert!(!signs.is_empty(), "{}", dialect.engine);
        let values: Vec<(&str, f64)> = signs.iter().map(|name| (*name, 1.0)).collect();
        let phase = phase(
            "streams",
            "x",
            &answers(50.0),
            vec![reading(0.5, &values), reading(2.0, &values)],
        );
        assert_eq!(told::told(&[&phase]).unwrap().engine, dialect.engine);
    }
}

#[test]
fn names_are_asked_for_once() {
    let wanted = server_metrics();
    let mut all = [wanted.sums, wanted.peaks, wanted.histograms].concat();
    assert!(all.contains(&TTFT));
    let n = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), n);
}

#[test]
fn the_acceptance_length_is_that_of_the_counters_or_the_gauge() {
    let of = |values: &[(&'static str, f64, f64)]| -> Vec<f64> {
        let findings = conclude(values, &answers(52.0));
        let finding = findings.iter().find(|f| f.id == "speculative-decoding");
        let figures = finding.into_iter().flat_map(|f| &f.evidence).map(|e| match e {
            Evidence::Figure(f) => f.value,
            other => panic!("{other:?}"),
        });
        figures.collect()
    };
    assert_eq!(of(&calm()), [0.0; 0], "nothing is told of it");
    let mut vllm = calm();
    // 500 steps with four guesses each; 900 of the 2,000 were right.
    vllm.push(("vllm:spec_decode_num_drafts_total", 100.0, 600.0));
    vllm.push(("vllm:spec_decode_num_draft_tokens_total", 400.0, 2400.0));
    vllm.push(("vllm:spec_decode_num_accepted_tokens_total", 50.0, 950.0));
    // Each answer has 20 tokens in 20 events.
    let found = of(&vllm);
    assert!(
        (found[0] - 2.8).abs() < 1e-9 && (found[1] - 0.45).abs() < 1e-9 && (found[2] - 1.0).abs() < 1e-9,
        "{found:?}"
    );
    let sglang = [
        ("sglang:num_running_reqs", 0.0, 1.0),
        ("sglang:num_queue_reqs", 0.0, 0.0),
        ("sglang:spec_accept_length", 0.0, 3.1),
    ];
    assert!((of(&sglang)[0] - 3.1).abs() < 1e-9);
}
