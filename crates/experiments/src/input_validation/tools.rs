//! Bad calls of a tool over JSON-RPC: an argument that is missing, and one of another type. Pure; it must not know any tool.

use prony_model::{Body, Endpoint, JsonText, Request};
use serde_json::{Map, Value};

use super::case::{Class, NegativeCase, Wanted};
use super::generate::mistyped;
use crate::field::{Field, fields};
use crate::mutation::json_body;

/// Calls of each class for one tool: servers have dozens of tools, and one piece of code reads the arguments of all.
const EACH_MAX: usize = 2;
/// Where a message has the arguments.
const ARGUMENTS: &str = "/params/arguments";
/// Where the schema of a message has theirs.
const DECLARED: &str = "/properties/params/properties/arguments";

/// The bad calls of a tool, each a good one with one argument changed; none where its schema is not known.
pub(super) fn cases(endpoint: &Endpoint, good: &Request) -> Vec<NegativeCase> {
    let schema = endpoint.body_schema.as_ref().and_then(|s| s.0.pointer(DECLARED));
    let message = json_body(good);
    let arguments = message.as_ref().and_then(|m| m.pointer(ARGUMENTS)?.as_object());
    let (Some(schema), Some(message), Some(arguments)) = (schema, &message, arguments) else {
        return Vec::new();
    };
    // Arguments are declared as the fields of a body are.
    let declared = fields(&Endpoint {
        parameters: Vec::new(),
        body_schema: Some(JsonText(schema.clone())),
        ..endpoint.clone()
    });
    let case = |class: Class, field: &Field, name: String, arguments: Map<String, Value>| {
        let mut message = message.clone();
        *message.pointer_mut(ARGUMENTS)? = Value::Object(arguments);
        Some(NegativeCase {
            class,
            field: field.name.clone(),
            name,
            request: Request {
                body: Body::text(message.to_string()),
                ..good.clone()
            },
            wanted: Wanted::ToolError,
        })
    };
    let missing = declared.iter().filter(|f| f.required).filter_map(|field| {
        let mut rest = arguments.clone();
        rest.remove(&field.name)?;
        case(
            Class::MissingField,
            field,
            format!("a missing `{}`", field.name),
            rest,
        )
    });
    let of_another_type = declared.iter().filter_map(|field| {
        let (value, name) = mistyped(field)?;
        let mut changed = arguments.clone();
        changed.insert(field.name.clone(), value);
        case(Class::WrongType, field, name, changed)
    });
    missing
        .take(EACH_MAX)
        .chain(of_another_type.take(EACH_MAX))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prony_model::{BodyCheck, Endpoint, Expect, JsonText, Request, Role, SampleRequest};
    use serde_json::{Value, json};

    use crate::fake::body_json;
    use crate::input_validation::case::{Class, Wanted};
    use crate::input_validation::generate::cases;

    fn tool(arguments: &Value) -> Endpoint {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                          "params": {"name": "look", "arguments": {"film_id": "a", "places": ["b"], "far": 3}}});
        Endpoint {
            name: "tool look".into(),
            method: "POST".into(),
            path: "/mcp".into(),
            role: Role::Resource,
            parameters: Vec::new(),
            body_schema: Some(JsonText(
                json!({"properties": {"params": {"properties": {"arguments": arguments}}}}),
            )),
            declared_statuses: Vec::new(),
            samples: vec![SampleRequest {
                request: Request::json("POST", "/mcp", &call),
                inputs: BTreeMap::new(),
            }],
            expect: Expect {
                body: vec![BodyCheck::Rpc],
                ..Expect::status(200)
            },
        }
    }

    #[test]
    fn one_argument_is_missing_or_of_another_type_and_the_rest_is_as_it_was() {
        let text = json!({"type": "string"});
        let tool = tool(&json!({
            "type": "object", "required": ["film_id", "places"],
            "properties": {"film_id": text, "places": {"type": "array", "items": text}, "far": {"type": "integer"}}
        }));
        let found = cases(&tool, &tool.samples[0], 1);
        let arguments = |k: usize| body_json(&found[k].request).unwrap()["params"]["arguments"].clone();
        let classes: Vec<(Class, &str)> = found.iter().map(|c| (c.class, c.field.as_str())).collect();
        assert_eq!(
            classes,
            [
                (Class::MissingField, "film_id"),
                (Class::MissingField, "places"),
                (Class::WrongType, "film_id"),
                (Class::WrongType, "places"),
            ]
        );
        assert_eq!(arguments(0), json!({"places": ["b"], "far": 3}));
        assert_eq!(
            arguments(2),
            json!({"film_id": {"prony": 1}, "places": ["b"], "far": 3})
        );
        assert!(found.iter().all(|c| c.wanted == Wanted::ToolError));
        let name = |k: usize| body_json(&found[k].request).unwrap()["params"]["name"].clone();
        assert_eq!(name(3), json!("look"));
    }

    #[test]
    fn nothing_is_sent_where_the_arguments_are_not_declared() {
        let unknown = tool(&json!({"type": "object"}));
        assert_eq!(cases(&unknown, &unknown.samples[0], 1), []);
        let mut bare = unknown.clone();
        bare.body_schema = None;
        assert_eq!(cases(&bare, &bare.samples[0], 1), []);
    }
}
