//! A JSON decoder whose errors, and the character positions they name, are those of Python's `json` module, because FastAPI shows
//! both to the client. It refuses `NaN` and infinities (RFC 8259), which Python lets through, and bounds nesting.

use serde_json::{Map, Number, Value};

/// Nesting beyond this is refused, as Python refuses it by its recursion limit (1,000 frames, some of them taken by the server).
const DEPTH_MAX: usize = 900;

/// Why a body is no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JsonError {
    /// Not JSON: Python's message and the position in characters.
    Decode {
        /// As in `json.JSONDecodeError.msg`.
        message: &'static str,
        /// As in `json.JSONDecodeError.pos`.
        position: usize,
    },
    /// Not UTF-8, or nested too deeply: Python raises another exception and FastAPI answers 400.
    Unparsable,
}

/// Decodes one document.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value, JsonError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::Unparsable)?;
    let mut decoder = Decoder { text, at: 0 };
    decoder.skip_space();
    let value = decoder.value(0)?;
    decoder.skip_space();
    if decoder.at < text.len() {
        return Err(decoder.error("Extra data", decoder.at));
    }
    Ok(value)
}

struct Decoder<'a> {
    text: &'a str,
    at: usize,
}

impl Decoder<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        if depth > DEPTH_MAX {
            return Err(JsonError::Unparsable);
        }
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Value, JsonError> {
        let rest = &self.text[self.at..];
        for (word, value) in [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
        ] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.error("Expecting value", self.at))
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut object = Map::new();
        self.skip_space();
        if self.take(b'}') {
            return Ok(Value::Object(object));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.error("Expecting property name enclosed in double quotes", self.at));
            }
            let key = self.string()?;
            self.skip_space();
            if !self.take(b':') {
                return Err(self.error("Expecting ':' delimiter", self.at));
            }
            self.skip_space();
            let value = self.value(depth + 1)?;
            object.insert(key, value);
            self.skip_space();
            if self.take(b'}') {
                return Ok(Value::Object(object));
            }
            if !self.take(b',') {
                return Err(self.error("Expecting ',' delimiter", self.at));
            }
            self.skip_space();
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            if !self.take(b',') {
                return Err(self.error("Expecting ',' delimiter", self.at));
            }
            self.skip_space();
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let open = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest
                .bytes()
                .position(|byte| byte == b'"' || byte == b'\\' || byte < 0x20)
                .unwrap_or(rest.len());
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                None => return Err(self.error("Unterminated string starting at", open)),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => self.escape(open, &mut out)?,
                Some(_) => return Err(self.error("Invalid control character at", self.at)),
            }
        }
    }

    fn escape(&mut self, open: usize, out: &mut String) -> Result<(), JsonError> {
        let backslash = self.at;
        self.at += 1;
        let plain = match self.peek() {
            None => return Err(self.error("Unterminated string starting at", open)),
            Some(b'u') => return self.unicode_escape(out),
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(_) => return Err(self.error("Invalid \\escape", backslash)),
        };
        self.at += 1;
        out.push(plain);
        Ok(())
    }

    /// `\uXXXX`, joining a surrogate pair; a lone surrogate, which Rust strings cannot hold, becomes U+FFFD.
    fn unicode_escape(&mut self, out: &mut String) -> Result<(), JsonError> {
        let first = self.code_unit()?;
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            let resume = self.at;
            self.at += 1;
            let second = self.code_unit()?;
            if (0xdc00..0xe000).contains(&second) {
                let joined = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                out.push(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
                return Ok(());
            }
            self.at = resume;
        }
        out.push(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        Ok(())
    }

    /// The four digits after the `u` at `at`. Like Python it wants one more character to follow them.
    fn code_unit(&mut self) -> Result<u32, JsonError> {
        let u = self.at;
        let digits = self
            .text
            .as_bytes()
            .get(u + 1..u + 5)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits.filter(|_| u + 5 < self.text.len()) else {
            return Err(self.error("Invalid \\uXXXX escape", u));
        };
        self.at = u + 5;
        Ok(digits.iter().fold(0, |code, digit| {
            code * 16 + char::from(*digit).to_digit(16).unwrap_or(0)
        }))
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut end = start + usize::from(bytes[start] == b'-');
        match bytes.get(end) {
            Some(b'0') => end += 1,
            Some(b'1'..=b'9') => end += digits(bytes, end),
            _ => return Err(self.error("Expecting value", start)),
        }
        let mut whole = true;
        if bytes.get(end) == Some(&b'.') && digits(bytes, end + 1) > 0 {
            whole = false;
            end += 1 + digits(bytes, end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(bytes, end + 1 + sign);
            if exponent > 0 {
                whole = false;
                end += 1 + sign + exponent;
            }
        }
        self.at = end;
        let text = &self.text[start..end];
        let exact = if whole {
            text.parse::<i64>()
                .map(Number::from)
                .or_else(|_| text.parse::<u64>().map(Number::from))
                .ok()
        } else {
            None
        };
        exact
            .or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64))
            .map(Value::Number)
            .ok_or_else(|| self.error("Expecting value", start))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn error(&self, message: &'static str, byte: usize) -> JsonError {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        JsonError::Decode {
            message,
            position: self.text[..byte].chars().count(),
        }
    }
}

fn digits(bytes: &[u8], from: usize) -> usize {
    bytes
        .get(from..)
        .unwrap_or_default()
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Message and position pairs that Python 3.11's `json.loads` gives.
    #[test]
    fn errors_are_those_of_python() {
        for (text, message, position) in [
            ("not json", "Expecting value", 0),
            ("   ", "Expecting value", 3),
            (r#"{"slide_id": "x""#, "Expecting ',' delimiter", 16),
            (r#"{"slide_id": }"#, "Expecting value", 13),
            (r#"{"slide_id" 3}"#, "Expecting ':' delimiter", 12),
            (
                "{slide_id: 3}",
                "Expecting property name enclosed in double quotes",
                1,
            ),
            (
                r#"{"a":1,}"#,
                "Expecting property name enclosed in double quotes",
                7,
            ),
            ("{,}", "Expecting property name enclosed in double quotes", 1),
            ("{", "Expecting property name enclosed in double quotes", 1),
            (r#"{"a""#, "Expecting ':' delimiter", 4),
            (r#"{"a":"#, "Expecting value", 5),
            (r#"{"a":1,"b"}"#, "Expecting ':' delimiter", 10),
            ("[1,]", "Expecting value", 3),
            ("[1 2]", "Expecting ',' delimiter", 3),
            ("[", "Expecting value", 1),
            (r#""abc"#, "Unterminated string starting at", 0),
            (r#""a\qb""#, "Invalid \\escape", 2),
            ("\"a\nb\"", "Invalid control character at", 2),
            (r#"{"a":1} x"#, "Extra data", 8),
            (r#"{"slide_id": tru}"#, "Expecting value", 13),
            (r#"{"slide_id":"a\u12"}"#, "Invalid \\uXXXX escape", 15),
            ("-", "Expecting value", 0),
            (r#"{"é":,}"#, "Expecting value", 5),
            ("01", "Extra data", 1),
            ("1.", "Extra data", 1),
            ("NaN", "Expecting value", 0),
        ] {
            assert_eq!(
                decode(text.as_bytes()),
                Err(JsonError::Decode { message, position }),
                "{text}"
            );
        }
    }

    #[test]
    fn decodes_what_serde_decodes() {
        for text in [
            r#"{"a":[1,-2,3.5,1e5,2E-3],"b":{"c":null,"d":true,"e":false},"f":"\"\\\/\b\f\n\r\té\ud83d\ude00"}"#,
            " [ ] ",
            "\"\"",
            "18446744073709551615",
            "123456789012345678901234567890",
        ] {
            assert_eq!(
                decode(text.as_bytes()).unwrap(),
                serde_json::from_str::<Value>(text).unwrap(),
                "{text}"
            );
        }
        assert_eq!(decode(b"\xef\xbb\xbf1").unwrap(), json!(1));
        assert_eq!(decode(br#""\ud800 ""#).unwrap(), json!("\u{fffd} "));
    }

    #[test]
    fn depth_and_encoding_are_refused_without_a_crash() {
        assert_eq!(decode(&b"[".repeat(200_000)), Err(JsonError::Unparsable));
        assert_eq!(decode(&br#"{"a":"#.repeat(200_000)), Err(JsonError::Unparsable));
        assert_eq!(decode(b"\"\xff\""), Err(JsonError::Unparsable));
        assert!(decode([b"[".repeat(500), b"]".repeat(500)].concat().as_slice()).is_ok());
    }
}
