//! Recorded traces: the lengths and blocks of each row, in order. The times are not read here: they are the shape's.

use std::path::Path;

use prony_model::{Length, TraceFormat, TraceSpec};
use serde::Deserialize;

use crate::PromptError;
use crate::dataset::text_of;

const KEY: &str = "prompt.trace.file";
/// Most rows that are held.
const ROWS_MAX: usize = 200_000;

/// One request of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Tokens of its prompt.
    pub(crate) input: u32,
    /// Tokens of its answer; 0 where the request failed.
    pub(crate) output: u32,
    /// Ids of its blocks; empty where the trace has none.
    pub(crate) blocks: Vec<u64>,
    /// Tokens of a block.
    pub(crate) block_tokens: u32,
}

/// A line of Mooncake's trace.
#[derive(Deserialize)]
struct Mooncake {
    #[serde(rename = "timestamp")]
    _timestamp: f64,
    input_length: u32,
    output_length: u32,
    hash_ids: Vec<u64>,
}

/// A line of Bailian's.
#[derive(Deserialize)]
struct Bailian {
    #[serde(rename = "chat_id")]
    _chat_id: serde_json::Value,
    #[serde(rename = "timestamp")]
    _timestamp: f64,
    input_length: u32,
    output_length: u32,
    hash_ids: Vec<u64>,
}

/// Reads a trace.
pub(crate) fn read(spec: &TraceSpec, path: &Path) -> Result<Vec<Row>, PromptError> {
    let name = path.display().to_string();
    parse(spec.format, &text_of(path, KEY)?).map_err(|(line, why)| {
        let place = if line == 0 {
            String::new()
        } else {
            format!(", line {line}")
        };
        PromptError::new(KEY, format!("{name}{place}: {why}"), format_help(spec.format))
    })
}

fn format_help(format: TraceFormat) -> &'static str {
    match format {
        TraceFormat::Mooncake => {
            "each line is {\"timestamp\": ms, \"input_length\": n, \"output_length\": n, \"hash_ids\": [...]}, one id for 512 tokens"
        }
        TraceFormat::Bailian => {
            "each line is {\"chat_id\": ..., \"timestamp\": s, \"input_length\": n, \"output_length\": n, \"hash_ids\": [...]}, \
             one id for 16 tokens"
        }
        TraceFormat::Azure => "the first line is TIMESTAMP,ContextTokens,GeneratedTokens",
        TraceFormat::Burstgpt => {
            "the first line has the columns Timestamp, Request tokens and Response tokens; failures have 0 of the last"
        }
    }
}

/// The error is the line, from 1, and what is wrong.
type Parsed<T> = Result<T, (usize, String)>;

fn parse(format: TraceFormat, text: &str) -> Parsed<Vec<Row>> {
    let rows = match format {
        TraceFormat::Mooncake => lines(text, 512, |line| {
            serde_json::from_str(line).map(|m: Mooncake| (m.input_length, m.output_length, m.hash_ids))
        }),
        TraceFormat::Bailian => lines(text, 16, |line| {
            serde_json::from_str(line).map(|b: Bailian| (b.input_length, b.output_length, b.hash_ids))
        }),
        TraceFormat::Azure => columns(text, "TIMESTAMP", "ContextTokens", "GeneratedTokens"),
        TraceFormat::Burstgpt => columns(text, "Timestamp", "Request tokens", "Response tokens"),
    }?;
    match rows.len() {
        0 => Err((0, "it has no rows".to_owned())),
        n if n > ROWS_MAX => Err((ROWS_MAX + 1, format!("more than {ROWS_MAX} rows: cut it shorter"))),
        _ => Ok(rows),
    }
}

fn checked(row: Row, line: usize) -> Parsed<Row> {
    if row.input == 0 || row.input > Length::MAX {
        return Err((line, format!("a prompt of {} tokens", row.input)));
    }
    if row.output > Length::MAX {
        return Err((line, format!("an answer of {} tokens", row.output)));
    }
    let blocks = row.blocks.len() as u64;
    if !row.blocks.is_empty() && blocks != u64::from(row.input.div_ceil(row.block_tokens)) {
        return Err((
            line,
            format!(
                "{blocks} block ids for {} tokens: one is due for every {} tokens or part of them",
                row.input, row.block_tokens
            ),
        ));
    }
    Ok(row)
}

/// JSON lines with blocks.
fn lines(
    text: &str,
    block_tokens: u32,
    read: impl Fn(&str) -> serde_json::Result<(u32, u32, Vec<u64>)>,
) -> Parsed<Vec<Row>> {
    let filled = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    filled
        .map(|(at, line)| {
            let (input, output, blocks) = read(line).map_err(|e| (at + 1, e.to_string()))?;
            let row = Row {
                input,
                output,
                blocks,
                block_tokens,
            };
            checked(row, at + 1)
        })
        .collect()
}

/// CSV with a column of times and two of lengths.
fn columns(text: &str, time: &str, input: &str, output: &str) -> Parsed<Vec<Row>> {
    let mut lines = text.lines().enumerate();
    let (_, head) = lines.next().ok_or((0, "it is empty".to_owned()))?;
    let head: Vec<&str> = cells(head.trim_start_matches('\u{feff}'));
    let place = |name: &str| {
        head.iter()
            .position(|cell| *cell == name)
            .ok_or_else(|| (1, format!("there is no column `{name}`")))
    };
    place(time)?;
    let (input_at, output_at) = (place(input)?, place(output)?);
    let filled = lines.filter(|(_, line)| !line.trim().is_empty());
    filled
        .map(|(at, line)| {
            let cells = cells(line);
            let number = |place: usize, name: &str| {
                let cell = cells.get(place).copied().unwrap_or_default();
                // BurstGPT's later files write whole numbers as decimals.
                let whole = cell.strip_suffix(".0").unwrap_or(cell);
                whole.parse::<u32>().map_err(|_| {
                    let shown: String = cell.chars().take(40).collect();
                    (at + 1, format!("{shown:?} is no number of tokens in `{name}`"))
                })
            };
            let row = Row {
                input: number(input_at, input)?,
                output: number(output_at, output)?,
                blocks: Vec::new(),
                block_tokens: 1,
            };
            checked(row, at + 1)
        })
        .collect()
}

/// The cells of a line; those of these traces have no commas of their own.
fn cells(line: &str) -> Vec<&str> {
    line.split(',')
        .map(|cell| cell.trim().trim_matches('"'))
        .collect()
}

#[cfg(test)]
mod tests {
    use prony_model::TraceFormat::{Azure, Bailian, Burstgpt, Mooncake};

    use super::{Row, parse};

    fn row(input: u32, output: u32, blocks: &[u64], block_tokens: u32) -> Row {
        Row {
            input,
            output,
            blocks: blocks.to_vec(),
            block_tokens,
        }
    }

    #[test]
    fn every_format_has_its_fields() {
        assert_eq!(
            parse(
                Mooncake,
                "{\"timestamp\": 0, \"input_length\": 513, \"output_length\": 7, \"hash_ids\": [46, 47]}\n\n"
            ),
            Ok(vec![row(513, 7, &[46, 47], 512)])
        );
        assert_eq!(
            parse(
                Bailian,
                "{\"chat_id\": 1, \"parent_chat_id\": -1, \"timestamp\": 0.25, \"input_length\": 17, \"output_length\": 2, \
                 \"type\": \"text\", \"turn\": 1, \"hash_ids\": [1, 2]}"
            ),
            Ok(vec![row(17, 2, &[1, 2], 16)])
        );
        assert_eq!(
            parse(
                Azure,
                "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n"
            ),
            Ok(vec![row(374, 44, &[], 1)])
        );
        assert_eq!(
            parse(
                Burstgpt,
                "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
                 5,,2,ChatGPT,472,18,490,Conversation log\n45.0,,,GPT-4,1087.0,0,1087,API log\n"
            ),
            Ok(vec![row(472, 18, &[], 1), row(1087, 0, &[], 1)])
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let wrong = |format, text: &str| parse(format, text).unwrap_err();
        let (line, why) = wrong(
            Mooncake,
            "\n{\"timestamp\": 0, \"input_length\": 5, \"hash_ids\": [1]}",
        );
        assert!(line == 2 && why.contains("output_length"), "{why}");
        let (line, why) = wrong(
            Mooncake,
            "{\"timestamp\": 0, \"input_length\": 513, \"output_length\": 1, \"hash_ids\": [1]}",
        );
        assert!(line == 1 && why.contains("1 block ids for 513 tokens"), "{why}");
        assert!(wrong(Bailian, "{\"timestamp\": 0}").1.contains("chat_id"));
        assert_eq!(wrong(Azure, "").1, "it is empty");
        assert!(
            wrong(Azure, "TIMESTAMP,ContextTokens\n")
                .1
                .contains("GeneratedTokens")
        );
        assert_eq!(
            wrong(Azure, "TIMESTAMP,ContextTokens,GeneratedTokens\n").1,
            "it has no rows"
        );
        let (line, why) = wrong(Azure, "TIMESTAMP,ContextTokens,GeneratedTokens\na,1,2\nb,x,2\n");
        assert!(line == 3 && why.contains("\"x\""), "{why}");
        assert!(
            wrong(Azure, "TIMESTAMP,ContextTokens,GeneratedTokens\na,0,2\n")
                .1
                .contains("0 tokens")
        );
        assert!(
            wrong(Burstgpt, "Timestamp,Request tokens\n1,2\n")
                .1
                .contains("Response tokens")
        );
    }
}
