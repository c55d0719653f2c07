//! What the target tells of itself to Prometheus. One small request every few seconds; it must not wait long for an answer nor
//! read much of it, and it counts when there is none.

use std::time::Duration;

use prony_model::{Header, Limits, Outcome, Request};

use super::exposition::{histograms, values};
use super::{Monitor, Seen, Source, Watched};
use crate::{Engine, EngineOptions, Target};

/// The target's own metrics.
pub(super) const MONITOR: Monitor = Monitor {
    name: "metrics",
    subject: "metrics",
    about: "resident memory, CPU time and descriptors as the target's own metrics tell them (Prometheus text), and the gauges \
            that the user named",
    every: Duration::from_secs(2),
    open,
};

/// Where metrics are told, and which.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// Who tells them.
    pub target: Target,
    /// Path and query there.
    pub path: String,
    /// Names of metrics to read beside the well-known ones.
    pub gauges: Vec<String>,
    /// What serving engines tell: read where it is told, and not missed where it is not.
    pub engine: EngineMetrics,
}

/// Metrics of serving engines, by what is done with the values of several label sets.
#[derive(Clone, Debug, Default)]
pub struct EngineMetrics {
    /// Added up.
    pub sums: Vec<&'static str>,
    /// The largest counts.
    pub peaks: Vec<&'static str>,
    /// Histograms: `NAME_sum`, `NAME_count` and `NAME_bucket{le=EDGE}`, added up.
    pub histograms: Vec<&'static str>,
}

/// The well-known metrics of a process, as all client libraries name them, and ours.
const KNOWN: [(&str, &str); 4] = [
    ("process_resident_memory_bytes", "rss_bytes"),
    ("process_cpu_seconds_total", "cpu_s"),
    ("process_open_fds", "fds"),
    (STARTED, "started_s"),
];
/// A moment, which does not add up over several processes.
const STARTED: &str = "process_start_time_seconds";

/// Longest wait for an answer.
const TIMEOUT_MS: u64 = 1_500;
/// Longest answer that is read.
const BYTES_MAX: u32 = 4 << 20;

fn open(watched: &Watched) -> Source {
    let Some(scrape) = watched.metrics.clone() else {
        return Box::new(Seen::default);
    };
    let mut engine: Option<Engine> = None;
    let mut failures = 0_u32;
    Box::new(move || {
        let mut seen = Seen::default();
        match text(&scrape, &mut engine) {
            Ok(text) => {
                put_engine(&mut seen, &text, &scrape.engine);
                put(&mut seen, &text, &scrape.gauges);
            }
            Err(why) => {
                failures += 1;
                seen.miss("scrape", why);
            }
        }
        if failures > 0 {
            seen.put("scrapes_failed", f64::from(failures));
        }
        seen
    })
}

/// The metrics now, or why there are none.
fn text(scrape: &Scrape, engine: &mut Option<Engine>) -> Result<String, String> {
    let engine = match engine {
        Some(engine) => engine,
        None => engine.insert(
            Engine::new(&scrape.target, EngineOptions::default()).map_err(|error| error.to_string())?,
        ),
    };
    let request = Request {
        headers: vec![Header::new(
            "accept",
            "text/plain;version=0.0.4, text/plain;q=0.5",
        )],
        ..Request::get(scrape.path.clone())
    };
    let limits = Limits {
        connect_timeout_ms: TIMEOUT_MS,
        timeout_ms: TIMEOUT_MS,
        body_bytes_max: u64::from(BYTES_MAX),
        ..Limits::default()
    };
    let answer = engine.fetch(&request, &limits, BYTES_MAX);
    match (answer.outcome, answer.status) {
        (Outcome::Ok, 200..=299) if !answer.binary => Ok(answer.body),
        (Outcome::Ok, 200..=299) => Err("the answer is no text".to_owned()),
        (Outcome::Ok, status) => Err(format!("the answer has status {status}")),
        (outcome, _) => Err(format!("the request {}", outcome.says())),
    }
}

fn put(seen: &mut Seen, text: &str, gauges: &[String]) {
    let known = KNOWN.iter().map(|(theirs, ours)| (*theirs, *ours));
    let wanted: Vec<(&str, &str)> = known
        .chain(gauges.iter().map(|name| (name.as_str(), name.as_str())))
        .collect();
    let names: Vec<&str> = wanted.iter().map(|(theirs, _)| *theirs).collect();
    let found = values(text, &names);
    for (theirs, ours) in wanted {
        match found.get(theirs) {
            Some(all) if theirs == STARTED => seen.put(ours, all.iter().copied().fold(0.0, f64::max)),
            Some(all) => seen.put(ours, all.iter().sum()),
            None if theirs == ours => seen.miss(theirs, "the target's metrics do not name it"),
            None => {}
        }
    }
    if seen.values.is_empty() {
        seen.miss("scrape", "the answer holds none of the metrics that are known");
    }
}

fn put_engine(seen: &mut Seen, text: &str, wanted: &EngineMetrics) {
    let found = values(text, &wanted.sums);
    for (name, all) in found {
        seen.put(name, all.iter().sum());
    }
    for (name, all) in values(text, &wanted.peaks) {
        if let Some(most) = all.into_iter().reduce(f64::max) {
            seen.put(name, most);
        }
    }
    for (key, value) in histograms(text, &wanted.histograms) {
        seen.put(key, value);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::super::{Seen, Watched};
    use super::{EngineMetrics, Scrape, open, put, put_engine};
    use crate::Target;

    #[test]
    fn several_processes_are_summed_and_gauges_are_looked_for() {
        let mut seen = Seen::default();
        let text = "process_resident_memory_bytes{pid=\"1\"} 10\nprocess_resident_memory_bytes{pid=\"2\"} 20\n\
                    process_start_time_seconds{pid=\"1\"} 5\nprocess_start_time_seconds{pid=\"2\"} 7\nslots_used 3\n";
        put(&mut seen, text, &["slots_used".to_owned(), "absent".to_owned()]);
        let values: Vec<(&str, f64)> = seen.values.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        assert_eq!(
            values,
            [("rss_bytes", 30.0), ("slots_used", 3.0), ("started_s", 7.0)]
        );
        assert_eq!(seen.missing.len(), 1, "{seen:?}");
    }

    #[test]
    fn what_engines_tell_is_read_where_it_is_told() {
        let mut seen = Seen::default();
        let text = "e:running{model=\"a\"} 2\ne:running{model=\"b\"} 3\ne:kv{engine=\"0\"} 0.25\ne:kv{engine=\"1\"} 0.5\n\
                    e:ttft_bucket{le=\"0.1\",model=\"a\"} 4\ne:ttft_bucket{model=\"b\",le=\"0.1\"} 1\n\
                    e:ttft_bucket{le=\"+Inf\",model=\"a\"} 9\ne:ttft_sum 1.5\ne:ttft_count 10\n";
        let wanted = EngineMetrics {
            sums: vec!["e:running", "e:absent"],
            peaks: vec!["e:kv"],
            histograms: vec!["e:ttft"],
        };
        put_engine(&mut seen, text, &wanted);
        let values: Vec<(&str, f64)> = seen.values.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        assert_eq!(
            values,
            [
                ("e:kv", 0.5),
                ("e:running", 5.0),
                ("e:ttft_bucket{le=0.1}", 5.0),
                ("e:ttft_count", 10.0),
                ("e:ttft_sum", 1.5)
            ]
        );
        assert!(seen.missing.is_empty(), "what is not told is not missed");
    }

    #[test]
    fn asks_the_target_and_counts_failures() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let n = stream.read(&mut asked).unwrap();
            let body = "process_resident_memory_bytes 4096\n";
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            String::from_utf8_lossy(&asked[..n]).into_owned()
        });
        let mut read = open(&Watched {
            metrics: Some(Scrape {
                target: Target::new(&format!("http://127.0.0.1:{port}")).unwrap(),
                path: "/metrics".to_owned(),
                gauges: Vec::new(),
                engine: EngineMetrics::default(),
            }),
            ..Watched::default()
        });
        let first = read();
        assert!((first.values["rss_bytes"] - 4096.0).abs() < 1e-9, "{first:?}");
        assert!(server.join().unwrap().starts_with("GET /metrics HTTP/1.1"));
        let second = read();
        assert!((second.values["scrapes_failed"] - 1.0).abs() < 1e-9, "{second:?}");
        assert_eq!(second.missing.len(), 1);
    }
}
