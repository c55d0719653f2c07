//! Suite files: TOML to [`prony_model::Suite`] with places for every error, back to TOML, and to phases.
//!
//! It reads files beside the suite and nothing else: what must come from the target is fetched by the caller.

mod document;
mod expand;
mod explain;
mod form;
mod kserve;
mod launch;
mod origins;
mod print;
mod prompts;
mod read;
mod set;
mod shape;
mod template;
mod validate;

pub(crate) use expand::{expand, for_experiments, scenarios_of};
pub(crate) use launch::check_launch;
pub(crate) use print::print;
pub(crate) use read::{SuiteFile, read};

#[cfg(test)]
mod tests;
