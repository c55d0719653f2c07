//! How long threads were ready to run and had no core, added up over threads that come and go. The kernel tells it for each thread
//! (`schedstat`); what a thread waited after the last look is lost with it.

use std::collections::BTreeMap;

use procfs::process::Process;

use super::Seen;

/// The name of the sum in readings, in seconds.
const NAME: &str = "run_queue_wait_s";

/// The waits of the threads of some processes. Only ever grows.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// What each thread had waited at the last look, in ns, by its number.
    last: BTreeMap<i32, u64>,
    sum_ns: u64,
}

impl Waits {
    /// Looks at all threads of these processes, and puts what they have waited in all since the first look.
    pub(super) fn put<'a>(&mut self, seen: &mut Seen, processes: impl IntoIterator<Item = &'a Process>) {
        let now: BTreeMap<i32, u64> = processes
            .into_iter()
            .filter_map(|process| process.tasks().ok())
            .flatten()
            .flatten()
            .filter_map(|task| Some((task.tid, task.schedstat().ok()?.run_delay)))
            .collect();
        if now.is_empty() {
            seen.miss(NAME, "the kernel does not tell how long threads wait for a core");
            return;
        }
        seen.put(NAME, self.see(now) as f64 / 1e9);
    }

    /// The sum with these waits. A thread whose wait is smaller than before is a new one of the same number.
    fn see(&mut self, now: BTreeMap<i32, u64>) -> u64 {
        let is_first = self.last.is_empty();
        for (tid, waited) in &now {
            let before = self.last.get(tid).filter(|before| *before <= waited);
            // What was before the first look is nobody's business.
            if !is_first {
                self.sum_ns += waited - before.unwrap_or(&0);
            }
        }
        self.last = now;
        self.sum_ns
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use procfs::process::Process;

    use super::super::Seen;
    use super::{NAME, Waits};

    #[test]
    fn threads_come_and_go_and_the_sum_only_grows() {
        let mut waits = Waits::default();
        let mut see = |threads: &[(i32, u64)]| waits.see(threads.iter().copied().collect::<BTreeMap<_, _>>());
        assert_eq!(see(&[(1, 500), (2, 100)]), 0, "what was before");
        assert_eq!(see(&[(1, 510), (2, 100)]), 10);
        assert_eq!(see(&[(1, 510), (3, 7)]), 17, "one went, one came");
        assert_eq!(see(&[(1, 3), (3, 7)]), 20, "another of the same number");
    }

    #[test]
    fn our_own_threads_can_be_seen() {
        let own = Process::myself().unwrap();
        let mut seen = Seen::default();
        Waits::default().put(&mut seen, [&own]);
        assert_eq!(seen.values.get(NAME), Some(&0.0), "{seen:?}");
        let mut nobody = Seen::default();
        Waits::default().put(&mut nobody, []);
        assert!(
            nobody.values.is_empty() && nobody.missing.len() == 1,
            "{nobody:?}"
        );
    }
}
