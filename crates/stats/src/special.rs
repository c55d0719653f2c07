//! Special functions: gamma, incomplete beta and gamma, the normal distribution.
//!
//! Prefactors use Loader's saddle-point form, so that large counts keep full precision.

use std::f64::consts::{PI, SQRT_2};

/// Stands in for a zero denominator in Lentz's method.
const TINY: f64 = 1e-300;

/// Natural logarithm of the gamma function for positive `x`.
pub fn ln_gamma(x: f64) -> f64 {
    libm::lgamma(x)
}

/// Error of Stirling's formula, ln(n!) - ln(sqrt(2 pi n) (n/e)^n), for real n >= 0 (Loader 2000).
fn stirling_error(n: f64) -> f64 {
    if n <= 15.0 {
        let ln_sqrt_2pi = 0.5 * (2.0 * PI).ln();
        return ln_gamma(n + 1.0) - (n + 0.5) * n.ln() + n - ln_sqrt_2pi;
    }
    let s = 1.0 / (n * n);
    (1.0 / 12.0
        - (1.0 / 360.0
            - (1.0 / 1260.0 - (1.0 / 1680.0 - (1.0 / 1188.0 - 691.0 / 360_360.0 * s) * s) * s) * s)
            * s)
        / n
}

/// Deviance x ln(x / m) + m - x without cancellation (Loader 2000).
fn deviance(x: f64, m: f64) -> f64 {
    if (x - m).abs() < 0.1 * (x + m) {
        let v = (x - m) / (x + m);
        let mut sum = (x - m) * v;
        let mut term = 2.0 * x * v;
        let mut j = 1.0;
        loop {
            term *= v * v;
            j += 2.0;
            let next = sum + term / j;
            if next.to_bits() == sum.to_bits() {
                return next;
            }
            sum = next;
        }
    }
    x * (x / m).ln() + m - x
}

/// Binomial probability of `x` of `n` with success probability `p`; `x` and `n` may be real (Loader 2000).
pub(crate) fn binomial_density(x: f64, n: f64, p: f64) -> f64 {
    let q = 1.0 - p;
    if p <= 0.0 {
        return if x <= 0.0 { 1.0 } else { 0.0 };
    }
    if q <= 0.0 {
        return if x >= n { 1.0 } else { 0.0 };
    }
    if x <= 0.0 {
        return (n * (-p).ln_1p()).exp();
    }
    if x >= n {
        return (n * p.ln()).exp();
    }
    let log = stirling_error(n)
        - stirling_error(x)
        - stirling_error(n - x)
        - deviance(x, n * p)
        - deviance(n - x, n * q);
    log.exp() * (n / (2.0 * PI * x * (n - x))).sqrt()
}

/// Regularised incomplete beta function `I_x(a, b)` for a, b > 0 and x in [0, 1]: continued fraction by Lentz's method
/// (DLMF 8.17.22).
pub fn beta_inc(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_inc_lower(b, a, 1.0 - x);
    }
    beta_inc_lower(a, b, x)
}

fn beta_inc_lower(a: f64, b: f64, x: f64) -> f64 {
    // x^a (1-x)^b / (a B(a,b)) = b / (a + b) * binomial density of a in a + b.
    let front = b / (a + b) * binomial_density(a, a + b, x);
    front * beta_fraction(a, b, x)
}

#[expect(clippy::many_single_char_names, reason = "the letters of the cited formula")]
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let guard = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    for m in 1..200_000_u32 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / guard(1.0 + even * d);
        c = guard(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / guard(1.0 + odd * d);
        c = guard(1.0 + odd / c);
        let step = d * c;
        h *= step;
        if (step - 1.0).abs() < 1e-16 {
            break;
        }
    }
    h
}

/// Inverse of [`beta_inc`] in `x`: the x with `I_x(a, b) = p`. Bisection kept by brackets, sped up by Newton steps.
pub fn beta_inc_inverse(a: f64, b: f64, p: f64) -> f64 {
    if p <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return 1.0;
    }
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    let mut x = a / (a + b);
    for _ in 0..300 {
        let error = beta_inc(a, b, x) - p;
        if error > 0.0 {
            high = x;
        } else {
            low = x;
        }
        // Density of Beta(a, b) at x, from the same saddle-point form.
        let density = a * b / (a + b) * binomial_density(a, a + b, x) / (x * (1.0 - x));
        let newton = x - error / density;
        let next = if newton > low && newton < high {
            newton
        } else {
            f64::midpoint(low, high)
        };
        if (next - x).abs() <= 1e-16 * next || high - low <= f64::EPSILON * high {
            return next;
        }
        x = next;
    }
    x
}

/// Regularised lower incomplete gamma function `P(a, x)` for a > 0, x >= 0 (series, or Lentz's fraction; DLMF 8.11.4, 8.9.2).
#[expect(clippy::many_single_char_names, reason = "the letters of the cited formula")]
pub fn gamma_inc(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    // x^a e^-x / Gamma(a + 1), saddle-point form.
    let front = (-stirling_error(a) - deviance(a, x)).exp() / (2.0 * PI * a).sqrt();
    if x < a + 1.0 {
        let (mut sum, mut term, mut n) = (1.0, 1.0, a);
        while term > sum * 1e-17 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return front * sum;
    }
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut h = d;
    for i in 1..200_000_u32 {
        let i = f64::from(i);
        let an = -i * (i - a);
        b += 2.0;
        d = an * d + b;
        if d.abs() < TINY {
            d = TINY;
        }
        c = b + an / c;
        if c.abs() < TINY {
            c = TINY;
        }
        d = 1.0 / d;
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-16 {
            break;
        }
    }
    1.0 - front * a * h
}

/// Modified Bessel function of the second kind times e^x, `e^x K_nu(x)`, for x > 0: the trapezoidal rule on the integral
/// of exp(-x (cosh t - 1)) cosh(nu t) over t >= 0 (DLMF 10.32.9), which converges exponentially.
pub(crate) fn bessel_k_scaled(order: f64, x: f64) -> f64 {
    const STEP: f64 = 1.0 / 32.0;
    let term = |t: f64| (-x * (t.cosh() - 1.0)).exp() * (order * t).cosh();
    let mut sum = 0.5 * term(0.0);
    let mut t = STEP;
    loop {
        let next = term(t);
        sum += next;
        if next < sum * 1e-18 {
            return sum * STEP;
        }
        t += STEP;
    }
}

/// Standard normal density.
pub fn normal_density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

/// Standard normal distribution function.
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / SQRT_2)
}

/// Standard normal quantile for p in (0, 1); infinite at the ends (Wichura 1988, algorithm AS 241, PPND16).
pub fn normal_quantile(p: f64) -> f64 {
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * ratio(&CENTRE, r);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = (-tail.ln()).sqrt();
    let z = if r <= 5.0 {
        ratio(&MIDDLE, r - 1.6)
    } else {
        ratio(&FAR, r - 5.0)
    };
    if q < 0.0 { -z } else { z }
}

/// Numerator and denominator polynomials, lowest power first.
type Rational = [[f64; 8]; 2];

fn ratio(polynomials: &Rational, x: f64) -> f64 {
    let horner = |c: &[f64; 8]| c.iter().rev().fold(0.0, |sum, c| sum * x + c);
    horner(&polynomials[0]) / horner(&polynomials[1])
}

const CENTRE: Rational = [
    [
        3.387_132_872_796_366_6,
        133.141_667_891_784_38,
        1_971.590_950_306_551_3,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ],
    [
        1.0,
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_854,
    ],
];
const MIDDLE: Rational = [
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        0.022_723_844_989_269_184,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        0.015_198_666_563_616_457,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
];
const FAR: Rational = [
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        0.296_560_571_828_504_87,
        0.026_532_189_526_576_124,
        0.001_242_660_947_388_078_4,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        0.599_832_206_555_888,
        0.136_929_880_922_735_8,
        0.014_875_361_290_850_615,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_7e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ],
];
