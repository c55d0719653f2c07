//! One series of the target's memory over the requests it has answered, out of the readings of several phases. Judges nothing.

use std::collections::BTreeMap;

use prony_model::{MEMORY_SOURCES, MemorySource, Nanos, PhaseResult, Reading};

use crate::rate::offered;

use super::judge;

/// Readings that a source of memory needs to be used.
const READINGS_MIN: usize = 3;

/// The target's memory over its work.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    /// What was read.
    pub what: &'static str,
    /// Requests answered before each reading, ascending.
    pub requests: Vec<f64>,
    /// Memory at each reading, in bytes.
    pub bytes: Vec<f64>,
    /// Seconds from the first reading to the last.
    pub span_s: f64,
    /// Where memory ends, in bytes, and whose limit that is; `None` when nobody tells.
    pub limit: Option<(f64, &'static str)>,
    /// What broke the series.
    pub interruption: Option<Interruption>,
}

/// Something that begins memory anew.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Interruption {
    /// The process started again, after so many requests.
    Restart(f64),
    /// The kernel killed processes of the group for want of memory, so many.
    OutOfMemory(f64),
    /// Worker processes ended that had lasted, so many.
    WorkersLost(f64),
}

/// Whether a phase has readings of the target's memory.
pub(crate) fn shows_memory(phase: &PhaseResult) -> bool {
    MEMORY_SOURCES
        .iter()
        .any(|source| readings(phase, source.monitor, source.value).next().is_some())
}

/// The series over phases that follow one another; `None` when memory was not read.
pub(crate) fn of(phases: &[&PhaseResult]) -> Option<Series> {
    let MemorySource { monitor, value, what } = source(phases)?;
    let mut series = Series {
        what,
        requests: Vec::new(),
        bytes: Vec::new(),
        span_s: 0.0,
        limit: limit(phases, monitor),
        interruption: None,
    };
    let mut work = Work::default();
    let mut times: Vec<Nanos> = Vec::new();
    for phase in phases {
        let counter = work.of(phase);
        for (reading, bytes) in readings(phase, monitor, value) {
            series.requests.push(counter.at(reading.at));
            series.bytes.push(bytes);
            times.push(reading.at);
        }
        work.add(&counter);
    }
    if let (Some(first), Some(last)) = (times.first(), times.last()) {
        series.span_s = (*last - *first).as_secs_f64();
    }
    series.interruption = interruption(phases);
    Some(series)
}

/// Memory during a silence: seconds since its start, and bytes.
pub(super) fn silence(phase: &PhaseResult) -> (Vec<f64>, Vec<f64>) {
    let mut sent: Vec<(Nanos, Nanos)> = phase.samples.iter().map(|s| (s.done, s.sent)).collect();
    sent.sort_unstable();
    let (Some(&(from, _)), Some(&(_, to))) = (sent.first(), sent.last()) else {
        return (Vec::new(), Vec::new());
    };
    source(&[phase])
        .into_iter()
        .flat_map(|source| readings(phase, source.monitor, source.value))
        .filter(|(reading, _)| reading.at >= from && reading.at <= to)
        .map(|(reading, bytes)| ((reading.at - from).as_secs_f64(), bytes))
        .unzip()
}

/// The best source that was read as often as a conclusion needs, else the one that was read most often.
fn source(phases: &[&PhaseResult]) -> Option<MemorySource> {
    let counted = MEMORY_SOURCES.map(|source| (count(phases, source.monitor, source.value), source));
    let enough = counted.iter().find(|(n, _)| *n >= judge::READINGS_MIN);
    // Of several that were read as often `max_by_key` takes the last.
    let most = || counted.iter().rev().max_by_key(|(n, _)| *n);
    let (n, source) = enough.or_else(most)?;
    (*n >= READINGS_MIN).then_some(*source)
}

/// The readings of a value while a phase ran, in order.
fn readings<'a>(
    phase: &'a PhaseResult,
    monitor: &'a str,
    value: &'a str,
) -> impl Iterator<Item = (&'a Reading, f64)> {
    let (from, to) = (phase.summary.started, phase.summary.ended);
    phase
        .readings
        .iter()
        .filter(move |r| r.monitor == monitor && r.at >= from && r.at <= to)
        .filter_map(|r| Some((r, *r.values.get(value)?)))
}

fn count(phases: &[&PhaseResult], monitor: &str, value: &str) -> usize {
    phases.iter().map(|p| readings(p, monitor, value).count()).sum()
}

/// The last reading of a value.
fn last(phases: &[&PhaseResult], monitor: &str, value: &str) -> Option<f64> {
    phases
        .iter()
        .rev()
        .find_map(|p| readings(p, monitor, value).last())
        .map(|(_, value)| value)
}

fn limit(phases: &[&PhaseResult], monitor: &str) -> Option<(f64, &'static str)> {
    let of_group = last(phases, "cgroup", "memory_limit_bytes").map(|bytes| (bytes, "its control group"));
    // What tells its own metrics may be on another host.
    let of_host = || {
        let host = last(phases, "host", "memory_total_bytes").filter(|_| monitor != "metrics");
        host.map(|bytes| (bytes, "the host"))
    };
    of_group.or_else(of_host)
}

fn interruption(phases: &[&PhaseResult]) -> Option<Interruption> {
    let grown = |monitor: &str, value: &str| {
        let all: Vec<f64> = phases
            .iter()
            .flat_map(|p| readings(p, monitor, value).map(|(_, v)| v))
            .collect();
        Some(all.last()? - all.first()?).filter(|by| *by > 0.0)
    };
    restarted(phases)
        .map(Interruption::Restart)
        .or_else(|| grown("cgroup", "oom_kills").map(Interruption::OutOfMemory))
        .or_else(|| grown("process", "workers_lost").map(Interruption::WorkersLost))
}

/// Requests answered when the process was first seen with a later start. Behind a balancer the starts of several processes
/// come in turn: one that is seen again after another is no restart.
fn restarted(phases: &[&PhaseResult]) -> Option<f64> {
    ["process", "metrics"].into_iter().find_map(|monitor| {
        let mut work = Work::default();
        let mut starts: Vec<(f64, f64)> = Vec::new();
        for phase in phases {
            let counter = work.of(phase);
            starts.extend(readings(phase, monitor, "started_s").map(|(r, start)| (counter.at(r.at), start)));
            work.add(&counter);
        }
        let last: BTreeMap<u64, usize> = starts
            .iter()
            .enumerate()
            .map(|(i, (_, start))| (start.to_bits(), i))
            .collect();
        let at = starts.windows(2).position(|pair| pair[1].1 > pair[0].1)?;
        let old = starts[at].1.to_bits();
        (last[&old] == at).then_some(starts[at + 1].0)
    })
}

/// Silence between two phases beyond which a phase ran that was measured again, in s.
const GAP_S: f64 = 2.0;

/// Requests answered in the phases before.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    before: f64,
    /// When the last phase ended.
    ended: Option<Nanos>,
}

/// Requests answered up to a moment of a phase.
struct Counter {
    before: f64,
    /// When each answer ended, ascending; empty when not all are known.
    ends: Vec<Nanos>,
    started: Nanos,
    ended: Nanos,
    in_all: f64,
}

impl Work {
    /// The requests of a phase. Those of a stretch that was measured again are not on record, but they were sent: as many as fit
    /// between the last phase and this one.
    fn of(self, phase: &PhaseResult) -> Counter {
        let summary = &phase.summary;
        let mut ends: Vec<Nanos> = phase
            .samples
            .iter()
            .filter(|s| s.is_arrival() && !s.outcome.is_own() && !phase.samples_cut)
            .map(|s| s.done)
            .collect();
        ends.sort_unstable();
        let gap_s = self
            .ended
            .map_or(0.0, |ended| (summary.started - ended).as_secs_f64());
        let unseen = if gap_s > GAP_S {
            gap_s * offered(phase)
        } else {
            0.0
        };
        Counter {
            before: self.before + unseen,
            ends,
            started: summary.started,
            ended: summary.ended,
            in_all: (summary.ok + summary.failed) as f64,
        }
    }

    fn add(&mut self, counter: &Counter) {
        self.before = counter.before + counter.in_all;
        self.ended = Some(counter.ended);
    }
}

impl Counter {
    fn at(&self, at: Nanos) -> f64 {
        let within = if self.ends.is_empty() {
            let length_s = (self.ended - self.started).as_secs_f64().max(1e-9);
            self.in_all * (at - self.started).as_secs_f64() / length_s
        } else {
            self.ends.partition_point(|end| *end <= at) as f64
        };
        self.before + within
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prony_model::{Capture, Limits, MEMORY_SOURCES, Nanos, Phase, PhaseResult, Reading, Shape};

    use super::source;
    use crate::fake;
    use crate::leak::judge::READINGS_MIN;

    /// A phase in which the sources of memory were read so often each.
    fn read(times: [usize; 4]) -> PhaseResult {
        let phase = Phase {
            name: String::new(),
            experiment: "leak".to_owned(),
            scenarios: Vec::new(),
            shape: Shape::Sequential {
                requests: 1,
                duration_s: None,
            },
            limits: Limits::default(),
            capture: Capture::NONE,
        };
        let reading = |(monitor, value): (&str, &str)| Reading {
            at: Nanos(1),
            monitor: monitor.to_owned(),
            values: BTreeMap::from([(value.to_owned(), 1.0)]),
        };
        let readings = MEMORY_SOURCES
            .iter()
            .zip(times)
            .flat_map(|(source, n)| std::iter::repeat_n(reading((source.monitor, source.value)), n));
        PhaseResult {
            index: 0,
            summary: fake::summary(&phase, 0, &[], Nanos::SECOND),
            readings: readings.collect(),
            phase,
            samples: Vec::new(),
            samples_cut: false,
            captures: Vec::new(),
            streams: Vec::new(),
        }
    }

    #[test]
    fn the_best_source_that_was_read_often_enough_is_taken() {
        let taken = |times: [usize; 4]| source(&[&read(times)]).map(|source| source.monitor);
        let enough = READINGS_MIN;
        assert_eq!(taken([0, enough, enough, 9]), Some("memory"));
        assert_eq!(
            taken([0, enough - 1, enough, 9]),
            Some("process"),
            "PSS was slow to read"
        );
        assert_eq!(
            taken([0, 20, 30, 30]),
            Some("process"),
            "the most, and the best of as many"
        );
        assert_eq!(taken([3, 3, 3, 3]), Some("cgroup"));
        assert_eq!(taken([2, 0, 2, 0]), None);
    }
}
