//! What each endpoint declares: the one table from which both the document and the checks are made, so that they cannot disagree.

use serde_json::{Map, Value, json};

use crate::fastapi::body::problem;

/// Longest text that is taken.
pub(super) const TEXT_MAX: usize = 2000;
/// Up to here every whole number is exact in floating point too.
const EXACT_MAX: i64 = 9_007_199_254_740_991;
/// Largest seed.
const SEED_MAX: i64 = EXACT_MAX;

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Route {
    /// Method and path template: its name in the account.
    pub(crate) endpoint: &'static str,
    summary: &'static str,
    fields: &'static [Field],
    /// Whether it needs the bearer token.
    pub(super) secured: bool,
    /// Content type of its good answer.
    pub(super) answers: &'static str,
}

#[derive(Debug)]
struct Field {
    name: &'static str,
    kind: Kind,
    required: bool,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text(usize),
    Id,
    Whole(i64, i64),
    Share,
    Choice(&'static [&'static str]),
    Texts(usize),
}

const JSON: &str = "application/json";
const TEXT: Field = needed("text", Kind::Text(TEXT_MAX));
const QUERY: Field = needed("query", Kind::Text(200));

/// The endpoints.
pub(super) static ROUTES: [Route; 16] = [
    post(
        "POST /v1/classify",
        "Find the label that fits a text",
        &[
            TEXT,
            needed("labels", Kind::Texts(16)),
            optional("threshold", Kind::Share),
        ],
    ),
    post(
        "POST /v1/embed",
        "Turn a text into numbers",
        &[TEXT, optional("dimensions", Kind::Whole(8, 256))],
    ),
    post(
        "POST /v1/rerank",
        "Order documents by how well they fit a query",
        &[
            QUERY,
            needed("documents", Kind::Texts(64)),
            optional("top_k", Kind::Whole(1, 20)),
        ],
    ),
    post(
        "POST /v1/summarise",
        "Shorten a text",
        &[
            TEXT,
            optional("style", Kind::Choice(&["short", "long"])),
            optional("seed", Kind::Whole(0, SEED_MAX)),
        ],
    ),
    post("POST /v1/moderate", "Say whether a text is fit to print", &[TEXT]),
    post(
        "POST /v1/translate",
        "Translate a text",
        &[
            TEXT,
            optional(
                "language",
                Kind::Choice(&["de", "fr", "es", "it", "pt", "nl", "sv", "pl"]),
            ),
        ],
    ),
    post("POST /v1/caption", "Find a caption for a text", &[TEXT]),
    post("POST /v1/complete", "Continue a text", &[TEXT]),
    get("GET /v1/documents", "List the documents", &[]),
    get(
        "GET /v1/documents/{document_id}",
        "One document",
        &[needed("document_id", Kind::Id)],
    ),
    get(
        "GET /v1/documents/{document_id}/summary",
        "Summary of a document",
        &[needed("document_id", Kind::Id)],
    ),
    get(
        "GET /v1/search",
        "Search the documents",
        &[QUERY, optional("limit", Kind::Whole(1, 50))],
    ),
    Route {
        answers: "text/html",
        ..get(
            "GET /v1/preview",
            "A page with a title",
            &[needed("title", Kind::Text(200))],
        )
    },
    get("GET /v1/assets", "List the assets", &[]),
    Route {
        answers: "text/plain",
        ..get("GET /v1/assets/{name}", "One asset", &[needed("name", Kind::Id)])
    },
    Route {
        secured: true,
        ..get("GET /v1/account", "The account", &[])
    },
];
/// Beside the others: its token is not looked at when the defect is in force.
pub(super) static BILLING: Route = Route {
    secured: true,
    ..get("GET /v1/billing", "What was used", &[])
};

const fn post(endpoint: &'static str, summary: &'static str, fields: &'static [Field]) -> Route {
    Route {
        endpoint,
        summary,
        fields,
        secured: false,
        answers: JSON,
    }
}

const fn get(endpoint: &'static str, summary: &'static str, fields: &'static [Field]) -> Route {
    post(endpoint, summary, fields)
}

const fn needed(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: true,
    }
}

const fn optional(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: false,
    }
}

impl Route {
    /// Its method.
    pub(super) fn method(&self) -> &'static str {
        self.endpoint.split_once(' ').map_or("", |(method, _)| method)
    }

    /// Its path template.
    pub(super) fn path(&self) -> &'static str {
        self.endpoint.split_once(' ').map_or("", |(_, path)| path)
    }

    /// The value of its path parameter, if the path is one of this route.
    pub(super) fn matches(&self, path: &str) -> Option<String> {
        let (mut given, mut wanted) = (path.split('/'), self.path().split('/'));
        let mut value = String::new();
        loop {
            match (given.next(), wanted.next()) {
                (None, None) => return Some(value),
                (Some(part), Some(template)) if template.starts_with('{') && !part.is_empty() => {
                    value = crate::fastapi::params::percent_decode(part, false);
                }
                (Some(part), Some(template)) if part == template => {}
                _ => return None,
            }
        }
    }

    /// Name of its path parameter.
    pub(super) fn path_field(&self) -> Option<&'static str> {
        let start = self.path().find('{')?;
        self.path()[start + 1..].split('}').next()
    }

    /// What is wrong with the inputs, in the order of the fields; unknown ones last.
    pub(super) fn problems(&self, inputs: &Map<String, Value>) -> Vec<Value> {
        let place = if self.method() == "POST" { "body" } else { "query" };
        let mut found = Vec::new();
        for field in self.fields {
            let wrong = match inputs.get(field.name) {
                None if field.required => Some("Field required"),
                None => None,
                Some(value) => field.kind.wrong(value),
            };
            if let Some(wrong) = wrong {
                found.push(problem(
                    "value_error",
                    &json!([place, field.name]),
                    wrong,
                    &Value::Null,
                ));
            }
        }
        let unknown =
            |name: &&String| place == "body" && !self.fields.iter().any(|f| f.name == name.as_str());
        for name in inputs.keys().filter(unknown) {
            found.push(problem(
                "extra_forbidden",
                &json!([place, name]),
                "Unknown field",
                &Value::Null,
            ));
        }
        found
    }

    /// Query parameters are text: those of a whole-number field become numbers where they are.
    pub(super) fn typed(&self, name: &str, text: &str) -> Value {
        let whole = self
            .fields
            .iter()
            .any(|f| f.name == name && matches!(f.kind, Kind::Whole(..)));
        match text.parse::<i64>() {
            Ok(number) if whole => json!(number),
            _ => json!(text),
        }
    }

    /// Its part of the OpenAPI document.
    pub(super) fn operation(&self) -> Value {
        let post = self.method() == "POST";
        let mut operation = json!({ "summary": self.summary, "responses": self.responses() });
        if post {
            let properties: Map<String, Value> = self
                .fields
                .iter()
                .map(|f| (f.name.to_owned(), f.kind.schema()))
                .collect();
            let required: Vec<&str> = self
                .fields
                .iter()
                .filter(|f| f.required)
                .map(|f| f.name)
                .collect();
            operation["requestBody"] = json!({ "required": true, "content": { JSON: { "schema": {
                "type": "object", "properties": properties, "required": required, "additionalProperties": false,
            } } } });
        } else if !self.fields.is_empty() {
            operation["parameters"] = self
                .fields
                .iter()
                .map(|f| {
                    let place = if self.path_field() == Some(f.name) {
                        "path"
                    } else {
                        "query"
                    };
                    json!({ "name": f.name, "in": place, "required": f.required, "schema": f.kind.schema() })
                })
                .collect();
        }
        if self.secured {
            operation["security"] = json!([{ "bearer": [] }]);
        }
        operation
    }

    fn responses(&self) -> Value {
        let mut responses = json!({ "200": { "description": "Successful Response" } });
        if self.answers == JSON {
            responses["200"]["content"] =
                json!({ JSON: { "schema": { "type": "object", "properties": { "at": {} } } } });
        } else {
            let mut content = Map::new();
            content.insert(self.answers.to_owned(), json!({ "schema": { "type": "string" } }));
            responses["200"]["content"] = Value::Object(content);
        }
        let body = [
            ("408", "The body stood still"),
            ("413", "The body is too large"),
            ("415", "The body is not JSON"),
        ];
        let mut statuses = vec![
            ("405", "Another method"),
            ("406", "That content type is not offered"),
            ("422", "Invalid input"),
        ];
        if self.method() == "POST" {
            statuses.push(("400", "The body cannot be read"));
            statuses.extend(body);
        }
        if self.path_field().is_some() {
            statuses.push(("404", "There is none of that name"));
        }
        if self.secured {
            statuses.push(("401", "Credentials are missing or wrong"));
        }
        for (status, description) in statuses {
            responses[status] = json!({ "description": description });
        }
        responses
    }
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Text(max) => json!({ "type": "string", "minLength": 1, "maxLength": max }),
            Self::Id => json!({ "type": "string", "minLength": 1, "maxLength": 64 }),
            Self::Whole(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
            Self::Share => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
            Self::Choice(words) => json!({ "type": "string", "enum": words }),
            Self::Texts(max) => json!({
                "type": "array", "minItems": 1, "maxItems": max,
                "items": { "type": "string", "minLength": 1, "maxLength": TEXT_MAX }
            }),
        }
    }

    fn wrong(self, value: &Value) -> Option<&'static str> {
        let fits = |text: &str, max: usize| (1..=max).contains(&text.chars().count());
        let fine = match self {
            Self::Text(max) => value.as_str().is_some_and(|text| fits(text, max)),
            // That it is too long to be known is seen where it is looked up.
            Self::Id => value.is_string(),
            Self::Whole(min, max) => whole(value).is_some_and(|number| (min..=max).contains(&number)),
            Self::Share => value.as_f64().is_some_and(|number| (0.0..=1.0).contains(&number)),
            Self::Choice(words) => value.as_str().is_some_and(|text| words.contains(&text)),
            Self::Texts(max) => value.as_array().is_some_and(|list| {
                (1..=max).contains(&list.len())
                    && list
                        .iter()
                        .all(|item| item.as_str().is_some_and(|text| fits(text, TEXT_MAX)))
            }),
        };
        (!fine).then_some("Input is not what the document declares")
    }
}

/// A whole number, which to JSON Schema one with a fraction of zero is too.
pub(super) fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let number = value.as_f64()?;
        (number.fract() == 0.0 && number.abs() <= EXACT_MAX as f64).then_some(number as i64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_what_json_schema_calls_one() {
        let seed = Kind::Whole(0, SEED_MAX);
        for fine in [json!(0), json!(7.0), json!(4_294_967_295.0), json!(SEED_MAX)] {
            assert_eq!(seed.wrong(&fine), None, "{fine}");
        }
        for bad in [
            json!(-1),
            json!(7.5),
            json!(SEED_MAX + 1),
            json!(1e300),
            json!("7"),
        ] {
            assert!(seed.wrong(&bad).is_some(), "{bad}");
        }
        assert_eq!(seed.schema()["maximum"], json!(SEED_MAX));
    }
}
