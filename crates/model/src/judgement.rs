//! Gates and claims after they were held against the measurements. Evaluated elsewhere; these are the results.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Claim, Figure, Gate, Verdict};

/// A gate with what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateResult {
    /// The gate as the suite states it.
    pub gate: Gate,
    /// PASS or FAIL when the whole interval lies on one side of the limit; INCONCLUSIVE when it does not or when
    /// there is no data; INVALID when the phase is.
    pub verdict: Verdict,
    /// What was measured; `None` when there was nothing to measure.
    pub measured: Option<Figure>,
    /// One plain sentence: the measured value against the limit, or why it could not be decided.
    pub says: String,
}

/// A claim of others with what the measurements say about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimResult {
    /// The claim as the suite states it.
    pub claim: Claim,
    /// Whether it may be upheld.
    pub upheld: Upheld,
    /// The numbers it was held against.
    pub measured: Vec<Figure>,
    /// Why, in plain words.
    pub says: String,
}

/// Whether a claim may be upheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Upheld {
    /// Every condition holds and no finding contradicts it.
    Yes,
    /// A condition fails, or a finding contradicts it.
    No,
    /// The measurements do not decide it.
    NotDecided,
}
