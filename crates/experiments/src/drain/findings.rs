//! From requests around the signal, and the end of the process, to findings.

use prony_model::{Finding, Nanos, Outcome, OutcomeClass, PhaseResult, Sample, Severity, Verdict};

use super::NAME;
use crate::draft::{Draft, source};
use crate::process_life::Stop;
use crate::wording::{digits, ms};

/// Fewest requests that were surely in work at the signal from which it follows that they are finished.
const IN_WORK_MIN: usize = 3;
/// Surely in work is what was sent less than such a share of the time of one request before the signal, where that time is at least so
/// many milliseconds: an answer may have been given before, and read only afterwards.
const IN_WORK_SHARE: f64 = 0.8;
const SOLO_MS_MIN: f64 = 20.0;
/// Requests that may be lost at each stop in the moment in which the listening socket is closed: the kernel has accepted them and the
/// server has not, which no server can rule out.
const AT_CLOSING_MAX: usize = 2;

/// One stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round<'a> {
    /// The requests around the signal.
    pub(super) phase: &'a PhaseResult,
    /// The signal, and the end.
    pub(super) stop: Stop<'a>,
    /// What one request takes alone, in ms.
    pub(super) solo_ms: f64,
}

impl Round<'_> {
    /// Requests that were surely worked on at the signal, and are finished.
    fn finished_in_work(&self) -> usize {
        if self.solo_ms < SOLO_MS_MIN {
            return 0;
        }
        let recent = |s: &&Sample| (self.stop.at - s.sent).as_millis_f64() < IN_WORK_SHARE * self.solo_ms;
        in_flight(self.phase, self.stop.at)
            .filter(|s| s.outcome == Outcome::Ok)
            .filter(recent)
            .count()
    }
}

/// What became of some requests.
#[derive(Clone, Debug, Default)]
struct Fates {
    finished: usize,
    /// Answered, but with a refusal (429, 503) or another error of the server's own.
    refused: usize,
    /// No connection: nobody listened any more.
    closed: usize,
    /// The connection broke before the whole answer.
    cut: usize,
    /// No answer in time.
    silent: usize,
}

impl Fates {
    fn of<'a>(samples: impl Iterator<Item = &'a Sample>) -> Self {
        let mut fates = Self::default();
        for sample in samples.filter(|s| !s.outcome.is_own()) {
            *match (sample.outcome, sample.outcome.class()) {
                (Outcome::Ok, _) => &mut fates.finished,
                (Outcome::Refused | Outcome::Unreachable, _) => &mut fates.closed,
                (_, OutcomeClass::Timeout) => &mut fates.silent,
                (Outcome::Reset | Outcome::Truncated | Outcome::StreamUnfinished, _) => &mut fates.cut,
                _ if sample.status == 0 => &mut fates.cut,
                _ => &mut fates.refused,
            } += 1;
        }
        fates
    }

    fn all(&self) -> usize {
        self.finished + self.refused + self.closed + self.cut + self.silent
    }

    fn lost(&self) -> usize {
        self.cut + self.silent
    }

    fn row(&self, name: &str) -> Vec<String> {
        let counts = [self.finished, self.refused, self.closed, self.cut, self.silent];
        std::iter::once(name.to_owned())
            .chain(counts.map(|n| n.to_string()))
            .collect()
    }
}

/// Requests that had been sent and not answered at that moment.
fn in_flight(phase: &PhaseResult, at: Nanos) -> impl Iterator<Item = &Sample> {
    phase
        .samples
        .iter()
        .filter(move |s| s.done > at && was_sent(s, at))
}

/// Requests that were sent after it, or would have been.
fn later(phase: &PhaseResult, at: Nanos) -> impl Iterator<Item = &Sample> {
    phase
        .samples
        .iter()
        .filter(move |s| s.done > at && !was_sent(s, at))
}

/// Whether a request was on its way at that moment: one that found nobody listening never was.
fn was_sent(sample: &Sample, at: Nanos) -> bool {
    let unconnected = matches!(
        sample.outcome,
        Outcome::Refused | Outcome::Unreachable | Outcome::ConnectTimeout
    );
    sample.sent <= at && !unconnected
}

/// No phase came so far that the process was told to stop.
pub(super) fn undecided(phase: &PhaseResult) -> Finding {
    let endpoint = phase.phase.scenarios[0].name.as_str();
    Draft::new(NAME, NAME, endpoint)
        .verdict(Verdict::Inconclusive, Severity::Low)
        .title("The target was not told to stop: it gave no good answer before")
        .detail(format!(
            "{endpoint} was asked on a process that had just been started."
        ))
        .done()
}

/// All that the stops show.
pub(super) fn judge(rounds: &[Round<'_>]) -> Vec<Finding> {
    if let Some(round) = rounds.iter().find(|round| round.stop.is_early()) {
        return vec![ended_early(round.phase)];
    }
    let held = Fates::of(rounds.iter().flat_map(|r| in_flight(r.phase, r.stop.at)));
    let late = Fates::of(rounds.iter().flat_map(|r| later(r.phase, r.stop.at)));
    vec![
        finished(rounds, &held, &late),
        in_time(rounds),
        refused_well(rounds, &late),
    ]
}

fn ended_early(phase: &PhaseResult) -> Finding {
    let endpoint = phase.phase.scenarios[0].name.as_str();
    Draft::new(NAME, NAME, endpoint)
        .verdict(Verdict::Fail, Severity::Critical)
        .title(format!(
            "The process ended by itself under a light load on {endpoint}, before it was told to stop"
        ))
        .detail("Its own output tells more: target.log beside this report.")
        .done()
}

fn finished(rounds: &[Round<'_>], held: &Fates, late: &Fates) -> Finding {
    let phase = rounds[0].phase;
    let endpoint = phase.phase.scenarios[0].name.as_str();
    let here = source(phase, endpoint);
    let (n, lost) = (held.all(), held.lost());
    let draft = Draft::new(NAME, NAME, endpoint)
        .figure("requests in flight at the signal", n as f64, "", n, &here)
        .figure("of these, finished", held.finished as f64, "", n, &here)
        .figure("of these, lost", lost as f64, "", n, &here)
        .table(
            "what became of the requests",
            &[
                "Sent",
                "Answered well",
                "Answered by an error",
                "Not connected",
                "Cut off",
                "Never answered",
            ],
            vec![held.row("before the signal, in flight"), late.row("after it")],
            &here,
        );
    let times = match rounds.len() {
        1 => "when it is told to stop".to_owned(),
        k => format!("when it is told to stop ({k} times)"),
    };
    if lost > 0 {
        return draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!("{lost} of {n} requests in flight to {endpoint} are lost {times}"))
            .detail(format!(
                "{} lost their connection and {} got no answer. Every deployment, scale-down and node that is drained does this to \
                 the users of that moment.",
                held.cut, held.silent
            ))
            .advice(
                "On the signal stop accepting connections, answer what has been accepted, and only then end. Most servers do so once \
                 they are allowed the time; where the process is not the one that is signalled (a shell or a supervisor before \
                 it), let it pass the signal on, or replace it with `exec`.",
                "",
            )
            .done();
    }
    let in_work: usize = rounds.iter().map(Round::finished_in_work).sum();
    if held.refused == 0 && in_work < IN_WORK_MIN {
        return draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .advisory()
            .title(format!(
                "Whether requests in flight to {endpoint} are finished when it is told to stop cannot be told: they are too short"
            ))
            .detail(format!(
                "One takes {} alone, and only {in_work} were surely worked on at the signal. The answer to such a request may have been given \
                 before the signal and read after it. Name a slower endpoint with --endpoint, or repeat it: `rounds`.",
                ms(rounds[0].solo_ms)
            ))
            .done();
    }
    if held.refused > 0 {
        return draft
            .verdict(Verdict::Warn, Severity::Low)
            .title(format!(
                "{} of {n} requests in flight to {endpoint} are answered by an error {times}, the others are finished",
                held.refused
            ))
            .detail("They had been accepted. A client that repeats them loses only time; one that does not loses the answer.")
            .done();
    }
    draft
        .title(format!(
            "All {n} requests in flight to {endpoint} are finished {times}"
        ))
        .detail("They had been sent before the signal and were answered after it.")
        .done()
}

fn in_time(rounds: &[Round<'_>]) -> Finding {
    let here = source(rounds[0].phase, "");
    let n = rounds.len();
    let given = rounds[0].stop.given_ms();
    let took: Vec<f64> = rounds.iter().filter_map(|r| r.stop.took_ms()).collect();
    let killed = n - took.len();
    let longest = took.iter().copied().fold(0.0, f64::max);
    let mut draft = Draft::new(NAME, "stop-in-time", "")
        .figure("times that it was told to stop", n as f64, "", n, &here)
        .figure("times that it had to be killed", killed as f64, "", n, &here)
        .figure("time that it was given", given, "ms", n, &here);
    if !took.is_empty() {
        draft = draft.figure("time to stop, longest", longest, "ms", took.len(), &here);
    }
    if killed > 0 {
        return draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!("The process does not end within {} of being told to: it had to be killed, {killed} of {n} times", ms(given)))
            .detail(
                "What it had not finished or written by then is lost, and every deployment takes that long for each instance. \
                 Either it does not hear the signal (a shell or a supervisor before it that does not pass it on), ignores it, or waits \
                 for something that does not end.",
            )
            .advice(
                "Handle the signal: stop accepting, finish what is in flight with an upper bound, end. `--stop-timeout` gives it more \
                 time here, where that is how long its work lasts.",
                "",
            )
            .done();
    }
    let odd = rounds.iter().find_map(|r| is_odd(r.stop));
    let span = format!("The process ends {} after it is told to", ms(longest));
    match odd {
        Some(how) => draft
            .verdict(Verdict::Warn, Severity::Low)
            .title(format!("{span}, {how}"))
            .detail("A supervisor counts that as a failure, although the process was asked to end.")
            .advice("End with exit code 0 after a stop that was asked for.", "")
            .done(),
        None => draft
            .title(format!(
                "{span} at the latest ({n} times), {}",
                ended(rounds[0].stop)
            ))
            .done(),
    }
}

/// How it ended, in words.
fn ended(stop: Stop<'_>) -> String {
    match (stop.code(), stop.signal()) {
        (Some(code), _) => format!("with exit code {code}"),
        (_, Some(signal)) => format!("by signal {signal}"),
        (None, None) => "in an unknown way".to_owned(),
    }
}

/// An end that is neither a success nor what a signal to stop does: in words.
fn is_odd(stop: Stop<'_>) -> Option<String> {
    /// Signals that ask a process to end: HUP, INT, QUIT, TERM.
    const ASKS: [i32; 4] = [1, 2, 3, 15];
    let is_usual = match (stop.code(), stop.signal()) {
        (Some(code), _) => code == 0 || ASKS.contains(&(code - 128)),
        (_, Some(signal)) => ASKS.contains(&signal),
        (None, None) => true,
    };
    (!is_usual).then(|| ended(stop))
}

fn refused_well(rounds: &[Round<'_>], late: &Fates) -> Finding {
    let phase = rounds[0].phase;
    let endpoint = phase.phase.scenarios[0].name.as_str();
    let here = source(phase, endpoint);
    let n = late.all();
    let broken = late.cut + late.silent;
    let draft = Draft::new(NAME, "late-requests", endpoint)
        .advisory()
        .figure("requests after the signal", n as f64, "", n, &here)
        .figure("answered well", late.finished as f64, "", n, &here)
        .figure("answered by an error", late.refused as f64, "", n, &here)
        .figure("not connected", late.closed as f64, "", n, &here)
        .figure("cut off or never answered", broken as f64, "", n, &here);
    if n == 0 {
        return draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .title(format!("No request to {endpoint} came after the signal"))
            .done();
    }
    let wait = "Wait some seconds before the signal reaches the server, while the platform takes the instance out (in Kubernetes a \
                `preStop` hook that sleeps 5 s); then close the listening socket before connections are closed.";
    if broken > 0 && late.silent == 0 && broken <= AT_CLOSING_MAX * rounds.len() {
        return draft
            .title(format!(
                "Of {n} requests to {endpoint} that come after the signal {broken} are lost in the moment of closing, and no others"
            ))
            .detail(
                "The kernel accepts connections until the listening socket is closed, and resets those that the server has not taken by \
                 then: any server may lose so few.",
            )
            .advice(wait, "")
            .done();
    }
    if broken > 0 {
        let share = digits(100.0 * broken as f64 / n as f64);
        return draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!("{broken} of {n} requests to {endpoint} that come after the signal are accepted and then lost"))
            .detail(format!(
                "That is {share} %: {} lost their connection and {} got no answer in time. A platform goes on sending requests for some \
                 seconds after the signal, until all of its parts know of it; a client cannot know whether such a request was worked \
                 on, and may not repeat it.",
                late.cut, late.silent
            ))
            .advice(wait, "")
            .done();
    }
    draft
        .title(format!(
            "Of {n} requests to {endpoint} that come after the signal none is lost: {} are not connected, {} answered by an error, {} answered well",
            late.closed, late.refused, late.finished
        ))
        .done()
}
