//! From a suite's scenarios and phases to phases that the engine can run.
//!
//! Pure but for the files beside the suite and what is asked of the target before the load (a deep-zoom
//! descriptor, what a model takes), which the caller sends.

use std::collections::BTreeMap;
use std::path::Path;

use prony_experiments::dzi::{Descriptor, Tile};
use prony_model::{
    Body, Captured, DziPick, DziSpec, Expect, Flow, Header, HttpSpec, Item, PartSpec, Phase, PhaseSpec,
    Piece, Request, Retry, Scenario, ScenarioKind, ScenarioSpec, Shape, Slot, Slots, Step, StepSpec, Suite,
    pieces,
};

use super::template::{self, Bindings, bindings, fill, fill_json, fill_path, item_count};
use crate::diagnostic::Diagnostic;
use crate::inference::{Fetch, Transport};
use crate::pictures::{self, Part};
use crate::text::clean;

/// Largest body file, in bytes: it is held in memory and recorded with the run.
const BODY_FILE_BYTES_MAX: u64 = 64 << 20;

/// The phases of a suite, in order. `fetch` sends what must be asked of the target before the load; `note` hears what is to
/// be known of what was made.
pub(crate) fn expand(
    suite: &Suite,
    base_dir: &Path,
    fetch: &mut Fetch<'_>,
    note: &mut dyn FnMut(&str),
) -> Result<Vec<Phase>, Diagnostic> {
    let used = |name: &String| suite.phase.iter().any(|phase| phase.scenarios.contains(name));
    let made = scenarios(suite, base_dir, &used, fetch, note)?;
    suite
        .phase
        .iter()
        .map(|spec| phase(spec, suite, base_dir, &made))
        .collect()
}

/// The scenarios that experiments of a suite name in their `scenarios`, in its order.
pub(crate) fn for_experiments(
    suite: &Suite,
    base_dir: &Path,
    fetch: &mut Fetch<'_>,
    note: &mut dyn FnMut(&str),
) -> Result<Vec<Scenario>, Diagnostic> {
    let named: Vec<&str> = suite.experiment.values().flat_map(scenarios_of).collect();
    let used = |name: &String| named.contains(&name.as_str());
    Ok(scenarios(suite, base_dir, &used, fetch, note)?
        .into_values()
        .collect())
}

/// The scenarios that the parameters of an experiment name.
pub(crate) fn scenarios_of(params: &serde_json::Value) -> impl Iterator<Item = &str> {
    let names = params.get("scenarios").and_then(serde_json::Value::as_array);
    names.into_iter().flatten().filter_map(serde_json::Value::as_str)
}

fn scenarios<'a>(
    suite: &'a Suite,
    base_dir: &Path,
    used: &dyn Fn(&String) -> bool,
    fetch: &mut Fetch<'_>,
    note: &mut dyn FnMut(&str),
) -> Result<BTreeMap<&'a str, Scenario>, Diagnostic> {
    let mut descriptors = BTreeMap::new();
    let mut made: BTreeMap<&str, Scenario> = BTreeMap::new();
    for spec in suite.scenario.iter().filter(|spec| used(&spec.name)) {
        let items = match spec.kind() {
            Some(ScenarioKind::Openai(_) | ScenarioKind::Anthropic(_)) => {
                let workload = super::prompts::workload(spec, base_dir, suite.run.seed);
                let workload = workload.map_err(|error| super::prompts::plain(spec, error))?;
                for said in &workload.notes {
                    note(&format!("{}: {said}", spec.name));
                }
                made.insert(&spec.name, super::prompts::scenario(spec, suite, workload));
                continue;
            }
            Some(ScenarioKind::Http(http)) => http_items(http, base_dir)?,
            Some(ScenarioKind::Flow(steps)) => step_items(steps, base_dir)?,
            Some(ScenarioKind::Dzi(dzi)) => {
                if !descriptors.contains_key(&dzi.descriptor) {
                    descriptors.insert(
                        dzi.descriptor.clone(),
                        descriptor(dzi, &fetch(&Request::get(&dzi.descriptor)))?,
                    );
                }
                dzi_items(dzi, &descriptors[&dzi.descriptor], suite.run.seed)?
            }
            Some(ScenarioKind::Kserve(kserve)) => {
                let by = Transport::of(&suite.target.url);
                super::kserve::items(kserve, by, fetch, note)?
            }
            None => {
                return Err(Diagnostic::usage(format!(
                    "scenario `{}` has no request",
                    spec.name
                )));
            }
        };
        made.insert(&spec.name, scenario(spec, items, suite, base_dir));
    }
    Ok(made)
}

/// The scenario of a suite that sends these items.
pub(super) fn scenario(spec: &ScenarioSpec, items: Vec<Item>, suite: &Suite, base_dir: &Path) -> Scenario {
    let step = |step: &StepSpec| Step {
        name: step.name.clone(),
        carry: step.carry.clone(),
        think_ms: step.think_ms,
        until: step.until.clone(),
        origin: step.origin.clone(),
    };
    let flow = (!spec.step.is_empty()).then(|| Flow {
        steps: spec.step.iter().map(step).collect(),
        cookies: spec.cookies,
    });
    Scenario {
        slots: slots(&items, suite, base_dir),
        items,
        order: spec.order,
        weight: spec.weight,
        flow,
        retry: retry(spec, suite),
        ..Scenario::new(spec.name.clone(), Vec::new())
    }
}

/// The policy of a scenario: its own, else that of the suite. One attempt in all is none.
pub(super) fn retry(spec: &ScenarioSpec, suite: &Suite) -> Option<Retry> {
    let policy = spec.retry.as_ref().or(suite.retry.as_ref());
    policy.filter(|policy| policy.attempts > 1).cloned()
}

/// The feeds that the requests use; `None` where nothing in them is to be filled in for every arrival.
fn slots(items: &[Item], suite: &Suite, base_dir: &Path) -> Option<Slots> {
    let mut slots = None;
    for text in items.iter().flat_map(|item| template::texts(&item.request)) {
        // What is malformed was told when the suite was read; in `prony load` it is text.
        for piece in pieces(text).unwrap_or_default() {
            let Piece::Hole(placeholder) = piece else { continue };
            match placeholder.slot {
                Slot::Feed(name, _) => {
                    if let Some(feed) = suite.feed.get(&name) {
                        let mut feed = feed.clone();
                        if let Some(file) = &mut feed.file {
                            *file = base_dir.join(&*file).to_string_lossy().into_owned();
                        }
                        let slots: &mut Slots = slots.get_or_insert_default();
                        slots.feeds.insert(name, feed);
                    }
                }
                _ => drop::<&mut Slots>(slots.get_or_insert_default()),
            }
        }
    }
    slots
}

/// The requests of a flow, one for each step.
pub(super) fn step_items(steps: &[StepSpec], base_dir: &Path) -> Result<Vec<Item>, Diagnostic> {
    let items = steps.iter().map(|step| http_items(&step.http, base_dir));
    let items: Result<Vec<Vec<Item>>, Diagnostic> = items.collect();
    Ok(items?
        .into_iter()
        .filter_map(|made| made.into_iter().next())
        .collect())
}

/// The shape with its file where it stands.
pub(super) fn shape(shape: &Shape, base_dir: &Path) -> Shape {
    let mut shape = shape.clone();
    if let Shape::Replay { file, .. } = &mut shape {
        *file = base_dir.join(&*file).to_string_lossy().into_owned();
    }
    shape
}

fn phase(
    spec: &PhaseSpec,
    suite: &Suite,
    base_dir: &Path,
    made: &BTreeMap<&str, Scenario>,
) -> Result<Phase, Diagnostic> {
    let scenario = |name: &String| {
        let found = made.get(name.as_str()).cloned();
        found
            .ok_or_else(|| Diagnostic::usage(format!("phase `{}`: there is no scenario `{name}`", spec.name)))
    };
    Ok(Phase {
        name: spec.name.clone(),
        experiment: "suite".to_owned(),
        scenarios: spec.scenarios.iter().map(scenario).collect::<Result<_, _>>()?,
        shape: shape(&spec.shape, base_dir),
        limits: spec.limits.clone().unwrap_or_else(|| suite.run.limits.clone()),
        capture: spec.capture,
    })
}

pub(super) fn http_items(spec: &HttpSpec, base_dir: &Path) -> Result<Vec<Item>, Diagnostic> {
    let file = spec
        .body_file
        .as_ref()
        .map(|file| body_file(&base_dir.join(file)))
        .transpose()?;
    let picture = spec.image.as_ref().map(pictures::encoded);
    let parts = form_parts(spec, base_dir)?;
    let item = |k: usize| {
        let values = bindings(spec, k);
        let mut headers: Vec<Header> = spec
            .headers
            .iter()
            .map(|h| Header::new(&h.name, fill(&h.value, &values)))
            .collect();
        let (body, content_type) = if parts.is_empty() {
            let body = body(spec, &values, file.as_ref().or(picture.as_ref()));
            let is_json = spec.json.is_some() || spec.json_text.is_some();
            let of_picture = spec
                .image
                .as_ref()
                .map(|image| image.format.content_type().to_owned());
            (
                body,
                of_picture.or_else(|| is_json.then(|| "application/json".to_owned())),
            )
        } else {
            let (bytes, content_type) = pictures::form(&filled(&parts, spec, &values));
            (Body::Bytes(bytes), Some(content_type))
        };
        let has_type = headers
            .iter()
            .any(|h| h.name.eq_ignore_ascii_case("content-type"));
        if let Some(content_type) = content_type
            && !has_type
        {
            headers.push(Header::new("content-type", content_type));
        }
        let request = Request {
            method: spec.method.to_ascii_uppercase(),
            path: fill_path(&spec.path, &values),
            headers,
            body,
        };
        Item {
            request,
            expect: spec.expect.clone(),
        }
    };
    Ok((0..item_count(spec)).map(item).collect())
}

/// The parts of a form as they stand, files read and pictures drawn.
fn form_parts(spec: &HttpSpec, base_dir: &Path) -> Result<Vec<Part>, Diagnostic> {
    spec.multipart
        .iter()
        .map(|part| form_part(part, base_dir))
        .collect()
}

fn form_part(part: &PartSpec, base_dir: &Path) -> Result<Part, Diagnostic> {
    let (bytes, filename, content_type) = match (&part.file, &part.image) {
        (Some(file), _) => {
            let path = base_dir.join(file);
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            (
                body_file(&path)?,
                name,
                Some("application/octet-stream".to_owned()),
            )
        }
        (None, Some(image)) => {
            let name = format!(
                "{}x{}-{}.{}",
                image.width,
                image.height,
                image.seed,
                image.format.extension()
            );
            (
                pictures::encoded(image),
                Some(name),
                Some(image.format.content_type().to_owned()),
            )
        }
        (None, None) => (Vec::new(), None, None),
    };
    Ok(Part {
        name: part.name.clone(),
        filename: part.filename.clone().or(filename),
        content_type: part.content_type.clone().or(content_type),
        bytes,
    })
}

/// The parts with the values of one item filled in.
fn filled(parts: &[Part], spec: &HttpSpec, values: &Bindings<'_>) -> Vec<Part> {
    let mut parts = parts.to_vec();
    for (part, said) in parts.iter_mut().zip(&spec.multipart) {
        if let Some(value) = &said.value {
            part.bytes = fill(value, values).into_bytes();
        }
    }
    parts
}

fn body(spec: &HttpSpec, values: &Bindings<'_>, file: Option<&Vec<u8>>) -> Body {
    let json = spec.json.as_ref().or(spec.json_text.as_ref().map(|json| &json.0));
    match (json, &spec.body, file) {
        (Some(json), _, _) => Body::text(template::bare(&fill_json(json, values).to_string())),
        (None, Some(text), _) => Body::text(fill(text, values)),
        (None, None, Some(bytes)) => Body::Bytes(bytes.clone()),
        (None, None, None) => Body::Empty,
    }
}

/// The bytes of a body file.
pub(crate) fn body_file(path: &Path) -> Result<Vec<u8>, Diagnostic> {
    let failed = |e: std::io::Error| Diagnostic::usage(format!("cannot read {}: {e}", path.display()));
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > BODY_FILE_BYTES_MAX {
        return Err(
            Diagnostic::usage(format!("{} has {size} bytes", path.display())).next(format!(
                "a body file may have at most {BODY_FILE_BYTES_MAX} bytes"
            )),
        );
    }
    std::fs::read(path).map_err(failed)
}

fn descriptor(spec: &DziSpec, answer: &Captured) -> Result<Descriptor, Diagnostic> {
    let failed = |why: String| {
        Diagnostic::unreachable(format!("no deep-zoom descriptor at {}: {why}", spec.descriptor))
            .next("open that path in a browser: it should be XML with TileSize, Overlap and Size")
    };
    match answer.status {
        200 => Descriptor::parse(&answer.body).map_err(|e| failed(e.to_string())),
        0 if !answer.error.is_empty() => Err(failed(clean(&answer.error, 200))),
        0 => Err(failed(format!("the request {}", answer.outcome.says()))),
        status => Err(failed(format!("the target answered {status}"))),
    }
}

fn dzi_items(spec: &DziSpec, descriptor: &Descriptor, seed: u64) -> Result<Vec<Item>, Diagnostic> {
    let template = spec
        .tile_path
        .clone()
        .unwrap_or_else(|| descriptor.tile_path(&spec.descriptor));
    let image = Expect {
        content_type: Some("image/".to_owned()),
        ..Expect::status(200)
    };
    let count = spec.tiles as usize;
    let (tiles, expect): (Vec<Tile>, Expect) = match spec.pick {
        DziPick::Valid => (descriptor.sample(count, seed), image),
        DziPick::Viewport => (descriptor.viewport_trace(count, seed), image),
        DziPick::OutOfRange => (descriptor.outside(count), Expect::status(404)),
    };
    if tiles.is_empty() {
        return Err(Diagnostic::usage(format!(
            "the pyramid at {} has no tiles to ask for",
            spec.descriptor
        )));
    }
    let item = |tile: &Tile| Item {
        request: Request::get(tile.path(&template)),
        expect: expect.clone(),
    };
    Ok(tiles.iter().map(item).collect())
}
