//! Sliding windows: so many requests of everybody, and of each agent. It knows no HTTP.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Agents that are remembered; those silent for a window are forgotten first.
const AGENTS_MAX: usize = 10_000;

/// The windows.
#[derive(Debug)]
pub(super) struct Limits {
    window: Duration,
    global_max: usize,
    agent_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    global: VecDeque<Instant>,
    agents: HashMap<String, VecDeque<Instant>>,
}

/// A limit was reached.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Over {
    /// Whose.
    pub(super) scope: &'static str,
    /// When the next may come, at least 1.
    pub(super) retry_after_s: u64,
}

impl Limits {
    /// A maximum of 0 is no limit.
    pub(super) fn new(window: Duration, global_max: usize, agent_max: usize) -> Self {
        Self {
            window,
            global_max,
            agent_max,
            taken: Mutex::default(),
        }
    }

    /// Counts a request at `now`, or refuses it, uncounted.
    pub(super) fn take(&self, agent: Option<&str>, now: Instant) -> Result<(), Over> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = &mut *taken;
        let agent = agent.filter(|_| self.agent_max > 0);
        if let Some(times) = agent.and_then(|agent| taken.agents.get_mut(agent)) {
            self.room(times, self.agent_max, "Agent", now)?;
        }
        if self.global_max > 0 {
            self.room(&mut taken.global, self.global_max, "Global", now)?;
            taken.global.push_back(now);
        }
        if let Some(agent) = agent {
            if taken.agents.len() >= AGENTS_MAX {
                taken
                    .agents
                    .retain(|_, times| times.back().is_some_and(|last| *last + self.window > now));
            }
            if taken.agents.len() < AGENTS_MAX || taken.agents.contains_key(agent) {
                taken.agents.entry(agent.to_owned()).or_default().push_back(now);
            }
        }
        Ok(())
    }

    fn room(
        &self,
        times: &mut VecDeque<Instant>,
        max: usize,
        scope: &'static str,
        now: Instant,
    ) -> Result<(), Over> {
        while times.front().is_some_and(|first| *first + self.window <= now) {
            times.pop_front();
        }
        match times.front() {
            Some(first) if times.len() >= max => {
                let left = (*first + self.window).saturating_duration_since(now);
                Err(Over {
                    scope,
                    retry_after_s: (left.as_secs_f64().ceil() as u64).max(1),
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_slides() {
        let limits = Limits::new(Duration::from_secs(60), 3, 2);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let over = |scope, retry_after_s| Err(Over { scope, retry_after_s });
        assert_eq!(limits.take(Some("a"), at(0)), Ok(()));
        assert_eq!(limits.take(Some("a"), at(10)), Ok(()));
        assert_eq!(limits.take(Some("a"), at(20)), over("Agent", 40));
        assert_eq!(limits.take(Some("b"), at(20)), Ok(()));
        assert_eq!(limits.take(None, at(59)), over("Global", 1));
        assert_eq!(limits.take(Some("a"), at(60)), Ok(()));
        assert_eq!(limits.take(None, at(61)), over("Global", 9));
    }
}
