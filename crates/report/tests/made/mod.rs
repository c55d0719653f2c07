//! Runs made by hand.

pub(crate) mod advised;
pub(crate) mod rich;
pub(crate) mod streams;
