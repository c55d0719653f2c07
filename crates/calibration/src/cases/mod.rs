//! Every criterion, in the order of the page. Adding one is one entry here.

mod access;
mod cache;
mod integrity;
mod percentiles;
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
    verdicts::LIMITS,
    verdicts::SUITE,
];
