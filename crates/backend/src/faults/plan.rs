//! The common faults as the knobs have them: values only, fixed for as long as no knob is turned.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::error::BackendError;
use crate::gate::Gate;
use crate::law::{Law, mix, one_in};
use crate::settings::Settings;

/// Most values of a file of times.
const EMPIRICAL_MAX: usize = 1_000_000;
/// Longest time drawn.
const LONGEST_MS: f64 = 3_600_000.0;

/// What is in force.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Whether anything is.
    pub(crate) any: bool,
    /// Beginning of the paths concerned.
    pub(crate) path: String,
    /// Extra time: its law, and the ms by which that is multiplied.
    pub(crate) delay: Option<(Law, f64)>,
    /// Who may be in service.
    pub(crate) gate: Option<Arc<Gate>>,
    /// Status of a refusal.
    pub(crate) full: StatusCode,
    /// Its Retry-After in seconds; 0 is none.
    pub(crate) retry_after_s: u64,
    /// Memory kept per request.
    pub(crate) leak_kib: f64,
    /// Descriptors kept per request.
    pub(crate) leak_fds: u64,
    /// Relative growth of the time of an answer, per request.
    pub(crate) drift: f64,
    /// The first good answer is given for ever.
    pub(crate) constant: bool,
    /// Fields that the document does not name are dropped.
    pub(crate) ignore_unknown: bool,
    /// Longest path or body that is not answered 500.
    pub(crate) long_input: Option<usize>,
    /// How errors are dressed.
    pub(crate) envelope: Envelope,
    /// Time of a stall.
    pub(crate) stall: Duration,
    /// Whether a reset comes before the first byte.
    pub(crate) reset_at_start: bool,
    /// Added to a length.
    pub(crate) length_bytes: i64,
    chances: [(Chance, u64); 7],
    seed: u64,
}

/// What may befall one in n.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chance {
    /// The answer is another one's.
    Swap,
    /// It ends early.
    Truncate,
    /// It has a wrong bit.
    Corrupt,
    /// The connection is reset.
    Reset,
    /// It stops in its head.
    StallHead,
    /// It stops in its body.
    StallBody,
    /// Its length is announced wrong.
    Length,
}

/// The shape of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Envelope {
    /// The preset's own.
    Own,
    /// Plain text.
    Text,
    /// A page.
    Html,
    /// Status 200.
    Ok,
}

impl Plan {
    /// From the knobs.
    pub(crate) fn new(settings: &Settings, seed: u64) -> Result<Self, BackendError> {
        let one_in = |name| settings.count(name, 0, 1_000_000_000);
        let mut plan = Self {
            any: false,
            path: settings.word("fault_path").to_owned(),
            delay: delay(settings)?,
            gate: gate(settings)?.map(Arc::new),
            full: match settings.choice("fault_queue_full", &["503", "429", "wait"])? {
                "429" => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            },
            retry_after_s: settings.count("fault_retry_after_s", 0, 86_400)?,
            leak_kib: settings.number("fault_leak_kib", 0.0, 65_536.0)?,
            leak_fds: settings.count("fault_leak_fds", 0, 1000)?,
            drift: settings.number("fault_drift", 0.0, 100_000.0)? / 100.0 / 1000.0,
            constant: settings.flag("fault_constant")?,
            ignore_unknown: settings.flag("fault_ignore_unknown")?,
            long_input: match settings.count("fault_long_input", 0, 1 << 40)? {
                0 => None,
                bytes => Some(bytes as usize),
            },
            envelope: match settings.choice("fault_envelope", &["none", "text", "html", "ok"])? {
                "text" => Envelope::Text,
                "html" => Envelope::Html,
                "ok" => Envelope::Ok,
                _ => Envelope::Own,
            },
            stall: Duration::from_secs_f64(settings.number("fault_stall_ms", 0.0, LONGEST_MS)? / 1000.0),
            reset_at_start: settings.choice("fault_reset_at", &["start", "middle"])? == "start",
            length_bytes: settings.number("fault_length_bytes", -1e9, 1e9)? as i64,
            chances: [
                (Chance::Swap, one_in("fault_swap_n")?),
                (Chance::Truncate, one_in("fault_truncate_n")?),
                (Chance::Corrupt, one_in("fault_corrupt_n")?),
                (Chance::Reset, one_in("fault_reset_n")?),
                (Chance::StallHead, one_in("fault_stall_head_n")?),
                (Chance::StallBody, one_in("fault_stall_body_n")?),
                (Chance::Length, one_in("fault_length_n")?),
            ],
            seed: mix(seed ^ 0xfa17, settings.count("fault_seed", 0, u64::MAX)?),
        };
        plan.any = plan.delay.is_some()
            || plan.gate.is_some()
            || plan.leak_kib > 0.0
            || plan.leak_fds > 0
            || plan.drift > 0.0
            || plan.constant
            || plan.long_input.is_some()
            || plan.envelope != Envelope::Own
            || plan.chances.iter().any(|(_, n)| *n > 0)
            || plan.ignore_unknown;
        Ok(plan)
    }

    /// The extra time of the request of this number.
    pub(crate) fn delay_of(&self, number: u64) -> Option<Duration> {
        let (law, scale_ms) = self.delay.as_ref()?;
        let mut rng = ChaCha8Rng::seed_from_u64(mix(self.seed, number));
        let ms = (law.draw(&mut rng) * scale_ms).min(LONGEST_MS);
        Some(Duration::from_secs_f64(ms / 1000.0))
    }

    /// Whether this befalls the request of this number.
    pub(crate) fn hits(&self, chance: Chance, number: u64) -> bool {
        self.chances
            .iter()
            .enumerate()
            .any(|(at, (of, n))| *of == chance && one_in(*n, self.seed ^ (at as u64 + 1), number))
    }

    /// A number for what else has to be chosen.
    pub(crate) fn choice(&self, number: u64) -> u64 {
        mix(self.seed ^ 0xc401, number)
    }
}

fn gate(settings: &Settings) -> Result<Option<Gate>, BackendError> {
    let queue_max = settings.count("fault_queue_max", 0, 1_000_000)? as usize;
    let slots = settings.count("fault_slots", 0, 4096)? as usize;
    if settings.flag("fault_serial")? {
        return Ok(Some(Gate::new(1, usize::MAX)));
    }
    let waiting_max = match settings.word("fault_queue_full") {
        "wait" => usize::MAX,
        _ => queue_max,
    };
    Ok((slots > 0).then(|| Gate::new(slots, waiting_max)))
}

fn delay(settings: &Settings) -> Result<Option<(Law, f64)>, BackendError> {
    const WORDS: [&str; 5] = ["none", "constant", "lognormal", "bimodal", "empirical"];
    let mean_ms = settings.number("fault_delay_ms", 0.0, LONGEST_MS)?;
    let sigma = settings.number("fault_delay_sigma", 0.0, 3.0)?;
    let slow_share = settings.number("fault_delay_slow_share", 0.0, 1.0)?;
    let slow_factor = settings.number("fault_delay_slow_factor", 1.0, 1000.0)?;
    Ok(match settings.choice("fault_delay", &WORDS)? {
        "constant" => Some((Law::Constant, mean_ms)),
        "lognormal" => Some((Law::Lognormal { sigma }, mean_ms)),
        "bimodal" => Some((Law::bimodal(slow_share, slow_factor), mean_ms)),
        "empirical" => Some((empirical(settings)?, 1.0)),
        _ => None,
    })
}

/// The first field of each line; a first line that is no number is a heading, empty lines and those that begin with `#` do not count.
fn empirical(settings: &Settings) -> Result<Law, BackendError> {
    const KNOB: &str = "fault_delay_csv";
    let text = std::fs::read_to_string(settings.word(KNOB))
        .map_err(|error| settings.refuse(KNOB, &format!("the file cannot be read: {error}")))?;
    let mut values = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let field = line
            .split([',', ';', '\t'])
            .next()
            .unwrap_or_default()
            .trim()
            .trim_matches('"');
        if field.is_empty() || field.starts_with('#') {
            continue;
        }
        match field.parse::<f64>() {
            Ok(ms) if (0.0..=LONGEST_MS).contains(&ms) => values.push(ms),
            Err(_) if at == 0 => {}
            _ => {
                let reason = format!("line {} has no time in ms from 0 to {LONGEST_MS}", at + 1);
                return Err(settings.refuse(KNOB, &reason));
            }
        }
        if values.len() > EMPIRICAL_MAX {
            return Err(settings.refuse(KNOB, "it has more than a million times"));
        }
    }
    Law::empirical(values).ok_or_else(|| settings.refuse(KNOB, "it has no times"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset::preset;

    fn plan(pairs: &[(&str, &str)]) -> Result<Plan, BackendError> {
        let pairs: Vec<(String, String)> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Plan::new(&Settings::new(preset("truth").unwrap(), &pairs)?, 1)
    }

    #[test]
    fn all_is_off_by_default() {
        assert!(!plan(&[]).unwrap().any);
        for on in [
            ("fault_serial", "true"),
            ("fault_reset_n", "3"),
            ("fault_envelope", "html"),
        ] {
            assert!(plan(&[on]).unwrap().any, "{on:?}");
        }
    }

    #[test]
    fn numbers_decide_times_and_hits() {
        let of = |seed| {
            plan(&[
                ("fault_delay", "lognormal"),
                ("fault_corrupt_n", "3"),
                ("fault_seed", seed),
            ])
            .unwrap()
        };
        let (one, same, other) = (of("1"), of("1"), of("2"));
        let seen = |plan: &Plan| -> Vec<_> {
            (0..50)
                .map(|k| (plan.delay_of(k), plan.hits(Chance::Corrupt, k)))
                .collect()
        };
        assert_eq!(seen(&one), seen(&same));
        assert_ne!(seen(&one), seen(&other));
    }

    /// 40,000 requests, each with a generator of its own: together they must follow the law as one generator would.
    #[test]
    fn times_follow_the_law_over_the_numbers() {
        let plan = plan(&[
            ("fault_delay", "lognormal"),
            ("fault_delay_sigma", "0.5"),
            ("fault_delay_ms", "10"),
        ])
        .unwrap();
        let mut drawn: Vec<f64> = (0..40_000)
            .map(|k| plan.delay_of(k).unwrap().as_secs_f64() * 1e9)
            .collect();
        drawn.sort_by(f64::total_cmp);
        let stated = plan.delay.as_ref().unwrap().0.to_json(1e7);
        for (name, rank) in [("p50", 20_000), ("p90", 36_000), ("p99", 39_600)] {
            let ratio = drawn[rank] / stated[name].as_f64().unwrap();
            assert!((ratio - 1.0).abs() < 0.05, "{name} {ratio}");
        }
        // Beyond four standard deviations lie 3 in 100,000.
        let far = drawn
            .iter()
            .filter(|ns| **ns > 1e7 * (2.0_f64 - 0.125).exp())
            .count();
        assert!(far < 10, "{far}");
    }

    #[test]
    fn a_file_of_times_is_read_or_refused_with_its_line() {
        let folder = std::env::temp_dir().join(format!("prony-times-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("times.csv");
        let with = |text: &str| {
            std::fs::write(&file, text).unwrap();
            plan(&[
                ("fault_delay", "empirical"),
                ("fault_delay_csv", file.to_str().unwrap()),
            ])
        };
        let read = with("ms,note\n# three\n3,x\n\n1.5\n4;y\n").unwrap();
        assert!(matches!(&read.delay, Some((Law::Empirical(values), _)) if **values == [1.5, 3.0, 4.0]));
        assert!(with("3\nx\n").unwrap_err().to_string().contains("line 2"));
        assert!(with("ms\n").unwrap_err().to_string().contains("no times"));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(
            plan(&[("fault_delay", "empirical")])
                .unwrap_err()
                .to_string()
                .contains("cannot be read")
        );
    }
}
