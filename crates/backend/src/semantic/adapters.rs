//! The adapters (LoRA) that are loaded: a few places, the one unused for longest gives way. It knows names and places, no time.

use std::collections::BTreeMap;

/// The places.
#[derive(Debug, Default)]
pub(super) struct Adapters {
    places: usize,
    loaded: BTreeMap<String, Place>,
    tick: u64,
    counts: Loads,
}

#[derive(Debug)]
struct Place {
    users: usize,
    used: u64,
}

/// What was loaded and had to give way so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Loads {
    /// Adapters loaded.
    pub(super) loaded: u64,
    /// Adapters that gave way.
    pub(super) evicted: u64,
}

/// What taking a place took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Nothing: it was loaded.
    There,
    /// It was loaded now, in a place that was free, or that another gave up.
    Loaded {
        /// Another one gave way.
        evicted: bool,
    },
}

impl Adapters {
    /// So many places, all free.
    pub(super) fn new(places: usize) -> Self {
        Self {
            places,
            ..Self::default()
        }
    }

    /// A request takes up an adapter; none where every place is in use by others.
    pub(super) fn take(&mut self, name: &str) -> Option<Taken> {
        self.tick += 1;
        let used = self.tick;
        if let Some(place) = self.loaded.get_mut(name) {
            place.users += 1;
            place.used = used;
            return Some(Taken::There);
        }
        let mut evicted = false;
        if self.loaded.len() >= self.places {
            let idle = self.loaded.iter().filter(|(_, place)| place.users == 0);
            let oldest = idle.min_by_key(|(_, place)| place.used)?.0.clone();
            self.loaded.remove(&oldest);
            self.counts.evicted += 1;
            evicted = true;
        }
        self.loaded.insert(name.to_owned(), Place { users: 1, used });
        self.counts.loaded += 1;
        Some(Taken::Loaded { evicted })
    }

    /// A request gives it back; it stays loaded.
    pub(super) fn give(&mut self, name: &str) {
        if let Some(place) = self.loaded.get_mut(name) {
            place.users = place.users.saturating_sub(1);
        }
    }

    /// What happened so far.
    pub(super) fn counts(&self) -> Loads {
        self.counts
    }

    /// Those in use, then those only loaded.
    pub(super) fn names(&self) -> (Vec<String>, Vec<String>) {
        let (used, idle): (Vec<_>, Vec<_>) = self.loaded.iter().partition(|(_, place)| place.users > 0);
        let names = |list: Vec<(&String, &Place)>| list.into_iter().map(|(name, _)| name.clone()).collect();
        (names(used), names(idle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_unused_for_longest_gives_way_and_none_in_use_does() {
        let mut adapters = Adapters::new(2);
        let loaded = |evicted| Some(Taken::Loaded { evicted });
        assert_eq!(adapters.take("a"), loaded(false));
        assert_eq!(adapters.take("b"), loaded(false));
        assert_eq!(adapters.take("a"), Some(Taken::There));
        assert_eq!(adapters.take("c"), None);
        adapters.give("b");
        assert_eq!(adapters.take("c"), loaded(true));
        assert_eq!(adapters.take("b"), None);
        adapters.give("a");
        assert_eq!(adapters.take("b"), None, "the other one still uses it");
        adapters.give("a");
        assert_eq!(adapters.take("b"), loaded(true));
        assert_eq!(
            adapters.counts(),
            Loads {
                loaded: 4,
                evicted: 2
            }
        );
        assert_eq!(adapters.names().0, ["b", "c"]);
    }
}
