//! Other people's numbers, held against what such numbers can show.
//!
//! Input is either claims (a statement with the numbers that it rests on) or requests (one record each). A rule is a pure
//! function over numbers, in one file; it must not know whose numbers they are, nor where they were read from.

mod arithmetic;
mod cause;
mod claim;
mod compare;
mod judge;
mod little;
mod memory;
mod no_work;
mod outcomes;
mod overlap;
mod percentile;
mod phrases;
mod requests;
mod rule;
mod service;
mod stability;
mod success;
mod throughput;

pub use claim::{Claim, MEASURES, Measure, MeasureDef, Over, Statistic};
pub use judge::{Judged, judge_claims};
pub use requests::{Cell, Ended, Record, Requests, judge_requests};
pub use rule::RuleDef;

/// Every rule, in the order in which their objections are told when they weigh the same. Adding one is one file and one
/// line here.
pub static RULES: &[&RuleDef] = &[
    &arithmetic::DEF,
    &little::DEF,
    &throughput::DEF,
    &outcomes::DEF,
    &service::DEF,
    &cause::DEF,
    &compare::DEF,
    &no_work::DEF,
    &overlap::CONCURRENCY,
    &overlap::SPEED_UP,
    &memory::DEF,
    &stability::DEF,
    &success::DEF,
    &percentile::DEF,
];

#[cfg(test)]
mod tests;
