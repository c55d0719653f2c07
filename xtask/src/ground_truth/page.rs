//! The table as a Markdown page. It judges nothing.

use std::fmt::Write as _;

use super::Table;

/// The page.
pub(super) fn text(table: &Table, seeds: u64, presets: &[String]) -> String {
    let tried: usize = table.rows.iter().map(|row| row.found.len()).sum();
    let found: usize = table
        .rows
        .iter()
        .map(|row| row.found.iter().filter(|found| found.is_ok()).count())
        .sum();
    let clean: usize = table.clean_runs.iter().map(|(_, runs)| runs).sum();
    let only = if presets.is_empty() {
        String::new()
    } else {
        format!(" --preset {}", presets.join(","))
    };
    let mut out = format!(
        "# Ground truth\n\nEvery preset of the reference backend exists twice: as observed, with planted defects, and as `NAME-fixed`, \
         the same without them. Both\nwere served, and checked by a program that was told nothing but the URL. Which finding proves a \
         defect is written in\n[xtask/ground-truth.toml](../xtask/ground-truth.toml). On the fixed twin every FAIL and WARN counts as a false \
         alarm, and so does\na finding that would have proved a defect. A check that ends INVALID or INCONCLUSIVE gives no answer and is made again, up to three\ntimes in all.\n\n**{found} of {tried} found, {} false alarms in {clean} runs of \
         targets without a defect**, over {seeds} seed{}. Made by\n`cargo xtask ground-truth --seeds {seeds}{only} --page`.\n\n\
         | id | preset | truth | found | the finding that proves it |\n|---|---|---|---|---|\n",
        table.alarms.len(),
        if seeds == 1 { "" } else { "s" }
    );
    for row in &table.rows {
        let good = row.found.iter().filter(|found| found.is_ok()).count();
        let title = row
            .found
            .iter()
            .find_map(|found| found.as_ref().err())
            .map(|why| format!("missed: {why}"))
            .or_else(|| row.found.first().and_then(|found| found.as_ref().ok().cloned()))
            .unwrap_or_default();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {good} of {} | {} |",
            row.id,
            row.preset,
            cell(&row.truth),
            row.found.len(),
            cell(&title)
        );
    }
    out += "\n## False alarms\n\n";
    if table.alarms.is_empty() {
        out += "None.\n";
    } else {
        out += "| target | seed | says |\n|---|---|---|\n";
        for alarm in &table.alarms {
            let _ = writeln!(
                out,
                "| {} | {} | {} |",
                alarm.target,
                alarm.seed,
                cell(&alarm.says)
            );
        }
    }
    out += "\n## Runs without a defect, and time\n\n| target | runs |\n|---|---|\n";
    for (target, runs) in &table.clean_runs {
        let _ = writeln!(out, "| {target} | {runs} |");
    }
    out += "\n| preset or knob, with its control | seconds over all seeds |\n|---|---|\n";
    for (name, seconds) in &table.times {
        let _ = writeln!(out, "| {name} | {seconds:.0} |");
    }
    out
}

/// Text that cannot break a row.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::ground_truth::{Alarm, Row, Table};

    #[test]
    fn what_is_missed_and_what_is_false_is_said() {
        let table = Table {
            rows: vec![Row {
                id: "X1".into(),
                preset: "x".into(),
                truth: "a|b".into(),
                found: vec![Ok("is so".into()), Err("no finding `y`".into())],
            }],
            alarms: vec![Alarm {
                target: "x-fixed".into(),
                seed: 2,
                says: "WARN: z".into(),
            }],
            clean_runs: vec![("x-fixed".into(), 2)],
            times: vec![("x".into(), 3.4)],
        };
        let page = text(&table, 2, &["x".to_owned()]);
        for part in [
            "1 of 2 found, 1 false alarms in 2 runs",
            "missed: no finding `y`",
            "| x-fixed | 2 | WARN: z |",
            "a\\|b",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
}
