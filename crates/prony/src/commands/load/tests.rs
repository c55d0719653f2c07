//! Flags become the load they say; results become the summary, the exit code and the one line for scripts.

use clap::Parser;
use prony_model::{
    Arrivals, FeedOrder, Limits, Nanos, Outcome, Phase, PhaseResult, Sample, SampleFlags, Shape,
    ValidityIssue, Verdict,
};

use super::plan::Plan;
use super::{LoadDocument, Reached, gate, is_unreachable, nearest_rank, no_connection, summary, verdict};
use crate::cli::{Cli, Command};

fn plan(line: &str) -> Plan {
    let words = format!("prony load {line}");
    let Command::Load(args) = Cli::try_parse_from(words.split_whitespace()).unwrap().command else {
        panic!("load parses as load");
    };
    Plan::new(&args).unwrap_or_else(|e| panic!("{}", e.render(false)))
}

fn shape(line: &str) -> Shape {
    plan(line).phase().unwrap().shape
}

/// A recorded phase: each request is `(response in ms, outcome)`, 10 ms apart.
fn result(line: &str, requests: &[(f64, Outcome)]) -> PhaseResult {
    let phase: Phase = plan(line).phase().unwrap();
    let samples: Vec<Sample> = requests
        .iter()
        .enumerate()
        .map(|(seq, &(ms, outcome))| {
            let due = Nanos(seq as u64 * 10_000_000);
            Sample {
                seq: seq as u64,
                intended: due,
                sent: due + Nanos(20_000),
                first_byte: due + Nanos::from_millis_f64(ms / 2.0),
                done: due + Nanos::from_millis_f64(ms),
                digest: 0,
                bytes_in: 100,
                item: 0,
                connect_us: 0,
                tls_us: 0,
                attempt: 0,
                status: 200,
                scenario: 0,
                step: 0,
                phase: 0,
                worker: 0,
                outcome,
                flags: SampleFlags::default(),
            }
        })
        .collect();
    let ended = samples.iter().map(|s| s.done).max().unwrap_or_default();
    let summary = prony_engine::summarise(0, &phase, &samples, Nanos::ZERO, ended, false);
    PhaseResult {
        index: 0,
        phase,
        summary,
        samples,
        samples_cut: false,
        captures: Vec::new(),
        streams: Vec::new(),
        readings: Vec::new(),
    }
}

fn document(result: &PhaseResult, allowed: f64) -> LoadDocument {
    let reached = Reached {
        address: "127.0.0.1:8000".to_owned(),
        dns: Some(Nanos(412_000)),
        first_errors: vec![(
            Outcome::Status4xx,
            "status 404\u{1b}[2J instead of 2xx".to_owned(),
        )],
    };
    LoadDocument::new(
        "http://127.0.0.1:8000/x",
        &reached,
        result,
        verdict(result, allowed),
        false,
    )
}

const URL: &str = "http://127.0.0.1:8000/x?y=1";

#[test]
fn defaults_are_those_of_other_load_tools() {
    let plan = plan(URL);
    assert_eq!(plan.suite.target.url, "http://127.0.0.1:8000");
    let phase = plan.phase().unwrap();
    assert_eq!(phase.scenarios[0].items[0].request.label(), "GET /x?y=1");
    assert_eq!(
        phase.shape,
        Shape::Closed {
            connections: 50,
            requests: None,
            duration_s: Some(10.0),
            think_ms: 0.0
        }
    );
    assert_eq!(phase.limits, Limits::default());
}

#[test]
fn shapes() {
    let closed = |connections, requests, duration_s| Shape::Closed {
        connections,
        requests,
        duration_s,
        think_ms: 0.0,
    };
    assert_eq!(shape("http://h -c 64 -d 30s"), closed(64, None, Some(30.0)));
    assert_eq!(shape("http://h -n 1000"), closed(50, Some(1000), None));
    assert_eq!(shape("http://h -c 64 -n 10"), closed(10, Some(10), None));
    assert_eq!(shape("http://h -n 1000 -d 2s"), closed(50, Some(1000), Some(2.0)));
    assert_eq!(
        shape("http://h --burst 7"),
        Shape::Burst {
            size: 7,
            count: 1,
            interval_s: 0.0
        }
    );
    assert_eq!(
        shape("http://h --rate 2000 --arrivals constant --in-flight 9"),
        Shape::Open {
            rate: 2000.0,
            arrivals: Arrivals::Constant,
            duration_s: 10.0,
            in_flight_max: 9
        }
    );
}

/// The plan of words that hold blanks, with the headers that are filled in.
fn filled(words: &[&str]) -> Result<(Plan, Phase), String> {
    let words = ["prony", "load"].iter().chain(words);
    let Command::Load(args) = Cli::try_parse_from(words).unwrap().command else {
        panic!("load parses as load");
    };
    let made = Plan::new(&args).and_then(|mut plan| {
        plan.own_headers(&args.send)?;
        let phase = plan.phase()?;
        Ok((plan, phase))
    });
    made.map_err(|e| e.render(false))
}

#[test]
fn requests_are_filled_in_where_their_braces_name_something() {
    let file = std::env::temp_dir().join(format!("prony-data-{}.csv", std::process::id()));
    std::fs::write(&file, "id,token\n7,abc\n8,def\n").unwrap();
    let data = file.to_str().unwrap();
    let (plan, phase) = filled(&[
        "http://127.0.0.1:1/item/{{data.id}}?n={{ random.int(1, 9) }}",
        "--data",
        data,
        "--data-order",
        "once",
        "-H",
        "Authorization: Bearer {{data.token}}",
        "-b",
        "{\"n\": {{seq}}, \"text\": {\"plain\": {}}}",
        "-n",
        "2",
    ])
    .unwrap();
    assert_eq!(
        plan.url,
        "http://127.0.0.1:1/item/{{data.id}}?n={{random.int(1,9)}}"
    );
    let scenario = &phase.scenarios[0];
    let request = &scenario.items[0].request;
    assert_eq!(request.path, "/item/{{data.id}}?n={{random.int(1,9)}}");
    assert_eq!(request.headers[0].value, "Bearer {{data.token}}");
    let feed = &scenario.slots.as_ref().unwrap().feeds["data"];
    assert_eq!((feed.file.as_deref(), feed.order), (Some(data), FeedOrder::Once));

    let url = "http://127.0.0.1:1/";
    let refused: &[(&[&str], &[&str])] = &[
        (
            &[url, "-b", "{{ids}}"],
            &["`{{ids}}`", "random.uuid", "--data FILE", "-f FILE"],
        ),
        (
            &["http://127.0.0.1:1/{{data.id}}"],
            &["`{{data.id}}`", "--data FILE"],
        ),
        (&["http://127.0.0.1:1/{{id}}", "--data", data], &["{{data.id}}"]),
        (
            &["http://127.0.0.1:1/{{data.ids}}", "--data", data],
            &["it has: id, token", "{{data.id}}?"],
        ),
        (&["http://127.0.0.1:1/{{carry.x}}"], &["`{{carry.x}}`"]),
        (&["http://127.0.0.1:1/{{random.int(9,1)}}"], &["smaller first"]),
        (&[url, "--data", data], &["takes a value from --data"]),
        (
            &["http://127.0.0.1:1/{{data.id}}", "--data", "absent.csv"],
            &["absent.csv", "cannot be read"],
        ),
        (
            &[
                url,
                "--data",
                data,
                "-H",
                "Cookie: fixed=secret; s={{data.token}}",
            ],
            &["\"Cookie\"", "would be recorded"],
        ),
        (
            &[url, "--openai", "m", "--data", data],
            &["prompts are made without it"],
        ),
        (
            &[url, "--openai", "m", "-H", "x: {{seq}}"],
            &["where prompts are made"],
        ),
    ];
    for (words, hints) in refused {
        let text = filled(words).unwrap_err();
        assert!(hints.iter().all(|hint| text.contains(hint)), "{words:?}: {text}");
    }
    // A body from a file is bytes, and braces that hold no name are text.
    for words in [
        &[url, "-b", "{{}} {{ a b }} {{7*7}}"][..],
        &[url, "-H", "x: {{ not a name }}"],
    ] {
        assert!(filled(words).unwrap().1.scenarios[0].slots.is_none(), "{words:?}");
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_port_that_was_to_be_free_is_known_once_the_target_is_there() {
    let mut plan = plan("http://127.0.0.1:0/x?y=1");
    plan.arrived_at("http://127.0.0.1:7001");
    assert_eq!(plan.url, "http://127.0.0.1:0/x?y=1", "nobody started it");
    plan.suite.target.command = vec!["server".to_owned()];
    plan.arrived_at("http://127.0.0.1:7001");
    assert_eq!(plan.url, "http://127.0.0.1:7001/x?y=1");
    let phase = plan.phase().unwrap();
    assert_eq!(plan.shown(&phase), plan.url);
}

#[test]
fn redirects_lead_to_servers_that_were_named() {
    let plan = plan(
        "http://127.0.0.1:1/ --redirects 3 --redirect-to http://127.0.0.1:9/any --redirect-to localhost:8",
    );
    let urls: Vec<&str> = plan.suite.origin.values().map(|spec| spec.url.as_str()).collect();
    assert_eq!(urls, ["http://127.0.0.1:9", "http://localhost:8"]);
    assert_eq!(crate::origins::used(&plan.suite).len(), 2);
}

#[test]
fn shapes_of_open_loops() {
    assert_eq!(
        shape("http://h --rate 9 --arrivals gamma --burstiness 0.5 -d 2s"),
        Shape::Open {
            rate: 9.0,
            arrivals: Arrivals::Gamma { burstiness: 0.5 },
            duration_s: 2.0,
            in_flight_max: 1000
        }
    );
    assert_eq!(
        shape("http://h --ramp 10:500 -d 60s"),
        Shape::Ramp {
            from: 10.0,
            to: 500.0,
            duration_s: 60.0,
            arrivals: Arrivals::Poisson,
            in_flight_max: 1000
        }
    );
    let trace = std::env::temp_dir().join(format!("prony-load-{}.csv", std::process::id()));
    std::fs::write(&trace, "timestamp\n1\n2\n").unwrap();
    let line = format!("http://h --replay {} --speed 2 --in-flight 5", trace.display());
    let replayed = shape(&line);
    std::fs::remove_file(&trace).unwrap();
    assert!(
        matches!(&replayed, Shape::Replay { speed, in_flight_max: 5, .. } if (*speed - 2.0).abs() < 1e-9),
        "{replayed:?}"
    );
    assert!(matches!(shape("http://h -c 3 --think 250"), Shape::Closed { think_ms, .. } if think_ms > 249.0));
}

#[test]
fn placeholders_and_retries() {
    let scenario = |line: &str| plan(line).phase().unwrap().scenarios.remove(0);
    assert!(scenario("http://h/ -b {{seq}}").slots.is_some());
    assert!(scenario("http://h/a -b {{7*7}}").slots.is_none());
    assert_eq!(scenario("http://h --retry 4").retry.unwrap().attempts, 4);
    assert!(!scenario("http://h").is_composite());
}

#[test]
fn bodies_methods_and_limits() {
    let phase =
        plan("http://h/a -b {{7*7}} -T text/plain --no-keepalive --redirects 3 --expect-status 404").phase();
    let phase = phase.unwrap();
    let item = &phase.scenarios[0].items[0];
    assert_eq!(item.request.label(), "POST /a");
    assert_eq!(item.request.body.to_bytes().unwrap(), b"{{7*7}}");
    assert_eq!(item.request.headers[0].value, "text/plain");
    assert_eq!(item.expect.status, [404]);
    assert!(!phase.limits.keep_alive && phase.limits.redirects_max == 3);
    assert_eq!(
        plan("http://h -m put").phase().unwrap().scenarios[0].items[0]
            .request
            .method,
        "PUT"
    );
    assert!(plan("http://h -f /nonexistent/body").phase().is_err());
}

#[test]
fn the_last_line_shows_a_rank_only_where_a_value_lies_beyond_it() {
    let times: Vec<Nanos> = (1..=1000).map(Nanos).collect();
    assert_eq!(nearest_rank(&times, 0.5), Some(Nanos(500)));
    assert_eq!(nearest_rank(&times, 0.99), Some(Nanos(990)));
    assert_eq!(nearest_rank(&times, 0.999), Some(Nanos(999)));
    assert_eq!(nearest_rank(&times[..999], 0.999), None);
    assert_eq!(nearest_rank(&times[..100], 0.99), Some(Nanos(99)));
    assert_eq!(nearest_rank(&times[..99], 0.99), None);
    assert_eq!(nearest_rank(&times[..2], 0.5), Some(Nanos(1)));
    assert_eq!(nearest_rank(&[], 0.5), None);
}

#[test]
fn verdicts_and_exit_codes() {
    let good = vec![(5.0, Outcome::Ok); 99];
    assert_eq!(verdict(&result(URL, &good), 0.0), Verdict::Pass);
    let mut one_bad = good.clone();
    one_bad.push((5.0, Outcome::Status5xx));
    assert_eq!(verdict(&result(URL, &one_bad), 0.0), Verdict::Fail);
    assert_eq!(verdict(&result(URL, &one_bad), 0.01), Verdict::Pass);
    assert_eq!(
        verdict(&result(URL, &[(0.0, Outcome::Interrupted)]), 0.0),
        Verdict::Inconclusive
    );
    let judge = |allowed: f64| {
        let result = result(URL, &one_bad);
        prony_experiments::judge_gate(&gate(&result, allowed), &[result], &[]).verdict
    };
    assert_eq!(
        (judge(0.0), judge(0.01), judge(0.009)),
        (Verdict::Fail, Verdict::Pass, Verdict::Fail)
    );
    let mut invalid = result(URL, &good);
    invalid.summary.validity.invalid.push(ValidityIssue {
        name: "shed".into(),
        says: "too many".into(),
    });
    assert_eq!(verdict(&invalid, 0.0), Verdict::Invalid);
}

#[test]
fn unreachable_means_that_no_request_got_a_connection() {
    let refused = [(1.0, Outcome::Refused), (1.0, Outcome::Interrupted)];
    assert!(is_unreachable(&result(URL, &refused)));
    assert!(!is_unreachable(&result(
        URL,
        &[(1.0, Outcome::Refused), (1.0, Outcome::Reset)]
    )));
    assert!(!is_unreachable(&result(URL, &[(1.0, Outcome::Interrupted)])));
    assert!(!is_unreachable(&result(URL, &[])));
    insta::assert_snapshot!(
        no_connection("http://h/", &Reached::default(), &result(URL, &refused)).render(false)
    );
}

#[test]
fn a_failed_handshake_says_why_and_nothing_else() {
    let reached = Reached {
        first_errors: vec![(Outcome::Tls, "the certificate has expired: renew it".to_owned())],
        ..Reached::default()
    };
    let text = no_connection("https://h/", &reached, &result(URL, &[(1.0, Outcome::Tls)])).render(false);
    assert!(
        text.contains("has expired") && !text.contains("http://..."),
        "{text}"
    );
}

#[test]
fn the_summary_of_a_good_closed_loop() {
    let requests: Vec<_> = (0..500u32)
        .map(|i| (4.0 + f64::from((i * 37) % 100) / 50.0, Outcome::Ok))
        .collect();
    insta::assert_snapshot!(summary::text(&document(&result(URL, &requests), 0.0), false));
}

#[test]
fn the_summary_of_a_bad_open_loop() {
    let line = "http://127.0.0.1:8000/x --rate 100 -d 1s";
    let mut requests = vec![(4.0, Outcome::Ok); 40];
    requests.extend([(30.0, Outcome::Status5xx); 3]);
    requests.extend([(0.0, Outcome::Shed); 2]);
    let mut result = result(line, &requests);
    result.summary.validity.invalid.push(ValidityIssue {
        name: "shed".into(),
        says: "2 of 45 were not sent".into(),
    });
    insta::assert_snapshot!(summary::text(&document(&result, 0.0), false));
}

#[test]
fn the_summary_of_nothing_good() {
    insta::assert_snapshot!(summary::text(
        &document(&result(URL, &[(1.0, Outcome::Status4xx); 3]), 0.0),
        false
    ));
}

#[test]
fn the_json_document_follows_its_schema_and_holds_no_nan() {
    for requests in [
        vec![],
        vec![(5.0, Outcome::Ok); 3],
        vec![(5.0, Outcome::Refused); 3],
    ] {
        let json = serde_json::to_value(document(&result(URL, &requests), 0.0)).unwrap();
        assert_eq!(json["format"], LoadDocument::FORMAT);
        assert!(json["rates"]["ok_per_s"].is_number(), "{json}");
        assert!(json["latency"]["response"]["mean_ms"].is_number(), "{json}");
    }
}

#[test]
fn a_model_is_asked_as_vllm_bench_does() {
    let asked = plan(
        "http://h:8000 --openai m --prompt-tokens 40 --output-tokens 9 -c 4 -n 12 --exact-output --shared-prefix 20:2",
    );
    let phase = asked.phase().unwrap();
    let scenario = &phase.scenarios[0];
    assert_eq!(scenario.items.len(), 12);
    assert_eq!(asked.shown(&phase), "http://h:8000/v1/chat/completions");
    let prony_model::Body::Text(body) = &scenario.items[0].request.body else {
        panic!("a JSON body");
    };
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["model"], &body["min_tokens"]), (&"m".into(), &9.into()));
    assert_eq!(body["messages"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        scenario.items[0].expect.stream.and_then(|s| s.min_tokens),
        Some(9)
    );

    let told =
        plan("http://h:8000/gate/messages --anthropic m --extra {\"top_k\":3} --no-stream --rate 5 -d 2s");
    let phase = told.phase().unwrap();
    let scenario = &phase.scenarios[0];
    assert_eq!(
        (scenario.items.len(), scenario.items[0].request.path.as_str()),
        (256, "/gate/messages")
    );
    assert!(scenario.items[0].expect.stream.is_none());
    for wrong in [
        "http://h --openai m --anthropic m",
        "http://h --openai m -b x",
        "http://h --prompt-tokens 5",
        "http://h --anthropic m --api responses",
        "http://h --openai m --shared-prefix 0",
    ] {
        let words = format!("prony load {wrong}");
        assert!(Cli::try_parse_from(words.split_whitespace()).is_err(), "{wrong}");
    }
}

#[test]
fn a_stream_is_asked_for_in_the_words_of_its_protocol() {
    use prony_model::{Body, StreamProtocol};

    let item = |line: &str| plan(line).phase().unwrap().scenarios[0].items[0].clone();
    for (protocol, path) in [
        ("openai-chat", "/v1/chat/completions"),
        ("openai-completions", "/v1/completions"),
        ("openai-responses", "/v1/responses"),
        ("anthropic-messages", "/v1/messages"),
        ("kserve-generate", "/v2/models/default/generate_stream"),
        ("tgi-generate", "/generate_stream"),
        ("llamacpp-completion", "/completion"),
        ("ollama", "/api/chat"),
    ] {
        let found = item(&format!(
            "http://127.0.0.1:1 --stream {protocol} --max-tokens 7 --model tiny"
        ));
        assert_eq!(
            (found.request.method.as_str(), found.request.path.as_str()),
            ("POST", path)
        );
        assert_eq!(found.request.headers[0].value, "application/json");
        let Body::Text(body) = &found.request.body else {
            panic!("{protocol} has a body");
        };
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(body.to_string().contains(":7"), "{body}");
        let expect = found.expect.stream.unwrap();
        assert_eq!((expect.protocol.name(), expect.max_tokens), (protocol, Some(7)));
    }
    let own = item("http://127.0.0.1:1/chat --stream openai-chat -b {}");
    assert_eq!(
        (own.request.path.as_str(), own.request.body),
        ("/chat", Body::text("{}"))
    );
    assert_eq!(
        own.expect.stream.unwrap().max_tokens,
        None,
        "nobody knows what was asked for"
    );
    let plain = item("http://127.0.0.1:1/events --stream sse");
    assert_eq!(
        (plain.request.method.as_str(), plain.request.body),
        ("GET", Body::Empty)
    );
    assert_eq!(plain.expect.stream.unwrap().protocol, StreamProtocol::Sse);
    assert_eq!(item("http://127.0.0.1:1/").expect.stream, None);
}
