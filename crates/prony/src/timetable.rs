//! How long a run takes: said before it starts, and kept to.
//!
//! Some experiments take as long as their requests take, others as long as they are given. The plan counts on the usual time
//! of the first; what they leave over, or take too much, the others get more or less of. Reads no clock: it is told the time.

use std::time::Duration;

use prony_experiments::{ExperimentDef, Time};
use prony_model::Suite;

/// Discovery aside: the null target, looking at the system, writing reports.
const AROUND_S: f64 = 2.0;

/// Least share of its default that an experiment is given however late it is.
const SHARE_LEAST: f64 = 0.25;

/// The time of each experiment.
#[derive(Clone, Debug)]
pub(crate) struct Timetable {
    entries: Vec<Entry>,
    total_s: f64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// What is planned for it.
    usual_s: f64,
    /// What it may take at most; `None` when it takes what it is given.
    most_s: Option<f64>,
}

impl Timetable {
    /// A table for these experiments of a suite, in this order, for all of the time asked for, or for the usual one.
    pub(crate) fn new(experiments: &[&ExperimentDef], suite: &Suite, asked: Option<Duration>) -> Self {
        let budget = suite.run.budget;
        let entries: Vec<Entry> = experiments
            .iter()
            .map(|def| {
                let own = suite
                    .experiment
                    .get(def.name)
                    .and_then(|params| params.get("duration_s"));
                let own_s = own.and_then(serde_json::Value::as_f64);
                match (def.time, own_s) {
                    (Time::Filled(_), None) => Entry {
                        usual_s: def.time.usual_s(budget),
                        most_s: None,
                    },
                    (Time::Filled(_), Some(seconds)) => Entry {
                        usual_s: seconds,
                        most_s: Some(seconds),
                    },
                    (_, own_s) => Entry {
                        usual_s: def.time.usual_s(budget),
                        most_s: Some(own_s.unwrap_or(def.time.most_s(budget))),
                    },
                }
            })
            .collect();
        let usual_s = entries.iter().map(|e| e.usual_s).sum::<f64>() + AROUND_S;
        Self {
            total_s: asked.map_or(usual_s, |d| d.as_secs_f64()),
            entries,
        }
    }

    /// How long all of it takes.
    pub(crate) fn total_s(&self) -> f64 {
        self.total_s
    }

    /// Whether the end is certain: some experiment takes what is left.
    pub(crate) fn is_filled(&self) -> bool {
        self.entries.iter().any(|e| e.most_s.is_none())
    }

    /// Seconds for the experiment at `index`, which starts `gone_s` after the first.
    pub(crate) fn give(&self, index: usize, gone_s: f64) -> f64 {
        let left_s = (self.total_s - AROUND_S / 2.0 - gone_s).max(0.0);
        let entry = self.entries[index];
        if let Some(most_s) = entry.most_s {
            return most_s;
        }
        let later = &self.entries[index..];
        let fixed_s: f64 = later
            .iter()
            .filter(|e| e.most_s.is_some())
            .map(|e| e.usual_s)
            .sum();
        let filled_s: f64 = later
            .iter()
            .filter(|e| e.most_s.is_none())
            .map(|e| e.usual_s)
            .sum();
        let share = entry.usual_s / filled_s;
        ((left_s - fixed_s) * share).max(SHARE_LEAST * entry.usual_s)
    }
}

#[cfg(test)]
mod tests {
    use super::{AROUND_S, Timetable};
    use prony_experiments::{ExperimentDef, find};
    use prony_model::{Budget, RunSpec, Suite};
    use serde_json::json;

    fn table(params: serde_json::Value) -> (Vec<&'static ExperimentDef>, Timetable) {
        let names = ["coverage", "ladder", "burst", "sustained"];
        let experiments: Vec<_> = names.iter().filter_map(|name| find(name)).collect();
        let mut suite = Suite {
            run: RunSpec {
                budget: Budget::Quick,
                ..RunSpec::default()
            },
            ..Suite::default()
        };
        suite.experiment = names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
        suite.experiment.insert("ladder".to_owned(), params);
        let table = Timetable::new(&experiments, &suite, None);
        (experiments, table)
    }

    #[test]
    fn what_one_leaves_over_the_others_get() {
        let (experiments, table) = table(json!({}));
        let usual: Vec<f64> = experiments
            .iter()
            .map(|def| def.time.usual_s(Budget::Quick))
            .collect();
        assert!((table.total_s() - usual.iter().sum::<f64>() - AROUND_S).abs() < 1e-9);
        // As planned: each gets its default, give or take what surrounds the run.
        let on_time = table.give(1, usual[0] + AROUND_S / 2.0);
        assert!((on_time - usual[1]).abs() < 1e-9, "{on_time}");
        // The last takes all that is left, so that the run ends when it said.
        for gone in [3.0, 8.0, 12.0] {
            let last = table.give(3, gone);
            let left = table.total_s() - AROUND_S / 2.0 - gone;
            assert!((last - left.max(0.25 * usual[3])).abs() < 1e-9, "{gone}: {last}");
        }
    }

    #[test]
    fn a_time_of_its_own_is_kept() {
        let (_, table) = table(json!({"duration_s": 1.5}));
        assert!((table.give(1, 0.0) - 1.5).abs() < 1e-9);
        assert!(table.is_filled());
    }
}
