//! What `prony judge --json` prints, and what its text is made from.

use prony_experiments::imported::Judged;
use prony_model::{Finding, Verdict};
use schemars::JsonSchema;
use serde::Serialize;

use crate::text::clean;

/// The result of `prony judge`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct JudgeDocument {
    /// Version of this format.
    pub format: u32,
    /// Version of Prony.
    pub prony: String,
    /// The file that was judged, as it was named.
    pub file: String,
    /// What the file holds.
    pub holds: HeldKind,
    /// The worst of the rows.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub because: String,
    /// One for each claim; or, of requests, one for each thing that was looked at.
    pub rows: Vec<JudgedRow>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HeldKind {
    /// Claims.
    Claims,
    /// Requests.
    Requests,
}

/// A claim, or one thing about requests, with what was found.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct JudgedRow {
    /// Its name.
    pub id: String,
    /// The claim in the report's words; empty when it was not given.
    pub claim: String,
    /// PASS: supported. INCONCLUSIVE: not supported, not contradicted. FAIL: contradicted. INVALID: cannot be.
    pub verdict: Verdict,
    /// The worst first. Each has one plain sentence as its title.
    pub findings: Vec<Finding>,
}

impl JudgeDocument {
    /// The current format.
    pub(crate) const FORMAT: u32 = 1;

    /// Of claims.
    pub(super) fn of_claims(file: &str, judged: Vec<Judged>) -> Self {
        Self::new(file, HeldKind::Claims, judged)
    }

    /// Of requests.
    pub(super) fn of_requests(file: &str, judged: Vec<Judged>) -> Self {
        Self::new(file, HeldKind::Requests, judged)
    }

    fn new(file: &str, holds: HeldKind, judged: Vec<Judged>) -> Self {
        let rows: Vec<JudgedRow> = judged
            .into_iter()
            .map(|row| JudgedRow {
                id: row.id,
                claim: row.says,
                verdict: row.verdict,
                findings: row.findings,
            })
            .collect();
        Self {
            format: Self::FORMAT,
            prony: env!("CARGO_PKG_VERSION").to_owned(),
            file: clean(file, 300),
            holds,
            verdict: Verdict::worst(rows.iter().map(|row| row.verdict)),
            because: because(holds, &rows),
            rows,
        }
    }
}

/// How many rows ended how, in words; what none did is left out.
fn because(holds: HeldKind, rows: &[JudgedRow]) -> String {
    let words: [(Verdict, &str, &str); 5] = match holds {
        HeldKind::Claims => [
            (
                Verdict::Invalid,
                "cannot be what it says",
                "cannot be what they say",
            ),
            (
                Verdict::Fail,
                "is contradicted by its own numbers",
                "are contradicted by their own numbers",
            ),
            (
                Verdict::Inconclusive,
                "is not supported by its numbers",
                "are not supported by their numbers",
            ),
            (
                Verdict::Warn,
                "is supported with a reservation",
                "are supported with a reservation",
            ),
            (Verdict::Pass, "is supported", "are supported"),
        ],
        HeldKind::Requests => [
            (Verdict::Invalid, "cannot be trusted", "cannot be trusted"),
            (Verdict::Fail, "is contradicted", "are contradicted"),
            (
                Verdict::Inconclusive,
                "is not decided by the file",
                "are not decided by the file",
            ),
            (
                Verdict::Warn,
                "holds with a reservation",
                "hold with a reservation",
            ),
            (Verdict::Pass, "is clear", "are clear"),
        ],
    };
    let parts: Vec<String> = words
        .iter()
        .filter_map(|(verdict, one, many)| {
            let count = rows.iter().filter(|row| row.verdict == *verdict).count();
            (count > 0).then(|| format!("{count} {}", if count == 1 { one } else { many }))
        })
        .collect();
    let noun = match (holds, rows.len()) {
        (HeldKind::Claims, 1) => "claim",
        (HeldKind::Claims, _) => "claims",
        (HeldKind::Requests, 1) => "thing looked at",
        (HeldKind::Requests, _) => "things looked at",
    };
    format!("Of {} {noun}, {}.", rows.len(), parts.join(", "))
}
