//! What each worker did, where answers name their worker: an account of a burst.

use std::collections::BTreeMap;

use prony_stats::median;

/// One request on one worker. Times in s since the burst began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Work<'a> {
    /// Who did it.
    pub worker: &'a str,
    /// When it was begun; of a worker's first request that was not told, the start of the burst.
    pub begun_s: f64,
    /// When it was done.
    pub done_s: f64,
}

/// What workers did in a burst.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Account {
    /// Workers that did something.
    pub workers: usize,
    /// Time at work of all of them, in s.
    pub busy_s: f64,
    /// From the first beginning to the last end, in s.
    pub span_s: f64,
    /// How many were at work at once, on average.
    pub at_work_mean: f64,
    /// What the first request on a worker took, median, in s: its start is in it.
    pub first_s: f64,
    /// What the others took, median, in s; `None` when there were none.
    pub later_s: Option<f64>,
}

/// The work behind ends alone: a worker begins its next request when its last is done.
pub(super) fn from_ends<'a>(ends: &[(&'a str, f64)]) -> Vec<Work<'a>> {
    let mut sorted = ends.to_vec();
    sorted.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut last: BTreeMap<&str, f64> = BTreeMap::new();
    sorted
        .into_iter()
        .map(|(worker, done_s)| Work {
            worker,
            begun_s: last.insert(worker, done_s).unwrap_or(0.0),
            done_s,
        })
        .collect()
}

/// Adds up; `None` of nothing.
pub(super) fn account(work: &[Work<'_>]) -> Option<Account> {
    let mut sorted = work.to_vec();
    sorted.sort_by(|a, b| a.begun_s.total_cmp(&b.begun_s));
    let (mut first, mut later) = (BTreeMap::new(), Vec::new());
    for one in &sorted {
        let took = one.done_s - one.begun_s;
        if first.contains_key(one.worker) {
            later.push(took);
        } else {
            first.insert(one.worker, took);
        }
    }
    let busy_s: f64 = work.iter().map(|w| w.done_s - w.begun_s).sum();
    let span_s = work.iter().map(|w| w.done_s).fold(0.0, f64::max) - sorted.first()?.begun_s;
    Some(Account {
        workers: first.len(),
        busy_s,
        span_s,
        at_work_mean: busy_s / span_s.max(f64::MIN_POSITIVE),
        first_s: median(&mut first.into_values().collect::<Vec<f64>>()),
        later_s: (!later.is_empty()).then(|| median(&mut later)),
    })
}

#[cfg(test)]
mod tests {
    use super::{Work, account, from_ends};

    /// A burst of thirty requests to a serverless platform: worker, begun, done, in s since the first was begun. Read from the log
    /// of the platform that the repository el-mashta/CatVTON-Runpod-Serverless publishes (`runpod_logs_parallel.txt`).
    const LOG: [(usize, f64, f64); 30] = [
        (0, 0.000, 9.213),
        (1, 0.220, 14.845),
        (2, 0.252, 14.668),
        (3, 0.260, 14.492),
        (4, 0.263, 9.545),
        (5, 0.267, 10.000),
        (0, 9.336, 18.545),
        (4, 10.004, 19.271),
        (5, 10.258, 20.050),
        (3, 15.053, 25.238),
        (2, 15.437, 25.084),
        (1, 15.531, 24.888),
        (0, 18.845, 28.076),
        (4, 19.535, 28.821),
        (5, 20.544, 30.271),
        (1, 25.188, 34.528),
        (2, 25.378, 34.991),
        (3, 25.675, 35.615),
        (0, 28.858, 38.090),
        (4, 29.192, 38.459),
        (5, 30.988, 40.536),
        (1, 34.749, 44.145),
        (2, 35.140, 44.779),
        (3, 35.759, 45.695),
        (0, 39.178, 48.393),
        (1, 44.497, 53.868),
        (2, 45.324, 54.946),
        (3, 45.955, 55.715),
        (1, 54.390, 63.751),
        (2, 55.717, 65.353),
    ];

    #[test]
    fn the_published_log_is_added_up() {
        let names = ["a", "b", "c", "d", "e", "f"];
        let work: Vec<Work<'_>> = LOG
            .iter()
            .map(|&(worker, begun_s, done_s)| Work {
                worker: names[worker],
                begun_s,
                done_s,
            })
            .collect();
        let found = account(&work).unwrap();
        assert_eq!(
            (work.len(), found.workers),
            (30, 6),
            "of eight that answered to pings"
        );
        assert!((found.busy_s - 300.1).abs() < 0.05, "{found:?}");
        assert!((found.span_s - 65.4).abs() < 0.05, "{found:?}");
        assert!((found.at_work_mean - 4.59).abs() < 0.005, "{found:?}");
        assert!((found.later_s.unwrap() - 9.47).abs() < 0.005, "{found:?}");
        assert!((9.2..14.7).contains(&found.first_s), "{found:?}");
        // The last was begun 55.7 s after the first: under two minutes, so none had to be given up.
        let last = LOG.iter().map(|(_, begun_s, _)| *begun_s).fold(0.0, f64::max);
        assert!((last - 55.7).abs() < 0.05);
    }

    #[test]
    fn ends_alone_tell_the_same_of_what_follows() {
        let work = from_ends(&[("a", 4.0), ("b", 9.0), ("a", 6.0), ("b", 11.0)]);
        let found = account(&work).unwrap();
        assert_eq!((found.workers, found.later_s), (2, Some(2.0)));
        assert!((found.first_s - 6.5).abs() < 1e-12);
        assert_eq!(account(&[]), None);
    }
}
