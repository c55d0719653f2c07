//! The five verdicts and the process exit codes.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The verdict of a check, worst last: `INVALID > FAIL > INCONCLUSIVE > WARN > PASS`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Holds, at the pessimistic end of its interval.
    #[default]
    Pass,
    /// Holds, with a reservation.
    Warn,
    /// The measurement is sound but too small to decide.
    Inconclusive,
    /// Does not hold, even at the optimistic end of its interval.
    Fail,
    /// The measurement itself cannot be trusted.
    Invalid,
}

impl Verdict {
    /// The worst of several; `Pass` of none.
    pub fn worst(verdicts: impl IntoIterator<Item = Self>) -> Self {
        verdicts.into_iter().max().unwrap_or_default()
    }

    /// The exit code of a run that ends so.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Pass => ExitCode::Pass,
            Self::Warn => ExitCode::Warn,
            Self::Inconclusive => ExitCode::Inconclusive,
            Self::Fail => ExitCode::Fail,
            Self::Invalid => ExitCode::Invalid,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Fail => "FAIL",
            Self::Invalid => "INVALID",
        })
    }
}

/// What the process exits with: the one table, for code, help and docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// All required checks passed.
    Pass = 0,
    /// At least one required check failed.
    Fail = 1,
    /// Passed with warnings.
    Warn = 2,
    /// Too little data to decide.
    Inconclusive = 3,
    /// The measurement cannot be trusted.
    Invalid = 4,
    /// Wrong flag, config or input.
    Usage = 64,
    /// The target could not be reached.
    Unreachable = 69,
    /// A bug in Prony.
    Bug = 70,
    /// Interrupted; the partial report was written.
    Interrupted = 130,
}

impl ExitCode {
    /// Every code with what it means, in order.
    pub const TABLE: &'static [(Self, &'static str)] = &[
        (Self::Pass, "all required checks passed"),
        (Self::Fail, "at least one required check failed"),
        (Self::Warn, "passed with warnings"),
        (Self::Inconclusive, "too little data to decide"),
        (Self::Invalid, "the measurement itself cannot be trusted"),
        (Self::Usage, "wrong flag, config or input"),
        (Self::Unreachable, "the target could not be reached"),
        (Self::Bug, "a bug in Prony"),
        (Self::Interrupted, "interrupted; the partial report was written"),
    ];
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[test]
    fn invalid_dominates() {
        use Verdict::{Fail, Inconclusive, Invalid, Pass, Warn};
        assert!(Invalid > Fail && Fail > Inconclusive && Inconclusive > Warn && Warn > Pass);
        assert_eq!(Verdict::worst([Pass, Warn, Inconclusive]), Inconclusive);
        assert_eq!(Verdict::worst([]), Pass);
    }
}
