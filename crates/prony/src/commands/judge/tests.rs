//! Published reports, in their own numbers: each claim draws the objection that its numbers deserve, other numbers draw
//! another, and a report that shows enough draws none.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use prony_model::Verdict::{self, Fail, Inconclusive, Pass, Warn};

use super::{JudgeDocument, document, summary};
use crate::imported::{Imported, Options, parse, read};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../suites/results")
}

fn text(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn judged(text: &str, options: &Options) -> JudgeDocument {
    document(
        "results.csv",
        &parse("results.csv", text, options).expect("it can be read"),
    )
}

/// The verdict of a row, and of one rule on it what it says.
#[track_caller]
fn found(document: &JudgeDocument, id: &str, rule: &str) -> (Verdict, String) {
    let row = document.rows.iter().find(|row| row.id == id);
    let row = row.unwrap_or_else(|| panic!("there is no row {id}"));
    let finding = row.findings.iter().find(|f| f.id == rule);
    let finding = finding.unwrap_or_else(|| panic!("{id}: nothing of {rule} in {:#?}", row.findings));
    (finding.verdict, finding.title.clone())
}

#[track_caller]
fn objects(document: &JudgeDocument, id: &str, rule: &str, verdict: Verdict, parts: &[&str]) {
    let (found, says) = found(document, id, rule);
    assert_eq!(found, verdict, "{id}: {says}");
    for part in parts {
        assert!(says.contains(part), "{id}: {part:?} is not in {says:?}");
    }
}

/// The same file with one text replaced.
#[track_caller]
fn with(file: &str, old: &str, new: &str) -> JudgeDocument {
    let text = text(file);
    assert!(text.contains(old), "{old:?} is not in {file}");
    judged(&text.replacen(old, new, 1), &Options::default())
}

fn of(file: &str) -> JudgeDocument {
    judged(&text(file), &Options::default())
}

#[test]
fn a_capacity_that_little_s_law_denies() {
    let semantic = of("semantic.csv");
    objects(
        &semantic,
        "pool",
        "littles-law",
        Fail,
        &["0.967/s x 1.5 s = 1.45", "not 30"],
    );
    objects(
        &semantic,
        "rate",
        "throughput",
        Fail,
        &["29 good answers in 30 s are 0.967/s, not 20/s", "30 / 1.5 s"],
    );
    // Had all 605 been answered, and each within the time they took.
    let held = with(
        "semantic.csv",
        "~30,,605,29,576,60,,30s,1.5s",
        "~30,,605,605,0,0,,30s,1.5s",
    );
    objects(&held, "pool", "littles-law", Pass, &["30.2"]);
    let rate = with(
        "semantic.csv",
        "20 req/s,,605,29,576,60,30,30s",
        "20 req/s,,605,605,0,0,30,30s",
    );
    objects(&rate, "rate", "throughput", Pass, &["20.2/s"]);
}

#[test]
fn percentiles_of_four_requests_and_of_failures() {
    let semantic = of("semantic.csv");
    objects(
        &semantic,
        "p99",
        "too-few-values",
        Inconclusive,
        &["p99 of 4 values", "299", "368"],
    );
    objects(
        &semantic,
        "p95",
        "too-few-values",
        Inconclusive,
        &["p95 of 4 values", "59", "72"],
    );
    objects(
        &semantic,
        "p50",
        "too-few-values",
        Inconclusive,
        &["p50 of 4 values"],
    );
    objects(
        &semantic,
        "ramp.p50",
        "mixed-outcomes",
        Fail,
        &["576 of 605", "95.2 %", "time of a failure"],
    );
    objects(
        &semantic,
        "ramp.p95",
        "mixed-outcomes",
        Fail,
        &["60 of 605", "9.92 %", "did not finish"],
    );
    objects(
        &semantic,
        "ramp.p99",
        "mixed-outcomes",
        Fail,
        &["60 of 605", "did not finish"],
    );
    let many = with("semantic.csv", "\"~2,000ms\",,4,4,0", "\"~2,000ms\",,4000,4000,0");
    objects(&many, "p99", "too-few-values", Pass, &["4000 values"]);
    let few_failed = with("semantic.csv", "p50,32ms,,605,29,576,60", "p50,32ms,,605,603,2,0");
    objects(&few_failed, "ramp.p50", "mixed-outcomes", Warn, &["2 of 605"]);
}

#[test]
fn a_cause_that_was_not_tested() {
    let runpod = of("runpod.csv");
    objects(
        &runpod,
        "cold-start",
        "untested-cause",
        Inconclusive,
        &[
            "4 of 30 requests failed",
            "no run without the cause",
            "another explanation is known: the endpoint has reached",
        ],
    );
    objects(
        &runpod,
        "warm",
        "waiting-in-service-time",
        Fail,
        &["the work itself takes 9.5 s", "15.5 s (62 %)"],
    );
    let fits = with("runpod.csv", "15,9.5s", "15,24s");
    objects(&fits, "warm", "waiting-in-service-time", Pass, &["fits"]);
    let unknown = with("runpod.csv", "15,9.5s", "15,");
    objects(
        &unknown,
        "warm",
        "waiting-in-service-time",
        Inconclusive,
        &["with 15 at once", "1.67 s up"],
    );
}

#[test]
fn two_rounds_that_chance_tells_apart_as_well() {
    let runpod = of("runpod.csv");
    objects(
        &runpod,
        "round-1",
        "success-share",
        Inconclusive,
        &["26 of 30", "69.3 % to 96.2 %"],
    );
    objects(
        &runpod,
        "round-2",
        "chance",
        Inconclusive,
        &["28 of 30 against 26 of 30", "p = 0.67"],
    );
    let better = with("runpod.csv", "93.3%,30,28,2", "99.0%,3000,2970,30");
    objects(&better, "round-2", "chance", Pass, &["more than chance"]);
    let worse = with("runpod.csv", "93.3%,30,28,2", "33.3%,30,10,20");
    objects(&worse, "round-2", "chance", Fail, &["worse"]);
}

#[test]
fn stamps_of_a_minute_prove_nothing() {
    let media = of("media.csv");
    let parts = [
        "Time stamps of 60 s prove nothing",
        "32 requests one after another, of less than 1.87 s",
    ];
    objects(&media, "together", "overlap", Inconclusive, &parts);
    objects(
        &media,
        "faster",
        "speed-up",
        Inconclusive,
        &["32", "never measured"],
    );
    objects(&media, "files", "speed-up", Inconclusive, &["(n + 1) / 2 = 10.5"]);
    objects(&media, "base64", "speed-up", Inconclusive, &["(n + 1) / 2 = 8"]);
    objects(
        &media,
        "success",
        "success-share",
        Inconclusive,
        &["No failure in 32", "8.94 %"],
    );
    let requests = of("media-requests.csv");
    objects(
        &requests,
        "in flight",
        "overlap",
        Inconclusive,
        &["Time stamps of 60 s prove nothing", "1.87 s"],
    );
    // To the millisecond, each from start to end, it would be shown.
    let mut fine = String::from("number,start,end,status\n");
    for i in 1..=32 {
        let _ = writeln!(fine, "{i},22:42:01.{i:03},22:42:05.{:03},Success", 2 * i);
    }
    let shown = judged(
        &fine,
        &Options {
            concurrency: Some(32.0),
            ..Options::default()
        },
    );
    objects(&shown, "in flight", "in-flight", Pass, &["32 at most"]);
    objects(&shown, "in flight", "littles-law", Pass, &["32 at once"]);
}

#[test]
fn a_health_check_that_takes_as_long() {
    let enso = of("enso.csv");
    objects(
        &enso,
        "T8.avg",
        "no-work-floor",
        Inconclusive,
        &["GET /api/health takes 28 ms", "this takes 30 ms", "93.3 %"],
    );
    let quick = with(
        "enso.csv",
        "mean,0.028s,50,50,0,1,1.38s",
        "mean,0.0012s,50,50,0,1,0.06s",
    );
    let row = quick
        .rows
        .iter()
        .find(|row| row.id == "T8.avg")
        .expect("it is there");
    assert!(row.findings.iter().all(|f| f.id != "no-work-floor"), "{row:#?}");
}

#[test]
fn two_readings_of_the_memory() {
    let enso = of("enso.csv");
    objects(
        &enso,
        "memory",
        "memory-growth",
        Inconclusive,
        &[
            "over 311 requests",
            "0.234 MiB per request",
            "21.2 % of the memory per 1,000 requests",
            "loaded once",
        ],
    );
    let vision = of("vision.csv");
    objects(
        &vision,
        "leak",
        "memory-growth",
        Inconclusive,
        &["over 10 requests is blind below 9.54 MiB per request"],
    );
    objects(
        &vision,
        "regression",
        "chance",
        Inconclusive,
        &["One run", "blind below 50 %"],
    );
    let watched = with(
        "enso.csv",
        "71 MiB,311,,,,,,,,1.078 GiB,1.149 GiB,2",
        "0 MiB,311000,,,,,,,,1.078 GiB,1.078 GiB,300",
    );
    objects(&watched, "memory", "memory-growth", Pass, &["300 readings"]);
}

#[test]
fn total_over_n_is_no_latency() {
    let enso = of("enso.csv");
    objects(
        &enso,
        "T7.avg",
        "littles-law",
        Fail,
        &[
            "340 ms / 50 = 6.8 ms is one over the throughput (147/s)",
            "not 50",
        ],
    );
    objects(&enso, "T4.tile", "littles-law", Fail, &["1.51 s / 80 = 18.9 ms"]);
    objects(&enso, "T4.tile", "mixed-outcomes", Inconclusive, &["34 of 80"]);
    objects(
        &enso,
        "T7.many",
        "littles-law",
        Fail,
        &["0.985 request was in flight", "not 50"],
    );
    objects(
        &enso,
        "T7.ok",
        "success-share",
        Inconclusive,
        &["No failure in 50", "5.82 %"],
    );
    objects(&enso, "T1.ok", "success-share", Inconclusive, &["25.9 %"]);
    // One after another it is the mean.
    let serial = with("enso.csv", "6.7ms,50,50,0,50,0.34s", "6.7ms,50,50,0,1,0.34s");
    let row = serial
        .rows
        .iter()
        .find(|row| row.id == "T7.avg")
        .expect("it is there");
    assert!(row.findings.iter().all(|f| f.id != "littles-law"), "{row:#?}");
    let real = with("enso.csv", "6.7ms,50,50,0,50,0.34s", "310ms,50,50,0,50,0.34s");
    objects(&real, "T7.avg", "littles-law", Pass, &["45.6"]);
}

#[test]
fn rates_against_their_own_gates() {
    let vision = of("vision.csv");
    objects(
        &vision,
        "success",
        "success-share",
        Pass,
        &["86.3 % to 99.51 %", "at least 80 %"],
    );
    objects(
        &vision,
        "compliance",
        "success-share",
        Inconclusive,
        &["either side of the limit of 90 %"],
    );
    let below = with("vision.csv", "92.0%,90%,50,46", "40.0%,90%,50,20");
    objects(&below, "compliance", "success-share", Fail, &["less than 90 %"]);
}

#[test]
fn a_report_that_shows_enough_draws_no_objection() {
    let healthy = of("healthy.csv");
    for row in &healthy.rows {
        assert_eq!(row.verdict, Pass, "{row:#?}");
    }
    assert_eq!(healthy.because, "Of 13 claims, 13 are supported.");
}

#[test]
fn every_file_of_results_is_read_and_none_is_taken_at_its_word() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|e| e == "csv"))
        .collect();
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    for path in files {
        let imported = read(&path, &Options::default()).unwrap_or_else(|e| panic!("{}", e.render(false)));
        let name = path
            .file_name()
            .expect("it has a name")
            .to_string_lossy()
            .into_owned();
        let document = document(&name, &imported);
        let healthy = name == "healthy.csv";
        assert_eq!(document.verdict == Pass, healthy, "{name}");
        for row in &document.rows {
            assert!(
                !row.findings.is_empty() && row.findings.iter().all(|f| f.title.ends_with('.')),
                "{row:#?}"
            );
        }
        insta::assert_snapshot!(name, summary::text(&document, false));
    }
}

#[test]
fn nothing_in_a_file_acts_on_the_terminal() {
    let hostile = "\u{1b}[31m\u{202e}\u{7}<script>";
    for text in [
        format!(
            "id,claim,metric,endpoint,alternatives,n,ok\nx{hostile},y{hostile},cause,{hostile},{hostile},5,4\n"
        ),
        format!(
            "start,latency_ms,status,endpoint,group\n22:42,5,200,/health,{hostile}\n22:43,5,{hostile},{hostile},{hostile}\n"
        ),
    ] {
        let document = judged(&text, &Options::default());
        let page = summary::text(&document, false);
        let json = serde_json::to_string(&document).expect("it is JSON");
        for shown in [page, json] {
            assert!(
                !shown.contains('\u{1b}') && !shown.contains('\u{202e}') && !shown.contains('\u{7}'),
                "{shown:?}"
            );
        }
    }
    let colored = summary::text(&of("healthy.csv"), true);
    assert!(colored.contains("\u{1b}[32mPASS"));
}

#[test]
fn large_files_are_judged_in_bounds() {
    let mut text = String::from("start_ms,latency_ms,status,endpoint,group\n");
    for i in 0..40_000 {
        let _ = writeln!(text, "{i},{},200,/e{},g{}", 10 + i % 7, i % 6000, i % 3);
    }
    let Imported::Requests(requests) = parse("x", &text, &Options::default()).expect("it can be read") else {
        panic!("these are requests");
    };
    assert_eq!(requests.records.len(), 40_000);
    let document = judged(&text, &Options::default());
    assert!(document.rows.len() < 100, "{}", document.rows.len());
}
