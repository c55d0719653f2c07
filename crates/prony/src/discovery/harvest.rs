//! Values that the target lists itself: ids, names, classes. They make valid requests possible without a guess.

use std::collections::BTreeMap;

use serde_json::Value;

/// Most values kept per key and listing.
const VALUES_MAX: usize = 64;
/// Deepest nesting that is searched.
const DEPTH_MAX: u32 = 5;

/// Values by listing path and key, in the order in which the target lists them.
#[derive(Debug, Default)]
pub(super) struct Harvest {
    listings: Vec<Listing>,
}

#[derive(Debug)]
struct Listing {
    path: String,
    /// Key to distinct scalar values; strings that stand in an array by themselves have the key "".
    values: BTreeMap<String, Vec<Value>>,
}

impl Harvest {
    /// Takes the values out of one listing's answer; returns how many.
    pub(super) fn read(&mut self, path: &str, answer: &Value) -> usize {
        let mut listing = Listing {
            path: path.trim_end_matches('/').to_owned(),
            values: BTreeMap::new(),
        };
        collect(answer, false, DEPTH_MAX, &mut listing.values);
        let found = listing.values.values().map(Vec::len).sum();
        self.listings.push(listing);
        found
    }

    /// Values for a parameter or field of that name in an operation at `path`, best source first; empty when none is
    /// known.
    ///
    /// A key of the same name wins, in any listing. Then, for `x_id` or `{id}`, the identifier of the listing that the
    /// path goes through (`/slides/{id}/info` goes through `/slides`) or that bears the name (`slide_id`: `/slides`).
    pub(super) fn values(&self, name: &str, path: &str) -> &[Value] {
        let wanted = normal(name);
        let named = self
            .listings
            .iter()
            .flat_map(|l| &l.values)
            .find(|(key, _)| normal(key) == wanted);
        if let Some((_, values)) = named {
            return values;
        }
        let stem = wanted
            .strip_suffix("id")
            .or_else(|| wanted.strip_suffix("name"))
            .unwrap_or(&wanted);
        let id_like = stem.len() < wanted.len() || path.contains(&format!("{{{name}}}"));
        if !id_like {
            return &[];
        }
        let parent = path.split(&format!("/{{{name}}}")).next().unwrap_or_default();
        let by_path = |l: &&Listing| path.contains(&format!("{{{name}}}")) && l.path == parent;
        let by_name = |l: &&Listing| {
            let last = normal(l.path.rsplit('/').next().unwrap_or_default());
            !stem.is_empty() && (last == stem || singular(&last) == stem)
        };
        let listing = self
            .listings
            .iter()
            .find(by_path)
            .or_else(|| self.listings.iter().find(by_name));
        listing.and_then(|l| identifier(l, stem)).unwrap_or_default()
    }
}

/// The values of a listing that most likely identify its entries.
fn identifier<'a>(listing: &'a Listing, stem: &str) -> Option<&'a [Value]> {
    let last = singular(&normal(listing.path.rsplit('/').next().unwrap_or_default()));
    let candidates = [
        "id".to_owned(),
        format!("{stem}id"),
        format!("{last}id"),
        "uuid".into(),
        "key".into(),
        "slug".into(),
        "name".into(),
        String::new(),
    ];
    candidates.iter().find_map(|want| {
        listing
            .values
            .iter()
            .find(|(key, _)| normal(key) == *want)
            .map(|(_, values)| values.as_slice())
    })
}

/// Lower case without separators: `slideId`, `slide_id` and `slide-id` are one name.
fn normal(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// A plain English singular, good enough for path segments.
fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies") {
        return format!("{stem}y");
    }
    for suffix in ["ches", "shes", "xes", "sses"] {
        if word.ends_with(suffix) {
            return word[..word.len() - 2].to_owned();
        }
    }
    word.strip_suffix('s').unwrap_or(word).to_owned()
}

/// Collects scalars of objects that stand in arrays (`in_array`), and scalars that stand in arrays themselves.
fn collect(value: &Value, in_array: bool, depth: u32, into: &mut BTreeMap<String, Vec<Value>>) {
    if depth == 0 {
        return;
    }
    match value {
        Value::Array(items) => {
            for item in items.iter().take(VALUES_MAX) {
                if item.is_string() {
                    keep(into, "", item);
                }
                collect(item, true, depth - 1, into);
            }
        }
        Value::Object(object) => {
            for (key, item) in object {
                if in_array && usable(item) {
                    keep(into, key, item);
                }
                collect(item, false, depth - 1, into);
            }
        }
        _ => {}
    }
}

/// Short strings and integers can be ids; floats and flags cannot.
fn usable(value: &Value) -> bool {
    value.as_str().is_some_and(|s| !s.is_empty() && s.len() <= 200) || value.is_u64()
}

fn keep(into: &mut BTreeMap<String, Vec<Value>>, key: &str, value: &Value) {
    let values = into.entry(key.to_owned()).or_default();
    if values.len() < VALUES_MAX && !values.contains(value) {
        values.push(value.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Harvest, singular};

    #[test]
    fn ids_come_from_the_listing_they_belong_to() {
        let mut harvest = Harvest::default();
        harvest.read(
            "/api/slides",
            &json!([{"slide_id": "a", "n": 0.5}, {"slide_id": "b"}, {"slide_id": "a"}]),
        );
        harvest.read(
            "/v1/documents",
            &json!({"items": [{"id": 7, "title": "t"}, {"id": 9}], "page": 1}),
        );
        harvest.read("/classes", &json!(["cat", "dog"]));
        assert_eq!(
            harvest.values("slide_id", "/api/analyze"),
            [json!("a"), json!("b")]
        );
        assert_eq!(harvest.values("slideId", "/x"), [json!("a"), json!("b")]);
        assert_eq!(
            harvest.values("id", "/v1/documents/{id}/pages"),
            [json!(7), json!(9)]
        );
        assert_eq!(harvest.values("document_id", "/v1/ask"), [json!(7), json!(9)]);
        assert_eq!(
            harvest.values("class_name", "/v1/ask"),
            [json!("cat"), json!("dog")]
        );
        assert!(harvest.values("page", "/v1/ask").is_empty());
        assert!(harvest.values("query", "/v1/ask").is_empty());
    }

    #[test]
    fn singulars() {
        for (plural, one) in [
            ("slides", "slide"),
            ("categories", "category"),
            ("boxes", "box"),
            ("batches", "batch"),
            ("data", "data"),
        ] {
            assert_eq!(singular(plural), one);
        }
    }
}
