//! Tests and estimators of independent values.

use super::{Golden, all_close, close, number, numbers};
use prony_stats::{
    binomial, bootstrap, equivalence, erlang, kolmogorov, mean, mixture, multiple, order, paired, sequential,
    usl, variance,
};

fn rows(name: &str) -> Vec<Vec<f64>> {
    Golden::procedures().rows(name)
}

#[test]
fn binomial_from_above() {
    for r in rows("binomial_survival") {
        close(binomial::survival(r[0] as u64, r[1] as u64, r[2]), r[3], &r);
    }
    assert!(binomial::survival(8, 7, 0.5) <= 0.0);
}

#[test]
fn sizes_to_plan_with() {
    for r in rows("sequential_needed") {
        assert_eq!(sequential::needed(r[0], r[1] as u64, r[2]), r[3] as u64, "{r:?}");
    }
    for r in rows("needed_for_width") {
        assert_eq!(
            order::needed_for_width(r[0], r[1], 0.1),
            r[2].ceil() as u64,
            "{r:?}"
        );
    }
}

#[test]
fn bca_intervals() {
    for case in Golden::procedures().table("bca") {
        let (x, outcomes) = (numbers(&case["x"]), numbers(&case["outcomes"]));
        let confidence = number(&case["confidence"]);
        close(variance(&x), number(&case["estimate"]), &"estimate");
        let (low, high) =
            bootstrap::bca_levels(variance(&x), &outcomes, &numbers(&case["without"]), confidence)
                .expect("outcomes on both sides");
        all_close(&[low, high], &case["levels"], &("levels", x.len()));
    }
    assert_eq!(bootstrap::bca_levels(9.0, &[1.0, 2.0], &[1.0, 2.0], 0.95), None);
}

#[test]
fn paired_differences() {
    for case in Golden::procedures().table("paired") {
        let d = numbers(&case["d"]);
        let ours = paired::interval(&d, 0.95).expect("enough");
        all_close(
            &[ours.mean, ours.deviation, ours.low, ours.high],
            &case["interval"],
            &("interval", d.len()),
        );
        close(
            paired::sign_flip(&d, 1).expect("some"),
            number(&case["sign_flip"]),
            &("sign flip", d.len()),
        );
        let ours = equivalence::tost(&d, -0.6, 0.5, 0.05).expect("they vary");
        all_close(
            &[ours.mean, ours.low, ours.high, ours.p],
            &case["tost"],
            &("tost", d.len()),
        );
        assert_eq!(ours.equivalent, ours.low >= -0.6 && ours.high <= 0.5);
    }
    for r in rows("power") {
        close(paired::power(r[0], r[1] as usize, r[2]), r[3], &r);
    }
    for r in rows("detectable") {
        let pairs = r[0] as usize;
        let effect = paired::detectable(pairs, 0.05, 0.9).expect("enough pairs");
        close(effect, r[1], &r);
        assert_eq!(
            paired::needed(effect * (1.0 + 1e-9), 0.05, 0.9),
            Some(pairs),
            "{r:?}"
        );
    }
    assert_eq!(paired::interval(&[1.0], 0.95), None);
    assert_eq!(paired::sign_flip(&[], 1), None);
    assert_eq!(paired::detectable(1, 0.05, 0.9), None);
    assert_eq!(paired::detectable(9, 0.05, 1.0), None);
    assert_eq!(paired::needed(1e-6, 0.05, 0.9), None);
    assert_eq!(equivalence::tost(&[1.0, 1.0], -1.0, 2.0, 0.05), None);
}

/// Beyond twenty pairs a random part of the patterns: near the exact share, the same for the same seed.
#[test]
fn many_pairs_are_sampled() {
    let d: Vec<f64> = (0..24).map(|i| f64::from(i * 7 % 11) - 3.6).collect();
    let sampled = paired::sign_flip(&d, 3).expect("some");
    let t = prony_stats::student::paired(&d).expect("they vary");
    assert!((sampled - t.p).abs() < 0.02, "{sampled} against {t:?}");
    assert_eq!(paired::sign_flip(&d, 3), Some(sampled));
}

#[test]
fn many_tests_at_once() {
    for case in Golden::procedures().table("multiple") {
        let p = numbers(&case["p"]);
        all_close(&multiple::holm(&p), &case["holm"], &("holm", &p));
        all_close(
            &multiple::benjamini_hochberg(&p),
            &case["bh"],
            &("benjamini-hochberg", &p),
        );
    }
    assert!(multiple::holm(&[]).is_empty());
}

#[test]
fn scalability_curves() {
    for case in Golden::procedures().table("usl") {
        let (n, x) = (numbers(&case["n"]), numbers(&case["x"]));
        let fit = usl::fit(&n, &x).expect("enough levels");
        all_close(&[fit.gamma, fit.alpha, fit.beta], &case["fit"], &("usl", &n));
    }
    let curve = usl::Usl {
        gamma: 100.0,
        alpha: 0.03,
        beta: 0.0008,
    };
    close(curve.throughput(1.0), 100.0, &"one at a time");
    close(curve.peak().expect("a peak"), (0.97_f64 / 0.0008).sqrt(), &"peak");
    close(curve.roof().expect("a roof"), 100.0 / 0.03, &"roof");
    let straight = usl::Usl {
        alpha: 0.0,
        beta: 0.0,
        ..curve
    };
    assert_eq!((straight.peak(), straight.roof()), (None, None));
    let levels = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
    assert_eq!(usl::fit(&levels[1..], &levels[1..]), None, "without 1");
    assert_eq!(usl::fit(&levels[..5], &levels[..5]), None, "too few levels");
    assert_eq!(usl::fit(&levels, &[0.0; 6]), None, "nothing went through");
    assert_eq!(usl::intervals(&levels, &levels, 0, 0.95, 1), None);
}

#[test]
fn queues() {
    for row in Golden::procedures().table("erlang") {
        let (servers, offered) = (number(&row[0]) as u32, number(&row[1]));
        close(erlang::blocked(servers, offered), number(&row[2]), row);
        let waiting = erlang::waiting(servers, offered);
        assert_eq!(waiting.is_none(), row[3].is_null(), "{row}");
        if let Some(waiting) = waiting {
            close(waiting, number(&row[3]), row);
        }
    }
    for r in rows("erlang_offered") {
        close(erlang::offered_at(r[0] as u32, r[1]), r[2], &r);
    }
    for r in rows("response_tail") {
        let queue = erlang::Queue::new(r[0] as u32, r[1], r[2]).expect("it keeps up");
        close(queue.response_tail(r[3]), r[4], &r);
    }
}

#[test]
fn two_kinds_of_value() {
    for case in Golden::procedures().table("mixtures") {
        let x = numbers(&case["x"]);
        let found = mixture::fit(&x).expect("they vary");
        let name = ("mixture", x.len());
        all_close(&[found.low.weight, found.high.weight], &case["weight"], &name);
        // A mean near zero is known as well as the values are spread, not as well as it is large.
        for (ours, reference) in [found.low.mean, found.high.mean]
            .iter()
            .zip(numbers(&case["mean"]))
        {
            assert!(
                (ours - reference).abs() < 1e-9,
                "{name:?}: {ours} against {reference}"
            );
        }
        all_close(
            &[found.low.deviation, found.high.deviation],
            &case["deviation"],
            &name,
        );
        close(found.log_likelihood, number(&case["ll"]), &name);
        close(found.bic_gain, number(&case["bic_gain"]), &name);
        close(found.ashman_d(), number(&case["d"]), &name);
    }
    assert_eq!(mixture::fit(&[2.0; 50]), None, "constant");
    assert_eq!(mixture::fit(&[1.0, 2.0, 3.0]), None, "too few");
    assert_eq!(mixture::kinds(&[2.0; 50]), Some(mixture::Kinds::One));
    assert_eq!(mixture::kinds(&[2.0; 29]), None);
}

#[test]
fn distances_of_distributions() {
    for r in rows("kolmogorov_limit") {
        close(kolmogorov::limit_survival(r[0]), r[1], &r);
    }
    for case in Golden::procedures().table("kolmogorov") {
        let found = kolmogorov::one_sample(&numbers(&case["x"]), |x| -(-x).exp_m1()).expect("some");
        close(found.distance, number(&case["distance"]), &"one sample");
        close(found.p, number(&case["p"]), &"one sample");
        assert!(
            (found.p - number(&case["exact"])).abs() < 0.01,
            "{found:?} against {case}"
        );
    }
    for case in Golden::procedures().table("kolmogorov_two") {
        let found = kolmogorov::two_sample(&numbers(&case["a"]), &numbers(&case["b"])).expect("some");
        close(found.distance, number(&case["distance"]), &"two samples");
        close(found.p, number(&case["p"]), &"two samples");
        assert!(
            (found.p - number(&case["exact"])).abs() < 0.04,
            "{found:?} against {case}"
        );
    }
    assert!((kolmogorov::limit_survival(0.0) - 1.0).abs() < f64::EPSILON);
    assert_eq!(kolmogorov::one_sample(&[], |x| x), None);
    assert_eq!(kolmogorov::two_sample(&[], &[1.0]), None);
}

/// Resamples are drawn by value: the same seed gives the same interval, and it lies within what the values allow.
#[test]
fn resampling_is_seeded() {
    let values = [1.0, 4.0, 2.0, 8.0, 3.0, 2.5];
    for seed in 0..20 {
        let plain = bootstrap::bca(&values, mean, 300, 0.95, seed).expect("enough");
        assert_eq!(bootstrap::bca(&values, mean, 300, 0.95, seed), Some(plain));
        assert!(1.0 <= plain.0 && plain.0 < plain.1 && plain.1 <= 8.0);
        let blocks = bootstrap::of_blocks(&values, mean, 2, 300, 0.95, seed).expect("enough");
        assert_eq!(
            bootstrap::of_blocks(&values, mean, 2, 300, 0.95, seed),
            Some(blocks)
        );
        assert!(1.0 <= blocks.0 && blocks.0 < blocks.1 && blocks.1 <= 8.0);
    }
    assert_eq!(bootstrap::bca(&values[..2], mean, 300, 0.95, 1), None);
    assert_eq!(bootstrap::bca(&[3.0; 5], mean, 300, 0.95, 1), Some((3.0, 3.0)));
    assert_eq!(
        bootstrap::of_blocks(&values, mean, 4, 300, 0.95, 1),
        None,
        "two blocks do not fit"
    );
}
