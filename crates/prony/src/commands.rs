//! What each command does. One file per command; each turns its arguments into an exit code or a diagnostic.

pub(crate) mod completions;
pub(crate) mod man;
pub(crate) mod schema;
