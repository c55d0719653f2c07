//! Cold starts: a platform whose workers start, stop and give up as it is told.

mod judged;
mod platform;

pub(super) use judged::CAUSES;
