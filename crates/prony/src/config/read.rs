//! From a path to a valid suite.

use std::path::{Path, PathBuf};

use prony_model::Suite;

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
    let suite: Suite = toml::from_str(source).map_err(|error| explain(&document, &error))?;
    validate(&suite, &document, &base_dir)?;
    Ok(SuiteFile { suite, base_dir })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    let diagnostic = Diagnostic::usage(format!("cannot read {}: {error}", path.display()));
    if error.kind() == std::io::ErrorKind::NotFound {
        diagnostic.next("check the path; `prony check URL --plan > suite.toml` writes a suite to start from")
    } else {
        diagnostic
    }
}
