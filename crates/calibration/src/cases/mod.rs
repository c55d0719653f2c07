//! Every criterion, in the order of the page. Adding one is one entry here.

mod percentiles;

use crate::measure::Case;

/// All cases; those of a question stand together.
pub(crate) static CASES: &[Case] = &[percentiles::COVERAGE];
