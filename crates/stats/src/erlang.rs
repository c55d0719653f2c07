//! Queues in closed form: how many are refused, how long the rest wait, how many servers are needed.
//!
//! Poisson arrivals and exponential service; loads are in erlangs (arrivals per service time of one server). Times and rates
//! share any unit.

/// Share of arrivals refused by `servers` servers without a queue (Erlang 1917), by the recursion
/// B(k) = a B(k-1) / (k + a B(k-1)).
pub fn blocked(servers: u32, offered: f64) -> f64 {
    (1..=servers).fold(1.0, |b, k| offered * b / (f64::from(k) + offered * b))
}

/// Share of arrivals that wait for one of `servers` servers with an endless queue (Erlang C). `None` when the offered load
/// is not below the number of servers: there is no steady state.
pub fn waiting(servers: u32, offered: f64) -> Option<f64> {
    let c = f64::from(servers);
    if offered >= c || offered < 0.0 {
        return None;
    }
    let b = blocked(servers, offered);
    Some(b / (1.0 - offered / c * (1.0 - b)))
}

/// Largest load that `servers` servers without a queue take while refusing at most `share` of it, in erlangs.
pub fn offered_at(servers: u32, share: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while blocked(servers, high) < share {
        low = high;
        high *= 2.0;
    }
    while high - low > 1e-15 * high {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if blocked(servers, middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// A queue with several equal servers in its steady state: M/M/c.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Queue {
    servers: u32,
    arrival_rate: f64,
    service_time: f64,
    waiting: f64,
}

impl Queue {
    /// `None` when the servers cannot keep up.
    pub fn new(servers: u32, arrival_rate: f64, service_time: f64) -> Option<Self> {
        Some(Self {
            servers,
            arrival_rate,
            service_time,
            waiting: waiting(servers, arrival_rate * service_time)?,
        })
    }

    /// P(wait > `time`).
    pub fn wait_tail(&self, time: f64) -> f64 {
        self.waiting * (-self.spare_rate() * time).exp()
    }

    /// The wait that a share 1 - `p` of all arrivals exceeds; 0 when fewer than that wait at all.
    pub fn wait_quantile(&self, p: f64) -> f64 {
        (self.waiting / (1.0 - p)).ln().max(0.0) / self.spare_rate()
    }

    /// Mean wait.
    pub fn wait_mean(&self) -> f64 {
        self.waiting / self.spare_rate()
    }

    /// Mean wait with other arrivals and services, from their coefficients of variation: Allen and Cunneen's
    /// approximation (Allen 1990), exact where both are 1.
    pub fn wait_mean_general(&self, arrival_variation: f64, service_variation: f64) -> f64 {
        self.wait_mean() * f64::midpoint(arrival_variation.powi(2), service_variation.powi(2))
    }

    /// P(wait + service > `time`).
    pub fn response_tail(&self, time: f64) -> f64 {
        let (service_rate, spare_rate) = (1.0 / self.service_time, self.spare_rate());
        let (served, waited) = ((-service_rate * time).exp(), (-spare_rate * time).exp());
        let gap = spare_rate - service_rate;
        let both = if gap.abs() > 1e-9 * service_rate {
            (spare_rate * served - service_rate * waited) / gap
        } else {
            served * (1.0 + service_rate * time)
        };
        (1.0 - self.waiting) * served + self.waiting * both
    }

    /// Free service rate: c / S - lambda.
    fn spare_rate(&self) -> f64 {
        f64::from(self.servers) / self.service_time - self.arrival_rate
    }
}

/// Fewest servers with which at most `share` of all arrivals wait longer than `limit`. `None` beyond 100,000 servers or when
/// `share` is not positive.
pub fn servers_needed(arrival_rate: f64, service_time: f64, limit: f64, share: f64) -> Option<u32> {
    /// Most servers that are tried.
    const SERVERS_MAX: u32 = 100_000;
    if share <= 0.0 {
        return None;
    }
    let least = (arrival_rate * service_time).floor() + 1.0;
    (least as u32..=SERVERS_MAX).find(|&servers| {
        Queue::new(servers, arrival_rate, service_time).is_some_and(|queue| queue.wait_tail(limit) <= share)
    })
}
