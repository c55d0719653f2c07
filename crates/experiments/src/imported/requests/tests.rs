//! Records of which the truth is known, and records that cannot be.

use prony_model::Verdict::{Fail, Inconclusive, Invalid, Pass, Warn};

use super::{Cell, Ended, Judged, Record, Requests, judge_requests};

/// Requests that start every `gap` seconds and take `took`, in one group.
fn evenly(n: usize, gap: f64, took: f64, resolution: f64) -> Requests {
    let stamp = |t: f64| (t / resolution).floor() * resolution;
    let record = |i: usize| Record {
        start_s: Some(stamp(i as f64 * gap)),
        end_s: Some(stamp(i as f64 * gap + took)),
        ..Record::default()
    };
    Requests {
        records: (0..n).map(record).collect(),
        cells: vec![Cell::default()],
        words: vec!["200".into(), "503".into(), "timeout".into()],
        says_how: true,
        resolution_s: Some(resolution),
        concurrency: None,
    }
}

fn row<'a>(judged: &'a [Judged], id: &str) -> &'a Judged {
    judged
        .iter()
        .find(|j| j.id == id)
        .unwrap_or_else(|| panic!("no {id} in {judged:#?}"))
}

#[test]
fn a_healthy_file_draws_no_objection() {
    let mut requests = evenly(2000, 0.01, 0.1, 0.001);
    for (i, record) in requests.records.iter_mut().enumerate() {
        // Times that differ, without order.
        let spread = ((i * 7919) % 1000) as f64 / 1e5;
        record.end_s = record.start_s.map(|s| s + 0.1 + spread);
    }
    requests.concurrency = Some(10.5);
    let judged = judge_requests(&requests);
    assert!(judged.iter().all(|j| j.verdict == Pass), "{judged:#?}");
    let flight = row(&judged, "in flight");
    assert!(
        flight
            .findings
            .iter()
            .any(|f| f.title.contains("one over the throughput")),
        "{flight:#?}"
    );
}

#[test]
fn a_claimed_concurrency_is_held_against_the_stamps() {
    let serial = Requests {
        concurrency: Some(16.0),
        ..evenly(400, 0.1, 0.1, 0.001)
    };
    let judged = judge_requests(&serial);
    assert_eq!(row(&judged, "in flight").verdict, Fail);
    assert!(row(&judged, "in flight").findings[0].title.contains("not 16"));
    let meant = judge_requests(&Requests {
        concurrency: Some(1.0),
        ..serial
    });
    assert_eq!(row(&meant, "in flight").verdict, Pass);
}

#[test]
fn stamps_of_a_minute_do_not_show_overlap() {
    let judged = judge_requests(&evenly(24, 0.2, 2.0, 60.0));
    let flight = row(&judged, "in flight");
    assert_eq!(flight.verdict, Inconclusive);
    assert!(flight.findings[0].title.contains("2.5 s"), "{flight:#?}");
    // With times known to the millisecond the same stamps may show it.
    let mut timed = evenly(24, 0.2, 2.0, 60.0);
    timed.records.iter_mut().for_each(|r| r.latency_s = Some(2.0));
    assert_eq!(row(&judge_requests(&timed), "in flight").verdict, Inconclusive);
    timed.records.iter_mut().for_each(|r| r.latency_s = Some(20.0));
    assert_eq!(row(&judge_requests(&timed), "in flight").verdict, Pass);
}

#[test]
fn coarse_stamps_of_a_long_test_still_deny_a_concurrency() {
    let mut slow = evenly(300, 1.0, 0.1, 1.0);
    slow.records.iter_mut().for_each(|r| r.latency_s = Some(0.1));
    slow.concurrency = Some(10.0);
    let judged = judge_requests(&slow);
    let flight = row(&judged, "in flight");
    assert_eq!(flight.verdict, Fail, "{flight:#?}");
    assert!(flight.findings[0].title.contains("not 10"), "{flight:#?}");
}

#[test]
fn failures_and_timeouts_have_their_own_row() {
    let mut requests = evenly(500, 0.1, 0.05, 0.001);
    for record in requests.records.iter_mut().step_by(2) {
        (record.ended, record.word) = (Ended::Failed, 1);
    }
    for record in requests.records.iter_mut().step_by(10) {
        (record.ended, record.word, record.end_s) = (Ended::Timeout, 2, None);
    }
    let judged = judge_requests(&requests);
    let all = row(&judged, "all requests");
    let mixed = all.findings.iter().find(|f| f.id == "mixed-outcomes").unwrap();
    for part in ["250 of 500", "200 x 503", "50 x timeout", "p90"] {
        assert!(mixed.title.contains(part), "{part}: {}", mixed.title);
    }
    assert_eq!(row(&judged, "in flight").verdict, Inconclusive);
}

#[test]
fn two_groups_are_compared() {
    let two = |failed: usize| {
        let mut requests = evenly(400, 0.1, 0.05, 0.001);
        requests.cells = ["before", "after"]
            .map(|group| Cell {
                group: group.into(),
                endpoint: String::new(),
            })
            .to_vec();
        for (i, record) in requests.records.iter_mut().enumerate() {
            record.cell = u16::from(i >= 200);
            if i % 200 < 20 + if i >= 200 { failed } else { 0 } {
                (record.ended, record.word) = (Ended::Failed, 1);
            }
        }
        judge_requests(&requests)
    };
    assert_eq!(row(&two(3), "after against before").verdict, Inconclusive);
    assert_eq!(row(&two(60), "after against before").verdict, Fail);
}

#[test]
fn a_no_op_that_takes_as_long_is_told() {
    let mut requests = evenly(400, 0.1, 0.05, 0.001);
    requests.cells = ["/healthz", "/infer"]
        .map(|endpoint| Cell {
            group: String::new(),
            endpoint: endpoint.into(),
        })
        .to_vec();
    for (i, record) in requests.records.iter_mut().enumerate() {
        record.cell = (i % 2) as u16;
    }
    let judged = judge_requests(&requests);
    assert!(
        row(&judged, "/infer")
            .findings
            .iter()
            .any(|f| f.id == "no-work-floor" && f.verdict == Inconclusive)
    );
}

#[test]
fn records_that_cannot_be_are_invalid() {
    let mut backwards = evenly(100, 0.1, 0.05, 0.001);
    backwards.records[7].end_s = Some(-1.0);
    assert_eq!(judge_requests(&backwards)[0].verdict, Invalid);
    let mut unit = evenly(100, 0.1, 0.05, 0.001);
    unit.records.iter_mut().for_each(|r| r.latency_s = Some(50.0));
    let judged = judge_requests(&unit);
    assert_eq!(judged[0].verdict, Invalid);
    assert!(judged[0].findings[0].title.contains("wrong unit"));
    let mut holes = evenly(100, 0.1, 0.05, 0.001);
    for (i, record) in holes.records.iter_mut().enumerate() {
        record.number = Some(if i < 50 { i as u64 } else { i as u64 + 25 });
    }
    assert_eq!(judge_requests(&holes)[0].verdict, Warn);
    assert!(
        judge_requests(&holes)[0].findings[0]
            .title
            .contains("25 numbers are missing")
    );
}

#[test]
fn memory_beside_requests() {
    let with = |n: usize, every: usize, each: f64| {
        let mut requests = evenly(n, 0.1, 0.05, 0.001);
        for i in (0..n).step_by(every) {
            let noise = ((i * 7919) % 13) as f64 / 100.0;
            requests.records[i].memory_mib = Some(1000.0 + each * i as f64 + noise);
        }
        row(&judge_requests(&requests), "memory").clone()
    };
    assert_eq!(with(12_000, 100, 0.0).verdict, Pass);
    let leak = with(12_000, 100, 0.05);
    assert_eq!(leak.verdict, Warn);
    assert!(
        leak.findings[0].title.contains("51.2 KiB per request"),
        "{leak:?}"
    );
    assert_eq!(with(500, 10, 0.05).verdict, Inconclusive);
    assert_eq!(with(500, 400, 0.05).verdict, Inconclusive);
}
