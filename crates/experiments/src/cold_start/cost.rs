//! What workers cost: the price is the user's, the times are measured. It multiplies and compares; it knows no platform's price list and
//! no currency.

use prony_model::{Finding, Source};

use super::NAME;
use crate::draft::Draft;
use crate::wording::{digits, ms};

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
    let Prices {
        on_demand_per_s,
        warm_per_s,
    } = prices;
    let warm_hour = warm_per_s * HOUR_S;
    let request = on_demand_per_s * times.service_s;
    let mut draft = Draft::new(NAME, "worker-cost", endpoint).advisory();
    let row = |what: &str, cost: f64, how: String| vec![what.to_owned(), digits(cost), how];
    let mut rows = vec![
        row(
            "1,000 requests at work",
            1000.0 * request,
            format!("1,000 x {} x {on_demand_per_s}", ms(1000.0 * times.service_s)),
        ),
        row(
            "one warm worker, an hour",
            warm_hour,
            format!("{HOUR_S} s x {warm_per_s}"),
        ),
    ];
    draft = draft
        .figure(
            "cost of 1,000 requests at work",
            1000.0 * request,
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
    let mut said = format!(
        "1,000 requests to {endpoint} cost {} while they are at work, a worker that is kept warm {} an hour",
        digits(1000.0 * request),
        digits(warm_hour)
    );
    if let Some((start_s, starts)) = times.start_s {
        let start = on_demand_per_s * (start_s + times.idle_s);
        let even = if start > 0.0 {
            warm_hour / start
        } else {
            f64::INFINITY
        };
        rows.push(row(
            "one start on demand, and the silence after it",
            start,
            format!(
                "({} + {}) x {on_demand_per_s}",
                ms(1000.0 * start_s),
                ms(1000.0 * times.idle_s)
            ),
        ));
        if even.is_finite() {
            rows.push(row(
                "starts an hour that cost as much as one warm worker",
                even,
                format!("{} / {}", digits(warm_hour), digits(start)),
            ));
            draft = draft.figure(
                "starts an hour that cost as much as one warm worker",
                even,
                "",
                starts,
                evidence,
            );
            said += &format!("; {} starts an hour cost as much", digits(even));
        }
    }
    if let Some((warm, burst)) = times.warm_for {
        let all = warm as f64 * warm_hour;
        rows.push(row(
            &format!("{warm} warm workers for bursts of {burst}, an hour"),
            all,
            format!("{warm} x {}", digits(warm_hour)),
        ));
        draft = draft
            .figure("cost of the warm workers that a burst needs, an hour", all, "", burst, evidence)
            .advice(
                &format!(
                    "Keep {warm} warm for bursts of {burst} if not losing them is worth {} an hour; fewer where such a burst may wait.",
                    digits(all)
                ),
                &format!("{warm} workers x {HOUR_S} s x {warm_per_s}; how many is from the burst after idleness"),
            );
    } else {
        draft = draft.advice(
            "Keep a worker warm where more starts an hour than that are expected, or where nobody may wait for one.",
            "a warm worker's hour over (start + silence) x price",
        );
    }
    draft
        .title(said)
        .detail(
            "The prices are those that were given, in whatever currency; the times are those of this run. A platform that bills by the \
             minute, or also for what is stored, costs more.",
        )
        .table("Cost", &["What", "Cost", "How"], rows, evidence)
        .done()
}

#[cfg(test)]
mod tests {
    use prony_model::{Evidence, Source};

    use super::{Prices, Times, finding};

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
