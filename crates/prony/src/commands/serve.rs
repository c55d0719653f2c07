//! `prony serve`: the reference backend in this process, until it is told to stop.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use prony_backend::{PRESETS, PresetDef, Ready, ReadyStdio, ServeOptions};
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
    };
    if args.stdio {
        prony_backend::serve_stdio(options, announce_stdio, stopped(Arc::clone(&session.stop)))?;
        return Ok(ExitCode::Pass);
    }
    if args.until_stdin_closes {
        let stop = Arc::clone(&session.stop);
        thread::spawn(move || {
            // An error means the same as the end: nobody is there any more.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            stop.store(true, Ordering::Relaxed);
        });
    }
    prony_backend::serve(options, announce, stopped(Arc::clone(&session.stop)))?;
    Ok(ExitCode::Pass)
}

/// One line for people and for whoever started this process.
fn announce(ready: &Ready) {
    let others = others(ready.admin, &ready.beside);
    // Whoever started this may have stopped reading; the service goes on.
    let _ = writeln!(std::io::stdout(), "ready http://{}{others}", ready.service);
}

/// The same where standard output belongs to the conversation.
fn announce_stdio(ready: &ReadyStdio) {
    let others = others(ready.admin, &ready.beside);
    // As above.
    let _ = writeln!(std::io::stderr(), "ready{others}");
}

fn others(admin: Option<SocketAddr>, beside: &[(&'static str, SocketAddr)]) -> String {
    let admin = admin.map(|at| ("admin", at));
    let mut text = String::new();
    for (name, at) in admin.iter().chain(beside) {
        // Writing to a string cannot fail.
        let _ = write!(text, " {name} http://{at}");
    }
    text
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
            text += "\n`prony serve PRESET --list` names the knobs of one.\n";
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
        let fault = knob
            .fault
            .map_or_else(String::new, |id| format!(" (planted fault {id})"));
        let _ = writeln!(
            text,
            "  {:<22} {:<10} {}{fault}",
            knob.name, knob.default, knob.description
        );
    }
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
