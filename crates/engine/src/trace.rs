//! A recorded trace: the times of its arrivals, and the scenario that each takes. It reads one file and knows no clock.

use prony_model::{Nanos, Shape, TimeUnit};

use crate::date;
use crate::table::{Table, TableError};

/// A trace, ready to be replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Since the first arrival, in order; already at the speed of the replay.
    pub(crate) times: Vec<Nanos>,
    /// Scenario of each arrival; empty when the trace names none.
    pub(crate) scenarios: Vec<u16>,
}

impl Trace {
    /// Reads the trace of a replay; `None` for another shape. `scenarios` are the names of the phase's scenarios.
    pub fn load(shape: &Shape, scenarios: &[&str]) -> Result<Option<Self>, TableError> {
        let Shape::Replay {
            file,
            speed,
            time,
            unit,
            scenario,
            ..
        } = shape
        else {
            return Ok(None);
        };
        let columns: Vec<String> = [Some(time), scenario.as_ref()]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        let table = Table::read(file, &columns)?;
        Self::of(
            file,
            &table,
            *unit,
            *speed,
            scenario.is_some().then_some(scenarios),
        )
        .map(Some)
    }

    fn of(
        file: &str,
        table: &Table,
        unit: TimeUnit,
        speed: f64,
        scenarios: Option<&[&str]>,
    ) -> Result<Self, TableError> {
        let mut trace = Self::default();
        let (mut first, mut previous) = (None, i128::MIN);
        for row in 0..table.len() {
            let wrong = |why: String| TableError::new(file, table.line(row), why);
            let text = table.cell(row, 0);
            let at = nanoseconds(text, unit).ok_or_else(|| {
                let shown: String = text.chars().take(40).collect();
                wrong(match unit {
                    TimeUnit::Date => {
                        format!("{shown:?} is no date and time, such as 2026-01-31T12:00:00.5Z")
                    }
                    _ => format!("{shown:?} is no time: write a number of 0 or more"),
                })
            })?;
            if at < previous {
                return Err(wrong(format!(
                    "its time {text} lies before that of the row above: sort the file by time"
                )));
            }
            previous = at;
            let since = (at - *first.get_or_insert(at)) as f64 / speed;
            trace.times.push(Nanos(since.round() as u64));
            if let Some(names) = scenarios {
                let name = table.cell(row, 1);
                let index = names.iter().position(|known| *known == name).ok_or_else(|| {
                    let shown: String = name.chars().take(80).collect();
                    wrong(format!(
                        "the phase has no scenario `{shown}`; it has: {}",
                        names.join(", ")
                    ))
                })?;
                trace.scenarios.push(index as u16);
            }
        }
        Ok(trace)
    }

    /// The same with no two arrivals closer than `1 / rate_max`; 0 means no bound.
    #[must_use]
    pub(crate) fn capped(mut self, rate_max: f64) -> Self {
        if rate_max > 0.0 {
            let gap = Nanos::from_secs_f64(1.0 / rate_max);
            let mut earliest = Nanos::ZERO;
            for at in &mut self.times {
                *at = (*at).max(earliest);
                earliest = *at + gap;
            }
        }
        self
    }

    /// How many arrivals it has.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether it has none; a trace that was read never is.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }
}

/// A time in nanoseconds since the unit's zero, exact for decimal numbers.
fn nanoseconds(text: &str, unit: TimeUnit) -> Option<i128> {
    let text = text.trim();
    let digits = match unit {
        TimeUnit::Date => return date::rfc3339(text),
        TimeUnit::Seconds => 9,
        TimeUnit::Millis => 6,
        TimeUnit::Micros => 3,
        TimeUnit::Nanos => 0,
    };
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 20 || !is_plain(whole) || !is_plain(part) {
        // Exponents and the like.
        let value: f64 = text.parse().ok()?;
        let scaled = value * 10_i128.pow(digits as u32) as f64;
        return (0.0..1e27).contains(&scaled).then_some(scaled.round() as i128);
    }
    let kept = &part[..part.len().min(digits)];
    let zeros = 10_i128.pow((digits - kept.len()) as u32);
    let fraction = if kept.is_empty() {
        0
    } else {
        kept.parse::<i128>().ok()? * zeros
    };
    Some(whole.parse::<i128>().ok()? * 10_i128.pow(digits as u32) + fraction)
}

#[cfg(test)]
mod tests {
    use super::{Trace, nanoseconds};
    use crate::table::Table;
    use prony_model::{Nanos, TimeUnit};

    fn trace(text: &str, unit: TimeUnit, speed: f64) -> Result<Trace, String> {
        let table = Table::parse("t.csv", text, &["at".to_owned()]).unwrap();
        Trace::of("t.csv", &table, unit, speed, None).map_err(|e| e.to_string())
    }

    #[test]
    fn times_count_from_the_first_row_and_shrink_by_the_speed() {
        let text = "at\n1700000000.25\n1700000000.5\n1700000002.250000001\n";
        let ns = |speed| {
            trace(text, TimeUnit::Seconds, speed).map(|t| t.times.iter().map(|n| n.0).collect::<Vec<_>>())
        };
        assert_eq!(ns(1.0).unwrap(), [0, 250_000_000, 2_000_000_001]);
        assert_eq!(ns(2.0).unwrap(), [0, 125_000_000, 1_000_000_001]);
        assert_eq!(ns(0.5).unwrap(), [0, 500_000_000, 4_000_000_002]);
        let dates = "at\n2023-11-16 18:15:46.6805900\n2023-11-16 18:15:47.6805900\n";
        let times = trace(dates, TimeUnit::Date, 1.0).unwrap().times;
        assert_eq!(times, [Nanos(0), Nanos(1_000_000_000)]);
    }

    #[test]
    fn what_is_out_of_order_or_no_time_is_told_with_its_line() {
        let error = trace("at\n5\n7\n6\n", TimeUnit::Millis, 1.0).unwrap_err();
        assert!(
            error.starts_with("t.csv, line 4:") && error.contains("sort"),
            "{error}"
        );
        for bad in ["soon", "-1", "", "nan", "inf"] {
            let error = trace(
                &format!("at\n1\n\"{bad}\"x\n").replace("\"x", "\""),
                TimeUnit::Seconds,
                1.0,
            );
            let empty = bad.is_empty() && error.is_ok();
            assert!(
                empty || error.as_ref().is_err_and(|e| e.contains("line 3")),
                "{bad}: {error:?}"
            );
        }
    }

    #[test]
    fn the_cap_holds_between_any_two_arrivals() {
        let capped = trace("at\n0\n0\n0.5\n0.55\n", TimeUnit::Seconds, 1.0)
            .unwrap()
            .capped(10.0);
        let ms: Vec<u64> = capped.times.iter().map(|n| n.0 / 1_000_000).collect();
        assert_eq!(ms, [0, 100, 500, 600]);
    }

    #[test]
    fn rows_name_their_scenario() {
        let table = Table::parse(
            "t.csv",
            "at,what\n0,b\n1,a\n2,b\n",
            &["at".to_owned(), "what".to_owned()],
        )
        .unwrap();
        let of = |names: &[&str]| Trace::of("t.csv", &table, TimeUnit::Seconds, 1.0, Some(names));
        assert_eq!(of(&["a", "b"]).unwrap().scenarios, [1, 0, 1]);
        let error = of(&["b", "c"]).unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("`a`"), "{error}");
    }

    #[test]
    fn units() {
        assert_eq!(nanoseconds("1.5", TimeUnit::Seconds), Some(1_500_000_000));
        assert_eq!(nanoseconds("1.5", TimeUnit::Millis), Some(1_500_000));
        assert_eq!(nanoseconds("1.5", TimeUnit::Micros), Some(1500));
        assert_eq!(nanoseconds("17", TimeUnit::Nanos), Some(17));
        assert_eq!(nanoseconds("1e3", TimeUnit::Micros), Some(1_000_000));
        assert_eq!(nanoseconds("1.", TimeUnit::Millis), Some(1_000_000));
    }
}
