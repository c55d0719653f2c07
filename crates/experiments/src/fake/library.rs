//! A small document service as a fake target, well-behaved or with planted faults. Tests hold both twins against the
//! experiments: every fault must be found on the one, and nothing on the other.

use std::collections::BTreeMap;

use prony_model::{Endpoint, Expect, JsonText, Parameter, Place, Request, Role, SampleRequest, Surface};
use serde_json::{Value, json};

use super::{Reply, body_json};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Summaries are one template.
    pub template: bool,
    /// Search never reads the query, and says so in `ranker`.
    pub ignores_query: bool,
    /// One topic with certainty 1.0.
    pub one_class: bool,
    /// The status never says loaded.
    pub status_lies: bool,
    /// A long id is a server error that shows a stack trace.
    pub crashes_on_long_id: bool,
    /// Bad types and missing fields are taken silently.
    pub accepts_anything: bool,
    /// The path comes back as HTML without escaping.
    pub reflects_html: bool,
    /// Tiles outside the pyramid are served, and edge tiles have the wrong size.
    pub wrong_tiles: bool,
}

impl Faults {
    pub(crate) const ALL: Self = Self {
        template: true,
        ignores_query: true,
        one_class: true,
        status_lies: true,
        crashes_on_long_id: true,
        accepts_anything: true,
        reflects_html: true,
        wrong_tiles: true,
    };
}

pub(crate) const DOCUMENTS: [&str; 6] = ["alpha-1", "beta-2", "gamma-3", "delta-4", "omega-5", "sigma-6"];
const QUERIES: [&str; 4] = ["ships at sea", "stone bridges", "night trains", "old maps"];
/// Width and height of every map, and its tile side and overlap.
const MAP: (u32, u32, u32, u32) = (700, 300, 256, 1);

/// What discovery would find.
pub(crate) fn surface() -> Surface {
    let js = "application/json";
    let plain = |path: &str| {
        vec![SampleRequest {
            request: Request::get(path),
            inputs: BTreeMap::new(),
        }]
    };
    let optional_flag = json!({"long": {"type": "boolean", "default": false}});
    let query = json!({
        "query": {"type": "string", "minLength": 1, "maxLength": 200},
        "hits": {"type": "integer", "minimum": 1, "maximum": 20, "default": 5}
    });
    let documents: (&str, &[&str]) = ("document", &DOCUMENTS);
    Surface {
        name: "Library".into(),
        found_by: vec!["openapi at /openapi.json".into()],
        endpoints: vec![
            endpoint("GET", "/healthz", Role::Health, js, plain("/healthz")),
            endpoint(
                "GET",
                "/v1/search/status",
                Role::Status,
                js,
                plain("/v1/search/status"),
            ),
            endpoint("GET", "/v1/documents", Role::Listing, js, plain("/v1/documents")),
            endpoint(
                "GET",
                "/v1/documents/{id}",
                Role::Resource,
                js,
                gets("/v1/documents/{id}"),
            ),
            endpoint(
                "GET",
                "/maps/{id}.dzi",
                Role::Media,
                "application/xml",
                gets("/maps/{id}.dzi"),
            ),
            tile(),
            post("/v1/classify", &[documents], &json!({}), &json!(["document"])),
            post(
                "/v1/summarise",
                &[documents],
                &optional_flag,
                &json!(["document"]),
            ),
            post(
                "/v1/search",
                &[("document", &DOCUMENTS[..1]), ("query", &QUERIES)],
                &query,
                &json!(["document", "query"]),
            ),
        ],
        ..Surface::default()
    }
}

fn id_schema() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 64})
}

fn endpoint(method: &str, path: &str, role: Role, kind: &str, samples: Vec<SampleRequest>) -> Endpoint {
    let id = Parameter {
        name: "id".into(),
        place: Place::Path,
        required: true,
        schema: JsonText(id_schema()),
    };
    Endpoint {
        name: format!("{method} {path}"),
        method: method.into(),
        path: path.into(),
        role,
        parameters: if path.contains("{id}") {
            vec![id]
        } else {
            Vec::new()
        },
        body_schema: None,
        declared_statuses: vec![200, 404, 422],
        samples,
        expect: Expect {
            status: vec![200],
            content_type: Some(kind.into()),
            ..Expect::default()
        },
    }
}

/// One sample for each document.
fn gets(template: &str) -> Vec<SampleRequest> {
    DOCUMENTS
        .iter()
        .map(|d| SampleRequest {
            request: Request::get(template.replace("{id}", d)),
            inputs: BTreeMap::from([("id".to_owned(), (*d).to_owned())]),
        })
        .collect()
}

/// An inference endpoint that takes a document and more; sample `k` has the `k`-th value of each field.
fn post(path: &str, fields: &[(&str, &[&str])], more: &Value, required: &Value) -> Endpoint {
    let longest = fields.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    let samples = (0..longest)
        .map(|k| {
            let inputs: BTreeMap<String, String> = fields
                .iter()
                .map(|(name, values)| ((*name).to_owned(), values[k % values.len()].to_owned()))
                .collect();
            SampleRequest {
                request: Request::json("POST", path, &json!(inputs)),
                inputs,
            }
        })
        .collect();
    let mut properties = json!({"document": id_schema()});
    properties
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let schema = json!({"type": "object", "properties": properties, "required": required});
    Endpoint {
        body_schema: Some(JsonText(schema)),
        ..endpoint("POST", path, Role::Inference, "application/json", samples)
    }
}

fn tile() -> Endpoint {
    let first = Request::get("/maps/alpha-1_files/0/0_0.png");
    let parameter = |name: &str| Parameter {
        name: name.into(),
        place: Place::Path,
        required: true,
        schema: JsonText::default(),
    };
    Endpoint {
        parameters: ["id", "level", "col", "row"].map(parameter).to_vec(),
        ..endpoint(
            "GET",
            "/maps/{id}_files/{level}/{col}_{row}.png",
            Role::Tile,
            "image/png",
            vec![SampleRequest {
                request: first,
                inputs: BTreeMap::new(),
            }],
        )
    }
}

/// The service: it forgets nothing, and loads its ranker with the first search.
pub(crate) struct Library {
    faults: Faults,
    loaded: bool,
    calls: u64,
}

impl Library {
    pub(crate) fn new(faults: Faults) -> Self {
        Self {
            faults,
            loaded: false,
            calls: 0,
        }
    }

    pub(crate) fn answer(&mut self, request: &Request) -> Reply {
        self.calls += 1;
        let path = request.path.split('?').next().unwrap_or_default();
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["healthz"]) => Reply::json(200, &json!({"status": "ok", "uptime_s": self.calls})),
            ("GET", ["v1", "documents"]) => Reply::json(200, &json!({"documents": DOCUMENTS})),
            ("GET", ["v1", "documents", id]) => self.document(id),
            ("GET", ["v1", "search", "status"]) => {
                let loaded = self.loaded && !self.faults.status_lies;
                Reply::json(200, &json!({"ranker": "dense-small", "ranker_loaded": loaded}))
            }
            ("GET", ["maps", file]) => self.descriptor(file),
            ("GET", ["maps", folder, level, tile]) => self.tile(folder, level, tile),
            ("POST", ["v1", "classify" | "summarise" | "search"]) => self.work(segments[1], request),
            (
                _,
                ["healthz"] | ["v1", "documents" | "classify" | "summarise" | "search", ..] | ["maps", ..],
            ) => Reply::json(405, &json!({"error": "method not allowed"})),
            _ => self.missing(path),
        }
    }

    fn missing(&self, path: &str) -> Reply {
        if self.faults.reflects_html {
            let decoded = percent_encoding::percent_decode_str(path)
                .decode_utf8_lossy()
                .into_owned();
            return Reply::bytes(404, "text/html", format!("<h1>No {decoded}</h1>").into_bytes());
        }
        Reply::json(404, &json!({"error": "not found"}))
    }

    fn document(&self, id: &str) -> Reply {
        if self.faults.crashes_on_long_id && id.len() > 255 {
            return Reply::json(
                500,
                &json!({"error": "Traceback (most recent call last):\n File \"/srv/app.py\""}),
            );
        }
        match DOCUMENTS.iter().position(|d| *d == id) {
            Some(k) => Reply::json(
                200,
                &json!({"id": id, "pages": 10 + k, "title": format!("Volume {}", 3 * k)}),
            ),
            None => self.missing(&format!("/v1/documents/{id}")),
        }
    }

    fn work(&mut self, name: &str, request: &Request) -> Reply {
        let invalid = |why: &str| Reply::json(422, &json!({"error": {"message": why}}));
        let body = body_json(request).unwrap_or(Value::Null);
        let text = |field: &str, max: usize| -> Result<String, String> {
            match body.get(field) {
                None => Err(format!("{field} is required")),
                Some(Value::String(s)) if s.is_empty() => Err(format!("{field} is empty")),
                Some(Value::String(s)) if s.chars().count() > max => Err(format!("{field} is too long")),
                Some(Value::String(s)) => Ok(s.clone()),
                Some(_) => Err(format!("{field} is no text")),
            }
        };
        let document = match text("document", 64) {
            Ok(document) => document,
            Err(_) if self.faults.accepts_anything => DOCUMENTS[0].to_owned(),
            Err(why) => return invalid(&why),
        };
        if body.get("long").is_some_and(|v| !v.is_boolean()) {
            return invalid("long is no truth value");
        }
        let query = if name == "search" {
            match text("query", 200) {
                Ok(query) => query,
                Err(why) => return invalid(&why),
            }
        } else {
            String::new()
        };
        if body
            .get("hits")
            .is_some_and(|v| !v.as_i64().is_some_and(|n| (1..=20).contains(&n)))
        {
            return invalid("hits is out of range");
        }
        if !DOCUMENTS.contains(&document.as_str()) {
            return self.missing(&document);
        }
        let mark = hash(&document);
        Reply::json(
            200,
            &match name {
                "classify" => self.classify(&document, mark),
                "summarise" => self.summarise(&document, mark),
                _ => self.search(&document, &query),
            },
        )
    }

    fn classify(&self, document: &str, mark: u64) -> Value {
        let (topic, confidence) = if self.faults.one_class {
            ("TRAVEL", 1.0)
        } else {
            (
                ["TRAVEL", "HISTORY"][(mark % 2) as usize],
                0.5 + (mark % 400) as f64 / 1000.0,
            )
        };
        json!({"document": document, "topic": topic, "confidence": confidence, "pages_read": mark % 40,
               "timestamp": format!("2026-01-01T00:00:{:02}", self.calls % 60)})
    }

    fn summarise(&self, document: &str, mark: u64) -> Value {
        let text = if self.faults.template {
            format!("The document {document} was read in full and treats its subject with great care.")
        } else {
            let of = ["ships", "bridges", "trains", "maps", "towers", "rivers", "lamps"];
            let word = |k: u64| of[((mark >> (8 * k)) % 7) as usize];
            format!(
                "Document {document} begins with {}, turns to {} and ends among {}.",
                word(0),
                word(1),
                word(2)
            )
        };
        json!({"document": document, "summary": text, "request_id": format!("r-{}", self.calls),
               "disclaimer": "This text was written by a machine and may be wrong in places."})
    }

    fn search(&mut self, document: &str, query: &str) -> Value {
        self.loaded = true;
        let mark = hash(document) ^ if self.faults.ignores_query { 0 } else { hash(query) };
        let hits: Vec<Value> = (0..3)
            .map(|k| json!({"page": (mark >> k) % 50, "score": (mark >> k) % 1000}))
            .collect();
        let ranker = if self.faults.ignores_query {
            "keyword-fallback"
        } else {
            "dense-small"
        };
        json!({"document": document, "query": query, "hits": hits, "ranker": ranker})
    }

    fn descriptor(&self, file: &str) -> Reply {
        let Some(id) = file.strip_suffix(".dzi").filter(|id| DOCUMENTS.contains(id)) else {
            return self.missing(file);
        };
        let (width, height, tile, overlap) = MAP;
        let xml = format!(
            "<?xml version=\"1.0\"?><Image xmlns=\"http://schemas.microsoft.com/deepzoom/2008\" Format=\"png\" \
             Overlap=\"{overlap}\" TileSize=\"{tile}\"><!-- {id} --><Size Width=\"{width}\" Height=\"{height}\"/></Image>"
        );
        Reply::bytes(200, "application/xml", xml.into_bytes())
    }

    fn tile(&self, folder: &str, level: &str, tile: &str) -> Reply {
        let known = folder
            .strip_suffix("_files")
            .is_some_and(|id| DOCUMENTS.contains(&id));
        let address = tile.strip_suffix(".png").and_then(|t| t.split_once('_'));
        let (Some((col, row)), true) = (address, known) else {
            return self.missing(tile);
        };
        let (Ok(level), Ok(col), Ok(row)) = (level.parse::<u32>(), col.parse::<u32>(), row.parse::<u32>())
        else {
            return Reply::json(422, &json!({"error": "no number"}));
        };
        let inside = edge(level, col, MAP.0).zip(edge(level, row, MAP.1));
        match inside {
            Some(size) if !self.faults.wrong_tiles => {
                Reply::bytes(200, "image/png", png(size, level, col, row))
            }
            None if !self.faults.wrong_tiles => Reply::json(404, &json!({"error": "no such tile"})),
            _ => Reply::bytes(200, "image/png", png((MAP.2, MAP.2), level, col, row)),
        }
    }
}

/// The side of a tile along one axis, counted out pixel by pixel; `None` outside the pyramid.
fn edge(level: u32, index: u32, full: u32) -> Option<u32> {
    let mut sides = vec![(full, MAP.0.max(MAP.1))];
    while sides.last().unwrap().1 > 1 {
        let (side, longest) = *sides.last().unwrap();
        sides.push((side.div_ceil(2), longest.div_ceil(2)));
    }
    sides.reverse();
    let (side, _) = *sides.get(level as usize)?;
    let (tile, overlap) = (MAP.2, MAP.3);
    let pixels = (0..side)
        .filter(|&x| x + overlap >= index * tile && x < (index + 1) * tile + overlap && side > index * tile)
        .count();
    (pixels > 0).then_some(pixels as u32)
}

/// The start of a PNG file of that size; the rest depends on where it lies.
fn png((width, height): (u32, u32), level: u32, col: u32, row: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    for part in [width, height, level, col, row] {
        bytes.extend(part.to_be_bytes());
    }
    bytes.resize(100, 0xff);
    bytes.extend(b"IEND");
    bytes
}

fn hash(text: &str) -> u64 {
    super::digest(text.as_bytes()) >> 7
}

mod tests {
    use prony_model::{Budget, Verdict};

    use super::{Faults, Library, surface};
    use crate::fake::{complaints, run};

    const CONTENT: [&str; 6] = [
        "coverage",
        "diversity",
        "identity",
        "status",
        "tiles",
        "input-validation",
    ];

    #[test]
    fn every_fault_of_the_bad_twin_is_found_and_none_of_the_good_one() {
        for budget in [Budget::Quick, Budget::Standard] {
            let mut good = Library::new(Faults::default());
            let (_, findings) = run(&CONTENT, &surface(), budget, |r| good.answer(r));
            assert_eq!(complaints(&findings), [""; 0]);

            let mut bad = Library::new(Faults::ALL);
            let (_, findings) = run(&CONTENT, &surface(), budget, |r| bad.answer(r));
            for id in [
                "template-answer",
                "input-ignored",
                "degenerate-output",
                "fallback-identity",
                "status-contradiction",
                "server-error-on-input",
                "leaks-internals",
                "bad-input-accepted",
                "reflected-markup",
                "tile-wrong-size",
                "tile-out-of-range-served",
            ] {
                let found = findings
                    .iter()
                    .find(|f| f.id == id)
                    .unwrap_or_else(|| panic!("{budget:?}: no {id}"));
                assert!(found.counted() > Verdict::Pass, "{id}");
                assert!(!found.title.is_empty() && !found.evidence.is_empty(), "{id}");
            }
        }
    }
}
