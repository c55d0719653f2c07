//! Chores of the project: `cargo xtask tidy` and what may follow. Knows nothing of what Prony does.

mod tidy;

use std::process::ExitCode;

const HELP: &str = "\
Chores of the project.

  cargo xtask tidy    check the house rules that rustc and clippy cannot (CONTRIBUTING.md lists them)
  cargo xtask help    print this
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => match tidy::run() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("tidy could not run: {error:#}");
                ExitCode::FAILURE
            }
        },
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        other => {
            eprint!("no such chore: {}\n\n{HELP}", other.join(" "));
            ExitCode::from(64)
        }
    }
}
