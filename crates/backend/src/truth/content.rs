//! Answers made wrong on purpose: swapped, cut short, or with a wrong byte, one in so many, and the list of those.

use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::error::BackendError;
use crate::law::{mix, one_in};
use crate::settings::Settings;
use crate::spoil::Served;

/// Bad answers listed; beyond it they are only counted.
const LISTED_MAX: usize = 10_000;

/// What is done to answers.
#[derive(Debug)]
pub(crate) struct Spoiler {
    swap_n: u64,
    truncate_n: u64,
    corrupt_n: u64,
    seed: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    answers: u64,
    /// The last good answer, for the next swap.
    last: Option<Bytes>,
    bad: Vec<Value>,
    bad_count: u64,
}

impl Spoiler {
    /// From the knobs.
    pub(crate) fn new(settings: &Settings, seed: u64) -> Result<Self, BackendError> {
        let one_in = |name| settings.count(name, 0, 1_000_000_000);
        Ok(Self {
            swap_n: one_in("swap_n")?,
            truncate_n: one_in("truncate_n")?,
            corrupt_n: one_in("corrupt_n")?,
            seed,
            state: Mutex::default(),
        })
    }

    /// The answer to the next request, whose client knows it by `id`. Which are spoilt depends on the seed and the count alone:
    /// each with one chance in n. Of those cut short every other one has the shorter length in its head, so that only its
    /// content tells.
    pub(crate) fn serve(&self, id: &str, body: Bytes, may_swap: bool) -> Served {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let k = state.answers;
        state.answers += 1;
        let hit = |n: u64, salt: u64| one_in(n, self.seed ^ salt, k);
        let other = state
            .last
            .replace(body.clone())
            .filter(|other| may_swap && *other != body);
        let (kind, served) = if let Some(other) = other.filter(|_| hit(self.swap_n, 1)) {
            ("swapped", Served::whole(other))
        } else if hit(self.truncate_n, 2) {
            let honest = !state.bad_count.is_multiple_of(2);
            let kind = if honest { "cut content" } else { "cut connection" };
            (kind, Served::halved(body, honest))
        } else if hit(self.corrupt_n, 3) && !body.is_empty() {
            ("corrupted", Served::flipped(&body, mix(self.seed ^ 4, k)))
        } else {
            return Served::whole(body);
        };
        state.bad_count += 1;
        if state.bad.len() < LISTED_MAX {
            state.bad.push(json!({ "answer": k, "id": id, "kind": kind }));
        }
        served
    }

    /// Counts and numbers begin anew.
    pub(crate) fn reset(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// How many answers there were, and the bad ones.
    pub(crate) fn to_json(&self) -> Value {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        json!({ "answers": state.answers, "bad_count": state.bad_count, "bad": state.bad })
    }
}
