//! `prony serve`: the reference backend in this process, until it is told to stop.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use prony_backend::{ALL, BackendError, COMMON_KNOBS, KnobDef, PRESETS, PresetDef, Ready, ServeOptions};
use prony_model::ExitCode;

use crate::cli::ServeArgs;
use crate::diagnostic::Diagnostic;
use crate::session::Session;

/// How often the stop flag is looked at.
const STOP_CHECK: Duration = Duration::from_millis(20);
/// The knob of presets that take a model of the user's own.
const MODEL: &str = "model";
/// The knob of where onnxruntime's library is.
const ONNXRUNTIME: &str = "onnxruntime";

/// Serves, or lists what there is to serve.
pub(crate) fn run(args: &ServeArgs, session: &Session) -> anyhow::Result<ExitCode> {
    let Some(preset) = args.preset.clone().filter(|_| !args.list) else {
        session.print(&list(args.preset.as_deref())?)?;
        return Ok(ExitCode::Pass);
    };
    let mut knobs = args.knobs.clone();
    if let Some(file) = &args.model {
        knobs.extend(own_model(&preset, file, args.onnxruntime.as_deref())?);
    }
    let options = ServeOptions {
        preset,
        host: args.host,
        port: args.port,
        admin_port: args.admin_port,
        knobs,
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
    match prony_backend::serve(options, announce, stopped(Arc::clone(&session.stop))) {
        Ok(()) => Ok(ExitCode::Pass),
        Err(BackendError::BadKnob {
            name: MODEL,
            value,
            reason,
        }) if args.model.is_some() => Err(refused(&value, &reason).into()),
        Err(error) => Err(error.into()),
    }
}

/// The knobs that `--model` and `--onnxruntime` set.
fn own_model(preset: &str, file: &Path, library: Option<&Path>) -> anyhow::Result<Vec<(String, String)>> {
    let takes = |def: &PresetDef| def.knobs.iter().any(|knob| knob.name == MODEL);
    if preset == ALL || !takes(prony_backend::preset(preset)?) {
        let names: Vec<&str> = PRESETS
            .iter()
            .filter(|def| takes(def))
            .map(|def| def.name)
            .collect();
        return Err(Diagnostic::usage(format!(
            "'{preset}' takes no model of yours; --model is for: {}",
            names.join(", ")
        ))
        .next("prony serve vision-fixed --model FILE.onnx")
        .into());
    }
    if !cfg!(feature = "onnx") {
        return Err(Diagnostic::usage(
            "this Prony was built without the feature `onnx`, which runs ONNX models",
        )
        .next("build it as it comes: cargo install --path crates/prony, without --no-default-features")
        .next("and get the runtime, which is loaded when the command runs: pip install onnxruntime")
        .into());
    }
    if !file.is_file() {
        return Err(Diagnostic::usage(format!("there is no file {}", file.display()))
            .next("name a model in the ONNX format: prony serve vision-fixed --model FILE.onnx")
            .into());
    }
    let mut knobs = vec![(MODEL.to_owned(), as_text(file)?)];
    if let Some(library) = library {
        knobs.push((ONNXRUNTIME.to_owned(), as_text(library)?));
    }
    Ok(knobs)
}

/// A path as a knob's value.
fn as_text(path: &Path) -> Result<String, Diagnostic> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Diagnostic::usage(format!("the name {} is no text in UTF-8", path.display()))
            .next("give it another name, or a link to it")
    })
}

/// Why the model cannot be served, as the backend says it: what is wrong, then a line for each step that can be taken.
fn refused(file: &str, reason: &str) -> Diagnostic {
    let mut lines = reason.lines();
    let mut told = Diagnostic::usage(format!(
        "{file} cannot be served: {}",
        lines.next().unwrap_or_default()
    ));
    for step in lines {
        told = told.next(step);
    }
    told
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
    use std::path::Path;

    use prony_backend::PRESETS;

    use super::{list, own_model, refused};
    use crate::diagnostic::Diagnostic;

    fn told(preset: &str, file: &str) -> String {
        let error = own_model(preset, Path::new(file), None).unwrap_err();
        match error.downcast_ref::<Diagnostic>() {
            Some(diagnostic) => diagnostic.render(false),
            None => error.to_string(),
        }
    }

    #[test]
    fn only_presets_that_take_a_model_get_one() {
        for preset in ["enso", "truth-fixed", "all"] {
            let told = told(preset, "a.onnx");
            assert!(told.contains("--model is for: vision, vision-fixed"), "{told}");
        }
        assert!(told("vision-fixd", "a.onnx").contains("did you mean 'vision-fixed'?"));
        let missing = told("vision-fixed", "no/such/file.onnx");
        let wanted = if cfg!(feature = "onnx") {
            "there is no file no/such/file.onnx"
        } else {
            "feature `onnx`"
        };
        assert!(missing.contains(wanted) && missing.contains("next:"), "{missing}");
    }

    #[cfg(feature = "onnx")]
    #[test]
    fn a_model_and_its_library_become_knobs() {
        // Any file will do: what is in it is looked at by the backend.
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let library = Path::new("some/folder");
        let knobs = own_model("vision-fixed", &file, Some(library)).unwrap();
        let wanted = [
            ("model".to_owned(), file.to_str().unwrap().to_owned()),
            ("onnxruntime".to_owned(), "some/folder".to_owned()),
        ];
        assert_eq!(knobs, wanted);
    }

    #[test]
    fn each_step_of_a_refusal_is_one() {
        let told = refused("a.onnx", "onnxruntime cannot load it: x\nupgrade\nor not").render(false);
        assert_eq!(
            told,
            "error: a.onnx cannot be served: onnxruntime cannot load it: x\n  next: upgrade\n  next: or not\n"
        );
    }

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
