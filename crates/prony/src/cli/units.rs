//! Values with units as people type them: durations, rates, headers, `key=value`. Errors say what would be right.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use prony_experiments::{Slo, check_slo};
use prony_model::{BodyCheck, Header, JsonText, StreamProtocol};

use super::launch::Words;

/// Units of time, longest suffix first.
const UNITS: [(&str, f64); 5] = [
    ("us", 0.000_001),
    ("ms", 0.001),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

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

/// Limits of the times of a stream: `ttft=200ms,itl=50ms`, as a suite would write them.
pub(crate) fn limits(text: &str) -> Result<Slo, String> {
    let mut slo = Slo::new();
    for part in text.split(',') {
        let (name, time) = part.split_once('=').ok_or_else(|| {
            format!(
                "{part:?} is no limit; write ttft, tpot, itl or e2e and a time, as in ttft=200ms,itl=50ms"
            )
        })?;
        let limit = duration(time)?;
        let before = slo.insert(format!("{}_ms", name.trim()), 1000.0 * limit.as_secs_f64());
        if before.is_some() {
            return Err(format!("`{}` is limited twice", name.trim()));
        }
    }
    check_slo(&slo).map_err(|error| error.message)?;
    Ok(slo)
}

/// What users accept: the longest response, or limits of the times of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Accepted {
    /// `500ms`.
    Response(Duration),
    /// `ttft=200ms,itl=50ms`.
    Streams(Slo),
}

/// `500ms`, or `ttft=200ms,itl=50ms`.
pub(crate) fn accepted(text: &str) -> Result<Accepted, String> {
    if text.contains('=') {
        limits(text).map(Accepted::Streams)
    } else {
        duration(text).map(Accepted::Response)
    }
}

/// A protocol of streams, by name.
pub(crate) fn protocol() -> impl TypedValueParser<Value = StreamProtocol> {
    let names = StreamProtocol::ALL.iter().map(|protocol| protocol.name());
    PossibleValuesParser::new(names).map(|name| {
        let mut all = StreamProtocol::ALL.iter().copied();
        all.find(|protocol| protocol.name() == name)
            .expect("the names are those of the protocols")
    })
}

/// The longest time to wait awake for a request that will be due.
pub(crate) const SPIN_MAX: Duration = Duration::from_millis(10);

/// A duration of at most [`SPIN_MAX`].
pub(crate) fn spin(text: &str) -> Result<Duration, String> {
    let found = duration(text)?;
    if found > SPIN_MAX {
        return Err(format!(
            "{text:?} is above {}ms: 100us is what a sleeping core needs to wake, 2ms covers most virtual machines",
            SPIN_MAX.as_millis()
        ));
    }
    Ok(found)
}

/// What a body must satisfy, as `kind=value`; a JSON Schema is read from its file.
pub(crate) fn body_check(text: &str) -> Result<BodyCheck, String> {
    const KINDS: &str = "contains=TEXT, regex=PATTERN, json=/POINTER, json=/POINTER=VALUE, schema=FILE, xxh3=DIGEST, \
                         min-bytes=NUMBER or max-bytes=NUMBER";
    let (kind, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is no check; write {KINDS}"))?;
    let number = || {
        value
            .parse::<u64>()
            .map_err(|_| format!("{value:?} is not a number of bytes"))
    };
    Ok(match kind {
        "contains" => BodyCheck::Contains(value.to_owned()),
        "regex" => BodyCheck::Regex(value.to_owned()),
        "json" => match value.split_once('=') {
            Some((pointer, value)) => BodyCheck::JsonEquals {
                pointer: pointer.to_owned(),
                value: value.to_owned(),
            },
            None => BodyCheck::Json(value.to_owned()),
        },
        "schema" => {
            let read = std::fs::read_to_string(value).map_err(|e| format!("cannot read {value:?}: {e}"))?;
            let schema = serde_json::from_str(&read).map_err(|e| format!("{value:?} is not JSON: {e}"))?;
            BodyCheck::Schema(JsonText(schema))
        }
        "xxh3" => BodyCheck::Xxh3(value.to_owned()),
        "min-bytes" => BodyCheck::MinBytes(number()?),
        "max-bytes" => BodyCheck::MaxBytes(number()?),
        _ => return Err(format!("{kind:?} is no kind of check; write {KINDS}")),
    })
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

/// A ratio over zero, as a number or a fraction: `0.5`, `1/60`.
pub(crate) fn ratio(text: &str) -> Result<f64, String> {
    let number = |part: &str| part.trim().parse::<f64>().ok();
    let value = match text.split_once('/') {
        Some((over, under)) => number(over).zip(number(under)).map(|(over, under)| over / under),
        None => number(text),
    };
    value
        .filter(|value| value.is_finite() && *value > 0.0)
        .ok_or_else(|| format!("{text:?} is no ratio over zero; write 0.5 or 1/60"))
}

/// A share above 0 and below 1; `99.5%` is 0.995.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    part(text)
        .filter(|share| *share > 0.0 && *share < 1.0)
        .ok_or_else(|| format!("{text:?} is no share above 0 and below 1; write 0.99 or 99%"))
}

/// A share from 0 to 1.
pub(crate) fn share_or_all(text: &str) -> Result<f64, String> {
    part(text)
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| format!("{text:?} is no share from 0 to 1; one in a hundred is 0.01 or 1%"))
}

/// A fraction, or a number of hundredths.
fn part(text: &str) -> Option<f64> {
    let trimmed = text.trim();
    let (digits, scale) = match trimmed.strip_suffix('%') {
        Some(digits) => (digits.trim_end(), 0.01),
        None => (trimmed, 1.0),
    };
    digits.parse::<f64>().ok().map(|value| scale * value)
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

/// A command line in its words, with the quotes of a shell.
pub(crate) fn words(text: &str) -> Result<Words, String> {
    match shlex::split(text) {
        Some(words) if !words.is_empty() => Ok(Words(words)),
        Some(_) => Err("the command is empty; write 'python server.py'".to_owned()),
        None => Err(format!("a quote in {text:?} is not closed")),
    }
}

/// Whether `name` is a token of RFC 9110, section 5.6.2.
pub(crate) fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// A number of requests in flight.
pub(crate) fn at_once(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (1.0..=1e9).contains(&number) => Ok(number),
        _ => Err(format!(
            "{text:?} is not a number of requests in flight; write 1 or more"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prony_model::BodyCheck;

    use super::{at_once, body_check, duration, header, key_value, rate, share, share_or_all, spin, words};

    #[test]
    fn shares_as_fractions_and_in_per_cent() {
        assert_eq!(share("0.99"), Ok(0.99));
        assert!((share("99.5 %").unwrap() - 0.995).abs() < 1e-12);
        for wrong in ["1", "0", "100%", "99", "much", "-0.5"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            (share_or_all("0"), share_or_all("1%"), share_or_all("1")),
            (Ok(0.0), Ok(0.01), Ok(1.0))
        );
        for wrong in ["1.5", "-0.1", "101%", "few"] {
            assert!(share_or_all(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn commands_in_words() {
        assert_eq!(words("a 'b c' d\\ e").unwrap().0, ["a", "b c", "d e"]);
        assert!(words("  ").unwrap_err().contains("empty"));
        assert!(words("a 'b").unwrap_err().contains("not closed"));
    }

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
    fn checks_of_bodies() {
        let equals = BodyCheck::JsonEquals {
            pointer: "/a/0".into(),
            value: "x=y".into(),
        };
        for (text, check) in [
            ("contains=a=b", BodyCheck::Contains("a=b".into())),
            ("regex=^[a-z]+$", BodyCheck::Regex("^[a-z]+$".into())),
            ("json=/a", BodyCheck::Json("/a".into())),
            ("json=/a/0=x=y", equals),
            (
                "xxh3=0123456789abcdef",
                BodyCheck::Xxh3("0123456789abcdef".into()),
            ),
            ("min-bytes=10", BodyCheck::MinBytes(10)),
            ("max-bytes=0", BodyCheck::MaxBytes(0)),
        ] {
            assert_eq!(body_check(text), Ok(check), "{text}");
        }
        for (text, hint) in [
            ("ok", "write contains=TEXT"),
            ("has=ok", "\"has\" is no kind of check"),
            ("min-bytes=few", "not a number of bytes"),
            ("schema=absent.json", "cannot read"),
        ] {
            assert!(body_check(text).unwrap_err().contains(hint), "{text}");
        }
    }

    #[test]
    fn spinning_is_bounded() {
        assert_eq!(spin("150us"), Ok(Duration::from_micros(150)));
        assert!(spin("1s").unwrap_err().contains("above 10ms"));
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
    fn requests_in_flight() {
        assert_eq!(at_once("50"), Ok(50.0));
        assert!(at_once("0").is_err() && at_once("inf").is_err() && at_once("many").is_err());
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
