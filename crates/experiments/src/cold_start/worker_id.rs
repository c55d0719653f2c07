//! Who answered: headers in which platforms name the worker, instance, pod or machine. Looks for words, knows no platform.

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

/// The header that names the worker in most of these phases' answers, in lower case. `None` when there is none, or when it
/// never says the same twice: then it names requests.
pub(super) fn header(phases: &[&PhaseResult]) -> Option<String> {
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
}

/// The worker of each answer that names one, by sequence number.
pub(super) fn workers<'a>(phase: &'a PhaseResult, header: &str) -> BTreeMap<u64, &'a str> {
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
    use super::is_identity;

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
}
