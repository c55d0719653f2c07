//! The text that `prony judge` prints. It lays out the document and computes nothing.

use std::fmt::Write as _;

use prony_model::{Finding, Verdict};
use prony_report::terminal::verdict_word;

use super::document::{HeldKind, JudgeDocument, JudgedRow};
use crate::text::clean;

/// Columns of the page.
const WIDTH: usize = 100;
/// Columns of a verdict word with its space.
const INDENT: usize = 13;
/// Characters of one sentence; it quotes the file.
const SENTENCE_CHARS: usize = 1500;

/// One block for each row, then the verdict.
pub(super) fn text(document: &JudgeDocument, color: bool) -> String {
    let mut out = String::new();
    for row in &document.rows {
        block(&mut out, row, document.holds, color);
    }
    let word = verdict_word(document.verdict, color);
    wrapped(&mut out, &format!("{word} "), &document.because);
    out
}

fn block(out: &mut String, row: &JudgedRow, holds: HeldKind, color: bool) {
    let head = if row.claim.is_empty() {
        row.id.clone()
    } else {
        format!("{}: \"{}\"", row.id, row.claim)
    };
    wrapped(
        out,
        &format!("{} ", verdict_word(row.verdict, color)),
        &clean(&head, 400),
    );
    let mut told = row
        .findings
        .iter()
        .filter(|f| holds == HeldKind::Requests || is_told(row, f));
    if let Some(first) = told.next() {
        wrapped(out, &" ".repeat(INDENT), &clean(&first.title, SENTENCE_CHARS));
    }
    for further in told {
        let sentence = clean(&further.title, SENTENCE_CHARS);
        let also = if [row.verdict, Verdict::Pass].contains(&further.verdict) {
            format!("also: {sentence}")
        } else {
            format!("also {}: {sentence}", further.verdict)
        };
        wrapped(out, &" ".repeat(INDENT), &also);
    }
    out.push('\n');
}

/// What speaks for a claim is left out where something speaks against it.
fn is_told(row: &JudgedRow, finding: &Finding) -> bool {
    row.verdict == Verdict::Pass || finding.verdict != Verdict::Pass
}

/// Breaks a text at spaces; the head takes [`INDENT`] columns, whatever colours it holds.
fn wrapped(out: &mut String, head: &str, text: &str) {
    let indent = " ".repeat(INDENT);
    let mut line = head.to_owned();
    let mut used = INDENT;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        // A per cent sign stays with its number.
        if used > INDENT && used + 1 + length > WIDTH && !word.starts_with('%') {
            let _ = writeln!(out, "{}", line.trim_end());
            line.clone_from(&indent);
            used = INDENT;
        }
        if used > INDENT {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += length;
    }
    let _ = writeln!(out, "{}", line.trim_end());
}
