//! Every criterion, in the order of the page. Adding one is one entry here.

mod access;
mod cache;
mod capacity;
mod cold_start;
mod goodput;
mod integrity;
mod leak;
mod load;
mod mixture;
mod overload;
mod parallelism;
mod percentiles;
mod queue;
mod regression;
mod steady_state;
mod verdicts;

use crate::measure::Case;

/// All cases; those of a question stand together.
pub(crate) static CASES: &[Case] = &[
    load::FREEZE,
    load::CLOSED,
    percentiles::COVERAGE,
    percentiles::UNCORRECTED,
    percentiles::OBJECTIVE,
    percentiles::DEPENDENT_OBJECTIVE,
    steady_state::SETTLES,
    steady_state::QUEUE,
    steady_state::WARM_UP,
    parallelism::SERVED,
    parallelism::SERIAL,
    mixture::ONE_KIND,
    mixture::TWO_KINDS,
    regression::EQUAL,
    regression::SLOWER,
    regression::VISIBLE,
    cache::EFFECT,
    cache::HIT_RATE,
    cache::NO_CACHE,
    integrity::DAMAGE,
    access::CREDENTIALS,
    access::RATE_LIMITS,
    capacity::SEARCH,
    capacity::CURVE,
    goodput::SEARCH,
    overload::CLASSES,
    overload::GOODPUT,
    verdicts::LIMITS,
    verdicts::SUITE,
    leak::FALSE_LEAKS,
    leak::LEAKS,
    leak::NOISE,
    leak::CONCLUSIONS,
    leak::RESTARTS,
    cold_start::CAUSES,
];
