//! Which rate to try next: up until it fails, geometric bisection, a fresh confirmation (made longer once when it is not
//! decided), steps down, and a descent. Pure: it sees rates, answers and the time that is left, and sends nothing.

use super::probe::{Answer, LEAD, Level, Probe};
use super::tier::Tier;

/// From one rate to the next on the way up or down.
const STRIDE: f64 = 1.5;
/// Down so often at most without a rate that passes.
const DOWN_MAX: usize = 8;
/// From a rate that was not confirmed to the next: one that surely failed, and one that stayed undecided.
const STEP_DOWN_FAILED: f64 = 0.90;
const STEP_DOWN: f64 = 0.93;
/// Confirmations at most.
const CONFIRMS_MAX: usize = 6;
/// Rates at most, whatever happens.
const PROBES_MAX: usize = 40;
/// A confirmation that time cuts below this share of its size is not worth having.
const CONFIRM_LEAST: f64 = 0.25;
/// Rates closer than this are one.
const SAME: f64 = 1e-6;

/// What a rate was tried for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To find the bracket.
    Probe,
    /// To confirm what was found, on fresh requests.
    Confirm,
}

impl Purpose {
    /// As in the names of phases.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Confirm => "confirmation",
        }
    }

    /// What an answer may err by.
    pub(super) fn level(self) -> Level {
        match self {
            Self::Probe => Level::Probe,
            Self::Confirm => Level::Claim,
        }
    }
}

/// A rate that was tried.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attempt {
    pub purpose: Purpose,
    /// Arrivals per second that were planned.
    pub planned: f64,
    /// Requests asked for so far.
    pub requests: usize,
    /// Indices of its phases in the run.
    pub phases: Vec<u16>,
    /// What they showed.
    pub probe: Probe,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Action {
    /// So many requests at that rate; `again` adds to the last attempt.
    Load {
        purpose: Purpose,
        rate: f64,
        requests: usize,
        again: bool,
    },
    /// Down from above the confirmed rate to below it.
    Descend { rate: f64 },
    /// Nothing more.
    Stop,
}

/// A search so far.
#[derive(Clone, Debug)]
pub(super) struct Search {
    pub tier: Tier,
    /// First rate.
    pub start: f64,
    /// Highest rate that may be tried.
    pub rate_max: f64,
    pub attempts: Vec<Attempt>,
    /// Whether the descent was made.
    pub descended: bool,
}

impl Search {
    pub(super) fn new(tier: Tier, start: f64, rate_max: f64) -> Self {
        Self {
            tier,
            start: start.min(rate_max),
            rate_max,
            attempts: Vec::new(),
            descended: false,
        }
    }

    /// What to do next, with so many seconds left.
    pub(super) fn next(&self, left_s: f64) -> Action {
        if let Some(confirmed) = self.confirmed() {
            let rate = confirmed.probe.rate;
            let fits = self.descent_s(rate) <= left_s;
            return if fits && !self.descended {
                Action::Descend { rate }
            } else {
                Action::Stop
            };
        }
        let confirms = self.of(Purpose::Confirm).count();
        if let Some(last) = self.of(Purpose::Confirm).last() {
            if let Some(longer) = self.longer(last).filter(|a| self.fits(a, left_s)) {
                return longer;
            }
            let step = match last.probe.answer {
                Answer::Fail => STEP_DOWN_FAILED,
                _ => STEP_DOWN,
            };
            return if confirms < CONFIRMS_MAX {
                self.confirm(step * last.probe.rate, left_s)
            } else {
                Action::Stop
            };
        }
        match self.probe() {
            Some(action) if self.fits(&action, left_s) => action,
            _ => match self.bracket().0 {
                // A rate that nothing may pass was not picked for its luck.
                Some(low) if self.is_capped(low) => self.confirm(low, left_s),
                Some(low) => self.confirm(low * self.tier.confirm_at, left_s),
                None => Action::Stop,
            },
        }
    }

    /// The confirmation that passed.
    pub(super) fn confirmed(&self) -> Option<&Attempt> {
        self.of(Purpose::Confirm)
            .find(|a| a.probe.trusted && a.probe.answer == Answer::Pass)
    }

    /// The highest rate that passed and the lowest that did not, of the probes.
    pub(super) fn bracket(&self) -> (Option<f64>, Option<f64>) {
        let rates = |passed: bool| {
            self.of(Purpose::Probe)
                .filter(move |a| passes(a) == passed)
                .map(|a| a.probe.rate)
        };
        (
            rates(true).max_by(f64::total_cmp),
            rates(false).min_by(f64::total_cmp),
        )
    }

    /// The lowest rate above `rate` that did not pass, probe or confirmation.
    pub(super) fn fails_above(&self, rate: f64) -> Option<&Attempt> {
        self.attempts
            .iter()
            .filter(|a| !passes(a) && a.probe.rate > rate * (1.0 + SAME))
            .min_by(|a, b| a.probe.rate.total_cmp(&b.probe.rate))
    }

    /// Seconds that a descent from that rate takes.
    pub(super) fn descent_s(&self, rate: f64) -> f64 {
        5.0 * self.descent_unit_s(rate)
    }

    /// Seconds of its first step; the other two are twice as long.
    pub(super) fn descent_unit_s(&self, rate: f64) -> f64 {
        self.tier.first as f64 / rate
    }

    /// The probe that comes next; `None` when the bracket is narrow enough or no rate can be found.
    fn probe(&self) -> Option<Action> {
        let load = |rate: f64, requests: usize, again: bool| Action::Load {
            purpose: Purpose::Probe,
            rate,
            requests,
            again,
        };
        if let Some(last) = self.attempts.last()
            && last.probe.answer == Answer::Undecided
            && last.requests < self.tier.probe_max()
        {
            return Some(load(last.planned, last.requests, true));
        }
        let fresh = |rate: f64| Some(load(rate, self.tier.first, false));
        if self.attempts.len() >= PROBES_MAX {
            return None;
        }
        match self.bracket() {
            (None, None) => fresh(self.start),
            (Some(low), None) if self.is_capped(low) => None,
            (Some(low), None) => fresh((low * STRIDE).min(self.rate_max)),
            (None, Some(_)) if self.attempts.len() > DOWN_MAX => None,
            (None, Some(high)) => fresh(high / STRIDE),
            (Some(low), Some(high)) if high / low <= self.tier.bracket => None,
            (Some(low), Some(high)) => fresh((low * high).sqrt()),
        }
    }

    /// Whether no higher rate may be tried, by our own bound or because less came than was planned.
    pub(super) fn is_capped(&self, rate: f64) -> bool {
        rate >= self.rate_max * (1.0 - SAME)
            || self
                .attempts
                .iter()
                .any(|a| a.probe.rate < a.planned * (1.0 - SAME) && rate >= a.probe.rate * (1.0 - SAME))
    }

    /// The last confirmation once more, when it is not decided and looks as if it might pass.
    fn longer(&self, last: &Attempt) -> Option<Action> {
        let open = last.probe.answer == Answer::Undecided && last.probe.trusted && last.probe.is_kept;
        (open && last.requests == self.tier.confirm).then_some(Action::Load {
            purpose: Purpose::Confirm,
            rate: last.planned,
            requests: last.requests,
            again: true,
        })
    }

    fn confirm(&self, rate: f64, left_s: f64) -> Action {
        let possible = (left_s * rate * (1.0 - LEAD)).floor().max(0.0) as usize;
        let requests = possible.min(self.tier.confirm);
        if requests as f64 >= CONFIRM_LEAST * self.tier.confirm as f64 {
            Action::Load {
                purpose: Purpose::Confirm,
                rate,
                requests,
                again: false,
            }
        } else {
            Action::Stop
        }
    }

    /// Whether there is time for it, and for the confirmation of what passed so far.
    fn fits(&self, action: &Action, left_s: f64) -> bool {
        let Action::Load {
            purpose,
            rate,
            requests,
            ..
        } = *action
        else {
            return false;
        };
        let reserve_s = match (purpose, self.bracket().0) {
            (Purpose::Probe, Some(low)) => seconds(self.tier.confirm, low),
            _ => 0.0,
        };
        seconds(requests, rate) + reserve_s <= left_s
    }

    fn of(&self, purpose: Purpose) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(move |a| a.purpose == purpose)
    }
}

/// How long so many requests take at that rate, those at the start that do not count included.
pub(super) fn seconds(requests: usize, rate: f64) -> f64 {
    requests as f64 / rate / (1.0 - LEAD)
}

/// An undecided rate counts as one that failed, and so does one at which the generator did not keep its promise.
pub(super) fn passes(attempt: &Attempt) -> bool {
    attempt.probe.answer == Answer::Pass && attempt.probe.trusted
}

#[cfg(test)]
mod tests {
    use super::{Action, Attempt, Purpose, Search, passes};
    use crate::capacity::probe::{Answer, Probe};
    use crate::capacity::tier::{Tier, TierName};
    use crate::objective::LetDown;

    fn search(start: f64, rate_max: f64) -> Search {
        Search::new(Tier::new(TierName::Quick, 0.05), start, rate_max)
    }

    /// Runs a search to its end against a target that answers `of(rate)`.
    fn run(search: &mut Search, mut left_s: f64, of: impl Fn(Purpose, f64, usize) -> Answer) -> Vec<Action> {
        let mut actions = Vec::new();
        loop {
            let action = search.next(left_s);
            actions.push(action);
            match action {
                Action::Load {
                    purpose,
                    rate,
                    requests,
                    again,
                } => {
                    left_s -= super::seconds(requests, rate);
                    assert!(left_s > -1e-6, "{actions:?}");
                    let before = if again {
                        search.attempts.pop().expect("there is one").requests
                    } else {
                        0
                    };
                    let answer = of(purpose, rate, before + requests);
                    search.attempts.push(Attempt {
                        purpose,
                        planned: rate,
                        requests: before + requests,
                        phases: Vec::new(),
                        probe: Probe {
                            rate,
                            let_down: LetDown::default(),
                            failed: 0,
                            backlog: false,
                            saturated: false,
                            is_kept: true,
                            trusted: true,
                            little: 0.0,
                            seconds: 0.0,
                            answer,
                        },
                    });
                }
                Action::Descend { rate } => {
                    left_s -= search.descent_s(rate);
                    search.descended = true;
                }
                Action::Stop => return actions,
            }
        }
    }

    fn below(limit: f64) -> impl Fn(Purpose, f64, usize) -> Answer {
        move |_, rate, _| if rate <= limit { Answer::Pass } else { Answer::Fail }
    }

    #[test]
    fn it_brackets_and_confirms_a_known_limit_from_either_side() {
        for start in [1.0, 30.0, 300.0, 700.0] {
            let mut search = search(start, 2000.0);
            run(&mut search, 1e6, below(100.0));
            let confirmed = search.confirmed().expect("confirmed").probe.rate;
            let fails = search.fails_above(confirmed).expect("fails").probe.rate;
            assert!(
                confirmed <= 100.0 && fails > 100.0 && fails / confirmed <= 1.15 / 0.93 + 1e-9,
                "{confirmed} {fails}"
            );
            assert!(search.descended);
        }
    }

    #[test]
    fn undecided_probes_are_doubled_and_then_count_as_failed() {
        let mut search = search(90.0, 2000.0);
        let actions = run(&mut search, 1e6, |_, rate, _| {
            if rate < 80.0 {
                Answer::Pass
            } else {
                Answer::Undecided
            }
        });
        let sizes: Vec<(usize, bool)> = actions
            .iter()
            .take(4)
            .map(|a| match a {
                Action::Load { requests, again, .. } => (*requests, *again),
                _ => panic!("{actions:?}"),
            })
            .collect();
        assert_eq!(sizes, [(100, false), (100, true), (200, true), (400, true)]);
        assert!(!passes(&search.attempts[0]) && search.attempts[0].requests == 800);
        assert!(search.confirmed().is_some_and(|c| c.probe.rate < 80.0));
    }

    #[test]
    fn what_is_not_confirmed_is_stepped_down_from() {
        let mut search = search(50.0, 2000.0);
        run(&mut search, 1e6, |purpose, rate, _| {
            let limit = if purpose == Purpose::Confirm { 85.0 } else { 100.0 };
            if rate <= limit { Answer::Pass } else { Answer::Fail }
        });
        let confirmed = search.confirmed().expect("confirmed").probe.rate;
        assert!((0.9 * 85.0..=85.0).contains(&confirmed), "{confirmed}");
    }

    #[test]
    fn an_undecided_confirmation_is_made_longer_once() {
        let mut search = search(50.0, 2000.0);
        let actions = run(&mut search, 1e6, |purpose, rate, requests| match purpose {
            Purpose::Confirm if requests > 1000 => Answer::Pass,
            Purpose::Confirm => Answer::Undecided,
            Purpose::Probe if rate <= 100.0 => Answer::Pass,
            Purpose::Probe => Answer::Fail,
        });
        let confirmed = search.confirmed().expect("confirmed");
        assert_eq!(confirmed.requests, 2000, "{actions:?}");
        assert!(confirmed.probe.rate > 85.0);
    }

    #[test]
    fn time_and_caps_are_kept() {
        let mut short = search(50.0, 2000.0);
        // A confirmation of 1,000 needs 20 s at 50/s; nothing else fits.
        run(&mut short, 25.0, below(100.0));
        assert!(short.confirmed().is_some());
        let mut capped = search(50.0, 80.0);
        run(&mut capped, 1e6, below(100.0));
        let confirmed = capped.confirmed().expect("confirmed").probe.rate;
        assert!((confirmed - 80.0).abs() < 1e-9 && capped.is_capped(confirmed));
        assert!(capped.fails_above(confirmed).is_none());
        let mut hopeless = search(50.0, 2000.0);
        let actions = run(&mut hopeless, 1e6, |_, _, _| Answer::Fail);
        assert!(hopeless.confirmed().is_none() && actions.len() < 12);
        let mut none = search(1.0, 2000.0);
        assert_eq!(run(&mut none, 40.0, below(100.0)), [Action::Stop]);
    }
}
