//! Every routine against reference values from SciPy, to 1e-9 relative (1e-12 absolute near zero).

use prony_stats::{binomial, fisher, regression, special, student, theil_sen, trend};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/golden.json")).expect("golden.json is JSON")
}

/// The rows of one table, as numbers.
fn rows(name: &str) -> Vec<Vec<f64>> {
    let table = golden()[name]
        .as_array()
        .unwrap_or_else(|| panic!("no table {name}"))
        .clone();
    assert!(!table.is_empty());
    table.iter().map(numbers).collect()
}

fn numbers(row: &Value) -> Vec<f64> {
    row.as_array()
        .expect("a row")
        .iter()
        .map(|v| v.as_f64().expect("a number"))
        .collect()
}

#[track_caller]
fn close(ours: f64, reference: f64, what: &dyn std::fmt::Debug) {
    let tolerance = 1e-12 + 1e-9 * reference.abs();
    assert!(
        (ours - reference).abs() <= tolerance,
        "{what:?}: {ours} against {reference}"
    );
}

#[test]
fn special_functions() {
    for r in rows("ln_gamma") {
        close(special::ln_gamma(r[0]), r[1], &r);
    }
    for r in rows("beta_inc") {
        close(special::beta_inc(r[0], r[1], r[2]), r[3], &r);
    }
    for r in rows("beta_inc_inverse") {
        close(special::beta_inc_inverse(r[0], r[1], r[2]), r[3], &r);
    }
    for r in rows("gamma_inc") {
        close(special::gamma_inc(r[0], r[1]), r[2], &r);
    }
    for r in rows("normal_cdf") {
        close(special::normal_cdf(r[0]), r[1], &r);
    }
    for r in rows("normal_quantile") {
        close(special::normal_quantile(r[0]), r[1], &r);
    }
}

#[test]
fn student_t() {
    for r in rows("t_cdf") {
        close(student::cdf(r[0], r[1]), r[2], &r);
    }
    for r in rows("t_quantile") {
        close(student::quantile(r[0], r[1]), r[2], &r);
    }
}

#[test]
fn binomial_distribution() {
    for r in rows("binomial_cdf") {
        close(binomial::cdf(r[0] as u64, r[1] as u64, r[2]), r[3], &r);
    }
    for r in rows("binomial_quantile") {
        assert_eq!(binomial::quantile(r[0], r[1] as u64, r[2]), r[3] as u64, "{r:?}");
    }
}

#[test]
fn intervals_of_a_share() {
    for r in rows("clopper_pearson") {
        let (low, high) = binomial::clopper_pearson(r[0] as u64, r[1] as u64, r[2]);
        close(low, r[3], &r);
        close(high, r[4], &r);
    }
    for r in rows("wilson") {
        let (low, high) = binomial::wilson(r[0] as u64, r[1] as u64, r[2]);
        close(low, r[3], &r);
        close(high, r[4], &r);
    }
    for r in rows("zero_failure") {
        close(binomial::zero_failure_bound(r[0] as u64), r[1], &r);
    }
    assert_eq!(binomial::clopper_pearson(0, 0, 0.95), (0.0, 1.0));
}

#[test]
fn exact_test() {
    for r in rows("fisher") {
        close(
            fisher::two_sided(r[0] as u64, r[1] as u64, r[2] as u64, r[3] as u64),
            r[4],
            &r,
        );
    }
}

#[test]
fn lines_and_trends() {
    for line in golden()["lines"].as_array().expect("lines") {
        let (x, y) = (numbers(&line["x"]), numbers(&line["y"]));
        let n = x.len();
        let fit = regression::least_squares(&x, &y).expect("enough points");
        let ours = [
            fit.slope,
            fit.intercept,
            fit.slope_error,
            fit.p,
            fit.slope_interval(0.95).0,
        ];
        for (ours, reference) in ours.iter().zip(numbers(&line["ols"])) {
            close(*ours, reference, &("least squares", n));
        }
        let fit = theil_sen::fit(&x, &y, 0.95).expect("enough points");
        for (ours, reference) in [fit.slope, fit.intercept, fit.low, fit.high]
            .iter()
            .zip(numbers(&line["theil_sen"]))
        {
            close(*ours, reference, &("Theil-Sen", n));
        }
        let found = trend::mann_kendall(&y).expect("enough values");
        for (ours, reference) in [found.score, found.z, found.p]
            .iter()
            .zip(numbers(&line["mann_kendall"]))
        {
            close(*ours, reference, &("Mann-Kendall", n));
        }
    }
}

#[test]
fn t_tests() {
    for test in golden()["t_tests"].as_array().expect("tests") {
        let (a, b) = (numbers(&test["a"]), numbers(&test["b"]));
        let welch = student::welch(&a, &b).expect("they vary");
        for (ours, reference) in [welch.t, welch.df, welch.p].iter().zip(numbers(&test["welch"])) {
            close(*ours, reference, &"welch");
        }
        let paired = student::paired(&a).expect("they vary");
        for (ours, reference) in [paired.t, paired.df, paired.p]
            .iter()
            .zip(numbers(&test["paired"]))
        {
            close(*ours, reference, &"paired");
        }
    }
}
