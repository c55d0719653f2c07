//! Runs made by hand.

pub(crate) mod rich;
