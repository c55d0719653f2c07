//! What came back: the times of each arm of each length of one endpoint. It plans no request and writes no words.

use prony_model::{Captured, Endpoint, Item, Nanos, PhaseResult, Sample};
use serde_json::Value;

use super::effect::{Effect, LOOKS, Ratio, Share, counted, hit_rate, ratio};
use super::inputs::{self, Input, Judged, Place};
use super::prompts::{Arm, Turn, draw, nonce, text};
use super::{NAME, Purpose, STEP_WORDS, json_body, with_query};
use crate::RunView;
use crate::field::limits_tokens;
use crate::primary::solo_ms;
use crate::text_slot::TextSlot;
use crate::token_counts::TokenCounts;

/// Most tokens that an answer may have where a request says so: the time of the answer itself only blurs that of the prompt.
const OUTPUT_TOKENS_MAX: u64 = 4;

/// A phase that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub name: String,
    pub purpose: Purpose,
    /// What each item of the scenario is, with its length in words.
    pub turns: Vec<(Turn, u32)>,
}

/// What is done to one endpoint.
#[derive(Clone, Debug)]
pub(super) struct Course {
    /// Its name.
    pub endpoint: String,
    /// Its path template.
    template: String,
    item: Item,
    /// Where it takes text; `None` where the URL is all there is.
    pub slot: Option<TextSlot>,
    /// What was asked for, in order.
    pub phases: Vec<Planned>,
    /// The lengths that are compared, in the order of trying.
    pub planned: Vec<u32>,
    /// Lengths added to find where the effect begins.
    pub refined: usize,
    /// Whether answers state how many tokens came from a cache.
    pub tells_usage: bool,
    /// Optional inputs that are varied.
    pub inputs: Vec<Input>,
    /// Length of the texts with which they are.
    inputs_words: u32,
}

impl Course {
    pub(super) fn new(endpoint: &Endpoint, item: Item, slot: Option<TextSlot>) -> Self {
        Self {
            endpoint: endpoint.name.clone(),
            template: endpoint.path.clone(),
            inputs: slot
                .as_ref()
                .map_or_else(Vec::new, |slot| inputs::inputs(endpoint, &item.request, slot)),
            inputs_words: 0,
            item,
            slot,
            phases: Vec::new(),
            planned: Vec::new(),
            refined: 0,
            tells_usage: false,
        }
    }

    /// Keeps as many of the optional inputs as there is time for, by the length of prompt that was answered fastest; none where no
    /// prompt was answered.
    pub(super) fn choose_inputs(&mut self, run: &RunView<'_>, trials: &[(u32, f64)], time_s: f64) {
        let endpoint = run.surface.endpoints.iter().find(|e| e.name == self.endpoint);
        let alone_ms = endpoint.and_then(|e| solo_ms(run, e)).unwrap_or(0.0);
        let shortest = trials.first();
        let room = shortest.map_or(0, |(_, ms)| inputs::affordable(time_s, ms.max(alone_ms)));
        self.inputs.truncate(room);
        self.inputs_words = shortest.map_or(0, |(words, _)| *words);
    }

    /// The requests that vary the optional inputs.
    pub(super) fn input_items(&self, purpose: Purpose, seed: u64) -> Vec<Item> {
        let Some(slot) = &self.slot else { return Vec::new() };
        let place = Place {
            template: &self.template,
            item: &self.item,
            slot,
            words: self.inputs_words,
        };
        inputs::items(&self.inputs, &place, seed, purpose == Purpose::AtOnce)
    }

    /// The optional inputs with what was seen of each, and the phases that show it.
    pub(super) fn judged_inputs<'a>(&self, run: &RunView<'a>) -> Option<(Vec<Judged>, Vec<&'a PhaseResult>)> {
        let of = |purpose: Purpose| {
            let planned = self.phases.iter().find(|p| p.purpose == purpose)?;
            run.phases
                .iter()
                .find(|p| p.phase.experiment == NAME && p.phase.name == planned.name)
        };
        let (in_turn, at_once) = (of(Purpose::InTurn)?, of(Purpose::AtOnce));
        let count = self.inputs.len();
        let judge = |(number, input)| inputs::judge(input, number, count, in_turn, at_once);
        let judged = self.inputs.iter().enumerate().map(judge).collect();
        Some((judged, [in_turn].into_iter().chain(at_once).collect()))
    }

    /// The name of a phase.
    pub(super) fn phase_name(&self, purpose: Purpose) -> String {
        let what = match purpose {
            Purpose::Trial => "lengths".to_owned(),
            Purpose::InTurn => "optional inputs, in turn".to_owned(),
            Purpose::AtOnce => "optional inputs, at once".to_owned(),
            Purpose::Blocks { words: 0, look } => format!("same URL, look {look}"),
            Purpose::Blocks { words, look } => format!("{words} words, look {look}"),
            Purpose::Repeats { words } => format!("{words} words, repeated"),
        };
        format!("{}: {what}", self.endpoint)
    }

    /// Whether it was asked for before.
    pub(super) fn has(&self, purpose: Purpose) -> bool {
        self.phases.iter().any(|p| p.purpose == purpose)
    }

    /// The request of a turn.
    pub(super) fn item(&self, turn: Turn, number: u64, words: u32, seed: u64) -> Option<Item> {
        let request = match &self.slot {
            Some(slot) => {
                let mut request = slot.with(&self.item.request, &text(turn, number, words, seed))?;
                if let Some(mut body) = json_body(&request)
                    && shorten_answer(&mut body)
                {
                    request.body = prony_model::Body::text(body.to_string());
                }
                request
            }
            None if turn.arm == Arm::Miss => {
                let mut request = self.item.request.clone();
                request.path = with_query(&request.path, "prony_nonce", &nonce(draw(seed, &[number, 1])));
                request
            }
            None => self.item.request.clone(),
        };
        Some(Item {
            request,
            expect: self.item.expect.clone(),
        })
    }

    /// Seconds that went into this endpoint so far.
    pub(super) fn spent_s(&self, run: &RunView<'_>) -> f64 {
        self.results(run)
            .map(|(_, result)| (result.summary.ended - result.summary.started).as_secs_f64())
            .sum()
    }

    /// Its phases with what came of them.
    pub(super) fn results<'a>(
        &'a self,
        run: &RunView<'a>,
    ) -> impl Iterator<Item = (&'a Planned, &'a PhaseResult)> + use<'a> {
        let phases = run.phases;
        self.phases.iter().filter_map(move |planned| {
            let found = phases
                .iter()
                .find(|p| p.phase.experiment == NAME && p.phase.name == planned.name)?;
            Some((planned, found))
        })
    }

    /// The lengths whose trial was answered well, ascending, with what their second request took, in ms.
    pub(super) fn trials(&mut self, run: &RunView<'_>) -> Vec<(u32, f64)> {
        let mut found: Vec<(u32, f64)> = Vec::new();
        let mut tells_usage = false;
        for (planned, result) in self.results(run).filter(|(p, _)| p.purpose == Purpose::Trial) {
            let good = |(at, (turn, words)): (usize, &(Turn, u32))| {
                let sample = sample(result, at)?;
                (turn.block == 1).then(|| (*words, sample.service().as_millis_f64()))
            };
            found.extend(planned.turns.iter().enumerate().filter_map(good));
            tells_usage |= result.captures.iter().any(|c| cached_tokens(c).is_some());
        }
        self.tells_usage = tells_usage;
        found
    }

    /// Lengths times arms: how many ratios are judged.
    pub(super) fn tests(&self) -> usize {
        (self.planned.len() * 2).max(1)
    }

    /// Looks that were taken at a length.
    pub(super) fn looks(&self, run: &RunView<'_>, words: u32) -> u32 {
        let blocks = |p: &Planned| matches!(p.purpose, Purpose::Blocks { words: w, .. } if w == words);
        self.results(run).filter(|(p, _)| blocks(p)).count() as u32
    }

    /// Pairs of the times to the first byte, of a new prompt and of `arm`, in ms, block by block.
    pub(super) fn pairs(&self, run: &RunView<'_>, words: u32, arm: Arm) -> Vec<(f64, f64)> {
        let mut pairs = Vec::new();
        for (planned, result) in self.results(run) {
            if !matches!(planned.purpose, Purpose::Blocks { words: w, .. } if w == words) {
                continue;
            }
            let blocks = planned
                .turns
                .iter()
                .map(|(turn, _)| turn.block)
                .max()
                .unwrap_or(0)
                + 1;
            let mut times = vec![(None, None); blocks as usize];
            for (at, (turn, _)) in planned.turns.iter().enumerate() {
                let time = sample(result, at)
                    .and_then(Sample::ttfb)
                    .map(Nanos::as_millis_f64);
                let slot = &mut times[turn.block as usize];
                if turn.arm == Arm::Miss {
                    slot.0 = time;
                } else if turn.arm == arm {
                    slot.1 = time;
                }
            }
            pairs.extend(times.into_iter().filter_map(|(miss, cached)| miss.zip(cached)));
        }
        pairs.retain(|(miss, cached)| *miss > 0.0 && *cached > 0.0);
        pairs
    }

    /// The ratio of each arm at a length.
    pub(super) fn effects(&self, run: &RunView<'_>, words: u32, tests: usize) -> Vec<(Arm, Ratio)> {
        let look = self.looks(run, words);
        [Arm::Hit, Arm::Prefix]
            .into_iter()
            .filter_map(|arm| Some((arm, ratio(&self.pairs(run, words, arm), look, tests)?)))
            .collect()
    }

    /// Whether another look at a length fits the time that is left.
    pub(super) fn can_afford(&self, run: &RunView<'_>, words: u32, left_s: f64) -> bool {
        let nearest = self.compared(run).into_iter().min_by_key(|w| w.abs_diff(words));
        let Some(nearest) = nearest else { return true };
        let mean = |arm| {
            let times: Vec<f64> = self
                .pairs(run, nearest, arm)
                .iter()
                .map(|(miss, _)| *miss)
                .collect();
            prony_stats::mean(&times)
        };
        let look = self.looks(run, words) + 1;
        let before = if look == 1 { 0 } else { LOOKS.size(look - 1) };
        let cost_s = 3.0 * (LOOKS.size(look) - before) as f64 * mean(Arm::Hit) / 1000.0;
        cost_s <= left_s
    }

    /// The lengths of which there are pairs, ascending.
    pub(super) fn compared(&self, run: &RunView<'_>) -> Vec<u32> {
        let mut found: Vec<u32> = self
            .results(run)
            .filter_map(|(p, _)| match p.purpose {
                Purpose::Blocks { words, .. } => Some(words),
                _ => None,
            })
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The shortest length from which on repeated prompts are faster at all longer ones, and the one before it (0: none was
    /// tried).
    pub(super) fn begins(&self, run: &RunView<'_>) -> Option<(u32, u32)> {
        let tests = self.tests();
        let faster = |words: &u32| {
            let effects = self.effects(run, *words, tests);
            effects
                .iter()
                .any(|(arm, ratio)| *arm == Arm::Hit && ratio.effect == Effect::Faster)
        };
        let all = self.compared(run);
        let first = all
            .iter()
            .rposition(|words| !faster(words))
            .map_or(0, |at| at + 1);
        let begins = *all.get(first)?;
        Some((if first == 0 { 0 } else { all[first - 1] }, begins))
    }

    /// A length between the last without an effect and the first with one, while they are far apart.
    pub(super) fn between(&self, run: &RunView<'_>) -> Option<u32> {
        let (before, begins) = self.begins(run)?;
        let middle = u32::midpoint(before, begins) / STEP_WORDS * STEP_WORDS;
        (middle > before && middle < begins).then_some(middle)
    }

    /// How often a prompt that was sent before met the cache: by the answers' own count, else by their times.
    pub(super) fn hit_rate(&self, run: &RunView<'_>) -> Option<Share> {
        let (planned, result) = self
            .results(run)
            .find(|(p, _)| matches!(p.purpose, Purpose::Repeats { .. }))?;
        let repeated: Vec<usize> = (0..planned.turns.len())
            .filter(|at| planned.turns[*at].0.arm == Arm::Hit)
            .collect();
        if self.tells_usage {
            let told: Vec<f64> = result
                .captures
                .iter()
                .filter(|c| repeated.contains(&(c.item as usize)))
                .filter_map(cached_tokens)
                .collect();
            return counted(told.iter().filter(|n| **n > 0.0).count(), told.len());
        }
        let Purpose::Repeats { words } = planned.purpose else {
            return None;
        };
        let times: Vec<f64> = repeated
            .iter()
            .filter_map(|at| Some(sample(result, *at)?.ttfb()?.as_millis_f64()))
            .collect();
        let miss: Vec<f64> = self
            .pairs(run, words, Arm::Hit)
            .iter()
            .map(|(miss, _)| *miss)
            .collect();
        hit_rate(&miss, &times)
    }

    /// Tokens of a prompt by the answers' own count, at a length: `None` where they tell none.
    pub(super) fn tokens(&self, run: &RunView<'_>, words: u32) -> Option<f64> {
        let (planned, result) = self.results(run).find(|(p, _)| p.purpose == Purpose::Trial)?;
        let at = planned.turns.iter().position(|(_, w)| *w == words)?;
        let answer = result.captures.iter().find(|c| c.item as usize == at)?.json()?;
        TokenCounts::of(&answer)?.input
    }

    /// Whether all repeated prompts of a length were answered by the same bytes, and new ones by others.
    pub(super) fn repeats_bytes(&self, run: &RunView<'_>, words: u32) -> bool {
        let mut repeated = Vec::new();
        let mut new = Vec::new();
        for (planned, result) in self.results(run) {
            if planned.purpose == (Purpose::Blocks { words, look: 1 }) {
                for (at, (turn, _)) in planned.turns.iter().enumerate() {
                    let Some(sample) = sample(result, at) else {
                        continue;
                    };
                    match turn.arm {
                        Arm::Hit => repeated.push(sample.digest),
                        Arm::Miss => new.push(sample.digest),
                        _ => {}
                    }
                }
            }
        }
        repeated.windows(2).all(|pair| pair[0] == pair[1])
            && repeated.first().is_some_and(|first| !new.contains(first))
    }
}

/// The good sample of an item.
fn sample(result: &PhaseResult, at: usize) -> Option<&Sample> {
    result
        .samples
        .iter()
        .find(|s| s.item as usize == at && s.outcome == prony_model::Outcome::Ok)
}

fn cached_tokens(captured: &Captured) -> Option<f64> {
    TokenCounts::of(&captured.json()?)?.cached
}

/// Asks for a short answer where a request says how long it may be; whether anything changed.
pub(crate) fn shorten_answer(body: &mut Value) -> bool {
    let Some(fields) = body.as_object_mut() else {
        return false;
    };
    let mut changed = false;
    for (name, value) in fields {
        if limits_tokens(name) && value.as_u64().is_some_and(|n| n > OUTPUT_TOKENS_MAX) {
            *value = OUTPUT_TOKENS_MAX.into();
            changed = true;
        }
    }
    changed
}
