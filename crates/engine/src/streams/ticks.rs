//! Tokens over time, in bins whose width grows with the length of the load. Knows no token, only numbers at instants.

use std::collections::BTreeMap;

use prony_model::Nanos;

/// Narrowest bins: 2 to the power of this in nanoseconds, about 17 ms.
const SHIFT_LEAST: u32 = 24;

/// Most bins; beyond, two neighbours become one.
const BINS_MAX: usize = 8192;

/// So many at which time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ticks {
    shift: u32,
    bins: BTreeMap<u64, u64>,
    /// The bin added to last, not yet in `bins`.
    open: (u64, u64),
}

impl Default for Ticks {
    fn default() -> Self {
        Self {
            shift: SHIFT_LEAST,
            bins: BTreeMap::new(),
            open: (0, 0),
        }
    }
}

impl Ticks {
    /// Adds `n` at an instant.
    pub(super) fn add(&mut self, at: Nanos, n: u64) {
        let bin = at.0 >> self.shift;
        if bin != self.open.0 {
            self.settle();
            // The width may have changed.
            self.open = (at.0 >> self.shift, 0);
        }
        self.open.1 += n;
    }

    fn settle(&mut self) {
        let (bin, n) = std::mem::take(&mut self.open);
        if n > 0 {
            *self.bins.entry(bin).or_default() += n;
        }
        while self.bins.len() > BINS_MAX {
            self.widen();
        }
    }

    fn widen(&mut self) {
        self.shift += 1;
        for (bin, n) in std::mem::take(&mut self.bins) {
            *self.bins.entry(bin >> 1).or_default() += n;
        }
    }

    /// Adds another's.
    pub(super) fn merge(&mut self, from: &Self) {
        self.settle();
        while self.shift < from.shift {
            self.widen();
        }
        let by = self.shift - from.shift;
        for (bin, n) in from.bins.iter().map(|(b, n)| (*b, *n)).chain([from.open]) {
            if n > 0 {
                *self.bins.entry(bin >> by).or_default() += n;
            }
        }
        self.settle();
    }

    /// All of them.
    pub(super) fn total(&self) -> u64 {
        self.bins.values().sum::<u64>() + self.open.1
    }

    /// How many in the whole bins between two instants, and the length of these bins; `None` when there is no whole bin.
    pub(super) fn between(&self, from: Nanos, to: Nanos) -> Option<(u64, Nanos)> {
        let first = (from.0 >> self.shift) + 1;
        let end = to.0 >> self.shift;
        if end <= first {
            return None;
        }
        let open = if (first..end).contains(&self.open.0) {
            self.open.1
        } else {
            0
        };
        let n = self.bins.range(first..end).map(|(_, n)| n).sum::<u64>() + open;
        Some((n, Nanos((end - first) << self.shift)))
    }
}

#[cfg(test)]
mod tests {
    use super::{BINS_MAX, Ticks};
    use prony_model::Nanos;

    const MS: u64 = 1_000_000;

    #[test]
    fn whole_bins_count() {
        let mut ticks = Ticks::default();
        for ms in 0..1000 {
            ticks.add(Nanos(ms * MS), 2);
        }
        let (n, length) = ticks.between(Nanos(100 * MS), Nanos(900 * MS)).unwrap();
        let per_ms = n as f64 / length.as_millis_f64();
        assert!((per_ms - 2.0).abs() < 0.01, "{per_ms}");
        assert_eq!(ticks.between(Nanos(5 * MS), Nanos(6 * MS)), None);
        assert_eq!(ticks.total(), 2000);
    }

    #[test]
    fn long_loads_take_wider_bins_and_lose_nothing() {
        let mut long = Ticks::default();
        let mut other = Ticks::default();
        for s in 0..30_000 {
            long.add(Nanos(s * 100 * MS), 1);
            if s % 100 == 0 {
                other.add(Nanos(s * 100 * MS), 1);
            }
        }
        assert!(long.bins.len() <= BINS_MAX);
        let mut merged = other.clone();
        merged.merge(&long);
        long.merge(&other);
        assert_eq!(merged.total(), 30_300);
        assert_eq!(long.total(), 30_300);
        assert_eq!(merged.shift, long.shift);
        assert_eq!(merged.bins, long.bins);
    }
}
