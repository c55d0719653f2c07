//! Hostile texts, and the marks by which an answer betrays that they had an effect.

use std::sync::LazyLock;

use regex::Regex;

use super::case::Class;

/// Markup that a page must escape. The number makes it ours.
pub(super) const MARKUP: &str = "<script>alert(733101)</script>";
/// A computation that a template engine would do. The words around it stay where they are when it is done; who only tells the
/// product does not put it between them.
const TEMPLATE: &str = "prony{{7331*7919}}ynorp prony${7331*7919}ynorp";
/// What the template engine would make of it.
pub(super) const TEMPLATE_RESULT: &str = "prony58054189ynorp";
const SQL: &str = "' OR '1'='1' -- ";
const TRAVERSAL: &str = "../../../../../../etc/passwd";
const SPLIT: &str = "x\r\nX-Prony-Injected: 1";
/// The header that a split would add.
pub(super) const SPLIT_HEADER: &str = "x-prony-injected";
const UNICODE: &str = "\u{65e5}\u{672c}\u{8a9e} \u{1f642}\u{202e} e\u{301} \u{2124}\u{fb01}";
const NUL: &str = "a\u{0}b";

/// Whether a text holds the rare characters as they look after a wrong decoding: UTF-8 read as Latin-1, or replaced.
pub(super) fn is_mangled(text: &str) -> bool {
    static MANGLED: LazyLock<[String; 2]> = LazyLock::new(|| {
        let start = "\u{65e5}\u{672c}\u{8a9e}";
        [start.bytes().map(char::from).collect(), "\u{fffd}".repeat(3)]
    });
    MANGLED.iter().any(|mangled| text.contains(mangled.as_str()))
}

/// Texts that any text field may be given, with their class and what to call them.
pub(super) const TEXTS: &[(Class, &str, &str)] = &[
    (Class::Markup, MARKUP, "HTML markup"),
    (Class::PathTraversal, TRAVERSAL, "a path traversal"),
    (Class::Injection, TEMPLATE, "a template expression"),
    (Class::Unicode, UNICODE, "rare characters"),
    (Class::Injection, SQL, "an SQL fragment"),
    (Class::HeaderSplit, SPLIT, "line breaks"),
    (Class::Unicode, NUL, "a NUL character"),
];

/// What a panic of Rust is called.
const PANIC: &str = "a Rust panic message";

/// What gives away the inside of a target, with what to call it.
static LEAKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (r"Traceback \(most recent call last\)", "a Python stack trace"),
        (r#"File "[^"\n]+", line \d+"#, "a Python stack trace"),
        (
            r"(?m)^\s*at [\w.$<>]+\([\w.]+\.(java|kt|scala):\d+\)",
            "a Java stack trace",
        ),
        (
            r"\bat .{1,120}\.(js|ts|mjs|cjs):\d+:\d+",
            "a JavaScript stack trace",
        ),
        (r"panicked at .{1,200}:\d+:\d+", PANIC),
        (r"goroutine \d+ \[", "a Go stack trace"),
        (r"\bSystem\.[A-Z]\w+Exception\b", "a .NET exception"),
        (
            r"SQLSTATE|syntax error at or near|SQL syntax.{0,40}MySQL|sqlite3\.\w*Error|ORA-\d{5}",
            "a database error",
        ),
        (r"\[Errno \d+\]", "an operating system error"),
        (r"\b(site-packages|node_modules)/", "a library path"),
        (
            r"(^|[\s'\x22(=:])/(home|root|usr|srv|opt|mnt|var/(lib|www|log))/[\w.-]+",
            "a file path",
        ),
    ]
    .into_iter()
    .map(|(pattern, name)| (Regex::new(pattern).expect("a valid pattern"), name))
    .collect()
});

/// The first thing in an error body that gives away the inside, with the text around it; parts of the request that
/// come back do not count.
pub(super) fn leak(body: &str, sent: &str) -> Option<(&'static str, String)> {
    LEAKS.iter().find_map(|(pattern, name)| {
        let found = pattern.find_iter(body).find(|m| {
            !sent.contains(
                m.as_str()
                    .trim_start_matches(|c: char| c.is_whitespace() || "'\"(=:".contains(c)),
            )
        })?;
        let start = body[..found.start()]
            .char_indices()
            .rev()
            .nth(40)
            .map_or(0, |(i, _)| i);
        let end = body[found.end()..]
            .char_indices()
            .nth(120)
            .map_or(body.len(), |(i, _)| found.end() + i);
        Some((*name, body[start..end].to_owned()))
    })
}

/// Whether what gives away the inside shows where in the code it happened.
pub(super) fn is_trace(what: &str) -> bool {
    what.ends_with("stack trace") || what == PANIC
}

/// Whether a body holds the user list of a Unix system.
pub(super) fn is_user_list(body: &str) -> bool {
    static LINE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"root:[^:\n]*:0:0:").expect("a valid pattern"));
    LINE.is_match(body)
}

#[cfg(test)]
mod tests {
    use super::{TEMPLATE_RESULT, TEXTS, UNICODE, is_mangled, is_trace, is_user_list, leak};

    #[test]
    fn the_template_result_is_right_and_not_in_the_payloads() {
        assert_eq!(format!("prony{}ynorp", 7331_u64 * 7919), TEMPLATE_RESULT);
        assert!(TEXTS.iter().all(|(_, text, _)| !text.contains(TEMPLATE_RESULT)));
    }

    #[test]
    fn leaks_are_seen_and_echoes_are_not() {
        let found = |body: &str| leak(body, "").map(|(name, _)| name);
        assert_eq!(
            found("Traceback (most recent call last):\n"),
            Some("a Python stack trace")
        );
        assert_eq!(
            found("Error\n    at f (/srv/app/index.js:10:5)"),
            Some("a JavaScript stack trace")
        );
        assert_eq!(
            found("[Errno 36] File name too long: 'x'"),
            Some("an operating system error")
        );
        assert_eq!(found("open '/home/svc/data/x.npy'"), Some("a file path"));
        assert_eq!(found("{\"detail\":\"Slide x not found\"}"), None);
        assert_eq!(found("see /api/usr and https://a.example/home/page"), None);
        assert_eq!(leak("no '/home/x' here", "GET /home/x"), None);
        assert!(is_trace("a Go stack trace") && is_trace("a Rust panic message") && !is_trace("a file path"));
    }

    #[test]
    fn wrong_decodings_are_seen() {
        let latin: String = UNICODE.bytes().map(char::from).collect();
        assert!(is_mangled(&latin) && is_mangled("\u{fffd}\u{fffd}\u{fffd}"));
        assert!(!is_mangled(UNICODE) && !is_mangled("???"));
    }

    #[test]
    fn user_lists() {
        assert!(is_user_list("root:x:0:0:root:/root:/bin/bash"));
        assert!(!is_user_list("../../etc/passwd"));
    }
}
