//! The scheduler's knobs, by what can be counted: steps, tokens, events, who gave way. And the endpoints and metrics of other engines.

use crate::client;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use client::{Reply, Server};
use serde_json::{Value, json};

const QUICK: [(&str, &str); 5] = [
    ("prefill_us", "10"),
    ("decode_base_us", "300"),
    ("decode_seq_us", "10"),
    ("api_keys", "none"),
    ("limit_global", "0"),
];

fn start(knobs: &[(&str, &str)]) -> Server {
    Server::start("semantic-fixed", &[&QUICK, knobs].concat())
}

fn body(model: &str, max_tokens: u64, words: usize, stream: bool) -> String {
    let text = vec!["word"; words].join(" ");
    json!({
        "model": model, "max_tokens": max_tokens, "stream": stream,
        "messages": [{ "role": "user", "content": text }],
    })
    .to_string()
}

fn chat(server: &Server, body: &str) -> Reply {
    server.post("/v1/chat/completions", body)
}

fn ask(server: &Server, max_tokens: u64, words: usize) -> Value {
    let reply = chat(server, &body("gemma-3-12b-it", max_tokens, words, false));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["usage"].clone()
}

fn deltas(reply: &Reply) -> usize {
    let text = reply.text();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let events = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let texts = events.filter(|one| {
        one["choices"][0]["delta"]["content"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    });
    texts.count()
}

fn scheduler(server: &Server, name: &str) -> u64 {
    server.truth()["scheduler"][name].as_u64().unwrap()
}

#[test]
fn guesses_that_are_right_save_steps_and_come_in_one_event() {
    let server = start(&[("spec_tokens", "3"), ("spec_acceptance", "1")]);
    let reply = chat(&server, &body("gemma-3-12b-it", 9, 3, true));
    // One step makes the first token; eight more come four at a time.
    assert_eq!(scheduler(&server, "steps"), 3);
    assert!(deltas(&reply) <= 3, "{}", reply.text());
    assert_eq!(
        (scheduler(&server, "drafts"), scheduler(&server, "drafted")),
        (2, 6)
    );
    assert_eq!(
        (
            scheduler(&server, "accepted"),
            scheduler(&server, "output_tokens")
        ),
        (6, 9)
    );
    let server = start(&[("spec_tokens", "3"), ("spec_acceptance", "0")]);
    assert_eq!(ask(&server, 9, 3)["completion_tokens"], json!(9));
    assert_eq!(
        (scheduler(&server, "steps"), scheduler(&server, "accepted")),
        (9, 0)
    );
    let server = start(&[("spec_tokens", "1"), ("spec_acceptance", "0.5")]);
    ask(&server, 200, 3);
    let (drafted, accepted) = (scheduler(&server, "drafted"), scheduler(&server, "accepted"));
    assert!(
        accepted * 10 > drafted * 3 && accepted * 10 < drafted * 7,
        "{accepted} of {drafted}"
    );
}

#[test]
fn prompts_are_computed_in_pieces_or_whole() {
    let steps = |knobs: &[(&str, &str)]| {
        let server = start(knobs);
        let prompt = ask(&server, 2, 100)["prompt_tokens"].as_u64().unwrap();
        (scheduler(&server, "steps"), prompt)
    };
    let (taken, prompt) = steps(&[]);
    assert_eq!(taken, 2, "the prompt in one step, the second token in another");
    assert_eq!(steps(&[("prefill_chunk", "16")]).0, prompt.div_ceil(16) + 1);
    assert_eq!(steps(&[("batch_tokens", "32")]).0, prompt.div_ceil(32) + 1);
    assert_eq!(
        steps(&[("batch_tokens", "32"), ("chunked_prefill", "false")]).0,
        2
    );
}

#[test]
fn an_event_holds_as_many_tokens_as_the_interval_says() {
    let server = start(&[("stream_interval", "4")]);
    let reply = chat(&server, &body("gemma-3-12b-it", 9, 3, true));
    assert_eq!(deltas(&reply), 3);
    assert!(reply.text().contains("[DONE]"));
}

#[test]
fn the_youngest_gives_way_when_pages_run_out_and_is_computed_again() {
    // Both prompts fit, both answers do not. They come while it sleeps, so that they run side by side whatever the machine does.
    let server = start(&[
        ("pages", "12"),
        ("layers", "1"),
        ("block_tokens", "8"),
        ("answer_tokens", "40"),
        ("dev_api", "true"),
        ("wake_ms", "0"),
    ]);
    assert_eq!(server.post("/sleep", "").status, 200);
    std::thread::scope(|scope| {
        let mut asked = Vec::new();
        for (place, who) in ["first", "second"].into_iter().enumerate() {
            let server = &server;
            asked.push(scope.spawn(move || {
                let text = json!({
                    "model": "gemma-3-12b-it", "max_tokens": 40,
                    "messages": [{ "role": "user", "content": format!("the {who} one says a few words more") }],
                });
                chat(server, &text.to_string())
            }));
            while scheduler(server, "waiting") <= place as u64 {
                std::thread::yield_now();
            }
        }
        assert_eq!(server.post("/wake_up", "").status, 200);
        assert!(asked.into_iter().all(|one| one.join().unwrap().status == 200));
    });
    assert!(scheduler(&server, "preempted") >= 1);
    let truth = server.truth();
    let mut requests: Vec<&Value> = truth["requests"].as_array().unwrap().iter().collect();
    requests.sort_by_key(|one| one["admitted_ns"].as_u64());
    assert_eq!(requests[0]["preempted"], json!(0));
    assert!(requests[1]["preempted"].as_u64().unwrap() >= 1);
    assert!(
        scheduler(&server, "prefill_tokens")
            > requests
                .iter()
                .map(|one| one["prompt_tokens"].as_u64().unwrap())
                .sum()
    );
}

#[test]
fn adapters_are_loaded_on_demand_and_the_one_unused_for_longest_gives_way() {
    let server = start(&[
        ("adapters", "a,b,c"),
        ("adapters_max", "2"),
        ("adapter_load_ms", "1"),
    ]);
    for name in ["a", "b", "a", "c", "b", "gemma-3-12b-it"] {
        assert_eq!(
            chat(&server, &body(name, 1, 2, false)).json()["model"],
            json!(name)
        );
    }
    assert_eq!(
        (
            scheduler(&server, "adapters_loaded"),
            scheduler(&server, "adapters_evicted")
        ),
        (4, 2)
    );
    assert_eq!(chat(&server, &body("d", 1, 2, false)).status, 404);
    let listed = server.get("/v1/models").json();
    let ids: Vec<_> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].clone())
        .collect();
    assert_eq!(ids, ["gemma-3-12b-it", "a", "b", "c"].map(Value::from));
}

#[test]
fn what_is_made_elsewhere_comes_over_before_the_next_token() {
    let server = start(&[("transfer_us", "40000"), ("transfer_token_us", "100")]);
    let usage = ask(&server, 2, 20);
    let truth = server.truth();
    let one = &truth["requests"][0];
    let at = |name: &str| one[name].as_u64().unwrap();
    let transfer = 40_000_000 + 100_000 * usage["prompt_tokens"].as_u64().unwrap();
    assert!(at("first_token_ns") - at("arrived_ns") >= transfer);
    assert!(at("last_token_ns") > at("first_token_ns"));
    assert_eq!(scheduler(&server, "steps"), 2);
}

#[test]
fn it_sleeps_until_it_is_woken_and_forgets_what_was_cached() {
    let server = start(&[("dev_api", "true"), ("wake_ms", "1"), ("block_tokens", "4")]);
    let cached = |usage: &Value| usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap();
    ask(&server, 1, 40);
    assert!(cached(&ask(&server, 1, 40)) > 0);
    assert_eq!(server.post("/reset_prefix_cache", "").status, 200);
    assert_eq!(cached(&ask(&server, 1, 40)), 0);
    assert_eq!(server.post("/sleep", "").status, 200);
    assert_eq!(server.get("/is_sleeping").json(), json!({ "is_sleeping": true }));
    let steps = scheduler(&server, "steps");
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&server, 2, 40));
        while scheduler(&server, "waiting") == 0 {
            std::thread::yield_now();
        }
        assert_eq!(scheduler(&server, "steps"), steps);
        assert_eq!(server.post("/wake_up", "").status, 200);
        assert_eq!(cached(&asked.join().unwrap()), 0);
    });
    assert_eq!(server.get("/is_sleeping").json(), json!({ "is_sleeping": false }));
    assert_eq!(start(&[]).post("/sleep", "").status, 404);
}

/// The value of a line of the page, by the beginning of the line.
fn value(page: &str, name: &str) -> f64 {
    let line = page
        .lines()
        .find(|line| line.split(['{', ' ']).next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{page}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn metrics_come_under_the_names_of_each_engine_with_the_same_values() {
    let page = |dialect: &str, knobs: &[(&str, &str)]| {
        let server = start(&[&[("metrics_dialect", dialect), ("block_tokens", "4")], knobs].concat());
        ask(&server, 5, 40);
        let usage = ask(&server, 5, 40);
        let cached = usage["prompt_tokens_details"]["cached_tokens"].as_f64().unwrap();
        (
            server.get("/metrics").text(),
            usage["prompt_tokens"].as_f64().unwrap(),
            cached,
        )
    };
    let same = |a: f64, b: f64| (a - b).abs() < 1e-9;
    let (vllm, prompt, cached) = page("vllm", &[("spec_tokens", "2"), ("spec_acceptance", "1")]);
    for (name, wanted) in [
        ("vllm:num_requests_running", 0.0),
        ("vllm:num_requests_waiting", 0.0),
        ("vllm:kv_cache_usage_perc", 0.0),
        ("vllm:num_preemptions_total", 0.0),
        ("vllm:prompt_tokens_total", 2.0 * prompt),
        ("vllm:prefix_cache_queries_total", 2.0 * prompt),
        ("vllm:prefix_cache_hits_total", cached),
        ("vllm:generation_tokens_total", 10.0),
        ("vllm:request_success_total", 2.0),
        ("vllm:time_to_first_token_seconds_count", 2.0),
        ("vllm:inter_token_latency_seconds_count", 8.0),
        ("vllm:e2e_request_latency_seconds_count", 2.0),
        ("vllm:request_queue_time_seconds_count", 2.0),
        ("vllm:request_generation_tokens_sum", 10.0),
        ("vllm:spec_decode_num_accepted_tokens_total", 4.0),
    ] {
        assert!(same(value(&vllm, name), wanted), "{name} {}", value(&vllm, name));
    }
    assert!(vllm.contains("model_name=\"gemma-3-12b-it\""));
    let (sglang, prompt, cached) = page("sglang", &[]);
    assert!(same(
        value(&sglang, "sglang:cache_hit_rate"),
        cached / (2.0 * prompt)
    ));
    assert!(same(value(&sglang, "sglang:generation_tokens_total"), 10.0));
    assert!(same(value(&sglang, "sglang:queue_time_seconds_count"), 2.0));
    let (tgi, prompt, _) = page("tgi", &[]);
    assert!(same(value(&tgi, "tgi_request_success"), 2.0) && same(value(&tgi, "tgi_queue_size"), 0.0));
    assert!(same(value(&tgi, "tgi_request_input_length_sum"), 2.0 * prompt));
    let (triton, ..) = page("triton", &[]);
    assert!(same(value(&triton, "nv_inference_request_success"), 2.0));
    assert!(value(&triton, "nv_inference_request_duration_us") > 0.0);
    let (llamacpp, prompt, cached) = page("llamacpp", &[]);
    assert!(same(
        value(&llamacpp, "llamacpp:prompt_tokens_total"),
        2.0 * prompt - cached
    ));
    assert!(same(value(&llamacpp, "llamacpp:tokens_predicted_total"), 10.0));
    assert!(same(value(&llamacpp, "llamacpp:n_busy_slots_per_decode"), 1.0));
    let (dynamo, ..) = page("dynamo", &[]);
    assert!(same(value(&dynamo, "dynamo_frontend_output_tokens_total"), 10.0));
    assert!(same(value(&dynamo, "dynamo_frontend_queued_requests"), 0.0));
    let (native, ..) = page("native", &[]);
    assert!(native.contains("semantic_requests_running 0"));
}

#[test]
fn other_engines_endpoints_are_served_where_the_knob_says_so() {
    let server = start(&[("serving_api", "true")]);
    let reply = server.post(
        "/v1/completions",
        r#"{"model":"gemma-3-12b-it","prompt":"Once upon","max_tokens":3}"#,
    );
    assert_eq!(reply.json()["usage"]["completion_tokens"], json!(3));
    let streamed = r#"{"model":"gemma-3-12b-it","prompt":"Once upon","max_tokens":3,"stream":true,"stream_options":{"include_usage":true}}"#;
    let text = server.post("/v1/completions", streamed).text();
    assert_eq!(text.matches("\"object\":\"text_completion\"").count(), 3 + 1 + 1);
    let reply = server
        .post(
            "/v1/responses",
            r#"{"model":"gemma-3-12b-it","input":"Hello","max_output_tokens":3}"#,
        )
        .json();
    assert_eq!(
        (&reply["status"], &reply["usage"]["output_tokens"]),
        (&json!("incomplete"), &json!(3))
    );
    let text = server
        .post(
            "/v1/responses",
            r#"{"model":"gemma-3-12b-it","input":[{"role":"user","content":"Hello"}],"max_output_tokens":3,"stream":true}"#,
        )
        .text();
    let names: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("event: response."))
        .collect();
    assert_eq!(
        names.join(" "),
        "created in_progress output_item.added content_part.added output_text.delta output_text.delta output_text.delta \
         output_text.done content_part.done output_item.done incomplete"
    );
    let reply = server
        .post(
            "/v1/embeddings",
            r#"{"model":"gemma-3-12b-it","input":["a","b"],"dimensions":8}"#,
        )
        .json();
    assert_eq!(reply["data"][1]["embedding"].as_array().unwrap().len(), 8);
    assert_eq!(reply["usage"]["prompt_tokens"], json!(2));
    let told = server
        .post("/tokenize", r#"{"model":"gemma-3-12b-it","prompt":"Two words"}"#)
        .json();
    assert_eq!(told["count"], json!(2));
    let back = server
        .post("/detokenize", &json!({ "tokens": told["tokens"] }).to_string())
        .json();
    assert_eq!(back["prompt"], json!("Two words"));
    assert_eq!(server.post("/detokenize", r#"{"tokens":[17]}"#).status, 400);
    let paths = server.get("/openapi.json").json()["paths"].clone();
    assert!(paths["/v1/responses"]["post"].is_object() && paths.get("/sleep").is_none());
    let without = start(&[]);
    assert_eq!(without.post("/v1/responses", "{}").status, 404);
    assert!(
        without.get("/openapi.json").json()["paths"]
            .get("/v1/responses")
            .is_none()
    );
}

#[test]
fn tokens_that_are_told_late_are_late_by_the_account_however_many_came_before() {
    let server = start(&[("answer_tokens", "4096"), ("truth_events", "16")]);
    let body = body("gemma-3-12b-it", 1500, 3, true);
    let headers = "content-type: application/json\r\nx-fault: stall=300@80\r\n";
    let reply = server.send("POST", "/v1/chat/completions", headers, body.as_bytes());
    assert_eq!(reply.status, 200);
    let truth = server.truth();
    assert_eq!(truth["token_late_ns"]["n"], json!(1500));
    // While it stood still the scheduler went on: what it made first has waited for the whole of the stall.
    let late = truth["token_late_ns"]["max"].as_u64().unwrap();
    assert!(late > 200_000_000, "{late}");
    assert_eq!(truth["requests"][0]["events_ns"].as_array().unwrap().len(), 16);
    assert_eq!(server.ask_admin("POST", "/truth/reset").status, 200);
    let truth = server.truth();
    assert_eq!(
        (&truth["token_late_ns"]["n"], &truth["requests"]),
        (&json!(0), &json!([]))
    );
}

#[test]
fn a_stream_keeps_its_slot_until_its_end() {
    let server = start(&[
        ("answer_tokens", "4096"),
        ("decode_base_us", "2000"),
        ("fault_slots", "1"),
        ("fault_queue_max", "0"),
    ]);
    let body = body("gemma-3-12b-it", 100, 3, true);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(server.service).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut part = [0; 1024];
    assert!(stream.read(&mut part).unwrap() > 0, "the head has come");
    assert_eq!(server.get("/health").status, 503);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("[DONE]"));
    assert_eq!(server.get("/health").status, 200);
}
