//! The words for what a search found.

use prony_model::{Finding, PhaseResult, Severity, Shape, Source, Verdict};

use super::probe::{Answer, LEAD, settled};
use super::promise::{Promise, Stretch};
use super::search::Attempt;
use super::shape::{Curve, Peak, Slots};
use super::tier::{Tier, TierName};
use super::{Course, DESCENT, NAME, by_index, ladder};
use crate::RunView;
use crate::draft::{Draft, source};
use crate::objective::LetDown;
use crate::wording::{digits, ms, resting_on};
use crate::workload::Workload;

/// Share of the confirmed rate to plan for.
const PLAN: f64 = 0.8;
/// Little's law and our books may differ by so much, as a share.
const LITTLE_MAX: f64 = 0.02;

/// The findings of a search.
pub(super) fn findings(
    run: &RunView<'_>,
    course: &Course,
    workload: Option<&Workload>,
    seed: u64,
) -> Vec<Finding> {
    let slots = workload
        .and_then(|workload| ladder(run, workload))
        .and_then(|phase| Some((phase, Slots::of(phase)?)));
    let mut findings = vec![match course.search.confirmed() {
        Some(confirmed) => sustained(run, course, confirmed, slots.as_ref()),
        None => unconfirmed(run, course, slots.as_ref()),
    }];
    findings.extend(descent(run, course));
    findings.extend(slots.and_then(|(phase, slots)| peak(phase, &course.endpoint, &slots, seed)));
    findings
}

/// Nothing could be planned.
pub(super) fn nothing(why: &str) -> Finding {
    Draft::new(NAME, NAME, "")
        .verdict(Verdict::Inconclusive, Severity::Low)
        .advisory()
        .title(format!("No capacity was searched: {why}"))
        .advice(
            "Run the baseline and the ladder before, or give the search more time (`duration_s`).",
            "",
        )
        .done()
}

fn sustained(
    run: &RunView<'_>,
    course: &Course,
    confirmed: &Attempt,
    slots: Option<&(&PhaseResult, Slots)>,
) -> Finding {
    let Course {
        endpoint,
        promise,
        search,
        ..
    } = course;
    let rate = confirmed.probe.rate;
    let full = confirmed.requests >= search.tier.confirm && search.tier.name != TierName::Sketch;
    let fails = search.fails_above(rate);
    let phases = by_index(run, &confirmed.phases);
    let evidence = source(phases[0], endpoint);
    let end = end(course, rate, fails);
    let title = format!(
        "{}{endpoint} sustains {} requests per second with {} (confirmed by {} requests in {}{end}). Plan for {}",
        if full { "" } else { "Indicative: " },
        digits(rate),
        promise.label(),
        confirmed.probe.let_down.n,
        ms(1000.0 * (1.0 - LEAD) * confirmed.probe.seconds),
        digits(PLAN * rate),
    );
    let mut detail = vec![promise.origin(), course.conditions()];
    // Only a rate that surely failed bounds the capacity from above.
    let bracket = fails
        .filter(|f| f.probe.trusted && f.probe.answer == Answer::Fail)
        .map(|f| (rate, f.probe.rate));
    let let_down = confirmed.probe.let_down;
    let (low, high) = let_down.interval();
    let mut draft = Draft::new(NAME, NAME, endpoint)
        .title(title)
        .measured("sustained rate", rate, "1/s", bracket, let_down.n, &evidence)
        .measured(
            "let down at that rate",
            100.0 * let_down.share(),
            "%",
            Some((100.0 * low, 100.0 * high)),
            let_down.n,
            &evidence,
        )
        .figure(
            "independent requests that these are worth",
            let_down.n_eff.floor(),
            "requests",
            let_down.n,
            &evidence,
        )
        .figure("rate to plan for", PLAN * rate, "1/s", let_down.n, &evidence)
        .figure(
            "Little's law, disagreement",
            100.0 * confirmed.probe.little,
            "%",
            let_down.n,
            &evidence,
        );
    draft = promised(draft, promise, &phases, rate, &evidence);
    if let Some((phase, slots)) = slots {
        draft = behaves_like(draft, &mut detail, rate, promise, slots, &source(phase, endpoint));
    }
    if !full {
        detail.push(indicative(course, rate));
    }
    detail.push("Another mix of inputs, or another number of instances, has another capacity.".to_owned());
    let draft =
        draft
            .detail(detail.join(" "))
            .table("Rates tried, open loop", &COLUMNS, rows(course), &evidence);
    let mut rests_on = phases;
    if let Some(f) = bracket.and(fails) {
        rests_on.extend(by_index(run, &f.phases));
    }
    little(resting_on(draft.done(), &rests_on), confirmed)
}

/// The limits, and of streams how many held each.
fn promised(draft: Draft, promise: &Promise, phases: &[&PhaseResult], rate: f64, evidence: &Source) -> Draft {
    let streams = match promise {
        Promise::Response(objective) => {
            let n = phases.iter().map(|p| p.samples.len()).sum();
            return draft.figure("response limit", objective.limit_ms, "ms", n, evidence);
        }
        Promise::Streams(streams) => streams,
    };
    let stretches: Vec<Stretch<'_>> = phases.iter().map(|p| (*p, settled(p))).collect();
    let all = promise.count(&stretches);
    let (low, high) = all.interval();
    let good = all.n - all.over;
    let tokens = streams.good_tokens(&stretches) as f64 / good.max(1) as f64;
    let goodput = 1.0 - all.share();
    let rows = streams.each(&stretches);
    let row = |(class, limit, let_down): &(String, String, LetDown)| {
        let (low, high) = let_down.interval();
        vec![
            class.clone(),
            limit.clone(),
            let_down.n.to_string(),
            (let_down.n - let_down.over).to_string(),
            format!("{:.2}", 100.0 * (1.0 - let_down.share())),
            format!("{:.2} to {:.2}", 100.0 * (1.0 - high), 100.0 * (1.0 - low)),
        ]
    };
    draft
        .measured(
            "goodput",
            100.0 * goodput,
            "%",
            Some((100.0 * (1.0 - high), 100.0 * (1.0 - low))),
            all.n,
            evidence,
        )
        .figure("good requests per second", goodput * rate, "1/s", all.n, evidence)
        .figure(
            "output tokens of good requests per second",
            goodput * rate * tokens,
            "1/s",
            good,
            evidence,
        )
        .table(
            "Requests that held each limit, at the confirmed rate",
            &[
                "Class",
                "Limit",
                "Requests",
                "Held",
                "Held, %",
                "95 % interval, %",
            ],
            rows.iter().map(row).collect(),
            evidence,
        )
}

/// What is known of the rates above.
fn end(course: &Course, rate: f64, fails: Option<&Attempt>) -> String {
    match fails {
        _ if course.search.is_capped(rate) => "; nothing higher was allowed".to_owned(),
        Some(f) if !f.probe.trusted => "; above that the generator did not keep its promise".to_owned(),
        Some(f) if f.probe.saturated => {
            format!("; at {} the backlog goes on growing", digits(f.probe.rate))
        }
        Some(f) if f.probe.answer == Answer::Fail => format!("; fails at {}", digits(f.probe.rate)),
        Some(f) => format!("; not surely at {}", digits(f.probe.rate)),
        None => String::new(),
    }
}

/// What a firmer search would take.
fn indicative(course: &Course, rate: f64) -> String {
    let wanted = match course.search.tier.name {
        TierName::Sketch => Tier::new(TierName::Quick, course.promise.allowed()),
        _ => course.search.tier,
    };
    format!(
        "It is indicative because the search was short: tier {} takes about {} requests, {} at this rate.",
        wanted.name.label(),
        wanted.total,
        ms(1000.0 * wanted.total as f64 / rate)
    )
}

/// What the ladder adds: slots, the queue that would behave alike, and what to configure.
fn behaves_like(
    draft: Draft,
    detail: &mut Vec<String>,
    rate: f64,
    promise: &Promise,
    slots: &Slots,
    evidence: &Source,
) -> Draft {
    let n: usize = slots.steps.iter().map(|s| s.good).sum();
    let alone = ms(1000.0 * slots.alone_s);
    let plan = |draft: Draft| {
        draft.advice(
            &format!(
                "Plan for {} requests per second for each instance.",
                digits(PLAN * rate)
            ),
            &format!("{PLAN} x {}", digits(rate)),
        )
    };
    if !slots.is_saturated() {
        detail.push(format!(
            "The server behaves like at least {} parallel slots of {alone}: the ladder, which went up to {} at a time, does not show \
             throughput used up.",
            slots.count(),
            slots.most()
        ));
        return plan(draft);
    }
    detail.push(format!(
        "The server behaves like about {} parallel slots of {alone}.",
        slots.count()
    ));
    let mut draft = draft.figure("parallel slots", slots.knee(), "requests", n, evidence);
    let Some(objective) = promise.response() else {
        return plan(draft);
    };
    if let Some(model) = slots.model_rate(objective) {
        detail.push(format!(
            "A queue of that many slots with exponential times (M/M/c) would sustain {}: the target reaches {} % of it.",
            digits(model),
            digits(100.0 * rate / model)
        ));
        let label = "rate that a queue of such slots would sustain";
        draft = draft.figure(label, model, "1/s", n, evidence);
    }
    let queue = rate * (objective.limit_ms / 1000.0 - slots.alone_s);
    let queue = queue.floor().max(0.0);
    draft.advice(
        &format!(
            "Plan for {} requests per second for each instance; allow about {:.0} at a time, let at most {queue:.0} wait, and refuse \
             the rest at once with 503 and Retry-After.",
            digits(PLAN * rate),
            slots.knee().round().max(1.0)
        ),
        &format!(
            "{PLAN} x {}; highest throughput {} / s x {alone} alone = {} at once; {} / s x ({} - {alone}) = {queue:.0} waiting",
            digits(rate),
            digits(slots.x_max),
            digits(slots.knee()),
            digits(rate),
            ms(objective.limit_ms)
        ),
    )
}

/// Nothing was confirmed: what is known is said, and what it would take.
fn unconfirmed(run: &RunView<'_>, course: &Course, slots: Option<&(&PhaseResult, Slots)>) -> Finding {
    let Course {
        endpoint,
        promise,
        search,
        ..
    } = course;
    let lowest = search
        .attempts
        .iter()
        .min_by(|a, b| a.probe.rate.total_cmp(&b.probe.rate));
    let evidence = run
        .of(NAME)
        .next()
        .map_or_else(Source::default, |p| source(p, endpoint));
    let (low, high) = search.bracket();
    let never = lowest.filter(|a| low.is_none() && a.probe.answer == Answer::Fail && a.probe.trusted);
    let about = low.or(high).unwrap_or(search.start);
    let needs_s = search.tier.total as f64 / about;
    let draft =
        Draft::new(NAME, NAME, endpoint).table("Rates tried, open loop", &COLUMNS, rows(course), &evidence);
    let draft = match never {
        Some(lowest) if !promise.is_derived() => draft
            .verdict(Verdict::Fail, Severity::High)
            .title(format!(
                "{endpoint} misses {} even at {} requests per second",
                promise.label(),
                digits(lowest.probe.rate)
            ))
            .advice(
                "Make a request faster, or promise less: no number of waiting places helps.",
                "",
            ),
        Some(lowest) => draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .advisory()
            .title(format!(
                "No sustained rate was found for {endpoint}: {} does not hold even at {} requests per second",
                promise.label(),
                digits(lowest.probe.rate)
            )),
        None => draft
            .verdict(Verdict::Inconclusive, Severity::Low)
            .advisory()
            .title(format!(
                "The time was too short to confirm a rate that {endpoint} sustains{}",
                match (low, high) {
                    (Some(low), Some(high)) => format!(
                        ": probes passed at {} and did not at {} per second",
                        digits(low),
                        digits(high)
                    ),
                    (Some(low), None) => format!(": probes passed at {} per second", digits(low)),
                    (None, Some(high)) => format!(": probes did not pass at {} per second", digits(high)),
                    (None, None) => String::new(),
                }
            ))
            .advice(
                &format!("Give the search about {} (`duration_s`).", ms(1000.0 * needs_s)),
                &format!(
                    "tier {} takes about {} requests; {} / {} per second",
                    search.tier.name.label(),
                    search.tier.total,
                    search.tier.total,
                    digits(about)
                ),
            ),
    };
    let mut detail = vec![promise.origin(), course.conditions()];
    if let Some((_, slots)) = slots {
        detail.push(format!(
            "The ladder suggests {} {} parallel slots of {}.",
            if slots.is_saturated() { "about" } else { "at least" },
            slots.count(),
            ms(1000.0 * slots.alone_s)
        ));
    }
    let phases = lowest.map_or_else(Vec::new, |a| by_index(run, &a.phases));
    resting_on(draft.detail(detail.join(" ")).done(), &phases)
}

/// INVALID when the books of the confirmation contradict Little's law.
fn little(mut finding: Finding, confirmed: &Attempt) -> Finding {
    if confirmed.probe.little > LITTLE_MAX && finding.verdict != Verdict::Invalid {
        finding.verdict = Verdict::Invalid;
        finding.title = format!(
            "The measurement cannot be trusted: requests in flight and rate x time differ by {} % (bound {} %)",
            digits(100.0 * confirmed.probe.little),
            digits(100.0 * LITTLE_MAX)
        );
    }
    finding
}

/// Whether the confirmed rate, and less, is still served well when more came before.
fn descent(run: &RunView<'_>, course: &Course) -> Option<Finding> {
    let phase = run.phase(NAME, DESCENT)?;
    let confirmed = course.search.confirmed()?;
    let Shape::Stages { stages, .. } = &phase.phase.shape else {
        return None;
    };
    let (endpoint, promise) = (&course.endpoint, &course.promise);
    let again = second_half(phase, 1, promise);
    let below = second_half(phase, 2, promise);
    let evidence = source(phase, endpoint);
    let allowed = promise.allowed();
    let bad = |let_down: &LetDown| let_down.interval().0 > allowed;
    let percent = |let_down: &LetDown| {
        let (low, high) = let_down.interval();
        (100.0 * let_down.share(), Some((100.0 * low, 100.0 * high)))
    };
    let rate = |i: usize| digits(stages[i].rate);
    let draft = Draft::new(NAME, "hysteresis", endpoint).advisory().detail(format!(
        "After {} at {} per second came {} at {} and {} at {}; the second half of each counts. On the way up {} had been \
         confirmed.",
        ms(1000.0 * stages[0].duration_s),
        rate(0),
        ms(1000.0 * stages[1].duration_s),
        rate(1),
        ms(1000.0 * stages[2].duration_s),
        rate(2),
        digits(confirmed.probe.rate)
    ));
    let (share, interval) = percent(&again);
    let draft = draft.measured(
        "let down at the confirmed rate, on the way down",
        share,
        "%",
        interval,
        again.n,
        &evidence,
    );
    let (share, interval) = percent(&below);
    let draft = draft.measured(
        "let down below it, on the way down",
        share,
        "%",
        interval,
        below.n,
        &evidence,
    );
    let draft = if again.n == 0 || below.n == 0 {
        draft
            .verdict(Verdict::Inconclusive, Severity::Info)
            .title("The descent was cut short")
    } else if bad(&below) {
        draft
            .verdict(Verdict::Warn, Severity::Medium)
            .title(format!(
                "After too much load {endpoint} did not return to {} at {} per second",
                promise.label(),
                rate(2)
            ))
            .advice(
                "Bound the queue, and drop requests whose client has gone: what waits after a surge keeps the target busy for nobody.",
                "",
            )
    } else if bad(&again) {
        draft
            .verdict(Verdict::Warn, Severity::Low)
            .title(format!(
                "After too much load {endpoint} needs less than it can sustain to recover: {} per second",
                rate(2)
            ))
            .advice("Plan with room to recover; a rate close to the capacity is kept only as long as nothing goes wrong.", "")
    } else {
        draft.title(format!(
            "{endpoint} comes back from too much load at the same rate"
        ))
    };
    Some(resting_on(draft.done(), &[phase]))
}

/// Who was let down among the arrivals of the second half of a stage.
fn second_half(phase: &PhaseResult, step: u16, promise: &Promise) -> LetDown {
    let arrivals: Vec<_> = phase
        .samples
        .iter()
        .filter(|s| s.is_arrival() && s.step == step)
        .collect();
    let half = arrivals.len() / 2;
    promise.count(&[(phase, arrivals[half..].to_vec())])
}

/// The curve over concurrency.
fn peak(phase: &PhaseResult, endpoint: &str, slots: &Slots, seed: u64) -> Option<Finding> {
    let curve = slots.curve(seed)?;
    let evidence = source(phase, endpoint);
    let n = slots.steps.len();
    let Curve {
        usl,
        intervals,
        n_max,
        ..
    } = curve;
    let draft = Draft::new(NAME, "throughput-peak", endpoint)
        .advisory()
        .measured("work that cannot run side by side", usl.alpha, "", Some(intervals.alpha), n, &evidence)
        .measured("cost of each pair that must agree", usl.beta, "", Some(intervals.beta), n, &evidence)
        .measured("throughput of one at a time", usl.gamma, "1/s", Some(intervals.gamma), n, &evidence)
        .detail(format!(
            "The universal scalability law was fitted to {n} concurrencies up to {n_max:.0}. Nothing is said of more than that."
        ));
    let draft = match curve.peak() {
        Peak::At(at, interval) => {
            let upper = if interval.1.is_finite() {
                digits(interval.1)
            } else {
                "no bound".to_owned()
            };
            draft
                .measured("concurrency at the peak", at, "requests", Some(interval), n, &evidence)
                .verdict(Verdict::Warn, Severity::Low)
                .title(format!(
                    "Throughput of {endpoint} falls beyond about {at:.0} requests at a time (95 % interval {} to {upper})",
                    digits(interval.0)
                ))
                .advice(
                    &format!("Allow at most {at:.0} at a time."),
                    &format!("sqrt((1 - {}) / {})", digits(usl.alpha), usl.beta),
                )
        }
        Peak::NotSeen => draft.title(format!(
            "No peak of throughput was seen for {endpoint} up to {n_max:.0} requests at a time"
        )),
        Peak::Beyond => draft.title(format!(
            "Throughput of {endpoint} grows ever less up to {n_max:.0} requests at a time; a peak, if any, lies beyond"
        )),
    };
    Some(resting_on(draft.done(), &[phase]))
}

impl Course {
    fn conditions(&self) -> String {
        format!(
            "{}Open loop, Poisson arrivals; tier {}: probes of {} to {} requests, of which the first {:.0} % of the time do not count, \
             until the rates that pass and fail are within {:.0} %, then fresh requests to confirm. A request that failed counts as \
             too late.",
            self.saturation(),
            self.search.tier.name.label(),
            self.search.tier.first,
            self.search.tier.probe_max(),
            100.0 * LEAD,
            100.0 * (self.search.tier.bracket - 1.0)
        )
    }
}

impl Course {
    /// How often load was ended because more would only have shown a longer queue.
    fn saturation(&self) -> String {
        let rates = self.search.attempts.iter().filter(|a| a.probe.saturated);
        let rates: Vec<String> = rates.map(|a| digits(a.probe.rate)).collect();
        if rates.is_empty() {
            return String::new();
        }
        format!(
            "At {} per second the load was ended early: the number in flight went on growing by a tested slope, so more of it would \
             only have shown a longer queue. ",
            rates.join(", ")
        )
    }
}

const COLUMNS: [&str; 8] = [
    "Rate, 1/s",
    "For",
    "Requests",
    "Worth",
    "Let down, %",
    "95 % interval, %",
    "Failed",
    "Answer",
];

fn rows(course: &Course) -> Vec<Vec<String>> {
    course
        .search
        .attempts
        .iter()
        .map(|a| {
            let (low, high) = a.probe.let_down.interval();
            vec![
                digits(a.probe.rate),
                a.purpose.word().to_owned(),
                a.probe.let_down.n.to_string(),
                format!("{:.0}", a.probe.let_down.n_eff.floor()),
                digits(100.0 * a.probe.let_down.share()),
                format!("{} to {}", digits(100.0 * low), digits(100.0 * high)),
                a.probe.failed.to_string(),
                match (a.probe.trusted, a.probe.answer) {
                    (false, _) => "not to be trusted",
                    (_, Answer::Fail) if a.probe.saturated => {
                        "fails: the backlog goes on growing, ended early"
                    }
                    (_, Answer::Fail) => "fails",
                    (_, Answer::Undecided) if a.probe.backlog => "undecided: the backlog grows",
                    (_, Answer::Pass) => "passes",
                    (_, Answer::Undecided) => "undecided",
                }
                .to_owned(),
            ]
        })
        .collect()
}
