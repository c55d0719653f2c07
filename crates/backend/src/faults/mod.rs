//! Faults that any preset can be given: time, a bounded queue, leaks, and answers that are wrong, late or cut off. They stand before
//! the preset and see only HTTP; all are off by default. Which request is hit depends on the seed and on its number alone.

mod harm;
mod held;
mod knobs;
mod layer;
mod leak;
mod plan;
mod unknown;

pub(crate) use knobs::COMMON_KNOBS;
pub(crate) use layer::{Faults, Passage};
pub(crate) use plan::Plan;
pub(crate) use unknown::Known;
