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
    use super::values;

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
