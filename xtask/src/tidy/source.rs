//! Rules for Rust files: length, opening, name, nothing unfinished.

use std::path::Path;

use super::Breach;

const LINES_MAX: usize = 800;
const REGISTRY_LINES_MAX: usize = 150;
/// Names that say nothing about what a file holds.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "types", "manager", "misc", "imp",
];
/// What must not be left in the code. Split so that this file does not breach its own rule.
const UNFINISHED: &[(&str, &str)] = &[
    (concat!("todo", "!("), "finish it or leave it out"),
    (concat!("unimplemented", "!("), "finish it or leave it out"),
    (concat!("#[", "ignore"), "a test that does not run proves nothing"),
    (concat!("dbg", "!("), "left over from debugging"),
];
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Breaches in one Rust file.
pub(super) fn check(path: &str, text: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let lines = text.lines().count();
    let name = Path::new(path)
        .file_stem()
        .and_then(|s| s.to_str())
        .unwrap_or_default();
    if lines > LINES_MAX {
        breaches.push(Breach::new(
            path,
            0,
            format!("{lines} lines, at most {LINES_MAX}: split it"),
        ));
    }
    if name == "mod" && lines > REGISTRY_LINES_MAX {
        let says = format!(
            "{lines} lines, at most {REGISTRY_LINES_MAX}: mod.rs holds docs, registry and re-exports; move the rest to a named file"
        );
        breaches.push(Breach::new(path, 0, says));
    }
    if EMPTY_NAMES.contains(&name) {
        breaches.push(Breach::new(
            path,
            0,
            format!("`{name}` says nothing: name the file after what it holds"),
        ));
    }
    if !text.starts_with("//! ") {
        breaches.push(Breach::new(
            path,
            1,
            "must open with `//!`: what it is and what it must not know",
        ));
    }
    for (number, line) in (1..).zip(text.lines()) {
        for (pattern, why) in UNFINISHED {
            if line.contains(pattern) {
                breaches.push(Breach::new(path, number, format!("`{pattern}`: {why}")));
            }
        }
        if let Some(note) = NOTES.iter().find(|note| bare_note(line, note)) {
            breaches.push(Breach::new(
                path,
                number,
                format!("{note} without a reason: write `{note}(why): what`"),
            ));
        }
    }
    breaches
}

/// Whether the line has the note as a word of its own, without `(reason)` after it.
fn bare_note(line: &str, note: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(note).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(word);
        let rest = &line[at + note.len()..];
        let after = rest.chars().next().is_some_and(word);
        let reason = rest
            .strip_prefix('(')
            .is_some_and(|r| !r.starts_with(')') && r.contains("): "));
        !before && !after && !reason
    })
}

#[cfg(test)]
mod tests {
    use super::{LINES_MAX, NOTES, REGISTRY_LINES_MAX, UNFINISHED, check};

    fn says(path: &str, text: &str) -> String {
        check(path, text)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn a_good_file_passes() {
        assert_eq!(says("crates/a/src/pace.rs", "//! Paces.\n\nfn pace() {}\n"), "");
    }

    #[test]
    fn length_is_bounded() {
        let body = |lines: usize| format!("//! Long.\n{}", "\n".repeat(lines - 1));
        assert_eq!(says("src/a.rs", &body(LINES_MAX)), "");
        assert!(says("src/a.rs", &body(LINES_MAX + 1)).contains("split it"));
        assert_eq!(says("src/a/mod.rs", &body(REGISTRY_LINES_MAX)), "");
        assert!(says("src/a/mod.rs", &body(REGISTRY_LINES_MAX + 1)).contains("re-exports"));
    }

    #[test]
    fn a_file_says_what_it_is() {
        assert!(says("src/a.rs", "use std::fmt;\n").contains("must open with"));
        assert!(says("src/a.rs", "// Not a module doc.\n").contains("must open with"));
        assert!(says("src/helpers.rs", "//! Help.\n").contains("says nothing"));
    }

    #[test]
    fn nothing_unfinished() {
        for (pattern, _) in UNFINISHED {
            assert!(
                says("src/a.rs", &format!("//! A.\n    {pattern})\n")).contains(":2:"),
                "{pattern}"
            );
        }
        for note in NOTES {
            assert!(
                says("src/a.rs", &format!("//! A.\n// {note}: later\n")).contains("without a reason"),
                "{note}"
            );
            assert!(
                says("src/a.rs", &format!("//! A.\n// {note}(): later\n")).contains("without a reason"),
                "{note}"
            );
            assert_eq!(
                says(
                    "src/a.rs",
                    &format!("//! A.\n// {note}(needs h2 0.5): drop the copy\n")
                ),
                ""
            );
            assert_eq!(says("src/a.rs", &format!("//! A.\nlet a{note}b = 1;\n")), "");
        }
    }
}
