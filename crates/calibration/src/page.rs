//! The table of all cases, as a page of the documentation.

use std::collections::BTreeMap;
use std::fmt::Write;

use prony_stats::binomial;

use crate::effort::Effort;
use crate::elsewhere::PROOFS;
use crate::measure::{Bound, Case, Kind, Measure};

/// What a case measured, and how long it took.
pub(crate) struct Done {
    pub case: &'static Case,
    pub measures: Vec<Measure>,
    pub took_s: f64,
}

/// How the page was made, and how to read it. `{runs}` and `{took}` are filled in.
const OPENING: &str = "\
# Calibration

How often Prony's conclusions are right. Every line was counted in simulated time, with the code that a real run uses (engine,
experiments, verdicts), against servers and series whose truth is known.

- **Made by** `cargo xtask calibrate`, which writes this page. `cargo xtask calibrate capacity leak` counts only these questions,
  and prints. `cargo xtask calibrate --short` makes a tenth of the runs and is part of `./test`; there a rate counts as missed only
  where chance does not explain it (99 % interval).
- **Seeds** are 0, 1, 2, ... in every row, as many as the row has runs. Nothing is left out or tried again: the same command gives
  the same figures. The only figure that differs is the time.
- **A rate** is a share of runs; behind it stands its 95 % interval (Clopper-Pearson), which says how firm so many runs make it. A
  row holds when the rate itself keeps to its bound.
- **Kinds**: *false alarm*, a fault is seen where there is none; *false pass*, something passes that should not; *power*, what is
  there is found; *coverage*, the interval holds the truth; *accuracy*, a figure comes near the truth; *promise*, the experiment
  keeps to its time and its books; *control*, what must go wrong without the procedure, so that the row beside it shows something.
";

/// The page, in Markdown.
pub(crate) fn page(done: &[Done], effort: Effort) -> String {
    let all: Vec<&Measure> = done.iter().flat_map(|d| &d.measures).collect();
    let held = all.iter().filter(|m| m.holds(effort)).count();
    let mut page = String::from(OPENING);
    if !effort.is_full() {
        page.push_str(
            "\n**The short form**: a rate is called missed only where chance does not explain it.\n",
        );
    }
    let _ = writeln!(
        page,
        "\n**{held} of {} criteria hold.** It took {} on {} cores.\n",
        all.len(),
        time(done.iter().map(|d| d.took_s).sum()),
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    overview(&mut page, done, effort);
    let mut question = "";
    for one in done {
        if one.case.question != question {
            question = one.case.question;
            let _ = writeln!(page, "\n## {question}");
        }
        let _ = writeln!(page, "\n{}\n", one.case.criterion);
        if !one.case.remark.is_empty() {
            let _ = writeln!(page, "*{}*\n", one.case.remark);
        }
        page.push_str(
            "| what | kind | measured | 95 % interval | must be | holds |\n|---|---|---|---|---|---|\n",
        );
        for measure in &one.measures {
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} | {} | {} |",
                measure.what,
                measure.kind.word(),
                measure.shown(),
                measure.interval().unwrap_or_default(),
                measure.limit(),
                yes(measure.holds(effort))
            );
        }
    }
    elsewhere(&mut page);
    page
}

/// One line for each question, with its worst rates.
fn overview(page: &mut String, done: &[Done], effort: Effort) {
    page.push_str(
        "The worst rate of each question, and the bound of that row:\n\n\
         | question | criteria that hold | false alarm or false pass | power | coverage | time |\n|---|---|---|---|---|---|\n",
    );
    let mut questions: BTreeMap<usize, (&str, Vec<&Done>)> = BTreeMap::new();
    for one in done {
        let first = done.iter().position(|d| d.case.question == one.case.question);
        questions
            .entry(first.unwrap_or_default())
            .or_insert((one.case.question, Vec::new()))
            .1
            .push(one);
    }
    for (question, of) in questions.values() {
        let measures: Vec<&Measure> = of.iter().flat_map(|d| &d.measures).collect();
        let held = measures.iter().filter(|m| m.holds(effort)).count();
        let worst = |kinds: &[Kind]| -> String {
            measures
                .iter()
                .filter(|m| kinds.contains(&m.kind) && m.of.is_some())
                .min_by(|a, b| a.room().total_cmp(&b.room()))
                .map_or_else(String::new, |m| format!("{} ({})", m.shown(), m.limit()))
        };
        let _ = writeln!(
            page,
            "| [{question}](#{question}) | {held} of {}{} | {} | {} | {} | {} |",
            measures.len(),
            if held < measures.len() {
                " **(missed)**"
            } else {
                ""
            },
            worst(&[Kind::FalseAlarm, Kind::FalsePass]),
            worst(&[Kind::Power]),
            worst(&[Kind::Coverage]),
            time(of.iter().map(|d| d.took_s).sum())
        );
    }
}

/// What other tests show, and what nothing shows yet.
fn elsewhere(page: &mut String) {
    page.push_str(
        "\n## Shown by other tests\n\n\
         What takes a real process, a real clock or another tool, or is exact and needs no counting. `./test` runs all of them; this \
         page does not know how they ended.\n\n\
         | question | criterion | test | remark |\n|---|---|---|---|\n",
    );
    for proof in PROOFS {
        let _ = writeln!(
            page,
            "| {} | {} | [{}](../{}) | {} |",
            proof.question, proof.criterion, proof.test, proof.file, proof.remark
        );
    }
    page.push_str(NOT_YET);
}

/// What is claimed nowhere.
const NOT_YET: &str = "
## Not yet

- **Power and cost** per token or request: there is no such experiment yet, so nothing is calibrated.
- **A hundred runs of the overloaded and of the idle generator**: `./test` makes five of each.
";

fn yes(holds: bool) -> &'static str {
    if holds { "yes" } else { "**no**" }
}

fn time(seconds: f64) -> String {
    if seconds < 60.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.0} min", seconds / 60.0)
    }
}

impl Measure {
    /// The 95 % interval of a rate, in per cent.
    fn interval(&self) -> Option<String> {
        let of = self.of?;
        let hits = (self.value * of as f64).round() as u64;
        let (low, high) = binomial::clopper_pearson(hits, of, 0.95);
        Some(format!("{:.1} to {:.1} %", 100.0 * low, 100.0 * high))
    }

    /// How far a rate is from its bound, on the good side.
    fn room(&self) -> f64 {
        match self.bound {
            Bound::AtMost(most) => most - self.value,
            Bound::AtLeast(least) => self.value - least,
            Bound::Between(least, most) => (self.value - least).min(most - self.value),
        }
    }
}
