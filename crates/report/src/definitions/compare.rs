//! Our numbers beside those that another tool would print of the same answers, each with the reason where they differ.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::restated::{Restated, TimeStats, is_ours};
use super::{Definition, Percentile};

/// Numbers that differ up to this share are called equal.
const SAME: f64 = 0.005;

/// What a number is about; a tool's definition differs by group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// How many succeeded.
    Success,
    /// How long it took.
    Duration,
    /// How many tokens.
    Tokens,
    /// How much per second.
    Rate,
    /// Time to first token.
    Ttft,
    /// Time per output token.
    Tpot,
    /// Inter-token latency.
    Itl,
    /// End-to-end latency.
    E2e,
}

/// A number here and there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
    /// What it is about.
    pub group: Group,
    /// What it is.
    pub label: String,
    /// Its unit.
    pub unit: String,
    /// By our definitions; `None` when there is none.
    pub ours: Option<f64>,
    /// By theirs; `None` when there is none, or when it is a request that failed.
    pub theirs: Option<f64>,
    /// Why they differ; empty when they do not.
    pub why: String,
}

impl Compared {
    /// How far theirs is from ours, as a share of ours; infinite when only one has a number.
    pub fn distance(&self) -> f64 {
        match (self.ours, self.theirs) {
            (None, None) => 0.0,
            (Some(ours), Some(theirs)) if (ours - theirs).abs() < 1e-12 => 0.0,
            (Some(ours), Some(theirs)) if ours.abs() > 0.0 => ((theirs - ours) / ours).abs(),
            _ => f64::INFINITY,
        }
    }
}

/// Every number of `theirs` beside ours.
pub(crate) fn compare(definition: &Definition, ours: &Restated, theirs: &Restated) -> Vec<Compared> {
    let both = |of: &dyn Fn(&Restated) -> Option<f64>| (of(ours), of(theirs));
    let count = |of: fn(&Restated) -> u64| (Some(of(ours) as f64), Some(of(theirs) as f64));
    let mut rows = vec![
        row(Group::Success, "Successful requests", "", count(|r| r.ok)),
        row(Group::Success, "Failed requests", "", count(|r| r.failed)),
        row(Group::Duration, "Duration", "s", both(&|r| Some(r.duration_s))),
        row(
            Group::Tokens,
            "Total input tokens",
            "",
            both(&|r| r.input_tokens.map(|n| n as f64)),
        ),
        row(
            Group::Tokens,
            "Total output tokens",
            "",
            count(|r| r.output_tokens),
        ),
        row(
            Group::Rate,
            "Request throughput",
            "1/s",
            both(&|r| Some(r.requests_per_s())),
        ),
        row(
            Group::Rate,
            "Output token throughput",
            "1/s",
            both(&|r| Some(r.output_per_s())),
        ),
        row(
            Group::Rate,
            "Total token throughput",
            "1/s",
            both(&Restated::total_per_s),
        ),
    ];
    times(&mut rows, Group::Ttft, "TTFT", |r| r.ttft.as_ref(), ours, theirs);
    times(&mut rows, Group::Tpot, "TPOT", |r| r.tpot.as_ref(), ours, theirs);
    times(&mut rows, Group::Itl, "ITL", |r| r.itl.as_ref(), ours, theirs);
    times(&mut rows, Group::E2e, "E2EL", |r| r.e2e.as_ref(), ours, theirs);
    for row in &mut rows {
        let differs = row.distance() > SAME && !is_ours(definition);
        row.why = if differs {
            reason(definition, row, theirs)
        } else {
            String::new()
        };
    }
    rows
}

fn reason(definition: &Definition, row: &Compared, theirs: &Restated) -> String {
    let failed = definition.percentile == Percentile::FailuresLast && theirs.failed > 0;
    if row.theirs.is_none() && failed && matches!(row.group, Group::Ttft | Group::Tpot | Group::E2e) {
        return format!(
            "so many of its queries failed that this percentile is one of them; {}",
            definition.reason(row.group)
        );
    }
    definition.reason(row.group).to_owned()
}

fn row(group: Group, label: &str, unit: &str, (ours, theirs): (Option<f64>, Option<f64>)) -> Compared {
    Compared {
        group,
        label: label.to_owned(),
        unit: unit.to_owned(),
        ours,
        theirs,
        why: String::new(),
    }
}

/// Mean, median and 99th percentile, where one of the two has any.
fn times(
    rows: &mut Vec<Compared>,
    group: Group,
    name: &str,
    of: fn(&Restated) -> Option<&TimeStats>,
    ours: &Restated,
    theirs: &Restated,
) {
    let (ours, theirs) = (of(ours), of(theirs));
    if ours.is_none() && theirs.is_none() {
        return;
    }
    let mut add = |label: String, value: &dyn Fn(&TimeStats) -> Option<f64>| {
        rows.push(row(
            group,
            &label,
            "ms",
            (ours.and_then(value), theirs.and_then(value)),
        ));
    };
    add(format!("Mean {name}"), &|t| Some(t.mean));
    add(format!("Median {name}"), &|t| t.at(50.0));
    add(format!("P99 {name}"), &|t| t.at(99.0));
}
