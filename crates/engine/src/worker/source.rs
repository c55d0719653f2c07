//! What a worker sends next and when: its share of a leg. Knows no sockets.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter::Peekable;

use prony_model::Nanos;

use super::call::Order;
use crate::leg::LegKind;
use crate::schedule::Schedule;

/// First pause of a user after a failed connection; doubled up to [`BACKOFF_MAX`] while failures go on.
const BACKOFF_FIRST: Nanos = Nanos(10_000_000);
const BACKOFF_MAX: Nanos = Nanos(100_000_000);

/// A worker's share of the numbering: `first`, `first + stride`, ...
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) first_seq: u64,
    /// Arrivals from this number on do not happen.
    pub(crate) seq_end: u64,
    pub(crate) worker: u32,
    pub(crate) workers: u32,
    /// Users that share a connection.
    pub(crate) streams: u32,
}

impl Share {
    /// How many of a leg's users are this worker's. Those who share a connection stay together.
    pub(super) fn users(&self, users: u32) -> u32 {
        let groups = users.div_ceil(self.streams);
        let mine = groups / self.workers + u32::from(groups % self.workers > self.worker);
        let last_is_mine = groups > 0 && (groups - 1) % self.workers == self.worker;
        let missing = if last_is_mine {
            groups * self.streams - users
        } else {
            0
        };
        mine * self.streams - missing
    }
}

/// A worker's share of a leg.
#[derive(Debug)]
pub(super) enum Source {
    Loop(Box<Users>),
    Timed(Box<Timed>),
}

/// Users who each wait for their answer, and bursts: users with one request each.
#[derive(Debug)]
pub(super) struct Users {
    step: u16,
    next_seq: u64,
    stride: u64,
    left: u64,
    end: Nanos,
    think: Nanos,
    /// Least gap between two sends of this worker; zero for none.
    gap: Nanos,
    next_slot: Nanos,
    free: Vec<(u32, Nanos)>,
    later: BinaryHeap<Reverse<(Nanos, u32)>>,
    failures: Vec<u8>,
}

/// A share of a schedule.
#[derive(Debug)]
pub(super) struct Timed {
    start: Nanos,
    /// The schedule's end: silence after the last arrival belongs to it.
    end: Nanos,
    first_seq: u64,
    arrivals: Peekable<Schedule>,
    pub(super) in_flight_max: u32,
}

impl Source {
    /// The worker's share of a leg that starts at `start`.
    ///
    /// `connect_rate` is that of the limits: users start at this rate per second, or all at once when it is 0.
    pub(super) fn new(
        kind: &LegKind,
        step: u16,
        share: Share,
        rate_max: f64,
        connect_rate: f64,
        start: Nanos,
    ) -> Self {
        let (i, n) = (u64::from(share.worker), u64::from(share.workers));
        let part = |whole: u64| whole / n + u64::from(whole % n > i);
        let (users, left, end, think) = match kind {
            LegKind::Timed {
                schedule,
                in_flight_max,
            } => {
                return Self::Timed(Box::new(Timed {
                    start,
                    end: start + schedule.duration(),
                    first_seq: share.first_seq,
                    arrivals: schedule
                        .as_ref()
                        .clone()
                        .limit(share.seq_end - share.first_seq.min(share.seq_end))
                        .shard(i, n)
                        .peekable(),
                    in_flight_max: part(u64::from(*in_flight_max)) as u32,
                }));
            }
            LegKind::Loop {
                users,
                requests,
                duration,
                think,
            } => {
                let end = duration.map_or(Nanos(u64::MAX), |d| start + d);
                (share.users(*users), requests.map_or(u64::MAX, part), end, *think)
            }
            LegKind::Burst { size } => {
                let mine = share.users(*size);
                (mine, u64::from(mine), Nanos(u64::MAX), Nanos::ZERO)
            }
        };
        let next_seq = share.first_seq + i;
        let left = left.min(share.seq_end.saturating_sub(next_seq).div_ceil(n));
        let gap = if rate_max > 0.0 {
            Nanos::from_secs_f64(n as f64 / rate_max)
        } else {
            Nanos::ZERO
        };
        // User k of the worker is user i + k n of the leg. A burst's connections are open before it starts.
        let starts_at =
            |user: u32| start + Nanos::from_secs_f64((i + u64::from(user) * n) as f64 / connect_rate);
        let staggered = connect_rate > 0.0 && matches!(kind, LegKind::Loop { .. });
        let (free, later) = if staggered {
            let later = (0..users).map(|user| Reverse((starts_at(user), user)));
            (Vec::new(), later.collect())
        } else {
            // Taken from the back, so that user 0 starts first.
            let free = (0..users).rev().map(|user| (user, start));
            (free.collect(), BinaryHeap::new())
        };
        Self::Loop(Box::new(Users {
            step,
            next_seq,
            stride: n,
            left,
            end,
            think,
            gap,
            next_slot: if gap == Nanos::ZERO {
                gap
            } else {
                start + Nanos(gap.0 / n * i)
            },
            free,
            later,
            failures: vec![0; users as usize],
        }))
    }

    /// What is due at `now`. Call until it says `None`.
    pub(super) fn due(&mut self, now: Nanos) -> Option<Order> {
        match self {
            Self::Loop(users) => users.due(now),
            Self::Timed(timed) => timed.due(now),
        }
    }

    /// When the next order is due, as far as is known without an answer.
    pub(super) fn next_at(&mut self) -> Option<Nanos> {
        match self {
            Self::Loop(users) if users.left == 0 => None,
            Self::Loop(users) => {
                let free = users.free.last().map(|(_, at)| *at);
                let later = users.later.peek().map(|Reverse((at, _))| *at);
                [free, later]
                    .into_iter()
                    .flatten()
                    .min()
                    .map(|at| at.max(users.next_slot))
            }
            Self::Timed(timed) => Some(timed.arrivals.peek().map_or(timed.end, |a| timed.start + a.at)),
        }
    }

    /// When a schedule ends; `None` where there is none, or where all of it is due at once.
    pub(super) fn ends_at(&self) -> Option<Nanos> {
        match self {
            Self::Loop(_) => None,
            Self::Timed(timed) => (timed.end > timed.start).then_some(timed.end),
        }
    }

    /// Whether a user of a closed loop is free to send at once.
    pub(super) fn has_free_user(&self) -> bool {
        matches!(self, Self::Loop(users) if !users.free.is_empty())
    }

    /// Whether it will never issue again, whatever is answered.
    pub(super) fn is_over(&mut self, now: Nanos) -> bool {
        match self {
            Self::Loop(users) => users.left == 0 || now >= users.end,
            Self::Timed(timed) => now >= timed.end && timed.arrivals.peek().is_none(),
        }
    }

    /// Issues nothing any more.
    pub(super) fn close(&mut self) {
        match self {
            Self::Loop(users) => users.left = 0,
            Self::Timed(timed) => {
                timed.end = Nanos::ZERO;
                timed.arrivals.by_ref().for_each(drop);
            }
        }
    }

    /// A user's request ended. `failed` tells that no connection could be made.
    pub(super) fn freed(&mut self, user: u32, at: Nanos, failed: bool) {
        let Self::Loop(users) = self else { return };
        if users.left == 0 {
            return;
        }
        let failures = &mut users.failures[user as usize];
        *failures = if failed { failures.saturating_add(1) } else { 0 };
        let mut pause = users.think;
        if let Some(doublings) = failures.checked_sub(1) {
            let backoff = BACKOFF_FIRST.0 << doublings.min(10);
            pause = pause.max(Nanos(backoff).min(BACKOFF_MAX));
        }
        if pause == Nanos::ZERO {
            users.free.push((user, at));
        } else {
            users.later.push(Reverse((at + pause, user)));
        }
    }

    /// The number after the last that this worker issued.
    pub(super) fn next_seq(&mut self) -> u64 {
        match self {
            Self::Loop(users) => users.next_seq - (users.stride - 1).min(users.next_seq),
            Self::Timed(timed) => timed.first_seq,
        }
    }

    /// How many users wait for answers; 0 in an open loop.
    pub(super) fn users(&self) -> u32 {
        match self {
            Self::Loop(users) => users.failures.len() as u32,
            Self::Timed(_) => 0,
        }
    }
}

impl Users {
    fn due(&mut self, now: Nanos) -> Option<Order> {
        if self.left == 0 || now >= self.end || self.next_slot > now {
            return None;
        }
        let (user, at) = if self.free.last().is_some_and(|(_, at)| *at <= now) {
            self.free.pop()?
        } else if self.later.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Reverse((at, user)) = self.later.pop()?;
            (user, at)
        } else {
            return None;
        };
        // The cap is a pacer of its own: what it delays was intended later.
        let intended = at.max(self.next_slot);
        if self.gap != Nanos::ZERO {
            self.next_slot = intended + self.gap;
        }
        let seq = self.next_seq;
        self.next_seq += self.stride;
        self.left -= 1;
        Some(Order {
            seq,
            intended,
            step: self.step,
            user,
        })
    }
}

impl Timed {
    fn due(&mut self, now: Nanos) -> Option<Order> {
        let start = self.start;
        let arrival = self.arrivals.next_if(|a| start + a.at <= now)?;
        Some(Order {
            seq: self.first_seq + arrival.seq,
            intended: start + arrival.at,
            step: arrival.step,
            user: 0,
        })
    }
}
