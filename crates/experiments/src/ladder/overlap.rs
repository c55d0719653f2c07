//! Two things beside the number served at once: whether the client's requests overlapped, which the server has no part in, and
//! how far apart the answers of a burst end, which is the time of one request over the number served at once.

use prony_model::PhaseResult;
use prony_stats::{mean, paired};

use crate::burst::{self, staircases};
use crate::timings::{Timings, in_flight_max};

/// How the client's requests overlapped. It proves that they were sent together, not that they were served together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Overlap {
    /// Most between sent and done at one moment.
    pub most: u32,
    /// Sum of the times between sent and done over the time from the first of them to the last: the mean number under way.
    pub factor: f64,
}

/// The overlap of some requests.
pub(super) fn overlap(times: Timings<'_>) -> Overlap {
    let spans: f64 = times
        .samples()
        .filter(|s| !s.outcome.is_own())
        .map(|s| s.service().as_secs_f64())
        .sum();
    Overlap {
        most: in_flight_max(times.samples()),
        factor: spans / times.span_s(),
    }
}

/// How far apart the answers of a burst end: the slope of the time of an end on its rank, time alone over served at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Staircase {
    /// Mean slope over the bursts, in ms.
    pub tread_ms: f64,
    /// Its 95 % interval over the bursts.
    pub interval: (f64, f64),
    /// Bursts.
    pub bursts: usize,
}

/// The staircase of the bursts of a phase; `None` of fewer than two with four good answers.
pub(super) fn staircase(turns: &PhaseResult) -> Option<Staircase> {
    let treads: Vec<f64> = staircases(turns)
        .iter()
        .filter_map(burst::Staircase::tread_ms)
        .collect();
    let found = paired::interval(&treads, 0.95)?;
    Some(Staircase {
        tread_ms: mean(&treads),
        interval: (found.low.max(0.0), found.high),
        bursts: treads.len(),
    })
}
