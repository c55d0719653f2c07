//! Every criterion, in the order of the page. Adding one is one entry here.

mod percentiles;
mod verdicts;

use crate::measure::Case;

/// All cases; those of a question stand together.
pub(crate) static CASES: &[Case] = &[percentiles::COVERAGE, verdicts::LIMITS, verdicts::SUITE];
