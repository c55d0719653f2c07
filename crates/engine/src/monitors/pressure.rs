//! Pressure stall information: how long tasks waited for CPU, memory or disk. The same three files for a host and for a
//! control group.

use std::fs;

use super::Seen;

/// What is asked for: resource, name of the share of the last ten seconds, name of the time in all.
const RESOURCES: [(&str, &str, &str); 3] = [
    ("cpu", "cpu_stalled_percent", "cpu_stalled_s"),
    ("memory", "memory_stalled_percent", "memory_stalled_s"),
    ("io", "io_stalled_percent", "io_stalled_s"),
];

/// Puts what at least one task waited for each resource; `read` gives the text of a resource's file.
pub(super) fn put(seen: &mut Seen, read: impl Fn(&str) -> Option<String>) {
    for (resource, share, total) in RESOURCES {
        if let Some((percent, stalled_s)) = read(resource).as_deref().and_then(some) {
            seen.put(share, percent);
            seen.put(total, stalled_s);
        }
    }
}

/// That of the host.
pub(super) fn of_host(resource: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/pressure/{resource}")).ok()
}

/// Mean of ten seconds in per cent and seconds in all, of the line `some avg10=0.12 avg60=... total=3456` (microseconds).
fn some(text: &str) -> Option<(f64, f64)> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let field = |name: &str| -> Option<f64> {
        line.split_whitespace()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?
            .parse()
            .ok()
    };
    Some((field("avg10")?, field("total")? / 1e6))
}

#[cfg(test)]
mod tests {
    use super::super::Seen;
    use super::put;

    #[test]
    fn reads_the_kernels_lines() {
        let mut seen = Seen::default();
        put(&mut seen, |resource| {
            match resource {
            "cpu" => Some(
                "some avg10=1.50 avg60=0.10 avg300=0.00 total=2500000\nfull avg10=9.00 avg60=9.00 avg300=9.00 total=9\n"
                    .to_owned(),
            ),
            "io" => Some("nonsense".to_owned()),
            _ => None,
        }
        });
        let values: Vec<(&str, f64)> = seen.values.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        assert_eq!(values, [("cpu_stalled_percent", 1.5), ("cpu_stalled_s", 2.5)]);
    }
}
