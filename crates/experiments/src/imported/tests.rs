//! Each rule on numbers on which it must fire, on numbers on which it must not, and on numbers changed in between.

use prony_model::Verdict;
use prony_model::Verdict::{Fail, Inconclusive, Pass, Warn};

use super::{Claim, Judged, Measure, Over, RULES, Statistic, judge_claims};

fn claim(measure: Measure) -> Claim {
    Claim {
        id: "c".into(),
        measure,
        ..Claim::default()
    }
}

fn judged(claim: Claim) -> Judged {
    judge_claims(&[claim]).remove(0)
}

/// The verdict of one rule on a claim; PASS also when it has nothing to say.
fn by(rule: &str, claim: Claim) -> (Verdict, String) {
    let found = judged(claim).findings.into_iter().find(|f| f.id == rule);
    found.map_or((Pass, String::new()), |f| (f.verdict, f.title))
}

#[track_caller]
fn says(rule: &str, claim: Claim, verdict: Verdict, parts: &[&str]) {
    let (found, text) = by(rule, claim);
    assert_eq!(found, verdict, "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

fn burst(n: u64, at_once: f64, wall: f64, latency: f64) -> Claim {
    Claim {
        value: Some(latency),
        n: Some(n),
        concurrency: Some(at_once),
        duration_s: Some(wall),
        ..claim(Measure::Latency)
    }
}

#[test]
fn wall_over_n_is_no_latency() {
    let rule = "littles-law";
    says(
        rule,
        burst(40, 40.0, 0.4, 0.01),
        Fail,
        &["Wall time over n", "400 ms / 40 = 10 ms", "100/s"],
    );
    says(rule, burst(40, 40.0, 0.4, 0.011), Fail, &["Wall time over n"]);
    // What it would be if all were in flight together.
    says(rule, burst(40, 40.0, 0.4, 0.39), Pass, &["39"]);
    // One at a time, total over n is the mean.
    assert_eq!(by(rule, burst(40, 1.0, 0.4, 0.01)).0, Pass);
    // Users who pause in between: no contradiction, but not so many at once either.
    says(
        rule,
        burst(400, 50.0, 100.0, 0.5),
        Inconclusive,
        &["= 2", "nothing of 50 at once"],
    );
    // One burst that ends one by one.
    says(rule, burst(10, 10.0, 1.0, 0.55), Pass, &["5.5"]);
    // A third of it would need time to go backwards.
    says(
        rule,
        burst(40, 1.0, 0.4, 0.02),
        Fail,
        &["one after another", "800 ms"],
    );
}

#[test]
fn what_was_in_flight_is_throughput_times_time() {
    let rule = "littles-law";
    let capacity = |ok, value| Claim {
        value: Some(value),
        n: Some(500),
        ok: Some(ok),
        duration_s: Some(20.0),
        latency_s: Some(2.0),
        ..claim(Measure::Concurrency)
    };
    says(rule, capacity(40, 50.0), Fail, &["2/s x 2 s = 4", "not 50"]);
    says(rule, capacity(480, 50.0), Pass, &["48"]);
    says(rule, capacity(250, 50.0), Warn, &["25"]);
    says(rule, capacity(490, 10.0), Fail, &["Impossible"]);
    assert_eq!(
        judged(Claim {
            duration_s: None,
            ..capacity(40, 50.0)
        })
        .verdict,
        Inconclusive
    );
    // The rate may be given instead of the counts.
    let given = Claim {
        value: Some(30.0),
        throughput_per_s: Some(2.0),
        latency_s: Some(1.5),
        ..claim(Measure::Concurrency)
    };
    says(rule, given, Fail, &["2/s x 1.5 s = 3", "not 30"]);
}

#[test]
fn throughput_is_counted() {
    let rule = "throughput";
    let rate = |value, ok| Claim {
        value: Some(value),
        n: Some(1000),
        ok: Some(ok),
        duration_s: Some(50.0),
        concurrency: Some(40.0),
        latency_s: Some(2.0),
        ..claim(Measure::Throughput)
    };
    says(
        rule,
        rate(20.0, 100),
        Fail,
        &["2/s, not 20/s", "40 / 2 s", "that many at once"],
    );
    says(rule, rate(20.0, 1000), Pass, &["20/s"]);
    says(rule, rate(10.0, 1000), Warn, &["more than"]);
    says(rule, rate(2.0, 100), Inconclusive, &["known only to"]);
    let attempts = Claim {
        latency_s: None,
        ..rate(20.0, 400)
    };
    says(rule, attempts, Fail, &["counts all 1000 requests"]);
    let impossible = Claim {
        ok: None,
        n: None,
        ..rate(30.0, 0)
    };
    says(rule, impossible, Fail, &["Impossible", "20/s"]);
    let bare = Claim {
        value: Some(30.0),
        ..claim(Measure::Throughput)
    };
    says(rule, bare, Inconclusive, &["No count"]);
}

#[test]
fn shares_carry_their_interval() {
    let rule = "success-share";
    let of = |ok, n| Claim {
        ok: Some(ok),
        n: Some(n),
        ..claim(Measure::Success)
    };
    says(rule, of(17, 20), Inconclusive, &["62.1 % to 96.8 %"]);
    says(rule, of(20, 20), Inconclusive, &["up to 13.9 %", "299"]);
    says(rule, of(299, 299), Pass, &["up to 1 %"]);
    says(rule, of(1900, 2000), Pass, &["94 %", "95.9 %"]);
    let limit = |ok, n, limit| Claim {
        limit: Some(limit),
        ..of(ok, n)
    };
    says(rule, limit(100, 100, 0.95), Pass, &["at least 95 %"]);
    says(rule, limit(45, 50, 0.95), Inconclusive, &["either side"]);
    says(rule, limit(40, 50, 0.95), Fail, &["less than 95 %"]);
    let bare = Claim {
        value: Some(1.0),
        ..claim(Measure::Success)
    };
    says(rule, bare, Inconclusive, &["100 % of how many"]);
}

#[test]
fn a_difference_is_held_against_chance() {
    let rule = "chance";
    let two = |a: (u64, u64), b: (u64, u64)| Claim {
        ok: Some(a.0),
        n: Some(a.1),
        baseline_ok: Some(b.0),
        baseline_n: Some(b.1),
        ..claim(Measure::Comparison)
    };
    // R: fisher.test(matrix(c(19, 1, 16, 4), 2))$p.value = 0.3416.
    says(
        rule,
        two((19, 20), (16, 20)),
        Inconclusive,
        &["p = 0.342", "each to show"],
    );
    says(rule, two((190, 200), (160, 200)), Pass, &["more than chance"]);
    says(rule, two((160, 200), (190, 200)), Fail, &["worse"]);
    says(rule, two((20, 20), (20, 20)), Inconclusive, &["p = 1)"]);
    // Counts far beyond the exact test are quick, and no less clear.
    says(
        rule,
        two((9_000_000_000, 10_000_000_000), (8_000_000_000, 10_000_000_000)),
        Pass,
        &[],
    );

    let first = Claim {
        id: "one".into(),
        ..two((19, 20), (1, 1))
    };
    let first = Claim {
        baseline_n: None,
        baseline_ok: None,
        ..first
    };
    let second = Claim {
        against: Some("one".into()),
        ok: Some(12),
        n: Some(20),
        ..claim(Measure::Success)
    };
    let all = judge_claims(&[first, second]);
    assert!(
        all[1]
            .findings
            .iter()
            .any(|f| f.id == "chance" && f.verdict == Fail),
        "{all:?}"
    );

    let runs = |runs| Claim {
        runs: Some(runs),
        tolerance: Some(0.3),
        ..claim(Measure::Comparison)
    };
    says(rule, runs(1), Inconclusive, &["One run", "blind below 30 %"]);
    says(rule, runs(5), Inconclusive, &["0.0625"]);
    assert_eq!(by(rule, runs(6)).1, "");
}

#[test]
fn a_cause_needs_a_run_without_it() {
    let rule = "untested-cause";
    let seen = Claim {
        ok: Some(36),
        n: Some(40),
        alternatives: vec!["the quota".into()],
        ..claim(Measure::Cause)
    };
    says(
        rule,
        seen.clone(),
        Inconclusive,
        &["4 of 40 requests failed", "one condition", "the quota"],
    );
    let control = |ok| Claim {
        baseline_ok: Some(ok),
        baseline_n: Some(400),
        ok: Some(300),
        n: Some(400),
        ..seen.clone()
    };
    says(rule, control(398), Pass, &["100 of 400 and 2 of 400"]);
    says(rule, control(302), Inconclusive, &["chance alone"]);
    says(rule, control(200), Fail, &["fewer failed with it"]);
}

#[test]
fn percentiles_need_values() {
    let rule = "too-few-values";
    let at = |statistic, n| Claim {
        statistic,
        n: Some(n),
        value: Some(0.1),
        ..claim(Measure::Latency)
    };
    let p99 = Statistic::Quantile(0.99);
    says(rule, at(p99, 50), Inconclusive, &["50 values", "299", "368"]);
    says(rule, at(p99, 320), Inconclusive, &["no interval"]);
    says(rule, at(p99, 500), Warn, &["5 beyond", "1000"]);
    says(rule, at(p99, 1000), Pass, &[]);
    says(
        rule,
        at(Statistic::Quantile(0.95), 58),
        Inconclusive,
        &["59", "72"],
    );
    says(rule, at(Statistic::Max, 10), Inconclusive, &["25.9 %"]);
    says(rule, at(Statistic::Max, 400), Pass, &[]);
    says(rule, at(Statistic::Mean, 10), Inconclusive, &["spread"]);
    says(rule, at(Statistic::Mean, 100), Pass, &[]);
    says(rule, at(Statistic::Single, 1), Inconclusive, &["One value"]);
    says(
        rule,
        Claim {
            limit: Some(0.05),
            ..at(p99, 5000)
        },
        Fail,
        &["over its own limit"],
    );
    says(
        rule,
        Claim {
            n: None,
            ..at(p99, 0)
        },
        Inconclusive,
        &["Nothing says how many"],
    );
    let good = Claim {
        over: Over::Ok,
        ok: Some(20),
        ..at(p99, 5000)
    };
    says(rule, good, Inconclusive, &["20 good answers"]);
}

#[test]
fn outcomes_are_not_mixed() {
    let rule = "mixed-outcomes";
    let mixed = |p, ok, timeouts| Claim {
        statistic: Statistic::Quantile(p),
        n: Some(1000),
        ok: Some(ok),
        timeouts: Some(timeouts),
        value: Some(0.01),
        ..claim(Measure::Latency)
    };
    says(rule, mixed(0.5, 100, 0), Fail, &["90 %", "time of a failure"]);
    says(
        rule,
        mixed(0.99, 900, 50),
        Fail,
        &["50 of 1000", "did not finish"],
    );
    says(rule, mixed(0.9, 900, 50), Inconclusive, &["stands for neither"]);
    says(rule, mixed(0.5, 990, 0), Warn, &[]);
    assert_eq!(by(rule, mixed(0.5, 1000, 0)).1, "");
    assert_eq!(
        by(
            rule,
            Claim {
                over: Over::Ok,
                ..mixed(0.5, 100, 0)
            }
        )
        .1,
        ""
    );
    let mean = Claim {
        statistic: Statistic::Mean,
        ..mixed(0.5, 700, 0)
    };
    says(rule, mean, Inconclusive, &["300 of 1000"]);
}

#[test]
fn coarse_stamps_prove_nothing() {
    let rule = "overlap";
    let stamped = |n, step| Claim {
        n: Some(n),
        resolution_s: Some(step),
        ..claim(Measure::Overlap)
    };
    says(
        rule,
        stamped(40, 1.0),
        Inconclusive,
        &["Time stamps of 1 s prove nothing", "40 requests", "25 ms"],
    );
    let known = |alone| Claim {
        service_s: Some(alone),
        ..stamped(40, 1.0)
    };
    says(rule, known(0.02), Inconclusive, &["800 ms", "fit into"]);
    says(rule, known(0.2), Pass, &["at least 8 were in flight"]);
    let timed = Claim {
        duration_s: Some(2.0),
        latency_s: Some(1.9),
        n: Some(20),
        ..claim(Measure::Overlap)
    };
    says(rule, timed, Warn, &["19", "served together"]);
}

#[test]
fn a_speed_up_needs_the_serial_time() {
    let rule = "speed-up";
    let times = |value, serial, runs| Claim {
        value: Some(value),
        n: Some(20),
        serial_s: serial,
        duration_s: Some(2.0),
        runs: Some(runs),
        ..claim(Measure::SpeedUp)
    };
    says(
        rule,
        times(20.0, None, 1),
        Inconclusive,
        &["never measured", "assumption"],
    );
    says(rule, times(10.5, None, 1), Inconclusive, &["(n + 1) / 2 = 10.5"]);
    says(rule, times(4.0, None, 1), Inconclusive, &["never measured"]);
    says(rule, times(8.0, Some(16.0), 6), Pass, &["16 s / 2 s = 8 times"]);
    says(rule, times(8.0, Some(16.0), 1), Inconclusive, &["too few runs"]);
    says(rule, times(20.0, Some(16.0), 6), Fail, &["8 times, not 20"]);
}

#[test]
fn two_readings_are_no_leak_test() {
    let rule = "memory-growth";
    let grown = |after, n, readings| Claim {
        before_mib: Some(1000.0),
        after_mib: Some(after),
        n: Some(n),
        readings: Some(readings),
        ..claim(Measure::Memory)
    };
    says(
        rule,
        grown(1100.0, 500, 2),
        Inconclusive,
        &[
            "0.2 MiB per request",
            "20 % of the memory per 1,000",
            "2 readings",
        ],
    );
    says(rule, grown(1000.5, 20_000, 300), Pass, &["300 readings"]);
    says(rule, grown(1400.0, 20_000, 300), Inconclusive, &[]);
    let tolerant = Claim {
        tolerance: Some(50.0),
        n: Some(10),
        ..claim(Measure::Memory)
    };
    says(rule, tolerant, Inconclusive, &["blind below 5 MiB per request"]);
    let uncounted = Claim {
        value: Some(71.0),
        ..claim(Measure::Memory)
    };
    says(rule, uncounted, Inconclusive, &["over how many"]);
}

#[test]
fn the_way_is_not_the_work() {
    let rule = "no-work-floor";
    let at = |endpoint: &str, value| Claim {
        id: endpoint.into(),
        endpoint: endpoint.into(),
        value: Some(value),
        n: Some(500),
        ..claim(Measure::Latency)
    };
    let pair = |floor, work| judge_claims(&[at("GET /healthz", floor), at("POST /infer", work)]);
    let found = |judged: &[Judged]| judged[1].findings.iter().find(|f| f.id == rule).cloned();
    let near = found(&pair(0.040, 0.042)).unwrap();
    assert_eq!(near.verdict, Inconclusive);
    assert!(
        near.title.contains("GET /healthz takes 40 ms") && near.title.contains("95.2 %"),
        "{}",
        near.title
    );
    assert_eq!(found(&pair(0.010, 0.042)).unwrap().verdict, Warn);
    assert_eq!(found(&pair(0.001, 0.042)), None);
    let apart = Claim {
        concurrency: Some(100.0),
        ..at("GET /healthz", 0.040)
    };
    assert_eq!(found(&judge_claims(&[apart, at("POST /infer", 0.042)])), None);
    says(
        rule,
        Claim {
            no_op_s: Some(0.04),
            ..at("POST /infer", 0.042)
        },
        Inconclusive,
        &["a request over the same path"],
    );
}

#[test]
fn waiting_is_not_work() {
    let rule = "waiting-in-service-time";
    let time = |value, service_s| Claim {
        value: Some(value),
        service_s,
        concurrency: Some(8.0),
        n: Some(2000),
        ..claim(Measure::ServiceTime)
    };
    says(
        rule,
        time(10.0, Some(2.0)),
        Fail,
        &["the work itself takes 2 s", "8 s (80 %)"],
    );
    says(rule, time(2.1, Some(2.0)), Pass, &[]);
    says(rule, time(1.0, Some(2.0)), Fail, &["longer"]);
    says(rule, time(10.0, None), Inconclusive, &["1.25 s up"]);
}

#[test]
fn what_does_not_add_up_fails() {
    let rule = "arithmetic";
    let counts = |n, ok, failed| Claim {
        n: Some(n),
        ok: Some(ok),
        failed: Some(failed),
        ..claim(Measure::Success)
    };
    says(rule, counts(100, 90, 5), Fail, &["95, not 100"]);
    assert_eq!(by(rule, counts(100, 90, 10)).1, "");
    let rate = |per_s| Claim {
        throughput_per_s: Some(per_s),
        duration_s: Some(10.0),
        ..counts(100, 90, 10)
    };
    says(rule, rate(20.0), Fail, &["20/s", "make 10/s"]);
    assert_eq!(by(rule, rate(9.0)).1, "");
    assert_eq!(
        by(
            rule,
            Claim {
                timeouts: Some(5),
                ..counts(100, 90, 5)
            }
        )
        .1,
        ""
    );
    says(rule, counts(10, 90, 0), Fail, &["90 ok cannot"]);
    says(
        rule,
        Claim {
            value: Some(0.95),
            ..counts(100, 90, 10)
        },
        Fail,
        &["95 %", "90 %"],
    );
    says(
        rule,
        Claim {
            value: Some(1.0),
            ..counts(1000, 999, 1)
        },
        Fail,
        &[],
    );
    let memory = Claim {
        value: Some(10.0),
        before_mib: Some(100.0),
        after_mib: Some(150.0),
        ..claim(Measure::Memory)
    };
    says(rule, memory, Fail, &["50 MiB"]);
    let of = |id: &str, statistic, value| Claim {
        id: id.into(),
        test: "t".into(),
        statistic,
        value: Some(value),
        n: Some(5000),
        ..claim(Measure::Latency)
    };
    let wrong = judge_claims(&[
        of("a", Statistic::Quantile(0.95), 0.3),
        of("b", Statistic::Max, 0.2),
    ]);
    assert_eq!((wrong[0].verdict, wrong[1].verdict), (Fail, Pass));
    let right = judge_claims(&[
        of("a", Statistic::Quantile(0.5), 0.1),
        of("b", Statistic::Mean, 0.2),
        of("c", Statistic::Quantile(0.95), 0.3),
    ]);
    assert!(right.iter().all(|j| j.verdict == Pass), "{right:?}");
    // A mean above a p95 is odd, not impossible.
    let skewed = judge_claims(&[
        of("b", Statistic::Mean, 0.4),
        of("c", Statistic::Quantile(0.95), 0.3),
    ]);
    assert!(skewed.iter().all(|j| j.verdict == Pass), "{skewed:?}");
}

#[test]
fn what_nothing_stands_behind_is_not_decided() {
    assert_eq!(judged(claim(Measure::Opinion)).findings[0].id, "nothing-to-check");
    let short = Claim {
        n: Some(100),
        duration_s: Some(3.0),
        ..claim(Measure::Stability)
    };
    says("too-short", short, Inconclusive, &["100 requests in 3 s"]);
    let long = Claim {
        n: Some(1_000_000),
        duration_s: Some(7200.0),
        ..claim(Measure::Stability)
    };
    says("too-short", long, Pass, &[]);
    for def in super::MEASURES {
        let judged = judged(claim(def.measure));
        assert_eq!(judged.verdict, Inconclusive, "{}", def.name);
        assert_eq!(judged.findings.len(), 1, "{judged:?}");
    }
}

#[test]
fn names_of_rules_are_their_own() {
    let mut names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RULES.len());
    assert!(RULES.iter().all(|rule| rule.asks.ends_with('?')));
}

#[test]
fn numbers_out_of_this_world_are_survived() {
    for measure in super::MEASURES.iter().map(|def| def.measure) {
        for value in [0.0, -1.0, 1e308, 1e-308] {
            for n in [0, 1, u64::MAX] {
                let wild = Claim {
                    statistic: Statistic::Quantile(0.5),
                    value: Some(value),
                    limit: Some(value),
                    n: Some(n),
                    ok: Some(n),
                    failed: Some(n),
                    timeouts: Some(n),
                    concurrency: Some(value),
                    duration_s: Some(value),
                    throughput_per_s: Some(value),
                    latency_s: Some(value),
                    service_s: Some(value),
                    no_op_s: Some(value),
                    serial_s: Some(value),
                    resolution_s: Some(value),
                    baseline: Some(value),
                    baseline_n: Some(n),
                    baseline_ok: Some(n),
                    before_mib: Some(value),
                    after_mib: Some(value),
                    tolerance: Some(value),
                    readings: Some(n),
                    runs: Some(n),
                    endpoint: "/health".into(),
                    ..claim(measure)
                };
                let other = Claim {
                    id: "d".into(),
                    against: Some("c".into()),
                    endpoint: String::new(),
                    ..wild.clone()
                };
                for judged in judge_claims(&[wild, other]) {
                    assert!(!judged.findings.is_empty());
                }
            }
        }
    }
}
