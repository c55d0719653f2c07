//! The table as a Markdown page. It judges nothing.

use std::fmt::Write as _;

use super::{Part, Row};

/// The page.
pub(super) fn text(parts: &[Part]) -> String {
    let rows = || parts.iter().flat_map(|part| &part.rows);
    let tried: usize = rows().map(|row| row.found.len()).sum();
    let found: usize = rows().map(good).sum();
    let clean: u64 = parts.iter().map(|part| part.seeds).sum();
    let alarms: Vec<_> = parts.iter().flat_map(|part| &part.alarms).collect();
    let mut out = format!(
        "# Ground truth\n\nEvery preset of the reference backend that imitates a system exists twice: as observed, with planted \
         defects, and as `NAME-fixed`, the\nsame without them. Both were served, and checked by a program that was told the URL, and what \
         any user of the target has: a key for\nsemantic, the address of media's upstream; for M1 to M3 also which experiment to run, for \
         M1 and M2 on which endpoint. Which finding\nproves a defect is written in [xtask/ground-truth.toml](../xtask/ground-truth.toml). On \
         the fixed twin every FAIL and WARN counts as a\nfalse alarm, and so does a finding that would have proved a defect. A check that ends \
         INVALID gives no answer and is made again, up to\nthree times in all; so is one of a target with defects that ends INCONCLUSIVE.\n\n\
         **{found} of {tried} found, {} false alarm{} in {clean} run{} of targets without a defect.** Made by \
         `cargo xtask ground-truth --seeds N --preset NAMES --page`,\nwhich keeps the results of what it does not run \
         ([ground-truth.json](ground-truth.json)).\n\n\
         | id | preset | truth | found | the finding that proves it |\n|---|---|---|---|---|\n",
        alarms.len(),
        plural(alarms.len() as u64),
        plural(clean),
    );
    for row in rows() {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} of {} | {} |",
            row.id,
            row.preset,
            cell(&row.truth),
            good(row),
            row.found.len(),
            cell(&title(row))
        );
    }
    out += "\n## False alarms\n\n";
    if alarms.is_empty() {
        out += "None.\n";
    } else {
        out += "| target | seed | says |\n|---|---|---|\n";
        for alarm in &alarms {
            let _ = writeln!(
                out,
                "| {} | {} | {} |",
                alarm.target,
                alarm.seed,
                cell(&alarm.says)
            );
        }
    }
    out += "\n## Runs\n\n| preset or knob | without a defect | seeds of each | seconds in all | program |\n|---|---|---|---|---|\n";
    for part in parts {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.0} | {} |",
            part.name, part.clean, part.seeds, part.seconds, part.program
        );
    }
    out
}

/// What a noun takes after its number.
fn plural(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// How many seeds found it.
fn good(row: &Row) -> usize {
    row.found.iter().filter(|found| found.is_ok()).count()
}

/// Why it was missed, where a seed missed it; else what the first seed found.
fn title(row: &Row) -> String {
    let missed = row.found.iter().find_map(|found| found.as_ref().err());
    let first = row.found.first().and_then(|found| found.as_ref().ok());
    missed
        .map(|why| format!("missed: {why}"))
        .or_else(|| first.cloned())
        .unwrap_or_default()
}

/// Text that cannot break a row.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::ground_truth::{Alarm, Part, Row};

    #[test]
    fn what_is_missed_and_what_is_false_is_said() {
        let part = Part {
            name: "x".into(),
            program: "prony 0".into(),
            seeds: 2,
            rows: vec![Row {
                id: "X1".into(),
                preset: "x".into(),
                truth: "a|b".into(),
                found: vec![Ok("is so".into()), Err("no finding `y`".into())],
            }],
            clean: "x-fixed".into(),
            alarms: vec![Alarm {
                target: "x-fixed".into(),
                seed: 2,
                says: "WARN: z".into(),
            }],
            seconds: 3.4,
        };
        let quiet = Part {
            seeds: 1,
            alarms: Vec::new(),
            ..part.clone()
        };
        let page = text(&[quiet]);
        assert!(page.contains("0 false alarms in 1 run of"), "{page}");
        let page = text(&[part]);
        for part in [
            "1 of 2 found, 1 false alarm in 2 runs of",
            "missed: no finding `y`",
            "| x-fixed | 2 | WARN: z |",
            "a\\|b",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
}
