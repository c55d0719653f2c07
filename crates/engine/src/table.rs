//! Rows of text from a CSV or JSON file, for feeds, traces and results. It reads one file, bounded, and knows no load.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde_json::Value;

/// Largest file, in bytes: its wanted columns are held in memory.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// Most rows.
const ROWS_MAX: usize = 10_000_000;

/// Most rows, and most cells, of a table that is read whole.
const WHOLE_ROWS_MAX: usize = 1_000_000;
const WHOLE_CELLS_MAX: usize = 20_000_000;

/// Largest JSON array, in bytes: it is held in memory as a whole.
const ARRAY_BYTES_MAX: usize = 16 << 20;

/// Most different keys of JSON objects: each is a cell in every row.
const COLUMNS_MAX: usize = 200;

/// The wanted columns of all rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    width: usize,
    /// Names of the columns of a table that was read whole; empty when they were asked for by name.
    columns: Vec<String>,
    cells: Vec<Box<str>>,
    /// Line of each row in the file, from 1.
    lines: Vec<u32>,
}

/// What is wrong with a file of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableError {
    /// The file.
    pub file: String,
    /// Line, from 1; 0 when the whole file is meant.
    pub line: u64,
    /// What is wrong and what would be right.
    pub why: String,
    /// The columns that there are, when one was asked for that is not among them.
    pub known: Vec<String>,
    /// The column that was asked for; empty when the columns are not the matter.
    pub column: String,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ", line {}", self.line)?;
        }
        write!(f, ": {}", self.why)
    }
}

impl std::error::Error for TableError {}

impl TableError {
    pub(crate) fn new(file: &str, line: u64, why: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            why: why.into(),
            known: Vec::new(),
            column: String::new(),
        }
    }
}

impl Table {
    /// Reads the named columns of a file; which kind it is, its name tells.
    pub(crate) fn read(file: &str, columns: &[String]) -> Result<Self, TableError> {
        let wrong = |why: String| TableError::new(file, 0, why);
        let size = std::fs::metadata(file)
            .map_err(|e| wrong(format!("cannot be read: {e}")))?
            .len();
        if size > FILE_BYTES_MAX {
            return Err(wrong(format!(
                "it has {size} bytes; at most {FILE_BYTES_MAX} are read"
            )));
        }
        let text = std::fs::read_to_string(file).map_err(|e| wrong(format!("cannot be read: {e}")))?;
        Self::parse(file, &text, columns)
    }

    /// The named columns of a text.
    pub(crate) fn parse(file: &str, text: &str, columns: &[String]) -> Result<Self, TableError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let extension = Path::new(file).extension().and_then(|e| e.to_str());
        let kind = extension.map(str::to_ascii_lowercase);
        let table = match kind.as_deref() {
            Some("csv") => csv(file, text, columns)?,
            Some("ndjson" | "jsonl") => ndjson(file, text, columns)?,
            _ => {
                return Err(TableError::new(
                    file,
                    0,
                    "its name must end in .csv, .ndjson or .jsonl, so that its kind is known",
                ));
            }
        };
        if table.is_empty() {
            return Err(TableError::new(file, 0, "it has no rows: give it at least one"));
        }
        Ok(table)
    }

    /// Every column of a text, whose beginning tells which kind it is: CSV with a header (separated by commas, semicolons or
    /// tabs, after any lines that begin with `#`), a JSON array of objects, or one JSON object a line. What an object
    /// lacks is an empty cell.
    pub fn whole(file: &str, text: &str) -> Result<Self, TableError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let table = match text.trim_start().as_bytes().first() {
            Some(b'[') => array(file, text)?,
            Some(b'{') => objects(file, text)?,
            _ => whole_csv(file, text)?,
        };
        if table.is_empty() {
            return Err(TableError::new(file, 0, "it has no rows: give it at least one"));
        }
        Ok(table)
    }

    /// Names of the columns of a table that was read whole.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether it has none; a table that was read never is.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// A cell, by row and by position in the columns asked for.
    pub fn cell(&self, row: usize, column: usize) -> &str {
        &self.cells[row * self.width + column]
    }

    /// Line of a row in its file; its number in a JSON array.
    pub fn line(&self, row: usize) -> u64 {
        u64::from(self.lines[row])
    }

    fn push(
        &mut self,
        file: &str,
        line: u64,
        cells: impl IntoIterator<Item = Box<str>>,
    ) -> Result<(), TableError> {
        if self.lines.len() >= ROWS_MAX {
            return Err(TableError::new(
                file,
                line,
                format!("more than {ROWS_MAX} rows are not read"),
            ));
        }
        self.cells.extend(cells);
        self.lines.push(u32::try_from(line).unwrap_or(u32::MAX));
        Ok(())
    }
}

fn csv(file: &str, text: &str, columns: &[String]) -> Result<Table, TableError> {
    let mut rows = Csv {
        file,
        rest: text,
        line: 1,
        separator: ',',
    };
    let (_, header) = rows.header()?;
    let place = |column: &String| {
        header.iter().position(|h| h == column).ok_or_else(|| TableError {
            known: header.clone(),
            column: column.clone(),
            ..TableError::new(
                file,
                1,
                format!("there is no column `{column}`; it has: {}", header.join(", ")),
            )
        })
    };
    let places = columns.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    let mut table = Table {
        width: columns.len(),
        ..Table::default()
    };
    while let Some((line, row)) = rows.next_of(header.len())? {
        table.push(
            file,
            line,
            places.iter().map(|&i| row[i].clone().into_boxed_str()),
        )?;
    }
    Ok(table)
}

fn whole_csv(file: &str, text: &str) -> Result<Table, TableError> {
    let remarks = text.lines().take_while(|line| line.starts_with('#')).count();
    let after = text.split_inclusive('\n').skip(remarks);
    let length: usize = after.map(str::len).sum();
    let rest = &text[text.len() - length..];
    let first = rest
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let separator = [',', ';', '\t']
        .into_iter()
        .max_by_key(|&c| (first.matches(c).count(), c == ','))
        .unwrap_or(',');
    let mut rows = Csv {
        file,
        rest,
        line: 1 + remarks as u64,
        separator,
    };
    let (line, columns) = rows.header()?;
    if let Some(twice) = columns
        .iter()
        .enumerate()
        .find_map(|(i, c)| columns[..i].contains(c).then_some(c))
    {
        return Err(TableError {
            column: twice.clone(),
            ..TableError::new(file, line, format!("there are two columns `{twice}`"))
        });
    }
    let mut table = Table {
        width: columns.len(),
        ..Table::default()
    };
    while let Some((line, row)) = rows.next_of(columns.len())? {
        bounded(file, line, table.len() + 1, columns.len())?;
        table.push(file, line, row.into_iter().map(String::into_boxed_str))?;
    }
    table.columns = columns;
    Ok(table)
}

/// Refuses a table that is too large to be held whole.
fn bounded(file: &str, line: u64, rows: usize, columns: usize) -> Result<(), TableError> {
    if rows > WHOLE_ROWS_MAX || rows.saturating_mul(columns) > WHOLE_CELLS_MAX {
        let why = format!("more than {WHOLE_ROWS_MAX} rows or {WHOLE_CELLS_MAX} cells are not read");
        return Err(TableError::new(file, line, why));
    }
    Ok(())
}

/// Rows of a CSV text (RFC 4180): quotes around cells, doubled inside, may hold commas and line breaks.
struct Csv<'a> {
    file: &'a str,
    rest: &'a str,
    line: u64,
    separator: char,
}

impl Csv<'_> {
    /// The first row, whose cells name the columns, and its line.
    fn header(&mut self) -> Result<(u64, Vec<String>), TableError> {
        let Some((line, header)) = self.next_row()? else {
            return Err(TableError::new(
                self.file,
                0,
                "it is empty: write a header line and at least one row",
            ));
        };
        Ok((line, header.iter().map(|h| h.trim().to_owned()).collect()))
    }

    /// The next row, which must have so many cells, and its line.
    fn next_of(&mut self, width: usize) -> Result<Option<(u64, Vec<String>)>, TableError> {
        match self.next_row()? {
            Some((line, row)) if row.len() != width => {
                let why = format!("{} cells where the header has {width}", row.len());
                Err(TableError::new(self.file, line, why))
            }
            row => Ok(row),
        }
    }

    /// The next row and its line; empty lines are no rows.
    fn next_row(&mut self) -> Result<Option<(u64, Vec<String>)>, TableError> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            let line = self.line;
            let row = self.row()?;
            if row.len() > 1 || row.iter().any(|cell| !cell.trim().is_empty()) {
                return Ok(Some((line, row)));
            }
        }
    }

    fn row(&mut self) -> Result<Vec<String>, TableError> {
        let mut row = Vec::new();
        loop {
            let (cell, end) = if let Some(quoted) = self.rest.strip_prefix('"') {
                self.rest = quoted;
                self.quoted()?
            } else {
                let length = self.rest.find([self.separator, '\n']).unwrap_or(self.rest.len());
                let cell = self.rest[..length].trim_end_matches('\r').to_owned();
                self.rest = &self.rest[length..];
                (cell, self.separator())
            };
            row.push(cell);
            if end {
                return Ok(row);
            }
        }
    }

    /// The rest of a quoted cell, and whether it ends the row.
    fn quoted(&mut self) -> Result<(String, bool), TableError> {
        let (mut cell, started) = (String::new(), self.line);
        loop {
            let Some(at) = self.rest.find('"') else {
                return Err(TableError::new(self.file, started, "a quote is never closed"));
            };
            let part = &self.rest[..at];
            self.line += part.matches('\n').count() as u64;
            cell.push_str(part);
            self.rest = &self.rest[at + 1..];
            if let Some(rest) = self.rest.strip_prefix('"') {
                cell.push('"');
                self.rest = rest;
                continue;
            }
            self.rest = self.rest.strip_prefix('\r').unwrap_or(self.rest);
            if !self.rest.is_empty() && !self.rest.starts_with([self.separator, '\n']) {
                return Err(TableError::new(
                    self.file,
                    self.line,
                    "something follows a closing quote; double the quotes inside a cell",
                ));
            }
            return Ok((cell, self.separator()));
        }
    }

    /// Steps over a comma or a line end; whether the row ends.
    fn separator(&mut self) -> bool {
        if let Some(rest) = self.rest.strip_prefix(self.separator) {
            self.rest = rest;
            return false;
        }
        if let Some(rest) = self.rest.strip_prefix('\n') {
            self.rest = rest;
            self.line += 1;
        }
        true
    }
}

fn ndjson(file: &str, text: &str, columns: &[String]) -> Result<Table, TableError> {
    let mut table = Table {
        width: columns.len(),
        ..Table::default()
    };
    for (i, line) in text.lines().enumerate() {
        let number = i as u64 + 1;
        if line.trim().is_empty() {
            continue;
        }
        let value: Value = serde_json::from_str(line)
            .map_err(|e| TableError::new(file, number, format!("this line is not JSON: {e}")))?;
        let Value::Object(object) = &value else {
            return Err(TableError::new(
                file,
                number,
                "this line is no JSON object; each row is one, such as {\"id\": 7}",
            ));
        };
        let cell = |column: &String| {
            let found = if column.starts_with('/') {
                value.pointer(column)
            } else {
                object.get(column)
            };
            found.map(scalar).ok_or_else(|| {
                let known: Vec<String> = object.keys().cloned().collect();
                TableError {
                    column: column.clone(),
                    ..TableError {
                        known: known.clone(),
                        ..TableError::new(
                            file,
                            number,
                            format!("this row has no `{column}`; it has: {}", known.join(", ")),
                        )
                    }
                }
            })
        };
        let cells = columns.iter().map(cell).collect::<Result<Vec<_>, _>>()?;
        table.push(file, number, cells)?;
    }
    Ok(table)
}

/// One JSON object a line, with whatever keys each has.
fn objects(file: &str, text: &str) -> Result<Table, TableError> {
    let mut rows = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        if !line.trim().is_empty() {
            let value = serde_json::from_str(line)
                .map_err(|e| TableError::new(file, number, format!("this line is not JSON: {e}")))?;
            bounded(file, number, rows.len() + 1, 1)?;
            rows.push((number, value));
        }
    }
    of_objects(file, rows)
}

fn array(file: &str, text: &str) -> Result<Table, TableError> {
    if text.len() > ARRAY_BYTES_MAX {
        let why =
            format!("a JSON array of more than {ARRAY_BYTES_MAX} bytes is not read; write one object a line");
        return Err(TableError::new(file, 0, why));
    }
    let values: Vec<Value> = serde_json::from_str(text)
        .map_err(|e| TableError::new(file, e.line() as u64, format!("it is not a JSON array: {e}")))?;
    of_objects(file, (1..).zip(values).collect())
}

fn of_objects(file: &str, rows: Vec<(u64, Value)>) -> Result<Table, TableError> {
    let mut table = Table::default();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (number, value) in &rows {
        let Value::Object(object) = value else {
            let why = "this row is no JSON object; each row is one, such as {\"id\": 7}";
            return Err(TableError::new(file, *number, why));
        };
        for key in object.keys() {
            if !places.contains_key(key) {
                places.insert(key.clone(), table.columns.len());
                table.columns.push(key.clone());
            }
        }
        if table.columns.len() > COLUMNS_MAX {
            let why = format!("more than {COLUMNS_MAX} different keys are not read");
            return Err(TableError::new(file, *number, why));
        }
    }
    table.width = table.columns.len();
    bounded(file, 0, rows.len(), table.width)?;
    for (number, value) in rows {
        let mut cells = vec![Box::default(); table.width];
        for (key, value) in value.as_object().into_iter().flatten() {
            if !value.is_null() {
                cells[places[key]] = scalar(value);
            }
        }
        table.push(file, number, cells)?;
    }
    Ok(table)
}

/// A JSON value as the text that a template takes: a string without its quotes.
pub(crate) fn scalar(value: &Value) -> Box<str> {
    match value {
        Value::String(text) => text.as_str().into(),
        other => other.to_string().into_boxed_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn csv_with_quotes_line_breaks_and_blank_lines() {
        let text =
            "\u{feff}id, name ,note\r\n1,plain,\r\n\r\n2,\"a \"\"b\"\", c\",\"two\nlines\"\r\n3,é,\"\"";
        let table = Table::parse("x.csv", text, &columns(&["name", "id", "note"])).unwrap();
        assert_eq!(table.len(), 3);
        assert_eq!(
            [table.cell(0, 0), table.cell(0, 1), table.cell(0, 2)],
            ["plain", "1", ""]
        );
        assert_eq!([table.cell(1, 0), table.cell(1, 2)], ["a \"b\", c", "two\nlines"]);
        assert_eq!([table.cell(2, 0), table.cell(2, 2)], ["é", ""]);
        assert_eq!([table.line(0), table.line(1), table.line(2)], [2, 4, 6]);
    }

    #[test]
    fn ndjson_by_key_and_by_pointer() {
        let text = "{\"id\": 7, \"at\": {\"s\": 1.5}}\n\n{\"id\": \"x\", \"at\": {\"s\": 2}, \"more\": []}\n";
        let table = Table::parse("x.ndjson", text, &columns(&["id", "/at/s"])).unwrap();
        assert_eq!([table.cell(0, 0), table.cell(0, 1)], ["7", "1.5"]);
        assert_eq!([table.cell(1, 0), table.cell(1, 1)], ["x", "2"]);
        assert_eq!(table.line(1), 3);
    }

    #[test]
    fn a_whole_table_tells_its_kind_by_its_beginning() {
        let cells = |text: &str| {
            let table = Table::whole("x", text).unwrap();
            let row = |row| (0..table.columns().len()).map(move |c| (row, c));
            let all: Vec<String> = (0..table.len())
                .flat_map(row)
                .map(|(row, column)| table.cell(row, column).to_owned())
                .collect();
            (
                table.columns().join(" "),
                all.join("|"),
                table.line(table.len() - 1),
            )
        };
        let same = |line| ("a b".to_owned(), "1|x|2|".to_owned(), line);
        assert_eq!(cells("a,b\n1,x\n2,\n"), same(3));
        assert_eq!(cells("# who measured\n# when\na;b\r\n1;x\r\n2;"), same(5));
        assert_eq!(cells("a\tb\n1\tx\n2\t\n"), same(3));
        assert_eq!(cells("{\"a\":1,\"b\":\"x\"}\n\n{\"a\":2,\"b\":null}"), same(3));
        assert_eq!(cells(" [{\"a\":1,\"b\":\"x\"},\n{\"a\":2}]"), same(2));
        let wrong = |text: &str| Table::whole("x", text).unwrap_err().to_string();
        assert!(wrong("").contains("empty") && wrong("# only\n").contains("empty"));
        assert!(wrong("a,b\n").contains("no rows") && wrong("[]").contains("no rows"));
        assert!(wrong("a,a\n1,2\n").contains("two columns `a`"));
        assert!(wrong("[1]").contains("no JSON object") && wrong("{\n}").contains("not JSON"));
        let keys: Vec<String> = (0..=super::COLUMNS_MAX).map(|i| format!("\"{i}\":1")).collect();
        assert!(wrong(&format!("{{{}}}", keys.join(","))).contains("different keys"));
    }

    #[test]
    fn every_error_says_where_and_what() {
        let wrong = |file: &str, text: &str, names: &[&str]| {
            Table::parse(file, text, &columns(names)).unwrap_err().to_string()
        };
        assert!(wrong("x.csv", "", &["a"]).contains("is empty"));
        assert!(wrong("x.csv", "a,b\n", &["a"]).contains("no rows"));
        assert!(wrong("x.ndjson", "\n", &["a"]).contains("no rows"));
        assert!(wrong("x.txt", "a\n1\n", &["a"]).contains(".csv"));
        assert_eq!(
            wrong("x.csv", "a,b\n1,2\n3\n", &["a"]),
            "x.csv, line 3: 1 cells where the header has 2"
        );
        assert!(wrong("x.csv", "a\n\"1\n", &["a"]).contains("line 2: a quote is never closed"));
        assert!(wrong("x.csv", "a\n\"1\"2\n", &["a"]).contains("closing quote"));
        assert!(
            wrong("x.ndjson", "{\"a\":1}\n[1]\n", &["a"]).contains("line 2: this line is no JSON object")
        );
        let unknown = Table::parse("x.csv", "id,name\n1,2\n", &columns(&["nam"])).unwrap_err();
        assert_eq!(unknown.known, ["id", "name"]);
        assert_eq!(unknown.column, "nam");
        assert!(Table::read("/nonexistent/x.csv", &[]).is_err());
    }
}
