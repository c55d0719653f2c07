//! A radix-2 fast Fourier transform, just enough for autocovariances.

use std::f64::consts::PI;

/// Autocovariance sums of a centred series, all lags, by the Wiener-Khinchin theorem: `c[k] = sum_i x[i] x[i+k]`.
pub(crate) fn autocovariance(centred: &[f64]) -> Vec<f64> {
    let n = centred.len();
    let size = (2 * n).next_power_of_two();
    let mut re = centred.to_vec();
    re.resize(size, 0.0);
    let mut im = vec![0.0; size];
    transform(&mut re, &mut im);
    for (r, i) in re.iter_mut().zip(&mut im) {
        *r = *r * *r + *i * *i;
        *i = 0.0;
    }
    // The power spectrum is real and even: its forward transform is its inverse up to the factor.
    transform(&mut re, &mut im);
    re.truncate(n);
    for r in &mut re {
        *r /= size as f64;
    }
    re
}

/// In-place forward transform (Cooley and Tukey 1965); the length is a power of two.
#[expect(clippy::many_single_char_names, reason = "the letters of the butterfly")]
fn transform(re: &mut [f64], im: &mut [f64]) {
    let n = re.len();
    let shift = usize::BITS - n.trailing_zeros();
    for i in 0..n {
        let j = if n > 1 { i.reverse_bits() >> shift } else { 0 };
        if i < j {
            re.swap(i, j);
            im.swap(i, j);
        }
    }
    let cos_sin: Vec<(f64, f64)> = (0..n / 2)
        .map(|k| (-2.0 * PI * k as f64 / n as f64).sin_cos())
        .map(|(s, c)| (c, s))
        .collect();
    let mut half = 1;
    while half < n {
        let stride = n / (2 * half);
        for start in (0..n).step_by(2 * half) {
            for k in 0..half {
                let (c, s) = cos_sin[k * stride];
                let (a, b) = (start + k, start + k + half);
                let (tr, ti) = (re[b] * c - im[b] * s, re[b] * s + im[b] * c);
                (re[b], im[b]) = (re[a] - tr, im[a] - ti);
                (re[a], im[a]) = (re[a] + tr, im[a] + ti);
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::autocovariance;

    #[test]
    fn equals_the_direct_sum() {
        let series: Vec<f64> = (0..137).map(|i| f64::from((i * i * 7) % 23) - 11.0).collect();
        let fast = autocovariance(&series);
        for (lag, sum) in fast.iter().enumerate() {
            let direct: f64 = series.iter().zip(&series[lag..]).map(|(a, b)| a * b).sum();
            assert!((sum - direct).abs() < 1e-8, "lag {lag}: {sum} against {direct}");
        }
    }
}
