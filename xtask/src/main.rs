//! Chores of the project. Knows nothing of how Prony does its work.

mod bench;
mod calibrate;
mod ground_truth;
mod icount;
mod tidy;

use std::process::ExitCode;

const HELP: &str = "\
Chores of the project.

  cargo xtask tidy    check the house rules that rustc and clippy cannot (CONTRIBUTING.md lists them)
  cargo xtask icount  count instructions per request under callgrind, against xtask/icount.toml
  cargo xtask bench peers [closed|file|pace|co|idle|rss] [TOOL...]
                      measure prony beside wrk, h2load, oha, ab, hey, k6 and others (bench/peers.py)
  cargo xtask bench tokens [truth|ceiling|open|start|faults|memory|slow]...
                      hold streams of tokens against a server of known truth (bench/tokens.py)
  cargo xtask bench token-peers [faults|truth|ceiling|open]... [CLIENT...]
                      the same beside vLLM's, SGLang's, GuideLLM's and AIPerf's clients (bench/token_peers.py)
  cargo xtask calibrate [--short] [QUESTION...]
                      count how often conclusions are right, in simulated time (docs/calibration.md)
  cargo xtask ground-truth [--seeds N] [--preset NAMES] [--page]
                      check every preset blind, as observed and fixed: what is found, missed, or a false alarm
                      (xtask/ground-truth.toml); --page writes docs/ground-truth.md
  cargo xtask help    print this
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => chore("tidy", tidy::run()),
        ["icount"] => chore("icount", icount::run()),
        ["bench", "peers", words @ ..] => chore("bench", bench::run("peers.py", words)),
        ["bench", "tokens", words @ ..] => chore("bench", bench::run("tokens.py", words)),
        ["bench", "token-peers", words @ ..] => chore("bench", bench::run("token_peers.py", words)),
        ["calibrate", words @ ..] => chore("calibrate", calibrate::run(words)),
        ["ground-truth", words @ ..] => chore("ground-truth", ground_truth::run(words)),
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

/// The exit code of a chore that says whether all was well.
fn chore(name: &str, result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{name} could not run: {error:#}");
            ExitCode::FAILURE
        }
    }
}
