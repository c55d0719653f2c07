//! YAML written line by line: text from a target stays text, in a quoted scalar and in a comment alike.
//!
//! Knows nothing of reports.

use std::fmt::Write as _;

use crate::escape::plain;

/// Longest text of a quoted scalar.
const TEXT_CHARS_MAX: usize = 2000;
/// Columns of a comment.
const COMMENT_COLUMNS: usize = 110;

/// A double-quoted scalar on one line: whatever stands in it, it reads back as that text without control characters.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in plain(text, TEXT_CHARS_MAX).chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(c),
            c if u32::from(c) <= 0xffff => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

/// Comment lines at an indent, broken at spaces.
pub(crate) fn comment(out: &mut String, indent: usize, text: &str) {
    let pad = " ".repeat(indent);
    let mut line = String::new();
    let mut lines: Vec<String> = Vec::new();
    for word in shown(text).split(' ') {
        if !line.is_empty() && indent + line.chars().count() + word.chars().count() > COMMENT_COLUMNS {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    for line in lines.iter().filter(|l| !l.is_empty()) {
        let _ = writeln!(out, "{pad}# {line}");
    }
}

/// One line of characters that YAML allows in a comment.
fn shown(text: &str) -> String {
    plain(text, TEXT_CHARS_MAX)
        .chars()
        .map(|c| {
            let code = u32::from(c);
            let allowed = matches!(code, 0x20..=0x7e | 0xa0..=0xd7ff | 0xe000..=0xfffd | 0x1_0000..);
            if allowed { c } else { '?' }
        })
        .collect()
}

/// A name that Kubernetes and Prometheus accept: lower-case letters, digits and hyphens, beginning and ending with a letter
/// or digit, at most 40 characters.
pub(crate) fn name(text: &str) -> String {
    let slug: String = crate::escape::slug(text).chars().take(40).collect();
    let slug = slug.trim_matches('-');
    if slug.is_empty() {
        return "backend".to_owned();
    }
    if slug.starts_with(|c: char| c.is_ascii_alphabetic()) {
        slug.to_owned()
    } else {
        format!("b-{slug}")
    }
}

/// A number without an exponent and without noise digits.
pub(crate) fn number(value: f64) -> String {
    if value.fract().abs() < 1e-9 && value.abs() < 1e15 {
        return format!("{value:.0}");
    }
    let digits = (3.0 - value.abs().log10().floor()).clamp(0.0, 12.0) as usize;
    format!("{value:.digits$}")
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::{comment, name, number, quoted};

    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!(quoted("a\"b\\c\nd"), "\"a\\\"b\\\\c d\"");
        assert_eq!(quoted("\u{e4}\u{1f600}"), "\"\\u00e4\\U0001f600\"");
        let mut out = String::new();
        comment(&mut out, 2, "x\nkey: value\r- item\u{2028}--- \u{85}y");
        assert_eq!(out, "  # x key: value - item --- y\n");
        let mut out = String::new();
        comment(&mut out, 0, &"word ".repeat(100));
        assert!(out.lines().count() > 3 && out.lines().all(|l| l.starts_with("# word")));
        let mut out = String::new();
        comment(&mut out, 0, "");
        assert_eq!(out, "");
    }

    #[test]
    fn names_are_names() {
        assert_eq!(name("Enso <b>Atlas</b>"), "enso-b-atlas-b");
        assert_eq!(name("9 lives"), "b-9-lives");
        assert_eq!(name("\u{202e}"), "backend");
        assert_eq!(name(&"x-".repeat(100)).len(), 39);
    }

    #[test]
    fn numbers_have_no_exponent() {
        assert_eq!(number(0.000_012_345_6), "0.00001235");
        assert_eq!(number(12.0), "12");
        assert_eq!(number(0.14), "0.14");
    }
}
