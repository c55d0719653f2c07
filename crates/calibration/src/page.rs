//! The table of all cases, as a page of the documentation.

use std::fmt::Write;

use crate::effort::Effort;
use crate::measure::{Case, Measure};

/// The page, in Markdown.
pub(crate) fn page(cases: &[(&Case, Vec<Measure>)], effort: Effort) -> String {
    let all: Vec<&Measure> = cases.iter().flat_map(|(_, measures)| measures).collect();
    let held = all.iter().filter(|m| m.holds(effort)).count();
    let mut page = String::from(
        "# Calibration\n\n\
         How often Prony's conclusions are right. Each line was counted in simulated time, against servers and series whose \
         truth is known, from fixed seeds: the same command gives the same table. Rates are shares of runs.\n\n\
         Made by `cargo xtask calibrate`.\n\n",
    );
    if !effort.is_full() {
        page.push_str(
            "**The short form**: a rate is called missed only where chance does not explain it.\n\n",
        );
    }
    let _ = writeln!(page, "{held} of {} criteria hold.", all.len());
    let mut question = "";
    for (case, measures) in cases {
        if case.question != question {
            question = case.question;
            let _ = writeln!(page, "\n## {question}");
        }
        let _ = writeln!(page, "\n{}\n", case.criterion);
        page.push_str("| what | measured | must be | holds |\n|---|---|---|---|\n");
        for measure in measures {
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} |",
                measure.what,
                measure.shown(),
                measure.limit(),
                if measure.holds(effort) { "yes" } else { "**no**" }
            );
        }
    }
    page
}
