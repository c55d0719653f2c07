//! An object store that speaks S3: one bucket, which is a folder on disk that others may read and write as well. Requests must be
//! signed (Signature Version 4), bodies and checksums are checked, errors are S3's. It knows no preset.

mod auth;
mod checksums;
mod chunked;
mod conditions;
mod errors;
mod knobs;
mod listing;
mod multipart;
mod objects;
mod server;
mod writing;
mod xml;

pub(crate) use knobs::KNOBS;
pub(crate) use server::Store;
