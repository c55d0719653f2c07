//! Rows of a table of requests. It reads times, ends and groups, and concludes nothing.

use std::collections::HashMap;

use prony_experiments::imported::{Cell, Ended, Record, Requests};

use super::columns::{Placed, REQUESTS, placed};
use super::quantity::{Dimension, Unit, number, quantity};
use super::stamp::{Stamp, stamp, step_ns};
use super::{SourceTable, shown};
use crate::diagnostic::Diagnostic;
use crate::text::clean;

/// Most groups and endpoints, and most words for how requests ended; what comes later is put together.
const KINDS_MAX: usize = 5_000;
/// Characters of a group, an endpoint, or a word.
const NAME_CHARS: usize = 60;
/// What is put together when there are too many.
const OTHERS: &str = "others";
/// A time of day that falls back by more than half of this is one of the next day.
const DAY_NS: i128 = 24 * HOUR_NS;
/// A time of day before midnight that comes after one past it is of the evening before when it is no earlier than this.
const HOUR_NS: i128 = 3_600_000_000_000;

/// Reads every row.
pub(super) fn read(source: &SourceTable<'_>) -> Result<Requests, Diagnostic> {
    let columns = placed(source, REQUESTS)?;
    let has = |name: &str| columns.iter().any(|c| c.column.name == name);
    if !has("start") && !has("end") && !has("latency") {
        return Err(Diagnostic::usage(format!(
            "{}: none of its columns tells when requests ran",
            source.file
        ))
        .next("a table of requests needs `start`, `end` or `latency`; a table of claims needs `metric`"));
    }
    let mut reader = Reader {
        source,
        columns: &columns,
        unit: source.options.unit.as_deref().and_then(Unit::parse),
        cells: Names::default(),
        words: Names::default(),
    };
    let mut rows = (0..source.table.len())
        .map(|row| reader.row(row))
        .collect::<Result<Vec<_>, _>>()?;
    same_day(&mut rows);
    let stamps: Vec<Stamp> = rows
        .iter()
        .flat_map(|row| [row.start, row.end])
        .flatten()
        .collect();
    let zero = stamps.iter().map(|s| s.ns).min().unwrap_or(0);
    let since = |stamp: Option<Stamp>| stamp.map(|s| (s.ns - zero) as f64 / 1e9);
    let mut records: Vec<Record> = rows
        .iter()
        .map(|row| Record {
            start_s: since(row.start),
            end_s: since(row.end),
            ..row.record.clone()
        })
        .collect();
    in_order(&mut records);
    let claimed = rows.iter().filter_map(|row| row.concurrency).reduce(f64::max);
    Ok(Requests {
        records,
        cells: reader.cells.names,
        words: reader.words.names,
        says_how: has("status") || has("success") || has("error"),
        resolution_s: step_ns(&stamps).map(|ns| ns as f64 / 1e9),
        concurrency: source.options.concurrency.or(claimed),
    })
}

/// A row as it was read.
struct Row {
    start: Option<Stamp>,
    end: Option<Stamp>,
    concurrency: Option<f64>,
    record: Record,
}

/// Times of day that fall back have passed midnight. What then comes from shortly before it is of a request that still ran.
fn same_day(rows: &mut [Row]) {
    let (mut days, mut latest) = (0_i128, None);
    for row in rows {
        for stamp in [&mut row.start, &mut row.end]
            .into_iter()
            .flatten()
            .filter(|s| s.of_day)
        {
            let before = stamp.ns + days;
            let known: i128 = latest.unwrap_or(before);
            if before < known - DAY_NS / 2 {
                days += DAY_NS;
                stamp.ns += days;
            } else if days > 0 && (known - HOUR_NS..=known).contains(&(before - DAY_NS)) {
                stamp.ns = before - DAY_NS;
            } else {
                stamp.ns = before;
            }
            latest = Some(known.max(stamp.ns));
        }
    }
}

/// By start, as far as it is known: the dependence of times shows in the order in which they arose.
fn in_order(records: &mut [Record]) {
    let key = |r: &Record| {
        let start = r.start_s.or_else(|| Some(r.end_s? - r.latency_s.unwrap_or(0.0)));
        start.unwrap_or(f64::INFINITY)
    };
    records.sort_by(|a, b| key(a).total_cmp(&key(b)));
}

/// Names in the order in which they came, each with its index.
struct Names<T> {
    names: Vec<T>,
    places: HashMap<T, u16>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            places: HashMap::new(),
        }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Names<T> {
    /// The index of a name; of `others` when there are too many.
    fn place(&mut self, name: T, others: impl FnOnce() -> T) -> u16 {
        if let Some(place) = self.places.get(&name) {
            return *place;
        }
        let name = if self.names.len() < KINDS_MAX {
            name
        } else {
            others()
        };
        let next = self.names.len() as u16;
        let names = &mut self.names;
        *self.places.entry(name.clone()).or_insert_with(|| {
            names.push(name);
            next
        })
    }
}

struct Reader<'a> {
    source: &'a SourceTable<'a>,
    columns: &'a [Placed],
    unit: Option<Unit>,
    cells: Names<Cell>,
    words: Names<String>,
}

impl<'a> Reader<'a> {
    /// A cell that is there and not blank.
    fn cell(&self, row: usize, name: &str) -> Option<(&'a Placed, &'a str)> {
        let placed = self.columns.iter().find(|c| c.column.name == name)?;
        let text = self.source.table.cell(row, placed.place).trim();
        (!text.is_empty()).then_some((placed, text))
    }

    fn text(&self, row: usize, name: &str) -> String {
        self.cell(row, name)
            .map(|(_, text)| clean(text, NAME_CHARS))
            .unwrap_or_default()
    }

    fn read<T>(
        &self,
        row: usize,
        name: &str,
        parse: impl FnOnce(&str, Option<Unit>) -> Result<T, String>,
    ) -> Result<Option<T>, Diagnostic> {
        let Some((placed, text)) = self.cell(row, name) else {
            return Ok(None);
        };
        let value = parse(text, placed.unit.or(self.unit));
        value
            .map(Some)
            .map_err(|why| self.source.error(row, &format!("column `{name}`: {why}")))
    }

    fn row(&mut self, row: usize) -> Result<Row, Diagnostic> {
        let memory = |text: &str, unit: Option<Unit>| {
            quantity(text, Dimension::Memory, unit.filter(|u| u.is_memory()))
        };
        // The unit of times says nothing of large numbers, which count since 1970.
        let point = |text: &str, unit: Option<Unit>| stamp(text, None).or_else(|_| stamp(text, unit));
        let own = |placed: Option<(&Placed, &str)>| placed.is_some_and(|(placed, _)| placed.unit.is_some());
        let start = if own(self.cell(row, "start")) {
            self.read(row, "start", stamp)?
        } else {
            self.read(row, "start", point)?
        };
        let end = if own(self.cell(row, "end")) {
            self.read(row, "end", stamp)?
        } else {
            self.read(row, "end", point)?
        };
        let latency_s = self.read(row, "latency", |text, unit| quantity(text, Dimension::Time, unit))?;
        let (ended, word) = self.ended(row)?;
        if ended == Ended::Ok && start.is_none() && end.is_none() && latency_s.is_none() {
            return Err(self
                .source
                .error(row, "it has neither a start nor an end nor a latency"));
        }
        let cell = Cell {
            group: self.text(row, "group"),
            endpoint: self.text(row, "endpoint"),
        };
        let others = || Cell {
            group: OTHERS.to_owned(),
            endpoint: OTHERS.to_owned(),
        };
        let concurrency = self.read(row, "concurrency", |text, _| number(text))?;
        let memory_mib = self.read(row, "memory", memory)?;
        let number = self
            .cell(row, "number")
            .and_then(|(_, text)| trailing_number(text));
        Ok(Row {
            start,
            end,
            concurrency,
            record: Record {
                start_s: None,
                end_s: None,
                latency_s,
                ended,
                word: self.words.place(word, || OTHERS.to_owned()),
                cell: self.cells.place(cell, others),
                memory_mib,
                number,
            },
        })
    }

    /// How it ended, from whatever the file says of it; the worst counts.
    fn ended(&self, row: usize) -> Result<(Ended, String), Diagnostic> {
        if let Some((_, error)) = self.cell(row, "error")
            && !["none", "null", "nil", "false", "0", "-"].contains(&error.to_ascii_lowercase().as_str())
        {
            return Ok(failed(error));
        }
        let has = |name: &str| self.columns.iter().any(|c| c.column.name == name);
        if let Some((_, word)) = self.cell(row, "success") {
            match word.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "ok" => {}
                "false" | "0" | "no" => {
                    let status = self.text(row, "status");
                    return Ok(failed(if status.is_empty() {
                        "not successful"
                    } else {
                        &status
                    }));
                }
                _ => {
                    let why = format!("column `success`: {} is neither true nor false", shown(word));
                    return Err(self.source.error(row, &why));
                }
            }
            if !has("status") {
                return Ok((Ended::Ok, "ok".to_owned()));
            }
        }
        Ok(match self.cell(row, "status") {
            Some((_, word)) => status(word),
            None if has("status") => (Ended::Failed, "no status".to_owned()),
            None => (Ended::Ok, "ok".to_owned()),
        })
    }
}

fn failed(word: &str) -> (Ended, String) {
    let lower = word.to_ascii_lowercase();
    let late = [
        "timeout",
        "timed out",
        "time out",
        "time-out",
        "timedout",
        "deadline exceeded",
    ];
    let ended = if late.iter().any(|l| lower.contains(l)) {
        Ended::Timeout
    } else {
        Ended::Failed
    };
    (ended, clean(word, NAME_CHARS))
}

/// An HTTP status or a word. 0 is what clients write when no answer came.
fn status(word: &str) -> (Ended, String) {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let code: Option<u32> = word[..digits].parse().ok();
    let lower = word.to_ascii_lowercase();
    match code {
        Some(200..=399) => (Ended::Ok, clean(word, NAME_CHARS)),
        Some(0) if word.len() == digits => (Ended::Timeout, "0 (no answer)".to_owned()),
        None if [
            "ok",
            "success",
            "succeeded",
            "successful",
            "pass",
            "passed",
            "true",
            "completed",
            "done",
        ]
        .contains(&lower.as_str()) =>
        {
            (Ended::Ok, clean(word, NAME_CHARS))
        }
        _ => failed(word),
    }
}

/// The number at the end of a name: 14 of `req-14`.
fn trailing_number(text: &str) -> Option<u64> {
    let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let number = &text[text.len() - digits..];
    (1..=18).contains(&digits).then(|| number.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use prony_experiments::imported::Ended;

    use super::{status, trailing_number};

    #[test]
    fn words_for_ends() {
        for (word, ended) in [
            ("200", Ended::Ok),
            ("204 No Content", Ended::Ok),
            ("304", Ended::Ok),
            ("OK", Ended::Ok),
            ("0", Ended::Timeout),
            ("ReadTimeout", Ended::Timeout),
            ("504", Ended::Failed),
            ("400 Bad Request", Ended::Failed),
            ("Connection reset", Ended::Failed),
            ("-1", Ended::Failed),
        ] {
            assert_eq!(status(word).0, ended, "{word}");
        }
    }

    #[test]
    fn numbers_at_the_end_of_names() {
        assert_eq!(trailing_number("req-14"), Some(14));
        assert_eq!(trailing_number("7"), Some(7));
        assert_eq!(trailing_number("abc"), None);
        assert_eq!(trailing_number("99999999999999999999"), None);
    }
}
