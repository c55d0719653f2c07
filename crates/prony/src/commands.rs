//! What each command does. One file per command; each turns its arguments into an exit code or a diagnostic.

pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod judge;
pub(crate) mod load;
pub(crate) mod man;
pub(crate) mod model;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod serve;
