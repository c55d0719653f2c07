//! How an answer can be told to belong to its request: a mark that comes back, bytes that are always the same, or values
//! that are. Found by trial, one request at a time. It judges nothing.

use std::collections::BTreeMap;

use prony_model::{BodyCheck, Endpoint, Feed, Generate, Item, Outcome, PhaseResult, Request, Role, Slots};
use serde_json::Value;
use twox_hash::XxHash3_64;

use super::parts::held;
use crate::RunView;
use crate::answer::{Answer, answers};
use crate::diversity::{TIME_ENDS, TIME_WORDS};
use crate::dzi::mix;
use crate::leaf::{leaves, scalar_text};
use crate::primary::requests;
use crate::text_slot::{TextSlot, text_slots};

/// Marks tried in each place for text.
const MARK_TRIALS: usize = 3;
/// Repeats of each plain request in the trial.
const REPEATS: usize = 3;
/// Most places for text, and plain requests, that are tried.
const PLACES_MAX: usize = 3;
const PLAIN_MAX: usize = 8;
/// Most values of an answer that are held against the trial.
const VALUES_MAX: usize = 12;
/// Shorter values stand in many an answer by chance.
const NATURAL_CHARS_MIN: usize = 4;
/// Name of the feed that makes marks.
const FEED: &str = "nonce";
/// All marks: random UUIDs of version 4, 122 random bits.
const ANY: &str = "prony-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";

/// The trial of one endpoint: what its items are.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    slots: Vec<TextSlot>,
    /// The literal mark of each item that carries one, with its place.
    marked: Vec<(usize, String)>,
    plain: Vec<Item>,
    base: Item,
    /// Whether its answers are computed, and not looked up: then what they say is no name of their request.
    pub computes: bool,
}

/// The answer that a request always gets.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    /// XXH3-64 of its body.
    pub digest: u64,
    /// Its length.
    pub bytes: u32,
    /// Its body; `None` where the trial does not hold it whole and byte for byte.
    pub body: Option<Vec<u8>>,
}

impl Reference {
    fn of(answer: &Answer<'_>) -> Self {
        let digest = answer.sample.digest;
        let body = answer
            .captured
            .map(held)
            .filter(|bytes| XxHash3_64::oneshot(bytes) == digest)
            .map(<[u8]>::to_vec);
        Self {
            digest,
            bytes: answer.sample.bytes_in,
            body,
        }
    }

    /// Whether another answer of that digest and length is the start of this one. Where this one is too long to be held, a shorter one
    /// is taken for it.
    pub(super) fn begins_with(&self, digest: u64, bytes: u32) -> bool {
        let Some(body) = &self.body else {
            return bytes < self.bytes;
        };
        let start = body.get(..bytes as usize).map(XxHash3_64::oneshot);
        bytes == 0 || start == Some(digest)
    }
}

/// How answers are told to belong.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Each request carries a mark of its own, which comes back.
    Marks,
    /// Each request always gets the same bytes; by item.
    Bytes(Vec<Reference>),
    /// Each request always gets the same values, and its answer may name what it is about.
    Values {
        /// How an answer to another request is told for one.
        named: Named,
    },
    /// Nothing comes back and every answer differs: only whether it is whole can be seen.
    Form,
}

/// How an answer names what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// It does not.
    No,
    /// By a text or a number of the request, or a text that is not computed.
    Plainly,
    /// By a text that is computed: another's is a swap, but one that is neither may be computed otherwise beside others.
    Computed,
}

/// The requests that are sent together, with what their answers must be.
#[derive(Clone, Debug)]
pub(super) struct Marked {
    pub kind: Kind,
    pub items: Vec<Item>,
    pub slots: Option<Slots>,
}

impl Trial {
    /// What is tried of an endpoint; `None` when it has no good request.
    pub(super) fn new(run: &RunView<'_>, endpoint: &Endpoint, seed: u64) -> Option<Self> {
        let plain: Vec<Item> = requests(run, endpoint).into_iter().take(PLAIN_MAX).collect();
        let base = plain.first()?.clone();
        let mut slots = text_slots(endpoint, &base.request);
        slots.truncate(PLACES_MAX);
        let marked = (0..slots.len())
            .flat_map(|slot| (0..MARK_TRIALS).map(move |k| (slot, k)))
            .map(|(slot, k)| (slot, literal(seed, (slot * MARK_TRIALS + k) as u64)))
            .collect();
        Some(Self {
            slots,
            marked,
            plain,
            base,
            computes: endpoint.role == Role::Inference || endpoint.method != "GET",
        })
    }

    /// The requests of the trial: the marked ones, then the plain ones in rounds.
    pub(super) fn items(&self) -> Vec<Item> {
        let marked = self.marked.iter().filter_map(|(slot, mark)| {
            let request = self.slots[*slot].with(&self.base.request, mark)?;
            Some(Item {
                request,
                expect: self.base.expect.clone(),
            })
        });
        let rounds = (0..REPEATS).flat_map(|_| self.plain.iter().cloned());
        marked.chain(rounds).collect()
    }

    /// What the trial's answers allow.
    pub(super) fn learn(&self, phase: &PhaseResult, scenario: &str) -> Marked {
        let all = answers(phase, scenario);
        let good = |at: usize| all.iter().find(|a| a.item as usize == at && a.is_ok());
        let json = all.iter().filter(|a| a.is_ok()).all(|a| a.json().is_some());
        let whole = json.then(|| BodyCheck::Json(String::new()));
        let came_back = |slot: usize| {
            let marks = self.marked.iter().enumerate().filter(|(_, (s, _))| *s == slot);
            marks
                .filter(|(at, (_, mark))| {
                    good(*at)
                        .and_then(|a| a.captured)
                        .is_some_and(|c| c.body.contains(mark.as_str()))
                })
                .count()
        };
        let place = (0..self.slots.len()).find(|slot| came_back(*slot) + 1 >= MARK_TRIALS);
        if let Some(place) = place
            && let Some(marked) = self.with_marks(place, whole.clone())
        {
            return marked;
        }
        let rounds: Vec<Vec<&Answer<'_>>> = (0..self.plain.len())
            .map(|k| {
                (0..REPEATS)
                    .filter_map(|r| good(self.marked.len() + r * self.plain.len() + k))
                    .collect()
            })
            .collect();
        self.by_answers(&rounds, whole.as_ref())
    }

    fn with_marks(&self, place: usize, whole: Option<BodyCheck>) -> Option<Marked> {
        let mark = format!("prony-{{{{{FEED}}}}}");
        let mut item = Item {
            request: self.slots[place].with(&self.base.request, &mark)?,
            expect: self.base.expect.clone(),
        };
        item.expect.body.extend(whole);
        item.expect.body.push(BodyCheck::Own {
            mark,
            any: ANY.to_owned(),
        });
        let feed = Feed {
            generate: Some(Generate::Uuid),
            ..Feed::default()
        };
        Some(Marked {
            kind: Kind::Marks,
            items: vec![item],
            slots: Some(Slots {
                feeds: BTreeMap::from([(FEED.to_owned(), feed)]),
            }),
        })
    }

    fn by_answers(&self, rounds: &[Vec<&Answer<'_>>], whole: Option<&BodyCheck>) -> Marked {
        let answered: Vec<(Item, &Vec<&Answer<'_>>)> = self
            .plain
            .iter()
            .cloned()
            .zip(rounds)
            .filter(|(_, answers)| answers.len() == REPEATS)
            .collect();
        let digests: Vec<Vec<u64>> = answered
            .iter()
            .map(|(_, answers)| answers.iter().map(|a| a.sample.digest).collect())
            .collect();
        // A time in whole seconds is the same throughout a short trial, and not afterwards.
        let may_change = answered
            .iter()
            .flat_map(|(_, answers)| answers.iter())
            .any(|answer| has_circumstance(answer));
        if !may_change && let Some(steady) = steady(&digests) {
            let references = answered
                .iter()
                .zip(steady)
                .map(|((_, answers), at)| Reference::of(answers[at]));
            let kind = Kind::Bytes(references.collect());
            let items = answered.into_iter().map(|(mut item, _)| {
                item.expect.body.extend(whole.cloned());
                item
            });
            return Marked {
                kind,
                items: items.collect(),
                slots: None,
            };
        }
        let stable: Vec<Vec<Stable>> = answered
            .iter()
            .map(|(_, answers)| stable_values(answers))
            .collect();
        let (how, names) = names(&stable, &answered, self.computes);
        let any = names.as_ref().map(|names| any_of(names));
        let mut items = Vec::new();
        for (i, (mut item, _)) in answered.into_iter().enumerate() {
            item.expect.body.extend(whole.cloned());
            if let (Some(names), Some(any)) = (&names, &any) {
                item.expect.body.push(BodyCheck::Own {
                    mark: names[i].clone(),
                    any: any.clone(),
                });
            }
            // Beside a name they would only blur what is wrong with an answer that fails.
            let values = stable[i]
                .iter()
                .take(if names.is_some() { 0 } else { VALUES_MAX });
            item.expect.body.extend(values.map(|value| BodyCheck::JsonEquals {
                pointer: value.pointer.clone(),
                value: value.text.clone(),
            }));
            items.push(item);
        }
        if items.is_empty() {
            items.push(self.base.clone());
        }
        let kind = if stable.iter().any(|values| !values.is_empty()) {
            Kind::Values { named: how }
        } else {
            Kind::Form
        };
        Marked {
            kind,
            items,
            slots: None,
        }
    }
}

/// Which answer to each request is the one that it always gets; `None` when answers differ by themselves. One odd answer among
/// those to several requests is damage, which is what is looked for, and no reason to look less closely.
fn steady(digests: &[Vec<u64>]) -> Option<Vec<usize>> {
    let mut odd = 0;
    let mut found = Vec::with_capacity(digests.len());
    for of_one in digests {
        let same = |digest: &u64| of_one.iter().filter(|other| *other == digest).count();
        let at = of_one.iter().position(|digest| same(digest) + 1 >= REPEATS)?;
        odd += of_one.len() - same(&of_one[at]);
        found.push(at);
    }
    let allowed = usize::from(digests.len() > 1);
    (!found.is_empty() && odd <= allowed).then_some(found)
}

/// A value that all answers to one request agree on.
#[derive(Clone, Debug)]
struct Stable {
    pointer: String,
    text: String,
    is_text: bool,
}

/// The values that all answers to one request agree on, those first that say most.
fn stable_values(answers: &[&Answer<'_>]) -> Vec<Stable> {
    let documents: Vec<Value> = answers.iter().filter_map(|a| a.json()).collect();
    let Some((first, rest)) = documents.split_first() else {
        return Vec::new();
    };
    let mut found: Vec<Stable> = leaves(first)
        .into_iter()
        .filter(|leaf| !leaf.value.is_null() && !is_circumstance(leaf.key()))
        .map(|leaf| Stable {
            pointer: pointer(&leaf.path),
            text: leaf.text(),
            is_text: leaf.value.is_string(),
        })
        .filter(|own| {
            let same = |v: &Value| scalar_text(v) == own.text;
            rest.iter().all(|d| d.pointer(&own.pointer).is_some_and(same))
        })
        .collect();
    found.sort_by_key(|own| std::cmp::Reverse(own.text.len().min(200)));
    found
}

/// Whether an answer tells how it came about: then its bytes may be others for the same request.
fn has_circumstance(answer: &Answer<'_>) -> bool {
    answer.json().is_some_and(|document| {
        leaves(&document)
            .iter()
            .any(|leaf| !leaf.value.is_null() && is_circumstance(leaf.key()))
    })
}

/// Whether a name tells how an answer came about and not what it says: when it was made, how long it took or waited, and who gave
/// it. Such a value may well stay the same while nothing else runs.
fn is_circumstance(key: &str) -> bool {
    const WORDS: [&str; 13] = [
        "delay", "wait", "waited", "ms", "seconds", "worker", "instance", "pod", "host", "hostname", "node",
        "replica", "queue",
    ];
    let is_named = |word: &String| WORDS.contains(&word.as_str()) || TIME_WORDS.contains(&word.as_str());
    prony_model::name_words(key).iter().any(is_named) || TIME_ENDS.iter().any(|end| key.ends_with(end))
}

/// How the answers name what they are about, and the names: what stands in the request itself before a text that does not. Another
/// number is none: its last digits may change with what is computed beside it.
fn names(
    stable: &[Vec<Stable>],
    answered: &[(Item, &Vec<&Answer<'_>>)],
    computes: bool,
) -> (Named, Option<Vec<String>>) {
    if let Some(sent) = apart(stable, answered, |value, request| holds(request, &value.text)) {
        return (Named::Plainly, Some(sent));
    }
    match apart(stable, answered, |value, _| value.is_text) {
        Some(texts) if computes => (Named::Computed, Some(texts)),
        Some(texts) => (Named::Plainly, Some(texts)),
        None => (Named::No, None),
    }
}

/// A value of each request's answer at the same place, fit for a name, different for each, and in no other's answer.
fn apart(
    stable: &[Vec<Stable>],
    answered: &[(Item, &Vec<&Answer<'_>>)],
    is_fit: impl Fn(&Stable, &Request) -> bool,
) -> Option<Vec<String>> {
    if stable.len() < 2 {
        return None;
    }
    let bodies: Vec<&str> = answered
        .iter()
        .filter_map(|(_, answers)| answers[0].captured.map(|c| c.body.as_str()))
        .collect();
    let (first, _) = stable.split_first()?;
    first.iter().find_map(|own| {
        let values: Option<Vec<String>> = stable
            .iter()
            .zip(answered)
            .map(|(values, (item, _))| {
                let value = values.iter().find(|v| v.pointer == own.pointer)?;
                is_fit(value, &item.request).then(|| value.text.clone())
            })
            .collect();
        let values = values?;
        let apart = values.iter().enumerate().all(|(i, value)| {
            value.chars().count() >= NATURAL_CHARS_MIN
                && bodies
                    .iter()
                    .enumerate()
                    .all(|(k, body)| body.contains(value.as_str()) == (i == k))
        });
        (apart && bodies.len() == values.len()).then_some(values)
    })
}

/// Whether a text stands in the path or the body of a request.
fn holds(request: &Request, text: &str) -> bool {
    let path = percent_encoding::percent_decode_str(&request.path).decode_utf8_lossy();
    let body = request.body.to_bytes().unwrap_or_default();
    path.contains(text) || String::from_utf8_lossy(&body).contains(text)
}

/// A regular expression of any of these texts, the longest first.
fn any_of(names: &[String]) -> String {
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let parts: Vec<String> = sorted.into_iter().map(|name| regex::escape(name)).collect();
    parts.join("|")
}

/// `a.b[2].c` as a JSON pointer. Names with dots or brackets do not come back whole; they are then not found.
fn pointer(path: &str) -> String {
    let steps = path.split(['.', '[']).map(|step| step.trim_end_matches(']'));
    steps
        .filter(|step| !step.is_empty())
        .fold(String::new(), |pointer, step| {
            pointer + "/" + &step.replace('~', "~0").replace('/', "~1")
        })
}

/// A mark of the form that the feed makes.
fn literal(seed: u64, number: u64) -> String {
    let (a, b) = (mix(seed ^ mix(number)), mix(seed ^ mix(number ^ 0x5851)));
    format!(
        "prony-{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    )
}

/// Whether an outcome says that the answer itself was damaged on the way.
pub(super) fn is_broken(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Malformed | Outcome::Truncated | Outcome::TrailingBytes | Outcome::WrongBody
    )
}

#[cfg(test)]
mod tests {
    use super::{ANY, is_circumstance, literal, pointer, steady};

    #[test]
    fn who_answered_and_how_long_it_took_may_change_with_load() {
        for key in [
            "delayTime",
            "executionTime",
            "workerId",
            "duration_ms",
            "queue_position",
            "created",
            "updated_at",
            "took",
            "uptime",
        ] {
            assert!(is_circumstance(key), "{key}");
        }
        for key in ["text", "score", "id", "label", "times_seen_in", "model"] {
            assert!(!is_circumstance(key), "{key}");
        }
    }

    #[test]
    fn one_damaged_answer_of_the_trial_does_not_hide_the_rest() {
        let all = |odd: &[(usize, usize)]| {
            let mut digests: Vec<Vec<u64>> = (0..6).map(|item| vec![item; 3]).collect();
            for (item, round) in odd {
                digests[*item][*round] = 99;
            }
            steady(&digests)
        };
        assert_eq!(all(&[]), Some(vec![0; 6]));
        assert_eq!(all(&[(2, 0)]), Some(vec![0, 0, 1, 0, 0, 0]));
        assert_eq!(all(&[(2, 0), (4, 1)]), None, "they differ by themselves");
        assert_eq!(
            steady(&[vec![1, 2, 1]]),
            None,
            "too few to tell damage from habit"
        );
        assert_eq!(steady(&[]), None);
    }

    #[test]
    fn marks_have_their_form_and_differ() {
        let any = regex::Regex::new(&format!("^{ANY}$")).unwrap();
        let marks: Vec<String> = (0..50).map(|k| literal(3, k)).collect();
        assert!(marks.iter().all(|m| any.is_match(m)), "{marks:?}");
        let distinct: std::collections::BTreeSet<&String> = marks.iter().collect();
        assert_eq!(distinct.len(), 50);
    }

    #[test]
    fn paths_become_pointers() {
        assert_eq!(pointer("a.b[2].c/d"), "/a/b/2/c~1d");
        assert_eq!(pointer("[0]"), "/0");
        assert_eq!(pointer(""), "");
    }
}
