//! The routes of the platform, and the way of a request to its handler.

mod ask;
mod images;
mod inference;
mod jobs;
mod models;
mod router;
mod service;

pub(crate) use ask::{Ask, refuse};
pub(crate) use router::{answer, find};
