//! What workers cost: the price is the user's, the times are measured. It multiplies and compares; it knows no platform's price list and
//! no currency.

use std::fmt::Write as _;

use prony_model::{Finding, Source};

use super::NAME;
use crate::draft::Draft;
use crate::wording::ms;

const HOUR_S: f64 = 3600.0;

/// What a second of a worker costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Prices {
    /// Of one that is started for requests, while it starts, works and waits to be stopped.
    pub on_demand_per_s: f64,
    /// Of one that is kept warm.
    pub warm_per_s: f64,
}

/// What was measured of the workers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// One request at work, in s.
    pub service_s: f64,
    /// Requests that this rests on.
    pub services: usize,
    /// The start of a worker, in s, and how many were seen; `None` where none was.
    pub start_s: Option<(f64, usize)>,
    /// Silence after which a worker is stopped, in s.
    pub idle_s: f64,
    /// Workers that must stay warm for so many requests at once, where that was found.
    pub warm_for: Option<(usize, usize)>,
}

/// The finding.
pub(super) fn finding(endpoint: &str, prices: Prices, times: Times, evidence: &Source) -> Finding {
    let price = prices.on_demand_per_s;
    let warm_hour = prices.warm_per_s * HOUR_S;
    let thousand = 1000.0 * price * times.service_s;
    let started = times.start_s.map(|(start_s, starts)| {
        let cost = price * (start_s + times.idle_s);
        (start_s, starts, cost)
    });
    let mut said = format!(
        "1,000 requests to {endpoint} cost {} while they are at work, a worker that is kept warm {} an hour",
        money(thousand),
        money(warm_hour)
    );
    let mut draft = Draft::new(NAME, "worker-cost", endpoint)
        .advisory()
        .figure(
            "cost of 1,000 requests at work",
            thousand,
            "",
            times.services,
            evidence,
        )
        .figure(
            "cost of one warm worker for an hour",
            warm_hour,
            "",
            times.services,
            evidence,
        );
    let mut rows = vec![
        row(
            "1,000 requests at work",
            thousand,
            format!("1,000 x {} x {price}", ms(1000.0 * times.service_s)),
        ),
        row(
            "one warm worker, an hour",
            warm_hour,
            format!("{HOUR_S} s x {}", prices.warm_per_s),
        ),
    ];
    if let Some((start_s, starts, cost)) = started.filter(|(.., cost)| *cost > 0.0) {
        let even = warm_hour / cost;
        let seconds = format!("({} + {})", ms(1000.0 * start_s), ms(1000.0 * times.idle_s));
        rows.push(row(
            "one start on demand, and the silence after it",
            cost,
            format!("{seconds} x {price}"),
        ));
        rows.push(row(EVEN, even, format!("{} / {}", money(warm_hour), money(cost))));
        draft = draft.figure(EVEN, even, "", starts, evidence);
        let _ = write!(said, "; {} starts an hour cost as much", money(even));
    }
    if let Some((warm, burst)) = times.warm_for.filter(|(warm, _)| *warm > 0) {
        let all = warm as f64 * warm_hour;
        rows.push(row(
            &format!("{warm} warm workers for bursts of {burst}, an hour"),
            all,
            format!("{warm} x {}", money(warm_hour)),
        ));
        draft = draft.figure(FOR_A_BURST, all, "", burst, evidence);
    }
    let (advice, because) = advice(prices, times);
    draft
        .title(said)
        .detail(
            "The prices are those that were given, in whatever currency; the times are those of this run. A platform that bills by the \
             minute, or also for what is stored, costs more.",
        )
        .table("Cost", &["What", "Cost", "How"], rows, evidence)
        .advice(&advice, &because)
        .done()
}

const EVEN: &str = "starts an hour that cost as much as one warm worker";
const FOR_A_BURST: &str = "cost of the warm workers that a burst needs, an hour";

fn row(what: &str, cost: f64, how: String) -> Vec<String> {
    vec![what.to_owned(), money(cost), how]
}

/// What to keep warm, and how it follows.
fn advice(prices: Prices, times: Times) -> (String, String) {
    match times.warm_for {
        Some((0, burst)) => (
            format!(
                "For bursts of {burst} keep none warm: those that start on demand begin in time. Keep one where nobody may wait for a \
                 start."
            ),
            "how many is from the burst after idleness".to_owned(),
        ),
        Some((warm, burst)) => (
            format!(
                "Keep {warm} warm for bursts of {burst} if not losing them is worth {} an hour; fewer where such a burst may wait.",
                money(warm as f64 * prices.warm_per_s * HOUR_S)
            ),
            format!(
                "{warm} workers x {HOUR_S} s x {}; how many is from the burst after idleness",
                prices.warm_per_s
            ),
        ),
        None => (
            "Keep a worker warm where more starts an hour than that are expected, or where nobody may wait for one.".to_owned(),
            "a warm worker's hour over (start + silence) x price".to_owned(),
        ),
    }
}

/// Three significant digits, however small.
fn money(value: f64) -> String {
    if value.abs() < 1e-9 {
        return "0".to_owned();
    }
    let decimals = (2.0 - value.abs().log10().floor()).clamp(0.0, 9.0) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use prony_model::{Evidence, Source};

    use super::{Prices, Times, finding, money};

    fn figure(found: &prony_model::Finding, label: &str) -> Option<f64> {
        found.evidence.iter().find_map(|e| match e {
            Evidence::Figure(figure) if figure.label == label => Some(figure.value),
            _ => None,
        })
    }

    fn found(start_s: Option<(f64, usize)>, warm_for: Option<(usize, usize)>) -> prony_model::Finding {
        let prices = Prices {
            on_demand_per_s: 0.0004,
            warm_per_s: 0.0003,
        };
        let times = Times {
            service_s: 9.6,
            services: 12,
            start_s,
            idle_s: 5.0,
            warm_for,
        };
        finding("POST /x", prices, times, &Source::default())
    }

    #[test]
    fn costs_are_times_by_prices() {
        let all = found(Some((18.0, 5)), Some((3, 30)));
        let near = |label: &str, wanted: f64| {
            let value = figure(&all, label).unwrap();
            assert!((value - wanted).abs() < 1e-9 * wanted, "{label}: {value}");
        };
        near("cost of 1,000 requests at work", 1000.0 * 9.6 * 0.0004);
        near("cost of one warm worker for an hour", 1.08);
        near(
            "starts an hour that cost as much as one warm worker",
            1.08 / (23.0 * 0.0004),
        );
        near("cost of the warm workers that a burst needs, an hour", 3.24);
        assert!(all.recommendation.unwrap().advice.starts_with("Keep 3 warm"));
    }

    #[test]
    fn none_is_kept_warm_where_none_is_needed() {
        let none = found(Some((0.7, 5)), Some((0, 30)));
        assert!(none.recommendation.unwrap().advice.contains("keep none warm"));
        assert_eq!(
            figure(
                &found(Some((0.7, 5)), Some((0, 30))),
                "cost of the warm workers that a burst needs, an hour"
            ),
            None
        );
        assert_eq!(
            [0.0, 0.000_49, 1.08, 2204.9].map(money),
            ["0", "0.000490", "1.08", "2205"]
        );
    }

    #[test]
    fn what_was_not_seen_is_not_priced() {
        let few = found(None, None);
        assert_eq!(
            figure(&few, "starts an hour that cost as much as one warm worker"),
            None
        );
        assert_eq!(
            figure(&few, "cost of the warm workers that a burst needs, an hour"),
            None
        );
        assert!(!few.title.contains("starts"), "{}", few.title);
    }
}
