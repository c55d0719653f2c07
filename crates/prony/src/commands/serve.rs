//! `prony serve`: the reference backend in this process, until it is told to stop.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use prony_backend::{ALL, COMMON_KNOBS, KnobDef, PRESETS, PresetDef, Ready, ServeOptions};
use prony_model::ExitCode;

use crate::cli::ServeArgs;
use crate::session::Session;

/// How often the stop flag is looked at.
const STOP_CHECK: Duration = Duration::from_millis(20);

/// Serves, or lists what there is to serve.
pub(crate) fn run(args: &ServeArgs, session: &Session) -> anyhow::Result<ExitCode> {
    let Some(preset) = args.preset.clone().filter(|_| !args.list) else {
        session.print(&list(args.preset.as_deref())?)?;
        return Ok(ExitCode::Pass);
    };
    let options = ServeOptions {
        preset,
        host: args.host,
        port: args.port,
        admin_port: args.admin_port,
        knobs: args.knobs.clone(),
        slides: args.slides.clone(),
        seed: args.seed,
        time_scale: args.time_scale,
        log: args.log,
        stdio: args.stdio,
    };
    if args.until_stdin_closes {
        let stop = Arc::clone(&session.stop);
        thread::spawn(move || {
            // An error means the same as the end: nobody is there any more.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            stop.store(true, Ordering::Relaxed);
        });
    }
    let announce = if args.stdio { announce_aside } else { announce };
    prony_backend::serve(options, announce, stopped(Arc::clone(&session.stop)))?;
    Ok(ExitCode::Pass)
}

/// One line for people and for whoever started this process.
fn announce(ready: &Ready) {
    // Whoever started this may have stopped reading; the service goes on.
    let _ = writeln!(std::io::stdout(), "{ready}");
}

/// The same where standard output belongs to the conversation.
fn announce_aside(ready: &Ready) {
    // As above.
    let _ = writeln!(std::io::stderr(), "{ready}");
}

/// Completes when the stop flag is set.
async fn stopped(stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(STOP_CHECK).await;
    }
}

/// Presets, or one preset with its knobs.
fn list(preset: Option<&str>) -> anyhow::Result<String> {
    let mut text = String::new();
    match preset {
        None => {
            for def in PRESETS {
                let _ = writeln!(text, "{:<12} {}", def.name, def.title);
            }
            let _ = writeln!(text, "{ALL:<12} all of them at once, each on a port of its own");
            text += "\n`prony serve PRESET --list` names the knobs of one.\n";
        }
        Some(ALL) => {
            text += "all: every preset on a port of its own, and an index of them\n\n\
                     common knobs (--set KNOB=VALUE); a preset's own: --set PRESET.KNOB=VALUE\n";
            for knob in COMMON_KNOBS {
                line(&mut text, knob);
            }
        }
        Some(name) => {
            let def = prony_backend::preset(name)?;
            describe(&mut text, def);
        }
    }
    Ok(text)
}

fn describe(text: &mut String, def: &PresetDef) {
    let _ = writeln!(
        text,
        "{}: {}\n\n{}\n\nknobs (--set KNOB=VALUE):",
        def.name, def.title, def.description
    );
    for knob in def.knobs {
        line(text, knob);
    }
    text.push_str("\ncommon knobs, which every preset has:\n");
    for knob in def.common_knobs() {
        line(text, knob);
    }
}

fn line(text: &mut String, knob: &KnobDef) {
    let fault = knob
        .fault
        .map_or_else(String::new, |id| format!(" (planted fault {id})"));
    let default = if knob.default.is_empty() {
        "-"
    } else {
        knob.default
    };
    let _ = writeln!(
        text,
        "  {:<22} {default:<10} {}{fault}",
        knob.name, knob.description
    );
}

#[cfg(test)]
mod tests {
    use prony_backend::PRESETS;

    use super::list;

    #[test]
    fn every_preset_and_every_knob_is_listed() {
        let all = list(None).unwrap();
        for def in PRESETS {
            assert!(all.contains(def.name), "{}", def.name);
            let one = list(Some(def.name)).unwrap();
            assert!(def.knobs.iter().all(|knob| one.contains(knob.name)), "{one}");
            let (_, common) = one.split_once("common knobs").unwrap();
            assert!(def.common_knobs().all(|knob| common.contains(knob.name)), "{one}");
        }
    }

    #[test]
    fn a_misspelt_preset_gets_a_suggestion() {
        assert!(
            list(Some("enso-fixd"))
                .unwrap_err()
                .to_string()
                .contains("enso-fixed")
        );
    }
}
