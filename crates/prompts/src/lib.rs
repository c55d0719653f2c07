//! Requests to language models from what a suite says: prompts of exact length, shared beginnings, data sets, traces.
//!
//! Everything is a function of the specification, the files that it names and a seed. No network, no clock; what a server
//! makes of a prompt is not known here.

mod anthropic;
mod choose;
mod corpus;
mod count;
mod dataset;
mod error;
mod fit;
mod make;
mod openai;
mod overlap;
mod picture;
mod render;
mod salt;
mod trace;
mod vocabulary;
mod wanted;
mod workload;

pub use error::PromptError;
pub use workload::{Workload, anthropic, openai};
