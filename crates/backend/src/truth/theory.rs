//! What queueing theory says about the queue: exact for Poisson arrivals and exponential service (M/M/c/K), and for any service
//! where nothing may wait (M/G/c/c). Elsewhere it says nothing.

use serde_json::{Value, json};

/// Fractions of the capacity for which the table is made.
const LOADS: [f64; 13] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.5, 2.0];
/// Places of a queue beyond which it counts as unbounded.
const UNBOUNDED: usize = 100_000;

/// The rates, and what becomes of each load. `exact` tells whether the formulas apply.
pub(crate) fn queue(servers: usize, waiting_max: usize, mean_s: f64, exact: bool) -> Value {
    let rate = 1.0 / mean_s.max(1e-9);
    let capacity = servers as f64 * rate;
    let mut out = json!({ "servers": servers, "rate_per_server": rate, "capacity_per_s": capacity });
    if exact || waiting_max == 0 {
        let rows: Vec<Value> = LOADS
            .iter()
            .filter(|load| waiting_max < UNBOUNDED || **load < 1.0)
            .map(|load| row(servers, waiting_max, rate, load * capacity))
            .collect();
        out["at"] = Value::Array(rows);
    }
    out
}

fn row(servers: usize, waiting_max: usize, rate: f64, arrivals: f64) -> Value {
    let (shed, wait_s) = steady(servers, waiting_max, rate, arrivals);
    json!({
        "arrivals_per_s": arrivals,
        "shed_share": shed,
        "goodput_per_s": arrivals * (1.0 - shed),
        "wait_mean_ns": wait_s * 1e9,
    })
}

/// The share that is shed, and the mean wait of the others in seconds.
fn steady(servers: usize, waiting_max: usize, rate: f64, arrivals: f64) -> (f64, f64) {
    let a = arrivals / rate;
    // Erlang's B by its recursion; the queue continues it with a geometric tail.
    let blocked = (1..=servers).fold(1.0, |b, k| a * b / (k as f64 + a * b));
    let rho = a / servers as f64;
    if waiting_max >= UNBOUNDED {
        let waits = blocked / (1.0 - rho * (1.0 - blocked));
        return (0.0, waits / (rate * servers as f64 - arrivals));
    }
    // Relative to the probability of exactly `servers` present, which is `blocked` of those without a queue.
    let (mut waiting, mut tail, mut last) = (0.0, 0.0, 1.0);
    for k in 1..=waiting_max {
        last *= rho;
        tail += last;
        waiting += k as f64 * last;
    }
    let whole = 1.0 / blocked + tail;
    let shed = last / whole;
    let accepted = arrivals * (1.0 - shed);
    (shed, waiting / whole / accepted)
}

#[cfg(test)]
mod tests {
    use super::steady;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn known_values() {
        // M/M/1 at half load: the wait is rho / (mu - lambda).
        let (shed, wait) = steady(1, usize::MAX, 1.0, 0.5);
        assert!(near(shed, 0.0) && near(wait, 1.0), "{wait}");
        // M/M/1/2 (one place to wait) at load 1: all three states are alike.
        let (shed, wait) = steady(1, 1, 1.0, 1.0);
        assert!(near(shed, 1.0 / 3.0) && near(wait, 0.5), "{shed} {wait}");
        // Erlang B of two servers offered two.
        assert!(near(steady(2, 0, 1.0, 2.0).0, 0.4));
        // Erlang C of two servers offered one: 1/3 wait, for 1 / (c mu - lambda) on average.
        assert!(near(steady(2, usize::MAX, 1.0, 1.0).1, 1.0 / 3.0));
    }
}
