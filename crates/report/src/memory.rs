//! Memory of the target over a run, out of the readings of its monitors: bounded, however long the run. Judges nothing, and knows
//! nothing of pictures.

use prony_model::{MEMORY_SOURCES, Nanos, Reading};
use serde::{Deserialize, Serialize};

/// Readings with which a source is not left for a worse one that was read more often.
const ENOUGH: usize = 20;

/// Most points of a source.
const POINTS_MAX: usize = 400;

/// Spans of time in each of which two points are left when there are too many.
const SPANS: u64 = POINTS_MAX as u64 / 4;

/// A time since the run's epoch, and bytes.
type Point = (Nanos, f64);

/// What was read of the target's memory so far, by source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryReadings([Vec<Point>; MEMORY_SOURCES.len()]);

/// Memory of the target over a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemorySeries {
    /// What was read, in a few words.
    pub what: String,
    /// When, since the run's epoch, and bytes; in order of time.
    pub points: Vec<(Nanos, f64)>,
}

impl MemoryReadings {
    /// Takes in what a reading tells of memory, if anything.
    pub(crate) fn take(&mut self, reading: &Reading) {
        for (source, points) in MEMORY_SOURCES.iter().zip(&mut self.0) {
            if reading.monitor == source.monitor
                && let Some(&bytes) = reading.values.get(source.value)
                && bytes.is_finite()
                && bytes >= 0.0
            {
                let place = points.partition_point(|(at, _)| *at <= reading.at);
                points.insert(place, (reading.at, bytes));
                if points.len() > POINTS_MAX {
                    *points = thinned(points);
                }
            }
        }
    }

    /// The best source that was read often enough, else the one that was read most often. Without a reading it has no points.
    pub(crate) fn series(&self) -> MemorySeries {
        let read = || MEMORY_SOURCES.iter().zip(&self.0);
        let enough = read().find(|(_, points)| points.len() >= ENOUGH);
        // Of several that were read as often `max_by_key` takes the last.
        let most = || read().rev().max_by_key(|(_, points)| points.len());
        enough
            .or_else(most)
            .map(|(source, points)| MemorySeries {
                what: source.what.to_owned(),
                points: points.clone(),
            })
            .unwrap_or_default()
    }
}

/// The first point and the last, and of each span of time between them the lowest and the highest.
fn thinned(points: &[Point]) -> Vec<Point> {
    let [first, between @ .., last] = points else {
        return points.to_vec();
    };
    let width = (last.0 - first.0).0 / SPANS + 1;
    let span = |point: &Point| (point.0 - first.0).0 / width;
    let mut out = vec![*first];
    for group in between.chunk_by(|a, b| span(a) == span(b)) {
        let (mut low, mut high) = (0, 0);
        for (i, (_, bytes)) in group.iter().enumerate() {
            if *bytes < group[low].1 {
                low = i;
            }
            if *bytes > group[high].1 {
                high = i;
            }
        }
        out.push(group[low.min(high)]);
        if low != high {
            out.push(group[low.max(high)]);
        }
    }
    out.push(*last);
    out
}

#[cfg(test)]
mod tests {
    use prony_model::{Nanos, Reading};

    use super::{MemoryReadings, POINTS_MAX};

    fn reading(at: u64, monitor: &str, value: &str, bytes: f64) -> Reading {
        Reading {
            at: Nanos(at),
            monitor: monitor.to_owned(),
            values: [(value.to_owned(), bytes)].into(),
        }
    }

    #[test]
    fn a_long_run_keeps_its_ends_and_its_extremes() {
        let mut readings = MemoryReadings::default();
        for at in 0..30_000_u32 {
            let bytes = match at {
                11_111 => 9.0,
                22_222 => 99.0,
                at => 40.0 + f64::from(at % 10),
            };
            readings.take(&reading(u64::from(at), "memory", "pss_bytes", bytes));
        }
        let points = readings.series().points;
        assert!(points.len() > POINTS_MAX / 4 && points.len() <= POINTS_MAX);
        assert!(points.is_sorted_by_key(|(at, _)| *at));
        assert_eq!(points.first(), Some(&(Nanos(0), 40.0)));
        assert_eq!(points.last(), Some(&(Nanos(29_999), 49.0)));
        assert!(points.contains(&(Nanos(11_111), 9.0)) && points.contains(&(Nanos(22_222), 99.0)));
        // No part of the run is left out.
        assert!(points.windows(2).all(|w| (w[1].0 - w[0].0).0 <= 1_000));
    }

    #[test]
    fn readings_at_one_moment_or_out_of_order_stay_bounded() {
        let mut readings = MemoryReadings::default();
        for n in 0..2_000 {
            readings.take(&reading(5, "memory", "pss_bytes", f64::from(n)));
        }
        readings.take(&reading(u64::MAX, "memory", "pss_bytes", 7.0));
        readings.take(&reading(3, "memory", "pss_bytes", 8.0));
        let points = readings.series().points;
        assert!(points.len() <= POINTS_MAX);
        assert_eq!(points.first(), Some(&(Nanos(3), 8.0)));
        assert_eq!(points.last(), Some(&(Nanos(u64::MAX), 7.0)));
        assert!(points.contains(&(Nanos(5), 1_999.0)));
    }

    #[test]
    fn the_best_source_that_was_read_often_enough_is_told() {
        let mut readings = MemoryReadings::default();
        assert!(readings.series().points.is_empty());
        for at in 0..30 {
            readings.take(&reading(at, "process", "anonymous_bytes", 1.0));
            readings.take(&reading(at, "generator", "rss_bytes", 2.0));
            readings.take(&reading(at, "memory", "pss_bytes", f64::NAN));
        }
        for at in 0..19 {
            readings.take(&reading(at, "memory", "pss_bytes", 3.0));
        }
        let series = readings.series();
        assert_eq!(
            (series.what.as_str(), series.points.len()),
            ("memory of its process tree that no file is behind", 30)
        );
        readings.take(&reading(19, "memory", "pss_bytes", 3.0));
        assert_eq!(readings.series().what, "memory of its process tree (PSS)");
    }
}
