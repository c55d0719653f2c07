//! The reference backend alone, without the tool: `prony-backend serve PRESET [--port N] [--admin-port N] [--set KNOB=VALUE]...`. It
//! is what the tests let the platform's presets start as worker processes.

use std::process::ExitCode;

fn main() -> ExitCode {
    match prony_backend::run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
