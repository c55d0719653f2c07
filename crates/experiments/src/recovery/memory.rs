//! Did memory grow with the requests, all run long? A look at what was read anyway; how fast and how far is the `leak`
//! experiment's question, which takes minutes of its own. It must not know what the memory is for.

use prony_model::{Finding, PhaseResult, Severity, Verdict};

use super::NAME;
use crate::RunView;
use crate::draft::{Draft, source};
use crate::leak::series;
use crate::wording::digits;

/// Parts of the run, by requests, that are compared.
const PARTS: usize = 4;
/// Readings that each part needs.
const READINGS_MIN: usize = 3;
/// Growth from the first part to the last that is told of: so many times, and so many bytes.
const TIMES_MIN: f64 = 2.0;
const BYTES_MIN: f64 = 128.0 * MIB;
/// Share of the growth that falls at least on each step from part to part; what fills once, as a cache or a heap, stops.
const EACH_MIN: f64 = 0.15;

const MIB: f64 = 1024.0 * 1024.0;

/// A warning where memory grew from each part of the run to the next.
pub(super) fn growth(run: &RunView<'_>) -> Option<Finding> {
    // What was sent to the generator's own null target is no work of this one.
    let phases: Vec<&PhaseResult> = run
        .phases
        .iter()
        .filter(|p| !p.summary.is_of_null_target())
        .collect();
    let series = series::of(&phases)?;
    let levels = levels(&series.requests, &series.bytes)?;
    if series.interruption.is_some() || !grows(&levels) {
        return None;
    }
    let (first, last) = (levels[0], levels[PARTS - 1]);
    let requests = series.requests.last().copied().unwrap_or(0.0);
    // From the middle of the first part to the middle of the last.
    let each = (last - first) / (requests * (PARTS - 1) as f64 / PARTS as f64);
    let here = source(phases.last()?, "");
    let mib = |bytes: f64| format!("{} MiB", digits(bytes / MIB));
    Some(
        Draft::new(NAME, "memory-keeps-growing", "")
            .verdict(Verdict::Warn, Severity::Medium)
            .advisory()
            .title(format!(
                "The target's memory grew all run long: from {} to {} over {} requests",
                mib(first),
                mib(last),
                digits(requests)
            ))
            .detail(format!(
                "The {} was higher in each quarter of the requests than in the one before, {} KiB for each request on average. A \
                 cache or a heap that has not reached its bound looks the same until then.",
                series.what,
                digits(each / 1024.0)
            ))
            .figure("memory in the first quarter", first / MIB, "MiB", series.bytes.len(), &here)
            .figure("memory in the last quarter", last / MIB, "MiB", series.bytes.len(), &here)
            .figure("growth per request", each / 1024.0, "KiB", series.bytes.len(), &here)
            .advice("Run the leak experiment (`--only leak --thorough`): it says whether it ends, and when memory is used up.", "")
            .done(),
    )
}

/// Median memory of each part of the requests.
fn levels(requests: &[f64], bytes: &[f64]) -> Option<[f64; PARTS]> {
    let all = requests.last().copied().filter(|all| *all > 0.0)?;
    let mut parts: [Vec<f64>; PARTS] = Default::default();
    for (at, bytes) in requests.iter().zip(bytes) {
        let part = (at / all * PARTS as f64) as usize;
        parts[part.min(PARTS - 1)].push(*bytes);
    }
    let enough = parts.iter().all(|part| part.len() >= READINGS_MIN);
    enough.then(|| parts.map(|mut part| prony_stats::median(&mut part)))
}

fn grows(levels: &[f64; PARTS]) -> bool {
    let (first, last) = (levels[0], levels[PARTS - 1]);
    let step = EACH_MIN * (last - first);
    last >= TIMES_MIN * first
        && last - first >= BYTES_MIN
        && levels.windows(2).all(|pair| pair[1] - pair[0] >= step)
}

#[cfg(test)]
mod tests {
    use super::{MIB, grows, levels};

    fn judged(memory_mib: impl Fn(f64) -> f64) -> bool {
        let requests: Vec<f64> = (0..60).map(|i| f64::from(i) * 100.0).collect();
        let bytes: Vec<f64> = requests.iter().map(|r| memory_mib(*r) * MIB).collect();
        grows(&levels(&requests, &bytes).unwrap())
    }

    #[test]
    fn what_each_request_keeps_is_told_from_what_fills_once() {
        assert!(judged(|r| 40.0 + r * 0.1));
        assert!(!judged(|r| 40.0 + r * 0.01), "too little");
        assert!(!judged(|r| 4000.0 + r * 0.1), "too little for its size");
        assert!(!judged(|r| 40.0 + (r * 0.5).min(400.0)), "a cache that is full");
        assert!(
            !judged(|r| if r > 0.0 { 640.0 } else { 40.0 }),
            "a model that is loaded"
        );
        assert!(!judged(|r| 40.0 + (r * 0.5) % 600.0), "a heap that is swept");
    }

    #[test]
    fn few_readings_say_nothing() {
        assert_eq!(levels(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), None);
        assert_eq!(levels(&[0.0; 20], &[1.0; 20]), None);
    }
}
