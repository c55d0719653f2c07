//! Section 2 of the method: looking more than once at a system exactly at its limit.

use super::{Source, share};
use prony_stats::order;
use prony_stats::sequential::{self, Decision, Looks};

/// The quantile that the objective names.
const P: f64 = 0.99;
/// The end of the budget.
const VALUES_MAX: u64 = 40_000;

/// Places of the values over the limit, each over with probability `over`.
fn places(source: &mut Source, over: f64) -> Vec<u64> {
    let mut places = Vec::new();
    let mut place = 0.0;
    loop {
        place += (source.uniform().ln() / (1.0 - over).ln()).ceil();
        if place > VALUES_MAX as f64 {
            return places;
        }
        places.push(place as u64);
    }
}

/// First decision of the looks, and after how many values.
fn decide(looks: &Looks, places: &[u64]) -> (Decision, u64) {
    for k in 1.. {
        let n = looks.size(k);
        if n > VALUES_MAX {
            break;
        }
        let over = places.partition_point(|&place| place <= n) as u64;
        let decision = looks.decide(k, over, n, n as f64, P);
        if decision != Decision::Undecided {
            return (decision, n);
        }
    }
    (Decision::Undecided, VALUES_MAX)
}

#[test]
fn looks_at_doublings_keep_their_word() {
    for alpha in [0.01, 0.05] {
        let looks = Looks::of_quantile(P, alpha);
        let mut failed = 0_u32;
        let passed = share(5_000, |source| {
            let (decision, _) = decide(&looks, &places(source, 1.0 - P));
            failed += u32::from(decision == Decision::Fail);
            decision == Decision::Pass
        });
        let failed = f64::from(failed) / 5_000.0;
        println!("exactly at the limit, alpha {alpha}: {passed} pass, {failed} fail");
        assert!(passed <= 1.5 * alpha, "false pass {passed} at {alpha}");
        assert!(failed <= 1.5 * alpha, "false fail {failed} at {alpha}");
    }
}

#[test]
fn looking_all_the_time_does_not() {
    for (alpha, every, least) in [(0.01, 100, 0.05), (0.05, 100, 0.2)] {
        // Most values over the limit with which each size passes.
        let allowed: Vec<Option<u64>> = (1..=VALUES_MAX / every)
            .scan(0, |over, look| {
                while sequential::passes(*over, look * every, P, alpha) {
                    *over += 1;
                }
                Some(over.checked_sub(1))
            })
            .collect();
        let passed = share(1_000, |source| {
            let places = places(source, 1.0 - P);
            allowed.iter().zip(1..).any(|(allowed, look)| {
                let over = places.partition_point(|&place| place <= look * every) as u64;
                allowed.is_some_and(|allowed| over <= allowed)
            })
        });
        println!("exactly at the limit, looking every {every} at {alpha}: {passed} pass");
        assert!(
            passed >= least,
            "only {passed} at {alpha}, so the doublings show nothing"
        );
    }
}

#[test]
fn a_good_and_a_bad_system_are_told_soon() {
    for alpha in [0.01, 0.05] {
        let looks = Looks::of_quantile(P, alpha);
        for (times, expected) in [(0.5, Decision::Pass), (2.0, Decision::Fail)] {
            let mut sizes = Vec::new();
            let right = share(500, |source| {
                let (decision, n) = decide(&looks, &places(source, times * (1.0 - P)));
                sizes.push(n);
                decision == expected
            });
            sizes.sort_unstable();
            println!(
                "{times} times the limit, alpha {alpha}: {expected:?} {right}, median size {}",
                sizes[250]
            );
            assert!(right >= 0.98, "{times} times the limit: {right}");
            assert!(sizes[250] <= 8_000, "{times} times the limit: {}", sizes[250]);
        }
    }
}

/// Response times of a queue hang together: the values are worth fewer, and the promise must still hold.
#[test]
fn dependent_values_count_for_less() {
    let (p, load, alpha) = (0.95, 0.8, 0.05);
    let limit = -f64::ln(1.0 - p) / (1.0 - load);
    let looks = Looks::of_quantile(p, alpha);
    let (mut corrected, mut plain) = (0, 0);
    for seed in 0..150 {
        let values = Source::new(seed).single_server(load, looks.size(7) as usize);
        let first_decision = |worth: &dyn Fn(&[f64]) -> f64| {
            (1..=7)
                .map(|k| {
                    let seen = &values[..looks.size(k) as usize];
                    let over = seen.iter().filter(|&&value| value > limit).count() as u64;
                    looks.decide(k, over, seen.len() as u64, worth(seen), p)
                })
                .find(|&decision| decision != Decision::Undecided)
        };
        corrected += u32::from(
            first_decision(&|seen| order::estimate(seen, p, 0.95).expect("values").n_eff)
                == Some(Decision::Pass),
        );
        plain += u32::from(first_decision(&|seen| seen.len() as f64) == Some(Decision::Pass));
    }
    println!("M/M/1 exactly at its limit: {corrected} of 150 pass, {plain} without the correction");
    assert!(f64::from(corrected) <= 1.5 * alpha * 150.0, "{corrected}");
    assert!(
        plain >= 50,
        "{plain}: the correction is not needed here, so this shows nothing"
    );
}

#[test]
fn looks_add_up_to_their_promise() {
    let looks = Looks::of_quantile(0.99, 0.01);
    assert_eq!((looks.size(1), looks.size(3)), (918, 3_672));
    assert_eq!(looks.size(70), u64::MAX);
    let spent: f64 = (1..=60).map(|k| looks.alpha_at(k)).sum();
    assert!(spent <= 0.01 && spent > 0.0098, "{spent}");
    assert_eq!(looks.decide(1, 0, 0, 0.0, 0.99), Decision::Undecided);
}
