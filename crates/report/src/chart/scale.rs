//! From values to places on an axis, and round numbers to write beside it. Knows nothing of what is drawn.

/// An axis from one value to another, laid over so many units of length.
pub(super) struct Axis {
    lo: f64,
    hi: f64,
    from: f64,
    to: f64,
    log: bool,
}

impl Axis {
    /// A linear axis from 0 to a round number that is not below `largest`.
    pub(super) fn from_zero(largest: f64, from: f64, to: f64) -> Self {
        let step = step(largest.max(f64::MIN_POSITIVE));
        let hi = (largest / step).ceil().max(1.0) * step;
        Self {
            lo: 0.0,
            hi,
            from,
            to,
            log: false,
        }
    }

    /// An axis that ends at these values; where they are the same, or a logarithm has none, a little wider.
    pub(super) fn between(lo: f64, hi: f64, log: bool, from: f64, to: f64) -> Self {
        let lo = if log { lo.max(1e-9) } else { lo };
        let hi = if hi > lo { hi } else { lo + lo.abs().max(1.0) };
        Self {
            lo,
            hi,
            from,
            to,
            log,
        }
    }

    /// Where a value stands; outside the axis at its end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.lo, self.hi);
        let share = if self.log {
            (value / self.lo).ln() / (self.hi / self.lo).ln()
        } else {
            (value - self.lo) / (self.hi - self.lo)
        };
        self.from + share * (self.to - self.from)
    }

    /// The largest value.
    pub(super) fn end(&self) -> f64 {
        self.hi
    }

    /// Round numbers on a linear axis: about four.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let step = step(self.hi - self.lo);
        let first = (self.lo / step).ceil() as i64;
        let last = (self.hi / step + 1e-9).floor() as i64;
        (first..=last).map(|n| n as f64 * step).collect()
    }

    /// Powers of ten on a logarithmic axis; with 2 and 5 between where there are fewer than three.
    pub(super) fn decades(&self) -> Vec<f64> {
        let exponents = self.lo.log10().floor() as i32..=self.hi.log10().ceil() as i32;
        let within = |v: &f64| *v >= self.lo * 0.999 && *v <= self.hi * 1.001;
        let tens: Vec<f64> = exponents.clone().map(|e| 10f64.powi(e)).filter(within).collect();
        if tens.len() >= 3 {
            return tens;
        }
        exponents
            .flat_map(|e| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(e)))
            .filter(within)
            .collect()
    }
}

/// 1, 2 or 5 times a power of ten, so that four to ten of them cover the range.
fn step(range: f64) -> f64 {
    let rough = range / 4.0;
    let ten = 10f64.powf(rough.log10().floor());
    [5.0, 2.0]
        .into_iter()
        .map(|m| m * ten)
        .find(|s| *s <= rough)
        .unwrap_or(ten)
}

#[cfg(test)]
mod tests {
    use super::Axis;

    #[test]
    fn linear() {
        let axis = Axis::from_zero(37.0, 100.0, 0.0);
        assert!((axis.end() - 40.0).abs() < 1e-9);
        assert!((axis.at(0.0) - 100.0).abs() < 1e-9 && (axis.at(40.0)).abs() < 1e-9);
        assert!((axis.at(20.0) - 50.0).abs() < 1e-9 && (axis.at(400.0)).abs() < 1e-9);
        assert_eq!(axis.ticks(), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert!(Axis::from_zero(0.0, 0.0, 1.0).at(0.0).is_finite());
    }

    #[test]
    fn logarithmic() {
        let axis = Axis::between(1.0, 1000.0, true, 0.0, 300.0);
        assert!((axis.at(10.0) - 100.0).abs() < 1e-9);
        assert_eq!(axis.decades().len(), 4);
        assert_eq!(
            Axis::between(3.0, 30.0, true, 0.0, 1.0).decades(),
            [5.0, 10.0, 20.0]
        );
        assert!(Axis::between(0.0, 0.0, true, 0.0, 1.0).at(0.0).is_finite());
    }
}
