//! Every criterion, in the order of the page. Adding one is one entry here.

mod cold_start;
mod memory;
mod percentiles;

use crate::measure::Case;

/// All cases; those of a question stand together.
pub(crate) static CASES: &[Case] = &[
    percentiles::COVERAGE,
    memory::FALSE_LEAKS,
    memory::LEAKS,
    memory::NOISE,
    memory::CONCLUSIONS,
    memory::RESTARTS,
    cold_start::CAUSES,
];
