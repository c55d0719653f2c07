//! `{{...}}` in a request that is filled in for every arrival: what stands there, as text and as a value. It must not
//! know where the values come from.

use std::fmt;

/// A piece of a text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text as it stands.
    Text(&'a str),
    /// Something to fill in.
    Hole(Placeholder),
}

/// A placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// What it stands for.
    pub slot: Slot,
    /// Whether the value goes in as it is, without the escapes of its place: `{{x | raw}}`.
    pub raw: bool,
}

/// What a placeholder stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// `{{seq}}`: the number of the arrival in its phase, from 0.
    Seq,
    /// `{{user}}`: the number of the user of a closed loop, from 0; 0 in an open loop.
    User,
    /// `{{random.int(FROM,TO)}}`: a whole number, both ends included.
    RandomInt(i64, i64),
    /// `{{random.hex(DIGITS)}}`: so many hexadecimal digits.
    RandomHex(u16),
    /// `{{random.uuid}}`: a UUID of version 4.
    RandomUuid,
    /// `{{carry.NAME}}`: what an earlier step brought.
    Carry(String),
    /// `{{FEED.COLUMN}}`, or `{{FEED}}` for a generated feed, whose only column is `value`.
    Feed(String, String),
}

impl Slot {
    /// Names that a feed cannot have.
    pub const RESERVED: [&str; 4] = ["seq", "user", "random", "carry"];
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{{")?;
        match &self.slot {
            Slot::Seq => f.write_str("seq")?,
            Slot::User => f.write_str("user")?,
            Slot::RandomInt(from, to) => write!(f, "random.int({from},{to})")?,
            Slot::RandomHex(digits) => write!(f, "random.hex({digits})")?,
            Slot::RandomUuid => f.write_str("random.uuid")?,
            Slot::Carry(name) => write!(f, "carry.{name}")?,
            Slot::Feed(name, column) if column == "value" => f.write_str(name)?,
            Slot::Feed(name, column) => write!(f, "{name}.{column}")?,
        }
        f.write_str(if self.raw { " | raw}}" } else { "}}" })
    }
}

/// Splits a text at its placeholders; what is none stays text. The error names a placeholder that is malformed.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut found = Vec::new();
    let (mut rest, mut from) = (text, 0);
    while let Some(at) = rest[from..].find("{{").map(|at| at + from) {
        let inner = &rest[at + 2..];
        let Some(length) = inner.find("}}") else { break };
        match parse(inner[..length].trim())? {
            Some(hole) => {
                if at > 0 {
                    found.push(Piece::Text(&rest[..at]));
                }
                found.push(Piece::Hole(hole));
                (rest, from) = (&inner[length + 2..], 0);
            }
            None => from = at + 2,
        }
    }
    if !rest.is_empty() {
        found.push(Piece::Text(rest));
    }
    Ok(found)
}

/// The placeholder between two braces; `None` when it is no name at all.
fn parse(inner: &str) -> Result<Option<Placeholder>, String> {
    let (name, raw) = match inner.split_once('|') {
        Some((name, filter)) if filter.trim() == "raw" => (name.trim(), true),
        _ => (inner, false),
    };
    let (path, arguments) = match name.split_once('(') {
        Some((path, rest)) => match rest.strip_suffix(')') {
            Some(arguments) => (path.trim(), Some(arguments)),
            None => return Ok(None),
        },
        None => (name, None),
    };
    let column = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let (head, tail) = path.split_once('.').unwrap_or((path, ""));
    if head.is_empty() || !head.chars().all(plain) || !tail.chars().all(column) || path.ends_with('.') {
        return Ok(None);
    }
    let wrong = |what: &str| Err(format!("`{{{{{inner}}}}}` {what}"));
    let slot = match (head, tail, arguments) {
        ("seq", "", None) => Slot::Seq,
        ("user", "", None) => Slot::User,
        ("random", "uuid", None) => Slot::RandomUuid,
        ("random", "int", Some(arguments)) => {
            let ends = arguments
                .split_once(',')
                .and_then(|(from, to)| Some((from.trim().parse().ok()?, to.trim().parse().ok()?)));
            match ends {
                Some((from, to)) if from <= to => Slot::RandomInt(from, to),
                _ => return wrong("needs two whole numbers, the smaller first: {{random.int(1,100)}}"),
            }
        }
        ("random", "hex", Some(digits)) => match digits.trim().parse() {
            Ok(digits @ 1..=1024) => Slot::RandomHex(digits),
            _ => return wrong("needs a number of digits from 1 to 1024: {{random.hex(16)}}"),
        },
        ("random", ..) => {
            return wrong("is no random value; there are random.int(1,100), random.hex(16), random.uuid");
        }
        ("seq" | "user", ..) => return wrong("takes nothing more: write {{seq}} or {{user}}"),
        ("carry", "", _) => return wrong("names no value: write {{carry.NAME}}"),
        ("carry", name, None) => Slot::Carry(name.to_owned()),
        (_, _, Some(_)) => return Ok(None),
        (feed, "", None) => Slot::Feed(feed.to_owned(), "value".to_owned()),
        (feed, column, None) => Slot::Feed(feed.to_owned(), column.to_owned()),
    };
    Ok(Some(Placeholder { slot, raw }))
}

#[cfg(test)]
mod tests {
    use super::{Piece, Placeholder, Slot, pieces};

    fn hole(slot: Slot) -> Piece<'static> {
        Piece::Hole(Placeholder { slot, raw: false })
    }

    #[test]
    fn every_kind() {
        for (text, slot) in [
            ("{{seq}}", Slot::Seq),
            ("{{ user }}", Slot::User),
            ("{{random.int(-1, 5)}}", Slot::RandomInt(-1, 5)),
            ("{{random.hex(8)}}", Slot::RandomHex(8)),
            ("{{random.uuid}}", Slot::RandomUuid),
            ("{{carry.id}}", Slot::Carry("id".into())),
            ("{{users.token}}", Slot::Feed("users".into(), "token".into())),
            ("{{users./a/b}}", Slot::Feed("users".into(), "/a/b".into())),
            ("{{ids}}", Slot::Feed("ids".into(), "value".into())),
        ] {
            let found = pieces(text).unwrap();
            assert_eq!(found, [hole(slot)], "{text}");
            let Piece::Hole(placeholder) = &found[0] else {
                unreachable!("it is a hole");
            };
            let plain: String = text.split(' ').collect();
            assert_eq!(placeholder.to_string(), plain);
        }
        let raw = pieces("a{{x|raw}}b").unwrap();
        assert_eq!(raw[0], Piece::Text("a"));
        assert!(matches!(&raw[1], Piece::Hole(p) if p.to_string() == "{{x | raw}}"));
        assert!(
            matches!(&raw[1], Piece::Hole(p) if p.raw && p.slot == Slot::Feed("x".into(), "value".into()))
        );
    }

    #[test]
    fn what_is_none_stays_text() {
        for text in [
            "{{}}",
            "{{ a b }}",
            "{{",
            "}}",
            "{a}",
            "{{7*7}}",
            "{{a.}}",
            "{\"a\":{\"b\":{}}}",
            "",
        ] {
            let expected: Vec<_> = [Piece::Text(text)]
                .into_iter()
                .filter(|_| !text.is_empty())
                .collect();
            assert_eq!(pieces(text).unwrap(), expected, "{text}");
        }
        assert_eq!(
            pieces("{{ {{seq}} }}").unwrap(),
            [Piece::Text("{{ "), hole(Slot::Seq), Piece::Text(" }}")]
        );
    }

    #[test]
    fn the_malformed_are_told() {
        for text in [
            "{{random.int(5,1)}}",
            "{{random.int}}",
            "{{random.hex(0)}}",
            "{{seq.x}}",
            "{{carry}}",
            "{{random.word}}",
        ] {
            assert!(pieces(text).unwrap_err().contains(text), "{text}");
        }
    }
}
