//! Path and query parameters: percent-decoding as the server does it and pydantic's reading of integers from text.

use serde_json::{Value, json};

use super::body::problem;

/// Decodes `%XX`; bytes that are no UTF-8 become U+FFFD.
pub(crate) fn percent_decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |offset: usize| {
            bytes
                .get(at + offset)
                .and_then(|byte| char::from(*byte).to_digit(16))
        };
        match (bytes[at], hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (b'+', _, _) if plus_is_space => {
                out.push(b' ');
                at += 1;
            }
            (byte, _, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The query string, decoded; of repeated names the last one counts.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// From the part after `?`.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (percent_decode(name, true), percent_decode(value, true))
            })
            .collect();
        Self { pairs }
    }

    /// Every name with its value, in their order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .rev()
            .find(|(held, _)| held == name)
            .map(|(_, value)| value.as_str())
    }

    /// A required string.
    pub(crate) fn string(&self, name: &str, problems: &mut Vec<Value>) -> String {
        self.get(name).map_or_else(
            || {
                problems.push(problem(
                    "missing",
                    &json!(["query", name]),
                    "Field required",
                    &Value::Null,
                ));
                String::new()
            },
            str::to_owned,
        )
    }

    /// An integer with a default, between `ge` and `le` where they are given.
    pub(crate) fn integer(
        &self,
        name: &str,
        default: i64,
        bounds: Option<(i64, i64)>,
        problems: &mut Vec<Value>,
    ) -> i64 {
        let Some(text) = self.get(name) else {
            return default;
        };
        let Some(value) = integer(text) else {
            problems.push(not_an_integer("query", name, text));
            return default;
        };
        let (ge, le) = bounds.unwrap_or((i64::MIN, i64::MAX));
        let out = if value < ge {
            Some((
                "greater_than_equal",
                format!("Input should be greater than or equal to {ge}"),
                json!({ "ge": ge }),
            ))
        } else if value > le {
            Some((
                "less_than_equal",
                format!("Input should be less than or equal to {le}"),
                json!({ "le": le }),
            ))
        } else {
            None
        };
        if let Some((kind, message, context)) = out {
            let mut entry = problem(kind, &json!(["query", name]), &message, &json!(text));
            entry["ctx"] = context;
            problems.push(entry);
        }
        value
    }
}

/// The problem of a parameter that should have been an integer.
pub(crate) fn not_an_integer(place: &str, name: &str, text: &str) -> Value {
    let message = "Input should be a valid integer, unable to parse string as an integer";
    problem("int_parsing", &json!([place, name]), message, &json!(text))
}

/// An integer as pydantic reads one from text: surrounding space, a sign, single underscores between digits and a zero fraction
/// are allowed. Values beyond 64 bits saturate (every bound is far inside).
pub(crate) fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let text = text.split_once('.').map_or(Some(text), |(whole, fraction)| {
        fraction.bytes().all(|byte| byte == b'0').then_some(whole)
    })?;
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let grouped = digits
        .split('_')
        .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
    if !grouped {
        return None;
    }
    let magnitude = digits
        .bytes()
        .filter(u8::is_ascii_digit)
        .fold(0_i64, |sum, digit| {
            sum.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
        });
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_integers_as_pydantic_does() {
        for (text, value) in [
            ("5", 5),
            (" 5 ", 5),
            ("-3", -3),
            ("+3", 3),
            ("1_000", 1000),
            ("5.0", 5),
            ("007", 7),
        ] {
            assert_eq!(integer(text), Some(value), "{text}");
        }
        for text in [
            "", "abc", "5.5", "1__0", "_1", "1_", "0x10", "1e3", "-", "5.x", "é",
        ] {
            assert_eq!(integer(text), None, "{text}");
        }
        assert_eq!(integer(&"9".repeat(40)), Some(i64::MAX));
    }

    #[test]
    fn decodes_percent_and_plus() {
        assert_eq!(percent_decode("a%2Fb+c%", false), "a/b+c%");
        assert_eq!(percent_decode("a+b%20c%zz", true), "a b c%zz");
        assert_eq!(percent_decode("%ff", true), "\u{fffd}");
        let query = Query::parse("k=1&k=2&&flag&x=%3d");
        assert_eq!(
            (query.get("k"), query.get("flag"), query.get("x"), query.get("y")),
            (Some("2"), Some(""), Some("="), None)
        );
    }

    #[test]
    fn query_problems_are_those_of_fastapi() {
        let mut problems = Vec::new();
        let query = Query::parse("k=z&top_patches=y");
        query.string("slide_id", &mut problems);
        query.integer("k", 5, None, &mut problems);
        query.integer("top_patches", 3, None, &mut problems);
        assert_eq!(
            Value::Array(problems).to_string(),
            r#"[{"type":"missing","loc":["query","slide_id"],"msg":"Field required","input":null},{"type":"int_parsing","loc":["query","k"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"z"},{"type":"int_parsing","loc":["query","top_patches"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"y"}]"#
        );
        let mut problems = Vec::new();
        Query::parse("k=21").integer("k", 5, Some((1, 20)), &mut problems);
        assert_eq!(problems[0]["ctx"], json!({"le": 20}));
    }
}
