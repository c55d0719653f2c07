//! From a path to a valid suite.

use std::path::{Path, PathBuf};

use prony_model::Suite;
use toml::{Table, Value};

use super::document::Document;
use super::explain::explain;
use super::set;
use super::validate::validate;
use crate::diagnostic::Diagnostic;

/// Largest suite file, in bytes.
const SUITE_BYTES_MAX: u64 = 16 << 20;

/// A suite with the place it came from.
#[derive(Clone, Debug)]
pub(crate) struct SuiteFile {
    /// The suite.
    pub suite: Suite,
    /// Folder that relative paths in the suite start from.
    pub base_dir: PathBuf,
}

/// Reads and validates a suite file, with these values in the place of its own.
pub(crate) fn read(path: &Path, sets: &[(String, String)]) -> Result<SuiteFile, Diagnostic> {
    let file = path.display().to_string();
    let size = std::fs::metadata(path).map_err(|e| unreadable(path, &e))?.len();
    if size > SUITE_BYTES_MAX {
        return Err(Diagnostic::usage(format!(
            "{file} has {size} bytes: too large for a suite"
        )));
    }
    let bytes = std::fs::read(path).map_err(|e| unreadable(path, &e))?;
    let source = String::from_utf8(bytes).map_err(|e| {
        Diagnostic::usage(format!(
            "{file} is not UTF-8: byte {} is wrong",
            e.utf8_error().valid_up_to()
        ))
        .next("save it as UTF-8; TOML allows nothing else")
    })?;
    let base_dir = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    if sets.is_empty() {
        return parse(&file, &source, base_dir);
    }
    // The file itself must be sound: its errors are shown where they stand.
    parse(&file, &source, base_dir.clone())?;
    parse(
        &format!("{file} with --set"),
        &set::apply(&source, sets)?,
        base_dir,
    )
}

/// Parses and validates the text of a suite.
pub(super) fn parse(file: &str, source: &str, base_dir: PathBuf) -> Result<SuiteFile, Diagnostic> {
    let document = Document {
        file: file.to_owned(),
        source: source.into(),
    };
    let mut suite: Suite = toml::from_str(source).map_err(|error| explain(&document, &error))?;
    limits_of_phases(&mut suite, source).map_err(|error| explain(&document, &error))?;
    validate(&suite, &document, &base_dir)?;
    Ok(SuiteFile { suite, base_dir })
}

/// Gives each phase the limits of the run where it does not state its own.
fn limits_of_phases(suite: &mut Suite, source: &str) -> Result<(), toml::de::Error> {
    if suite.phase.iter().all(|phase| phase.limits.is_none()) {
        return Ok(());
    }
    let text: Table = toml::from_str(source)?;
    let phases = text.get("phase").and_then(Value::as_array).into_iter().flatten();
    for (phase, stated) in suite.phase.iter_mut().zip(phases) {
        let Some(own) = stated.get("limits").and_then(Value::as_table) else {
            continue;
        };
        let mut all = Table::try_from(&suite.run.limits).unwrap_or_default();
        all.extend(own.clone());
        phase.limits = Some(all.try_into()?);
    }
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    let diagnostic = Diagnostic::usage(format!("cannot read {}: {error}", path.display()));
    if error.kind() == std::io::ErrorKind::NotFound {
        diagnostic.next("check the path; `prony check URL --plan > suite.toml` writes a suite to start from")
    } else {
        diagnostic
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::parse;

    #[test]
    fn a_phase_states_only_the_limits_that_are_its_own() {
        let text = "name = 'x'\n[target]\nurl = 'http://h'\n[run.limits]\ntimeout_ms = 700\nkeep_alive = false\n\
                    [[scenario]]\nname = 's'\nhttp.path = '/'\n\
                    [[phase]]\nname = 'a'\nscenarios = ['s']\nshape.once = {}\nlimits.connect_timeout_ms = 5\n\
                    [[phase]]\nname = 'b'\nscenarios = ['s']\nshape.once = {}\n";
        let suite = parse("x.toml", text, PathBuf::new()).unwrap().suite;
        let own = suite.phase[0].limits.as_ref().unwrap();
        assert_eq!(
            (own.timeout_ms, own.connect_timeout_ms, own.keep_alive),
            (700, 5, false)
        );
        assert_eq!(suite.phase[1].limits, None);
        let wrong = parse("x.toml", &text.replace("= 5", "= 0"), PathBuf::new()).unwrap_err();
        assert!(wrong.render(false).contains("every request would time out"));
    }
}
