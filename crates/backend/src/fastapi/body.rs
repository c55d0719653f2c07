//! Validation of a JSON request body, field by field, with pydantic's messages. Lenient reading coerces as pydantic does by default
//! and ignores unknown fields; strict reading takes JSON types at their word and refuses unknown fields.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::json::{JsonError, decode};
use super::reply::Reply;

/// A body being read. Fields must be read in the order in which their problems should be listed.
#[derive(Debug)]
pub(crate) struct Body {
    object: Map<String, Value>,
    problems: Vec<Value>,
    read: Vec<&'static str>,
    lenient: bool,
}

impl Body {
    /// From the bytes received and their declared type, as FastAPI does: JSON types are decoded, anything else reaches the model as
    /// text and is refused there.
    pub(crate) fn decode(bytes: &[u8], content_type: Option<&str>, lenient: bool) -> Result<Self, Reply> {
        let value = if bytes.is_empty() {
            Value::Null
        } else if content_type.is_none_or(is_json) {
            decode(bytes).map_err(|error| refusal(&error))?
        } else {
            Value::String(String::from_utf8_lossy(bytes).into_owned())
        };
        match value {
            Value::Object(object) => Ok(Self {
                object,
                problems: Vec::new(),
                read: Vec::new(),
                lenient,
            }),
            Value::Null => Err(Reply::invalid(&[problem(
                "missing",
                &json!(["body"]),
                "Field required",
                &Value::Null,
            )])),
            other => Err(Reply::invalid(&[problem(
                "model_attributes_type",
                &json!(["body"]),
                "Input should be a valid dictionary or object to extract fields from",
                &other,
            )])),
        }
    }

    /// A required string of `min..=max` characters.
    pub(crate) fn string(&mut self, name: &'static str, min: usize, max: Option<usize>) -> String {
        match self.required(name) {
            None => String::new(),
            Some(Value::String(text)) => {
                let length = text.chars().count();
                if length < min {
                    let message = format!("String should have at least {}", counted(min, "character"));
                    self.fault_with(
                        "string_too_short",
                        name,
                        &message,
                        &Value::String(text),
                        &json!({ "min_length": min }),
                    );
                } else if let Some(max) = max.filter(|max| length > *max) {
                    let message = format!("String should have at most {}", counted(max, "character"));
                    self.fault_with(
                        "string_too_long",
                        name,
                        &message,
                        &Value::String(text),
                        &json!({ "max_length": max }),
                    );
                } else {
                    return text;
                }
                String::new()
            }
            Some(other) => {
                self.fault("string_type", name, "Input should be a valid string", &other);
                String::new()
            }
        }
    }

    /// An optional string that must be one of `words`, as pydantic reads a `Literal`.
    pub(crate) fn word(
        &mut self,
        name: &'static str,
        default: &'static str,
        words: &[&'static str],
    ) -> &'static str {
        let Some(given) = self.optional(name) else {
            return default;
        };
        if let Some(word) = words.iter().find(|word| given.as_str() == Some(word)) {
            return word;
        }
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let expected = match quoted.split_last() {
            Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
            _ => quoted.concat(),
        };
        let message = format!("Input should be {expected}");
        self.fault_with(
            "literal_error",
            name,
            &message,
            &given,
            &json!({ "expected": expected }),
        );
        default
    }

    /// An optional integer in `ge..=le`.
    pub(crate) fn integer(&mut self, name: &'static str, default: i64, ge: i64, le: i64) -> i64 {
        let Some(given) = self.optional(name) else {
            return default;
        };
        let value = match self.read_integer(&given) {
            Ok(value) => value,
            Err((kind, message)) => {
                self.fault(kind, name, message, &given);
                return default;
            }
        };
        if value < ge {
            let message = format!("Input should be greater than or equal to {ge}");
            self.fault_with("greater_than_equal", name, &message, &given, &json!({ "ge": ge }));
        } else if value > le {
            let message = format!("Input should be less than or equal to {le}");
            self.fault_with("less_than_equal", name, &message, &given, &json!({ "le": le }));
        }
        value
    }

    /// An optional boolean.
    pub(crate) fn boolean(&mut self, name: &'static str, default: bool) -> bool {
        let Some(given) = self.optional(name) else {
            return default;
        };
        let coerced = match &given {
            Value::Bool(value) => return *value,
            Value::String(text) if self.lenient => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" | "t" | "y" => Some(true),
                "false" | "no" | "off" | "0" | "f" | "n" => Some(false),
                _ => None,
            },
            Value::Number(number) if self.lenient => match number.as_f64() {
                Some(0.0) => Some(false),
                Some(1.0) => Some(true),
                _ => None,
            },
            _ => None,
        };
        if let Some(value) = coerced {
            return value;
        }
        let interpretable =
            matches!(&given, Value::String(_)) || given.as_i64().is_some() || given.as_u64().is_some();
        if self.lenient && interpretable {
            self.fault(
                "bool_parsing",
                name,
                "Input should be a valid boolean, unable to interpret input",
                &given,
            );
        } else {
            self.fault("bool_type", name, "Input should be a valid boolean", &given);
        }
        default
    }

    /// A required list of `min..=max` strings.
    pub(crate) fn strings(&mut self, name: &'static str, min: usize, max: usize) -> Vec<String> {
        let items = match self.required(name) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.fault("list_type", name, "Input should be a valid list", &other);
                return Vec::new();
            }
        };
        let bound = if items.len() < min {
            Some(("too_short", "least", min, "min_length"))
        } else if items.len() > max {
            Some(("too_long", "most", max, "max_length"))
        } else {
            None
        };
        if let Some((kind, side, limit, key)) = bound {
            let length = items.len();
            let message = format!(
                "List should have at {side} {} after validation, not {length}",
                counted(limit, "item")
            );
            let context = json!({ "field_type": "List", key: limit, "actual_length": length });
            self.fault_with(kind, name, &message, &Value::Array(items), &context);
            return Vec::new();
        }
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Value::String(text) => texts.push(text),
                other => self.problems.push(problem(
                    "string_type",
                    &json!(["body", name, index]),
                    "Input should be a valid string",
                    &other,
                )),
            }
        }
        texts
    }

    /// An optional number in `ge..=le`; null is as good as nothing.
    pub(crate) fn number(&mut self, name: &'static str, default: f64, ge: f64, le: f64) -> f64 {
        let given = match self.optional(name) {
            None | Some(Value::Null) => return default,
            Some(given) => given,
        };
        let value = match &given {
            Value::Number(number) => number.as_f64(),
            Value::Bool(value) if self.lenient => Some(f64::from(u8::from(*value))),
            Value::String(text) if self.lenient => {
                let Ok(value) = text.trim().parse::<f64>() else {
                    let message = "Input should be a valid number, unable to parse string as a number";
                    self.fault("float_parsing", name, message, &given);
                    return default;
                };
                Some(value)
            }
            _ => None,
        };
        let Some(value) = value else {
            self.fault("float_type", name, "Input should be a valid number", &given);
            return default;
        };
        if (ge..=le).contains(&value) {
            return value;
        }
        let (kind, how, bound, key) = if value > le {
            ("less_than_equal", "less", le, "le")
        } else {
            ("greater_than_equal", "greater", ge, "ge")
        };
        let message = format!("Input should be {how} than or equal to {bound}");
        self.fault_with(kind, name, &message, &given, &json!({ key: bound }));
        default
    }

    /// An optional one of a few words, as its place among them; null is as good as nothing.
    pub(crate) fn choice(&mut self, name: &'static str, words: &[&str], default: usize) -> usize {
        let given = match self.optional(name) {
            None | Some(Value::Null) => return default,
            Some(given) => given,
        };
        if let Some(place) = words.iter().position(|word| given.as_str() == Some(word)) {
            return place;
        }
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let expected = match quoted.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => quoted.concat(),
        };
        let message = format!("Input should be {expected}");
        self.fault_with("enum", name, &message, &given, &json!({ "expected": expected }));
        default
    }

    /// An optional object; null is as good as nothing.
    pub(crate) fn object(&mut self, name: &'static str) -> Option<Map<String, Value>> {
        match self.optional(name)? {
            Value::Object(object) => Some(object),
            Value::Null => None,
            other => {
                self.fault("dict_type", name, "Input should be a valid dictionary", &other);
                None
            }
        }
    }

    /// The problems found, if any, as the 422 answer.
    pub(crate) fn finish(mut self) -> Result<(), Reply> {
        if !self.lenient {
            let unknown: Vec<_> = self
                .object
                .iter()
                .filter(|(name, _)| !self.read.contains(&name.as_str()))
                .collect();
            for (name, value) in unknown {
                self.problems.push(problem(
                    "extra_forbidden",
                    &json!(["body", name]),
                    "Extra inputs are not permitted",
                    value,
                ));
            }
        }
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(Reply::invalid(&self.problems))
        }
    }

    fn required(&mut self, name: &'static str) -> Option<Value> {
        let value = self.optional(name);
        if value.is_none() {
            let input = Value::Object(self.object.clone());
            self.fault("missing", name, "Field required", &input);
        }
        value
    }

    fn optional(&mut self, name: &'static str) -> Option<Value> {
        self.read.push(name);
        self.object.get(name).cloned()
    }

    fn read_integer(&self, given: &Value) -> Result<i64, (&'static str, &'static str)> {
        const NOT_TEXT: (&str, &str) = (
            "int_parsing",
            "Input should be a valid integer, unable to parse string as an integer",
        );
        match given {
            Value::Number(number) => {
                if let Some(value) = number.as_i64() {
                    return Ok(value);
                }
                let value = number.as_f64().unwrap_or(f64::MAX);
                if value.fract() == 0.0 {
                    // Saturates: every bound is far inside.
                    Ok(value as i64)
                } else {
                    Err((
                        "int_from_float",
                        "Input should be a valid integer, got a number with a fractional part",
                    ))
                }
            }
            Value::Bool(value) if self.lenient => Ok(i64::from(*value)),
            Value::String(text) if self.lenient => super::params::integer(text).ok_or(NOT_TEXT),
            _ => Err(("int_type", "Input should be a valid integer")),
        }
    }

    fn fault(&mut self, kind: &str, name: &str, message: &str, input: &Value) {
        self.problems
            .push(problem(kind, &json!(["body", name]), message, input));
    }

    fn fault_with(&mut self, kind: &str, name: &str, message: &str, input: &Value, context: &Value) {
        let mut entry = problem(kind, &json!(["body", name]), message, input);
        entry["ctx"] = context.clone();
        self.problems.push(entry);
    }
}

/// One entry of a 422's `detail`.
pub(crate) fn problem(kind: &str, location: &Value, message: &str, input: &Value) -> Value {
    json!({ "type": kind, "loc": location, "msg": message, "input": input })
}

fn refusal(error: &JsonError) -> Reply {
    match *error {
        JsonError::Unparsable => {
            Reply::detail(StatusCode::BAD_REQUEST, "There was an error parsing the body")
        }
        JsonError::Decode { message, position } => {
            let mut entry = problem(
                "json_invalid",
                &json!(["body", position]),
                "JSON decode error",
                &json!({}),
            );
            entry["ctx"] = json!({ "error": message });
            Reply::invalid(&[entry])
        }
    }
}

/// `application/json` or `application/*+json`, parameters ignored.
fn is_json(content_type: &str) -> bool {
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence
        .strip_prefix("application/")
        .is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

fn counted(n: usize, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(text: &str, lenient: bool) -> Result<(String, String, i64), String> {
        let body = Body::decode(text.as_bytes(), Some("application/json"), lenient);
        let outcome = body.and_then(|mut body| {
            let read = (
                body.string("slide_id", 1, Some(256)),
                body.string("query", 1, Some(512)),
                body.integer("top_k", 10, 1, 50),
            );
            body.finish().map(|()| read)
        });
        outcome.map_err(|reply| String::from_utf8(reply.body.to_vec()).unwrap())
    }

    fn analyze(text: &str) -> Result<bool, String> {
        let body = Body::decode(text.as_bytes(), None, true);
        let outcome = body.and_then(|mut body| {
            body.string("slide_id", 1, Some(256));
            let flag = body.boolean("generate_report", false);
            body.finish().map(|()| flag)
        });
        outcome.map_err(|reply| String::from_utf8(reply.body.to_vec()).unwrap())
    }

    /// Bodies as FastAPI 0.128.0 with pydantic 2.12.5 gave them.
    #[test]
    fn messages_are_those_of_fastapi() {
        for (given, golden) in [
            (
                "{}",
                r#"{"detail":[{"type":"missing","loc":["body","slide_id"],"msg":"Field required","input":{}}]}"#,
            ),
            (
                "",
                r#"{"detail":[{"type":"missing","loc":["body"],"msg":"Field required","input":null}]}"#,
            ),
            (
                "null",
                r#"{"detail":[{"type":"missing","loc":["body"],"msg":"Field required","input":null}]}"#,
            ),
            (
                "[]",
                r#"{"detail":[{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":[]}]}"#,
            ),
            (
                "not json",
                r#"{"detail":[{"type":"json_invalid","loc":["body",0],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting value"}}]}"#,
            ),
            (
                r#"{"slide_id": null}"#,
                r#"{"detail":[{"type":"string_type","loc":["body","slide_id"],"msg":"Input should be a valid string","input":null}]}"#,
            ),
            (
                r#"{"slide_id": ""}"#,
                r#"{"detail":[{"type":"string_too_short","loc":["body","slide_id"],"msg":"String should have at least 1 character","input":"","ctx":{"min_length":1}}]}"#,
            ),
            (
                r#"{"slide_id":[1],"generate_report":{}}"#,
                r#"{"detail":[{"type":"string_type","loc":["body","slide_id"],"msg":"Input should be a valid string","input":[1]},{"type":"bool_type","loc":["body","generate_report"],"msg":"Input should be a valid boolean","input":{}}]}"#,
            ),
            (
                r#"{"slide_id":"x","generate_report":"maybe"}"#,
                r#"{"detail":[{"type":"bool_parsing","loc":["body","generate_report"],"msg":"Input should be a valid boolean, unable to interpret input","input":"maybe"}]}"#,
            ),
            (
                r#"{"slide_id":"x","generate_report":2}"#,
                r#"{"detail":[{"type":"bool_parsing","loc":["body","generate_report"],"msg":"Input should be a valid boolean, unable to interpret input","input":2}]}"#,
            ),
            (
                r#"{"slide_id":"x","generate_report":0.5}"#,
                r#"{"detail":[{"type":"bool_type","loc":["body","generate_report"],"msg":"Input should be a valid boolean","input":0.5}]}"#,
            ),
        ] {
            assert_eq!(analyze(given).unwrap_err(), golden, "{given}");
        }
        let long = format!(r#"{{"slide_id":"{}"}}"#, "a".repeat(257));
        assert!(
            analyze(&long)
                .unwrap_err()
                .contains(r#""msg":"String should have at most 256 characters""#)
        );
        assert_eq!(
            analyze(r#"{"slide_id":"x","generate_report":"YES","more":1}"#),
            Ok(true)
        );
    }

    #[test]
    fn numbers_are_read_as_pydantic_reads_them() {
        let top_k = |value: &str, lenient| {
            search(
                &format!(r#"{{"slide_id":"x","query":"q","top_k":{value}}}"#),
                lenient,
            )
        };
        for (value, kind) in [
            ("0", "greater_than_equal"),
            ("51", "less_than_equal"),
            ("99999999999999999999999", "less_than_equal"),
            ("1.5", "int_from_float"),
            ("null", "int_type"),
            ("[]", "int_type"),
            (r#""abc""#, "int_parsing"),
            (r#""5.5""#, "int_parsing"),
        ] {
            assert!(
                top_k(value, true)
                    .unwrap_err()
                    .contains(&format!(r#""type":"{kind}""#)),
                "{value}"
            );
        }
        for (value, read) in [
            ("5.0", 5),
            ("true", 1),
            (r#""5""#, 5),
            (r#"" 5 ""#, 5),
            (r#""5.0""#, 5),
        ] {
            assert_eq!(top_k(value, true).unwrap().2, read, "{value}");
        }
        assert!(top_k("true", false).unwrap_err().contains("int_type"));
        assert!(top_k(r#""5""#, false).unwrap_err().contains("int_type"));
        assert_eq!(top_k("5.0", false).unwrap().2, 5);
        assert!(
            search(r#"{"slide_id":"x","query":"q","typo":1}"#, false)
                .unwrap_err()
                .contains("extra_forbidden")
        );
    }

    #[test]
    fn numbers_words_and_objects_are_read_as_pydantic_reads_them() {
        let read = |text: &str, lenient| {
            let mut body = Body::decode(text.as_bytes(), None, lenient).unwrap();
            let read = (
                body.number("share", 0.5, 0.0, 1.0),
                body.choice("priority", &["low", "normal", "high"], 1),
                body.object("metadata").map(|object| object.len()),
            );
            body.finish()
                .map(|()| read)
                .map_err(|reply| String::from_utf8(reply.body.to_vec()).unwrap())
        };
        assert_eq!(read("{}", false), Ok((0.5, 1, None)));
        let whole = r#"{"share":1,"priority":"high","metadata":{"a":1}}"#;
        assert_eq!(read(whole, false), Ok((1.0, 2, Some(1))));
        let nulls = r#"{"share":null,"priority":null,"metadata":null}"#;
        assert_eq!(read(nulls, false), Ok((0.5, 1, None)));
        assert_eq!(read(r#"{"share":"0.25"}"#, true), Ok((0.25, 1, None)));
        for (text, problem) in [
            (
                r#"{"share":1.5}"#,
                r#""type":"less_than_equal","loc":["body","share"],"msg":"Input should be less than or equal to 1","input":1.5,"ctx":{"le":1.0}"#,
            ),
            (
                r#"{"share":-1}"#,
                r#""msg":"Input should be greater than or equal to 0""#,
            ),
            (r#"{"share":"0.25"}"#, r#""type":"float_type""#),
            (
                r#"{"priority":"urgent"}"#,
                r#""type":"enum","loc":["body","priority"],"msg":"Input should be 'low', 'normal' or 'high'","input":"urgent","ctx":{"expected":"'low', 'normal' or 'high'"}"#,
            ),
            (r#"{"metadata":[]}"#, r#""type":"dict_type""#),
        ] {
            assert!(read(text, false).unwrap_err().contains(problem), "{text}");
        }
        assert!(
            read(r#"{"share":"x"}"#, true)
                .unwrap_err()
                .contains("float_parsing")
        );
    }

    #[test]
    fn other_content_types_reach_the_model_as_text() {
        let reply = Body::decode(b"not json", Some("text/plain"), true).unwrap_err();
        assert_eq!(
            String::from_utf8(reply.body.to_vec()).unwrap(),
            r#"{"detail":[{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":"not json"}]}"#
        );
        for json_type in [
            "application/json",
            "application/json; charset=utf-8",
            "Application/vnd.x+JSON",
        ] {
            assert!(Body::decode(b"{}", Some(json_type), true).is_ok());
        }
    }

    #[test]
    fn lists_are_bounded_and_their_items_checked() {
        let patches = |text: &str| {
            let mut body = Body::decode(text.as_bytes(), None, true).unwrap();
            body.strings("patches", 1, 2);
            String::from_utf8(body.finish().unwrap_err().body.to_vec()).unwrap()
        };
        assert_eq!(
            patches(r#"{"patches":[]}"#),
            r#"{"detail":[{"type":"too_short","loc":["body","patches"],"msg":"List should have at least 1 item after validation, not 0","input":[],"ctx":{"field_type":"List","min_length":1,"actual_length":0}}]}"#
        );
        assert!(
            patches(r#"{"patches":["a","b","c"]}"#)
                .contains("List should have at most 2 items after validation, not 3")
        );
        assert!(patches(r#"{"patches":[1,"a"]}"#).contains(r#""loc":["body","patches",0]"#));
        assert!(patches(r#"{"patches":"x"}"#).contains("list_type"));
    }
}
