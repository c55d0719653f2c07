//! Every criterion, in the order of the page. Adding one is one entry here.

mod access;
mod cache;
mod capacity;
mod cold_start;
mod integrity;
mod memory;
mod overload;
mod percentiles;
mod queue;
mod verdicts;

use crate::measure::Case;

/// All cases; those of a question stand together.
pub(crate) static CASES: &[Case] = &[
    percentiles::COVERAGE,
    cache::EFFECT,
    cache::HIT_RATE,
    cache::NO_CACHE,
    integrity::DAMAGE,
    access::CREDENTIALS,
    access::RATE_LIMITS,
    capacity::SEARCH,
    capacity::CURVE,
    overload::CLASSES,
    overload::GOODPUT,
    verdicts::LIMITS,
    verdicts::SUITE,
    memory::FALSE_LEAKS,
    memory::LEAKS,
    memory::NOISE,
    memory::CONCLUSIONS,
    memory::RESTARTS,
    cold_start::CAUSES,
];
