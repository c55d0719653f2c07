//! Other people's results, from a file to claims or requests. It reads and names what is wrong, and judges nothing.

mod claims;
mod columns;
mod quantity;
mod requests;
mod stamp;

use std::io::Read;
use std::path::Path;

use prony_engine::{Table, TableError};
use prony_experiments::imported::{Claim, Requests};

use crate::diagnostic::Diagnostic;
use crate::text::clean;

pub(crate) use columns::help;

/// Largest file, in bytes.
const BYTES_MAX: u64 = 64 << 20;
/// Characters of somebody else's text in a message.
const SHOWN: usize = 60;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One claim a row.
    Claims,
    /// One request a row.
    Requests,
}

/// What was read.
#[derive(Clone, Debug)]
pub(crate) enum Imported {
    /// Claims of a report.
    Claims(Vec<Claim>),
    /// Requests of a test.
    Requests(Requests),
}

/// How to read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// What the file holds; told by its columns when not said.
    pub kind: Option<Kind>,
    /// Unit of times that carry none.
    pub unit: Option<String>,
    /// Columns to leave out, as the file names them.
    pub ignore: Vec<String>,
    /// Leave out columns that are not known.
    pub ignore_unknown: bool,
    /// How many requests are said to have been in flight.
    pub concurrency: Option<f64>,
}

/// Reads a file, or standard input for `-`.
pub(crate) fn read(path: &Path, options: &Options) -> Result<Imported, Diagnostic> {
    let file = if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    parse(&file, &text(path, &file)?, options)
}

fn text(path: &Path, file: &str) -> Result<String, Diagnostic> {
    let unreadable = |error: std::io::Error| {
        Diagnostic::usage(format!("cannot read {file}: {error}"))
            .next("`prony judge --help` shows what such a file looks like")
    };
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(BYTES_MAX + 1)
            .read_to_end(&mut bytes)
    } else {
        let opened = std::fs::File::open(path);
        opened.and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes))
    }
    .map_err(unreadable)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(
            Diagnostic::usage(format!("{file} is larger than {BYTES_MAX} bytes"))
                .next("hand in a part of it: a million requests are enough"),
        );
    }
    String::from_utf8(bytes).map_err(|e| {
        Diagnostic::usage(format!(
            "{file} is not UTF-8: byte {} is wrong",
            e.utf8_error().valid_up_to()
        ))
        .next("save it as UTF-8 text: CSV, a JSON array, or one JSON object a line")
    })
}

/// Reads a text.
pub(crate) fn parse(file: &str, text: &str, options: &Options) -> Result<Imported, Diagnostic> {
    let table = Table::whole(file, text).map_err(|e| explain(&e))?;
    let source = SourceTable {
        file,
        table: &table,
        options,
    };
    match options.kind.unwrap_or_else(|| columns::kind(table.columns())) {
        Kind::Claims => claims::read(&source).map(Imported::Claims),
        Kind::Requests => requests::read(&source).map(Imported::Requests),
    }
}

/// A table with where it came from and how to read it.
struct SourceTable<'a> {
    file: &'a str,
    table: &'a Table,
    options: &'a Options,
}

impl SourceTable<'_> {
    /// What is wrong with a row.
    fn error(&self, row: usize, what: &str) -> Diagnostic {
        Diagnostic::usage(format!("{}, line {}: {what}", self.file, self.table.line(row)))
    }
}

fn explain(error: &TableError) -> Diagnostic {
    Diagnostic::usage(clean(&error.to_string(), 300))
        .next("write CSV with a header line; `prony judge --help` shows one")
}

/// Somebody else's text in a message.
fn shown(text: &str) -> String {
    format!("`{}`", clean(text, SHOWN))
}

#[cfg(test)]
mod tests;
