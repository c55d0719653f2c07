//! What a scenario is beyond fixed requests, compiled: its feeds, the holes of its requests, its steps and its retries.
//! It reads the files of its feeds when it is made and knows no sockets.

use std::collections::BTreeMap;

use prony_model::{BodyCheck, Carry, Expect, Nanos, Request, Retry, Scenario, Secret, Shape, Slot, Until};
use regex::Regex;
use twox_hash::XxHash3_64;

use crate::EngineError;
use crate::choice::mix;
use crate::feed::{Feed, Who};
use crate::template::{Draft, Hole, Origin, Place, Text};

/// Most values that a flow carries.
const CARRIED_MAX: usize = 256;

/// A scenario that is more than its requests.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) feeds: Vec<Feed>,
    /// For each item, its request with holes where it has any.
    pub(crate) drafts: Vec<Option<Draft>>,
    /// For each item, the marks that its answer must carry.
    marks: Vec<Vec<Text>>,
    /// For each item of a flow; empty where the items are no steps.
    pub(crate) steps: Vec<Step>,
    pub(crate) retry: Option<Retry>,
    pub(crate) seed: u64,
    /// Whether an arrival may take several requests.
    pub(crate) composite: bool,
    /// Whether it keeps the cookies that answers set.
    pub(crate) cookies: bool,
    /// Values that answers which are kept must not repeat.
    secrets: Vec<Origin>,
    carried: usize,
}

/// A step of a flow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    pub(crate) carry: Vec<Bring>,
    pub(crate) think: Nanos,
    pub(crate) until: Option<Until>,
}

/// A value that a step brings for later ones.
#[derive(Clone, Debug)]
pub(crate) struct Bring {
    pub(crate) name: String,
    /// Its index among the flow's values.
    pub(crate) index: usize,
    pub(crate) from: From,
    /// Where it will be put: a value that does not fit there is none.
    pub(crate) places: Vec<Place>,
}

/// Where a carried value is found.
#[derive(Clone, Debug)]
pub(crate) enum From {
    Json(String),
    Header(String),
    Regex(Regex),
}

/// A mistake in a scenario.
struct Mistake {
    why: String,
    word: String,
    known: Vec<String>,
}

impl Mistake {
    fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            word: String::new(),
            known: Vec::new(),
        }
    }
}

/// Compiles a scenario as the engine would, for what is wrong with it. Reads the files of its feeds.
pub fn check_scenario(scenario: &Scenario, shapes: &[&Shape]) -> Result<(), EngineError> {
    let script = Script::new(scenario, 0)?;
    for shape in shapes {
        script.iter().try_for_each(|s| s.check_users(scenario, shape))?;
    }
    Ok(())
}

impl Script {
    /// Of a scenario; `None` when it is nothing but requests.
    pub(crate) fn new(scenario: &Scenario, seed: u64) -> Result<Option<Self>, EngineError> {
        if scenario.slots.is_none() && !scenario.is_composite() {
            return Ok(None);
        }
        Self::compile(scenario, seed).map(Some)
    }

    fn compile(scenario: &Scenario, seed: u64) -> Result<Self, EngineError> {
        let wrong = |mistake: Mistake| EngineError::Script {
            scenario: scenario.name.clone(),
            why: mistake.why,
            word: mistake.word,
            known: mistake.known,
        };
        let mut carries: Vec<String> = Vec::new();
        let mut steps = Vec::new();
        if let Some(flow) = &scenario.flow {
            if flow.steps.len() != scenario.items.len() {
                return Err(wrong(Mistake::new("a flow needs one request for each step")));
            }
            for step in &flow.steps {
                steps.push(compile_step(step, &mut carries).map_err(wrong)?);
            }
        }
        let specs = scenario.slots.as_ref().map(|s| &s.feeds);
        let names: Vec<&String> = specs.iter().flat_map(|s| s.keys()).collect();
        if let Some(name) = names.iter().find(|n| Slot::RESERVED.contains(&n.as_str())) {
            return Err(wrong(Mistake::new(format!(
                "a feed cannot be called `{name}`: that name has a meaning of its own"
            ))));
        }
        let mut columns: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut drafts = Vec::new();
        let mut marks = Vec::new();
        for (i, item) in scenario.items.iter().enumerate() {
            let known: Vec<&str> = steps[..i.min(steps.len())]
                .iter()
                .flat_map(|s: &Step| s.carry.iter().map(|b| b.name.as_str()))
                .collect();
            let mut mistake = None;
            let draft = Draft::new(&item.request, mix(seed, i as u64), |slot| {
                origin(slot, &names, &known, &carries, &mut columns).map_err(|m| {
                    let why = m.why.clone();
                    mistake = Some(m);
                    why
                })
            });
            let draft = draft.map_err(|why| wrong(mistake.take().unwrap_or_else(|| Mistake::new(why))))?;
            let own = own_marks(&item.expect.body).map(|mark| {
                Text::new(mark, |slot| {
                    origin(slot, &names, &known, &carries, &mut columns).map_err(|m| {
                        let why = m.why.clone();
                        mistake = Some(m);
                        why
                    })
                })
            });
            let own: Result<Vec<Text>, String> = own.collect();
            marks.push(own.map_err(|why| wrong(mistake.take().unwrap_or_else(|| Mistake::new(why))))?);
            // Without slots `{{...}}` is text; a flow always has them.
            drafts.push(draft.filter(|_| scenario.slots.is_some()));
        }
        let mut secrets = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let spec = &scenario.slots.as_ref().expect("names come from it").feeds[*name];
            for column in &spec.secret {
                let used = columns.entry(name.as_str()).or_default();
                let at = position(used, column);
                secrets.push(Origin::Feed(index, at));
            }
        }
        let mut feeds = Vec::new();
        for (k, name) in names.iter().enumerate() {
            let spec = &scenario.slots.as_ref().expect("names come from it").feeds[*name];
            let used = columns.remove(name.as_str()).unwrap_or_default();
            feeds.push(Feed::load(
                name,
                spec,
                &used,
                mix(seed.rotate_left(23), k as u64),
            )?);
        }
        let mut script = Self {
            feeds,
            drafts,
            marks,
            steps,
            retry: scenario.retry.clone(),
            seed,
            composite: scenario.is_composite(),
            cookies: scenario.flow.as_ref().is_some_and(|flow| flow.cookies),
            secrets,
            carried: carries.len(),
        };
        script.place_values(scenario).map_err(wrong)?;
        for item in 0..scenario.items.len() {
            script
                .expect(item, scenario)
                .map_err(|why| wrong(Mistake::new(why)))?;
        }
        Ok(script)
    }

    /// What the answer to an item must look like, where that depends on what an earlier step sends.
    pub(crate) fn expect(&self, item: usize, scenario: &Scenario) -> Result<Option<Expect>, String> {
        let expect = &scenario.items[item].expect;
        if !expect
            .body
            .iter()
            .any(|check| matches!(check, BodyCheck::SentBy(_)))
        {
            return Ok(None);
        }
        let steps = scenario.flow.iter().flat_map(|flow| &flow.steps).take(item);
        let mut body = Vec::new();
        for check in &expect.body {
            let BodyCheck::SentBy(name) = check else {
                body.push(check.clone());
                continue;
            };
            let at = steps.clone().position(|step| step.name == *name);
            let at =
                at.ok_or_else(|| format!("no earlier step is called `{name}`, which `sent-by` asks for"))?;
            if self.drafts[at].as_ref().is_some_and(Draft::body_has_holes) {
                return Err(format!(
                    "step `{name}` sends another body in every arrival, so `sent-by` does not know it"
                ));
            }
            let sent = scenario.items[at].request.body.to_bytes().unwrap_or_default();
            let length = sent.len() as u64;
            body.push(BodyCheck::MinBytes(length));
            body.push(BodyCheck::MaxBytes(length));
            body.push(BodyCheck::Xxh3(format!("{:016x}", XxHash3_64::oneshot(&sent))));
        }
        Ok(Some(Expect {
            body,
            ..expect.clone()
        }))
    }

    /// Checks what is known already against the places it goes to, and notes the places of what is not.
    fn place_values(&mut self, scenario: &Scenario) -> Result<(), Mistake> {
        let holes: Vec<Hole> = self
            .drafts
            .iter()
            .flatten()
            .flat_map(|d| d.holes().to_vec())
            .collect();
        for hole in holes {
            let strict = matches!(hole.place, Place::Header | Place::PathRaw);
            match hole.origin {
                Origin::Feed(feed, column) => {
                    if let Some((value, line)) = self.feeds[feed].unfit(column, |v| hole.place.fits(v)) {
                        let name = scenario
                            .slots
                            .iter()
                            .flat_map(|s| s.feeds.keys())
                            .nth(feed)
                            .map_or("?", String::as_str);
                        // The value may be a secret.
                        let (bytes, line) = (
                            value.len(),
                            if line > 0 {
                                format!(" in line {line}")
                            } else {
                                String::new()
                            },
                        );
                        return Err(Mistake::new(format!(
                            "a value of feed `{name}`{line} ({bytes} bytes) cannot stand in a header or path: it holds a \
                             line break, blank or control character"
                        )));
                    }
                    if hole.place == Place::Header && !self.secrets.contains(&hole.origin) {
                        self.secrets.push(hole.origin);
                    }
                }
                Origin::Carry(k) => {
                    for bring in self
                        .steps
                        .iter_mut()
                        .flat_map(|s| &mut s.carry)
                        .filter(|b| b.index == k)
                    {
                        if strict && !bring.places.contains(&hole.place) {
                            bring.places.push(hole.place);
                        }
                    }
                    if hole.place == Place::Header && !self.secrets.contains(&hole.origin) {
                        self.secrets.push(hole.origin);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What a feed for users needs of a shape.
    pub(crate) fn check_users(&self, scenario: &Scenario, shape: &Shape) -> Result<(), EngineError> {
        let wrong = |why: String| EngineError::Script {
            scenario: scenario.name.clone(),
            why,
            word: String::new(),
            known: Vec::new(),
        };
        let users = match shape {
            Shape::Sequential { .. } | Shape::Once { .. } => 1,
            Shape::Closed { connections, .. } => *connections,
            Shape::Ladder { connections, .. } => connections.iter().copied().max().unwrap_or(0),
            Shape::Burst { size, .. } => *size,
            _ => 0,
        };
        for rows in self.feeds.iter().filter_map(Feed::users) {
            if users == 0 {
                return Err(wrong(
                    "a feed with `per = \"user\"` needs users: a closed loop, ladder or burst, not an open loop"
                        .to_owned(),
                ));
            }
            if rows < u64::from(users) {
                return Err(wrong(format!(
                    "{users} users want a row of their own, and the feed has {rows}: leave out `order = \"once\"`, or add rows"
                )));
            }
        }
        Ok(())
    }

    /// The request that is rendered for an item: with marks where it has holes.
    pub(crate) fn request<'a>(&'a self, item: usize, plain: &'a Request) -> &'a Request {
        self.drafts[item].as_ref().map_or(plain, |draft| &draft.marked)
    }

    /// The marks that the answer to an item must carry, filled in.
    pub(crate) fn marks(&self, item: usize, who: Who, carried: &[Option<Box<str>>]) -> Vec<String> {
        let texts = self.marks.get(item).into_iter().flatten();
        texts.map(|text| text.fill(who, &self.feeds, carried)).collect()
    }

    /// Arrivals of the scenario after which one of its feeds is used up.
    pub(crate) fn lasts(&self) -> Option<u64> {
        self.feeds.iter().filter_map(Feed::lasts).min()
    }

    /// How many values its flow carries.
    pub(crate) fn carried(&self) -> usize {
        self.carried
    }

    /// Whether an answer's head is needed, and its body.
    pub(crate) fn needs(&self, item: usize) -> (bool, bool) {
        let step = self.steps.get(item);
        let brings = |f: fn(&From) -> bool| step.is_some_and(|s| s.carry.iter().any(|b| f(&b.from)));
        let polls = step.is_some_and(|s| s.until.is_some());
        let waits = self.retry.as_ref().is_some_and(|r| r.retry_after_max_s > 0);
        (
            waits || brings(|from| matches!(from, From::Header(_))),
            polls || brings(|from| !matches!(from, From::Header(_))),
        )
    }

    /// Most requests that an arrival may take one after the other.
    pub(crate) fn requests_max(&self) -> u64 {
        let attempts = self.retry.as_ref().map_or(1, |r| u64::from(r.attempts.max(1)));
        let polls = self
            .steps
            .iter()
            .map(|s| s.until.as_ref().map_or(1, |u| u64::from(u.polls_max)));
        polls.sum::<u64>().max(1) * attempts
    }

    /// What an answer that is kept must not repeat.
    pub(crate) fn secrets(&self, who: Who, carried: &[Option<Box<str>>]) -> Vec<Secret> {
        let value = |origin: &Origin| {
            let mut text = String::new();
            match origin {
                Origin::Feed(feed, column) => self.feeds[*feed].write(*column, who, &mut text),
                Origin::Carry(k) => text.push_str(carried.get(*k)?.as_deref()?),
                _ => return None,
            }
            Some(Secret::new(text))
        };
        self.secrets.iter().filter_map(value).collect()
    }
}

/// The marks that checks ask for, as they are written.
pub(crate) fn own_marks(checks: &[BodyCheck]) -> impl Iterator<Item = &str> {
    checks.iter().filter_map(|check| match check {
        BodyCheck::Own { mark, .. } => Some(mark.as_str()),
        _ => None,
    })
}

fn position(list: &mut Vec<String>, name: &str) -> usize {
    list.iter().position(|n| n == name).unwrap_or_else(|| {
        list.push(name.to_owned());
        list.len() - 1
    })
}

fn compile_step(step: &prony_model::Step, carries: &mut Vec<String>) -> Result<Step, Mistake> {
    let mut carry = Vec::new();
    for (name, from) in &step.carry {
        let from = match from {
            Carry::Json(pointer) if !pointer.is_empty() && !pointer.starts_with('/') => {
                return Err(Mistake::new(format!(
                    "`{pointer}` is no JSON pointer: it is empty or starts with /, as in /results/0/id"
                )));
            }
            Carry::Json(pointer) => From::Json(pointer.clone()),
            Carry::Header(header) => From::Header(header.clone()),
            Carry::Regex(pattern) => From::Regex(Regex::new(pattern).map_err(|e| {
                let text = e.to_string();
                let last = text.lines().last().unwrap_or_default();
                Mistake::new(format!(
                    "carry `{name}`: {pattern:?} is no regular expression: {last}"
                ))
            })?),
        };
        carry.push(Bring {
            name: name.clone(),
            index: position(carries, name),
            from,
            places: Vec::new(),
        });
    }
    if carries.len() > CARRIED_MAX {
        return Err(Mistake::new(format!(
            "a flow carries at most {CARRIED_MAX} values"
        )));
    }
    if let Some(until) = &step.until
        && (until.polls_max == 0 || (!until.pointer.is_empty() && !until.pointer.starts_with('/')))
    {
        return Err(Mistake::new(
            "`until` needs a JSON pointer such as /status, and at least one poll",
        ));
    }
    Ok(Step {
        carry,
        think: Nanos::from_millis_f64(step.think_ms),
        until: step.until.clone(),
    })
}

fn origin<'a>(
    slot: &Slot,
    feeds: &[&'a String],
    brought: &[&str],
    carries: &[String],
    columns: &mut BTreeMap<&'a str, Vec<String>>,
) -> Result<Origin, Mistake> {
    Ok(match slot {
        Slot::Seq => Origin::Seq,
        Slot::User => Origin::User,
        Slot::RandomInt(from, to) => Origin::RandomInt(*from, *to),
        Slot::RandomHex(digits) => Origin::RandomHex(*digits),
        Slot::RandomUuid => Origin::RandomUuid,
        Slot::Carry(name) if brought.contains(&name.as_str()) => {
            Origin::Carry(carries.iter().position(|n| n == name).unwrap_or_default())
        }
        Slot::Carry(name) => {
            return Err(Mistake {
                why: format!("no earlier step carries `{name}`, which `{{{{carry.{name}}}}}` asks for"),
                word: name.clone(),
                known: brought.iter().map(|n| (*n).to_owned()).collect(),
            });
        }
        Slot::Feed(name, column) => {
            let Some(index) = feeds.iter().position(|f| *f == name) else {
                return Err(Mistake {
                    why: format!("there is no feed `{name}`"),
                    word: name.clone(),
                    known: feeds
                        .iter()
                        .map(|f| (*f).clone())
                        .chain(Slot::RESERVED.map(str::to_owned))
                        .collect(),
                });
            };
            let used = columns.entry(feeds[index].as_str()).or_default();
            Origin::Feed(index, position(used, column))
        }
    })
}
