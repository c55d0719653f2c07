//! Sections 7 and 9 of the method: pairs of runs, equivalence, many tests.

use super::{Source, share};
use prony_stats::{equivalence, median, multiple, paired, student};

/// Log ratios of the medians of runs B over A in ABBA order: 500 requests each, log-sd 0.5, a drift of 0.4 % per run, a
/// random effect of each run of `between`, B slower by `effect` (logarithm).
fn abba(source: &mut Source, pairs: usize, between: f64, effect: f64) -> Vec<f64> {
    let mut run = |position: usize, slower: f64| {
        let level = 0.004 * position as f64 + between * source.normal() + slower;
        let mut requests: Vec<f64> = (0..500).map(|_| level + 0.5 * source.normal()).collect();
        median(&mut requests)
    };
    (0..pairs)
        .map(|pair| {
            let (a, b) = if pair % 2 == 0 {
                (2 * pair, 2 * pair + 1)
            } else {
                (2 * pair + 1, 2 * pair)
            };
            let base = run(a, 0.0);
            run(b, effect) - base
        })
        .collect()
}

/// The fail rule: the one-sided 95 % lower bound is above the margin of 5 %.
fn fails(differences: &[f64]) -> bool {
    paired::interval(differences, 0.90).expect("enough").low > 1.05_f64.ln()
}

#[test]
fn equal_builds_and_a_slower_one() {
    for between in [0.02, 0.05] {
        let mut failed = 0;
        let alarms = share(200, |source| {
            let differences = abba(source, 10, between, 0.0);
            failed += u32::from(fails(&differences));
            student::paired(&differences).expect("they vary").p < 0.05
        });
        let found = share(200, |source| {
            student::paired(&abba(source, 10, between, 1.1_f64.ln()))
                .expect("they vary")
                .p
                < 0.05
        });
        println!(
            "run-to-run {between}: equal builds alarm {alarms}, fail {failed} of 200; +10 % found {found}"
        );
        assert!(alarms <= 0.07, "{alarms}");
        assert!(failed <= 4, "{failed}");
        assert!(found >= 0.9, "{found}");
    }
}

/// The smallest visible difference that is printed is the one found nine times in ten.
#[test]
fn the_smallest_visible_difference_is_visible() {
    for pairs in [5, 10, 20] {
        let effect = paired::detectable(pairs, 0.05, 0.9).expect("enough");
        let found = share(4_000, |source| {
            let differences: Vec<f64> = (0..pairs).map(|_| effect + source.normal()).collect();
            student::paired(&differences).expect("they vary").p < 0.05
        });
        println!("{pairs} pairs, {effect:.3} sd: found {found}");
        assert!((0.88..=0.92).contains(&found), "{pairs} pairs: {found}");
    }
}

#[test]
fn flipping_signs_keeps_its_level() {
    for pairs in [5, 6, 10] {
        let alarms = share(1_000, |source| {
            // Skew on purpose in size, symmetric in sign: the test assumes no more.
            let differences: Vec<f64> = (0..pairs)
                .map(|_| source.exponential() * if source.uniform() < 0.5 { -1.0 } else { 1.0 })
                .collect();
            paired::sign_flip(&differences, 1).expect("some") <= 0.05
        });
        println!("{pairs} pairs: sign flip alarms {alarms}");
        assert!(alarms <= 0.065, "{pairs} pairs: {alarms}");
        assert!(pairs > 5 || alarms <= 0.0, "five pairs cannot reach 5 %");
    }
}

#[test]
fn equivalence_is_shown_when_true_and_not_when_false() {
    let margin = 1.1_f64.ln();
    let pairs = |source: &mut Source, shift: f64| -> Vec<f64> {
        (0..30).map(|_| shift + 0.1 * source.normal()).collect()
    };
    let is_shown = |differences: &[f64]| {
        equivalence::tost(differences, -margin, margin, 0.05)
            .expect("they vary")
            .equivalent
    };
    let shown = share(500, |source| is_shown(&pairs(source, 0.0)));
    let wrongly = share(1_000, |source| is_shown(&pairs(source, margin)));
    println!("equivalence, 30 pairs, sd 0.1: shown {shown}, at the margin {wrongly}");
    assert!(shown >= 0.9, "{shown}");
    assert!(wrongly <= 0.065, "{wrongly}");
    for (deviation, needed) in [(0.1, 12), (0.2, 48), (0.3, 108)] {
        assert_eq!(
            equivalence::needed(deviation, margin, 0.05, 0.9),
            needed,
            "sd {deviation}"
        );
    }
}

#[test]
fn a_family_of_tests() {
    let p_values = |source: &mut Source, slower: usize| -> Vec<f64> {
        (0..36)
            .map(|i| {
                let shift = if i < slower { 1.8 } else { 0.0 };
                let differences: Vec<f64> = (0..10).map(|_| shift + source.normal()).collect();
                student::paired(&differences).expect("they vary").p
            })
            .collect()
    };
    let mut uncorrected = 0;
    let any = share(1_000, |source| {
        let p = p_values(source, 0);
        uncorrected += u32::from(p.iter().any(|&p| p < 0.05));
        multiple::holm(&p).iter().any(|&p| p <= 0.05)
    });
    let (mut found, mut wrong) = (0, 0.0);
    for seed in 0..500 {
        let adjusted = multiple::benjamini_hochberg(&p_values(&mut Source::new(seed), 9));
        let right = adjusted[..9].iter().filter(|&&p| p <= 0.05).count();
        let false_ones = adjusted[9..].iter().filter(|&&p| p <= 0.05).count();
        found += right;
        wrong += false_ones as f64 / (right + false_ones).max(1) as f64;
    }
    println!(
        "36 tests: an alarm in {uncorrected} of 1000 uncorrected, {any} with Holm; Benjamini-Hochberg finds {} of 4500, false share {}",
        found,
        wrong / 500.0
    );
    assert!(uncorrected >= 780, "{uncorrected}");
    assert!(any <= 0.065, "{any}");
    assert!(wrong / 500.0 <= 0.05, "{wrong}");
    assert!(found >= 4_000, "{found}");
}
