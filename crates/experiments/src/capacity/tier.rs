//! How much a search spends, and what that buys. Numbers only.

use prony_model::Budget;
use schemars::JsonSchema;
use serde::Deserialize;

/// How firm a capacity is to be. What each promises was counted on a queue of known capacity: docs/calibration.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TierName {
    /// About 2,300 requests. Its result is indicative only.
    Sketch,
    /// About 4,000 requests: one search in fifteen may be more than 5 % too high.
    Quick,
    /// About 14,000 requests: one in twenty.
    Standard,
    /// About 42,000 requests: one in a hundred.
    Deep,
}

/// The sizes of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tier {
    pub name: TierName,
    /// Requests of a probe at first.
    pub first: usize,
    /// How often an undecided probe may be doubled.
    pub doublings: u32,
    /// The search ends when the lowest rate that failed is at most so many times the highest that passed.
    pub bracket: f64,
    /// Requests of the confirmation.
    pub confirm: usize,
    /// Where the first confirmation is made, as a share of the highest rate that passed. The highest of several noisy passes
    /// is biased upwards, the more the shorter the probes.
    pub confirm_at: f64,
    /// Requests that a whole search takes, about.
    pub total: usize,
}

impl TierName {
    pub(super) fn of(budget: Budget) -> Self {
        match budget {
            Budget::Quick => Self::Sketch,
            Budget::Standard => Self::Quick,
            Budget::Thorough => Self::Standard,
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Sketch => "sketch",
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Deep => "deep",
        }
    }
}

impl Tier {
    /// The sizes are for p95, 5 % that may be let down; a higher quantile needs as many requests on its thin side.
    pub(super) fn new(name: TierName, allowed: f64) -> Self {
        let (first, doublings, bracket, confirm, confirm_at, total) = match name {
            TierName::Sketch => (100, 2, 1.15, 500, 0.93, 2_300),
            TierName::Quick => (100, 3, 1.15, 1_000, 0.93, 4_000),
            TierName::Standard => (300, 3, 1.07, 3_000, 1.0, 14_000),
            TierName::Deep => (500, 4, 1.05, 10_000, 1.0, 42_000),
        };
        let thin = (0.05 / allowed).max(1.0);
        let scaled = |n: usize| (n as f64 * thin).ceil() as usize;
        Self {
            name,
            first: scaled(first),
            doublings,
            bracket,
            confirm: scaled(confirm),
            confirm_at,
            total: scaled(total),
        }
    }

    /// Most requests of a probe.
    pub(super) fn probe_max(&self) -> usize {
        self.first << self.doublings
    }
}
