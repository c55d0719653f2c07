//! Points in time as results write them, and the step of the clock that wrote them.

use jiff::civil;

use super::quantity::{Dimension, Unit, quantity};
use super::shown;

const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;
/// A number from which on it counts since 1970, by unit.
const SINCE_1970: [(f64, i128); 4] = [(1e17, 1), (1e14, 1_000), (1e11, 1_000_000), (1e8, SECOND)];
/// Stamps from which on whole seconds or minutes are no accident.
const STAMPS_MIN: usize = 10;

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Since some zero, the same for all stamps of a column.
    pub ns: i128,
    /// The smallest step that its text can show.
    pub step_ns: i128,
    /// Whether it is a time of day without its date.
    pub of_day: bool,
}

/// A date and time, a time of day, a number since 1970, or a number with a unit.
pub(super) fn stamp(text: &str, unit: Option<Unit>) -> Result<Stamp, String> {
    let text = text.trim();
    if let Some(stamp) = number(text, unit) {
        return Ok(stamp);
    }
    clock(text).or_else(|| date(text)).ok_or_else(|| {
        format!(
            "{} is no point in time; write 2026-01-31T20:54:25.123, 20:54:25, seconds since 1970, or a number in a column whose \
             name ends in its unit (start_ms)",
            shown(text)
        )
    })
}

/// A number: with a unit, or so large that it can only count since 1970.
fn number(text: &str, unit: Option<Unit>) -> Option<Stamp> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let unit_ns = if whole.is_empty() || whole.len() > 19 || !plain(whole) || !plain(part) || part.len() > 18
    {
        // With its unit in the cell, or in exponents.
        let seconds = quantity(text, Dimension::Time, unit).ok()?;
        return Some(Stamp {
            ns: (seconds * 1e9).round() as i128,
            step_ns: 1,
            of_day: false,
        });
    } else if let Some(unit) = unit {
        (quantity("1", Dimension::Time, Some(unit)).ok()? * 1e9).round() as i128
    } else {
        let size: f64 = whole.parse().ok()?;
        SINCE_1970.iter().find(|(least, _)| size >= *least)?.1
    };
    let scale = 10_i128.pow(part.len() as u32);
    let digits: i128 = format!("{whole}{part}").parse().ok()?;
    Some(Stamp {
        ns: digits.checked_mul(unit_ns)? / scale,
        step_ns: (unit_ns / scale).max(1),
        of_day: false,
    })
}

/// `20:54`, `20:54:25`, `20:54:25.123`.
fn clock(text: &str) -> Option<Stamp> {
    let (hms, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let parts: Vec<&str> = hms.split(':').collect();
    let field = |i: usize, below: i128| {
        let part = *parts.get(i)?;
        let value: i128 = (1..=2).contains(&part.len()).then(|| part.parse().ok())??;
        (part.bytes().all(|b| b.is_ascii_digit()) && value < below).then_some(value)
    };
    let has_seconds = match parts.len() {
        2 if fraction.is_empty() => false,
        3 => true,
        _ => return None,
    };
    let seconds = if has_seconds { field(2, 61)? } else { 0 };
    let (fraction_ns, fraction_step) = fraction_ns(fraction)?;
    Some(Stamp {
        ns: (field(0, 24)? * 3600 + field(1, 60)? * 60 + seconds) * SECOND + fraction_ns,
        step_ns: if has_seconds { fraction_step } else { 60 * SECOND },
        of_day: true,
    })
}

fn fraction_ns(fraction: &str) -> Option<(i128, i128)> {
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let kept = &fraction[..fraction.len().min(9)];
    let step = 10_i128.pow(9 - kept.len() as u32);
    let value: i128 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
    Some((value * step, step))
}

/// A date and time, with or without a zone; no zone means UTC.
fn date(text: &str) -> Option<Stamp> {
    let (day, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let of_clock = rest.find(['Z', 'z', '+', '-']).map_or(rest, |at| &rest[..at]);
    let time = clock(of_clock.trim_end())?;
    let zone = rest[of_clock.len()..].trim();
    let day: civil::Date = day.parse().ok()?;
    let since = day.since(civil::date(1970, 1, 1)).ok()?;
    Some(Stamp {
        ns: i128::from(since.get_days()) * DAY + time.ns - offset_ns(zone)?,
        step_ns: time.step_ns,
        of_day: false,
    })
}

/// `Z`, `+02:00`, `-0530`, or nothing.
fn offset_ns(zone: &str) -> Option<i128> {
    let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
    match zone.as_bytes().first() {
        None | Some(b'Z' | b'z') => Some(0),
        Some(sign) if digits.len() == 4 || digits.len() == 2 => {
            let hours: i128 = digits[..2].parse().ok()?;
            let minutes: i128 = digits.get(2..4).map_or(Ok(0), str::parse).ok()?;
            let offset = (hours * 3600 + minutes * 60) * SECOND;
            Some(if *sign == b'-' { -offset } else { offset })
        }
        Some(_) => None,
    }
}

/// The step of the clock behind stamps: the finest that is written; whole seconds or minutes when all of many are.
pub(super) fn step_ns(stamps: &[Stamp]) -> Option<i128> {
    let written = stamps.iter().map(|s| s.step_ns).min()?;
    if stamps.len() < STAMPS_MIN {
        return Some(written);
    }
    let first = stamps[0].ns;
    // Stamps that never move show no step.
    if stamps.iter().all(|s| s.ns == first) && written >= SECOND {
        return Some(written);
    }
    let coarse = [60 * SECOND, SECOND]
        .into_iter()
        .find(|step| stamps.iter().all(|s| s.ns % step == 0));
    Some(coarse.unwrap_or(written).max(written))
}

#[cfg(test)]
mod tests {
    use super::super::quantity::Unit;
    use super::{SECOND, Stamp, stamp, step_ns};

    fn at(text: &str) -> (i128, i128) {
        let found = stamp(text, None).unwrap();
        (found.ns, found.step_ns)
    }

    #[test]
    fn points_in_time() {
        assert_eq!(at("1970-01-02T00:00:01Z"), (86_401 * SECOND, SECOND));
        assert_eq!(at("1970-01-01 02:00:00.25+02:00"), (250_000_000, 10_000_000));
        assert_eq!(at("1970-01-01 00:01"), (60 * SECOND, 60 * SECOND));
        assert_eq!(at("22:42"), ((22 * 60 + 42) * 60 * SECOND, 60 * SECOND));
        assert_eq!(
            at("20:54:25,5"),
            ((20 * 3600 + 54 * 60 + 25) * SECOND + 500_000_000, 100_000_000)
        );
        assert_eq!(at("1700000000"), (1_700_000_000 * SECOND, SECOND));
        assert_eq!(at("1700000000.125"), (1_700_000_000_125_000_000, 1_000_000));
        assert_eq!(at("1700000000123"), (1_700_000_000_123_000_000, 1_000_000));
        assert_eq!(stamp("12.5", Unit::parse("ms")).unwrap().ns, 12_500_000);
        assert_eq!(stamp("12.5ms", None).unwrap().ns, 12_500_000);
        for wrong in [
            "",
            "soon",
            "12",
            "25:00",
            "20:61:00",
            "1970-13-01 00:00",
            "-5",
            "1:2:3:4",
            "é970-01-01T00:00",
            "99999999999999999999",
        ] {
            assert!(stamp(wrong, None).is_err(), "{wrong}");
        }
        let beyond = "9999999999999999999.999999999999999999";
        assert!(stamp(beyond, Unit::parse("h")).is_err());
    }

    #[test]
    fn the_step_is_that_of_the_clock_and_not_of_its_zeros() {
        let stamps =
            |texts: &[String]| -> Vec<Stamp> { texts.iter().map(|t| stamp(t, None).unwrap()).collect() };
        let seconds: Vec<String> = (0..20).map(|i| format!("10:00:{i:02}.000")).collect();
        assert_eq!(step_ns(&stamps(&seconds)), Some(SECOND));
        assert_eq!(step_ns(&stamps(&seconds[..3])), Some(1_000_000));
        let minutes = vec!["2026-01-31 22:42".to_owned(); 32];
        assert_eq!(step_ns(&stamps(&minutes)), Some(60 * SECOND));
        assert_eq!(step_ns(&[]), None);
    }
}
