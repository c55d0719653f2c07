//! Bends, breaks, or stays broken: the class of a target by what its surge showed. Rules, no words.

use super::outage::Outage;
use super::recovery::Recovery;
use super::surge::Retention;

/// Goodput kept from which it is graceful, and below which it collapses.
const GRACEFUL: f64 = 0.90;
const COLLAPSE: f64 = 0.50;
/// Goodput at twice the capacity over that at the capacity, above which what was taken for the capacity is none: a queue that
/// just keeps its objective can serve up to half as much again.
const HIGHER: f64 = 1.5;
/// Load that counts as twice the capacity, in times of it.
const FACTOR_MIN: f64 = 1.8;
/// Requests needed at twice the capacity.
const REQUESTS_MIN: usize = 50;

/// How a target takes too much load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// It serves about as much as ever and refuses the rest.
    Graceful,
    /// It serves less.
    Degraded,
    /// It serves less than half.
    Collapse,
    /// It does not come back when the load does: not within the full watch.
    Metastable,
    /// It goes down.
    CrashRestart,
}

/// What can be said of the class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Classified {
    /// This one.
    As(Class),
    /// One of two neighbours: the interval of the goodput holds their border.
    Between(Class, Class),
    /// Twice the capacity was not reached, or too few requests were sent.
    TooLittle,
    /// It served far more than its capacity, which was taken too low.
    NotOverloaded,
    /// It was not back when the watch ended, which was shorter than the full one: it stays away, or needs longer. With the best
    /// class that its goodput at twice the capacity leaves open.
    NotBackYet(Class),
    /// A limit on the rate of its clients stood before it.
    Limited,
    /// Nothing tells whether it came back.
    UnknownEnd,
}

/// The class. Going down is worse than not coming back, and that is worse than losing goodput. Where a limit on the rate turned
/// everybody away for a while, nothing but a good end says something of the target.
pub(super) fn classify(
    retention: Option<&Retention>,
    recovery: Option<&Recovery>,
    outages: &[Outage],
) -> Classified {
    if outages.iter().any(|outage| !outage.limited) {
        return Classified::As(Class::CrashRestart);
    }
    match served(retention, recovery) {
        Classified::As(Class::Metastable | Class::Collapse | Class::Degraded)
        | Classified::Between(..)
        | Classified::NotBackYet(_)
            if !outages.is_empty() =>
        {
            Classified::Limited
        }
        classified => classified,
    }
}

/// The class of a target that does not go down.
///
/// Only the full watch shows that one stays away. Nothing that clients see earlier proves it: a target without a good answer may
/// be restarted, one that refuses may have a breaker that closes, and where a queue grows below the capacity a new instance or a
/// warm cache may end it. What waits beyond the clients' patience is not seen at all.
fn served(retention: Option<&Retention>, recovery: Option<&Recovery>) -> Classified {
    let enough = |r: &&Retention| r.factor >= FACTOR_MIN && r.n >= REQUESTS_MIN;
    let Some(retention) = retention.filter(enough) else {
        return Classified::TooLittle;
    };
    let of = |ratio: f64| {
        if ratio >= GRACEFUL {
            Class::Graceful
        } else if ratio >= COLLAPSE {
            Class::Degraded
        } else {
            Class::Collapse
        }
    };
    let (worst, best) = (of(retention.interval.0), of(retention.interval.1));
    match recovery {
        Some(r) if r.after_s.is_none() && r.is_full => return Classified::As(Class::Metastable),
        Some(r) if r.after_s.is_none() => return Classified::NotBackYet(best),
        _ if retention.interval.0 > HIGHER => return Classified::NotOverloaded,
        None => return Classified::UnknownEnd,
        Some(_) => {}
    }
    if worst == best {
        Classified::As(worst)
    } else {
        Classified::Between(best, worst)
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Classified, classify};
    use crate::overload::outage::Outage;
    use crate::overload::recovery::Recovery;
    use crate::overload::surge::Retention;

    fn retention(low: f64, high: f64) -> Retention {
        Retention {
            ratio: f64::midpoint(low, high),
            interval: (low, high),
            per_s: 10.0,
            factor: 2.0,
            n: 1000,
        }
    }

    fn recovery(after_s: Option<f64>) -> Recovery {
        Recovery {
            after_s,
            watched_s: 300.0,
            window_s: 10.0,
            is_full: true,
            sign: None,
            before_ms: 50.0,
            n: 500,
        }
    }

    #[test]
    fn classes_follow_the_interval_and_the_worst_wins() {
        let back = recovery(Some(10.0));
        let of = |low, high| classify(Some(&retention(low, high)), Some(&back), &[]);
        assert_eq!(of(0.92, 0.99), Classified::As(Class::Graceful));
        assert_eq!(of(0.6, 0.8), Classified::As(Class::Degraded));
        assert_eq!(of(0.0, 0.1), Classified::As(Class::Collapse));
        assert_eq!(
            of(0.85, 0.95),
            Classified::Between(Class::Graceful, Class::Degraded)
        );
        let stays = recovery(None);
        let good = retention(0.95, 1.0);
        assert_eq!(
            classify(Some(&good), Some(&stays), &[]),
            Classified::As(Class::Metastable)
        );
        let outage = Outage {
            seconds: 5.0,
            turned_away: 100,
            limited: false,
            ended: true,
        };
        assert_eq!(
            classify(Some(&good), Some(&stays), &[outage]),
            Classified::As(Class::CrashRestart)
        );
    }

    #[test]
    fn only_the_full_watch_calls_it_metastable() {
        let short = Recovery {
            watched_s: 63.0,
            is_full: false,
            ..recovery(None)
        };
        let good = retention(0.95, 1.0);
        let of = |kept: &Retention| classify(Some(kept), Some(&short), &[]);
        assert_eq!(of(&good), Classified::NotBackYet(Class::Graceful));
        // What its goodput says stands whether it comes back or not.
        assert_eq!(of(&retention(0.0, 0.1)), Classified::NotBackYet(Class::Collapse));
        assert_eq!(of(&retention(0.4, 0.6)), Classified::NotBackYet(Class::Degraded));
        let limit = Outage {
            seconds: 5.0,
            turned_away: 100,
            limited: true,
            ended: true,
        };
        assert_eq!(classify(Some(&good), Some(&short), &[limit]), Classified::Limited);
        // The first of three good windows began at 43 s at the earliest.
        assert!((short.not_before_s() - 43.0).abs() < 1e-9);
        assert!((recovery(Some(10.0)).not_before_s() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_limit_on_the_rate_is_no_crash_and_hides_no_good_end() {
        let limit = Outage {
            seconds: 5.0,
            turned_away: 100,
            limited: true,
            ended: true,
        };
        let crash = Outage {
            limited: false,
            ..limit
        };
        let (back, good, lost) = (recovery(Some(0.0)), retention(0.95, 1.0), retention(0.0, 0.1));
        let of = |kept: &Retention, outages: &[Outage]| classify(Some(kept), Some(&back), outages);
        assert_eq!(of(&lost, &[limit]), Classified::Limited);
        assert_eq!(of(&good, &[limit]), Classified::As(Class::Graceful));
        assert_eq!(of(&lost, &[limit, crash]), Classified::As(Class::CrashRestart));
    }

    #[test]
    fn what_serves_far_more_than_its_capacity_was_not_overloaded() {
        let back = recovery(Some(0.0));
        let of = |low, high| classify(Some(&retention(low, high)), Some(&back), &[]);
        assert_eq!(of(1.9, 2.0), Classified::NotOverloaded);
        assert_eq!(
            classify(Some(&retention(1.9, 2.0)), None, &[]),
            Classified::NotOverloaded
        );
        assert_eq!(of(1.4, 1.55), Classified::As(Class::Graceful));
    }

    #[test]
    fn too_little_load_has_no_class() {
        let capped = Retention {
            factor: 1.2,
            ..retention(0.95, 1.0)
        };
        let back = recovery(Some(0.0));
        assert_eq!(classify(Some(&capped), Some(&back), &[]), Classified::TooLittle);
        assert_eq!(classify(None, Some(&back), &[]), Classified::TooLittle);
        assert_eq!(
            classify(Some(&retention(0.95, 1.0)), None, &[]),
            Classified::UnknownEnd
        );
    }
}
