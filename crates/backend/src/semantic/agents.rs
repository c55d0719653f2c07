//! The agents: named conversations, made on request or by their first message. It knows neither blocks nor HTTP.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::tokens::chain;

/// Agents remembered; the one unused for longest is forgotten first.
const AGENTS_MAX: usize = 10_000;
/// Tokens of a conversation that an agent remembers.
const CONTEXT_MAX: usize = 8_192;
/// Tokens that tell one agent from another where the client does not.
const NAME_TOKENS: usize = 100;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Agents {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    agents: HashMap<String, Agent>,
    clock: u64,
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    /// Unix seconds.
    pub(super) created: u64,
    /// Requests so far.
    pub(super) requests: u64,
    /// Its conversation through /generate.
    pub(super) context: Vec<u32>,
    /// The digest of the first page of its last prompt.
    pub(super) page: Option<u64>,
    used: u64,
}

/// The name of an agent whose client gives none.
pub(super) fn name(prompt: &[u32]) -> String {
    let head = &prompt[..prompt.len().min(NAME_TOKENS)];
    format!("agent_{:016x}", chain(1, head))
}

/// Unix seconds now.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl Agents {
    /// Makes one; false when there is one of that name.
    pub(super) fn create(&self, id: &str) -> bool {
        let mut known = self.lock();
        if known.agents.contains_key(id) {
            return false;
        }
        known.entry(id);
        true
    }

    /// An agent sends a prompt; tells whether it was known.
    pub(super) fn prompt(&self, id: &str, prompt: &[u32], block_tokens: usize) -> bool {
        let mut known = self.lock();
        let agent = known.entry(id);
        let before = agent.requests > 0;
        agent.requests += 1;
        agent.page = prompt.get(..block_tokens).map(|block| chain(0, block));
        before
    }

    /// One of them.
    pub(super) fn get(&self, id: &str) -> Option<Agent> {
        self.lock().agents.get(id).cloned()
    }

    /// Remembers what was said.
    pub(super) fn remember(&self, id: &str, context: Vec<u32>) {
        if let Some(agent) = self.lock().agents.get_mut(id) {
            agent.context = if context.len() <= CONTEXT_MAX {
                context
            } else {
                Vec::new()
            };
        }
    }

    /// Forgets one; false when there is none.
    pub(super) fn remove(&self, id: &str) -> bool {
        self.lock().agents.remove(id).is_some()
    }

    /// All names with their agents, by name.
    pub(super) fn all(&self) -> Vec<(String, Agent)> {
        let known = self.lock();
        let mut all: Vec<_> = known
            .agents
            .iter()
            .map(|(id, agent)| (id.clone(), agent.clone()))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.lock().agents.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn entry(&mut self, id: &str) -> &mut Agent {
        self.clock += 1;
        if self.agents.len() >= AGENTS_MAX && !self.agents.contains_key(id) {
            let oldest = self.agents.iter().min_by_key(|(_, agent)| agent.used);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                self.agents.remove(&oldest);
            }
        }
        let agent = self.agents.entry(id.to_owned()).or_insert_with(|| Agent {
            created: now(),
            requests: 0,
            context: Vec::new(),
            page: None,
            used: 0,
        });
        agent.used = self.clock;
        agent
    }
}
