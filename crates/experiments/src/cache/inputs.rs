//! Whether a cache of answers goes by every input: the same new text with one optional input at two values, in turn and at once.
//! Which inputs these are, the requests, and what the answers say of each. It writes no words and must not know how a cache works.
//!
//! In turn, an answer that stays the same says that it was kept or that the input has no effect. What tells the two apart is asked of
//! texts that nobody sent before: both values at one moment, when no answer can have been kept yet, and values each with texts of its
//! own, when what an input decides (how many results, which language) is the same whatever the text.

use std::collections::{BTreeMap, BTreeSet};

use prony_model::{Endpoint, Item, PhaseResult, Request};
use serde_json::{Value, json};

use super::prompts::{draw, plain_text};
use crate::answer::{Answer, answers};
use crate::diversity::is_noise_by_name;
use crate::field::{Field, Kind, Spot, fields, shown};
use crate::leaf::{Leaf, by_path, has_word};
use crate::mutation::json_body;
use crate::text_slot::TextSlot;

/// Most inputs of one endpoint that are tried.
const INPUTS_MAX: usize = 6;
/// Texts with which an input is tried in turn, and at once.
const IN_TURN: u64 = 6;
const AT_ONCE: u64 = 4;
/// Requests for each text.
pub(super) const EACH: u64 = 4;
/// Requests that one input takes, as many one after another as that takes.
const COST: f64 = (EACH * IN_TURN + EACH * AT_ONCE) as f64;
/// Fewest texts from which anything is said.
const TEXTS_MIN: usize = 3;
/// Fewest texts for each value before what all of them share is put down to the value.
const SHARED_MIN: usize = 5;
/// Names of inputs that no value is made up for: addresses, keys, how an answer is sent, and switches of caches, which may well
/// change nothing but where an answer comes from.
const LEFT_ALONE: [&str; 16] = [
    "stream", "cache", "url", "uri", "webhook", "callback", "path", "file", "key", "token", "password",
    "email", "session", "user", "request", "trace",
];
/// Names of inputs that take the name of a language.
const LANGUAGES: [&str; 3] = ["language", "lang", "locale"];
/// Names of inputs that take a sentence to a model beside the text.
const SENTENCES: [&str; 7] = [
    "system",
    "instruction",
    "style",
    "tone",
    "persona",
    "context",
    "negative",
];

/// An optional input with two values.
#[derive(Clone, Debug)]
pub(super) struct Input {
    field: Field,
    values: [Value; 2],
}

impl Input {
    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.field.name
    }

    /// Its two values as text.
    pub(super) fn values(&self) -> [String; 2] {
        self.values.each_ref().map(crate::leaf::scalar_text)
    }
}

/// The optional inputs beside the text: those that the document declares, and those that only the sample request shows. Up to
/// six for which two values are known or could be made up.
pub(super) fn inputs(endpoint: &Endpoint, request: &Request, slot: &TextSlot) -> Vec<Input> {
    let body = json_body(request);
    let given = |name: &str| body.as_ref()?.get(name).cloned();
    let mut all: Vec<Field> = fields(endpoint);
    if let Some(Value::Object(map)) = &body {
        let unknown = map
            .iter()
            .filter(|(name, _)| !all.iter().any(|f| f.name == **name));
        let unknown: Vec<Field> = unknown.map(|(name, value)| shown(name, value)).collect();
        all.extend(unknown);
    }
    let text = slot.name().split('/').next().unwrap_or_default();
    all.into_iter()
        .filter(|f| !f.required && f.spot != Spot::Path && f.name != text)
        .filter(|f| !has_word(&f.name, &LEFT_ALONE) && !f.is_id() && !f.is_reference())
        .filter_map(|field| {
            let values = two_values(&field, given(&field.name).as_ref())?;
            let input = Input { field, values };
            input.field.put(&endpoint.path, request, &input.values[1])?;
            Some(input)
        })
        .take(INPUTS_MAX)
        .collect()
}

/// How many inputs can be tried in so many seconds by requests that take so long.
pub(super) fn affordable(time_s: f64, request_ms: f64) -> usize {
    (1000.0 * time_s / (COST * request_ms.max(0.1))) as usize
}

/// Two values of an input, the given one first; `None` when none can be made up.
fn two_values(field: &Field, given: Option<&Value>) -> Option<[Value; 2]> {
    let given = given
        .or_else(|| field.schema.get("default"))
        .filter(|v| !v.is_null());
    let listed = ["enum", "examples"].iter().find_map(|key| {
        field
            .schema
            .get(*key)
            .and_then(Value::as_array)
            .filter(|list| list.len() > 1)
    });
    if let Some(listed) = listed {
        let first = given.filter(|v| listed.contains(v)).unwrap_or(&listed[0]);
        let second = listed.iter().find(|v| *v != first && !v.is_null())?;
        return Some([first.clone(), second.clone()]);
    }
    match field.kind {
        Kind::Boolean => {
            let first = given.and_then(Value::as_bool).unwrap_or(false);
            Some([json!(first), json!(!first)])
        }
        Kind::Integer => {
            let low = field
                .bound("minimum")
                .or(field.bound("exclusiveMinimum").map(|x| x + 1.0));
            let high = field
                .bound("maximum")
                .or(field.bound("exclusiveMaximum").map(|x| x - 1.0));
            let (low, high) = (
                low.map_or(i64::MIN, |x| x as i64),
                high.map_or(i64::MAX, |x| x as i64),
            );
            let first = given
                .and_then(Value::as_i64)
                .unwrap_or(3)
                .clamp(low, high.max(low));
            let others = [
                first.saturating_add(2),
                first.saturating_sub(2),
                first.saturating_add(1),
                first.saturating_sub(1),
            ];
            let second = others
                .into_iter()
                .find(|x| (low..=high).contains(x) && (*x >= 0 || first < 0))?;
            Some([json!(first), json!(second)])
        }
        Kind::Number => {
            let low = field
                .bound("minimum")
                .or(field.bound("exclusiveMinimum"))
                .unwrap_or(0.0);
            let high = field.bound("maximum").or(field.bound("exclusiveMaximum"));
            let first = given
                .and_then(Value::as_f64)
                .unwrap_or_else(|| high.map_or(low + 0.5, |high| low + (high - low) / 4.0));
            let up = high.map_or(first + 1.0, |high| f64::midpoint(first, high));
            let second = if up > first { up } else { f64::midpoint(low, first) };
            (second.is_finite() && (second - first).abs() > 0.0).then(|| [json!(first), json!(second)])
        }
        Kind::Text => {
            let is_choosy = ["const", "pattern", "format"]
                .iter()
                .any(|key| field.schema.get(*key).is_some());
            let chars_max = field.bound("maxLength").unwrap_or(f64::INFINITY);
            if is_choosy {
                return None;
            }
            let [one, other] = if has_word(&field.name, &LANGUAGES) {
                ["en", "de"]
            } else if chars_max >= 64.0 && has_word(&field.name, &SENTENCES) {
                ["Answer as a poet would.", "Answer as an accountant would."]
            } else {
                return None;
            };
            let first = given.and_then(Value::as_str).unwrap_or(one);
            Some([json!(first), json!(if first == other { one } else { other })])
        }
        Kind::List | Kind::Object | Kind::Unclear => None,
    }
}

/// The requests: for each text and each input four. In turn: a new text with the first value, the same again, with the second
/// value, and another new text with the second value. At once: a new text twice with the first value, and another with either.
pub(super) fn items(inputs: &[Input], at: &Place<'_>, seed: u64, at_once: bool) -> Vec<Item> {
    let mut all = Vec::new();
    for text in 0..if at_once { AT_ONCE } else { IN_TURN } {
        for (number, input) in inputs.iter().enumerate() {
            let new = |which: u64| plain_text(draw(seed, &[text, number as u64, which, 29]), at.words);
            let (one, other) = (new(0), new(1));
            let sent = if at_once {
                [(&one, 0), (&one, 0), (&other, 0), (&other, 1)]
            } else {
                [(&one, 0), (&one, 0), (&one, 1), (&other, 1)]
            };
            let requests = sent.map(|(text, value)| at.request(input, text, value));
            all.extend(requests.into_iter().flatten());
        }
    }
    // Which request an answer belongs to is told by its place, so all of them must be there.
    let whole = all.len() as u64 == EACH * inputs.len() as u64 * if at_once { AT_ONCE } else { IN_TURN };
    if whole { all } else { Vec::new() }
}

/// Where the requests go.
pub(super) struct Place<'a> {
    /// Path template of the endpoint.
    pub template: &'a str,
    /// A request that is answered well.
    pub item: &'a Item,
    /// Where it takes text.
    pub slot: &'a TextSlot,
    /// Length of a text.
    pub words: u32,
}

impl Place<'_> {
    fn request(&self, input: &Input, text: &str, value: usize) -> Option<Item> {
        let request = self.slot.with(&self.item.request, text)?;
        Some(Item {
            request: input.field.put(self.template, &request, &input.values[value])?,
            expect: self.item.expect.clone(),
        })
    }
}

/// What the answers say of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Another value brings another answer, so no cache mixes them up.
    Apart,
    /// Another value brings the answer that was kept for the first, though it changes the answer where none was kept.
    MixedUp,
    /// The answer stays the same, and it was not seen to depend on the input.
    NoEffect,
    /// Too few good answers, or they differ by themselves.
    Open,
}

/// An input with what was seen of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    /// What that means.
    pub kept: Kept,
    /// Texts sent with one value after the other, and of how many both answers were the same.
    pub in_turn: usize,
    pub same: usize,
    /// New texts sent with both values at one moment, and of how many the answers differed.
    pub at_once: usize,
    pub differed: usize,
    /// Whether answers to new texts share something that depends on the value.
    pub shares: bool,
}

/// What is known of the input of that number.
pub(super) fn judge(
    input: &Input,
    number: usize,
    count: usize,
    in_turn: &PhaseResult,
    at_once: Option<&PhaseResult>,
) -> Judged {
    let turns = groups(in_turn, number, count, IN_TURN);
    let bursts = at_once.map_or_else(Vec::new, |phase| groups(phase, number, count, AT_ONCE));
    let name = input.name();
    // What differs between two answers to one request says nothing.
    let mut noise = BTreeSet::new();
    for group in turns.iter().chain(&bursts) {
        if let (Some(one), Some(again)) = (&group[0], &group[1]) {
            noise.extend(differences(one, again));
        }
    }
    let telling = |seen: &Seen| seen.telling(name, &noise);
    let pairs: Vec<(Leaves, Leaves)> = turns
        .iter()
        .filter_map(|group| Some((telling(group[0].as_ref()?), telling(group[2].as_ref()?))))
        .collect();
    let same = pairs.iter().filter(|(one, other)| one == other).count();
    let cold: Vec<(Leaves, Leaves)> = bursts
        .iter()
        .filter_map(|group| {
            let (one, other) = (group[2].as_ref()?, group[3].as_ref()?);
            one.overlaps(other).then(|| (telling(one), telling(other)))
        })
        .collect();
    let differed = cold.iter().filter(|(one, other)| one != other).count();
    let of = |at: usize| -> Vec<Leaves> {
        turns
            .iter()
            .filter_map(|group| Some(telling(group[at].as_ref()?)))
            .collect()
    };
    // Where both values are sent at one moment, either may get what was kept for the other.
    let first_alone = bursts
        .iter()
        .filter_map(|group| Some(telling(group[0].as_ref()?)))
        .filter(|leaves| !leaves.is_empty());
    let first: Vec<Leaves> = of(0).into_iter().chain(first_alone).collect();
    let shares = shares(&first, &of(3));
    let says_something = pairs.iter().all(|(one, _)| !one.is_empty());
    // A request that comes a little late may get what was kept for the other.
    let effect = shares || differed >= TEXTS_MIN;
    let kept = if pairs.len() < TEXTS_MIN || !says_something {
        Kept::Open
    } else if same == pairs.len() {
        if effect { Kept::MixedUp } else { Kept::NoEffect }
    } else if same == 0 {
        Kept::Apart
    } else {
        Kept::Open
    };
    Judged {
        kept,
        in_turn: pairs.len(),
        same,
        at_once: cold.len(),
        differed,
        shares,
    }
}

type Leaves = BTreeMap<String, Value>;

/// A good answer.
struct Seen {
    leaves: BTreeMap<String, Leaf>,
    sent: prony_model::Nanos,
    done: prony_model::Nanos,
}

impl Seen {
    fn of(answer: &Answer<'_>) -> Self {
        let whole = || {
            let whole = Leaf {
                path: String::new(),
                pattern: String::new(),
                value: json!(answer.sample.digest),
            };
            BTreeMap::from([(String::new(), whole)])
        };
        let leaves = answer.json().map_or_else(whole, |json| by_path(&json));
        Self {
            leaves,
            sent: answer.sample.sent,
            done: answer.sample.done,
        }
    }

    /// Whether both were under way at one moment.
    fn overlaps(&self, other: &Self) -> bool {
        self.sent < other.done && other.sent < self.done
    }

    /// What is no noise and no echo of the input.
    fn telling(&self, input: &str, noise: &BTreeSet<String>) -> Leaves {
        let own = prony_model::name_words(input);
        self.leaves
            .values()
            .filter(|leaf| {
                !noise.contains(&leaf.pattern)
                    && !is_noise_by_name(leaf)
                    && prony_model::name_words(leaf.key()) != own
            })
            .map(|leaf| (leaf.path.clone(), leaf.value.clone()))
            .collect()
    }
}

/// The answers to each text of an input, in the order of its requests; `None` for one that was not good.
fn groups(
    phase: &PhaseResult,
    number: usize,
    count: usize,
    texts: u64,
) -> Vec<[Option<Seen>; EACH as usize]> {
    let seen = answers(phase, &phase.phase.scenarios[0].name);
    (0..texts as usize)
        .map(|text| {
            let first = (text * count + number) * EACH as usize;
            std::array::from_fn(|k| {
                let good = seen.iter().find(|a| a.is_ok() && a.item as usize == first + k)?;
                Some(Seen::of(good))
            })
        })
        .collect()
}

/// Patterns of the leaves in which two answers differ.
fn differences(one: &Seen, other: &Seen) -> Vec<String> {
    let in_one = one
        .leaves
        .values()
        .filter(|l| other.leaves.get(&l.path).is_none_or(|o| o.value != l.value));
    let only_other = other
        .leaves
        .values()
        .filter(|l| !one.leaves.contains_key(&l.path));
    in_one.chain(only_other).map(|l| l.pattern.clone()).collect()
}

/// Whether some leaf has one value, or is missing, in all answers to one value of the input, and is otherwise in all answers to the
/// other.
fn shares(one: &[Leaves], other: &[Leaves]) -> bool {
    if one.len() < SHARED_MIN || other.len() < SHARED_MIN {
        return false;
    }
    let shared = |of: &[Leaves], path: &String| -> Option<Option<Value>> {
        let first = of[0].get(path).cloned();
        of.iter()
            .all(|leaves| leaves.get(path) == first.as_ref())
            .then_some(first)
    };
    // How many there are of a list shows in which places are filled at all.
    let filled = |of: &[Leaves], path: &String| -> Option<bool> {
        let first = of[0].contains_key(path);
        of.iter()
            .all(|leaves| leaves.contains_key(path) == first)
            .then_some(first)
    };
    let paths: BTreeSet<&String> = one.iter().chain(other).flat_map(BTreeMap::keys).collect();
    paths.into_iter().any(|path| {
        let differs_in_place = filled(one, path)
            .zip(filled(other, path))
            .is_some_and(|(a, b)| a != b);
        let differs_in_value = shared(one, path)
            .zip(shared(other, path))
            .is_some_and(|(a, b)| a != b);
        differs_in_place || differs_in_value
    })
}
