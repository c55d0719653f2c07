//! An agent-memory server: a language model behind the Messages and Chat Completions APIs, with a pool of memory blocks, a prefix cache
//! that survives restarts and a scheduler that batches, imitated as github.com/yshk-mxim/agent-memory was observed at commit 965e34ce.
//! Times follow from steps, blocks and queues, not from drawn numbers. The text means nothing: it is drawn from the prompt's digest.

mod adapters;
mod agents;
mod anthropic;
mod app;
mod asked;
mod config;
mod core;
mod dialects;
mod disk;
mod engine;
mod fault;
mod fields;
mod inference;
mod ledger;
mod limits;
mod meters;
mod metrics;
mod models;
mod native;
mod openai;
mod openapi;
mod pool;
mod progress;
mod routes;
mod schemas;
mod sequence;
mod serving;
mod stream;
mod tokens;
mod turns;
mod usage;
mod vocabulary;

pub(crate) use app::start;
pub(crate) use config::{FIXED_KNOBS, OBSERVED_KNOBS};
