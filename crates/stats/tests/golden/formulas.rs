//! Single formulas, lines and t tests, against SciPy.

use super::{Golden, all_close, close, numbers};
use prony_stats::{binomial, fisher, regression, special, student, theil_sen, trend};

fn rows(name: &str) -> Vec<Vec<f64>> {
    Golden::formulas().rows(name)
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
    for line in Golden::formulas().table("lines") {
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
        all_close(&ours, &line["ols"], &("least squares", n));
        let fit = theil_sen::fit(&x, &y, 0.95).expect("enough points");
        let ours = [fit.slope, fit.intercept, fit.low, fit.high];
        all_close(&ours, &line["theil_sen"], &("Theil-Sen", n));
        let found = trend::mann_kendall(&y).expect("enough values");
        all_close(
            &[found.score, found.z, found.p],
            &line["mann_kendall"],
            &("Mann-Kendall", n),
        );
    }
}

#[test]
fn t_tests() {
    for test in Golden::formulas().table("t_tests") {
        let (a, b) = (numbers(&test["a"]), numbers(&test["b"]));
        let welch = student::welch(&a, &b).expect("they vary");
        all_close(&[welch.t, welch.df, welch.p], &test["welch"], &"welch");
        let paired = student::paired(&a).expect("they vary");
        all_close(&[paired.t, paired.df, paired.p], &test["paired"], &"paired");
    }
}
