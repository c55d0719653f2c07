//! What a user can get wrong, and what this machine can refuse. A target's failures are samples, never errors.

use prony_wire::WireError;

use crate::TableError;

/// A phase or target that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The URL, a request, the certificate file or the host name.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The target is not on this machine and was not allowed by name.
    #[error(
        "{host} ({address}) is not this machine; load against other hosts must be allowed by name: --allow-host {host}"
    )]
    NotAllowed {
        /// The host as given.
        host: String,
        /// What it resolved to.
        address: String,
    },
    /// A server within this process that was described wrongly.
    #[error("{why}")]
    Inner {
        /// What is wrong and what would be right.
        why: String,
    },
    /// A phase that holds nothing to send, or never ends.
    #[error("phase {phase:?}: {why}")]
    Phase {
        /// Name of the phase.
        phase: String,
        /// What is wrong and what would be right.
        why: String,
    },
    /// A file of rows, for a feed or a trace, that cannot be used.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A scenario whose feeds, steps or placeholders do not fit together.
    #[error("scenario {scenario:?}: {why}")]
    Script {
        /// Name of the scenario.
        scenario: String,
        /// What is wrong.
        why: String,
        /// The name that is not known; empty when no name is the matter.
        word: String,
        /// The names that are.
        known: Vec<String>,
    },
    /// A body check that cannot be compiled.
    #[error("scenario {scenario:?}: {why}")]
    Check {
        /// Name of the scenario.
        scenario: String,
        /// What is wrong.
        why: String,
    },
    /// The process may not open the files that the connections need.
    #[error(
        "{connections} connections need {needed} open files, but this process may open {limit}: allow more with `ulimit -n \
         {needed}` (as root, or in /etc/security/limits.conf), or use fewer connections"
    )]
    Descriptors {
        /// Connections asked for.
        connections: u64,
        /// Files that they need, with those that are open anyway.
        needed: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The operating system refused a thread.
    #[error("a worker thread cannot start: {why}")]
    Thread {
        /// The system's words.
        why: String,
    },
}
