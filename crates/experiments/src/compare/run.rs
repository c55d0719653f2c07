//! What one run boils down to: a quantile each, the throughput, the length of its answers. It compares nothing.

use prony_model::{Nanos, PhaseResult, Sample};
use prony_stats::{mean, order, sequential};

use crate::timings::{Tally, Timings};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Metric {
    /// A percentile of the response time of good answers.
    Quantile(f64),
    /// Good answers per second.
    Goodput,
}

impl Metric {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [
        Self::Quantile(0.5),
        Self::Quantile(0.95),
        Self::Quantile(0.99),
        Self::Goodput,
    ];

    /// Its name, as part of a finding's id too.
    pub(super) fn name(self) -> String {
        match self {
            Self::Quantile(p) => format!("p{}", (100.0 * p).round()),
            Self::Goodput => "goodput".to_owned(),
        }
    }

    /// Change that matters when nobody says otherwise, as a share.
    pub(super) fn margin(self) -> f64 {
        match self {
            Self::Quantile(p) if p > 0.5 => 0.10,
            _ => 0.05,
        }
    }

    /// Good answers that a run needs: those of MLPerf's rule with one value beyond the quantile.
    pub(super) fn needed(self) -> usize {
        match self {
            Self::Quantile(p) => sequential::needed(p, 1, 0.99) as usize,
            Self::Goodput => 10,
        }
    }
}

/// The figures of one run.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Response times of good answers in ms, ascending.
    response_ms: Vec<f64>,
    /// Good answers per second.
    per_s: f64,
    /// Mean length of the bodies of good answers; NaN without one.
    pub bytes: f64,
    /// How its requests ended.
    pub tally: Tally,
}

impl Run {
    /// Of a phase without its first `warm_up_s` seconds.
    pub(super) fn of(phase: &PhaseResult, warm_up_s: f64) -> Self {
        let from = phase.summary.started + Nanos::from_secs_f64(warm_up_s);
        let counted = phase.samples.partition_point(|s| s.intended < from);
        let times = Timings::slice(&phase.samples[counted..]);
        let mut response_ms = times.response_ms();
        response_ms.sort_unstable_by(f64::total_cmp);
        let lengths: Vec<f64> = times.good().map(|s: &Sample| f64::from(s.bytes_in)).collect();
        Self {
            response_ms,
            per_s: times.per_s(),
            bytes: mean(&lengths),
            tally: times.tally(),
        }
    }

    /// Good answers.
    pub(super) fn good(&self) -> usize {
        self.response_ms.len()
    }

    /// The metric's value; `None` with too few good answers.
    pub(super) fn value(&self, metric: Metric) -> Option<f64> {
        if self.good() < metric.needed() {
            return None;
        }
        let value = match metric {
            Metric::Quantile(p) => self.response_ms[order::nearest_rank(p, self.good() as u64) as usize - 1],
            Metric::Goodput => self.per_s,
        };
        (value > 0.0).then_some(value)
    }
}
