//! Text from a target, made safe to carry around, and numbers of things in words.

/// At most `max` characters, without control characters or bidirectional overrides.
pub(crate) fn clean(text: &str, max: usize) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut kept: String = text.chars().filter(|c| !hidden(*c)).take(max + 1).collect();
    if kept.chars().count() > max {
        kept = kept.chars().take(max.saturating_sub(1)).collect();
        kept.push('…');
    }
    kept
}

/// `1 gate`, `2 gates`.
pub(crate) fn counted(n: usize, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::{clean, counted};

    #[test]
    fn one_is_not_many() {
        assert_eq!(
            [0, 1, 2].map(|n| counted(n, "gate")),
            ["0 gates", "1 gate", "2 gates"]
        );
    }

    #[test]
    fn hostile_text_is_bounded_and_plain() {
        assert_eq!(clean("a\u{1b}[31mb\u{202e}c", 10), "a[31mbc");
        assert_eq!(clean("abcdef", 4), "abc…");
        assert_eq!(clean("abcd", 4), "abcd");
    }
}
