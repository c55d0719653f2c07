//! Values with units as people type them: durations, rates, headers, `key=value`. Errors say what would be right.

use std::time::Duration;

use prony_model::Header;

/// Units of time, longest suffix first.
const UNITS: [(&str, f64); 4] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// Words that people type for a unit, and the unit meant.
const WORDS: [(&str, &str); 12] = [
    ("msec", "ms"),
    ("msecs", "ms"),
    ("millis", "ms"),
    ("milliseconds", "ms"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("min", "m"),
    ("mins", "m"),
    ("minutes", "m"),
    ("hours", "h"),
];

/// The longest duration accepted: a week.
const LONGEST_S: f64 = 7.0 * 24.0 * 3600.0;

/// `500ms`, `10s`, `1.5m`, `1h`; zero is not a duration.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let trimmed = text.trim();
    let split = trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(trimmed.len());
    let (digits, unit) = (&trimmed[..split], trimmed[split..].trim());
    let Ok(number) = digits.parse::<f64>() else {
        return Err(format!(
            "{text:?} does not begin with a number; write 500ms, 10s, 2m or 1h"
        ));
    };
    if unit.is_empty() {
        return Err(format!("{text:?} has no unit: did you mean {digits}s?"));
    }
    let Some((_, seconds)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let meant = WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(unit));
        return Err(match meant {
            Some((_, unit)) => format!("{text:?} has no known unit: did you mean {digits}{unit}?"),
            None => format!("{unit:?} is no unit of time; write 500ms, 10s, 2m or 1h"),
        });
    };
    if trimmed.contains(char::is_whitespace) {
        return Err(format!("{text:?} contains a space: did you mean {digits}{unit}?"));
    }
    let total = number * seconds;
    if total <= 0.0 {
        return Err("a duration must be above zero".to_owned());
    }
    if total > LONGEST_S {
        return Err(format!("{text:?} is over a week"));
    }
    Ok(Duration::from_secs_f64(total))
}

/// A positive, finite number per second.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let digits = text.trim().trim_end_matches("/s");
    match digits.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        Ok(_) => Err("a rate must be above zero".to_owned()),
        Err(_) => Err(format!(
            "{text:?} is not a number of requests per second; write 200 or 0.5"
        )),
    }
}

/// `Name: value`, as in HTTP.
pub(crate) fn header(text: &str) -> Result<Header, String> {
    let Some((name, value)) = text.split_once(':') else {
        return Err(format!("{text:?} has no colon; write 'Name: value'"));
    };
    let (name, value) = (name.trim(), value.trim());
    if !is_token(name) {
        return Err(format!(
            "{name:?} is not a header name (letters, digits and -_. without spaces)"
        ));
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(format!("the value of {name} contains control characters"));
    }
    Ok(Header::new(name, value))
}

/// `key=value`; the value may be empty.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err(format!("{text:?} is not of the form key=value")),
    }
}

/// Whether `name` is a token of RFC 9110, section 5.6.2.
pub(crate) fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{duration, header, key_value, rate};

    #[test]
    fn durations_with_units() {
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("1.5m", 90_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn wrong_units_suggest_the_right_one() {
        for (text, hint) in [
            ("10 sec", "did you mean 10s?"),
            ("10", "did you mean 10s?"),
            ("10 s", "did you mean 10s?"),
            ("3minutes", "did you mean 3m?"),
            ("10x", "write 500ms, 10s, 2m or 1h"),
            ("ten seconds", "does not begin with a number"),
            ("0s", "above zero"),
            ("1000h", "over a week"),
            ("1.2.3s", "does not begin with a number"),
        ] {
            let error = duration(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn rates() {
        assert_eq!(rate("2000"), Ok(2000.0));
        assert_eq!(rate("0.5/s"), Ok(0.5));
        assert!(rate("0").is_err() && rate("-1").is_err() && rate("inf").is_err() && rate("fast").is_err());
    }

    #[test]
    fn headers() {
        let h = header("X-Trace:  a:b ").unwrap();
        assert_eq!((h.name.as_str(), h.value.as_str()), ("X-Trace", "a:b"));
        assert!(header("no colon").is_err());
        assert!(header("bad name: x").is_err());
        assert!(header("X: a\r\nEvil: b").is_err());
    }

    #[test]
    fn pairs() {
        assert_eq!(key_value("a = b"), Ok(("a".into(), "b".into())));
        assert_eq!(key_value("a="), Ok(("a".into(), String::new())));
        assert!(key_value("=b").is_err() && key_value("ab").is_err());
    }
}
