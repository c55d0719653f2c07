//! What is wrong with a specification or with a file that it names.

/// A mistake of the person, with the key that it is at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct PromptError {
    /// Key below the scenario's table, such as `prompt.tokens`; empty for the table itself.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub next: String,
}

impl PromptError {
    pub(crate) fn new(key: impl Into<String>, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            what: what.into(),
            next: next.into(),
        }
    }
}
