//! Where does the level or the spread of a series change? E-divisive (Matteson and James 2014), and what is left when
//! small or doubtful changes are taken out (Fleming et al., Hunter, ICPE 2023).

use crate::generator::Generator;
use crate::{mean, student};

/// How to search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// Fewest values on either side of a change.
    pub segment_min: usize,
    /// Random orders that a change is held against.
    pub permutations: usize,
    /// The search ends with the first change whose p-value is above this.
    pub p_max: f64,
    /// Seed of the random orders.
    pub seed: u64,
}

impl Default for Search {
    /// Eight values on either side, 199 orders, 5 %.
    fn default() -> Self {
        Self {
            segment_min: 8,
            permutations: 199,
            p_max: 0.05,
            seed: 0,
        }
    }
}

/// A place at which the series changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangePoint {
    /// First value after the change.
    pub index: usize,
    /// Scaled energy distance between the two sides, in the unit of the series.
    pub statistic: f64,
    /// Share of random orders with an equal or larger distance.
    pub p: f64,
}

/// Finds changes one after another, the clearest first, each tested against random orders of the values between the changes
/// already found; returns them by place. Time grows with the square of the length.
pub fn e_divisive(series: &[f64], search: &Search) -> Vec<ChangePoint> {
    let mut generator = Generator::new(search.seed);
    let mut found: Vec<ChangePoint> = Vec::new();
    while let Some((index, statistic)) = best_of(series, &found, search.segment_min) {
        let mut shuffled = series.to_vec();
        let limit = statistic * (1.0 - 1e-12);
        let as_large = (0..search.permutations)
            .filter(|_| {
                for (start, end) in segments(series.len(), &found) {
                    generator.shuffle(&mut shuffled[start..end]);
                }
                best_of(&shuffled, &found, search.segment_min).is_some_and(|(_, chance)| chance >= limit)
            })
            .count();
        let p = (as_large as f64 + 1.0) / (search.permutations as f64 + 1.0);
        if p > search.p_max {
            break;
        }
        let place = found.partition_point(|change| change.index < index);
        found.insert(place, ChangePoint { index, statistic, p });
    }
    found
}

/// The clearest single change: first value after it and the scaled energy distance, m n / (m + n) E, between the values
/// before it and those after it up to wherever the contrast is largest. `None` when two segments do not fit.
pub fn best_split(series: &[f64], segment_min: usize) -> Option<(usize, f64)> {
    let (n, least) = (series.len(), segment_min.max(1));
    if n < 2 * least {
        return None;
    }
    // Sums of distances of all pairs: within the first k values, and within values [split, k).
    let mut head = vec![0.0; n + 1];
    for k in 0..n {
        let to_earlier: f64 = series[..k].iter().map(|v| (v - series[k]).abs()).sum();
        head[k + 1] = head[k] + to_earlier;
    }
    let mut tail = vec![0.0; n + 1];
    let mut best: Option<(usize, f64)> = None;
    for split in (least..n).rev() {
        let mut to_later = 0.0;
        for k in split + 1..=n {
            to_later += (series[split] - series[k - 1]).abs();
            tail[k] += to_later;
            if k - split < least {
                continue;
            }
            let (before, after) = (split as f64, (k - split) as f64);
            let between = head[k] - head[split] - tail[k];
            let energy =
                2.0 * between / (before * after) - pair_mean(head[split], before) - pair_mean(tail[k], after);
            let statistic = energy * before * after / (before + after);
            if best.is_none_or(|(_, most)| statistic > most) {
                best = Some((split, statistic));
            }
        }
    }
    best
}

fn pair_mean(sum: f64, count: f64) -> f64 {
    if count > 1.0 {
        sum / (count * (count - 1.0) / 2.0)
    } else {
        0.0
    }
}

fn best_of(series: &[f64], found: &[ChangePoint], segment_min: usize) -> Option<(usize, f64)> {
    segments(series.len(), found)
        .filter_map(|(start, end)| {
            best_split(&series[start..end], segment_min).map(|(index, statistic)| (start + index, statistic))
        })
        .reduce(|a, b| if b.1 > a.1 { b } else { a })
}

fn segments(n: usize, found: &[ChangePoint]) -> impl Iterator<Item = (usize, usize)> {
    let ends = found.iter().map(|change| change.index).chain([n]);
    let starts = [0].into_iter().chain(found.iter().map(|change| change.index));
    starts.zip(ends)
}

/// A change of level between two neighbouring segments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// First value after the change.
    pub index: usize,
    /// Mean of the segment before it.
    pub before: f64,
    /// Mean of the segment after it.
    pub after: f64,
    /// Two-sided p-value of Welch's test of the two segments.
    pub p: f64,
}

impl Shift {
    /// Relative change, from the smaller level to the larger: 0.05 is five per cent up or down. For positive levels.
    pub fn magnitude(&self) -> f64 {
        (self.after / self.before - 1.0)
            .abs()
            .max((self.before / self.after - 1.0).abs())
    }
}

/// Takes out changes of level that are doubtful (p-value not below `p_max`) or small (magnitude not above `magnitude_min`),
/// the weakest first; its two segments become one before the rest is looked at again. `indices` ascend and lie within the
/// series.
pub fn prune(series: &[f64], indices: &[usize], p_max: f64, magnitude_min: f64) -> Vec<Shift> {
    let mut kept = indices.to_vec();
    loop {
        let shifts = shifts(series, &kept);
        let doubtful = most(&shifts, |shift| shift.p).filter(|&i| shifts[i].p >= p_max);
        let small =
            most(&shifts, |shift| -shift.magnitude()).filter(|&i| shifts[i].magnitude() <= magnitude_min);
        match doubtful.or(small) {
            Some(weakest) => kept.remove(weakest),
            None => return shifts,
        };
    }
}

fn most(shifts: &[Shift], key: impl Fn(&Shift) -> f64) -> Option<usize> {
    (0..shifts.len()).max_by(|&a, &b| key(&shifts[a]).total_cmp(&key(&shifts[b])))
}

fn shifts(series: &[f64], indices: &[usize]) -> Vec<Shift> {
    indices
        .iter()
        .enumerate()
        .map(|(i, &index)| {
            let start = if i == 0 { 0 } else { indices[i - 1] };
            let end = indices.get(i + 1).copied().unwrap_or(series.len());
            let (left, right) = (&series[start..index], &series[index..end]);
            let (before, after) = (mean(left), mean(right));
            // Segments that do not vary differ for certain or not at all; of one value nothing is known.
            let certain = left.len() > 1 && right.len() > 1 && before.total_cmp(&after).is_ne();
            let p = student::welch(left, right).map_or(if certain { 0.0 } else { 1.0 }, |test| test.p);
            Shift {
                index,
                before,
                after,
                p,
            }
        })
        .collect()
}
