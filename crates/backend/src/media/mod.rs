//! The media server: a Model Context Protocol server for video and image generation, imitated as it was observed at commit 0cbcb0a of
//! github.com/TJC-LP/sanzaru, over streamable HTTP and over stdio, and the generation service behind it on a listener of its
//! own. Files are really written and pictures really resized; audio tools are left out.

mod app;
mod client;
mod config;
mod docs_page;
mod folder;
mod ledger;
mod mcp;
mod openapi;
mod picture;
mod tools;
mod upstream;

pub(crate) use app::start;
pub(crate) use config::{FIXED_KNOBS, OBSERVED_KNOBS};
