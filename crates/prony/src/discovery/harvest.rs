//! Values that the target lists itself: ids, names, classes. They make valid requests possible without a guess.

use std::collections::BTreeMap;

use serde_json::Value;

/// Most values kept per key and listing.
const VALUES_MAX: usize = 64;
/// Deepest nesting that is searched.
const DEPTH_MAX: u32 = 5;

/// Values by listing path and key, in the order in which the target lists them.
#[derive(Clone, Debug, Default)]
pub(super) struct Harvest {
    listings: Vec<Listing>,
}

#[derive(Clone, Debug)]
struct Listing {
    path: String,
    /// Key to distinct scalar values; strings that stand in an array by themselves have the key "".
    values: BTreeMap<String, Vec<Value>>,
}

impl Harvest {
    /// Takes the values out of one listing's answer; returns how many.
    pub(super) fn read(&mut self, path: &str, answer: &Value) -> usize {
        let mut values = BTreeMap::new();
        collect(answer, false, DEPTH_MAX, &mut values);
        self.keep(path, &values)
    }

    /// Takes the ids out of the answer to a request that created something at a path; returns how many.
    pub(super) fn learn(&mut self, path: &str, answer: &Value) -> usize {
        let mut values = BTreeMap::new();
        collect(answer, true, DEPTH_MAX, &mut values);
        values.retain(|key, _| is_id(key));
        self.keep(path, &values)
    }

    fn keep(&mut self, path: &str, values: &BTreeMap<String, Vec<Value>>) -> usize {
        let path = path.trim_end_matches('/');
        let found = values.values().map(Vec::len).sum();
        if !self.listings.iter().any(|l| l.path == path) {
            self.listings.push(Listing {
                path: path.to_owned(),
                values: BTreeMap::new(),
            });
        }
        for listing in self.listings.iter_mut().filter(|l| l.path == path) {
            for (key, new) in values {
                for value in new {
                    keep(&mut listing.values, key, value);
                }
            }
        }
        found
    }

    /// Values for a parameter or field of that name in an operation at `path`, best source first; empty when none is
    /// known.
    ///
    /// A key of the same name wins, in any listing. Then, for `x_id` or `{id}`, the identifier of the listing that the
    /// path goes through (`/slides/{id}/info` goes through `/slides`) or that bears the name (`slide_id`: `/slides`).
    /// `x_ids` takes the values of `x_id`.
    pub(super) fn values(&self, name: &str, path: &str) -> &[Value] {
        let wanted = normal(name);
        let wanted = match wanted.strip_suffix("ids") {
            Some(stem) if !self.has(&wanted) => format!("{stem}id"),
            _ => wanted,
        };
        let named = self
            .listings
            .iter()
            .flat_map(|l| &l.values)
            .find(|(key, _)| normal(key) == wanted);
        // Every listing has an `id`: which one is meant, the path says.
        let is_everywhere = ["id", "uuid", "name", "key"].contains(&wanted.as_str());
        if let Some((_, values)) = named
            && !is_everywhere
        {
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
        // Of several listings of that name the one that shares most of the path: `/v2/models` for `/v2/.../{model}`.
        let nearest = || {
            let shared = |l: &&Listing| {
                let segments = l.path.split('/').zip(path.split('/'));
                segments.take_while(|(a, b)| a == b).count()
            };
            let named = self.listings.iter().filter(by_name);
            named.rev().max_by_key(shared)
        };
        let listing = self.listings.iter().find(by_path).or_else(nearest);
        let own = |l: &'_ Listing| l.values.keys().find(|key| normal(key) == wanted).cloned();
        let found = listing.and_then(|l| match own(l) {
            Some(key) => l.values.get(&key).map(Vec::as_slice),
            None => identifier(l, stem),
        });
        found
            .or_else(|| named.map(|(_, values)| values.as_slice()))
            .unwrap_or_default()
    }

    /// Whether the first of these values stands in the listing of that path.
    pub(super) fn is_of(&self, values: &[Value], path: &str) -> bool {
        let mut here = self
            .listings
            .iter()
            .filter(|l| l.path == path.trim_end_matches('/'));
        here.any(|l| l.values.values().any(|own| own.first() == values.first()))
    }

    fn has(&self, wanted: &str) -> bool {
        let mut keys = self.listings.iter().flat_map(|l| l.values.keys());
        keys.any(|key| normal(key) == wanted)
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

/// Whether a key holds what tells one thing from another: `id`, `image_id`, `uuid`.
pub(super) fn is_id(key: &str) -> bool {
    let lower = normal(key);
    lower == "id" || lower == "uuid" || key.ends_with("_id") || key.ends_with("Id")
}

/// Lower case without separators: `slideId`, `slide_id` and `slide-id` are one name.
pub(super) fn normal(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// A plain English singular, good enough for path segments.
pub(super) fn singular(word: &str) -> String {
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
        assert_eq!(harvest.values("document_ids", "/v1/ask"), [json!(7), json!(9)]);
        assert!(harvest.values("page", "/v1/ask").is_empty());
        assert!(harvest.values("query", "/v1/ask").is_empty());
    }

    #[test]
    fn what_was_created_joins_the_listing_of_its_place() {
        let mut harvest = Harvest::default();
        harvest.read("/api/models", &json!({"models": [{"id": "m1", "name": "x"}]}));
        harvest.read("/api/images", &json!({"images": [], "total": 0}));
        assert!(harvest.values("image_id", "/api/run").is_empty());
        harvest.learn(
            "/api/images",
            &json!({"uploaded": [{"id": "i1", "format": "PNG"}], "count": 1}),
        );
        harvest.learn("/api/images", &json!({"uploaded": [{"id": "i2"}]}));
        let images = [json!("i1"), json!("i2")];
        assert_eq!(harvest.values("image_id", "/api/run"), images);
        assert_eq!(harvest.values("image_ids", "/api/run"), images);
        assert_eq!(harvest.values("id", "/api/images/{id}"), images);
        assert_eq!(harvest.values("id", "/api/models/{id}"), [json!("m1")]);
        assert_eq!(harvest.values("name", "/api/models/{name}"), [json!("x")]);
        assert!(
            harvest.values("format", "/api/run").is_empty(),
            "only ids are learnt"
        );
        harvest.read("/v2/models", &json!([{"name": "m2"}]));
        assert_eq!(
            harvest.values("model", "/v2/repository/models/{model}/load"),
            [json!("m2")]
        );
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
