//! The system before and after: two columns of what was seen, and why the rest was not.

use std::collections::BTreeSet;

use prony_model::SystemSnapshot;

use crate::memory::MemorySeries;
use crate::report::{SystemRow, SystemView};

/// Takes the snapshots labelled `before` and `after`, or else the first and the last.
pub(super) fn build(snapshots: &[SystemSnapshot], memory: MemorySeries) -> SystemView {
    let labelled = |label: &str| snapshots.iter().find(|s| s.label == label);
    let before = labelled("before").or_else(|| snapshots.first());
    let after = labelled("after")
        .or_else(|| snapshots.last())
        .filter(|after| before.is_some_and(|before| !std::ptr::eq(*after, before)));
    let keys: BTreeSet<&String> = before
        .into_iter()
        .chain(after)
        .flat_map(|s| s.values.keys())
        .collect();
    let mut missing: Vec<String> = Vec::new();
    for reason in snapshots.iter().flat_map(|s| &s.missing) {
        if !missing.contains(reason) {
            missing.push(reason.clone());
        }
    }
    SystemView {
        before: before.map(|s| s.label.clone()).unwrap_or_default(),
        after: after.map(|s| s.label.clone()).unwrap_or_default(),
        rows: keys
            .into_iter()
            .map(|key| SystemRow {
                key: key.clone(),
                before: before.and_then(|s| s.values.get(key).copied()),
                after: after.and_then(|s| s.values.get(key).copied()),
            })
            .collect(),
        missing,
        snapshots: snapshots.to_vec(),
        memory,
    }
}

#[cfg(test)]
mod tests {
    use prony_model::{Nanos, SystemSnapshot};

    use super::SystemView;

    fn build(snapshots: &[SystemSnapshot]) -> SystemView {
        super::build(snapshots, crate::MemorySeries::default())
    }

    fn snapshot(label: &str, values: &[(&str, f64)]) -> SystemSnapshot {
        SystemSnapshot {
            label: label.into(),
            at: Nanos(0),
            values: values.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
            missing: vec!["gpu: no device".into()],
        }
    }

    #[test]
    fn what_was_not_seen_stays_empty() {
        let view = build(&[
            snapshot("before", &[("a_bytes", 1.0)]),
            snapshot("ladder", &[("c", 9.0)]),
            snapshot("after", &[("a_bytes", 2.0), ("b", 3.0)]),
        ]);
        assert_eq!((view.before.as_str(), view.after.as_str()), ("before", "after"));
        let rows: Vec<_> = view
            .rows
            .iter()
            .map(|r| (r.key.as_str(), r.before, r.after))
            .collect();
        assert_eq!(rows, [("a_bytes", Some(1.0), Some(2.0)), ("b", None, Some(3.0))]);
        assert_eq!(view.missing, ["gpu: no device"]);
    }

    #[test]
    fn one_snapshot_has_no_after() {
        let view = build(&[snapshot("before", &[("a", 1.0)])]);
        assert_eq!(view.after, "");
        assert_eq!(view.rows[0].after, None);
        assert_eq!(build(&[]).rows.len(), 0);
    }
}
