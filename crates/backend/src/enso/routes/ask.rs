//! What a handler is given, the slide it asks for, and the refusals that handlers share.

use axum::body::Bytes;
use axum::http::StatusCode;
use serde_json::Value;

use super::super::app::{Answer, Enso};
use super::super::slides::Slide;
use crate::fastapi::body::Body;
use crate::fastapi::params::Query;
use crate::fastapi::reply::Reply;

/// Most characters of an id in a body, as the application declares it.
const ID_MAX: usize = 256;
/// Longest stretch of an unknown id that the fixed server repeats in an error.
const ECHO_MAX: usize = 64;

/// What a handler is given.
#[derive(Debug)]
pub(crate) struct Ask {
    /// Path parameters in order.
    pub(crate) params: Vec<String>,
    /// The query string.
    pub(crate) query: Query,
    /// The body, if the route reads one.
    pub(crate) body: Bytes,
    /// Its declared type.
    pub(crate) content_type: Option<String>,
}

impl Ask {
    /// The body as JSON fields.
    pub(super) fn fields(&self, server: &Enso) -> Result<Body, Reply> {
        Body::decode(
            &self.body,
            self.content_type.as_deref(),
            server.config.lenient_input,
        )
    }

    /// The path parameter at `index`.
    pub(super) fn param(&self, index: usize) -> &str {
        self.params.get(index).map_or("", String::as_str)
    }
}

impl Enso {
    /// The slide of that id, or the answer that refuses it. As observed, an id becomes a file name first and the file system's
    /// complaint about its length is caught by nobody.
    pub(super) fn slide(&self, id: &str, missing: impl FnOnce(&str) -> String) -> Result<&Slide, Reply> {
        if let Some(slide) = self.cohort.find(id) {
            return Ok(slide);
        }
        if self.config.long_id_500 && is_name_too_long(id) {
            return Err(Reply::unhandled());
        }
        if self.config.lenient_input || id.chars().count() <= ECHO_MAX {
            return Err(Reply::not_found(missing(id)));
        }
        let short: String = id.chars().take(ECHO_MAX).chain(['…']).collect();
        Err(Reply::not_found(missing(&short)))
    }

    /// The bound on `slide_id` in bodies.
    pub(super) fn id_max(&self) -> Option<usize> {
        (!self.config.long_id_500).then_some(ID_MAX)
    }
}

/// Asks the file system about `<id>.npy`. Only a plain name is tried: an id that is a path is no slide here or anywhere.
fn is_name_too_long(id: &str) -> bool {
    let longest = id.split('/').max_by_key(|part| part.len()).unwrap_or_default();
    if longest.contains('\0') {
        return false;
    }
    let probe = std::env::temp_dir().join(format!("{longest}.npy"));
    std::fs::symlink_metadata(probe).is_err_and(|error| error.kind() == std::io::ErrorKind::InvalidFilename)
}

/// The usual 404.
pub(super) fn slide_missing(id: &str) -> String {
    format!("Slide {id} not found")
}

/// The 404 of image routes.
pub(super) fn image_missing(id: &str) -> String {
    format!("WSI file not found for slide {id}")
}

/// Refuses when there are problems.
pub(super) fn checked(problems: &[Value]) -> Result<(), Reply> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Reply::invalid(problems))
    }
}

/// What a failed encoder is answered with.
pub(super) fn failed(what: &str, error: &dyn std::fmt::Display) -> Reply {
    Reply::detail(
        StatusCode::INTERNAL_SERVER_ERROR,
        format!("Failed to generate {what}: {error}"),
    )
}

/// Turns a handler that may refuse into one that answers.
pub(super) fn settled(outcome: Result<Answer, Reply>) -> Answer {
    outcome.unwrap_or_else(Answer::from)
}
