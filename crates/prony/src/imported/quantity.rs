//! Numbers as people write them in reports: `1,939ms`, `~28 ms`, `86.7%`, `1.078 GiB`. Errors say what would be right.

use super::shown;

/// Largest count: beyond it a floating-point number skips whole ones.
const COUNT_MAX: f64 = 9_007_199_254_740_992.0;

/// What a number is a number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dimension {
    /// Seconds.
    Time,
    /// MiB.
    Memory,
    /// Parts of 1.
    Share,
    /// Per second.
    Rate,
    /// Times as much, or a plain number.
    Plain,
}

/// A unit: what it is a unit of, and how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    dimension: Dimension,
    factor: f64,
}

const MIB: f64 = 1024.0 * 1024.0;

/// Units by the words that reports use for them, lower case.
const UNITS: &[(&[&str], Dimension, f64)] = &[
    (&["ns", "nanoseconds"], Dimension::Time, 1e-9),
    (&["us", "µs", "μs", "microseconds"], Dimension::Time, 1e-6),
    (&["ms", "msec", "millis", "milliseconds"], Dimension::Time, 1e-3),
    (&["s", "sec", "secs", "second", "seconds"], Dimension::Time, 1.0),
    (&["min", "mins", "minute", "minutes"], Dimension::Time, 60.0),
    (&["h", "hour", "hours"], Dimension::Time, 3600.0),
    (&["b", "bytes"], Dimension::Memory, 1.0 / MIB),
    (&["kb"], Dimension::Memory, 1e3 / MIB),
    (&["kib"], Dimension::Memory, 1.0 / 1024.0),
    (&["mb"], Dimension::Memory, 1e6 / MIB),
    (&["mib"], Dimension::Memory, 1.0),
    (&["gb"], Dimension::Memory, 1e9 / MIB),
    (&["gib"], Dimension::Memory, 1024.0),
    (&["%", "percent", "pct"], Dimension::Share, 0.01),
    (&["share"], Dimension::Share, 1.0),
    (
        &[
            "/s",
            "1/s",
            "per second",
            "rps",
            "req/s",
            "requests/s",
            "qps",
            "/sec",
        ],
        Dimension::Rate,
        1.0,
    ),
    (
        &["/min", "1/min", "per minute", "rpm", "req/min", "requests/min"],
        Dimension::Rate,
        1.0 / 60.0,
    ),
    (&["/h", "per hour", "req/h"], Dimension::Rate, 1.0 / 3600.0),
    (
        &[
            "x",
            "×",
            "times",
            "ratio",
            "requests",
            "users",
            "concurrent",
            "workers",
        ],
        Dimension::Plain,
        1.0,
    ),
];

impl Unit {
    /// The unit that a word means.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let word = word.trim().to_lowercase();
        let (_, dimension, factor) = UNITS
            .iter()
            .find(|(words, _, _)| words.contains(&word.as_str()))?;
        Some(Self {
            dimension: *dimension,
            factor: *factor,
        })
    }

    pub(super) fn is_time(self) -> bool {
        self.dimension == Dimension::Time
    }

    pub(super) fn is_memory(self) -> bool {
        self.dimension == Dimension::Memory
    }
}

/// A number with the unit in the cell; without one there, with that of its column. In seconds, MiB, parts of 1, per second.
pub(super) fn quantity(text: &str, dimension: Dimension, unit: Option<Unit>) -> Result<f64, String> {
    let (number, word) = number_and_word(text)?;
    let unit = if word.is_empty() {
        unit
    } else {
        let known = Unit::parse(word);
        Some(known.ok_or_else(|| format!("{} has no known unit; {}", shown(text), example(dimension)))?)
    };
    let factor = match unit {
        Some(unit) if unit.dimension == dimension => unit.factor,
        // Speed-ups and tolerances are also given in per cent.
        Some(unit) if dimension == Dimension::Plain && unit.dimension == Dimension::Share => unit.factor,
        Some(_) => {
            return Err(format!(
                "{} has the wrong unit; {}",
                shown(text),
                example(dimension)
            ));
        }
        None if matches!(dimension, Dimension::Plain | Dimension::Rate) => 1.0,
        None => return Err(format!("{} has no unit; {}", shown(text), example(dimension))),
    };
    // 95 / 100 is 0.95, and 95 * 0.01 is a hair more.
    let value = if factor < 1.0 {
        number / (1.0 / factor)
    } else {
        number * factor
    };
    let sound = match dimension {
        Dimension::Memory => value.is_finite(),
        Dimension::Share => (0.0..=1.0).contains(&value),
        Dimension::Time | Dimension::Rate | Dimension::Plain => value.is_finite() && value >= 0.0,
    };
    if sound {
        Ok(value)
    } else {
        Err(format!("{} is not possible here", shown(text)))
    }
}

/// A whole number.
pub(super) fn count(text: &str) -> Result<u64, String> {
    let (number, word) = number_and_word(text)?;
    let is_count = word.is_empty() || Unit::parse(word).is_some_and(|u| u.dimension == Dimension::Plain);
    if is_count && number.fract() == 0.0 && (0.0..=COUNT_MAX).contains(&number) {
        Ok(number as u64)
    } else {
        Err(format!("{} is not a whole number, 0 or more", shown(text)))
    }
}

/// A plain number.
pub(super) fn number(text: &str) -> Result<f64, String> {
    quantity(text, Dimension::Plain, None)
}

fn example(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Time => "write 34ms or 1.5s, or end the column's name in _ms or _s",
        Dimension::Memory => "write 71 MiB, or end the column's name in _mib",
        Dimension::Share => "write 86.7%, between 0% and 100%",
        Dimension::Rate => "write 20/s or 90/min",
        Dimension::Plain => "write a plain number",
    }
}

/// Splits a cell into its number and the word behind it.
fn number_and_word(text: &str) -> Result<(f64, &str), String> {
    let wrong = || {
        format!(
            "{} is not one number; of a range give the end that the claim rests on, with a point for decimals",
            shown(text)
        )
    };
    let trimmed = text.trim().trim_start_matches(['~', '≈', '+']).trim_start();
    let is_part = |c: char| c.is_ascii_digit() || ".,".contains(c);
    let digits = |s: &str| s.find(|c| !is_part(c)).unwrap_or(s.len());
    let sign = usize::from(trimmed.starts_with('-'));
    let mut end = sign + digits(&trimmed[sign..]);
    // An exponent.
    if let Some(exponent) = trimmed[end..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['-', '+']));
        let length = exponent[sign..].bytes().take_while(u8::is_ascii_digit).count();
        if length > 0 {
            end += 1 + sign + length;
        }
    }
    let (number, word) = trimmed.split_at(end);
    let value: f64 = without_thousands(number)
        .ok_or_else(wrong)?
        .parse()
        .map_err(|_| wrong())?;
    let word = word.trim();
    let is_word = !word.starts_with(|c: char| c.is_ascii_digit() || "-–.,".contains(c));
    if is_word && value.is_finite() {
        Ok((value, word))
    } else {
        Err(wrong())
    }
}

/// The number without the commas between thousands; `None` when a comma stands elsewhere.
fn without_thousands(number: &str) -> Option<String> {
    let (whole, rest) = number
        .split_once('.')
        .map_or((number, ""), |(whole, rest)| (whole, rest));
    if rest.contains(',') {
        return None;
    }
    let mut groups = whole.trim_start_matches('-').split(',');
    let first = groups.next()?;
    let mut separated = false;
    for group in groups {
        separated = true;
        if group.len() != 3 {
            return None;
        }
    }
    if separated && !(1..=3).contains(&first.len()) {
        return None;
    }
    Some(number.replace(',', ""))
}

#[cfg(test)]
mod tests {
    use super::{Dimension, Unit, count, number, quantity};

    #[test]
    fn numbers_as_reports_write_them() {
        let time = |text| quantity(text, Dimension::Time, None);
        assert_eq!(time("1,939ms"), Ok(1.939));
        assert_eq!(time("~28 ms"), Ok(0.028));
        assert_eq!(time("1.5 s"), Ok(1.5));
        assert_eq!(time("2 min"), Ok(120.0));
        assert_eq!(time("3e2 ms"), Ok(0.3));
        assert_eq!(quantity("7", Dimension::Time, Unit::parse("ms")), Ok(0.007));
        assert_eq!(quantity("7s", Dimension::Time, Unit::parse("ms")), Ok(7.0));
        assert_eq!(quantity("86.5 %", Dimension::Share, None), Ok(0.865));
        assert_eq!(quantity("+71 MiB", Dimension::Memory, None), Ok(71.0));
        assert_eq!(quantity("-2 GiB", Dimension::Memory, None), Ok(-2048.0));
        assert_eq!(quantity("90/min", Dimension::Rate, None), Ok(1.5));
        assert_eq!(quantity("20", Dimension::Rate, None), Ok(20.0));
        assert_eq!(quantity("32x", Dimension::Plain, None), Ok(32.0));
        assert_eq!(quantity("50%", Dimension::Plain, None), Ok(0.5));
        assert_eq!(count("2,200"), Ok(2200));
        assert_eq!(number("15"), Ok(15.0));
    }

    #[test]
    fn what_is_not_one_number_is_told() {
        for text in [
            "25-35 s",
            "25–35s",
            "0,34s",
            "1,23,456s",
            "fast",
            "",
            "nan",
            "inf s",
            "1.2.3s",
            "1.2,3s",
            "<5ms",
        ] {
            let error = quantity(text, Dimension::Time, None).unwrap_err();
            assert!(error.contains("not one number"), "{text}: {error}");
        }
        for (text, dimension, hint) in [
            ("12", Dimension::Time, "has no unit; write 34ms"),
            ("12 MiB", Dimension::Time, "wrong unit"),
            ("12 parsecs", Dimension::Time, "no known unit"),
            ("0.9", Dimension::Share, "write 86.7%"),
            ("120%", Dimension::Share, "not possible"),
            ("-1 s", Dimension::Time, "not possible"),
        ] {
            let error = quantity(text, dimension, None).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
        assert!(
            count("1.5").is_err() && count("-1").is_err() && count("5ms").is_err() && count("1e300").is_err()
        );
    }

    #[test]
    fn hostile_text_in_a_number_is_shown_harmlessly() {
        let error = count("\u{1b}[31m\u{202e}7").unwrap_err();
        assert!(
            !error.contains('\u{1b}') && !error.contains('\u{202e}'),
            "{error}"
        );
    }
}
