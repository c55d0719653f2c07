//! Each planted fault, seen over HTTP with it on and with it off.

use crate::client;

use std::sync::LazyLock;

use client::Server;
use serde_json::{Value, json};

const SLIDES: [&str; 3] = ["slide_000", "TCGA-04-1360-01A-01-TS1", "TCGA-13-1489-01A-01-TS1"];

fn analyze(server: &Server, slide: &str) -> Value {
    server
        .post("/api/analyze", &json!({ "slide_id": slide }).to_string())
        .json()
}

fn report(server: &Server, slide: &str) -> Value {
    server
        .post("/api/report", &json!({ "slide_id": slide }).to_string())
        .json()
}

fn search(server: &Server, query: &str) -> Value {
    server
        .post(
            "/api/semantic-search",
            &json!({ "slide_id": "slide_000", "query": query }).to_string(),
        )
        .json()
}

fn order(search: &Value) -> Vec<u64> {
    search["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["patch_index"].as_u64().unwrap())
        .collect()
}

static SOUND: LazyLock<Server> = LazyLock::new(|| Server::enso("enso-fixed", &SMALL));

/// Slides of a few patches, which is enough to tell answers apart.
const SMALL: [(&str, &str); 1] = [("slide_px", "768")];

fn server(knobs: &[(&str, &str)]) -> Server {
    Server::enso("enso-fixed", &[&SMALL, knobs].concat())
}

#[test]
fn e1_serial_serves_one_at_a_time() {
    let slow = [("device_ms", "40"), ("device_sigma", "0")];
    for (serial, most) in [("true", 1), ("false", 4)] {
        let server = server(&[&slow[..], &[("serial", serial)]].concat());
        let replies = server.burst(12, |server| {
            server.post("/api/analyze", r#"{"slide_id":"slide_000"}"#)
        });
        assert!(replies.iter().all(|reply| reply.status == 200));
        let truth = server.truth();
        assert_eq!(truth["in_service_max"], json!(most), "serial={serial}");
        assert_eq!(
            truth["endpoints"]["POST /api/analyze"]["statuses"],
            json!({"200": 12})
        );
    }
}

#[test]
fn e1_health_waits_only_when_serial() {
    for serial in ["true", "false"] {
        let server = server(&[("device_ms", "400"), ("device_sigma", "0"), ("serial", serial)]);
        std::thread::scope(|scope| {
            let work = scope.spawn(|| analyze(&server, SLIDES[0]));
            while server.truth()["in_service"] == json!(0) && !work.is_finished() {
                std::thread::yield_now();
            }
            server.get("/health");
            // Behind one gate, health is answered when the analysis has left it; otherwise while it still runs.
            assert_eq!(
                server.truth()["in_service"],
                json!(u8::from(serial == "false")),
                "serial={serial}"
            );
        });
    }
}

#[test]
fn e2_template_report_says_the_same_of_every_slide() {
    let (faulty, sound) = (server(&[("template_report", "true")]), &*SOUND);
    let texts = |server: &Server| {
        SLIDES.map(|slide| report(server, slide)["summary_text"].as_str().unwrap().to_owned())
    };
    let [a, b, c] = texts(&faulty);
    assert!(a == b && b == c);
    assert_eq!(
        report(&faulty, SLIDES[0])["report_json"]["model_output"],
        report(&faulty, SLIDES[1])["report_json"]["model_output"]
    );
    assert!(
        report(&faulty, SLIDES[0])["report_json"]
            .get("report_generator")
            .is_none()
    );
    let [a, b, c] = texts(sound);
    assert!(a != b && b != c && a != c);
    for slide in SLIDES {
        let (report, analysis) = (report(sound, slide), analyze(sound, slide));
        assert_eq!(
            report["report_json"]["model_output"]["probability"],
            analysis["score"]
        );
        assert!(report["summary_text"].as_str().unwrap().contains(slide));
    }
}

#[test]
fn e3_ignore_query_ranks_alike_for_every_query() {
    let (faulty, sound) = (server(&[("ignore_query", "true")]), &*SOUND);
    assert_eq!(
        order(&search(&faulty, "necrosis")),
        order(&search(&faulty, "tumor cells"))
    );
    assert_eq!(
        search(&faulty, "necrosis")["embedding_model"],
        json!("attention-fallback")
    );
    let queries = [
        "tumor cells",
        "necrosis",
        "lymphocytes",
        "stroma",
        "mitotic figures",
        "zebra",
    ];
    for (index, query) in queries.iter().enumerate() {
        assert_eq!(order(&search(sound, query)), order(&search(sound, query)));
        for other in &queries[..index] {
            assert_ne!(
                order(&search(sound, query)),
                order(&search(sound, other)),
                "{query} {other}"
            );
        }
    }
    assert_eq!(
        search(sound, "necrosis")["embedding_model"],
        sound.get("/api/semantic-search/status").json()["model"]
    );
}

#[test]
fn e4_degenerate_predictions_are_one_class_at_full_confidence() {
    let (faulty, sound) = (server(&[("degenerate", "true")]), &*SOUND);
    for slide in SLIDES {
        let analysis = analyze(&faulty, slide);
        let told = (
            &analysis["prediction"],
            &analysis["score"],
            &analysis["confidence"],
        );
        assert_eq!(told, (&json!("NON-RESPONDER"), &json!(0.0), &json!(1.0)));
    }
    let predictions: Vec<Value> = SLIDES
        .iter()
        .map(|slide| analyze(sound, slide)["prediction"].clone())
        .collect();
    assert!(predictions.iter().any(|prediction| prediction != &predictions[0]));
}

#[test]
fn e5_status_lies_while_answering() {
    let (faulty, sound) = (server(&[("status_lies", "true")]), &*SOUND);
    for (server, loaded) in [(&faulty, false), (sound, true)] {
        assert!(
            !search(server, "necrosis")["results"]
                .as_array()
                .unwrap()
                .is_empty()
        );
        analyze(server, SLIDES[0]);
        for path in [
            "/health",
            "/api/health",
            "/api/embed/status",
            "/api/semantic-search/status",
        ] {
            assert_eq!(server.get(path).json()["model_loaded"], json!(loaded), "{path}");
        }
    }
}

#[test]
fn e6_lazy_load_delays_the_first_call_only() {
    let quick = [("device_ms", "1"), ("lazy_load_ms", "300")];
    for lazy in ["true", "false"] {
        let server = server(&[&quick[..], &[("lazy_load", lazy)]].concat());
        assert_eq!(
            server.get("/health").json()["model_loaded"],
            json!(lazy == "false")
        );
        for _ in 0..3 {
            analyze(&server, SLIDES[0]);
        }
        assert_eq!(server.get("/health").json()["model_loaded"], json!(true));
        let times = server
            .ask_admin("GET", "/truth/times?endpoint=POST%20/api/analyze")
            .json();
        let service: Vec<u64> = times["service_ns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|ns| ns.as_u64().unwrap())
            .collect();
        assert_eq!(service.len(), 3);
        assert_eq!(service[0] >= 300_000_000, lazy == "true", "{service:?}");
    }
}

#[test]
fn e7_long_ids_end_in_500_or_are_refused() {
    let (faulty, sound) = (server(&[("long_id_500", "true")]), &*SOUND);
    let long = json!({ "slide_id": "a".repeat(10_000) }).to_string();
    for path in ["/api/analyze", "/api/report"] {
        let crash = faulty.post(path, &long);
        assert_eq!(
            (crash.status, crash.text().as_str()),
            (500, "Internal Server Error")
        );
        assert_eq!(
            crash.header("content-type").as_deref(),
            Some("text/plain; charset=utf-8")
        );
        let refusal = sound.post(path, &long);
        assert!(
            refusal.status == 422 && refusal.text().contains("string_too_long"),
            "{}",
            refusal.status
        );
    }
    let path = format!("/api/heatmap/{}", "a".repeat(10_000));
    assert_eq!((faulty.get(&path).status, sound.get(&path).status), (500, 404));
    assert!(sound.get(&path).body.len() < 300);
    let short = json!({ "slide_id": "a".repeat(251) }).to_string();
    assert_eq!(
        (
            faulty.post("/api/analyze", &short).status,
            sound.post("/api/analyze", &short).status
        ),
        (404, 404)
    );
    let bound = |server: &Server| {
        server.get("/openapi.json").json()["components"]["schemas"]["AnalyzeRequest"]["properties"]["slide_id"]["maxLength"].clone()
    };
    assert_eq!((bound(&faulty), bound(sound)), (Value::Null, json!(256)));
}

#[test]
fn lenient_input_coerces_and_leaves_parameters_unbounded() {
    let (faulty, sound) = (server(&[("lenient_input", "true")]), &*SOUND);
    let body = r#"{"slide_id":"slide_000","generate_report":"yes","typo":1}"#;
    assert_eq!(
        (
            faulty.post("/api/analyze", body).status,
            sound.post("/api/analyze", body).status
        ),
        (200, 422)
    );
    for query in ["k=0", "k=21", "top_patches=0", "top_patches=11", "k=-1"] {
        let path = format!("/api/similar?slide_id=slide_000&{query}");
        assert_eq!(sound.get(&path).status, 422, "{query}");
        assert_ne!(faulty.get(&path).status, 422, "{query}");
    }
    for size in ["0", "-5", "5000"] {
        assert_eq!(
            sound
                .get(&format!("/api/slides/slide_000/thumbnail?size={size}"))
                .status,
            422
        );
    }
    assert!(
        faulty
            .get("/api/slides/slide_000/thumbnail?size=0")
            .text()
            .contains("Failed to generate thumbnail")
    );
    let with_report = r#"{"slide_id":"slide_000","generate_report":true}"#;
    assert!(sound.post("/api/analyze", with_report).json()["report"]["summary_text"].is_string());
    assert!(
        faulty
            .post("/api/analyze", with_report)
            .json()
            .get("report")
            .is_none()
    );
}

#[test]
fn the_admin_port_names_the_faults_and_the_service_port_does_not() {
    let (observed, fixed) = (Server::enso("enso", &SMALL), &*SOUND);
    let ids = |server: &Server| -> Vec<String> {
        server.truth()["faults"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| fault["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&observed), ["E1", "E2", "E3", "E4", "E5", "E6", "E7"]);
    assert!(ids(fixed).is_empty());
    for path in ["/truth", "/truth/times", "/admin"] {
        assert_eq!(observed.get(path).status, 404);
    }
    for path in ["/", "/openapi.json", "/api/docs", "/health"] {
        let text = observed.get(path).text().to_lowercase();
        assert!(
            !["truth", "planted", "prony"]
                .iter()
                .any(|word| text.contains(word)),
            "{path}"
        );
    }
}

#[test]
fn drift_slows_service_and_leaks_are_counted_per_request() {
    let server = server(&[
        ("device_ms", "4"),
        ("device_sigma", "0"),
        ("service_drift", "500"),
        ("leak_kib_per_request", "1"),
    ]);
    for _ in 0..4 {
        analyze(&server, SLIDES[0]);
    }
    let times = server
        .ask_admin("GET", "/truth/times?endpoint=POST%20/api/analyze")
        .json();
    let service: Vec<u64> = times["service_ns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ns| ns.as_u64().unwrap())
        .collect();
    assert!(service[3] > 9_000_000 && service[0] >= 4_000_000, "{service:?}");
}

#[test]
fn a_full_queue_is_told_with_retry_after() {
    let server = server(&[("device_ms", "300"), ("slots", "1"), ("queue_max", "1")]);
    let replies = server.burst(6, |server| {
        server.post("/api/analyze", r#"{"slide_id":"slide_000"}"#)
    });
    let busy: Vec<_> = replies.iter().filter(|reply| reply.status == 503).collect();
    assert!(!busy.is_empty() && busy.len() < 6);
    assert!(
        busy.iter()
            .all(|reply| reply.header("retry-after").as_deref() == Some("1"))
    );
}
