//! The service that the target itself calls, where the person names it: its own count of what it answered, and what it says of
//! its contents. It is asked between phases, never loaded, and never judged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use prony_engine::{Engine, EngineOptions, Target};
use prony_model::{Captured, Endpoint, Header, Limits, Nanos, Outcome, Reading, Request, Role};

use crate::discovery::{self, Told};

/// Longest answer that is read.
const BYTES_MAX: u32 = 4 << 20;
/// Contents whose length is asked for.
const CONTENTS_MAX: usize = 32;
/// Times that one is asked for: the service may fail as well.
const TRIES: u32 = 4;
/// Labels of a counter that hold a status.
const STATUS_LABELS: [&str; 4] = ["status", "code", "status_code", "http_status_code"];

/// A service behind the target.
pub(super) struct Behind {
    engine: Engine,
    limits: Limits,
    epoch: Instant,
    metrics: Option<String>,
    contents: Vec<(Vec<String>, Request)>,
}

impl Behind {
    /// Finds out what the service tells. Secrets of the target are not sent to it.
    pub(super) fn open(url: &str, allow_hosts: &[String], epoch: Instant) -> Result<Self> {
        let target = Target {
            allow_hosts: allow_hosts.to_vec(),
            ..Target::new(url)?
        };
        let mut engine = Engine::new(
            &target,
            EngineOptions {
                epoch,
                ..EngineOptions::default()
            },
        )?;
        let limits = Limits::default();
        let mut fetch = |request: &Request| engine.fetch(request, &limits, BYTES_MAX);
        let surface = discovery::discover(&mut fetch, "/", &Told::default())
            .map_err(|answer| super::connection::unreachable(url, &answer))?
            .surface;
        let metrics = surface
            .endpoints
            .iter()
            .find(|e| e.role == Role::Metrics && e.method == "GET");
        let is_content = |e: &&Endpoint| e.role == Role::Media && e.method == "GET";
        let contents = surface
            .endpoints
            .iter()
            .filter(is_content)
            .flat_map(|e| &e.samples)
            .take(CONTENTS_MAX)
            .map(|sample| (sample.inputs.values().cloned().collect(), sample.request.clone()))
            .collect();
        Ok(Self {
            metrics: metrics.map(|e| e.path.clone()),
            contents,
            engine,
            limits,
            epoch,
        })
    }

    /// What the contents ought to be: their lengths and, where the tag is one, their digests. One byte of each is read.
    pub(super) fn references(&mut self) -> Vec<Reading> {
        let mut found = Vec::new();
        for (ids, mut request) in self.contents.clone() {
            request.headers.push(Header::new("range", "bytes=0-0"));
            let answer = (0..TRIES)
                .map(|_| self.engine.fetch(&request, &self.limits, BYTES_MAX))
                .find(|a| a.outcome == Outcome::Ok && a.status == 206);
            let Some(values) = answer.as_ref().and_then(told) else {
                continue;
            };
            let at = Nanos::from(self.epoch.elapsed());
            found.extend(ids.iter().map(|id| Reading {
                at,
                monitor: format!("reference {id}"),
                values: values.clone(),
            }));
        }
        found
    }

    /// The service's own count of what it answered and of what failed, up to now.
    pub(super) fn counts(&mut self) -> Option<Reading> {
        let path = self.metrics.clone()?;
        let limits = Limits {
            timeout_ms: Duration::from_secs(2).as_millis() as u64,
            ..self.limits.clone()
        };
        let answer = self.engine.fetch(&Request::get(path), &limits, BYTES_MAX);
        let values =
            (answer.outcome == Outcome::Ok && answer.status == 200).then(|| counted(&answer.body))??;
        Some(Reading {
            at: Nanos::from(self.epoch.elapsed()),
            monitor: "upstream".to_owned(),
            values,
        })
    }
}

/// Length and digest in the head of an answer to a request for one byte.
fn told(answer: &Captured) -> Option<BTreeMap<String, f64>> {
    let whole = answer.header("content-range")?.rsplit_once('/')?.1;
    let mut values = BTreeMap::from([("bytes".to_owned(), whole.parse::<u64>().ok()? as f64)]);
    let tag = answer.header("etag").unwrap_or_default().trim_matches('"');
    if tag.len() == 64
        && let Some((high, low)) = tag.get(..8).zip(tag.get(8..16))
        && let (Ok(high), Ok(low)) = (u32::from_str_radix(high, 16), u32::from_str_radix(low, 16))
    {
        values.insert("sha256_high".to_owned(), f64::from(high));
        values.insert("sha256_low".to_owned(), f64::from(low));
    }
    Some(values)
}

/// Answers and failures out of the first family of counters (Prometheus text) that has a status as a label.
fn counted(text: &str) -> Option<BTreeMap<String, f64>> {
    let mut family: Option<&str> = None;
    let (mut answers, mut failures) = (0.0, 0.0);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, rest)) = line.split_once('{') else {
            continue;
        };
        let Some((labels, value)) = rest.rsplit_once('}') else {
            continue;
        };
        let is_counter = name.ends_with("_total") || name.ends_with("_count");
        let value = value
            .split_whitespace()
            .next()
            .and_then(|v| v.parse::<f64>().ok());
        let (Some(status), Some(value), true) = (status(labels), value, is_counter) else {
            continue;
        };
        if *family.get_or_insert(name) == name {
            answers += value;
            failures += if matches!(status, 408 | 409 | 429 | 500..=599) {
                value
            } else {
                0.0
            };
        }
    }
    family.map(|_| BTreeMap::from([("answers".to_owned(), answers), ("failures".to_owned(), failures)]))
}

fn status(labels: &str) -> Option<u16> {
    labels.split(',').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let is_status = STATUS_LABELS.contains(&name.trim());
        is_status.then(|| value.trim().trim_matches('"').parse::<u16>().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn counts_come_from_one_family_with_a_status() {
        let text = "# HELP a x\nup{job=\"a\"} 1\nhttp_requests_total{method=\"GET\",status=\"200\"} 10\n\
                    http_requests_total{method=\"GET\",status=\"429\"} 2\nhttp_requests_total{method=\"GET\",status=\"503\"} 1 123\n\
                    other_total{status=\"500\"} 7\nbroken_total{status=\"500\"\n";
        let values = counted(text).unwrap();
        assert_eq!((values["answers"], values["failures"]), (13.0, 3.0));
        assert!(counted("up 1\n").is_none());
    }
}
