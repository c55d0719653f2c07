//! A tool's parameters: their JSON Schema, and the reading of arguments against them with the observed server's messages.

use serde_json::{Map, Value, json};

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Param {
    name: &'static str,
    kind: Kind,
    default: Otherwise,
    description: &'static str,
}

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// One of a few strings.
    Choice(&'static [&'static str]),
    /// A whole number within bounds.
    Integer(i64, i64),
    /// A list of strings.
    Texts,
    /// An object.
    Object,
}

/// What holds when nothing is given.
#[derive(Debug, Clone, Copy)]
enum Otherwise {
    Needed,
    Null,
    Value(&'static str),
}

impl Param {
    /// One that must be given.
    pub(super) const fn needed(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self {
            name,
            kind,
            default: Otherwise::Needed,
            description,
        }
    }

    /// One that may be left out or null.
    pub(super) const fn optional(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self {
            name,
            kind,
            default: Otherwise::Null,
            description,
        }
    }

    /// One with a default text.
    pub(super) const fn with(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        description: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            default: Otherwise::Value(default),
            description,
        }
    }

    /// A whole number with a default.
    pub(super) const fn integer(
        name: &'static str,
        default: &'static str,
        (min, max): (i64, i64),
        description: &'static str,
    ) -> Self {
        Self::with(name, Kind::Integer(min, max), default, description)
    }

    fn default(&self) -> Option<Value> {
        match (self.default, self.kind) {
            (Otherwise::Needed, _) => None,
            (Otherwise::Null, _) => Some(Value::Null),
            (Otherwise::Value(text), Kind::Integer(..)) => {
                Some(json!(text.parse::<i64>().unwrap_or_default()))
            }
            (Otherwise::Value(text), _) => Some(json!(text)),
        }
    }

    fn schema(&self, lenient: bool) -> Value {
        let mut schema = match self.kind {
            Kind::Text => json!({ "type": "string" }),
            Kind::Choice(words) => json!({ "type": "string", "enum": words }),
            Kind::Integer(..) if lenient => json!({ "type": "integer" }),
            Kind::Integer(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
            Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            Kind::Object => json!({ "type": "object", "additionalProperties": true }),
        };
        if matches!(self.default, Otherwise::Null) {
            schema = json!({ "anyOf": [schema, { "type": "null" }] });
        }
        schema["description"] = json!(self.description);
        if let Some(default) = self.default() {
            schema["default"] = default;
        }
        schema
    }

    /// Why a value will not do: message and type of the problem.
    fn problem(&self, value: &Value, lenient: bool) -> Option<(String, &'static str)> {
        if value.is_null() && matches!(self.default, Otherwise::Null) {
            return None;
        }
        match (self.kind, value) {
            (Kind::Text, Value::String(_)) | (Kind::Object, Value::Object(_)) => None,
            (Kind::Text, _) => Some(("Input should be a valid string".to_owned(), "string_type")),
            (Kind::Object, _) => Some(("Input should be a valid dictionary".to_owned(), "dict_type")),
            (Kind::Choice(words), value) => {
                let known = value.as_str().is_some_and(|text| words.contains(&text));
                (!known).then(|| (format!("Input should be {}", either(words)), "literal_error"))
            }
            (Kind::Integer(min, max), value) => match value.as_i64() {
                None => Some(("Input should be a valid integer".to_owned(), "int_type")),
                Some(number) if !lenient && number < min => Some((
                    format!("Input should be greater than or equal to {min}"),
                    "greater_than_equal",
                )),
                Some(number) if !lenient && number > max => Some((
                    format!("Input should be less than or equal to {max}"),
                    "less_than_equal",
                )),
                Some(_) => None,
            },
            (Kind::Texts, Value::Array(items)) if items.iter().all(Value::is_string) => None,
            (Kind::Texts, _) => Some(("Input should be a valid list of strings".to_owned(), "list_type")),
        }
    }
}

/// What was given, every parameter included.
#[derive(Debug, Default)]
pub(crate) struct Arguments(Map<String, Value>);

impl Arguments {
    /// A value.
    pub(crate) fn get(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or(&Value::Null)
    }

    /// A string; empty when it is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).as_str().unwrap_or_default()
    }

    /// A string that may be left out.
    pub(crate) fn optional(&self, name: &str) -> Option<&str> {
        self.get(name).as_str()
    }
}

/// The schema of a tool's arguments.
pub(super) fn schema(tool: &str, params: &[Param], lenient: bool) -> Map<String, Value> {
    let properties: Map<String, Value> = params
        .iter()
        .map(|param| (param.name.to_owned(), param.schema(lenient)))
        .collect();
    let required: Vec<&str> = params
        .iter()
        .filter(|param| matches!(param.default, Otherwise::Needed))
        .map(|param| param.name)
        .collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("title".to_owned(), json!(format!("{tool}Arguments")));
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert("required".to_owned(), json!(required));
    if !lenient {
        schema.insert("additionalProperties".to_owned(), json!(false));
    }
    schema
}

/// Reads a call's arguments; the error lists every problem as pydantic does.
pub(super) fn read(
    tool: &str,
    params: &[Param],
    mut given: Map<String, Value>,
    lenient: bool,
) -> Result<Arguments, String> {
    let mut problems = Vec::new();
    let mut values = Map::new();
    for param in params {
        match given.remove(param.name) {
            Some(value) => {
                if let Some((message, kind)) = param.problem(&value, lenient) {
                    problems.push(format!(
                        "{}\n  {message} [type={kind}, input_value={}]",
                        param.name,
                        shown(&value)
                    ));
                }
                values.insert(param.name.to_owned(), value);
            }
            None => match param.default() {
                Some(default) => {
                    values.insert(param.name.to_owned(), default);
                }
                None => problems.push(format!("{}\n  Field required [type=missing]", param.name)),
            },
        }
    }
    if !lenient {
        for (name, value) in &given {
            problems.push(format!(
                "{name}\n  Unexpected keyword argument [type=unexpected_keyword_argument, input_value={}]",
                shown(value)
            ));
        }
    }
    if problems.is_empty() {
        return Ok(Arguments(values));
    }
    let plural = if problems.len() == 1 { "" } else { "s" };
    Err(format!(
        "{} validation error{plural} for {tool}Arguments\n{}",
        problems.len(),
        problems.join("\n")
    ))
}

fn either(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.join(""),
    }
}

fn shown(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: &[Param] = &[
        Param::needed("id", Kind::Text, "id"),
        Param::with("order", Kind::Choice(&["asc", "desc"]), "desc", "order"),
        Param::integer("limit", "20", (1, 100), "limit"),
        Param::optional("after", Kind::Text, "after"),
    ];

    fn given(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    #[test]
    fn defaults_fill_in() {
        let read = read("t", PARAMS, given(json!({ "id": "x" })), false).unwrap();
        assert_eq!(
            (read.text("id"), read.text("order"), read.get("limit")),
            ("x", "desc", &json!(20))
        );
        assert_eq!(read.optional("after"), None);
    }

    #[test]
    fn every_problem_is_told() {
        let wrong = json!({ "order": "up", "limit": 101, "after": 3, "more": 1 });
        let told = read("t", PARAMS, given(wrong.clone()), false).unwrap_err();
        assert!(told.starts_with("5 validation errors for tArguments\n"), "{told}");
        for part in [
            "id\n  Field required [type=missing]",
            "Input should be 'asc' or 'desc' [type=literal_error",
            "less than or equal to 100",
            "Input should be a valid string",
            "Unexpected keyword argument",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
        let told = read("t", PARAMS, given(wrong), true).unwrap_err();
        assert!(told.starts_with("3 validation errors"), "{told}");
    }
}
