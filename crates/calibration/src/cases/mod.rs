//! Every criterion, in the order of the page. Adding one is one entry here.

mod capacity;
mod overload;
mod percentiles;
mod queue;
mod verdicts;

use crate::measure::Case;

/// All cases; those of a question stand together.
pub(crate) static CASES: &[Case] = &[
    percentiles::COVERAGE,
    capacity::SEARCH,
    capacity::CURVE,
    overload::CLASSES,
    overload::GOODPUT,
    verdicts::LIMITS,
    verdicts::SUITE,
];
