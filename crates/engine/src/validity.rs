//! Whether the generator kept its promise. The bounds are those of the methodology; a bound counts only above a
//! minimum number of requests, so that one late send does not condemn a phase of twenty.

use prony_model::{Distribution, Nanos, Outcome, Phase, Shape, StreamSummary, Validity};
use prony_stats::order::nearest_rank;

use crate::books::{self, Books, OWN_LAG, RESPONSE, Times, is_unsent};
use crate::worker::{Report, Seen};

/// Late sends beyond this share make a phase invalid.
const LATE_SHARE_MAX: f64 = 0.01;
/// Fewer late sends, or late beats of the timer, than this are told as a warning only: in a short phase one of them
/// is the 99th percentile.
const LATE_MIN: u64 = 5;
/// Arrivals never sent beyond this share make a phase invalid.
const SHED_SHARE_MAX: f64 = 0.001;
/// Bounds of the rate check.
const RATE_SENDS_MIN: u64 = 100;
const RATE_ERROR_MAX: f64 = 0.01;
/// Change of a quantile by our own lag: warning, invalid, and the least change that matters at all.
const SHIFT_WARN: f64 = 0.02;
const SHIFT_MAX: f64 = 0.05;
const SHIFT_LEAST: Nanos = Nanos(100_000);
/// Good answers from which on a closed loop's 99th percentile is looked at, and by which factor and span at least the requests
/// that it did not send must raise it.
const OMISSION_MIN: u64 = 299;
const OMISSION_FACTOR: u64 = 2;
const OMISSION_LEAST: Nanos = Nanos(10_000_000);
const BUSY_MAX: f64 = 0.9;
/// Stolen time hits the target as well as us; what it does to our own sending shows in lag and timer, which have
/// bounds of their own. So a little of it warns, and only much of it condemns.
const STEAL_WARN: f64 = 0.02;
const STEAL_MAX: f64 = 0.1;
const TIMER_MAX: Nanos = Nanos(5_000_000);
const TIMER_MIN: usize = 20;
/// Reads that are late by more than this share of the median gap between tokens, and by more than the least, spoil stamps. From this share of events that shared a read on, gaps are not looked at.
const READ_SHARE: f64 = 0.05;
const READ_LEAST: Nanos = Nanos(250_000);
const READ_JOINED: f64 = 0.05;
/// Share of events, or of first tokens, that may be spoiled so.
const READ_SHARE_MAX: f64 = 0.01;
const LITTLE_MAX: f64 = 0.05;
const LITTLE_REQUESTS_MIN: u64 = 100;
/// CPU shares of a shorter leg say nothing.
const WALL_MIN: Nanos = Nanos(1_000_000_000);

/// What the requests alone show.
pub(crate) fn judge(phase: &Phase, books: &Books) -> Validity {
    let mut validity = Validity::default();
    let (offered, shed) = (books.totals.offered(), books.totals.unsent);
    if offered > 0 {
        validity.shed_share = shed as f64 / offered as f64;
    }
    if validity.shed_share > SHED_SHARE_MAX {
        let says = format!(
            "{shed} of {offered} arrivals were never sent ({:.2} %, bound {} %): raise in_flight_max, or the target holds too many",
            validity.shed_share * 100.0,
            SHED_SHARE_MAX * 100.0
        );
        validity.tell(shed >= LATE_MIN, "shed", says);
    }
    judge_lateness(&mut validity, phase, books);
    if phase.shape.is_scheduled() {
        judge_rate(&mut validity, books);
    }
    if let Shape::Closed { think_ms, .. } = phase.shape {
        warn_of_omission(&mut validity, books, think_ms);
    }
    validity
}

/// A closed loop asks nothing while it waits, so it meets a target that stands still only once for each user. Warns where that
/// hid most of the 99th percentile: where requests sent all the while, as far apart as they are on average, would have put it
/// far higher. The figure is an estimate (Tene's correction) and decides nothing.
fn warn_of_omission(validity: &mut Validity, books: &Books, think_ms: f64) {
    let responses = books.over(RESPONSE, |o| o == Outcome::Ok);
    let apart_ns = responses.mean() + think_ms * 1e6;
    if responses.len() < OMISSION_MIN || apart_ns <= 0.0 {
        return;
    }
    let seen = at(&responses, 0.99);
    let hidden = Nanos(with_omitted(&responses, apart_ns, 0.99));
    if hidden.0 > OMISSION_FACTOR * seen.0 && hidden - seen > OMISSION_LEAST {
        let says = format!(
            "while users waited for the slowest answers they asked nothing: had requests been due all the while, p99 would be about \
             {hidden} and not {seen}; this is no latency under load, use an open loop for that"
        );
        validity.tell(false, "coordinated-omission", says);
    }
}

/// The quantile with the requests that were not sent: a time of `v` stands for others of `v - apart`, `v - 2 apart`, ... too.
fn with_omitted(times: &Times, apart_ns: f64, p: f64) -> u64 {
    let over = |limit: u64| -> f64 {
        let above = times.iter_recorded().filter(|v| v.value_iterated_to() > limit);
        above
            .map(|v| {
                let others = ((v.value_iterated_to() - limit) as f64 / apart_ns).floor();
                v.count_at_value() as f64 * (1.0 + others)
            })
            .sum()
    };
    let allowed = (1.0 - p) * over(0);
    let (mut low, mut high) = (0, times.max());
    while low < high {
        let middle = low + (high - low) / 2;
        if over(middle) <= allowed {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

fn judge_lateness(validity: &mut Validity, phase: &Phase, books: &Books) {
    let lags = books.over(OWN_LAG, |o| !is_unsent(o));
    let responses = books.over(RESPONSE, |o| o == Outcome::Ok);
    validity.lag_p99 = at(&lags, 0.99);
    let median = at(&responses, 0.5);
    // Requests of one burst are written one after the other: 20 microseconds each.
    let unavoidable = match phase.shape {
        Shape::Burst { size, .. } => Nanos(u64::from(size) * 20_000),
        _ => Nanos::ZERO,
    };
    let bound = Nanos(1_000_000).max(Nanos(median.0 / 10)) + unavoidable;
    let late = lags.count_between(lags.next_non_equivalent(bound.0), u64::MAX);
    if !lags.is_empty() {
        validity.late_share = late as f64 / lags.len() as f64;
    }
    if validity.late_share > LATE_SHARE_MAX {
        let says = format!(
            "{late} of {} requests were sent more than {bound} late ({:.1} %, bound {} %)",
            lags.len(),
            validity.late_share * 100.0,
            LATE_SHARE_MAX * 100.0
        );
        validity.tell(late >= LATE_MIN, "late-sends", says);
    }
    let without = books.without_lag();
    for (p, n_min) in [(0.5, 20), (0.95, 59), (0.99, 299)] {
        let (with, without) = (at(&responses, p), at(&without, p));
        let moved = with - without;
        let share = if with.0 > 0 {
            moved.0 as f64 / with.0 as f64
        } else {
            0.0
        };
        if responses.len() >= n_min && moved > SHIFT_LEAST && share > SHIFT_WARN {
            let says = format!(
                "our own lag moved p{} from {without} to {with} ({:.1} %, bound {} %)",
                p * 100.0,
                share * 100.0,
                SHIFT_MAX * 100.0
            );
            validity.tell(share > SHIFT_MAX, "late-sends", says);
        }
    }
}

fn judge_rate(validity: &mut Validity, books: &Books) {
    let errors = books.windows().filter(|w| w.wanted >= RATE_SENDS_MIN);
    let worst = errors
        .map(|w| (w.wanted.abs_diff(w.sent), w.wanted))
        .max_by(|a, b| (a.0 as f64 / a.1 as f64).total_cmp(&(b.0 as f64 / b.1 as f64)));
    if let Some((difference, wanted)) = worst {
        validity.rate_error = difference as f64 / wanted as f64;
        if validity.rate_error > RATE_ERROR_MAX && difference >= LATE_MIN {
            let says = format!(
                "{difference} of {wanted} arrivals of one 10 s window were sent in another ({:.1} %, bound {} %)",
                validity.rate_error * 100.0,
                RATE_ERROR_MAX * 100.0
            );
            validity.tell(true, "rate", says);
        }
    }
}

/// Adds what the workers know about themselves. `steal_share` is the host's over the phase.
pub(crate) fn add_reports(validity: &mut Validity, phase: &Phase, reports: &[Report], steal_share: f64) {
    let busy = |r: &Report| {
        if r.wall.0 > 0 {
            r.cpu.0 as f64 / r.wall.0 as f64
        } else {
            0.0
        }
    };
    let long = || reports.iter().filter(|r| r.wall >= WALL_MIN);
    validity.worker_busy_max = reports.iter().map(busy).fold(0.0, f64::max);
    if long().map(busy).any(|b| b > BUSY_MAX) {
        let share = format!(
            "a worker thread was {:.0} % busy (bound {} %)",
            long().map(busy).fold(0.0, f64::max) * 100.0,
            BUSY_MAX * 100.0
        );
        if phase.shape.is_scheduled() {
            validity.tell(true, "worker-busy", share);
        } else {
            let says = format!(
                "{share}: the generator was the limit, so the throughput is a lower bound; use more threads"
            );
            validity.tell(false, "worker-busy", says);
        }
    }
    validity.steal_share = steal_share;
    if steal_share > STEAL_WARN && long().next().is_some() {
        let says = format!(
            "the hypervisor took {:.1} % of the CPU time (warning above {} %, bound {} %)",
            steal_share * 100.0,
            STEAL_WARN * 100.0,
            STEAL_MAX * 100.0
        );
        validity.tell(steal_share > STEAL_MAX, "steal", says);
    }
    let mut timer: Vec<Nanos> = reports
        .iter()
        .flat_map(|r| r.timer_late.iter().copied())
        .collect();
    timer.sort_unstable();
    validity.timer_p99 = match nearest_rank(0.99, timer.len() as u64) {
        0 => Nanos::ZERO,
        rank => timer[rank as usize - 1],
    };
    if timer.len() >= TIMER_MIN && validity.timer_p99 > TIMER_MAX {
        let says = format!(
            "the timer fired {} late at p99 (bound {TIMER_MAX})",
            validity.timer_p99
        );
        let late = timer.iter().filter(|beat| **beat > TIMER_MAX).count() as u64;
        validity.tell(late >= LATE_MIN, "timer", says);
    }
    if let Some(allowed) = reports.iter().filter_map(|r| r.streams_allowed).min() {
        let says = format!(
            "the target allows {allowed} streams at once on an HTTP/2 connection, fewer than were asked for: the requests \
             of a closed loop waited for a free one, which counts as the target's time; ask for {} or fewer, on more \
             connections",
            allowed.max(1)
        );
        validity.tell(false, "streams", says);
    }
    validity.dropped = reports.iter().map(|r| r.dropped).sum();
    if validity.dropped > 0 {
        let says = format!("{} samples found no room and are missing", validity.dropped);
        validity.tell(true, "dropped", says);
    }
}

/// Whether streams were read in time. What the kernel stamped is wrong only where a late read brought several events.
pub(crate) fn add_reading(validity: &mut Validity, streams: &[StreamSummary], reports: &[Report]) {
    let mut seen = Seen::default();
    for report in reports {
        if let Some(from) = &report.seen {
            seen.merge(from);
        }
    }
    let events = seen.by_kernel + seen.by_read;
    if events == 0 {
        return;
    }
    (validity.stamped_by_kernel, validity.stamped_by_read) = (seen.by_kernel, seen.by_read);
    let [rounds, reads, shared, shared_first] = [seen.rounds, seen.reads, seen.shared, seen.shared_first]
        .map(|times| times.unwrap_or_else(books::new_times));
    let by_read = seen.by_read as f64 / events as f64;
    let late = if by_read > READ_SHARE_MAX { &rounds } else { &reads };
    validity.read_late_p99 = at(late, 0.99);
    let of_median = |times: &Distribution| {
        let median = times.quantiles.first().map_or(Nanos::ZERO, |q| q.value);
        READ_LEAST.max(Nanos((median.0 as f64 * READ_SHARE) as u64))
    };
    let good = || streams.iter().filter(|s| s.ok > 0);
    let bounds = good().map(|s| {
        // Where tokens come together, gaps are the network's; the time to the first token still counts.
        let joined = s.joined as f64 >= READ_JOINED * s.token_events as f64;
        of_median(if joined { &s.ttft } else { &s.chunk_gap })
    });
    let (Some(bound), Some(bound_first)) = (bounds.min(), good().map(|s| of_median(&s.ttft)).min()) else {
        return;
    };
    // Those stamped by reads are told by the probe, one for many; the others one by one.
    let share = |n: u64, of: u64| n as f64 / of.max(1) as f64;
    let (late_rounds, late_shared) = (beyond(&rounds, bound), beyond(&shared, bound));
    validity.misread_share = by_read * share(late_rounds, rounds.len()) + share(late_shared, events);
    let told = if seen.by_read > 0 { late_rounds } else { 0 } + late_shared;
    if validity.misread_share > READ_SHARE_MAX {
        let says = format!(
            "{:.1} % of the events were read more than {bound} late and have the stamp of their read, or of a later event that \
             came with them (bound {} %): times of tokens are our own by so much",
            validity.misread_share * 100.0,
            READ_SHARE_MAX * 100.0
        );
        return validity.tell(told >= LATE_MIN, "late-reads", says);
    }
    let answers = streams.iter().map(|s| s.ok + s.failed).sum();
    let late_first = beyond(&shared_first, bound_first);
    if share(late_first, answers) > READ_SHARE_MAX {
        let says = format!(
            "{late_first} of {answers} first tokens were read more than {bound_first} late and have the stamp of a later event (bound {} %): \
             the time to the first token is our own by so much",
            READ_SHARE_MAX * 100.0
        );
        validity.tell(late_first >= LATE_MIN, "late-reads", says);
    }
}

/// How many are above a bound.
fn beyond(times: &Times, bound: Nanos) -> u64 {
    times.count_between(times.next_non_equivalent(bound.0), u64::MAX)
}

/// Little's law as a check of our own books: the time integral of requests in flight, counted as they started and
/// ended, against the sum of their spans.
pub(crate) fn add_little(validity: &mut Validity, counted: u128, spans: u128, requests: u64) {
    if spans == 0 {
        return;
    }
    validity.little_error = (counted as f64 - spans as f64).abs() / spans as f64;
    if requests >= LITTLE_REQUESTS_MIN && validity.little_error > LITTLE_MAX {
        let says = format!(
            "requests in flight and rate x time disagree by {:.1} % (bound {} %): the records contradict each other",
            validity.little_error * 100.0,
            LITTLE_MAX * 100.0
        );
        validity.tell(true, "little", says);
    }
}

/// Nearest-rank quantile; zero when there is nothing.
fn at(times: &Times, p: f64) -> Nanos {
    Nanos(if times.is_empty() {
        0
    } else {
        times.value_at_quantile(p)
    })
}

#[cfg(test)]
mod tests {
    use super::{add_little, add_reading, add_reports, judge};
    use crate::books::Books;
    use crate::worker::{Report, Seen};
    use prony_model::{
        Arrivals, Capture, Distribution, Limits, Nanos, Outcome, Phase, Quantile, Sample, SampleFlags, Shape,
        StreamSummary, Validity,
    };

    const OPEN: Shape = Shape::Open {
        rate: 100.0,
        arrivals: Arrivals::Constant,
        duration_s: 10.0,
        in_flight_max: 9,
    };
    const CLOSED: Shape = Shape::Closed {
        connections: 1,
        requests: None,
        duration_s: Some(1.0),
        think_ms: 0.0,
    };

    fn phase(shape: Shape) -> Phase {
        Phase {
            name: "p".into(),
            experiment: "e".into(),
            scenarios: Vec::new(),
            shape,
            limits: Limits::default(),
            capture: Capture::NONE,
        }
    }

    /// `n` answers of 2 ms every 10 ms, the first `late` of them sent `lag_us` late.
    fn samples(n: u64, late: u64, lag_us: u64) -> Vec<Sample> {
        let sample = |seq: u64| {
            let intended = Nanos(seq * 10_000_000);
            let sent = intended + Nanos(if seq < late { lag_us * 1000 } else { 5000 });
            Sample {
                seq,
                intended,
                sent,
                first_byte: sent + Nanos(1_000_000),
                done: sent + Nanos(2_000_000),
                digest: 0,
                bytes_in: 0,
                item: 0,
                connect_us: 0,
                tls_us: 0,
                attempt: 0,
                status: 200,
                scenario: 0,
                step: 0,
                phase: 0,
                worker: 0,
                outcome: Outcome::Ok,
                flags: SampleFlags::default(),
            }
        };
        (0..n).map(sample).collect()
    }

    fn names(issues: &[prony_model::ValidityIssue]) -> Vec<&str> {
        issues.iter().map(|i| i.name.as_str()).collect()
    }

    #[test]
    fn a_punctual_phase_is_valid() {
        let validity = judge(&phase(OPEN), &Books::of(&samples(1000, 0, 0)));
        assert!(
            validity.is_valid() && validity.warnings.is_empty(),
            "{validity:?}"
        );
        // Histograms keep three digits.
        assert!(validity.lag_p99.0.abs_diff(5000) <= 5, "{validity:?}");
    }

    #[test]
    fn late_sends_condemn_only_in_numbers() {
        let invalid = judge(&phase(OPEN), &Books::of(&samples(1000, 20, 3000)));
        // Twice: by their share, and because they moved the 99th percentile.
        assert_eq!(names(&invalid.invalid), ["late-sends", "late-sends"]);
        assert!(invalid.invalid[0].says.contains("20 of 1000"), "{invalid:?}");
        let one = judge(&phase(OPEN), &Books::of(&samples(20, 1, 3000)));
        assert!(one.is_valid(), "{one:?}");
        assert_eq!(names(&one.warnings), ["late-sends"]);
        let few = judge(&phase(OPEN), &Books::of(&samples(1000, 9, 3000)));
        assert!(few.is_valid() && few.warnings.is_empty(), "{few:?}");
    }

    #[test]
    fn the_targets_slow_accept_is_not_our_lag() {
        let mut all = samples(1000, 100, 30_000);
        for sample in &mut all[..100] {
            sample.connect_us = 30_000;
        }
        assert!(judge(&phase(OPEN), &Books::of(&all)).is_valid());
    }

    #[test]
    fn a_moved_quantile_is_told() {
        // 0.6 ms late is below the bound for single sends, yet it is most of what a median shows.
        let validity = judge(&phase(CLOSED), &Books::of(&samples(200, 200, 600)));
        assert!(!validity.is_valid(), "{validity:?}");
        assert!(validity.invalid[0].says.contains("p50"), "{validity:?}");
    }

    #[test]
    fn shed_and_rate() {
        let mut all = samples(1000, 0, 0);
        for sample in &mut all[..6] {
            sample.outcome = Outcome::Shed;
        }
        assert_eq!(names(&judge(&phase(OPEN), &Books::of(&all)).invalid), ["shed"]);
        // 3,000 arrivals over 30 s; those of the first window go out in the second.
        let mut all = samples(3000, 0, 0);
        for sample in &mut all[..1000] {
            sample.sent = Nanos(15_000_000_000);
            sample.done = Nanos(15_002_000_000);
        }
        let validity = judge(&phase(OPEN), &Books::of(&all));
        assert!(names(&validity.invalid).contains(&"rate"), "{validity:?}");
        assert!((validity.rate_error - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_busy_worker_limits_a_closed_loop_and_spoils_an_open_one() {
        let report = Report {
            cpu: Nanos(1_950_000_000),
            wall: Nanos(2_000_000_000),
            ..Report::default()
        };
        let judged = |shape, report: &Report| {
            let mut validity = Validity::default();
            add_reports(&mut validity, &phase(shape), std::slice::from_ref(report), 0.0);
            validity
        };
        assert_eq!(names(&judged(OPEN, &report).invalid), ["worker-busy"]);
        let closed = judged(CLOSED, &report);
        assert!(closed.is_valid() && closed.warnings[0].says.contains("the generator was the limit"));
        let brief = Report {
            cpu: Nanos(950_000),
            wall: Nanos(1_000_000),
            ..Report::default()
        };
        assert!(judged(OPEN, &brief).is_valid());
        let dropped = Report {
            dropped: 3,
            timer_late: vec![Nanos(9_000_000); 30],
            ..Report::default()
        };
        assert_eq!(names(&judged(OPEN, &dropped).invalid), ["timer", "dropped"]);
    }

    #[test]
    fn what_a_closed_loop_did_not_ask_is_told() {
        let mut all = samples(1000, 0, 0);
        assert!(judge(&phase(CLOSED), &Books::of(&all)).warnings.is_empty());
        // One answer of a second among thousands of 2 ms: 300 requests were not sent meanwhile, a quarter of all.
        all[500].done = all[500].sent + Nanos(1_000_000_000);
        let validity = judge(&phase(CLOSED), &Books::of(&all));
        assert_eq!(names(&validity.warnings), ["coordinated-omission"]);
        assert!(
            validity.is_valid() && validity.warnings[0].says.contains("not 2.0"),
            "{validity:?}"
        );
        assert!(
            judge(&phase(OPEN), &Books::of(&all)).warnings.is_empty(),
            "an open loop asks on"
        );
    }

    /// Ten streams of 1,000 tokens, so far apart; the first after 100 ms.
    fn streams(gap_ms: u64, joined: u64) -> StreamSummary {
        let median = |ms: u64| Distribution {
            quantiles: vec![Quantile {
                p: 0.5,
                value: Nanos(ms * 1_000_000),
                ..Quantile::default()
            }],
            ..Distribution::default()
        };
        StreamSummary {
            ok: 10,
            token_events: 1000,
            joined,
            chunk_gap: median(gap_ms),
            ttft: median(100),
            ..StreamSummary::default()
        }
    }

    /// So many of `n` so late, the others 20 us.
    fn times(late_us: u64, late: u64, n: u64) -> Option<crate::books::Times> {
        let mut times = None;
        for i in 0..n {
            let us = if i < late { late_us } else { 20 };
            crate::books::record(&mut times, Nanos(us * 1000));
        }
        times
    }

    fn judged(streams: &[StreamSummary], seen: Seen) -> Validity {
        let report = Report {
            seen: Some(Box::new(seen)),
            ..Report::default()
        };
        let mut validity = Validity::default();
        add_reading(&mut validity, streams, &[report]);
        validity
    }

    #[test]
    fn late_reads_of_what_the_kernel_stamped() {
        let seen = |reads, shared, shared_first| Seen {
            by_kernel: 1000,
            rounds: times(30_000, 100, 100),
            reads,
            shared,
            shared_first,
            ..Seen::default()
        };
        // Reads 30 ms late: every event has its own stamp all the same.
        let saved = judged(&[streams(20, 0)], seen(times(30_000, 1000, 1000), None, None));
        assert!(saved.is_valid() && saved.warnings.is_empty(), "{saved:?}");
        assert_eq!(
            (
                saved.stamped_by_kernel,
                saved.stamped_by_read,
                saved.misread_share
            ),
            (1000, 0, 0.0)
        );
        assert!(saved.read_late_p99.0 > 29_000_000, "it is told all the same");
        // Of 1,000 events 10 may be lost in one read with a later one.
        let lost = |n: u64, late_us: u64| {
            judged(
                &[streams(20, 0)],
                seen(times(30_000, 1000, 1000), times(late_us, n, n + 300), None),
            )
        };
        assert!(lost(10, 1100).is_valid());
        let invalid = lost(11, 1100);
        assert_eq!(names(&invalid.invalid), ["late-reads"]);
        assert!((invalid.misread_share - 0.011).abs() < 1e-9, "{invalid:?}");
        assert!(lost(300, 900).is_valid(), "those came together");
        // First tokens are counted by answers, and by their own bound: 5 % of 100 ms.
        let first = |n: u64, late_us: u64| {
            let many = StreamSummary {
                ok: 500,
                ..streams(20, 0)
            };
            judged(&[many], seen(times(20, 0, 1000), None, times(late_us, n, 500)))
        };
        assert!(first(5, 5100).is_valid());
        assert_eq!(names(&first(6, 5100).invalid), ["late-reads"]);
        assert!(first(500, 4900).is_valid());
    }

    #[test]
    fn a_few_stamps_of_late_reads_among_the_kernels() {
        // One event in five has the stamp of its read, and one round in ten is late: 2 % are wrong.
        let seen = |late| Seen {
            by_kernel: 800,
            by_read: 200,
            rounds: times(1100, late, 100),
            ..Seen::default()
        };
        assert!((judged(&[streams(20, 0)], seen(10)).misread_share - 0.02).abs() < 1e-9);
        assert!(!judged(&[streams(20, 0)], seen(10)).is_valid());
        assert!(judged(&[streams(20, 0)], seen(4)).is_valid());
    }

    #[test]
    fn streams_that_were_read_late() {
        let judged = |late_us: u64, beats: u64, stream: StreamSummary| {
            let rounds = times(late_us, beats, 100);
            judged(
                &[stream],
                Seen {
                    by_read: 1000,
                    rounds,
                    ..Seen::default()
                },
            )
        };
        // 5 % of 20 ms is 1 ms; the least bound is 0.25 ms.
        assert!(judged(900, 10, streams(20, 0)).is_valid());
        let late = judged(1100, 10, streams(20, 0));
        assert_eq!(names(&late.invalid), ["late-reads"]);
        assert!(late.read_late_p99.0.abs_diff(1_100_000) < 2000, "{late:?}");
        assert!(judged(240, 10, streams(1, 0)).is_valid());
        assert!(!judged(300, 10, streams(1, 0)).is_valid());
        // Few late beats are told, and condemn nothing.
        let few = judged(1100, 3, streams(20, 0));
        assert!(
            few.is_valid() && names(&few.warnings) == ["late-reads"],
            "{few:?}"
        );
        // Where tokens come together, the time to the first of them sets the bound.
        assert!(judged(1100, 10, streams(1, 900)).is_valid());
        assert!(!judged(6000, 10, streams(1, 900)).is_valid());
    }

    #[test]
    fn books_that_contradict_each_other() {
        let mut validity = Validity::default();
        add_little(&mut validity, 1000, 1001, 500);
        assert!(validity.is_valid() && validity.little_error > 0.0);
        add_little(&mut validity, 1000, 1100, 500);
        assert_eq!(names(&validity.invalid), ["little"]);
    }
}
