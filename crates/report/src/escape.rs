//! Text from a target is hostile: here it is bounded, and made harmless for terminals, for Markdown and for HTML.
//!
//! Knows nothing of reports.

/// One line of visible text: no control characters, no terminal sequences, nothing that reorders or hides text, nothing that XML
/// cannot hold, at most `chars_max` characters (a cut one ends in an ellipsis).
pub(crate) fn plain(text: &str, chars_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(4 * chars_max));
    let mut chars = text.chars().peekable();
    let mut kept = 0;
    while let Some(c) = chars.next() {
        let shown = match c {
            '\u{1b}' => {
                if chars.next_if_eq(&'[').is_some() {
                    skip_csi(&mut chars);
                }
                continue;
            }
            '\u{9b}' => {
                skip_csi(&mut chars);
                continue;
            }
            '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
            c if c.is_control() || is_invisible(c) => continue,
            c => c,
        };
        if shown == ' ' && out.ends_with(' ') {
            continue;
        }
        if kept == chars_max {
            out.pop();
            out.push('…');
            break;
        }
        out.push(shown);
        kept += 1;
    }
    out.trim().to_owned()
}

/// Skips the rest of a control sequence: parameters and intermediates, then one final character.
fn skip_csi(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while chars.next_if(|c| ('\u{20}'..='\u{3f}').contains(c)).is_some() {}
    let _ = chars.next_if(|c| ('\u{40}'..='\u{7e}').contains(c));
}

/// Characters that reorder, join or hide what stands beside them; and the two that are none and that no XML may hold, escaped or not
/// (XML 1.0, production 2: control characters aside, they are the only ones).
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{fffe}'..='\u{ffff}'
        | '\u{e0000}'..='\u{e007f}')
}

/// Text that shows as itself in Markdown, in a paragraph, a list item, a heading or a table cell.
pub(crate) fn markdown(text: &str, chars_max: usize) -> String {
    let text = plain(text, chars_max);
    let mut out = String::with_capacity(text.len() + 16);
    let chars: Vec<char> = text.chars().collect();
    let number = chars.iter().take_while(|c| c.is_ascii_digit()).count();
    for (i, &c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).map(|j| chars[j]);
        let after = chars.get(i + 1).copied();
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A backslash before a cell's end would be taken for an escape of the end.
            '\\' => out.push_str("&#92;"),
            '`' | '*' | '[' | ']' | '|' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            // Inside a word an underscore is only itself.
            '_' if before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric) => {
                out.push('_');
            }
            '_' => out.push_str("\\_"),
            '!' if after == Some('[') => out.push_str("\\!"),
            // What GitHub would turn into a link.
            ':' if after == Some('/') => out.push_str("\\:"),
            '.' if i >= 3 && chars[i - 3..i].iter().all(|w| w.eq_ignore_ascii_case(&'w')) => {
                out.push_str("\\.");
            }
            '@' => out.push_str("&#64;"),
            // What would open a heading, a list, a quote or a rule at the start of a line.
            '#' | '+' | '-' | '=' if i == 0 => {
                out.push('\\');
                out.push(c);
            }
            '.' | ')' if number > 0 && i == number && after.is_none_or(|c| c == ' ') => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// Text as code in Markdown; as escaped text when it holds what code cannot carry in every place.
pub(crate) fn code(text: &str, chars_max: usize) -> String {
    let shown = plain(text, chars_max);
    if shown.is_empty() || shown.contains(['`', '|', '\\']) {
        markdown(&shown, chars_max)
    } else {
        format!("`{shown}`")
    }
}

/// Text that shows as itself in HTML and SVG, between tags and in a quoted attribute.
pub(crate) fn html(text: &str, chars_max: usize) -> String {
    let text = plain(text, chars_max);
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Lower-case letters, digits and hyphens: safe in an anchor.
pub(crate) fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(80) {
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    out.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

    use super::{code, html, markdown, plain, slug};

    /// The text of a page, when it holds nothing but paragraphs of plain text in the given frame.
    fn read_back(page: &str, frame: &[Tag<'_>]) -> Result<String, String> {
        let mut out = String::new();
        for event in Parser::new_ext(page, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
            match event {
                Event::Text(text) => out.push_str(&text),
                Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph) => {}
                Event::Start(tag) if frame.contains(&tag) => {}
                Event::End(end) if frame.iter().any(|tag| tag.to_end() == end) => {}
                other => return Err(format!("{other:?} in {page:?}")),
            }
        }
        Ok(out)
    }

    proptest! {
        #[test]
        fn escaped_text_reads_back_as_it_was(text in "[ -~\n\u{e4}]{0,30}|[-#*_`~<>&|!\\[\\]()\\\\:.=+@0-9 xw\n]{0,20}") {
            let shown = plain(&text, 99);
            let escaped = markdown(&text, 99);
            prop_assert_eq!(read_back(&escaped, &[]), Ok(shown.clone()));
            prop_assert_eq!(read_back(&format!("- {escaped}"), &[Tag::List(None), Tag::Item]), Ok(shown.clone()));
            let cells = [Tag::Table(vec![pulldown_cmark::Alignment::None]), Tag::TableHead, Tag::TableRow, Tag::TableCell];
            prop_assert_eq!(read_back(&format!("|h|\n|---|\n| {escaped} |"), &cells), Ok(format!("h{shown}")));
        }
    }

    #[test]
    fn terminals_see_no_sequences() {
        assert_eq!(plain("a\x1b[31;1mred\x1b[0m\x07b", 99), "aredb");
        assert_eq!(plain("a\u{9b}2Jb\x1b]0;title\x07c", 99), "ab]0;titlec");
        assert_eq!(plain("one\r\n\ttwo\u{2028}three", 99), "one two three");
        assert_eq!(
            plain("gpj.\u{202e}exe\u{2066}x\u{200b}y\u{e0041}", 99),
            "gpj.exexy"
        );
        assert_eq!(plain("\x1b", 9), "");
        assert_eq!(plain("\x1b[31", 9), "");
    }

    #[test]
    fn all_that_is_left_may_stand_in_xml() {
        // Production 2 of XML 1.0; a `char` is no surrogate.
        let forbidden = |c: &char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
        for c in ('\0'..=char::MAX).filter(forbidden) {
            let shown = plain(&format!("a{c}b"), 9);
            assert!(!shown.contains(c), "{shown:?}");
        }
        assert_eq!(
            plain("a\u{fffe}b\u{ffff}c\u{fffd}\u{e000}", 9),
            "abc\u{fffd}\u{e000}"
        );
    }

    #[test]
    fn length_is_bounded_by_characters() {
        assert_eq!(plain("äöüß", 4), "äöüß");
        assert_eq!(plain("äöüßx", 4), "äöü…");
        assert_eq!(plain(&"x".repeat(100_000), 50).chars().count(), 50);
    }

    #[test]
    fn markdown_shows_it_as_it_is() {
        assert_eq!(
            markdown("<script>alert(1)</script>", 99),
            "&lt;script&gt;alert(1)&lt;/script&gt;"
        );
        assert_eq!(
            markdown("a|b `c` *d* [e](f)", 99),
            "a\\|b \\`c\\` \\*d\\* \\[e\\](f)"
        );
        assert_eq!(
            markdown("![x](http://h/p.png)", 99),
            "\\!\\[x\\](http\\://h/p.png)"
        );
        assert_eq!(markdown("# no heading", 99), "\\# no heading");
        assert_eq!(markdown("12. no list", 99), "12\\. no list");
        assert_eq!(markdown("1.5 ms", 99), "1.5 ms");
        assert_eq!(markdown("3)", 99), "3\\)");
        assert_eq!(markdown("slide_id __init__", 99), "slide_id \\_\\_init\\_\\_");
        assert_eq!(markdown("www.evil.test a@b", 99), "www\\.evil.test a&#64;b");
        assert_eq!(markdown("x\n\n# y", 99), "x # y");
    }

    #[test]
    fn html_shows_it_as_it_is() {
        assert_eq!(
            html("<img src='x' onerror=\"a&b\">\u{202e}\x1b[1m", 99),
            "&lt;img src=&#39;x&#39; onerror=&quot;a&amp;b&quot;&gt;"
        );
        assert_eq!(html("äöü 1.5 ms", 5), "äöü …");
    }

    #[test]
    fn code_falls_back_to_text() {
        assert_eq!(code("GET /api/slides/{id}", 99), "`GET /api/slides/{id}`");
        assert_eq!(code("a`b", 99), "a\\`b");
        assert_eq!(code("a|b", 99), "a\\|b");
        assert_eq!(code("", 99), "");
    }

    #[test]
    fn slugs_are_plain() {
        assert_eq!(slug("T1: \"avg\" <b>"), "t1-avg-b");
        assert_eq!(slug("../../x"), "x");
    }
}
