//! Did every file come whole, side by side, and to a place of its own? For targets whose answers name files that they wrote:
//! the same files one at a time and then together, and several under one name.
//!
//! `downloads/files.rs` reads answers and what was seen of the files, `downloads/side_by_side.rs` judges times,
//! `downloads/whole.rs` and `downloads/place.rs` the files, `downloads/behind.rs` what the service behind the target counted.
//! Where the files cannot be seen from here, nothing is said of them.

mod behind;
mod files;
mod place;
mod side_by_side;
#[cfg(test)]
mod tests;
mod whole;

use prony_model::{Budget, Capture, Endpoint, Finding, Item, Limits, Phase, Scenario, Shape};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::answer::answers;
use crate::experiment::params;
use crate::primary::{requests, solo_ms};
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};
use files::{Written, output_name, with_argument};

pub use files::written_files;

const NAME: &str = "downloads";
const ALONE: &str = "one at a time";
const TOGETHER: &str = "together";
const ONE_NAME: &str = "under one name";
/// Most downloads at once.
const TOGETHER_MAX: usize = 8;
/// Bursts under one name.
const RACES: u32 = 2;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Files",
    question: "Did every file come whole, side by side, and to a place of its own?",
    from_budget: Budget::Quick,
    basis: Basis::Times,
    needs: &["coverage"],
    time: Time::Bounded {
        usual_s: [0.5, 2.0, 6.0],
        most_s: [14.0, 25.0, 90.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let asked: DownloadsParams = params(value)?;
        let files = match context.budget {
            Budget::Quick => 64,
            Budget::Standard => 104,
            Budget::Thorough => 320,
        };
        Ok(Box::new(Downloads {
            pairs: asked.pairs,
            files: asked.files.unwrap_or(files).max(8),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            seed: context.seed,
            limits: context.limits.clone(),
            queue: None,
        }))
    },
    schema: || schema_for!(DownloadsParams),
    example: "[experiment.downloads]\nfiles = 104\nduration_s = 25\n",
};

/// Parameters of the downloads experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DownloadsParams {
    /// Files to ask for, a quarter of them one at a time. By default 64 (quick), 104 (standard) or 320 (thorough).
    pub files: Option<usize>,
    /// Pairs of phases of the suite with the same work, one request at a time and several at once: each gets its speed-up.
    pub pairs: Vec<ControlPair>,
    /// Fewer files when they would take longer than so many seconds. By default 14, 25 or 90.
    pub duration_s: Option<f64>,
}

/// Two phases with the same work.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ControlPair {
    /// Name of the phase with one request at a time.
    pub alone: String,
    /// Name of the phase with several at once.
    pub together: String,
    /// Of a flow, the one step to compare; by default the whole.
    #[serde(default)]
    pub step: Option<String>,
    /// A speed-up that somebody claims; by default one that is worth the name.
    #[serde(default)]
    pub claimed: Option<f64>,
}

struct Downloads {
    pairs: Vec<ControlPair>,
    files: usize,
    duration_s: f64,
    seed: u64,
    limits: Limits,
    queue: Option<std::vec::IntoIter<Phase>>,
}

impl Experiment for Downloads {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        let mut queue = self.queue.take().unwrap_or_else(|| self.plan(run).into_iter());
        let step = queue.next().map_or(Step::Done, Step::Run);
        self.queue = Some(queue);
        step
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self
            .pairs
            .iter()
            .filter_map(|pair| side_by_side::pair(run, pair))
            .collect();
        let Some(first) = run.of(NAME).next() else {
            return findings;
        };
        let endpoint = first.phase.scenarios[0].name.as_str();
        findings.extend(side_by_side::finding(run, endpoint));
        findings.extend(whole::finding(run, endpoint));
        findings.extend(place::overwritten(run, endpoint));
        findings.extend(place::partial(run, endpoint));
        findings.extend(behind::finding(run));
        findings
    }
}

impl Downloads {
    fn plan(&self, run: &RunView<'_>) -> Vec<Phase> {
        let Some((endpoint, items, suffix)) = subject(run) else {
            return Vec::new();
        };
        let solo_s = solo_ms(run, endpoint).unwrap_or(50.0).max(0.5) / 1000.0;
        let together = items.len().min(TOGETHER_MAX);
        let racing = (RACES as usize * together) as f64;
        // Even if all of them are served one at a time.
        let affordable = (self.duration_s / solo_s - racing).max(0.0) as usize;
        let files = self.files.min(affordable.max(2 * together));
        let alone = (files / 4).max(together);
        let bursts = ((files - alone.min(files)) / together).max(1);
        let named = |k: usize, tag: &str| {
            let item = &items[k % items.len()];
            let name = format!("prony-{:x}-{tag}{k}{suffix}", self.seed);
            unique(endpoint, item, &name)
        };
        let phase = |name: &str, items: Vec<Item>, shape: Shape| {
            let count = match shape {
                Shape::Burst { size, count, .. } => size * count,
                _ => items.len() as u32,
            };
            Phase {
                name: name.to_owned(),
                experiment: NAME.to_owned(),
                scenarios: vec![Scenario::new(endpoint.name.clone(), items)],
                shape,
                limits: self.limits.clone(),
                capture: Capture::responses(count),
            }
        };
        let burst = |size: usize, count: usize| Shape::Burst {
            size: size as u32,
            count: count as u32,
            interval_s: 0.0,
        };
        let mut phases = vec![
            phase(
                ALONE,
                (0..alone).map(|k| named(k, "a")).collect(),
                Shape::Sequential {
                    requests: alone as u64,
                    duration_s: None,
                },
            ),
            phase(
                TOGETHER,
                (0..together * bursts).map(|k| named(k, "t")).collect(),
                burst(together, bursts),
            ),
        ];
        if let Some(argument) = output_name(endpoint) {
            let name = format!("prony-{:x}-same{suffix}", self.seed);
            let same: Vec<Item> = items
                .iter()
                .take(together)
                .filter_map(|item| with_argument(item, &argument, &name))
                .collect();
            if same.len() >= 2 {
                let size = same.len();
                phases.push(phase(ONE_NAME, same, burst(size, RACES as usize)));
            }
        }
        phases
    }
}

/// The requests of an endpoint: all of them where those that the preflight tried were answered well, else those.
fn tried(run: &RunView<'_>, endpoint: &Endpoint) -> Vec<Item> {
    let good = requests(run, endpoint);
    let tried = run.phase("coverage", "preflight").and_then(|preflight| {
        let index = preflight.scenario(&endpoint.name)?;
        Some(preflight.phase.scenarios[usize::from(index)].items.len())
    });
    if tried == Some(good.len()) {
        endpoint.items()
    } else {
        good
    }
}

/// The request with an output of its own, where the endpoint lets the caller name it.
fn unique(endpoint: &Endpoint, item: &Item, name: &str) -> Item {
    output_name(endpoint)
        .and_then(|argument| with_argument(item, &argument, name))
        .unwrap_or_else(|| item.clone())
}

/// The endpoint whose good answers name at least two different files, that which lets the caller name its output first; its
/// requests; and the suffix of its files.
fn subject<'a>(run: &RunView<'a>) -> Option<(&'a Endpoint, Vec<Item>, String)> {
    let preflight = run.phase("coverage", "preflight")?;
    let mut found: Vec<(bool, &Endpoint, Vec<Item>, String)> = run
        .working_endpoints()
        .into_iter()
        .filter(|e| e.is_work() && e.method != "GET")
        .filter_map(|e| {
            let written: Vec<Written> = answers(preflight, &e.name)
                .iter()
                .filter(|a| a.is_ok())
                .filter_map(|a| Written::of(&a.json()?))
                .collect();
            let mut paths: Vec<&str> = written.iter().map(|w| w.path.as_str()).collect();
            paths.sort_unstable();
            paths.dedup();
            if paths.len() < 2 {
                return None;
            }
            let suffix = written[0].suffix().to_owned();
            let is_media = e.role == prony_model::Role::Media && output_name(e).is_some();
            Some((is_media, e, tried(run, e), suffix))
        })
        .filter(|(_, _, items, _)| items.len() >= 2)
        .collect();
    found.sort_by_key(|(is_media, ..)| !is_media);
    found
        .into_iter()
        .next()
        .map(|(_, e, items, suffix)| (e, items, suffix))
}
