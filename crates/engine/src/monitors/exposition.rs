//! Reads the text format in which programs tell their metrics to Prometheus (version 0.0.4, and OpenMetrics as far as it is
//! the same). Strict: a line that is not well formed counts for nothing. The text is a target's, so it is hostile.

use std::collections::BTreeMap;

/// The values of the wanted metrics: those of several label sets as a list, in the order of the text. What is not a finite
/// number is left out.
pub(super) fn values<'a>(text: &str, wanted: &[&'a str]) -> BTreeMap<&'a str, Vec<f64>> {
    let mut found: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for line in text.lines() {
        let Some((name, rest)) = name(line.trim_start()) else {
            continue;
        };
        let Some(&name) = wanted.iter().find(|w| **w == name) else {
            continue;
        };
        if let Some(value) = value(rest) {
            found.entry(name).or_default().push(value);
        }
    }
    found
}

/// Most buckets of all histograms that are kept.
const BUCKETS_MAX: usize = 400;

/// The sums, counts and finite buckets of the wanted histograms, over all their label sets, as `NAME_sum`, `NAME_count` and
/// `NAME_bucket{le=EDGE}`.
pub(super) fn histograms(text: &str, wanted: &[&str]) -> BTreeMap<String, f64> {
    let mut found: BTreeMap<String, f64> = BTreeMap::new();
    for line in text.lines() {
        let Some((name, rest)) = name(line.trim_start()) else {
            continue;
        };
        let Some(part) = wanted
            .iter()
            .find_map(|w| name.strip_prefix(w))
            .filter(|part| matches!(*part, "_sum" | "_count" | "_bucket"))
        else {
            continue;
        };
        let Some(value) = value(rest) else {
            continue;
        };
        let key = if part == "_bucket" {
            // An edge is shown as it is read, so that `0.10` and `0.1` are one.
            match edge(rest) {
                Some(edge) => format!("{name}{{le={edge}}}"),
                None => continue,
            }
        } else {
            name.to_owned()
        };
        if found.len() < BUCKETS_MAX || found.contains_key(&key) {
            *found.entry(key).or_default() += value;
        }
    }
    found
}

/// The finite upper edge that the labels of a bucket name.
fn edge(rest: &str) -> Option<f64> {
    let labels = rest.strip_prefix('{')?;
    let labels = &labels[..labels_end(labels)?];
    let mut from = 0;
    while let Some(at) = labels[from..].find("le=\"") {
        let at = from + at;
        // The name of another label may end in the same letters.
        if labels[..at].is_empty() || labels[..at].ends_with([',', ' ']) {
            let value = &labels[at + 4..];
            let edge: f64 = value[..value.find('"')?].parse().ok()?;
            return edge.is_finite().then_some(edge);
        }
        from = at + 4;
    }
    None
}

/// The metric's name, and what follows it.
fn name(line: &str) -> Option<(&str, &str)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let end = line.find(|c| !is_name(c))?;
    let (name, rest) = line.split_at(end);
    (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())).then_some((name, rest))
}

/// The number after the labels, if there are any.
fn value(rest: &str) -> Option<f64> {
    let rest = match rest.strip_prefix('{') {
        Some(labels) => &labels[labels_end(labels)?..],
        None => rest,
    };
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    let mut words = rest.split_whitespace();
    let value: f64 = words.next()?.parse().ok()?;
    // A time stamp may follow, in OpenMetrics an exemplar too.
    let stamped = words
        .next()
        .is_none_or(|word| word == "#" || word.parse::<f64>().is_ok());
    (value.is_finite() && stamped).then_some(value)
}

/// Where the labels end: after the first brace outside of quotation marks.
fn labels_end(labels: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in labels.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{histograms, values};

    #[test]
    fn reads_what_programs_write() {
        let text = "# HELP process_resident_memory_bytes Resident memory size in bytes.\n\
                    # TYPE process_resident_memory_bytes gauge\n\
                    process_resident_memory_bytes 2.6652672e+07\n\
                    process_open_fds 11 1700000000000\n\
                    pool_used{pool=\"a } b\",kind=\"x\\\"}\"} 3\n\
                    pool_used{pool=\"b\"} 4.5 # {trace=\"1\"} 1\n\
                    pool_used{} 1\n\
                    pool_used_total 99\n";
        let found = values(
            text,
            &[
                "process_resident_memory_bytes",
                "process_open_fds",
                "pool_used",
                "absent",
            ],
        );
        assert_eq!(found["process_resident_memory_bytes"], [26_652_672.0]);
        assert_eq!(found["process_open_fds"], [11.0]);
        assert_eq!(found["pool_used"], [3.0, 4.5, 1.0]);
        assert!(!found.contains_key("absent"));
    }

    #[test]
    fn buckets_by_their_upper_edge() {
        let text = "h_bucket{le=\"0.5\"} 1\nh_bucket{scale=\"9\",le=\"0.50\"} 2\nh_bucket{sle=\"7\"} 4\nh_bucket{le=\"+Inf\"} 3\n\
                    h_bucket 8\nh_bucket{le=\"x\"} 8\nh_sum 1.5\nh_count{a=\"b\"} 3\nh_created 7\nhh_sum 9\n";
        let found: Vec<(String, f64)> = histograms(text, &["h"]).into_iter().collect();
        assert_eq!(
            found,
            [
                ("h_bucket{le=0.5}".to_owned(), 3.0),
                ("h_count".to_owned(), 3.0),
                ("h_sum".to_owned(), 1.5)
            ]
        );
    }

    #[test]
    fn what_is_malformed_counts_for_nothing() {
        for line in [
            "x",
            "x ",
            "x{ 1",
            "x{a=\"} 1",
            "x NaN",
            "x +Inf",
            "x 1 two",
            "x1 1",
            "x=1",
            "<x> 1",
            "x{a=\"b\"}1",
            "é 1",
        ] {
            assert!(values(line, &["x"]).is_empty(), "{line}");
        }
        assert_eq!(values("  x\t1\r\n", &["x"])["x"], [1.0]);
    }
}
