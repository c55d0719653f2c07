//! Memory over requests: shapes whose truth is known, through the procedure alone and through the whole experiment.

mod experiment;
mod series;
mod shapes;

pub(super) use experiment::{CONCLUSIONS, RESTARTS};
pub(super) use series::{FALSE_LEAKS, LEAKS, NOISE};
