//! Section 6 of the method: one kind of request or two, on logarithms of latencies.

use super::{Source, share};
use prony_stats::mixture::{Kinds, kinds};

fn judged(values: &[f64]) -> Kinds {
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    kinds(&logs).expect("enough")
}

/// One kind each, and the name of its distribution.
fn one_kind(source: &mut Source, name: &str, n: usize) -> Vec<f64> {
    if name == "queue" {
        return source.single_server(0.8, n);
    }
    (0..n)
        .map(|_| match name {
            "log-normal" => (0.5 * source.normal()).exp(),
            "gamma" => source.exponential() + source.exponential() + source.exponential(),
            "exponential" => source.exponential(),
            "shifted exponential" => 1.0 + source.exponential(),
            "heavy tail" => source.uniform().powf(-1.0 / 2.5),
            _ => 1.0 + source.uniform(),
        })
        .collect()
}

const NAMES: [&str; 7] = [
    "log-normal",
    "gamma",
    "exponential",
    "shifted exponential",
    "queue",
    "heavy tail",
    "uniform",
];

#[track_caller]
fn seldom_two(n: usize, runs: u64, limit: f64) {
    for name in NAMES {
        let wrong = share(runs, |source| judged(&one_kind(source, name, n)) != Kinds::One);
        println!("{name}, {n} values: two kinds in {wrong}");
        assert!(wrong <= limit, "{name}, {n} values: {wrong}");
    }
}

#[test]
fn one_kind_of_thirty() {
    seldom_two(30, 400, 0.1);
}

#[test]
fn one_kind_of_a_hundred() {
    seldom_two(100, 100, 0.08);
}

/// The logarithm of a gamma has a long tail of fast values, in which a second kind is seen now and then.
#[test]
fn one_kind_of_four_hundred() {
    seldom_two(400, 30, 0.12);
}

/// Log-normal latencies of log-sd 0.25 of which a share is slower by a factor.
fn two_kinds(source: &mut Source, n: usize, cold: f64, factor: f64) -> Vec<f64> {
    (0..n)
        .map(|_| {
            let slower = if source.uniform() < cold { factor } else { 1.0 };
            slower * (0.25 * source.normal()).exp()
        })
        .collect()
}

#[test]
fn cold_ones_are_seen() {
    for (n, cold, factor, least) in [
        (30, 0.2, 3.0, 0.2),
        (30, 0.2, 5.0, 0.8),
        (100, 0.2, 3.0, 0.9),
        (100, 0.2, 5.0, 0.97),
        (400, 0.2, 2.0, 0.2),
        (400, 0.2, 3.0, 0.95),
        (100, 0.05, 3.0, 0.4),
        (100, 0.05, 5.0, 0.7),
        (400, 0.05, 3.0, 0.82),
        (400, 0.05, 5.0, 0.95),
    ] {
        let expected = if n < 100 { Kinds::SuspectedTwo } else { Kinds::Two };
        let seen = share(60, |source| {
            judged(&two_kinds(source, n, cold, factor)) == expected
        });
        println!("{n} values, {cold} of them {factor} times slower: seen {seen}");
        assert!(
            seen >= least,
            "{n} values, {cold} of them {factor} times slower: {seen}"
        );
    }
}

#[test]
fn the_share_of_cold_ones_is_right() {
    let mut errors: Vec<f64> = (0..100)
        .map(|seed| {
            let mut source = Source::new(seed);
            let mut slow = 0;
            let logs: Vec<f64> = (0..400)
                .map(|_| {
                    let cold = source.uniform() < 0.2;
                    slow += u32::from(cold);
                    0.25 * source.normal() + if cold { 3.0_f64.ln() } else { 0.0 }
                })
                .collect();
            let found = prony_stats::mixture::fit(&logs).expect("they vary");
            assert!(found.is_high(2.0) && !found.is_high(-1.0));
            (found.high.weight - f64::from(slow) / 400.0).abs()
        })
        .collect();
    let middle = prony_stats::median(&mut errors);
    println!("error of the share of slow ones: median {middle}");
    assert!(middle <= 0.015, "{middle}");
}
