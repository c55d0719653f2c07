//! KServe V2 over HTTP: both forms of tensors, and what is refused. Over gRPC it is tested with Triton's own client.

use crate::client;

use client::{Reply, Server};
use serde_json::{Value, json};

const INFER: &str = "/v2/models/yolo11_nano/infer";

fn server() -> Server {
    Server::start(
        "vision-fixed",
        &[
            ("load_scale", "0.001"),
            ("service_scale", "0.01"),
            ("preload", "yolo11_nano"),
        ],
    )
}

fn input(more: &Value) -> Value {
    let mut input = json!({ "name": "images", "datatype": "UINT8", "shape": [1, 2, 2, 3] });
    input
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    input
}

fn body(more: &Value) -> String {
    json!({ "inputs": [input(more)] }).to_string()
}

fn binary(server: &Server, json: &Value, bytes: &[u8]) -> Reply {
    let json = json.to_string();
    let headers = format!("inference-header-content-length: {}\r\n", json.len());
    server.send("POST", INFER, &headers, &[json.as_bytes(), bytes].concat())
}

#[test]
fn tensors_may_be_nested_flat_or_bytes() {
    let server = server();
    let pixels: [u8; 12] = [250, 0, 0, 250, 0, 0, 10, 10, 10, 10, 10, 10];
    let flat = server.post(INFER, &body(&json!({ "data": pixels }))).json();
    let nested = json!([[[[250, 0, 0], [250, 0, 0]], [[10, 10, 10], [10, 10, 10]]]]);
    assert_eq!(
        server.post(INFER, &body(&json!({ "data": nested }))).json()["outputs"],
        flat["outputs"]
    );
    let declared = input(&json!({ "parameters": { "binary_data_size": 12 } }));
    let plain = binary(&server, &json!({ "id": "a", "inputs": [declared] }), &pixels).json();
    assert_eq!((&plain["outputs"], &plain["id"]), (&flat["outputs"], &json!("a")));
    let mixed = json!({
        "inputs": [declared],
        "outputs": [{ "name": "counts" }, { "name": "scores", "parameters": { "binary_data": true } }],
    });
    let reply = binary(&server, &mixed, &pixels);
    let length: usize = reply
        .header("inference-header-content-length")
        .unwrap()
        .parse()
        .unwrap();
    let told: Value = serde_json::from_slice(&reply.body[..length]).unwrap();
    assert_eq!(told["outputs"][0]["data"], flat["outputs"][3]["data"]);
    let scores: Vec<f64> = reply.body[length..]
        .chunks(4)
        .map(|four| f64::from(f32::from_le_bytes(four.try_into().unwrap())))
        .collect();
    assert_eq!(
        told["outputs"][1]["parameters"]["binary_data_size"],
        json!(4 * scores.len())
    );
    assert_eq!(json!(scores), flat["outputs"][1]["data"]);
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason() {
    let server = server();
    let data = |data: Value| body(&json!({ "data": data }));
    let with = |more: Value| {
        let mut whole = json!({ "inputs": [input(&json!({ "data": vec![0; 12] }))] });
        whole
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        whole.to_string()
    };
    for (text, why) in [
        (String::new(), "failed to parse the request JSON"),
        ("[]".to_owned(), "failed to parse the request JSON"),
        ("{}".to_owned(), "expected 1 inputs but got 0 inputs"),
        (with(json!({ "id": 1 })), "attempt to access JSON non-string"),
        (with(json!({ "inputs": [1, 2] })), "expected 1 inputs but got 2"),
        (
            with(json!({ "outputs": [{ "name": "nope" }] })),
            "unexpected inference output 'nope'",
        ),
        (
            with(json!({ "parameters": { "max_detections": 0 } })),
            "parameter 'max_detections' must be a number from 1 to 1000",
        ),
        (
            with(json!({ "parameters": { "binary_data_output": 1 } })),
            "must be true or false",
        ),
        (data(json!([0, 1])), "got unexpected byte size 2, expected 12"),
        (data(json!(vec![0; 13])), "has more values than its shape, 12"),
        (data(json!([256])), "256 is no UINT8"),
        (data(json!(["x"])), "must hold whole numbers"),
        (body(&json!({})), "needs either 'data' or 'binary_data_size'"),
        (
            body(&json!({ "name": "x", "data": [] })),
            "unexpected inference input 'x'",
        ),
        (
            body(&json!({ "datatype": "FP32", "data": [] })),
            "data-type must be UINT8",
        ),
        (
            body(&json!({ "shape": [1, 2, 3], "data": [] })),
            "expected [-1,-1,-1,3]",
        ),
        (
            body(&json!({ "shape": [1, 9999, 1, 3], "data": [] })),
            "a side has 1 to 4096 pixels",
        ),
        (body(&json!({ "shape": ["x"], "data": [] })), "needs a 'shape'"),
    ] {
        let reply = server.post(INFER, &text);
        assert_eq!(reply.status, 400, "{text}: {}", reply.text());
        assert!(
            reply.json()["error"].as_str().unwrap().contains(why),
            "{text}: {}",
            reply.text()
        );
    }
    let declared = input(&json!({ "parameters": { "binary_data_size": 11 } }));
    let short = binary(&server, &json!({ "inputs": [declared] }), &[0; 12]);
    assert_eq!(
        (
            short.status,
            short.text().contains("is not the size of the binary data, 12")
        ),
        (400, true)
    );
    let beyond = server.send("POST", INFER, "inference-header-content-length: 999\r\n", b"{}");
    assert_eq!(
        (beyond.status, beyond.text().contains("a length within the body")),
        (400, true)
    );
    for path in [
        "/v2/models/nope",
        "/v2/models/nope/ready",
        "/v2/models/yolo11_nano/versions/2",
        "/v2/models/nope/config",
    ] {
        let reply = server.get(path);
        assert_eq!(
            (reply.status, reply.text().contains("unknown model")),
            (404, true),
            "{path}"
        );
    }
    assert_eq!(server.get("/v2/models/yolo11_small/ready").status, 400);
    assert_eq!(server.post("/v2/repository/index", "[]").status, 400);
    assert_eq!(server.post("/v2/repository/models/nope/load", "").status, 404);
}

#[test]
fn the_repository_tells_what_is_loaded() {
    let server = server();
    let index = |body: &str| {
        server
            .post("/v2/repository/index", body)
            .json()
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((index(""), index(r#"{"ready":true}"#)), (21, 1));
    assert_eq!(
        server
            .post("/v2/repository/models/yolo12_nano/load", r#"{"parameters":{}}"#)
            .status,
        200
    );
    assert_eq!(index(r#"{"ready":true}"#), 2);
    assert_eq!(
        server.get("/v2/models/yolo12_nano/versions/1/ready").json()["ready"],
        json!(true)
    );
    assert_eq!(
        server.post("/v2/repository/models/yolo12_nano/unload", "").status,
        200
    );
    assert_eq!(server.get("/v2/models/yolo12_nano/ready").status, 400);
    server.post(INFER, &body(&json!({ "data": vec![0; 12] })));
    let stats = server.get("/v2/models/yolo11_nano/stats").json();
    assert_eq!(
        stats["model_stats"][0]["inference_stats"]["success"]["count"],
        json!(1)
    );
    let spans = &stats["model_stats"][0]["inference_stats"];
    for name in [
        "fail",
        "queue",
        "compute_input",
        "compute_infer",
        "compute_output",
        "cache_hit",
        "cache_miss",
    ] {
        assert!(
            spans[name]["count"].is_u64() && spans[name]["ns"].is_u64(),
            "{name}"
        );
    }
    let all = server.get("/v2/models/stats").json();
    assert_eq!(all["model_stats"].as_array().unwrap().len(), 21);
    assert!(
        all["model_stats"]
            .as_array()
            .unwrap()
            .contains(&stats["model_stats"][0])
    );
    assert_eq!(server.get("/v2").json()["extensions"][0], "binary_tensor_data");
    assert_eq!(
        (
            server.get("/v2/health/live").status,
            server.get("/v2/health/ready").status
        ),
        (200, 200)
    );
}
