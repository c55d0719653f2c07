//! One claim of a report with the numbers that it rests on, in base units. It must not know how it was written down.

/// One claim of a report: what it says, and the numbers that it rests on. Times are seconds, memory MiB, shares parts of 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claim {
    /// Name of the claim, one of its own.
    pub id: String,
    /// The claim in the report's own words; may be empty.
    pub says: String,
    /// The measurement that it belongs to; statistics of one test are held against each other. May be empty.
    pub test: String,
    /// What was asked; may be empty.
    pub endpoint: String,
    /// What kind of claim it is.
    pub measure: Measure,
    /// What `value` is of many values.
    pub statistic: Statistic,
    /// Which requests the statistic is over.
    pub over: Over,
    /// The claimed number, in the unit of its measure.
    pub value: Option<f64>,
    /// What the report holds the number against, in the same unit: at least for a success rate, a throughput and a
    /// concurrency, at most for everything else.
    pub limit: Option<f64>,
    /// Requests made.
    pub n: Option<u64>,
    /// Requests answered as expected.
    pub ok: Option<u64>,
    /// Requests that were not.
    pub failed: Option<u64>,
    /// Requests without any answer in time.
    pub timeouts: Option<u64>,
    /// Requests said to have been in flight at once.
    pub concurrency: Option<f64>,
    /// From the first start to the last end.
    pub duration_s: Option<f64>,
    /// Requests finished per second, where `value` is something else.
    pub throughput_per_s: Option<f64>,
    /// Mean response time of a request, where `value` is something else.
    pub latency_s: Option<f64>,
    /// Time that the work itself takes, from a log of the server or a request made alone.
    pub service_s: Option<f64>,
    /// Time of a request that does no work, over the same path.
    pub no_op_s: Option<f64>,
    /// Time of the same work done one at a time.
    pub serial_s: Option<f64>,
    /// Resolution of the time stamps.
    pub resolution_s: Option<f64>,
    /// Another claim by its name, which this one compares itself with.
    pub against: Option<String>,
    /// The number that it compares itself with, in the unit of its measure.
    pub baseline: Option<f64>,
    /// Requests behind the baseline, or made without the cause.
    pub baseline_n: Option<u64>,
    /// Those of them answered as expected.
    pub baseline_ok: Option<u64>,
    /// Memory before.
    pub before_mib: Option<f64>,
    /// Memory after.
    pub after_mib: Option<f64>,
    /// Growth or difference that the test lets pass, in the unit of its measure.
    pub tolerance: Option<f64>,
    /// Readings of the memory.
    pub readings: Option<u64>,
    /// Runs, or pairs of runs, that were compared.
    pub runs: Option<u64>,
    /// Other explanations that are known.
    pub alternatives: Vec<String>,
}

impl Claim {
    /// Requests that did not end well: counted, or what is left when the good ones are taken away.
    pub(super) fn failures(&self) -> Option<u64> {
        match (self.n, self.ok) {
            (Some(n), Some(ok)) => n.checked_sub(ok),
            _ => self.failed,
        }
    }

    /// Good ones among how many.
    pub(super) fn success(&self) -> Option<(u64, u64)> {
        let n = match (self.n, self.ok, self.failed) {
            (Some(n), _, _) => n,
            (None, Some(ok), Some(failed)) => ok.checked_add(failed)?,
            _ => return None,
        };
        let ok = self.ok.or_else(|| n.checked_sub(self.failed?))?;
        (n > 0 && ok <= n).then_some((ok, n))
    }

    /// Values that a statistic is over: the good answers where the claim says so, else all.
    pub(super) fn values(&self) -> Option<u64> {
        match self.over {
            Over::Ok => self.ok.or(self.n),
            Over::All | Over::Unsaid => self.n.or(self.ok),
        }
    }

    /// Mean response time, claimed or given beside.
    pub(super) fn mean_latency_s(&self) -> Option<f64> {
        let claimed = (self.measure == Measure::Latency && self.statistic.is_central()).then_some(self.value);
        claimed.flatten().or(self.latency_s)
    }

    /// The number of requests said to be in flight at once.
    pub(super) fn claimed_concurrency(&self) -> Option<f64> {
        let claimed = matches!(self.measure, Measure::Concurrency | Measure::Overlap).then_some(self.value);
        claimed.flatten().or(self.concurrency)
    }
}

/// What kind of claim it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// How long a request takes.
    Latency,
    /// How long the work of a request takes, without waiting.
    ServiceTime,
    /// Requests per second.
    Throughput,
    /// Share of good answers.
    Success,
    /// How many requests it can take at once.
    Concurrency,
    /// Requests really ran at the same time.
    Overlap,
    /// So many times as fast.
    SpeedUp,
    /// Memory does not grow, or by so much.
    Memory,
    /// It stays as it is.
    Stability,
    /// This is why it failed, or was slow.
    Cause,
    /// It is better, worse or the same as something else.
    Comparison,
    /// A judgement without a number of its own: ready, robust, scales.
    #[default]
    Opinion,
}

/// A kind of claim: what it is called in a file, and what can be checked.
pub struct MeasureDef {
    /// The kind.
    pub measure: Measure,
    /// Its name in a file.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// What such a claim is about.
    pub about: &'static str,
    /// The columns that decide it.
    pub needs: &'static str,
}

/// Every kind of claim.
pub static MEASURES: &[MeasureDef] = &[
    MeasureDef {
        measure: Measure::Latency,
        name: "latency",
        aliases: &["response", "response-time", "duration"],
        about: "how long a request takes",
        needs: "value, statistic, n; concurrency and duration of the whole test",
    },
    MeasureDef {
        measure: Measure::ServiceTime,
        name: "service-time",
        aliases: &["service", "processing-time", "execution-time", "inference-time"],
        about: "how long the work of a request takes, without waiting",
        needs: "value, concurrency, service (the work alone, from the server's log)",
    },
    MeasureDef {
        measure: Measure::Throughput,
        name: "throughput",
        aliases: &["rate", "rps", "qps", "requests-per-second"],
        about: "requests per second",
        needs: "value, ok, duration",
    },
    MeasureDef {
        measure: Measure::Success,
        name: "success",
        aliases: &["success-rate", "reliability", "availability", "integrity"],
        about: "share of good answers",
        needs: "n and ok (or failed); limit, against",
    },
    MeasureDef {
        measure: Measure::Concurrency,
        name: "concurrency",
        aliases: &["capacity", "concurrent-users", "max-concurrency"],
        about: "how many requests it takes at once",
        needs: "value, latency, and ok with duration or throughput",
    },
    MeasureDef {
        measure: Measure::Overlap,
        name: "overlap",
        aliases: &["parallelism", "concurrent", "simultaneous"],
        about: "requests really ran at the same time",
        needs: "n, and resolution of the time stamps with service, or duration with latency",
    },
    MeasureDef {
        measure: Measure::SpeedUp,
        name: "speed-up",
        aliases: &["speedup", "improvement-factor"],
        about: "so many times as fast",
        needs: "value, duration, serial (the same work, one at a time), runs",
    },
    MeasureDef {
        measure: Measure::Memory,
        name: "memory",
        aliases: &["leak", "memory-leak", "memory-stability"],
        about: "memory does not grow, or by so much",
        needs: "before, after, n, readings; tolerance of the test",
    },
    MeasureDef {
        measure: Measure::Stability,
        name: "stability",
        aliases: &["degradation", "sustained", "endurance", "soak"],
        about: "it stays as it is",
        needs: "n, duration",
    },
    MeasureDef {
        measure: Measure::Cause,
        name: "cause",
        aliases: &["root-cause", "reason", "bottleneck"],
        about: "this is why it failed or was slow",
        needs: "n and ok with the cause, baseline_n and baseline_ok without it; alternatives",
    },
    MeasureDef {
        measure: Measure::Comparison,
        name: "comparison",
        aliases: &["improvement", "regression", "change"],
        about: "better, worse or the same as something else",
        needs: "against (or baseline_n and baseline_ok), n and ok; runs and tolerance for times",
    },
    MeasureDef {
        measure: Measure::Opinion,
        name: "opinion",
        aliases: &["readiness", "conclusion", "verdict", "quality"],
        about: "a judgement without a number of its own",
        needs: "a number: another row with what it rests on",
    },
];

impl Measure {
    /// Its entry.
    pub(super) fn def(self) -> &'static MeasureDef {
        let found = MEASURES.iter().find(|def| def.measure == self);
        found.unwrap_or(&MEASURES[MEASURES.len() - 1])
    }

    /// The kind that a word means, in any case, with blanks or underscores for hyphens.
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.trim().to_ascii_lowercase().replace([' ', '_'], "-");
        let is = |def: &&MeasureDef| def.name == word || def.aliases.contains(&word.as_str());
        MEASURES.iter().find(is).map(|def| def.measure)
    }
}

/// What a number is of many values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Statistic {
    /// Not said. Taken for a mean.
    #[default]
    Unsaid,
    /// Their mean.
    Mean,
    /// The value below which this share lies.
    Quantile(f64),
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// One value alone.
    Single,
}

impl Statistic {
    /// The statistic that a word means: `mean`, `median`, `p99.9`, `min`, `max`, `single`.
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.trim().to_ascii_lowercase();
        Some(match word.as_str() {
            "mean" | "avg" | "average" => Self::Mean,
            "median" => Self::Quantile(0.5),
            "min" | "minimum" | "fastest" => Self::Min,
            "max" | "maximum" | "slowest" | "longest" => Self::Max,
            "single" | "one" | "first" => Self::Single,
            _ => {
                let number = word.strip_prefix('p').unwrap_or(&word);
                let percent: f64 = number.trim_end_matches("th").trim_end_matches('%').parse().ok()?;
                // 0.99 alone may mean a share or a percentage.
                if number.len() == word.len() && percent < 1.0 {
                    return None;
                }
                // 99.9 / 100 is a hair off 0.999 in binary.
                let p = (percent * 1e9).round() / 1e11;
                return (p > 0.0 && p < 1.0).then_some(Self::Quantile(p));
            }
        })
    }

    /// Whether the number says where the middle of the values lies.
    pub(super) fn is_central(self) -> bool {
        matches!(self, Self::Unsaid | Self::Mean) || self == Self::Quantile(0.5)
    }

    /// In a sentence.
    pub(super) fn says(self) -> String {
        match self {
            Self::Unsaid | Self::Mean => "mean".to_owned(),
            Self::Quantile(p) => format!("p{}", (p * 1e6).round() / 1e4),
            Self::Min => "smallest".to_owned(),
            Self::Max => "largest".to_owned(),
            Self::Single => "one value".to_owned(),
        }
    }
}

/// Which requests a statistic is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Over {
    /// Not said. Taken for all.
    #[default]
    Unsaid,
    /// All requests.
    All,
    /// Those answered as expected.
    Ok,
}

#[cfg(test)]
mod tests {
    use super::{Claim, MEASURES, Measure, Statistic};

    #[test]
    fn words_for_kinds_and_statistics() {
        assert_eq!(Measure::parse("Success rate"), Some(Measure::Success));
        assert_eq!(Measure::parse("speed_up"), Some(Measure::SpeedUp));
        assert_eq!(Measure::parse("beauty"), None);
        assert_eq!(Statistic::parse("P99.9"), Some(Statistic::Quantile(0.999)));
        assert_eq!(Statistic::parse("Median"), Some(Statistic::Quantile(0.5)));
        for same in ["p95", "95", "95%", "95th"] {
            assert_eq!(Statistic::parse(same), Some(Statistic::Quantile(0.95)), "{same}");
        }
        for wrong in ["p", "p100", "p0", "pixel", "0.99", "pNaN", ""] {
            assert_eq!(Statistic::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Statistic::Quantile(0.999).says(), "p99.9");
    }

    #[test]
    fn no_word_means_two_kinds() {
        let mut words: Vec<&str> = MEASURES
            .iter()
            .flat_map(|def| def.aliases.iter().copied().chain([def.name]))
            .collect();
        let all = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all);
        assert!(MEASURES.iter().all(|def| std::ptr::eq(def.measure.def(), def)));
    }

    #[test]
    fn what_is_not_given_follows_where_it_can() {
        let counts = |n, ok, failed| Claim {
            n,
            ok,
            failed,
            ..Claim::default()
        };
        assert_eq!(counts(Some(10), Some(7), None).failures(), Some(3));
        assert_eq!(counts(Some(10), None, Some(3)).success(), Some((7, 10)));
        assert_eq!(counts(None, Some(7), Some(3)).success(), Some((7, 10)));
        assert_eq!(counts(Some(10), None, None).success(), None);
        assert_eq!(counts(Some(1), Some(2), None).success(), None);
        assert_eq!(counts(None, Some(u64::MAX), Some(1)).success(), None);
    }
}
