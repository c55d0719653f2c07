//! The words for what the memory experiment found.

use prony_model::{Finding, PhaseResult, Severity, Verdict};
use prony_stats::growth::Verdict as Shape;

use super::NAME;
use super::judge::{Judged, READINGS_MIN, REQUESTS_MIN, Rules, TimeToLimit, change_in_silence, judge};
use super::series::{self, Interruption, Series};
use super::units::{size, sizes, time};
use crate::RunView;
use crate::draft::{Draft, source};
use crate::rate::offered;
use crate::timings::{Tally, Timings};
use crate::wording::{OUTCOME_COLUMNS, digits, outcome, resting_on_answers};

const ID: &str = "memory-growth";

/// Share of failed requests from which on memory says little about work.
const FAILED_MAX: f64 = 0.1;

/// The finding; one for the whole experiment.
pub(super) fn findings(run: &RunView<'_>, rules: &Rules) -> Vec<Finding> {
    let phases: Vec<&PhaseResult> = run.of(NAME).filter(|p| offered(p) > 0.0).collect();
    let Some(last) = phases.last() else {
        return vec![nothing_sent(run)];
    };
    let endpoint = last.phase.scenarios[0].name.as_str();
    let Some(series) = series::of(&phases) else {
        return vec![unwatched(endpoint)];
    };
    let tally = phases
        .iter()
        .fold(Tally::default(), |sum, p| sum.with(&Timings::all(p).tally()));
    let case = Case {
        endpoint,
        phases: &phases,
        silence: run.of(NAME).find(|p| offered(p) <= 0.0),
        series: &series,
        tally: &tally,
        rules,
    };
    let finding = match (series.interruption, judge(&series, rules)) {
        (Some(interruption), _) => case.interrupted(interruption),
        (None, None) => case.too_few(),
        (None, Some(judged)) => case.judged(&judged),
    };
    vec![resting_on_answers(finding, &phases)]
}

fn nothing_sent(run: &RunView<'_>) -> Finding {
    if !run.phases.is_empty() && !run.phases.iter().any(series::shows_memory) {
        return unwatched("");
    }
    Draft::new(NAME, ID, "")
        .verdict(Verdict::Inconclusive, Severity::Low)
        .advisory()
        .title("Memory was not looked at: nothing says which rate the target can take")
        .detail(
            "The rate follows from the ladder or, without one, from the baseline; neither has a good answer.",
        )
        .advice(
            "Give a rate in the suite, or run the baseline and the ladder before.",
            "",
        )
        .done()
}

fn unwatched(endpoint: &str) -> Finding {
    Draft::new(NAME, ID, endpoint)
        .verdict(Verdict::Inconclusive, Severity::Low)
        .advisory()
        .title("Whether the target leaks cannot be told: nothing shows its memory")
        .detail("No process of the target is known on this machine, and it tells no metrics that hold its memory.")
        .advice(
            "Name its process (--pid, --container) when it runs on this machine, or the URL of its Prometheus metrics \
             (--metrics-url).",
            "",
        )
        .done()
}

/// All that a finding rests on.
struct Case<'a> {
    endpoint: &'a str,
    phases: &'a [&'a PhaseResult],
    silence: Option<&'a PhaseResult>,
    series: &'a Series,
    tally: &'a Tally,
    rules: &'a Rules,
}

impl Case<'_> {
    fn rate(&self) -> f64 {
        self.phases.first().map_or(0.0, |p| offered(p))
    }

    fn requests(&self) -> f64 {
        self.series.requests.last().copied().unwrap_or(0.0)
    }

    fn last(&self) -> &PhaseResult {
        self.phases[self.phases.len() - 1]
    }

    fn draft(&self) -> Draft {
        Draft::new(NAME, ID, self.endpoint)
    }

    fn interrupted(&self, interruption: Interruption) -> Finding {
        let evidence = source(self.last(), self.endpoint);
        let (verdict, title, label, value) = match interruption {
            Interruption::Restart(after) => (
                Verdict::Fail,
                format!(
                    "The target was started anew during the run, after {} requests",
                    digits(after)
                ),
                "requests before the restart",
                after,
            ),
            Interruption::OutOfMemory(kills) => (
                Verdict::Fail,
                format!(
                    "The kernel killed {kills} processes of the target for want of memory during the run"
                ),
                "processes killed for want of memory",
                kills,
            ),
            Interruption::WorkersLost(lost) => (
                Verdict::Warn,
                format!("{lost} worker processes of the target ended during the run"),
                "worker processes that ended",
                lost,
            ),
        };
        self.draft()
            .verdict(verdict, Severity::High)
            .title(title)
            .detail(format!(
                "Memory begins anew with a new process, so nothing can be said about its growth. {}",
                outcome(self.tally)
            ))
            .figure(label, value, "", self.series.bytes.len(), &evidence)
            .advice(
                "Find out why it ended: its own log, and the kernel's (`dmesg`) for a kill for want of memory. If workers are \
                 recycled on purpose, switch that off for this test.",
                "",
            )
            .done()
    }

    fn too_few(&self) -> Finding {
        let evidence = source(self.last(), self.endpoint);
        self.draft()
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!(
                "Too few readings of memory to tell whether {} leaks",
                self.endpoint
            ))
            .detail(format!(
                "{} readings of the {} over {} requests; a conclusion needs {READINGS_MIN} readings and {REQUESTS_MIN} requests, or \
                 eight collections of garbage where memory is a saw-tooth.",
                self.series.bytes.len(),
                self.series.what,
                digits(self.requests())
            ))
            .figure("readings", self.series.bytes.len() as f64, "", self.series.bytes.len(), &evidence)
            .advice(&self.needed(), "")
            .done()
    }

    /// What it would take.
    fn needed(&self) -> String {
        let seconds = (REQUESTS_MIN / self.rate().max(1e-9))
            .min(1_800.0)
            .max(READINGS_MIN as f64 / 4.0);
        format!(
            "Give it more time: at {} requests per second the least is `duration_s = {:.0}`, and four times as much when memory \
             moves.",
            digits(self.rate()),
            (seconds / 0.9).ceil()
        )
    }

    fn judged(&self, judged: &Judged) -> Finding {
        let per_s = self.rules.production_per_s.unwrap_or_else(|| self.rate());
        let limit = self
            .rules
            .limit_bytes
            .map(|bytes| (bytes, "the suite"))
            .or(self.series.limit);
        let reached = limit.map(|(bytes, _)| judged.time_to(bytes, per_s));
        let (verdict, severity) = self.verdict(judged, reached);
        let mut draft = self
            .draft()
            .verdict(verdict, severity)
            .title(self.title(judged, limit, reached, per_s))
            .detail(self.detail(judged, limit, reached, per_s));
        draft = self.figures(draft, judged, limit, reached);
        if self.tally.failed() > 0 {
            draft = draft.table(
                "Outcomes",
                &OUTCOME_COLUMNS,
                self.tally.rows(),
                &source(self.last(), self.endpoint),
            );
        }
        self.advice(draft, judged, verdict, per_s).done()
    }

    fn verdict(&self, judged: &Judged, reached: Option<TimeToLimit>) -> (Verdict, Severity) {
        let failed = self.tally.failed() as f64 / self.tally.judged().max(1) as f64;
        let settled = matches!(judged.shape(), Shape::NoLeak) || is_past_step(judged);
        let verdict = match judged.shape() {
            _ if !judged.is_enough => Verdict::Inconclusive,
            _ if settled && failed > FAILED_MAX => Verdict::Inconclusive,
            _ if settled => Verdict::Pass,
            Shape::Inconclusive | Shape::Step => Verdict::Inconclusive,
            _ => judged.by_consequence(reached, self.rules.horizon_s),
        };
        let severity = match verdict {
            Verdict::Pass => Severity::Info,
            Verdict::Fail => Severity::High,
            Verdict::Warn => Severity::Medium,
            _ => Severity::Low,
        };
        (verdict, severity)
    }

    fn title(
        &self,
        judged: &Judged,
        limit: Option<(f64, &str)>,
        reached: Option<TimeToLimit>,
        per_s: f64,
    ) -> String {
        let line = judged.line();
        let (_, (_, percent_high)) = judged.percent_per_thousand();
        let each = format!(
            "{} per request (95 % CI {})",
            size(line.slope),
            sizes((line.low, line.high))
        );
        let dies = match (limit, reached) {
            (Some((limit, whose)), Some(reached)) => format!(
                ": at {} requests per second it reaches the limit of {whose}, {}, in {}",
                digits(per_s),
                size(limit),
                time(reached.by_line_s)
            ),
            _ => String::new(),
        };
        let endpoint = self.endpoint;
        match judged.shape() {
            _ if !judged.is_enough => format!(
                "Too short a run to tell whether {endpoint} leaks: {} requests, and a leak above {} per request would have shown",
                digits(self.requests()),
                size(line.high.max(judged.matters_bytes))
            ),
            Shape::NoLeak => format!(
                "{endpoint} does not leak: memory grows by less than {} % per 1,000 requests",
                digits(percent_high.max(0.0))
            ),
            _ if is_past_step(judged) => format!(
                "{endpoint} does not leak: memory rose once and then grew by less than {} % per 1,000 requests",
                digits(percent_high.max(0.0))
            ),
            Shape::Leak => format!("{endpoint} leaks {each}{dies}"),
            Shape::Decelerating => {
                format!("The memory of {endpoint} grows, ever more slowly, at last by {each}")
            }
            Shape::ShapeUnknown => {
                format!(
                    "The memory of {endpoint} grows by {each}, and whether that goes on cannot be told yet{dies}"
                )
            }
            Shape::Step => {
                format!("The memory of {endpoint} rose in a step, and too little was read after it")
            }
            Shape::Inconclusive => {
                let (_, (low, high)) = judged.percent_per_thousand();
                format!(
                    "Whether {endpoint} leaks cannot be told: growth is between {} % and {} % per 1,000 requests",
                    digits(low),
                    digits(high)
                )
            }
        }
    }

    fn detail(
        &self,
        judged: &Judged,
        limit: Option<(f64, &str)>,
        reached: Option<TimeToLimit>,
        per_s: f64,
    ) -> String {
        let growth = &judged.growth;
        let pool = self.last().phase.scenarios[0].items.len();
        let mut said = vec![format!(
            "The {} was read {} times over {} requests at {} per second, {pool} different {} in turn; the first 30 % are left \
             out{}. Mann-Kendall with the Hamed-Rao correction: z = {}. Growth that matters: {} per request.",
            self.series.what,
            self.series.bytes.len(),
            digits(self.requests()),
            digits(self.rate()),
            if pool == 1 { "input" } else { "inputs" },
            if growth.troughs_only {
                ", and only the lows after each collection of garbage count"
            } else {
                ""
            },
            digits(growth.trend.z),
            size(judged.matters_bytes)
        )];
        if !judged.is_enough {
            said.push(format!(
                "A conclusion needs {REQUESTS_MIN} requests or half an hour, and {READINGS_MIN} readings: what fills and settles \
                 looks like a leak until then."
            ));
        }
        if let (Some((_, whose)), Some(reached)) = (limit, reached)
            && grows(judged.shape())
        {
            let slowing = match judged.shape() {
                Shape::Leak => String::new(),
                _ => format!(
                    ", and in {} if it slows down with the logarithm of the work",
                    time(reached.slowing_s)
                ),
            };
            said.push(format!(
                "At {} requests per second the limit of {whose} is reached in {} to {} if growth goes on{slowing}.",
                digits(per_s),
                time(reached.ends_s.0),
                time(reached.ends_s.1)
            ));
        } else if limit.is_none() && grows(judged.shape()) {
            said.push(
                "No limit of memory is known, so the time until it is reached is not either (`limit_mib`)."
                    .to_owned(),
            );
        }
        said.extend(self.in_silence(judged));
        if self.tally.failed() > 0 {
            said.push(outcome(self.tally));
        }
        said.join(" ")
    }

    /// What memory did without requests.
    fn in_silence(&self, judged: &Judged) -> Option<String> {
        let (seconds, bytes) = series::silence(self.silence?);
        let (change, rises) = change_in_silence(&bytes)?;
        let span = time(seconds.last().copied()?);
        let matters = 1_000.0 * judged.matters_bytes;
        Some(if rises && change > matters {
            format!(
                "It also grew without any request, by {} in {span}: something grows with time.",
                size(change)
            )
        } else if change < -matters {
            format!(
                "After the load it fell by {} in {span}: a cache or a collector gave it back.",
                size(-change)
            )
        } else {
            format!("It did not grow in {span} without requests.")
        })
    }

    fn figures(
        &self,
        draft: Draft,
        judged: &Judged,
        limit: Option<(f64, &str)>,
        reached: Option<TimeToLimit>,
    ) -> Draft {
        let evidence = source(self.last(), self.endpoint);
        let n = judged.readings;
        let line = judged.line();
        let (percent, ends) = judged.percent_per_thousand();
        let mut draft = draft
            .measured(
                "growth per request",
                line.slope,
                "B",
                Some((line.low, line.high)),
                n,
                &evidence,
            )
            .measured(
                "growth per 1,000 requests",
                percent,
                "%",
                Some(ends),
                n,
                &evidence,
            )
            .figure("memory at the end", judged.level_bytes, "B", n, &evidence)
            .figure(
                "most memory",
                judged.peak_bytes,
                "B",
                self.series.bytes.len(),
                &evidence,
            )
            .figure(
                "requests",
                self.requests(),
                "requests",
                self.series.bytes.len(),
                &evidence,
            );
        if let (Some((limit, _)), Some(reached)) = (limit, reached)
            && grows(judged.shape())
        {
            draft = draft.figure("limit", limit, "B", 1, &evidence);
            if reached.ends_s.1.is_finite() {
                draft = draft.measured(
                    "time to the limit",
                    reached.by_line_s,
                    "s",
                    Some(reached.ends_s),
                    n,
                    &evidence,
                );
            }
        }
        draft
    }

    fn advice(&self, draft: Draft, judged: &Judged, verdict: Verdict, per_s: f64) -> Draft {
        let line = judged.line();
        let grown = if grows(judged.shape()) {
            line.high * per_s * self.rules.restart_s
        } else {
            0.0
        };
        let limit = 1.2 * (judged.peak_bytes + grown);
        let formula = format!(
            "({} + {} per request x {} per second x {}) x 1.2 = {}",
            size(judged.peak_bytes),
            size(if grown > 0.0 { line.high } else { 0.0 }),
            digits(per_s),
            time(self.rules.restart_s),
            size(limit)
        );
        match verdict {
            Verdict::Pass => draft.advice(&format!("Set the memory limit to {}.", size(limit)), &formula),
            Verdict::Inconclusive => draft.advice(&self.needed(), ""),
            _ => draft.advice(
                &format!(
                    "Find what is kept per request: take two heap profiles some thousand requests apart and compare them. Until \
                     then restart it every {} and set the memory limit to {}.",
                    time(self.rules.restart_s),
                    size(limit)
                ),
                &formula,
            ),
        }
    }
}

/// Whether memory grows on.
fn grows(shape: Shape) -> bool {
    matches!(shape, Shape::Leak | Shape::Decelerating | Shape::ShapeUnknown)
}

/// Whether one step explains the growth and nothing came after it.
fn is_past_step(judged: &Judged) -> bool {
    judged
        .after_step
        .is_some_and(|after| after.verdict == Shape::NoLeak)
}
