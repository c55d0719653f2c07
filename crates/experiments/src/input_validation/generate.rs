//! Bad requests derived from what the document declares, and from the catalogue. Pure: the same endpoint, sample and
//! seed give the same cases.

use prony_model::{Body, Endpoint, Header, JsonText, Request, SampleRequest};
use serde_json::{Map, Value, json};

use super::case::{Class, NegativeCase, Wanted};
use super::catalogue::TEXTS;
use super::{bodies, forms, tools};
use crate::dzi::mix;
use crate::field::{Field, Kind, Spot, fields, limits_tokens, names_token_limit};
use crate::mutation::json_body;

/// Characters of an over-long text in a body.
const LONG_BODY: usize = 10_000;
/// Characters of an over-long text in a path or query: well under the 8 KiB that servers take for a request line.
const LONG_URL: usize = 2_000;
/// Items of a very long list.
const MANY: usize = 10_000;
/// What stands for a number that JSON cannot hold until the body is text.
const HUGE_NUMBER_MARK: i64 = 733_173_317_331;

/// The bad requests to an endpoint, the most telling first; every one differs from every sample and from each other.
///
/// Without a document for the body the sample stands for one; then nothing says that an input is forbidden, and a normal
/// answer to it is no fault.
pub(super) fn cases(endpoint: &Endpoint, base: &SampleRequest, seed: u64) -> Vec<NegativeCase> {
    // A tool refuses within a good status: its arguments are judged by other rules than HTTP's.
    if endpoint.is_tool() {
        return tools::cases(endpoint, &base.request);
    }
    match (&endpoint.body_schema, json_body(&base.request)) {
        (None, Some(Value::Object(sample))) => {
            let described = Endpoint {
                body_schema: Some(JsonText(like(&sample))),
                ..endpoint.clone()
            };
            let mut found = by_document(&described, base, seed, false);
            for case in &mut found {
                if case.wanted == Wanted::Refused && case.class != Class::InvalidJson {
                    case.wanted = Wanted::Harmless;
                }
            }
            found
        }
        _ => by_document(endpoint, base, seed, true),
    }
}

/// A schema of which the sample is an example.
fn like(sample: &Map<String, Value>) -> Value {
    let kind = |value: &Value| match value {
        Value::Null => json!({}),
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(n) if n.is_f64() => json!({"type": "number"}),
        Value::Number(_) => json!({"type": "integer"}),
        Value::String(_) => json!({"type": "string"}),
        Value::Array(list) => match list.first() {
            Some(Value::String(_)) => json!({"type": "array", "items": {"type": "string"}}),
            _ => json!({"type": "array"}),
        },
        Value::Object(_) => json!({"type": "object"}),
    };
    let properties: Map<String, Value> = sample
        .iter()
        .map(|(name, value)| (name.clone(), kind(value)))
        .collect();
    let required: Vec<&String> = sample.keys().collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// The cases of a document; `is_declared` where it is the target's own and no sample stands for it.
fn by_document(endpoint: &Endpoint, base: &SampleRequest, seed: u64, is_declared: bool) -> Vec<NegativeCase> {
    let mut list = List {
        endpoint,
        base,
        cases: Vec::new(),
    };
    let sample = json_body(&base.request);
    for field in fields(endpoint) {
        // Where nothing says what the bound of an answer's tokens must look like, a server may rightly read a missing or wrong one
        // as none at all, and generate for minutes.
        let held = sample.as_ref().and_then(|body| body.get(&field.name));
        let is_bound = limits_tokens(&field.name) || held.is_some_and(names_token_limit);
        if is_bound && !is_declared {
            continue;
        }
        by_schema(&mut list, &field, seed);
        if field.kind == Kind::Text {
            texts(&mut list, &field);
        }
    }
    if endpoint.body_schema.is_some() && sample.is_some() {
        bodies::add(&mut list);
    }
    if !endpoint.is_call() {
        forms::add(&mut list);
        methods(&mut list);
        unknown_accept(&mut list);
    }
    list.cases.sort_by_key(|c| c.class);
    list.cases
}

/// A request to a path that no target has.
pub(super) fn unknown_path(seed: u64) -> NegativeCase {
    let path = format!("/prony-no-such-path-{:08x}", mix(seed) >> 32);
    NegativeCase {
        class: Class::UnknownPath,
        field: String::new(),
        name: "a path that does not exist".to_owned(),
        request: Request::get(path),
        wanted: Wanted::Harmless,
    }
}

/// The cases so far.
pub(super) struct List<'a> {
    pub endpoint: &'a Endpoint,
    pub base: &'a SampleRequest,
    cases: Vec<NegativeCase>,
}

impl List<'_> {
    /// Adds a case unless its request is a sample or a case already.
    pub(super) fn add(
        &mut self,
        class: Class,
        field: &str,
        name: impl Into<String>,
        wanted: Wanted,
        request: Option<Request>,
    ) {
        let Some(request) = request else { return };
        let known = self.endpoint.samples.iter().any(|s| s.request == request)
            || self.cases.iter().any(|c| c.request == request);
        if !known {
            self.cases.push(NegativeCase {
                class,
                field: field.to_owned(),
                name: name.into(),
                request,
                wanted,
            });
        }
    }

    fn set(&mut self, class: Class, field: &Field, name: String, wanted: Wanted, value: &Value) {
        let request = field.set(self.endpoint, self.base, value);
        self.add(class, &field.name, name, wanted, request);
    }
}

fn by_schema(list: &mut List<'_>, field: &Field, seed: u64) {
    let name = &field.name;
    if field.required {
        let request = field.remove(list.base);
        list.add(
            Class::MissingField,
            name,
            format!("a missing `{name}`"),
            Wanted::Refused,
            request,
        );
        if field.spot == Spot::Body && !field.nullable && field.kind != Kind::Unclear {
            list.set(
                Class::NullField,
                field,
                format!("a `{name}` of null"),
                Wanted::Refused,
                &Value::Null,
            );
        }
    }
    wrong_type(list, field);
    match field.kind {
        Kind::Text => lengths(list, field, seed),
        // Beyond its range, or as -1, the bound of an answer's tokens may mean that there is none.
        Kind::Integer | Kind::Number if !limits_tokens(name) => ranges(list, field),
        Kind::List if field.spot == Spot::Body => {
            let wanted = if field.bound("minItems").is_some_and(|n| n >= 1.0) {
                Wanted::Refused
            } else {
                Wanted::Harmless
            };
            list.set(
                Class::EmptyList,
                field,
                format!("an empty list `{name}`"),
                wanted,
                &json!([]),
            );
            if field.schema.pointer("/items/type").is_some_and(|t| t == "string") {
                let wanted = if field.bound("maxItems").is_some_and(|most| most < MANY as f64) {
                    Wanted::Refused
                } else {
                    Wanted::HarmlessOrClosed
                };
                let many = format!("{} items in the list `{name}`", thousands(MANY));
                list.set(Class::ManyItems, field, many, wanted, &json!(vec!["a"; MANY]));
            }
            let item = field
                .schema
                .get("items")
                .and_then(|s| s.get("type"))
                .and_then(Value::as_str);
            if matches!(item, Some("string" | "integer" | "number" | "boolean")) {
                let name = format!("an object inside the list `{name}`");
                list.set(
                    Class::WrongType,
                    field,
                    name,
                    Wanted::Refused,
                    &json!([{"prony": 1}]),
                );
            }
        }
        _ => {}
    }
    if field.schema.get("enum").is_some() {
        let name = format!("a `{name}` outside its list of values");
        list.set(
            Class::NotInList,
            field,
            name,
            Wanted::Refused,
            &json!("prony-no-such-value"),
        );
    }
}

/// A value of another type than the field's, and what to call it; `None` where any value may be right.
pub(super) fn mistyped(field: &Field) -> Option<(Value, String)> {
    let name = &field.name;
    Some(match (field.kind, field.spot) {
        (Kind::Text | Kind::Boolean | Kind::Integer | Kind::Number, Spot::Body) => {
            (json!({"prony": 1}), format!("an object as `{name}`"))
        }
        (Kind::Integer | Kind::Number | Kind::Boolean, Spot::Query | Spot::Path) => {
            (json!("prony"), format!("a word as `{name}`"))
        }
        (Kind::List, Spot::Body) => (json!(7331), format!("a number as the list `{name}`")),
        (Kind::Object, Spot::Body) => (json!("prony"), format!("a word as the object `{name}`")),
        _ => return None,
    })
}

fn wrong_type(list: &mut List<'_>, field: &Field) {
    let name = &field.name;
    let Some((value, what)) = mistyped(field) else {
        return;
    };
    list.set(Class::WrongType, field, what, Wanted::Refused, &value);
    if matches!(field.kind, Kind::Integer | Kind::Number) && field.spot == Spot::Body {
        list.set(
            Class::WrongType,
            field,
            format!("a word as `{name}`"),
            Wanted::Refused,
            &json!("prony"),
        );
    }
}

fn lengths(list: &mut List<'_>, field: &Field, seed: u64) {
    let name = &field.name;
    if field.spot != Spot::Path {
        let wanted =
            if field.bound("minLength").is_some_and(|n| n >= 1.0) || field.schema.get("enum").is_some() {
                Wanted::Refused
            } else {
                Wanted::Harmless
            };
        list.set(
            Class::EmptyText,
            field,
            format!("an empty `{name}`"),
            wanted,
            &json!(""),
        );
    }
    let longest = field.bound("maxLength").map(|n| n as usize);
    let long = if field.spot == Spot::Body {
        LONG_BODY
    } else {
        LONG_URL
    };
    let wanted = match (longest, field.spot) {
        (Some(max), _) if max < long => Wanted::Refused,
        (_, Spot::Path) if field.is_id() => Wanted::NotFound,
        _ if field.schema.get("enum").is_some() => Wanted::Refused,
        _ => Wanted::Harmless,
    };
    let text = "a".repeat(long);
    list.set(
        Class::OverLong,
        field,
        format!("an over-long `{name}` ({} characters)", thousands(long)),
        wanted,
        &json!(text),
    );
    if let Some(max) = longest.filter(|&max| max < long) {
        let text = "a".repeat(max + 1);
        let name = format!(
            "an over-long `{name}` (one character too many: {})",
            thousands(max + 1)
        );
        list.set(Class::OverLong, field, name, Wanted::Refused, &json!(text));
    }
    if field.spot == Spot::Path || field.is_id() || field.is_reference() {
        let id = match field.schema.get("format").and_then(Value::as_str) {
            Some("uuid") => "00000000-0000-4000-8000-000000000000".to_owned(),
            // One of its own for each endpoint: another may make what it is asked for.
            _ => format!(
                "prony-no-such-{:08x}",
                mix(seed ^ named(&list.endpoint.name)) >> 32
            ),
        };
        // A name may be anything; an id names something that was there before.
        let wanted = if field.spot == Spot::Path && field.is_id() {
            Wanted::NotFound
        } else {
            Wanted::Harmless
        };
        list.set(
            Class::UnknownId,
            field,
            format!("an unknown `{name}`"),
            wanted,
            &json!(id),
        );
    }
}

/// Bits that a name decides.
fn named(name: &str) -> u64 {
    name.bytes().fold(0, |bits, byte| mix(bits ^ u64::from(byte)))
}

fn ranges(list: &mut List<'_>, field: &Field) {
    let name = &field.name;
    let whole = field.kind == Kind::Integer;
    if field.spot == Spot::Path && whole {
        let value = json!(i32::MAX - 1);
        list.set(
            Class::UnknownId,
            field,
            format!("an unknown `{name}`"),
            Wanted::NotFound,
            &value,
        );
    }
    let number = |v: f64| {
        if whole || v.fract() == 0.0 {
            json!(v as i64)
        } else {
            json!(v)
        }
    };
    let mut odd = vec![
        (json!(i64::MAX), "2^63 - 1".to_owned()),
        (json!(-1), "-1".to_owned()),
        (json!(0), "0".to_owned()),
    ];
    for (bound, exclusive, step) in [
        ("minimum", "exclusiveMinimum", -1.0),
        ("maximum", "exclusiveMaximum", 1.0),
    ] {
        let limit = field
            .bound(bound)
            .map(|b| b + step)
            .or_else(|| field.bound(exclusive));
        if let Some(value) = limit.filter(|v| v.abs() < 9e15) {
            let text = format!("a `{name}` out of range ({})", number(value));
            list.set(Class::OutOfRange, field, text, Wanted::Refused, &number(value));
        }
    }
    odd.retain(|(value, _)| allows(field, value));
    for (value, text) in odd {
        list.set(
            Class::OddNumbers,
            field,
            format!("a `{name}` of {text}"),
            Wanted::Harmless,
            &value,
        );
    }
    if field.spot == Spot::Body
        && let Some(marked) = field.set(list.endpoint, list.base, &json!(HUGE_NUMBER_MARK))
        && let Body::Text(text) = &marked.body
    {
        let body = Body::text(text.replace(&HUGE_NUMBER_MARK.to_string(), "1e400"));
        let request = Request { body, ..marked };
        list.add(
            Class::OddNumbers,
            name,
            format!("a `{name}` of 1e400"),
            Wanted::Harmless,
            Some(request),
        );
    }
    if whole {
        list.set(
            Class::WrongType,
            field,
            format!("a fraction as `{name}` (1.5)"),
            Wanted::Refused,
            &json!(1.5),
        );
    }
}

/// Whether the declared range has the number inside; one outside is another case.
fn allows(field: &Field, value: &Value) -> bool {
    let v = value.as_f64().unwrap_or_default();
    field.bound("minimum").is_none_or(|m| v >= m)
        && field.bound("maximum").is_none_or(|m| v <= m)
        && field.bound("exclusiveMinimum").is_none_or(|m| v > m)
        && field.bound("exclusiveMaximum").is_none_or(|m| v < m)
}

fn texts(list: &mut List<'_>, field: &Field) {
    for (class, text, what) in TEXTS {
        list.set(
            *class,
            field,
            format!("{what} as `{}`", field.name),
            Wanted::Harmless,
            &json!(text),
        );
    }
}

/// A content type that no target offers. Many ignore what a client accepts.
fn unknown_accept(list: &mut List<'_>) {
    let mut request = list.base.request.clone();
    request.headers.retain(|h| !h.name.eq_ignore_ascii_case("accept"));
    request
        .headers
        .push(Header::new("accept", "application/x-prony-nothing"));
    list.add(
        Class::WrongAccept,
        "",
        "an Accept that cannot be met",
        Wanted::Harmless,
        Some(request),
    );
}

/// Requests without credentials, and with wrong ones, to an endpoint whose document asks for them in that header.
pub(super) fn credentials(good: &Request, header: &str) -> Vec<NegativeCase> {
    let wrong = if header.eq_ignore_ascii_case("authorization") {
        "Bearer prony-wrong-token"
    } else {
        "prony-wrong-key"
    };
    [("missing credentials", ""), ("wrong credentials", wrong)]
        .into_iter()
        .map(|(name, value)| {
            let mut request = good.clone();
            request.headers.retain(|h| !h.name.eq_ignore_ascii_case(header));
            // It takes the place of the run's own header of that name.
            request.headers.push(Header::new(header, value));
            NegativeCase {
                class: Class::Credentials,
                field: String::new(),
                name: name.to_owned(),
                request,
                wanted: Wanted::Unauthorised,
            }
        })
        .collect()
}

/// A method that the path does not have. Only such as change nothing: GET, or the read-only PROPFIND.
fn methods(list: &mut List<'_>) {
    let method = if list.endpoint.method == "POST" {
        "GET"
    } else {
        "PROPFIND"
    };
    let request = Request {
        method: method.to_owned(),
        headers: Vec::new(),
        body: Body::Empty,
        ..list.base.request.clone()
    };
    list.add(
        Class::WrongMethod,
        "",
        format!("the method {method}"),
        Wanted::NotAllowed,
        Some(request),
    );
}

/// `10000` as `10,000`.
pub(super) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (k, c) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prony_model::{Body, BodyCheck, Endpoint};
    use proptest::prelude::*;

    use super::{cases, thousands};
    use crate::fake::library::surface;
    use crate::input_validation::case::{Class, Wanted};

    fn search() -> Endpoint {
        let mut endpoints = surface().endpoints.into_iter();
        endpoints.find(|e| e.name == "POST /v1/search").unwrap()
    }

    #[test]
    fn a_call_of_grpc_has_no_wrong_method_and_no_wrong_type() {
        let mut endpoint = search();
        endpoint.body_schema = None;
        let mut sample = endpoint.samples[0].clone();
        sample.request.body = Body::Bytes(vec![0; 5]);
        let has = |endpoint: &Endpoint, class| cases(endpoint, &sample, 1).iter().any(|c| c.class == class);
        assert!(has(&endpoint, Class::WrongMethod));
        endpoint.expect.body = vec![BodyCheck::Grpc];
        assert_eq!(cases(&endpoint, &sample, 1), []);
    }

    #[test]
    fn the_document_is_turned_into_cases() {
        let search = search();
        let found = cases(&search, &search.samples[0], 1);
        let has = |class, field: &str, wanted| {
            assert!(
                found
                    .iter()
                    .any(|c| c.class == class && c.field == field && c.wanted == wanted),
                "{class:?} {field}: {:#?}",
                found.iter().map(|c| (&c.name, c.wanted)).collect::<Vec<_>>()
            );
        };
        has(Class::MissingField, "document", Wanted::Refused);
        has(Class::MissingField, "query", Wanted::Refused);
        has(Class::OverLong, "document", Wanted::Refused);
        has(Class::EmptyText, "query", Wanted::Refused);
        has(Class::OutOfRange, "hits", Wanted::Refused);
        has(Class::UnknownField, "", Wanted::Harmless);
        assert!(
            !found
                .iter()
                .any(|c| c.class == Class::MissingField && c.field == "hits"),
            "hits is optional"
        );
        assert!(found.len() > 30 && found.len() < 200, "{}", found.len());
    }

    #[test]
    fn a_sample_stands_for_a_missing_document() {
        let mut endpoint = search();
        endpoint.body_schema = None;
        let found = cases(&endpoint, &endpoint.samples[0], 1);
        assert!(
            found
                .iter()
                .any(|c| c.class == Class::MissingField && c.field == "query")
        );
        assert!(found.len() > 20, "{}", found.len());
        let forbidden = found.iter().filter(|c| c.wanted == Wanted::Refused);
        assert!(forbidden.clone().count() > 0 && forbidden.clone().all(|c| c.class == Class::InvalidJson));
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(10_000), "10,000");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }

    proptest! {
        #[test]
        fn cases_are_bad_distinct_and_repeatable(seed: u64, which in 0_usize..9) {
            let surface = surface();
            let endpoint = &surface.endpoints[which];
            let found = cases(endpoint, &endpoint.samples[0], seed);
            prop_assert_eq!(&found, &cases(endpoint, &endpoint.samples[0], seed));
            let requests: BTreeSet<String> = found.iter().map(|c| format!("{:?}", c.request)).collect();
            prop_assert_eq!(requests.len(), found.len());
            for case in &found {
                for sample in &endpoint.samples {
                    prop_assert_ne!(&case.request, &sample.request);
                }
                prop_assert!(case.wanted.statuses().contains(&422));
                prop_assert!(!case.wanted.statuses().contains(&500));
            }
        }
    }
}
