//! Readings at an interval, on a thread of their own.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use prony_model::{Nanos, Reading};

use super::{MONITORS, Monitor, Source, Watched};
use crate::worker::thread_cpu;

/// Readings that may wait to be drained; beyond them new ones are left out.
const WAITING_MAX: usize = 100_000;

/// A monitor is read so seldom that looking takes at most one part in so many of a core.
const PARTS_MIN: u32 = 100;

/// A background watch of a target, its host and ourselves.
#[derive(Debug)]
pub struct Watch {
    readings: Receiver<Reading>,
    stop: SyncSender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Reads every monitor at once and then at each interval, or less often those that take long; times count from `epoch`.
    pub fn start(watched: Watched, interval: Duration, epoch: Instant) -> Self {
        let (sender, readings) = sync_channel(WAITING_MAX);
        let (stop, stopped) = sync_channel::<()>(1);
        let watch = move || {
            let mut sources: Vec<(Instant, &Monitor, Source)> = MONITORS
                .iter()
                .map(|monitor| (Instant::now(), monitor, (monitor.open)(&watched)))
                .collect();
            loop {
                for (due, monitor, source) in &mut sources {
                    let begun = Instant::now();
                    if begun < *due {
                        continue;
                    }
                    let cpu = thread_cpu();
                    if let Some(reading) = read(monitor, source, epoch) {
                        // A full channel loses readings, not the watch.
                        let _ = sender.try_send(reading);
                    }
                    let cost = (thread_cpu() - cpu).as_duration();
                    *due = begun + interval.max(monitor.every).max(cost * PARTS_MIN);
                }
                let next = sources.iter().map(|(due, ..)| *due).min();
                let left = next.map_or(interval, |due| due.saturating_duration_since(Instant::now()));
                if !matches!(stopped.recv_timeout(left), Err(RecvTimeoutError::Timeout)) {
                    return;
                }
            }
        };
        // Without a thread there are no readings, and the report says that there are none.
        let thread = thread::Builder::new()
            .name("prony-watch".to_owned())
            .spawn(watch)
            .ok();
        Self {
            readings,
            stop,
            thread,
        }
    }

    /// The readings since the last call, oldest first.
    pub fn drain(&mut self) -> Vec<Reading> {
        self.readings.try_iter().collect()
    }

    /// Stops and returns the readings since the last [`Watch::drain`].
    pub fn stop(mut self) -> Vec<Reading> {
        self.end();
        self.readings.try_iter().collect()
    }

    fn end(&mut self) {
        // Either the thread hears this or it has ended already.
        let _ = self.stop.try_send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a monitor sees now; `None` when it sees nothing.
fn read(monitor: &Monitor, source: &mut Source, epoch: Instant) -> Option<Reading> {
    let at = Nanos::from(epoch.elapsed());
    let seen = source();
    (!seen.values.is_empty()).then(|| Reading {
        at,
        monitor: monitor.name.to_owned(),
        values: seen.values,
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Watch, Watched};

    #[test]
    fn reads_at_once_and_stops() {
        let watched = Watched {
            pid: Some(std::process::id()),
            ..Watched::default()
        };
        let mut watch = Watch::start(watched, Duration::from_secs(3600), Instant::now());
        let mut seen = Vec::new();
        while !seen
            .iter()
            .any(|r: &prony_model::Reading| r.monitor == "generator")
        {
            seen.extend(watch.drain());
            std::thread::yield_now();
        }
        assert!(
            seen.iter()
                .any(|r| r.monitor == "memory" && r.values["pss_bytes"] > 0.0),
            "{seen:?}"
        );
        assert!(watch.stop().is_empty());
    }
}
