//! The columns that a file of results may have: their names, what they hold, and which one was probably meant.

use std::fmt::Write as _;

use prony_experiments::imported::MEASURES;

use super::quantity::Unit;
use super::{Kind, SourceTable, shown};
use crate::diagnostic::{Diagnostic, nearest};

/// What stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Words.
    Text,
    /// A whole number.
    Count,
    /// A number.
    Number,
    /// A time, with its unit in the cell or at the end of the column's name.
    Time,
    /// Requests per second, with its unit in the cell or none.
    Rate,
    /// Memory, likewise.
    Memory,
    /// A number in the unit of the claim.
    Value,
    /// A point in time.
    Stamp,
}

/// A column.
pub(super) struct Column {
    /// Its name.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// What it holds.
    pub holds: Holds,
    /// What it says.
    pub about: &'static str,
}

const fn column(
    name: &'static str,
    aliases: &'static [&'static str],
    holds: Holds,
    about: &'static str,
) -> Column {
    Column {
        name,
        aliases,
        holds,
        about,
    }
}

/// Columns of a table of claims.
pub(super) static CLAIMS: &[Column] = &[
    column(
        "id",
        &["name"],
        Holds::Text,
        "short name of the claim; else its line",
    ),
    column(
        "claim",
        &["quote", "says", "text"],
        Holds::Text,
        "the claim in the report's words",
    ),
    column(
        "metric",
        &["kind", "measure"],
        Holds::Text,
        "what kind of claim it is, see below",
    ),
    column(
        "statistic",
        &["stat", "percentile"],
        Holds::Text,
        "what value is of many: mean, median, p95, p99.9, min, max, single",
    ),
    column(
        "over",
        &[],
        Holds::Text,
        "which requests the statistic is over: all or ok",
    ),
    column("value", &[], Holds::Value, "the claimed number"),
    column(
        "unit",
        &["units"],
        Holds::Text,
        "unit of value, limit, baseline and tolerance, where they carry none",
    ),
    column(
        "limit",
        &["target", "threshold"],
        Holds::Value,
        "what the report holds the number against",
    ),
    column(
        "n",
        &["requests", "total", "samples", "iterations"],
        Holds::Count,
        "requests made",
    ),
    column(
        "ok",
        &["succeeded", "successes", "successful", "passed"],
        Holds::Count,
        "those answered as expected",
    ),
    column(
        "failed",
        &["failures", "errors"],
        Holds::Count,
        "those that were not",
    ),
    column(
        "timeouts",
        &["timed_out"],
        Holds::Count,
        "those without an answer in time",
    ),
    column(
        "concurrency",
        &["concurrent", "users", "workers"],
        Holds::Number,
        "requests said to be in flight at once",
    ),
    column(
        "duration",
        &["wall", "wall_time", "total_time"],
        Holds::Time,
        "from the first start to the last end",
    ),
    column(
        "throughput",
        &["requests_per_second", "rps", "qps"],
        Holds::Rate,
        "requests finished per second, where value is something else",
    ),
    column(
        "latency",
        &["response_time", "mean_latency"],
        Holds::Time,
        "mean response time, where value is something else",
    ),
    column(
        "service",
        &["service_time", "work"],
        Holds::Time,
        "time of the work alone, from the server's log",
    ),
    column(
        "no_op",
        &["noop", "floor"],
        Holds::Time,
        "time of a request that does no work, over the same path",
    ),
    column(
        "serial",
        &["sequential"],
        Holds::Time,
        "time of the same work, one at a time",
    ),
    column(
        "resolution",
        &["timestamp_resolution"],
        Holds::Time,
        "step of the time stamps: 60s for hours and minutes",
    ),
    column(
        "test",
        &[],
        Holds::Text,
        "the measurement; statistics of one test are held against each other",
    ),
    column(
        "endpoint",
        &["path", "url"],
        Holds::Text,
        "what was asked; /health and the like do no work",
    ),
    column(
        "against",
        &["compared_with", "versus"],
        Holds::Text,
        "id of the claim that it compares itself with",
    ),
    column(
        "baseline",
        &[],
        Holds::Value,
        "the number that it compares itself with",
    ),
    column(
        "baseline_n",
        &["control_n"],
        Holds::Count,
        "requests behind it, or made without the cause",
    ),
    column(
        "baseline_ok",
        &["control_ok"],
        Holds::Count,
        "those of them answered as expected",
    ),
    column(
        "before",
        &["memory_before"],
        Holds::Memory,
        "memory before the test",
    ),
    column("after", &["memory_after"], Holds::Memory, "memory after it"),
    column(
        "readings",
        &[],
        Holds::Count,
        "readings of the memory; 2 when not said",
    ),
    column(
        "tolerance",
        &[],
        Holds::Value,
        "growth or difference that the test lets pass",
    ),
    column(
        "runs",
        &["repeats", "repetitions"],
        Holds::Count,
        "runs, or pairs of runs",
    ),
    column(
        "alternatives",
        &[],
        Holds::Text,
        "other known explanations, separated by semicolons",
    ),
    column(
        "source",
        &["section", "page"],
        Holds::Text,
        "where the claim stands; not used",
    ),
    column(
        "note",
        &["notes", "comment", "remark"],
        Holds::Text,
        "anything; not used",
    ),
];

/// Columns of a table of requests.
pub(super) static REQUESTS: &[Column] = &[
    column(
        "start",
        &[
            "started",
            "start_time",
            "timestamp",
            "time",
            "sent",
            "request_start",
            "begin",
            "ts",
        ],
        Holds::Stamp,
        "when the request began: a date and time, a time of day, or a number with its unit",
    ),
    column(
        "end",
        &["ended", "end_time", "finished", "completed", "done", "stop"],
        Holds::Stamp,
        "when it ended",
    ),
    column(
        "latency",
        &["elapsed", "response_time", "duration", "took", "request_duration"],
        Holds::Time,
        "how long it took; else the time from start to end",
    ),
    column(
        "status",
        &[
            "code",
            "status_code",
            "response_code",
            "responsecode",
            "http_status",
            "outcome",
            "result",
        ],
        Holds::Text,
        "how it ended: an HTTP status, or ok, timeout, or any other word for a failure",
    ),
    column("success", &["ok", "succeeded"], Holds::Text, "true or false"),
    column(
        "error",
        &["failure", "exception", "error_message"],
        Holds::Text,
        "what went wrong; empty when nothing",
    ),
    column(
        "endpoint",
        &["label", "path", "url", "route", "operation", "name"],
        Holds::Text,
        "what was asked",
    ),
    column(
        "group",
        &["run", "round", "variant", "arm", "version", "phase"],
        Holds::Text,
        "the run or variant that it belongs to; groups are compared",
    ),
    column(
        "concurrency",
        &["users", "threads", "allthreads", "workers"],
        Holds::Number,
        "requests said to be in flight",
    ),
    column(
        "memory",
        &["rss", "memory_usage"],
        Holds::Memory,
        "memory of the server at that time",
    ),
    column(
        "number",
        &["id", "seq", "index", "request_id"],
        Holds::Text,
        "number in the test: 14 or req-14; gaps are told",
    ),
];

/// Columns that only a table of claims has.
const TELLS_CLAIMS: [&str; 4] = ["metric", "value", "claim", "statistic"];

/// Endings of names that are units.
const UNIT_ENDINGS: [(&str, &str); 18] = [
    ("_ns", "ns"),
    ("_us", "us"),
    ("_ms", "ms"),
    ("_millis", "ms"),
    ("_s", "s"),
    ("_sec", "s"),
    ("_secs", "s"),
    ("_seconds", "s"),
    ("_min", "min"),
    ("_minutes", "min"),
    ("_h", "h"),
    ("_bytes", "B"),
    ("_kb", "kB"),
    ("_kib", "KiB"),
    ("_mb", "MB"),
    ("_mib", "MiB"),
    ("_gb", "GB"),
    ("_gib", "GiB"),
];

/// What the names of the columns say that the file holds.
pub(super) fn kind(header: &[String]) -> Kind {
    let known =
        |name: &str| find(CLAIMS, name).is_some_and(|(column, _)| TELLS_CLAIMS.contains(&column.name));
    if header.iter().any(|name| known(name)) {
        Kind::Claims
    } else {
        Kind::Requests
    }
}

/// A known column in a file: its place there, and the unit at the end of its name.
#[derive(Clone, Copy)]
pub(super) struct Placed {
    /// The column.
    pub column: &'static Column,
    /// Place in the file's rows.
    pub place: usize,
    /// Unit of its cells.
    pub unit: Option<Unit>,
}

/// The known columns of a file; an unknown one is an error unless it shall be left out.
pub(super) fn placed(
    source: &SourceTable<'_>,
    columns: &'static [Column],
) -> Result<Vec<Placed>, Diagnostic> {
    let mut placed: Vec<Placed> = Vec::new();
    for (place, name) in source.table.columns().iter().enumerate() {
        if source.options.ignore.contains(name) {
            continue;
        }
        let Some((column, unit)) = find(columns, name) else {
            if source.options.ignore_unknown || name.trim().is_empty() {
                continue;
            }
            return Err(unknown(source, columns, name));
        };
        if let Some(other) = placed.iter().find(|other| other.column.name == column.name) {
            return Err(Diagnostic::usage(format!(
                "{}: the columns {} and {} say the same thing ({})",
                source.file,
                shown(&source.table.columns()[other.place]),
                shown(name),
                column.name
            ))
            .next("leave one of them out with --ignore NAME"));
        }
        placed.push(Placed { column, place, unit });
    }
    Ok(placed)
}

/// The column that a name means, and the unit that it ends in.
fn find(columns: &'static [Column], name: &str) -> Option<(&'static Column, Option<Unit>)> {
    let name = normal(name);
    let by_name = |name: &str| {
        columns
            .iter()
            .find(|c| c.name == name || c.aliases.contains(&name))
    };
    if let Some(column) = by_name(&name) {
        return Some((column, None));
    }
    UNIT_ENDINGS.iter().find_map(|(ending, unit)| {
        let column = by_name(name.strip_suffix(ending)?)?;
        let unit = Unit::parse(unit)?;
        let fits = match column.holds {
            Holds::Time | Holds::Stamp => unit.is_time(),
            Holds::Memory => unit.is_memory(),
            Holds::Value => true,
            Holds::Text | Holds::Count | Holds::Number | Holds::Rate => false,
        };
        fits.then_some((column, Some(unit)))
    })
}

/// Lower case, and one underscore for what stands between words.
fn normal(name: &str) -> String {
    let lower = name.trim().to_ascii_lowercase();
    let words = lower.split([' ', '-', '_', '/', '(', ')', '[', ']']);
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("_")
}

fn unknown(source: &SourceTable<'_>, columns: &'static [Column], name: &str) -> Diagnostic {
    let diagnostic = Diagnostic::usage(format!("{}: unknown column {}", source.file, shown(name)));
    let names = columns
        .iter()
        .flat_map(|c| c.aliases.iter().copied().chain([c.name]));
    let diagnostic = match nearest(&normal(name), names) {
        Some(name) => diagnostic.next(format!("did you mean `{name}`?")),
        None => diagnostic,
    };
    let known: Vec<&str> = columns.iter().map(|c| c.name).collect();
    diagnostic
        .next(format!("known here: {}", known.join(", ")))
        .next("leave it out with --ignore NAME, or all that is not known with --ignore-unknown")
}

/// The columns and the kinds of claims, for the help page.
pub(crate) fn help() -> String {
    let mut text = String::from("Columns of a table of claims (all but metric may be empty or absent):\n");
    rows(&mut text, CLAIMS);
    text.push_str("\nKinds of claims (metric):\n");
    for def in MEASURES {
        let _ = writeln!(text, "  {:<13} {}", def.name, def.about);
    }
    text.push_str("\nColumns of a table of requests (start, end or latency; the rest may be absent):\n");
    rows(&mut text, REQUESTS);
    text.push_str(
        "\nA time carries its unit in the cell (34ms) or at the end of the column's name (latency_ms, duration_s); memory \
         likewise (71 MiB, memory_mib); a share is written 86.7%.",
    );
    text
}

fn rows(text: &mut String, columns: &[Column]) {
    for column in columns {
        let _ = writeln!(text, "  {:<13} {}", column.name, column.about);
    }
}

#[cfg(test)]
mod tests {
    use super::{CLAIMS, Holds, REQUESTS, find};

    #[test]
    fn no_name_means_two_columns() {
        for columns in [CLAIMS, REQUESTS] {
            let mut names: Vec<&str> = columns
                .iter()
                .flat_map(|c| c.aliases.iter().copied().chain([c.name]))
                .collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all);
        }
    }

    #[test]
    fn names_may_end_in_a_unit_that_fits() {
        let found = |name| find(REQUESTS, name).map(|(c, unit)| (c.name, unit.is_some()));
        assert_eq!(found("Latency (ms)"), Some(("latency", true)));
        assert_eq!(found("timeStamp"), Some(("start", false)));
        assert_eq!(found("response-time"), Some(("latency", false)));
        assert_eq!(found("latency_mib"), None);
        assert_eq!(found("status_ms"), None);
        assert!(CLAIMS.iter().any(|c| c.holds == Holds::Value));
    }
}
