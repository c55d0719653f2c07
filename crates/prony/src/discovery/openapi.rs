//! Reading an OpenAPI 3.x or Swagger 2.0 document. The document is hostile until proven otherwise: references are
//! resolved with bounds on depth and size, and only local ones.

use prony_model::{JsonText, Parameter, Place, Protection};
use serde_json::{Map, Value, json};

/// Deepest chain of references and nested schemas that is followed.
const DEPTH_MAX: u32 = 16;
/// Most nodes that resolving one schema may produce.
const NODES_MAX: u32 = 20_000;
/// Most operations read.
const OPERATIONS_MAX: usize = 400;

/// What a document says.
#[derive(Debug, Default)]
pub(super) struct Api {
    pub(super) title: String,
    pub(super) version: String,
    pub(super) operations: Vec<Operation>,
}

/// One operation, references resolved.
#[derive(Clone, Debug, Default)]
pub(super) struct Operation {
    pub(super) method: String,
    /// What the document calls it; empty when it does not.
    pub(super) id: String,
    /// Path template, with the server's base path in front.
    pub(super) path: String,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<RequestBody>,
    pub(super) statuses: Vec<u16>,
    /// Content types of the success answer, lower case.
    pub(super) success_types: Vec<String>,
    /// Schema of the JSON success answer; null when there is none.
    pub(super) success_schema: Value,
    /// The credentials that it asks for: one of them, or all, will do. None for what anybody may call.
    pub(super) protection: Vec<Protection>,
}

impl Operation {
    /// `METHOD path`, as the endpoint is called.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Takes out the headers that are not made up: those of HTTP itself and those that go with every request anyway, as `sends`
    /// knows. One that carries a credential is a protection, whoever gives it.
    pub(super) fn leave_headers(&mut self, sends: &dyn Fn(&str) -> bool) {
        let protection = &mut self.protection;
        self.parameters.retain(|parameter| {
            if parameter.place != Place::Header {
                return true;
            }
            let name = parameter.name.to_ascii_lowercase();
            let asked = credential(&name, &parameter.name);
            if let Some(known) = asked.filter(|known| parameter.required && !protection.contains(known)) {
                protection.push(known);
            }
            !OWN_HEADERS.contains(&name.as_str()) && !sends(&name)
        });
    }
}

/// Headers that a document does not describe (OpenAPI, "Parameter Object"), and those of the connection.
const OWN_HEADERS: &[&str] = &[
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "transfer-encoding",
    "upgrade",
];

/// The credential that a header of this name carries, in lower case and as it is written; `None` where it carries none.
fn credential(lower: &str, name: &str) -> Option<Protection> {
    if lower == "authorization" {
        return Some(Protection::Authorization("Bearer".to_owned()));
    }
    let plain = lower.replace(['-', '_'], "");
    let words = [
        "apikey",
        "accesskey",
        "subscriptionkey",
        "secret",
        "token",
        "authorization",
    ];
    let carries = plain.ends_with("auth") || words.iter().any(|word| plain.contains(word));
    carries.then(|| Protection::Header(name.to_owned()))
}

/// A request body.
#[derive(Clone, Debug)]
pub(super) struct RequestBody {
    pub(super) content_type: String,
    pub(super) schema: Value,
    pub(super) required: bool,
    pub(super) example: Option<Value>,
}

const METHODS: &[&str] = &["get", "post", "put", "patch", "delete"];

/// Reads a document; what it does not understand it leaves out.
pub(super) fn read(document: &Value) -> Api {
    let text = |pointer: &str| {
        document
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let mut api = Api {
        title: text("/info/title"),
        version: text("/info/version"),
        operations: Vec::new(),
    };
    let base = base_path(document);
    let empty = Map::new();
    let paths = document.get("paths").and_then(Value::as_object).unwrap_or(&empty);
    for (path, item) in paths {
        let item = resolve(document, item);
        for &method in METHODS {
            let Some(operation) = item.get(method) else {
                continue;
            };
            if api.operations.len() == OPERATIONS_MAX {
                return api;
            }
            let shared = item.get("parameters");
            api.operations.push(read_operation(
                document,
                method,
                &format!("{base}{path}"),
                operation,
                shared,
            ));
        }
    }
    api
}

/// The path part of the first server, or Swagger's basePath. Other hosts are never followed.
fn base_path(document: &Value) -> String {
    let base = document
        .pointer("/servers/0/url")
        .or_else(|| document.get("basePath"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let path = match base.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => base,
    };
    let path = path.trim_end_matches('/');
    if path.starts_with('/') && !path.contains('{') {
        path.to_owned()
    } else {
        String::new()
    }
}

fn read_operation(
    document: &Value,
    method: &str,
    path: &str,
    operation: &Value,
    shared: Option<&Value>,
) -> Operation {
    let mut read = Operation {
        method: method.to_ascii_uppercase(),
        path: path.to_owned(),
        ..Operation::default()
    };
    if let Some(id) = operation.get("operationId").and_then(Value::as_str) {
        id.clone_into(&mut read.id);
    }
    read.protection = protection(document, operation);
    let own = operation.get("parameters");
    let mut fields = Vec::new();
    for parameter in [shared, own]
        .into_iter()
        .flatten()
        .filter_map(Value::as_array)
        .flatten()
    {
        let parameter = resolve(document, parameter);
        if parameter.get("in").is_some_and(|place| place == "formData") {
            fields.push(parameter);
        } else {
            read_parameter(document, &parameter, &mut read);
        }
    }
    if !fields.is_empty() {
        let consumes = operation.get("consumes").or_else(|| document.get("consumes"));
        read.body = Some(form(&fields, consumes));
    }
    if let Some(body) = operation.get("requestBody") {
        read.body = read_body(document, &resolve(document, body));
    }
    let empty = Map::new();
    for (status, answer) in operation
        .get("responses")
        .and_then(Value::as_object)
        .unwrap_or(&empty)
    {
        let Ok(status) = status.parse::<u16>() else {
            continue;
        };
        read.statuses.push(status);
        if (200..300).contains(&status) && read.success_types.is_empty() {
            let answer = resolve(document, answer);
            let content = answer.get("content").and_then(Value::as_object).unwrap_or(&empty);
            read.success_types = content.keys().map(|k| k.to_ascii_lowercase()).collect();
            read.success_schema = content
                .values()
                .next()
                .and_then(|c| c.get("schema"))
                .or_else(|| answer.get("schema"))
                .map(|s| resolve_all(document, s))
                .unwrap_or_default();
        }
    }
    read
}

/// What an operation's security, or the document's, asks for; nothing where going without is among the choices.
fn protection(document: &Value, operation: &Value) -> Vec<Protection> {
    let asked = operation.get("security").or_else(|| document.get("security"));
    let choices: Vec<&Map<String, Value>> = asked
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .collect();
    if choices.iter().any(|choice| choice.is_empty()) {
        return Vec::new();
    }
    let schemes = document
        .pointer("/components/securitySchemes")
        .or_else(|| document.get("securityDefinitions"));
    let mut found = Vec::new();
    for name in choices.into_iter().flat_map(Map::keys) {
        let scheme = schemes.and_then(|s| s.get(name)).map(|s| resolve(document, s));
        if let Some(known) = scheme.as_ref().and_then(kind_of)
            && !found.contains(&known)
        {
            found.push(known);
        }
    }
    found
}

/// How a credential of a scheme is sent; `None` for what no header, query or cookie carries.
fn kind_of(scheme: &Value) -> Option<Protection> {
    let text = |key: &str| scheme.get(key).and_then(Value::as_str).unwrap_or_default();
    let name = text("name").to_owned();
    Some(match (text("type"), text("in")) {
        ("http", _) => match text("scheme").to_ascii_lowercase().as_str() {
            "basic" => Protection::Authorization("Basic".to_owned()),
            _ => Protection::Authorization("Bearer".to_owned()),
        },
        // Swagger 2.0.
        ("basic", _) => Protection::Authorization("Basic".to_owned()),
        ("oauth2" | "openIdConnect", _) => Protection::Authorization("Bearer".to_owned()),
        ("apiKey", "header") => Protection::Header(name),
        ("apiKey", "query") => Protection::Query(name),
        ("apiKey", "cookie") => Protection::Cookie(name),
        _ => return None,
    })
}

fn read_parameter(document: &Value, parameter: &Value, operation: &mut Operation) {
    let Some(name) = parameter.get("name").and_then(Value::as_str) else {
        return;
    };
    let required = parameter
        .get("required")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let place = match parameter.get("in").and_then(Value::as_str) {
        Some("path") => Place::Path,
        Some("query") => Place::Query,
        Some("header") => Place::Header,
        // Swagger 2.0 puts the body among the parameters.
        Some("body") => {
            let schema = parameter
                .get("schema")
                .map(|s| resolve_all(document, s))
                .unwrap_or_default();
            let content_type = "application/json".to_owned();
            operation.body = Some(RequestBody {
                content_type,
                schema,
                required,
                example: None,
            });
            return;
        }
        _ => return,
    };
    let mut schema = parameter
        .get("schema")
        .map_or_else(|| parameter.clone(), |s| resolve_all(document, s));
    let example = parameter.get("example").or_else(|| {
        parameter
            .get("examples")
            .and_then(Value::as_object)?
            .values()
            .next()?
            .get("value")
    });
    if let (Some(example), Some(object)) = (example, schema.as_object_mut()) {
        object.insert("example".to_owned(), example.clone());
    }
    operation
        .parameters
        .retain(|p| !(p.name == name && p.place == place));
    operation.parameters.push(Parameter {
        name: name.to_owned(),
        place,
        required: required || place == Place::Path,
        schema: JsonText(schema),
    });
}

/// The body that Swagger 2.0 puts together from parameters in `formData`.
fn form(fields: &[Value], consumes: Option<&Value>) -> RequestBody {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields {
        let Some(name) = field.get("name").and_then(Value::as_str) else {
            continue;
        };
        let is_file = field.get("type").is_some_and(|kind| kind == "file");
        let schema = if is_file {
            json!({"type": "string", "format": "binary"})
        } else {
            let own = field.as_object().cloned().unwrap_or_default();
            let described = |key: &str| !matches!(key, "name" | "in" | "required");
            Value::Object(own.into_iter().filter(|(key, _)| described(key)).collect())
        };
        properties.insert(name.to_owned(), schema);
        if field.get("required") == Some(&json!(true)) {
            required.push(name);
        }
    }
    let has_file = properties.values().any(super::value::is_file);
    let takes_parts = consumes
        .and_then(Value::as_array)
        .is_some_and(|kinds| kinds.iter().any(|kind| kind == "multipart/form-data"));
    let content_type = if has_file || takes_parts {
        "multipart/form-data"
    } else {
        "application/x-www-form-urlencoded"
    };
    RequestBody {
        content_type: content_type.to_owned(),
        required: !required.is_empty(),
        schema: json!({"type": "object", "properties": properties, "required": required}),
        example: None,
    }
}

fn read_body(document: &Value, body: &Value) -> Option<RequestBody> {
    let content = body.get("content")?.as_object()?;
    let preferred = [
        "application/json",
        "multipart/form-data",
        "application/x-www-form-urlencoded",
    ];
    let key = preferred
        .iter()
        .find_map(|&want| content.keys().find(|k| k.starts_with(want)))
        .or_else(|| content.keys().next())?;
    let media = &content[key];
    let example = media
        .get("example")
        .or_else(|| {
            media
                .get("examples")
                .and_then(Value::as_object)?
                .values()
                .next()?
                .get("value")
        })
        .cloned();
    Some(RequestBody {
        content_type: key.to_ascii_lowercase(),
        schema: media
            .get("schema")
            .map(|s| resolve_all(document, s))
            .unwrap_or_default(),
        required: body.get("required").and_then(Value::as_bool).unwrap_or(false),
        example,
    })
}

/// Follows `$ref` at the top of a value, locally.
fn resolve(document: &Value, value: &Value) -> Value {
    let mut current = value;
    for _ in 0..DEPTH_MAX {
        let Some(reference) = current.get("$ref").and_then(Value::as_str) else {
            return current.clone();
        };
        let Some(target) = reference
            .strip_prefix('#')
            .and_then(|pointer| document.pointer(pointer))
        else {
            return json!({});
        };
        current = target;
    }
    json!({})
}

/// Follows every `$ref` in a schema; beyond the bounds an empty schema stands, which means "anything".
fn resolve_all(document: &Value, schema: &Value) -> Value {
    let mut nodes = 0;
    resolve_deep(document, schema, DEPTH_MAX, &mut nodes)
}

fn resolve_deep(document: &Value, value: &Value, depth: u32, nodes: &mut u32) -> Value {
    *nodes += 1;
    if depth == 0 || *nodes > NODES_MAX {
        return json!({});
    }
    match value {
        Value::Object(object) if object.get("$ref").is_some_and(Value::is_string) => {
            resolve_deep(document, &resolve(document, value), depth - 1, nodes)
        }
        Value::Object(object) => Value::Object(
            object
                .iter()
                .map(|(k, v)| (k.clone(), resolve_deep(document, v, depth - 1, nodes)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|v| resolve_deep(document, v, depth - 1, nodes))
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use prony_model::Protection;
    use serde_json::json;

    use super::read;

    #[test]
    fn references_resolve_and_bombs_stop() {
        let document = json!({
            "openapi": "3.1.0", "info": {"title": "T", "version": "1"},
            "servers": [{"url": "http://elsewhere.example/base/"}],
            "paths": {"/x/{id}": {
                "parameters": [{"$ref": "#/components/parameters/Id"}],
                "post": {
                    "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}},
                    "responses": {"200": {"content": {"application/json": {"schema": {"type": "array"}}}}, "default": {}}
                }
            }},
            "components": {
                "parameters": {"Id": {"name": "id", "in": "path", "schema": {"type": "string"}}},
                "schemas": {"A": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/A"},
                    "also": {"$ref": "#/components/schemas/A"}, "outside": {"$ref": "http://elsewhere/x.json"}}}}
            }
        });
        let api = read(&document);
        assert_eq!(api.operations.len(), 1);
        let operation = &api.operations[0];
        assert_eq!(operation.path, "/base/x/{id}");
        assert!(operation.parameters[0].required);
        assert_eq!(operation.statuses, [200]);
        let schema = &operation.body.as_ref().unwrap().schema;
        assert_eq!(schema.pointer("/properties/next/type").unwrap(), "object");
        assert_eq!(schema.pointer("/properties/outside").unwrap(), &json!({}));
        assert!(schema.to_string().len() < 4_000_000);
    }

    #[test]
    fn security_is_read_where_it_is_asked_for() {
        let document = json!({
            "openapi": "3.1.0",
            "security": [{"key": []}],
            "paths": {
                "/inherits": {"get": {}},
                "/own": {"get": {"security": [{"token": []}, {"key": []}]}},
                "/public": {"get": {"security": []}},
                "/optional": {"get": {"security": [{}, {"key": []}]}}
            },
            "components": {"securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
                "token": {"type": "http", "scheme": "bearer"}
            }}
        });
        let api = read(&document);
        let of = |path: &str| {
            let operation = api.operations.iter().find(|o| o.path == path);
            operation.unwrap().protection.clone()
        };
        let key = Protection::Header("X-Key".to_owned());
        assert_eq!(of("/inherits"), std::slice::from_ref(&key));
        assert_eq!(of("/own"), [Protection::Authorization("Bearer".to_owned()), key]);
        assert_eq!(of("/public"), []);
        assert_eq!(of("/optional"), []);
    }

    #[test]
    fn swagger_two_bodies_are_found() {
        let document = json!({"swagger": "2.0", "basePath": "/v1", "paths": {"/p": {"post": {
            "parameters": [{"in": "body", "name": "b", "required": true, "schema": {"type": "object"}}], "responses": {}}}}});
        let api = read(&document);
        assert_eq!(api.operations[0].path, "/v1/p");
        assert!(api.operations[0].body.as_ref().unwrap().required);
    }

    #[test]
    fn swagger_two_forms_are_bodies() {
        let document = json!({"swagger": "2.0", "paths": {
            "/upload": {"post": {"responses": {}, "parameters": [
                {"in": "formData", "name": "file", "type": "file", "required": true},
                {"in": "formData", "name": "note", "type": "string"}]}},
            "/sign": {"post": {"responses": {}, "parameters": [
                {"in": "formData", "name": "text", "type": "string", "required": true}]}}}});
        let api = read(&document);
        let of = |path: &str| {
            let operation = api.operations.iter().find(|o| o.path == path);
            operation.unwrap().body.clone().unwrap()
        };
        let upload = of("/upload");
        assert_eq!(upload.content_type, "multipart/form-data");
        assert!(upload.required);
        assert_eq!(
            upload.schema.pointer("/properties/file/format").unwrap(),
            "binary"
        );
        assert_eq!(upload.schema.pointer("/required").unwrap(), &json!(["file"]));
        assert_eq!(of("/sign").content_type, "application/x-www-form-urlencoded");
    }

    #[test]
    fn headers_that_are_sent_anyway_are_not_made_up() {
        let header = |name: &str| json!({"in": "header", "name": name, "required": true, "schema": {"type": "string"}});
        let parameters: Vec<_> = ["x-api-key", "Accept", "Authorization", "x-team", "X-Auth-Token"]
            .iter()
            .map(|name| header(name))
            .collect();
        let document = json!({"openapi": "3.1.0", "paths": {"/p": {"post": {"parameters": parameters, "responses": {}}}}});
        let mut operation = read(&document).operations.remove(0);
        operation.leave_headers(&|name| name == "x-api-key");
        let left: Vec<&str> = operation.parameters.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(left, ["x-team", "X-Auth-Token"]);
        assert_eq!(
            operation.protection,
            [
                Protection::Header("x-api-key".to_owned()),
                Protection::Authorization("Bearer".to_owned()),
                Protection::Header("X-Auth-Token".to_owned())
            ]
        );
    }
}
