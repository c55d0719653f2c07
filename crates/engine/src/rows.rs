//! Distributions by scenario, step and outcome: exact from samples, or from histograms for a phase that has more
//! samples than are kept. Knows no phase and no clock.

use std::collections::BTreeMap;

use prony_model::{Distribution, Nanos, Outcome, Quantile, Sample};
use prony_stats::order;

use crate::books::{Books, Line, METRICS, RESPONSE, SERVICE, Times, times};

/// The quantiles of every distribution.
pub(crate) const QUANTILES: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];

/// Confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

/// Values from which the dependence of a longer series is estimated, for each of [`times`]. Objectives use the first two: theirs
/// are many, because slow times come in clumps, and at a load of 90 % a hundred thousand requests hold few clumps beyond p99.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dependence([usize; METRICS]);

impl Dependence {
    /// Where every sample of a phase was kept.
    const WHOLE: Self = Self::of(1 << 19, 1 << 13);
    /// Where they were not: the start of a long phase stands for the rest, and the end of a load must cost little.
    pub(crate) const START: Self = Self::of(1 << 14, 1 << 11);

    const fn of(objectives: usize, others: usize) -> Self {
        let mut values = [others; METRICS];
        values[RESPONSE] = objectives;
        values[SERVICE] = objectives;
        Self(values)
    }
}

/// Scenario, part, step, outcome.
pub(crate) type Key = (u16, u16, u16, Outcome);

/// The row of a sample. A flow's own row comes before those of its steps.
pub(crate) fn key(sample: &Sample) -> Key {
    (sample.scenario, sample.part(), sample.step, sample.outcome)
}

/// One row: its count and its distributions, in the order of [`times`].
pub(crate) struct Row {
    pub(crate) n: u64,
    pub(crate) distributions: [Distribution; METRICS],
}

/// Exact rows of samples in send order.
pub(crate) fn exact(samples: &[Sample]) -> BTreeMap<Key, Row> {
    exact_with(samples, Dependence::WHOLE)
}

/// The same with a choice of how much is spent on their dependence.
pub(crate) fn exact_with(samples: &[Sample], dependence: Dependence) -> BTreeMap<Key, Row> {
    let mut groups: BTreeMap<Key, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        groups.entry(key(sample)).or_default().push(sample);
    }
    let row = |group: Vec<&Sample>| Row {
        n: group.len() as u64,
        distributions: std::array::from_fn(|metric| {
            let values: Vec<f64> = group
                .iter()
                .filter_map(|s| times(s)[metric])
                .map(|t| t.0 as f64)
                .collect();
            distribution(&values, dependence.0[metric])
        }),
    };
    groups.into_iter().map(|(key, group)| (key, row(group))).collect()
}

/// The distribution of times in nanoseconds, in the order in which they arose.
fn distribution(values: &[f64], dependence_max: usize) -> Distribution {
    if values.is_empty() {
        return Distribution::default();
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = values.len() as u64;
    let series = &values[..values.len().min(dependence_max)];
    let effective = |threshold| {
        let part = order::effective_size(series, threshold);
        part * values.len() as f64 / series.len() as f64
    };
    let at = |rank: u64| Nanos(sorted[rank as usize - 1] as u64);
    let mean = values.iter().sum::<f64>() / n as f64;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    let mut median_n_eff = 0.0;
    let quantile = |p: f64| {
        let needs = order::needed(p, CONFIDENCE);
        let value = at(order::nearest_rank(p, n));
        let n_eff = if n < needs && p > 0.5 {
            0.0
        } else {
            effective(value.0 as f64)
        };
        if p <= 0.5 {
            median_n_eff = n_eff;
        }
        quantile(
            p,
            value,
            needs,
            order::interval_ranks(p, n, n_eff, CONFIDENCE).map(|(l, h)| (at(l), at(h))),
        )
    };
    let quantiles = QUANTILES.map(quantile).to_vec();
    Distribution {
        n,
        n_eff: median_n_eff,
        mean_ns: mean,
        sd_ns: if n > 1 {
            (squares / (n - 1) as f64).sqrt()
        } else {
            0.0
        },
        min: at(1),
        max: at(n),
        quantiles,
    }
}

fn quantile(p: f64, value: Nanos, needs: u64, interval: Option<(Nanos, Nanos)>) -> Quantile {
    match interval {
        Some((lo, hi)) => Quantile {
            p,
            value,
            lo,
            hi,
            needs_n: 0,
        },
        None => Quantile {
            p,
            value,
            lo: Nanos::ZERO,
            hi: Nanos::ZERO,
            needs_n: needs,
        },
    }
}

/// The rows of an account. Dependence comes from `exact`, the rows of the samples that were kept.
pub(crate) fn binned(books: &Books, exact: &BTreeMap<Key, Row>) -> BTreeMap<Key, Row> {
    let row = |(key, line): &(Key, Line)| {
        let kept = exact.get(key);
        let row = Row {
            n: line.n,
            distributions: std::array::from_fn(|metric| match &line.times[metric] {
                None => Distribution::default(),
                Some(times) => {
                    let like = kept.map(|row| &row.distributions[metric]);
                    // What was never seen among the kept samples is taken as fully dependent.
                    let worth = like.map_or(0.0, |d| if d.n > 0 { d.n_eff / d.n as f64 } else { 0.0 });
                    from_histogram(times, worth)
                }
            }),
        };
        (*key, row)
    };
    books.lines().iter().map(row).collect()
}

/// The distribution of a histogram whose values are worth so many independent ones each.
pub(crate) fn from_histogram(histogram: &Times, worth: f64) -> Distribution {
    let n = histogram.len();
    let n_eff = n as f64 * worth;
    let at = |rank: u64| Nanos(histogram.value_at_quantile(rank as f64 / n as f64));
    let one = |p: f64| {
        let interval = order::interval_ranks(p, n, n_eff, CONFIDENCE).map(|(l, h)| (at(l), at(h)));
        quantile(
            p,
            at(order::nearest_rank(p, n)),
            order::needed(p, CONFIDENCE),
            interval,
        )
    };
    Distribution {
        n,
        n_eff,
        mean_ns: histogram.mean(),
        sd_ns: histogram.stdev(),
        min: Nanos(histogram.min()),
        max: Nanos(histogram.max()),
        quantiles: QUANTILES.map(one).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::{binned, exact};
    use crate::books::Books;
    use prony_model::{Nanos, Outcome, Sample, SampleFlags};

    fn sample(seq: u64, service_ns: u64) -> Sample {
        Sample {
            seq,
            intended: Nanos(seq * 1000),
            sent: Nanos(seq * 1000),
            first_byte: Nanos::ZERO,
            done: Nanos(seq * 1000 + service_ns),
            digest: 0,
            bytes_in: 7,
            item: 0,
            connect_us: 0,
            tls_us: 0,
            attempt: 0,
            status: 200,
            scenario: 0,
            step: (seq % 2) as u16,
            phase: 0,
            worker: 0,
            outcome: if seq.is_multiple_of(10) {
                Outcome::Status5xx
            } else {
                Outcome::Ok
            },
            flags: SampleFlags::default(),
        }
    }

    #[test]
    fn histograms_agree_with_the_samples_to_three_digits() {
        let samples: Vec<_> = (0..20_000)
            .map(|i| sample(i, 1_000_000 + crate::choice::mix(3, i) % 9_000_000))
            .collect();
        let exact = exact(&samples);
        let books = Books::of(&samples);
        let binned = binned(&books, &exact);
        assert_eq!(binned.len(), exact.len());
        for (key, row) in &exact {
            let other = &binned[key];
            assert_eq!(row.n, other.n);
            assert_eq!(row.distributions[3].n, 0, "no byte came");
            for (q, b) in row.distributions[1]
                .quantiles
                .iter()
                .zip(&other.distributions[1].quantiles)
            {
                assert_eq!(q.needs_n, b.needs_n, "{key:?} {q:?}");
                for (a, b) in [(q.value, b.value), (q.lo, b.lo), (q.hi, b.hi)] {
                    assert!(
                        a.0.abs_diff(b.0) as f64 <= a.0 as f64 * 0.01,
                        "{key:?} {q:?} {b:?}"
                    );
                }
            }
        }
        assert_eq!(
            (books.totals.ok, books.totals.failed, books.totals.bytes_in),
            (18_000, 2_000, 140_000)
        );
    }

    #[test]
    fn outcomes_never_share_a_row() {
        let rows = exact(&[sample(0, 5), sample(1, 7), sample(2, 9)]);
        let keys: Vec<_> = rows.keys().copied().collect();
        assert_eq!(
            keys,
            [
                (0, 0, 0, Outcome::Ok),
                (0, 0, 0, Outcome::Status5xx),
                (0, 0, 1, Outcome::Ok)
            ]
        );
        assert_eq!(rows[&(0, 0, 0, Outcome::Ok)].distributions[1].max, Nanos(9));
        assert_eq!(
            rows[&(0, 0, 0, Outcome::Ok)].distributions[1].quantiles[0].needs_n,
            6
        );
    }
}
