//! Holds Prony's conclusions against truths that are known, thousands of runs in simulated time from fixed seeds, and counts
//! how often they are right. `cargo xtask calibrate` calls it and keeps the table as docs/calibration.md.

mod cases;
mod drive;
mod effort;
mod elsewhere;
mod measure;
mod page;
mod slots;
mod surface;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use crate::cases::CASES;
use crate::effort::Effort;
use crate::page::Done;

const HELP: &str = "\
Counts how often Prony's conclusions are right, in simulated time, from fixed seeds.

  prony-calibration [--short] [QUESTION...]

  --short    fewer runs of each case; a rate then fails only where chance does not explain it
  QUESTION   only the cases of these questions (percentiles, steady-state, ...)

The table is printed as Markdown on standard output, progress on standard error. The exit code is 1 when a criterion is missed.
";

fn main() -> ExitCode {
    let mut effort = Effort::FULL;
    let mut questions = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--short" => effort = Effort::SHORT,
            "--help" | "-h" => {
                print!("{HELP}");
                return ExitCode::SUCCESS;
            }
            name if CASES.iter().any(|case| case.question == name) => questions.push(name.to_owned()),
            other => {
                eprint!("no such question: {other}\n\n{HELP}");
                return ExitCode::from(64);
            }
        }
    }
    let mut done = Vec::new();
    for case in CASES {
        if !questions.is_empty() && !questions.iter().any(|name| name == case.question) {
            continue;
        }
        let began = Instant::now();
        let measures = (case.run)(effort);
        for measure in &measures {
            eprintln!(
                "{:6.1} s  {}: {}",
                began.elapsed().as_secs_f64(),
                case.question,
                measure.line(effort)
            );
        }
        done.push(Done {
            case,
            measures,
            took_s: began.elapsed().as_secs_f64(),
        });
    }
    let page = page::page(&done, effort);
    // Whoever reads may have gone; there is nobody left to tell.
    let _ = std::io::stdout().write_all(page.as_bytes());
    if done
        .iter()
        .all(|done| done.measures.iter().all(|m| m.holds(effort)))
    {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
