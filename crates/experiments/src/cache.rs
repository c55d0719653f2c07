//! Does a cache help, by how much, and from what length on? New prompts, prompts that were sent before, and prompts of which
//! only the beginning was, one at a time and in random order within small blocks. And does it go by every input: the same prompt
//! with an optional input at two values.
//!
//! The requests are planned here; `cache/prompts.rs` writes the prompts, `cache/observed.rs` reads what came back,
//! `cache/effect.rs` holds the arithmetic, `cache/inputs.rs` varies optional inputs, and `cache/report.rs` and `cache/mixed_up.rs`
//! hold the words. It must not know how a cache works.

mod effect;
mod inputs;
mod mixed_up;
mod observed;
mod prompts;
mod report;

use prony_model::{Budget, Capture, Finding, Item, Limits, Phase, Scenario, Shape};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::experiment::params;
use crate::mutation::{json_body, with_query};
use crate::primary::{heaviest, requests};
use crate::reset::{self, Reset};
use crate::text_slot::text_slots;
use crate::{Basis, Experiment, ExperimentDef, RunView, Step, Time};
use effect::{Effect, LOOKS, LOOKS_MAX};
use observed::Course;
pub(crate) use observed::shorten_answer;
use prompts::{Arm, Turn, turns};
pub(crate) use prompts::{draw, letters, plain_text};

const NAME: &str = "cache";

/// Bytes kept of an answer: its usage stands at the end of a short one.
const BODY_BYTES: u32 = 64 << 10;
/// Lengths closer than this are not told apart, in words.
const STEP_WORDS: u32 = 16;
/// Between two lengths, one without an effect and one with, so many more are tried.
const REFINEMENTS_MAX: usize = 3;
/// Share of an endpoint's time that may go into its optional inputs.
const INPUTS_SHARE: f64 = 0.4;
/// Different prompts that are repeated to learn how often they meet the cache.
const REPEATED_PROMPTS: u32 = 8;

/// Registry entry.
pub(crate) static DEF: ExperimentDef = ExperimentDef {
    name: NAME,
    title: "Cache effect",
    question: "Does a cache help, from what length on, and does it go by every input?",
    from_budget: Budget::Thorough,
    basis: Basis::Times,
    needs: &["coverage", "client-floor", "baseline"],
    time: Time::Bounded {
        usual_s: [6.0, 10.0, 120.0],
        most_s: [6.0, 15.0, 240.0],
        answers: [0.0; 3],
    },
    build: |context, value| {
        let asked: CacheParams = params(value)?;
        asked.reset.as_ref().map_or(Ok(()), Reset::check)?;
        let (lengths, endpoints, repeats) = match context.budget {
            Budget::Quick => (vec![64, 512], 1, 60),
            Budget::Standard => (vec![64, 256, 1024, 2048, 4096], 1, 100),
            Budget::Thorough => (vec![64, 128, 256, 512, 1024, 2048, 4096, 8192], 2, 400),
        };
        let mut lengths = asked.lengths.unwrap_or(lengths);
        lengths.retain(|&words| words > 1);
        lengths.sort_unstable();
        lengths.dedup();
        Ok(Box::new(Cache {
            lengths,
            endpoints: asked.endpoints.unwrap_or(endpoints),
            repeats: asked.repeats.unwrap_or(repeats),
            duration_s: asked.duration_s.unwrap_or(context.time_s),
            seed: context.seed,
            limits: context.limits.clone(),
            courses: None,
            reset: asked.reset,
            held: None,
        }))
    },
    schema: || schema_for!(CacheParams),
    example: "[experiment.cache]\nlengths = [64, 512, 4096]\nrepeats = 200\nduration_s = 120\n",
};

/// Parameters of the cache experiment.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CacheParams {
    /// Lengths of the prompts in words of five letters, which are about as many tokens. By default 64 to 512 (quick), 4096
    /// (standard) or 8192 (thorough). Lengths that the target refuses are left out.
    pub lengths: Option<Vec<u32>>,
    /// At most so many endpoints that take text, and as many that are asked for by URL. By default 1, in a thorough run 2.
    pub endpoints: Option<usize>,
    /// Repeated prompts from which the hit rate is told. By default 60 (quick), 100 (standard) or 400 (thorough).
    pub repeats: Option<u32>,
    /// Request that empties the server's cache, sent before each part of the measurement: "vllm", "sglang", or
    /// `{ method = "POST", path = "/..." }`. By default none is sent.
    pub reset: Option<Reset>,
    /// Seconds for all of it. By default 6, 15 or 240.
    pub duration_s: Option<f64>,
}

struct Cache {
    lengths: Vec<u32>,
    endpoints: usize,
    repeats: u32,
    duration_s: f64,
    seed: u64,
    limits: Limits,
    /// What is done to each endpoint, in turn; `None` before the first phase.
    courses: Option<Vec<Course>>,
    /// What empties the cache.
    reset: Option<Reset>,
    /// The phase that waits for it.
    held: Option<Phase>,
}

/// What a phase is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Two new prompts of every length: which ones are taken, and how long they last.
    Trial,
    /// Optional inputs, one value after the other.
    InTurn,
    /// Optional inputs, two values at one moment.
    AtOnce,
    /// Blocks of one length, up to this look.
    Blocks {
        /// Words; 0 where there is no text.
        words: u32,
        /// From 1.
        look: u32,
    },
    /// Repeated prompts of one length.
    Repeats {
        /// Words.
        words: u32,
    },
}

impl Experiment for Cache {
    fn next(&mut self, run: &RunView<'_>) -> Step {
        if let Some(phase) = self.held.take() {
            return Step::Run(phase);
        }
        let mut courses = self.courses.take().unwrap_or_else(|| self.choose(run));
        let share_s = self.duration_s / courses.len().max(1) as f64;
        let phase = courses
            .iter_mut()
            .find_map(|course| self.next_of(course, run, share_s));
        self.courses = Some(courses);
        match (&self.reset, phase) {
            (Some(reset), Some(phase)) => {
                self.held = Some(phase);
                Step::Run(reset.phase(run, NAME, &self.limits))
            }
            (_, phase) => phase.map_or(Step::Done, Step::Run),
        }
    }

    fn conclude(&self, run: &RunView<'_>) -> Vec<Finding> {
        let courses = self.courses.as_deref().unwrap_or_default();
        let mut findings = report::findings(run, courses, self.seed);
        findings.extend(courses.iter().filter_map(|course| mixed_up::finding(run, course)));
        findings.extend(reset::finding(run, NAME));
        findings
    }
}

impl Cache {
    /// The endpoints that take text, and those that are asked for by their URL alone.
    fn choose(&self, run: &RunView<'_>) -> Vec<Course> {
        let all = heaviest(run, usize::MAX);
        let texts = all.iter().filter_map(|endpoint| {
            let request = requests(run, endpoint).into_iter().next()?;
            let slot = text_slots(endpoint, &request.request).into_iter().next()?;
            Some(Course::new(endpoint, request, Some(slot)))
        });
        let urls = all.iter().filter_map(|endpoint| {
            let request = requests(run, endpoint).into_iter().next()?;
            let plain = endpoint.method == "GET" && text_slots(endpoint, &request.request).is_empty();
            plain.then(|| Course::new(endpoint, request, None))
        });
        texts
            .take(self.endpoints)
            .chain(urls.take(self.endpoints))
            .collect()
    }

    /// The next phase of one endpoint; `None` when it is done with, or its time is over.
    fn next_of(&self, course: &mut Course, run: &RunView<'_>, share_s: f64) -> Option<Phase> {
        let left_s = share_s - course.spent_s(run);
        let purpose = match course.slot {
            Some(_) => next_text(course, run, share_s, left_s),
            None => next_url(course, run),
        }?;
        if left_s <= 0.0 || course.has(purpose) {
            return None;
        }
        Some(self.phase(course, purpose, left_s))
    }

    fn phase(&self, course: &mut Course, purpose: Purpose, left_s: f64) -> Phase {
        let number = course.phases.len() as u64;
        let seed = draw(self.seed, &[number, 17]);
        if matches!(purpose, Purpose::InTurn | Purpose::AtOnce) {
            return self.of_inputs(course, purpose, left_s, seed);
        }
        let turns: Vec<(Turn, u32)> = match purpose {
            Purpose::Trial => {
                let chars = course.slot.as_ref().map_or(u64::MAX, |slot| slot.chars_max);
                let fits = |words: &&u32| prompts::letters(**words) <= chars;
                let trial = |block| Turn {
                    block,
                    arm: Arm::Miss,
                };
                let lengths = self.lengths.iter().filter(fits);
                lengths
                    .flat_map(|&words| [(trial(0), words), (trial(1), words)])
                    .collect()
            }
            Purpose::Blocks { words, look } => {
                let before = if look == 1 { 0 } else { LOOKS.size(look - 1) };
                let blocks = (LOOKS.size(look) - before) as u32;
                let arms: &[Arm] = match course.slot {
                    Some(_) => &[Arm::Miss, Arm::Hit, Arm::Prefix],
                    None => &[Arm::Miss, Arm::Hit],
                };
                turns(arms, blocks, seed)
                    .into_iter()
                    .map(|turn| (turn, words))
                    .collect()
            }
            Purpose::Repeats { words } => prompts::repeats(REPEATED_PROMPTS, self.repeats)
                .into_iter()
                .map(|turn| (turn, words))
                .collect(),
            Purpose::InTurn | Purpose::AtOnce => Vec::new(),
        };
        let items = turns
            .iter()
            .enumerate()
            .filter_map(|(i, (turn, words))| {
                // Each of the repeated prompts is one of its own.
                let seed = match purpose {
                    Purpose::Repeats { .. } => draw(seed, &[u64::from(turn.block), 23]),
                    _ => seed,
                };
                course.item(*turn, i as u64, *words, seed)
            })
            .collect::<Vec<Item>>();
        let name = course.phase_name(purpose);
        let keeps = matches!(purpose, Purpose::Trial) || course.tells_usage;
        let phase = Phase {
            name: name.clone(),
            experiment: NAME.to_owned(),
            capture: Capture {
                responses_max: if keeps { items.len() as u32 } else { 0 },
                body_bytes_max: BODY_BYTES,
                digests: true,
            },
            scenarios: vec![Scenario::new(course.endpoint.clone(), items)],
            shape: Shape::Once {
                duration_s: Some(left_s),
            },
            limits: self.limits.clone(),
        };
        course.phases.push(observed::Planned { name, purpose, turns });
        phase
    }

    /// The optional inputs of an endpoint, in turn or at once.
    fn of_inputs(&self, course: &mut Course, purpose: Purpose, left_s: f64, seed: u64) -> Phase {
        let items = course.input_items(purpose, seed);
        let name = course.phase_name(purpose);
        let shape = match purpose {
            Purpose::AtOnce => Shape::Burst {
                size: inputs::EACH as u32,
                count: (items.len() as u64 / inputs::EACH) as u32,
                interval_s: 0.0,
            },
            _ => Shape::Once {
                duration_s: Some(left_s),
            },
        };
        let phase = Phase {
            name: name.clone(),
            experiment: NAME.to_owned(),
            capture: Capture {
                responses_max: items.len() as u32,
                body_bytes_max: BODY_BYTES,
                digests: true,
            },
            scenarios: vec![Scenario::new(course.endpoint.clone(), items)],
            shape,
            limits: self.limits.clone(),
        };
        course.phases.push(observed::Planned {
            name,
            purpose,
            turns: Vec::new(),
        });
        phase
    }
}

/// What is next where the URL is all there is.
fn next_url(course: &Course, run: &RunView<'_>) -> Option<Purpose> {
    let look = course.looks(run, 0) + 1;
    let undecided = course
        .effects(run, 0, 1)
        .first()
        .is_none_or(|(_, ratio)| ratio.effect == Effect::Undecided);
    (look <= LOOKS_MAX && undecided).then_some(Purpose::Blocks { words: 0, look })
}

/// What is next where there is text.
fn next_text(course: &mut Course, run: &RunView<'_>, share_s: f64, left_s: f64) -> Option<Purpose> {
    if !course.has(Purpose::Trial) {
        return Some(Purpose::Trial);
    }
    if course.planned.is_empty() {
        let trials = course.trials(run);
        course.planned = affordable(&trials, share_s);
        course.choose_inputs(run, &trials, INPUTS_SHARE * share_s);
    }
    // The optional inputs first: what they take is known.
    for purpose in [Purpose::InTurn, Purpose::AtOnce] {
        if !course.inputs.is_empty() && !course.has(purpose) {
            return Some(purpose);
        }
    }
    let tests = course.tests();
    // One look at every length first, the longest and the shortest before those between.
    if let Some(&words) = course
        .planned
        .iter()
        .find(|&&words| course.looks(run, words) == 0)
    {
        return Some(Purpose::Blocks { words, look: 1 });
    }
    let open = course.planned.iter().copied().find(|&words| {
        course.looks(run, words) < LOOKS_MAX
            && course.can_afford(run, words, left_s)
            && course
                .effects(run, words, tests)
                .iter()
                .any(|(_, ratio)| ratio.effect == Effect::Undecided)
    });
    if let Some(words) = open {
        let look = course.looks(run, words) + 1;
        return Some(Purpose::Blocks { words, look });
    }
    if let Some(words) = course.between(run)
        && course.refined < REFINEMENTS_MAX
        && course.can_afford(run, words, left_s)
    {
        course.refined += 1;
        course.planned.push(words);
        return Some(Purpose::Blocks { words, look: 1 });
    }
    let longest = course.planned.iter().copied().max()?;
    let helps = course
        .effects(run, longest, tests)
        .iter()
        .any(|(arm, ratio)| *arm == Arm::Hit && ratio.effect == Effect::Faster);
    (helps && !course.has(Purpose::Repeats { words: longest })).then_some(Purpose::Repeats { words: longest })
}

/// The lengths that were taken and for which there is time, in the order in which they are tried: the longest, the shortest,
/// then those between. At most half of the time may go into the longest.
fn affordable(trials: &[(u32, f64)], share_s: f64) -> Vec<u32> {
    let cost_s = |ms: f64| 3.0 * LOOKS.size(1) as f64 * ms / 1000.0;
    let mut left_s = 0.9 * share_s;
    let mut found = Vec::new();
    let mut rest: Vec<(u32, f64)> = trials.to_vec();
    rest.retain(|(_, ms)| cost_s(*ms) <= 0.5 * share_s);
    let mut take = |pick: Option<(u32, f64)>| {
        if let Some((words, ms)) = pick
            && cost_s(ms) <= left_s
        {
            left_s -= cost_s(ms);
            found.push(words);
        }
    };
    take(rest.pop());
    if !rest.is_empty() {
        take(Some(rest.remove(0)));
    }
    rest.into_iter().rev().for_each(|trial| take(Some(trial)));
    // A slow target gets at least its shortest prompt, as far as the time goes.
    match (found.is_empty(), trials.first()) {
        (true, Some((words, _))) => vec![*words],
        _ => found,
    }
}
