//! Are the tiles of a deep-zoom image served as its descriptor promises?
//!
//! Tiles are planned from the target's own descriptor by exact arithmetic, so a valid tile must be there and have its
//! size, and one outside must not be. The two are never mixed in one figure.

mod address;
mod judge;

pub use address::{TileAddress, descriptors};

use std::collections::BTreeMap;

use prony_model::{
    Budget, Capture, Endpoint, Expect, Finding, Item, Limits, Phase, Request, Role, Scenario, Shape,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::answer::answers;
use crate::dzi::{Descriptor, Tile};
use crate::experiment::params;
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};

const NAME: &str = "tiles";
const PHASE: &str = "pyramid";
const VALID: &str = "valid tiles";
const OUTSIDE: &str = "tiles out of range";
const MALFORMED: &str = "malformed tile addresses";

/// Tiles of a visit: a viewer is at the last level of a large slide by then.
const VISIT_TILES: usize = 200;
/// Where the visitor looks. The same for every load, so that their times can be compared.
const VISIT_SEED: u64 = 1;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Deep-zoom tiles",
    question: "Are the tiles served as the descriptor promises?",
    from_budget: Budget::Quick,
    basis: Basis::Answers,
    needs: &["coverage"],
    time: Time::Bounded {
        usual_s: [0.5, 1.0, 5.0],
        most_s: [8.0, 20.0, 90.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let asked: TilesParams = params(value)?;
        let tiles = match context.budget {
            Budget::Quick => 24,
            Budget::Standard => 60,
            Budget::Thorough => 400,
        };
        Ok(Box::new(Tiles {
            count: asked.tiles.unwrap_or(tiles) as usize,
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            seed: context.seed,
            limits: context.limits.clone(),
            planned: false,
            pyramid: None,
        }))
    },
    schema: || schema_for!(TilesParams),
    example: "[experiment.tiles]\ntiles = 60\n",
};

/// Parameters of the tiles experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TilesParams {
    /// Valid tiles to ask for. By default 24 (quick), 60 (standard) or 400 (thorough); a quarter as many outside.
    pub tiles: Option<u32>,
    /// Stop after so many seconds. By default 8 (quick), 20 (standard) or 90 (thorough).
    pub duration_s: Option<f64>,
}

struct Tiles {
    count: usize,
    duration_s: f64,
    seed: u64,
    limits: Limits,
    planned: bool,
    pyramid: Option<Pyramid>,
}

/// One pyramid of the target and the tiles asked of it: tile `k` is item `k` of the scenario of valid tiles.
struct Pyramid {
    endpoint: String,
    descriptor: Descriptor,
    valid: Vec<Tile>,
}

impl Experiment for Tiles {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        if std::mem::replace(&mut self.planned, true) {
            return Step::Done;
        }
        let Some((endpoint, address, descriptor, inputs)) = find(run) else {
            return Step::Done;
        };
        let format = descriptor.format.clone();
        let (valid, paths): (Vec<Tile>, Vec<String>) = descriptor
            .sample(self.count.max(1), self.seed)
            .into_iter()
            .filter_map(|tile| Some((tile, address.path(tile, &format, &inputs)?)))
            .unzip();
        if valid.is_empty() {
            return Step::Done;
        }
        let image = Expect {
            status: vec![200],
            content_type: Some("image/".to_owned()),
            ..Expect::default()
        };
        let outside = descriptor
            .outside((self.count / 4).max(4))
            .into_iter()
            .filter_map(|tile| address.path(tile, &format, &inputs));
        let malformed = [
            ("0", "-1", "0"),
            ("0", "0", "-1"),
            ("-1", "0", "0"),
            ("x", "0", "0"),
            ("0", "x", "y"),
        ]
        .into_iter()
        .filter_map(|(level, col, row)| address.raw(level, col, row, &format, &inputs));
        let missing = |statuses: &[u16]| Expect {
            status: statuses.to_vec(),
            ..Expect::default()
        };
        let scenarios = vec![
            scenario(VALID, paths.into_iter(), &image),
            scenario(OUTSIDE, outside, &missing(&[404, 400, 410, 416, 422])),
            scenario(MALFORMED, malformed, &missing(&[400, 404, 410, 422])),
        ];
        let requests: usize = scenarios.iter().map(|s| s.items.len()).sum();
        self.pyramid = Some(Pyramid {
            endpoint: endpoint.name.clone(),
            descriptor,
            valid,
        });
        Step::Run(Phase {
            name: PHASE.to_owned(),
            experiment: NAME.to_owned(),
            scenarios,
            shape: Shape::Once {
                duration_s: Some(self.duration_s),
            },
            limits: self.limits.clone(),
            capture: Capture {
                responses_max: requests as u32,
                body_bytes_max: 2 << 10,
                digests: true,
            },
        })
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        match (&self.pyramid, run.phase(NAME, PHASE)) {
            (Some(pyramid), Some(phase)) => judge::findings(pyramid, phase),
            _ => Vec::new(),
        }
    }
}

fn scenario(name: &str, paths: impl Iterator<Item = String>, expect: &Expect) -> Scenario {
    Scenario::new(
        name,
        paths
            .map(|p| Item {
                request: Request::get(p),
                expect: expect.clone(),
            })
            .collect(),
    )
}

/// A pyramid of which both the descriptor and the tile addresses are known.
type Known<'a> = (&'a Endpoint, TileAddress, Descriptor, BTreeMap<String, String>);

/// The largest pyramid of the first tile endpoint that has one.
fn find<'a>(run: &RunView<'a>) -> Option<Known<'a>> {
    run.surface.endpoints.iter().find_map(|e| pyramid(run, e))
}

/// The largest pyramid of a tile endpoint: its descriptor was answered in the preflight.
fn pyramid<'a>(run: &RunView<'a>, endpoint: &'a Endpoint) -> Option<Known<'a>> {
    let address = TileAddress::of(endpoint)?;
    let phase = run.phase("coverage", "preflight")?;
    let first = Tile {
        level: 0,
        col: 0,
        row: 0,
    };
    let largest = descriptors(endpoint, &run.surface.endpoints)
        .into_iter()
        .find_map(|candidate| {
            answers(phase, &candidate.name)
                .into_iter()
                .filter_map(|a| {
                    let descriptor = Descriptor::parse(&a.captured?.body).ok()?;
                    let inputs = candidate.samples.get(a.item as usize)?.inputs.clone();
                    address.path(first, &descriptor.format, &inputs)?;
                    Some((descriptor, inputs))
                })
                .max_by_key(|(d, _)| d.tile_count())
        });
    largest.map(|(descriptor, inputs)| (endpoint, address, descriptor, inputs))
}

/// What a viewer asks of a tile endpoint: the tiles of a visit, over all the levels that it shows, in its order. `None` for another
/// endpoint, and where no descriptor tells which tiles there are.
pub(crate) fn visit(run: &RunView<'_>, endpoint: &Endpoint) -> Option<Vec<Item>> {
    let (_, address, descriptor, inputs) = pyramid(run, endpoint)?;
    let items: Vec<Item> = descriptor
        .viewport_trace(VISIT_TILES, VISIT_SEED)
        .into_iter()
        .filter_map(|tile| {
            Some(Item {
                request: Request::get(address.path(tile, &descriptor.format, &inputs)?),
                expect: endpoint.expect.clone(),
            })
        })
        .collect();
    (!items.is_empty()).then_some(items)
}

/// Whether an endpoint is but the way in to the tiles of another: it answered with a descriptor, which a viewer reads once.
pub(crate) fn is_descriptor(run: &RunView<'_>, endpoint: &Endpoint) -> bool {
    let is_candidate = endpoint.method == "GET" && matches!(endpoint.role, Role::Media | Role::Resource);
    let has_tiles = || run.surface.endpoints.iter().any(|e| e.role == Role::Tile);
    is_candidate
        && has_tiles()
        && run.phase("coverage", "preflight").is_some_and(|phase| {
            answers(phase, &endpoint.name)
                .iter()
                .any(|a| a.is_ok() && a.captured.is_some_and(|c| Descriptor::parse(&c.body).is_ok()))
        })
}

#[cfg(test)]
mod tests {
    use prony_model::{Budget, Finding, Verdict};

    use crate::fake::library::{Faults, Library, surface};
    use crate::fake::{Reply, complaints, run};

    fn judged(faults: Faults, budget: Budget) -> Vec<Finding> {
        let mut library = Library::new(faults);
        run(&["coverage", "tiles"], &surface(), budget, |r| library.answer(r)).1
    }

    #[test]
    fn an_exact_pyramid_passes() {
        for budget in [Budget::Quick, Budget::Thorough] {
            let findings = judged(Faults::default(), budget);
            assert_eq!(complaints(&findings), [""; 0], "{findings:#?}");
            let overview = findings.iter().find(|f| f.id == "tiles").expect("an overview");
            assert!(
                overview.title.contains("valid tiles are served"),
                "{}",
                overview.title
            );
        }
    }

    #[test]
    fn wrong_sizes_and_tiles_from_nowhere_are_found() {
        let findings = judged(
            Faults {
                wrong_tiles: true,
                ..Faults::default()
            },
            Budget::Standard,
        );
        assert_eq!(
            complaints(&findings),
            ["tile-out-of-range-served", "tile-wrong-size", "tiles"]
        );
        assert!(findings.iter().any(|f| f.verdict == Verdict::Fail && f.required));
    }

    #[test]
    fn a_missing_valid_tile_is_a_failure() {
        let mut library = Library::new(Faults::default());
        let (_, findings) = run(&["coverage", "tiles"], &surface(), Budget::Standard, |r| {
            if r.path.ends_with("/10/1_0.png") {
                Reply::json(404, &serde_json::json!({}))
            } else {
                library.answer(r)
            }
        });
        let missing = findings.iter().find(|f| f.id == "tile-missing").expect("found");
        assert_eq!(missing.verdict, Verdict::Fail);
        assert!(missing.title.starts_with("1 of "), "{}", missing.title);
    }
}
