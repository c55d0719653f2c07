//! The files that answers name, the arguments that name them, and what was seen of them where they can be seen. Judges nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use prony_model::{Body, Captured, Endpoint, Item, Nanos, PhaseResult, Reading};
use serde_json::Value;

use crate::RunView;
use crate::answer::answers;
use crate::leaf::scalar_text;

/// Names under which an answer tells where a file is.
const PATHS: &[&str] = &[
    "path",
    "filepath",
    "outputpath",
    "savedpath",
    "savedto",
    "location",
];
/// Names of arguments that say how the output is to be called.
const OUTPUTS: &[&str] = &[
    "filename",
    "outputfilename",
    "outputfile",
    "outputname",
    "outputpath",
    "output",
    "dest",
    "destination",
    "saveas",
    "saveto",
    "targetpath",
];
/// Names under which an answer tells a file's length, and its SHA-256.
const LENGTHS: &[&str] = &[
    "bytes",
    "sizebytes",
    "size",
    "contentlength",
    "filesize",
    "length",
];
const DIGESTS: &[&str] = &["sha256", "digest", "checksum", "etag", "sha256sum"];

/// A file that an answer names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Written {
    /// Where it is said to be.
    pub path: String,
    /// How long it is said to be.
    pub bytes: Option<u64>,
    /// Its SHA-256 as it is said to be, lower-case hexadecimal.
    pub sha256: Option<String>,
}

impl Written {
    /// Of an answer: an object that tells a place.
    pub(super) fn of(answer: &Value) -> Option<Self> {
        let object = answer.as_object()?;
        let told = |names: &[&str]| {
            object
                .iter()
                .find(|(key, value)| names.contains(&normal(key).as_str()) && !value.is_null())
                .map(|(_, value)| value)
        };
        let path = told(PATHS)?
            .as_str()
            .filter(|p| !p.is_empty() && p.len() < 4096)?;
        let digest = told(DIGESTS)
            .map(scalar_text)
            .map(|d| d.trim_matches('"').to_ascii_lowercase());
        Some(Self {
            path: path.to_owned(),
            bytes: told(LENGTHS).and_then(Value::as_u64),
            sha256: digest.filter(|d| d.len() == 64 && d.bytes().all(|b| b.is_ascii_hexdigit())),
        })
    }

    /// `.mp4`; empty where there is none.
    pub(super) fn suffix(&self) -> &str {
        let name = self.path.rsplit(['/', '\\']).next().unwrap_or_default();
        name.rfind('.')
            .filter(|at| *at > 0 && name.len() - at <= 8)
            .map_or("", |at| &name[at..])
    }
}

/// The absolute paths of files that answers say were written.
pub fn written_files(captures: &[Captured]) -> Vec<PathBuf> {
    captures
        .iter()
        .filter(|c| c.outcome == prony_model::Outcome::Ok)
        .filter_map(|c| Written::of(&c.json()?))
        .map(|written| PathBuf::from(written.path))
        .filter(|path| path.is_absolute())
        .collect()
}

/// Lower case, letters and digits only.
fn normal(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// The argument that names the output of an endpoint, where there is one.
pub(super) fn output_name(endpoint: &Endpoint) -> Option<String> {
    let schema = &endpoint.body_schema.as_ref()?.0;
    let properties = schema
        .pointer("/properties/params/properties/arguments/properties")
        .or_else(|| schema.get("properties"))?
        .as_object()?;
    OUTPUTS
        .iter()
        .find_map(|wanted| properties.keys().find(|key| normal(key) == *wanted).cloned())
}

/// The arguments of a request: those of a tool call, else the whole body.
fn arguments(body: &mut Value) -> Option<&mut serde_json::Map<String, Value>> {
    let place = if body.pointer("/params/arguments").is_some() {
        "/params/arguments"
    } else {
        ""
    };
    body.pointer_mut(place)?.as_object_mut()
}

/// The request with one more argument.
pub(super) fn with_argument(item: &Item, name: &str, value: &str) -> Option<Item> {
    let mut body = crate::mutation::json_body(&item.request)?;
    arguments(&mut body)?.insert(name.to_owned(), Value::String(value.to_owned()));
    let mut item = item.clone();
    item.request.body = Body::text(body.to_string());
    Some(item)
}

/// One download: what was asked for, what was said, and what was seen.
#[derive(Clone, Debug)]
pub(super) struct Download {
    /// The arguments but the name of the output: equal for equal contents.
    pub content: Vec<(String, String)>,
    /// What the answer said.
    pub written: Written,
    /// When the answer was complete.
    pub done: Nanos,
    /// The file after the phase, where it can be seen.
    pub seen: Option<Seen>,
}

/// A file as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Seen {
    /// Length.
    pub bytes: u64,
    /// The first eight bytes of its SHA-256.
    pub sha256: u64,
}

impl Seen {
    fn of(reading: &Reading) -> Option<Self> {
        let value = |name: &str| reading.values.get(name).copied();
        let (high, low) = (value("sha256_high")?, value("sha256_low")?);
        Some(Self {
            bytes: value("bytes")? as u64,
            sha256: ((high as u64) << 32) | low as u64,
        })
    }

    /// Whether a whole digest in hexadecimal begins like this one.
    pub(super) fn is(&self, sha256: &str) -> bool {
        sha256
            .get(..16)
            .is_some_and(|start| u64::from_str_radix(start, 16) == Ok(self.sha256))
    }
}

/// The good downloads of a phase.
pub(super) fn downloads(phase: &PhaseResult, endpoint: &Endpoint) -> Vec<Download> {
    let output = output_name(endpoint);
    let seen = seen(phase);
    answers(phase, &endpoint.name)
        .iter()
        .filter(|a| a.is_ok())
        .filter_map(|answer| {
            let written = Written::of(&answer.json()?)?;
            let mut body = crate::mutation::json_body(answer.request)?;
            let content = arguments(&mut body)?
                .iter()
                .filter(|(key, _)| Some(*key) != output.as_ref())
                .map(|(key, value)| (key.clone(), scalar_text(value)))
                .collect();
            Some(Download {
                content,
                done: answer.sample.done,
                seen: seen.get(written.path.as_str()).copied(),
                written,
            })
        })
        .collect()
}

/// Every file whose contents were read after a phase, by its path.
fn seen(phase: &PhaseResult) -> BTreeMap<&str, Seen> {
    phase
        .readings
        .iter()
        .filter_map(|r| Some((r.monitor.strip_prefix("file ")?, Seen::of(r)?)))
        .collect()
}

/// The lengths of a file while a phase ran, with their moments.
pub(super) fn growth(phase: &PhaseResult, path: &str) -> Vec<(Nanos, u64)> {
    let is_it = |r: &&Reading| r.monitor.strip_prefix("file ") == Some(path);
    phase
        .readings
        .iter()
        .filter(is_it)
        .filter_map(|r| Some((r.at, *r.values.get("bytes")? as u64)))
        .collect()
}

/// How often the folders were looked at while a phase ran.
pub(super) fn looks(phase: &PhaseResult) -> usize {
    phase
        .readings
        .iter()
        .filter_map(|r| r.values.get("looks"))
        .sum::<f64>() as usize
}

/// What the service behind the target says of contents: by the value that names one.
pub(super) fn references(run: &RunView<'_>) -> BTreeMap<String, Reference> {
    run.phases
        .iter()
        .flat_map(|p| &p.readings)
        .filter_map(|r| {
            let id = r.monitor.strip_prefix("reference ")?;
            let bytes = *r.values.get("bytes")? as u64;
            Some((
                id.to_owned(),
                Reference {
                    bytes,
                    seen: Seen::of(r),
                },
            ))
        })
        .collect()
}

/// What a content ought to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference {
    /// Its length.
    pub bytes: u64,
    /// Its digest too, where it is told.
    pub seen: Option<Seen>,
}
