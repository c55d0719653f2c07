//! The outer behaviour of a FastAPI application: error envelopes, JSON decoding errors, validation messages and CORS as FastAPI 0.128
//! with pydantic 2.12 gives them. It knows nothing of what the application does.

pub(crate) mod body;
pub(crate) mod cors;
pub(crate) mod json;
pub(crate) mod params;
pub(crate) mod reply;
