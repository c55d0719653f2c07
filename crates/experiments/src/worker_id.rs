//! Who answered: headers in which platforms name the worker, instance, pod or machine. Looks for words, or for values that come
//! again and again; knows no platform.

use std::collections::BTreeMap;

use prony_model::{Captured, PhaseResult};

/// Words of a header's name that mean one of several workers.
const WORDS: [&str; 12] = [
    "worker",
    "instance",
    "pod",
    "machine",
    "replica",
    "container",
    "node",
    "backend",
    "hostname",
    "served",
    "upstream",
    "task",
];

/// Words that mean something else about a worker: not who it is.
const OTHERS: [&str; 9] = [
    "time", "duration", "ms", "latency", "count", "status", "version", "type", "region",
];

/// Longest name of a worker that is believed.
const NAME_BYTES_MAX: usize = 200;

/// Headers that HTTP itself, caches and limiters have, whose values come again without naming anybody.
const STANDARD: [&str; 16] = [
    "date",
    "server",
    "via",
    "etag",
    "age",
    "vary",
    "allow",
    "location",
    "connection",
    "expires",
    "pragma",
    "link",
    "status",
    "x-cache",
    "x-powered-by",
    "server-timing",
];
/// Beginnings of such headers.
const STANDARD_STARTS: [&str; 9] = [
    "content-",
    "cache-",
    "last-",
    "retry-",
    "access-",
    "x-ratelimit",
    "ratelimit",
    "strict-",
    "transfer-",
];
/// Fewest answers of each value, and most values, for a header without such a word.
const AGAIN_MIN: usize = 3;
const VALUES_MAX: usize = 64;

/// Whether any answer has a header that may name a worker.
pub(crate) fn is_named(phases: &[&PhaseResult]) -> bool {
    let captures = || phases.iter().flat_map(|p| &p.captures);
    captures().any(may_name) || parting(phases).is_some()
}

/// Whether an answer has a header that may name a worker, by its name.
pub(crate) fn may_name(answer: &Captured) -> bool {
    answer.headers.iter().any(|h| is_identity(&h.name))
}

/// A header that parts the answers, whatever its name: a few values, each of several answers, that come in turns and are not
/// decided by what was asked.
fn parting(phases: &[&PhaseResult]) -> Option<String> {
    let mut seen: BTreeMap<String, Vec<(u16, u32, &str)>> = BTreeMap::new();
    let mut answers = 0;
    for phase in phases {
        for capture in phase.captures.iter().filter(|c| c.status == 200) {
            answers += 1;
            for header in &capture.headers {
                let name = header.name.to_ascii_lowercase();
                let is_standard = STANDARD.contains(&name.as_str())
                    || STANDARD_STARTS.iter().any(|start| name.starts_with(start));
                if !is_standard && !header.value.is_empty() && header.value.len() <= NAME_BYTES_MAX {
                    let asked = (phase.index, capture.item);
                    seen.entry(name)
                        .or_default()
                        .push((asked.0, asked.1, header.value.as_str()));
                }
            }
        }
    }
    seen.into_iter()
        .find(|(_, values)| 2 * values.len() >= answers && parts(values))
        .map(|(name, _)| name)
}

/// Whether the values of a header, in the order of the answers, part them: phase, item and value of each.
fn parts(values: &[(u16, u32, &str)]) -> bool {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut of_item: BTreeMap<(u16, u32), &str> = BTreeMap::new();
    let mut free_of_item = false;
    for (phase, item, value) in values {
        *counts.entry(value).or_default() += 1;
        free_of_item |= of_item
            .insert((*phase, *item), value)
            .is_some_and(|before| before != *value);
    }
    // A time or a counter never comes back to what it said; a worker does.
    let changes = values.windows(2).filter(|pair| pair[0].2 != pair[1].2).count();
    let all_again = counts.values().all(|n| *n >= AGAIN_MIN);
    (2..=VALUES_MAX).contains(&counts.len()) && all_again && free_of_item && changes >= 2 * counts.len()
}

/// The header that names the worker in most of these phases' answers, in lower case. `None` when there is none, or when it
/// never says the same twice: then it names requests.
pub(crate) fn header(phases: &[&PhaseResult]) -> Option<String> {
    let mut names: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    let captures = || phases.iter().flat_map(|p| &p.captures);
    for header in captures().flat_map(|c| &c.headers) {
        if is_identity(&header.name) && !header.value.is_empty() && header.value.len() <= NAME_BYTES_MAX {
            let values = names.entry(header.name.to_ascii_lowercase()).or_default();
            *values.entry(header.value.as_str()).or_default() += 1;
        }
    }
    let answers = captures().filter(|c| c.status == 200).count();
    names
        .into_iter()
        .filter(|(_, values)| values.values().any(|n| *n > 1))
        .map(|(name, values)| (values.values().sum::<usize>(), name))
        .filter(|(n, _)| 2 * n >= answers)
        .max()
        .map(|(_, name)| name)
        .or_else(|| parting(phases))
}

/// The worker of each answer that names one, by sequence number.
pub(crate) fn workers<'a>(phase: &'a PhaseResult, header: &str) -> BTreeMap<u64, &'a str> {
    let named = |c: &'a Captured| Some((c.seq, c.header(header)?));
    phase.captures.iter().filter_map(named).collect()
}

fn is_identity(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let has = |list: &[&str]| name.split(['-', '_']).any(|word| list.contains(&word));
    has(&WORDS) && !has(&OTHERS)
}

#[cfg(test)]
mod tests {
    use super::{is_identity, parts};

    #[test]
    fn names_of_workers_and_other_headers() {
        for name in [
            "X-Worker-Id",
            "fly-machine-id",
            "x-served-by",
            "X-Pod-Name",
            "x-instance",
            "x_backend_server",
        ] {
            assert!(is_identity(name), "{name}");
        }
        for name in [
            "server",
            "host",
            "x-envoy-upstream-service-time",
            "x-request-id",
            "x-worker-count",
            "content-type",
        ] {
            assert!(!is_identity(name), "{name}");
        }
    }

    #[test]
    fn values_that_come_in_turns_part_the_answers() {
        let turns: Vec<(u16, u32, &str)> = (0..12).map(|k| (0, 0, ["a", "b", "c"][k % 3])).collect();
        assert!(parts(&turns));
        let by_item: Vec<(u16, u32, &str)> = (0..12)
            .map(|k| (0, k % 3, ["a", "b", "c"][k as usize % 3]))
            .collect();
        assert!(!parts(&by_item), "what was asked decides");
        let clock: Vec<(u16, u32, &str)> = (0..12)
            .map(|k| (0, 0, ["10:00", "10:01", "10:02"][k / 4]))
            .collect();
        assert!(!parts(&clock), "a time does not come back");
        let always: Vec<(u16, u32, &str)> = vec![(0, 0, "a"); 12];
        assert!(!parts(&always));
    }
}
