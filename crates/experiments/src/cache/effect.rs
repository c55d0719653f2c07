//! The arithmetic of the cache experiment: ratios of times with their tests, what grows with the length, how often a cache
//! was met. It knows numbers only and writes no words.

use prony_stats::sequential::Looks;
use prony_stats::special::normal_cdf;
use prony_stats::{binomial, bootstrap, equivalence, median, mixture, paired, regression};

/// A ratio within 1 / 1.1 and 1.1 is no effect that matters.
pub(super) const MARGIN: f64 = 1.1;
/// Error probability of all looks at one ratio together.
const ALPHA: f64 = 0.05;
/// Looks after 30, 60 and 120 pairs.
pub(super) const LOOKS: Looks = Looks {
    base: 15,
    alpha: ALPHA,
};
/// The last look.
pub(super) const LOOKS_MAX: u32 = 3;
/// Fewest pairs from which anything follows, where the time ends before the first look: it then is the only one. A prompt of a slow
/// engine takes seconds, and so few pairs show an effect of some size only, since Student's factor is large for them.
const PAIRS_MIN: usize = 8;
const RESAMPLES: usize = 1000;
/// Fewest repeated prompts from which a hit rate is told.
const REPEATS_MIN: usize = 30;

/// What can be said of a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The cached arm is faster, beyond chance and by more than does not matter.
    Faster,
    /// The ratio is shown to lie within the margin.
    Same,
    /// The cached arm is slower.
    Slower,
    /// Too few pairs, or too noisy.
    Undecided,
}

/// The time of new prompts over that of cached ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio {
    /// Geometric mean of the ratios of pairs.
    pub mean: f64,
    /// Its 95 % interval.
    pub interval: (f64, f64),
    /// Pairs.
    pub pairs: usize,
    /// Standard deviation of the logarithm of a pair's ratio.
    pub deviation: f64,
    /// What follows.
    pub effect: Effect,
}

/// Judges pairs of times at look `look` (from 1), as one of `family` such tests. `None` of fewer than two pairs.
pub(super) fn ratio(pairs: &[(f64, f64)], look: u32, family: usize) -> Option<Ratio> {
    let logs: Vec<f64> = pairs.iter().map(|(miss, cached)| (miss / cached).ln()).collect();
    let shown = paired::interval(&logs, 0.95)?;
    let alpha = LOOKS.alpha_at(look.max(1));
    let strict = paired::interval(&logs, 1.0 - alpha / family.max(1) as f64)?;
    let margin = MARGIN.ln();
    let same = equivalence::tost(&logs, -margin, margin, alpha)
        .map_or(shown.mean.abs() < margin, |tested| tested.equivalent);
    let enough = logs.len() >= PAIRS_MIN;
    let effect = if !enough {
        Effect::Undecided
    } else if same {
        Effect::Same
    } else if strict.low > 0.0 {
        Effect::Faster
    } else if strict.high < 0.0 {
        Effect::Slower
    } else {
        Effect::Undecided
    };
    Some(Ratio {
        mean: shown.mean.exp(),
        interval: (shown.low.exp(), shown.high.exp()),
        pairs: logs.len(),
        deviation: shown.deviation,
        effect,
    })
}

/// Pairs with which the test of "no effect" would come to an end nine times in ten.
pub(super) fn pairs_needed(deviation: f64) -> u64 {
    equivalence::needed(deviation, MARGIN.ln(), LOOKS.alpha_at(1), 0.9).max(LOOKS.size(1))
}

/// How times grow with the length of the prompt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    /// Milliseconds for each word more, of new prompts.
    pub miss_ms: f64,
    /// The same of cached prompts.
    pub cached_ms: f64,
    /// Share of the growth that the cache saves, 1 - cached / miss.
    pub saved: f64,
    /// Its 95 % bootstrap interval.
    pub interval: (f64, f64),
    /// Pairs.
    pub pairs: usize,
}

/// Fits both arms over lengths: `(length, miss, cached)`, times in ms. `None` when there are fewer than three lengths' worth
/// of pairs, or when the time of new prompts does not grow.
pub(super) fn growth(points: &[(f64, f64, f64)], seed: u64) -> Option<Growth> {
    let (miss, cached) = slopes(points)?;
    let line = |points: &[(f64, f64, f64)]| {
        let (x, y): (Vec<f64>, Vec<f64>) = points.iter().map(|p| (p.0, p.1)).unzip();
        regression::least_squares(&x, &y)
    };
    let (low, _) = line(points)?.slope_interval(0.95);
    if low <= 0.0 {
        return None;
    }
    let places: Vec<f64> = (0..points.len()).map(|i| i as f64).collect();
    let saved = |places: &[f64]| {
        let drawn: Vec<(f64, f64, f64)> = places.iter().map(|i| points[*i as usize]).collect();
        slopes(&drawn).map_or(0.0, |(miss, cached)| 1.0 - cached / miss)
    };
    Some(Growth {
        miss_ms: miss,
        cached_ms: cached,
        saved: 1.0 - cached / miss,
        interval: bootstrap::interval(&places, saved, RESAMPLES, 0.95, seed)?,
        pairs: points.len(),
    })
}

fn slopes(points: &[(f64, f64, f64)]) -> Option<(f64, f64)> {
    let x: Vec<f64> = points.iter().map(|p| p.0).collect();
    let miss: Vec<f64> = points.iter().map(|p| p.1).collect();
    let cached: Vec<f64> = points.iter().map(|p| p.2).collect();
    let miss = regression::least_squares(&x, &miss)?.slope;
    let cached = regression::least_squares(&x, &cached)?.slope;
    (miss > 0.0).then_some((miss, cached))
}

/// A share with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share {
    /// The share, 0 to 1.
    pub value: f64,
    /// Its interval.
    pub interval: (f64, f64),
    /// Counted in.
    pub n: usize,
}

/// Share of `hits` in `n`.
pub(super) fn counted(hits: usize, n: usize) -> Option<Share> {
    (n >= REPEATS_MIN).then(|| Share {
        value: hits as f64 / n as f64,
        interval: binomial::clopper_pearson(hits as u64, n as u64, 0.95),
        n,
    })
}

/// Share of repeated prompts that met the cache, from their times and those of new prompts, in ms: times below a midpoint
/// are counted, and what the two kinds put on the wrong side of it is taken out. `None` where the two kinds cannot be told
/// apart.
pub(super) fn hit_rate(miss: &[f64], repeated: &[f64]) -> Option<Share> {
    let logs = |times: &[f64]| -> Vec<f64> { times.iter().map(|t| t.max(1e-6).ln()).collect() };
    let (miss, repeated) = (logs(miss), logs(repeated));
    if repeated.len() < REPEATS_MIN || miss.len() < REPEATS_MIN {
        return None;
    }
    let new = median(&mut miss.clone());
    let usual = median(&mut repeated.clone());
    let two = mixture::kinds(&repeated) != Some(mixture::Kinds::One);
    let (centre, spread) = match mixture::fit(&repeated).filter(|_| two) {
        // The slow kind must be that of new prompts.
        Some(found) if (found.high.mean - new).abs() < (found.high.mean - found.low.mean) / 3.0 => {
            (found.low.mean, found.low.deviation)
        }
        _ => (usual, prony_stats::variance(&repeated).sqrt()),
    };
    let cut = f64::midpoint(new, centre);
    let below = |values: &[f64]| values.iter().filter(|v| **v < cut).count();
    let miss_below = below(&miss) as f64 / miss.len() as f64;
    let hit_below = normal_cdf((cut - centre) / spread.max(1e-9));
    if hit_below - miss_below < 0.5 {
        return None;
    }
    let cleaned = |share: f64| ((share - miss_below) / (hit_below - miss_below)).clamp(0.0, 1.0);
    let raw = counted(below(&repeated), repeated.len())?;
    Some(Share {
        value: cleaned(raw.value),
        interval: (cleaned(raw.interval.0), cleaned(raw.interval.1)),
        n: raw.n,
    })
}

#[cfg(test)]
mod tests {
    use super::{Effect, growth, hit_rate, ratio};

    fn pairs(ratio: f64, n: u32) -> Vec<(f64, f64)> {
        // Noise of a few per cent that adds up to none.
        (0..n)
            .map(|i| (10.0 * ratio * (1.0 + 0.03 * f64::from(i % 5) - 0.06), 10.0))
            .collect()
    }

    #[test]
    fn effects_have_their_names_and_few_pairs_have_none() {
        let effect = |r, n| ratio(&pairs(r, n), 1, 2).unwrap().effect;
        assert_eq!(effect(3.0, 30), Effect::Faster);
        assert_eq!(effect(1.02, 30), Effect::Same);
        assert_eq!(effect(0.5, 30), Effect::Slower);
        assert_eq!(effect(3.0, 8), Effect::Faster, "the time ended");
        assert_eq!(effect(3.0, 7), Effect::Undecided);
        // Neither within the margin nor beyond chance.
        let wild: Vec<(f64, f64)> = (0..30)
            .map(|i| (if i % 2 == 0 { 5.0 } else { 24.0 }, 10.0))
            .collect();
        assert_eq!(ratio(&wild, 1, 2).unwrap().effect, Effect::Undecided);
        assert!(ratio(&[(1.0, 1.0)], 1, 1).is_none());
    }

    #[test]
    fn what_grows_and_what_is_saved() {
        let point = |l: f64, k: f64| (l, 20.0 + 0.1 * l + k, 20.0 + 0.03 * l - k);
        let points: Vec<_> = [64.0, 256.0, 1024.0]
            .iter()
            .flat_map(|l| (0..10).map(move |i| point(*l, 0.1 * f64::from(i % 2))))
            .collect();
        let found = growth(&points, 1).unwrap();
        assert!((found.saved - 0.7).abs() < 0.01, "{found:?}");
        assert!(found.interval.0 < found.saved && found.saved < found.interval.1);
        let flat: Vec<_> = points.iter().map(|p| (p.0, 20.0 + p.1 % 0.7, p.2)).collect();
        assert!(growth(&flat, 1).is_none());
    }

    #[test]
    fn hits_are_counted_by_their_times() {
        let miss: Vec<f64> = (0..60).map(|i| 100.0 + f64::from(i % 7)).collect();
        let mixed: Vec<f64> = (0..100)
            .map(|i| if i % 5 == 0 { 100.0 } else { 20.0 } + f64::from(i % 7))
            .collect();
        let share = hit_rate(&miss, &mixed).unwrap();
        assert!((share.value - 0.8).abs() < 0.02, "{share:?}");
        let never: Vec<f64> = miss.clone();
        assert_eq!(hit_rate(&miss, &never), None);
        let always: Vec<f64> = miss.iter().map(|t| t / 5.0).collect();
        assert!(hit_rate(&miss, &always).unwrap().value > 0.98);
    }
}
