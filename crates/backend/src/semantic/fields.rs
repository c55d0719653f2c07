//! Reading a JSON request field by field, with what is wrong as a list of problems in pydantic's words. It knows no endpoint.

use serde_json::{Map, Value, json};

use crate::fastapi::body::problem;
use crate::fastapi::json::{JsonError, decode};

/// An object being read, and where it stands in the body.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    at: Vec<Value>,
    problems: &'a mut Vec<Value>,
    read: Vec<&'static str>,
    refuses_null: bool,
}

/// What a field must be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Type {
    /// A string.
    Text,
    /// A boolean.
    Flag,
    /// An object.
    Object,
    /// An integer.
    Whole,
}

/// The body as an object, or the problems that it has as a whole.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, Vec<Value>> {
    let missing = |input: &Value, kind, message| vec![problem(kind, &json!(["body"]), message, input)];
    if bytes.is_empty() {
        return Err(missing(&Value::Null, "missing", "Field required"));
    }
    match decode(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(missing(
            &other,
            "model_attributes_type",
            "Input should be a valid dictionary or object to extract fields from",
        )),
        Err(error) => {
            let (place, reason) = match error {
                JsonError::Decode { message, position } => (json!(["body", position]), message),
                JsonError::Unparsable => (json!(["body", 0]), "Unreadable text"),
            };
            let mut entry = problem("json_invalid", &place, "JSON decode error", &json!({}));
            entry["ctx"] = json!({ "error": reason });
            Err(vec![entry])
        }
    }
}

impl<'a> Fields<'a> {
    /// The body itself.
    pub(super) fn new(object: &'a Map<String, Value>, problems: &'a mut Vec<Value>) -> Self {
        Self::at(object, vec![json!("body")], problems)
    }

    /// An object within it.
    pub(super) fn at(object: &'a Map<String, Value>, at: Vec<Value>, problems: &'a mut Vec<Value>) -> Self {
        Self {
            object,
            at,
            problems,
            read: Vec::new(),
            refuses_null: false,
        }
    }

    /// With `refuses_null`, null is no way to leave a field out.
    pub(super) fn null_refused(mut self, refuses_null: bool) -> Self {
        self.refuses_null = refuses_null;
        self
    }

    /// Adds a problem at `name`.
    pub(super) fn wrong(&mut self, name: &str, kind: &str, message: &str) {
        let input = self.object.get(name).cloned().unwrap_or(Value::Null);
        let mut at = self.at.clone();
        at.push(json!(name));
        self.problems.push(problem(kind, &json!(at), message, &input));
    }

    /// The value of a field that may be absent; null counts as absent, unless it is refused.
    pub(super) fn any(&mut self, name: &'static str) -> Option<&'a Value> {
        self.read.push(name);
        let value = self.object.get(name)?;
        if value.is_null() {
            if self.refuses_null {
                self.wrong(name, "none_not_allowed", "Input should not be null");
            }
            return None;
        }
        Some(value)
    }

    /// Fields that change nothing here but must be of their type.
    pub(super) fn typed(&mut self, wanted: &[(&'static str, Type)]) {
        for (name, kind) in wanted {
            let Some(value) = self.any(name) else {
                continue;
            };
            let (fits, message) = match kind {
                Type::Text => (value.is_string(), "Input should be a valid string"),
                Type::Flag => (value.is_boolean(), "Input should be a valid boolean"),
                Type::Object => (value.is_object(), "Input should be an object"),
                Type::Whole => (
                    value.is_i64() || value.is_u64(),
                    "Input should be a valid integer",
                ),
            };
            if !fits {
                self.wrong(name, "type_error", message);
            }
        }
    }

    /// The value of a field that must be there.
    pub(super) fn needed(&mut self, name: &'static str) -> Option<&'a Value> {
        self.read.push(name);
        let value = self.object.get(name);
        if value.is_none() {
            let mut at = self.at.clone();
            at.push(json!(name));
            let input = Value::Object(self.object.clone());
            self.problems
                .push(problem("missing", &json!(at), "Field required", &input));
        }
        value
    }

    /// A whole number within bounds, absent or there.
    pub(super) fn integer(&mut self, name: &'static str, bounds: (u64, u64)) -> Option<u64> {
        let value = self.any(name)?;
        self.whole(name, value, bounds)
    }

    /// A whole number within bounds that must be there.
    pub(super) fn needed_integer(&mut self, name: &'static str, bounds: (u64, u64)) -> Option<u64> {
        let value = self.needed(name)?;
        self.whole(name, value, bounds)
    }

    fn whole(&mut self, name: &str, value: &Value, (min, max): (u64, u64)) -> Option<u64> {
        let number = value.as_f64().filter(|_| value.is_number());
        match number {
            None => self.wrong(name, "int_type", "Input should be a valid integer"),
            Some(number) if number.fract() != 0.0 => self.wrong(
                name,
                "int_from_float",
                "Input should be a valid integer, got a number with a fractional part",
            ),
            Some(number) if number < min as f64 => {
                self.bound(name, "greater_than_equal", "greater", &json!(min));
            }
            Some(number) if number > max as f64 => self.bound(name, "less_than_equal", "less", &json!(max)),
            Some(number) => return Some(number as u64),
        }
        None
    }

    /// A number within bounds.
    pub(super) fn number(&mut self, name: &'static str, min: f64, max: f64) {
        let Some(value) = self.any(name) else {
            return;
        };
        match value.as_f64().filter(|_| value.is_number()) {
            None => self.wrong(name, "float_type", "Input should be a valid number"),
            Some(number) if number < min => self.bound(name, "greater_than_equal", "greater", &json!(min)),
            Some(number) if number > max => self.bound(name, "less_than_equal", "less", &json!(max)),
            Some(_) => {}
        }
    }

    fn bound(&mut self, name: &str, kind: &str, side: &str, limit: &Value) {
        let message = format!("Input should be {side} than or equal to {limit}");
        self.wrong(name, kind, &message);
        let key = if side == "less" { "le" } else { "ge" };
        if let Some(entry) = self.problems.last_mut() {
            entry["ctx"] = json!({ key: limit });
        }
    }

    /// A switch, false when absent.
    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        match self.any(name) {
            None => false,
            Some(Value::Bool(on)) => *on,
            Some(_) => {
                self.wrong(name, "bool_type", "Input should be a valid boolean");
                false
            }
        }
    }

    /// A text of `1..=max` characters that must be there.
    pub(super) fn needed_text(&mut self, name: &'static str, max: usize) -> Option<&'a str> {
        let value = self.needed(name)?;
        self.text_of(name, value, max)
    }

    /// A text of `1..=max` characters, absent or there.
    pub(super) fn text(&mut self, name: &'static str, max: usize) -> Option<&'a str> {
        let value = self.any(name)?;
        self.text_of(name, value, max)
    }

    fn text_of(&mut self, name: &str, value: &'a Value, max: usize) -> Option<&'a str> {
        match value.as_str() {
            None => self.wrong(name, "string_type", "Input should be a valid string"),
            Some("") => self.wrong(
                name,
                "string_too_short",
                "String should have at least 1 character",
            ),
            Some(text) if text.chars().count() > max => {
                let message = format!("String should have at most {max} characters");
                self.wrong(name, "string_too_long", &message);
            }
            Some(text) => return Some(text),
        }
        None
    }

    /// One of a few words.
    pub(super) fn choice(&mut self, name: &'static str, words: &[&'static str]) -> Option<&'static str> {
        let value = self.needed(name)?;
        let found = words.iter().find(|word| value.as_str() == Some(**word));
        if found.is_none() {
            let listed: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            let message = format!("Input should be {}", listed.join(" or "));
            self.wrong(name, "literal_error", &message);
        }
        found.copied()
    }

    /// One of a few words, one of them when absent.
    pub(super) fn choice_or(
        &mut self,
        name: &'static str,
        words: &[&'static str],
        absent: &'static str,
    ) -> &'static str {
        if self.any(name).is_none() {
            return absent;
        }
        self.choice(name, words).unwrap_or(absent)
    }

    /// A list of texts, none when absent; with `lone` a single text will do.
    pub(super) fn texts(&mut self, name: &'static str, max: usize, lone: bool) -> Vec<String> {
        match self.any(name) {
            None => Vec::new(),
            Some(Value::String(text)) if lone && !text.is_empty() => vec![text.clone()],
            Some(Value::Array(items)) if items.len() > max => {
                let message = format!(
                    "List should have at most {max} items after validation, not {}",
                    items.len()
                );
                self.wrong(name, "too_long", &message);
                Vec::new()
            }
            Some(Value::Array(items)) => {
                let texts: Vec<String> = items
                    .iter()
                    .filter_map(Value::as_str)
                    .filter(|text| !text.is_empty())
                    .map(str::to_owned)
                    .collect();
                if texts.len() != items.len() {
                    self.wrong(
                        name,
                        "string_type",
                        "Input should be a list of strings that are not empty",
                    );
                }
                texts
            }
            Some(_) => {
                self.wrong(name, "list_type", "Input should be a valid list");
                Vec::new()
            }
        }
    }

    /// A list of at least one object.
    pub(super) fn objects(&mut self, name: &'static str) -> Vec<&'a Map<String, Value>> {
        let Some(value) = self.needed(name) else {
            return Vec::new();
        };
        let Value::Array(items) = value else {
            self.wrong(name, "list_type", "Input should be a valid list");
            return Vec::new();
        };
        if items.is_empty() {
            self.wrong(
                name,
                "too_short",
                "List should have at least 1 item after validation, not 0",
            );
        }
        let objects: Vec<_> = items.iter().filter_map(Value::as_object).collect();
        if objects.len() != items.len() {
            self.wrong(name, "model_type", "Input should be a list of objects");
            return Vec::new();
        }
        objects
    }

    /// Refuses what was not read.
    pub(super) fn no_others(&mut self) {
        for (name, value) in self.object {
            if !self.read.contains(&name.as_str()) {
                let mut at = self.at.clone();
                at.push(json!(name));
                let message = "Extra inputs are not permitted";
                self.problems
                    .push(problem("extra_forbidden", &json!(at), message, value));
            }
        }
    }

    /// Adds a problem of the whole, as a model validator does.
    pub(super) fn whole_wrong(&mut self, message: &str) {
        let input = Value::Object(self.object.clone());
        let message = format!("Value error, {message}");
        self.problems
            .push(problem("value_error", &json!(self.at), &message, &input));
    }

    /// The list of problems, for objects within this one.
    pub(super) fn problems(&mut self) -> &mut Vec<Value> {
        self.problems
    }
}

/// Problems in one line: `messages.0.role: Input should be ...`.
pub(super) fn sentence(problems: &[Value]) -> String {
    let one = |entry: &Value| {
        let place: Vec<String> = entry["loc"]
            .as_array()
            .into_iter()
            .flatten()
            .skip(1)
            .map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned))
            .collect();
        let message = entry["msg"].as_str().unwrap_or_default();
        let message = message.strip_prefix("Value error, ").unwrap_or(message);
        if place.is_empty() || entry["type"] == "json_invalid" {
            message.to_owned()
        } else {
            format!("{}: {message}", place.join("."))
        }
    };
    problems.iter().map(one).collect::<Vec<_>>().join("; ")
}
