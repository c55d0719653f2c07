//! How long a run takes: said before it starts, and kept to.
//!
//! Some experiments take as long as their requests take, others as long as they are given. The plan counts on the usual time
//! of the first; what they leave over, or take too much, the others get more or less of. Once the first answers have shown how
//! slow the target is, the plan is made anew, once. Reads no clock: it is told the time.

use std::time::Duration;

use prony_experiments::{ExperimentDef, Time};
use prony_model::{Budget, Suite};

/// Discovery aside: the null target, looking at the system, writing reports.
const AROUND_S: f64 = 2.0;

/// Least share of its default that an experiment is given however late it is.
const SHARE_LEAST: f64 = 0.25;

/// Seconds per answer up to which a target is as quick as the plan counts on.
const QUICK_ANSWER_S: f64 = 0.1;

/// The time of each experiment.
#[derive(Clone, Debug)]
pub(crate) struct Timetable {
    entries: Vec<Entry>,
    total_s: f64,
    /// Whether the person said how long it may take.
    asked: bool,
    budget: Budget,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    time: Time,
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
                    (Time::Filled { .. }, None) => Entry {
                        time: def.time,
                        usual_s: def.time.usual_s(budget),
                        most_s: None,
                    },
                    (Time::Filled { .. }, Some(seconds)) => Entry {
                        time: def.time,
                        usual_s: seconds,
                        most_s: Some(seconds),
                    },
                    (_, own_s) => Entry {
                        time: def.time,
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
            asked: asked.is_some(),
            budget,
        }
    }

    /// Makes the plan anew for the experiments from `next` on, `gone_s` after the start, on a target that takes so many seconds for
    /// an answer. The new total, where that is another: not when the person said how long it may take, nor on a quick target.
    pub(crate) fn for_slow_answers(&mut self, next: usize, gone_s: f64, answer_s: f64) -> Option<f64> {
        if self.asked || answer_s <= QUICK_ANSWER_S {
            return None;
        }
        for entry in &mut self.entries[next..] {
            let slow_s = entry.time.slow_s(self.budget, answer_s);
            entry.usual_s = match (entry.time, entry.most_s) {
                // Its own time is kept.
                (Time::Filled { .. }, Some(own_s)) => own_s,
                (_, Some(most_s)) => slow_s.min(most_s),
                (_, None) => slow_s,
            };
        }
        let later_s: f64 = self.entries[next..].iter().map(|e| e.usual_s).sum();
        self.total_s = self.total_s.max(gone_s + later_s + AROUND_S / 2.0);
        Some(self.total_s)
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

/// `45 s`, `2 min 5 s`.
pub(crate) fn lasting(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 60, seconds % 60) {
        (0, s) => format!("{s} s"),
        (m, 0) => format!("{m} min"),
        (m, s) => format!("{m} min {s} s"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
    fn a_slow_target_gets_more_time_and_the_run_keeps_to_it() {
        let (experiments, mut table) = table(json!({}));
        let planned_s = table.total_s();
        assert_eq!(
            table.for_slow_answers(1, 0.5, 0.05),
            None,
            "as quick as was counted on"
        );
        assert!((table.total_s() - planned_s).abs() < 1e-9);
        let total_s = table.for_slow_answers(1, 9.0, 2.0).unwrap();
        let later: f64 = experiments[1..]
            .iter()
            .map(|def| def.time.slow_s(Budget::Quick, 2.0))
            .sum();
        assert!(
            (total_s - 9.0 - later - AROUND_S / 2.0).abs() < 1e-9 && total_s > planned_s,
            "{total_s}"
        );
        assert!((table.give(1, 9.0) - experiments[1].time.slow_s(Budget::Quick, 2.0)).abs() < 1e-9);
        assert!((table.give(3, 30.0) - (total_s - AROUND_S / 2.0 - 30.0)).abs() < 1e-9);
    }

    #[test]
    fn a_time_that_was_asked_for_is_not_made_longer() {
        let (experiments, _) = table(json!({}));
        let mut table = Timetable::new(&experiments, &Suite::default(), Some(Duration::from_secs(20)));
        assert_eq!(table.for_slow_answers(1, 9.0, 2.0), None);
        assert!((table.total_s() - 20.0).abs() < 1e-9);
    }

    #[test]
    fn a_time_of_its_own_is_kept() {
        let (_, mut table) = table(json!({"duration_s": 1.5}));
        table.for_slow_answers(1, 5.0, 3.0);
        assert!((table.give(1, 0.0) - 1.5).abs() < 1e-9);
        assert!(table.is_filled());
    }
}
