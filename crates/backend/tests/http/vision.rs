//! The image detection platform over HTTP: what is refused and how, what is found, and what the account says of it.

use crate::client;

use std::io::Cursor;
use std::time::{Duration, Instant};

use client::{Reply, Server, options};
use image::{ImageFormat, Rgb, RgbImage};
use prony_backend::serve;
use serde_json::{Value, json};

/// Times of the platform in thousandths.
const FAST: [(&str, &str); 2] = [("load_scale", "0.001"), ("service_scale", "0.01")];
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

fn vision(preset: &str, knobs: &[(&str, &str)]) -> Server {
    Server::start(preset, &[&FAST[..], knobs].concat())
}

/// A picture with one square in it.
fn picture(width: u32, height: u32, at: u32, colour: [u8; 3]) -> Vec<u8> {
    let side = width.min(height) / 3;
    let inside = |x: u32, y: u32| (at..at + side).contains(&x) && (at..at + side).contains(&y);
    let picture = RgbImage::from_fn(width, height, |x, y| {
        if inside(x, y) {
            Rgb(colour)
        } else {
            Rgb([80, 90, 100])
        }
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn uploaded(server: &Server, files: &[&[u8]]) -> Vec<String> {
    let named: Vec<(&str, &[u8])> = files.iter().map(|bytes| ("a.png", *bytes)).collect();
    let reply = server.upload("/api/v1/images", &named, &[("dataset_split", "test")]);
    assert_eq!(reply.status, 201, "{}", reply.text());
    let images = reply.json()["uploaded_images"].clone();
    images
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["id"].as_str().unwrap().to_owned())
        .collect()
}

fn model(server: &Server, name: &str) -> String {
    let models = server.get("/api/v1/models").json()["models"].clone();
    let found = models
        .as_array()
        .unwrap()
        .iter()
        .find(|model| model["metadata"]["registry_name"] == name);
    found.unwrap()["id"].as_str().unwrap().to_owned()
}

fn single(server: &Server, image: &str, model: &str, more: &Value) -> Value {
    let mut body = json!({ "image_id": image, "model_id": model });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let reply = server.post("/api/v1/inference/single", &body.to_string());
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn job_at(server: &Server, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let job = server.get(&format!("/api/v1/inference/jobs/{id}")).json();
        if wanted(&job) {
            return job;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{job}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn start_job(server: &Server, body: &Value) -> Value {
    let reply = server.post("/api/v1/inference/batch", &body.to_string());
    assert_eq!(reply.status, 202, "{}", reply.text());
    reply.json()
}

fn truth_of(server: &Server, name: &str) -> Value {
    let models = server.truth()["models"]["all"].clone();
    models
        .as_array()
        .unwrap()
        .iter()
        .find(|model| model["name"] == name)
        .unwrap()
        .clone()
}

fn refused(server: &Server, cases: &[(Reply, u16, &str)]) {
    for (reply, status, text) in cases {
        assert_eq!(
            (reply.status, reply.json()["error"].as_str()),
            (*status, Some(*text)),
            "{}",
            reply.text()
        );
        assert!(reply.header("x-request-id").is_some());
    }
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn refusals_of_images_and_models() {
    let server = vision("vision-fixed", &[]);
    let get = |path: &str| server.get(path);
    let upload =
        |files: &[(&str, &[u8])], fields: &[(&str, &str)]| server.upload("/api/v1/images", files, fields);
    let no_boundary = server.send(
        "POST",
        "/api/v1/images",
        "content-type: multipart/form-data\r\n",
        b"x",
    );
    let cases = [
        (upload(&[], &[]), 400, "No files provided"),
        (server.post("/api/v1/images", "{}"), 400, "No files provided"),
        (upload(&[("", b"")], &[]), 400, "No files provided"),
        (
            upload(&[("a", b"x")], &[("dataset_split", "all")]),
            400,
            "Invalid dataset split: all",
        ),
        (
            upload(&[("a.png", b"no image")], &[]),
            400,
            "No valid image files provided",
        ),
        (
            upload(&[("a", b"x")], &[("extra", "1")]),
            422,
            "Validation failed",
        ),
        (no_boundary, 400, "There was an error parsing the body"),
        (
            get("/api/v1/images?dataset_split=all"),
            400,
            "Invalid dataset split: all",
        ),
        (
            get("/api/v1/images?offset=-1"),
            400,
            "Offset must be non-negative",
        ),
        (get("/api/v1/images?limit=0"), 400, "Limit must be positive"),
        (get("/api/v1/images?limit=x"), 422, "Validation failed"),
        (get("/api/v1/images/1"), 400, "Invalid UUID format"),
        (get(&format!("/api/v1/images/{NOBODY}")), 404, "Image not found"),
        (get("/api/v1/models?type=x"), 400, "Invalid model type: x"),
        (get("/api/v1/models?framework=x"), 400, "Invalid framework: x"),
        (
            get("/api/v1/models?training_status=x"),
            400,
            "Invalid training status: x",
        ),
        (get("/api/v1/models/yolo11_nano"), 400, "Invalid UUID format"),
        (get(&format!("/api/v1/models/{NOBODY}")), 404, "Model not found"),
        (
            server.post(&format!("/api/v1/models/{NOBODY}/load"), ""),
            404,
            "Model not found",
        ),
        (get("/nope"), 404, "Not Found"),
        (get("/api/v1/inference/single"), 405, "Method Not Allowed"),
    ];
    refused(&server, &cases);
}

#[test]
fn refusals_of_inference_and_jobs() {
    let server = vision("vision-fixed", &[]);
    let id = model(&server, "yolo11_nano");
    let get = |path: &str| server.get(path);
    let single = |body: &Value| server.post("/api/v1/inference/single", &body.to_string());
    let batch = |body: &Value| server.post("/api/v1/inference/batch", &body.to_string());
    let cancel = server.post(&format!("/api/v1/inference/jobs/{NOBODY}/cancel"), "");
    let cases = [
        (single(&json!({})), 422, "Validation failed"),
        (
            server.post("/api/v1/inference/single", "no json"),
            422,
            "Validation failed",
        ),
        (
            single(&json!({ "image_id": "1", "model_id": id })),
            400,
            "Invalid UUID format",
        ),
        (
            single(&json!({ "image_id": NOBODY, "model_id": "yolo11_nano" })),
            400,
            "Invalid UUID format",
        ),
        (
            single(&json!({ "image_id": NOBODY, "model_id": id })),
            404,
            "Image or model not found",
        ),
        (
            single(&json!({ "image_id": NOBODY, "model_id": NOBODY })),
            404,
            "Image or model not found",
        ),
        (
            batch(&json!({ "image_ids": [], "model_id": id })),
            422,
            "Validation failed",
        ),
        (
            batch(&json!({ "image_ids": ["1"], "model_id": id })),
            400,
            "Invalid UUID format",
        ),
        (
            batch(&json!({ "image_ids": [NOBODY], "model_id": NOBODY })),
            404,
            "Model not found",
        ),
        (
            batch(&json!({ "image_ids": [NOBODY], "model_id": id, "batch_size": 101 })),
            422,
            "Validation failed",
        ),
        (
            batch(&json!({ "image_ids": [NOBODY], "model_id": id, "priority": "urgent" })),
            422,
            "Validation failed",
        ),
        (get("/api/v1/inference/jobs?status=x"), 400, "Invalid status: x"),
        (
            get("/api/v1/inference/jobs?model_id=x"),
            400,
            "Invalid UUID format",
        ),
        (
            get("/api/v1/inference/jobs?offset=-1"),
            400,
            "Offset must be non-negative",
        ),
        (get("/api/v1/inference/jobs/1"), 400, "Invalid UUID format"),
        (
            get(&format!("/api/v1/inference/jobs/{NOBODY}")),
            404,
            "Inference job not found",
        ),
        (cancel, 404, "Inference job not found"),
    ];
    refused(&server, &cases);
}

#[test]
fn the_service_tells_what_it_is() {
    let server = vision("vision-fixed", &[]);
    let echoed = server.send("GET", "/health", "x-request-id: mine\r\n", b"");
    assert_eq!(echoed.header("x-request-id").as_deref(), Some("mine"));
    assert_eq!(
        (echoed.status, echoed.json()["status"].as_str()),
        (200, Some("healthy"))
    );
    assert_eq!(server.get("/").json()["message"], "ML Evaluation Platform API");
    assert!(server.get("/docs").text().contains("/api/v1/inference/single"));
    assert_eq!(server.get("/openapi.json").json()["openapi"], "3.1.0");
}

#[test]
fn the_observed_platform_answers_as_its_framework_does() {
    let server = vision("vision", &[]);
    assert_eq!(server.get("/nope").json(), json!({ "detail": "Not Found" }));
    let reply = server.post("/api/v1/inference/single", "{}");
    assert_eq!(
        (reply.status, &reply.json()["detail"][0]["type"]),
        (422, &json!("missing"))
    );
    assert_eq!(server.get("/api/v1/images?dataset_split=").status, 200);
    let half = &picture(64, 64, 8, [255, 0, 0])[..60];
    assert_eq!(
        server.upload("/api/v1/images", &[("a.png", half)], &[]).status,
        201,
        "only its head is read"
    );
    assert_eq!(
        vision("vision-fixed", &[])
            .upload("/api/v1/images", &[("a.png", half)], &[])
            .status,
        400
    );
}

#[test]
fn what_is_found_follows_from_the_pixels_and_the_limits() {
    let server = vision("vision-fixed", &[]);
    let files: Vec<Vec<u8>> = [(64, 64, 8), (640, 480, 40), (640, 480, 300), (1920, 1080, 200)]
        .iter()
        .map(|(width, height, at)| picture(*width, *height, *at, [250, 20, 20]))
        .collect();
    let images = uploaded(&server, &files.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let nano = model(&server, "yolo11_nano");
    let answers: Vec<Value> = images
        .iter()
        .map(|image| single(&server, image, &nano, &json!({})))
        .collect();
    for (index, answer) in answers.iter().enumerate() {
        let detections = answer["detections"].as_array().unwrap();
        assert!(!detections.is_empty());
        assert!(
            detections
                .iter()
                .all(|one| one["confidence"].as_f64().unwrap() >= 0.5)
        );
        assert!(
            answers[..index]
                .iter()
                .all(|other| other["detections"] != answer["detections"]),
            "{answer}"
        );
    }
    let again = single(&server, &images[1], &nano, &json!({}));
    assert_eq!(again["detections"], answers[1]["detections"]);
    let count = |more: Value| {
        single(&server, &images[1], &nano, &more)["detections"]
            .as_array()
            .unwrap()
            .len()
    };
    let all = count(json!({ "confidence_threshold": 0.0, "nms_threshold": 1.0, "max_detections": 1000 }));
    assert!(all > 50, "{all}");
    assert_eq!(
        count(json!({ "confidence_threshold": 0.0, "max_detections": 3 })),
        3
    );
    assert!(count(json!({ "confidence_threshold": 0.0, "max_detections": 1000 })) < all);
    assert_eq!(count(json!({ "confidence_threshold": 1.0 })), 0);
    let other = single(&server, &images[1], &model(&server, "yolo12_nano"), &json!({}));
    assert_ne!(other["detections"], answers[1]["detections"]);
    let sam = single(&server, &images[1], &model(&server, "sam2_tiny"), &json!({}));
    assert_eq!(sam["detections"], json!([]));
    assert!(sam["segmentations"][0]["mask"].as_array().unwrap().len() >= 3);
}

#[test]
fn models_are_listed_loaded_and_unloaded_with_their_memory() {
    let server = vision("vision-fixed", &[("preload", "none"), ("memory_max_mib", "40")]);
    let total = |filter: &str| server.get(&format!("/api/v1/models?{filter}")).json()["total_count"].clone();
    assert_eq!(
        [
            total(""),
            total("framework=RT-DETR"),
            total("type=segmentation"),
            total("training_status=trained")
        ],
        [json!(21), json!(7), json!(4), json!(0)]
    );
    let page = server.get("/api/v1/models?limit=2&offset=20").json();
    assert_eq!(
        (
            page["models"].as_array().unwrap().len(),
            &page["models"][0]["variant"]
        ),
        (1, &json!("large"))
    );
    let held = || server.truth()["models"]["memory_bytes"].as_u64().unwrap();
    assert_eq!(held(), 0);
    let change = |name: &str, how: &str| {
        let reply = server.post(&format!("/api/v1/models/{}/{how}", model(&server, name)), "");
        (reply.status, reply.json()["is_loaded"].clone())
    };
    assert_eq!(change("yolo11_small", "load"), (200, json!(true)));
    assert_eq!(held(), (18.4 * 0.25 * 1024.0 * 1024.0) as u64);
    assert_eq!(change("yolo11_small", "load"), (200, json!(true)));
    assert_eq!(
        truth_of(&server, "yolo11_small")["loads"],
        json!(1),
        "it is loaded once"
    );
    assert_eq!(change("rtdetr_r34", "load"), (200, json!(true)));
    assert_eq!(change("rtdetr_r18", "load"), (200, json!(true)));
    assert_eq!(
        truth_of(&server, "yolo11_small")["loaded"],
        json!(false),
        "the one used longest ago made room"
    );
    assert!(held() <= 40 * 1024 * 1024);
    assert_eq!(change("sam2_large", "load").0, 409);
    assert_eq!(change("rtdetr_r18", "unload"), (200, json!(false)));
    assert_eq!(change("rtdetr_r18", "unload"), (200, json!(false)));
    assert_eq!(change("rtdetr_r34", "unload"), (200, json!(false)));
    assert_eq!(held(), 0);
}

#[test]
fn a_model_loads_at_its_first_use_or_not_at_all() {
    let lazy = vision("vision-fixed", &[("preload", "none"), ("load_scale", "0.1")]);
    let image = uploaded(&lazy, &[&picture(64, 64, 8, [0, 255, 0])]).remove(0);
    let nano = model(&lazy, "yolo11_nano");
    single(&lazy, &image, &nano, &json!({}));
    single(&lazy, &image, &nano, &json!({}));
    let told = lazy.truth()["engine"]["requests"].clone();
    assert!(told[0]["load_ns"].as_u64().unwrap() >= 30_000_000, "{told}");
    assert_eq!(told[1]["load_ns"], json!(0));
    let strict = vision("vision-fixed", &[("preload", "none"), ("lazy_load", "false")]);
    let image = uploaded(&strict, &[&picture(64, 64, 8, [0, 255, 0])]).remove(0);
    let body = json!({ "image_id": image, "model_id": nano }).to_string();
    assert_eq!(strict.post("/api/v1/inference/single", &body).status, 409);
}

#[test]
fn the_truth_knows_queue_and_service_of_each_request() {
    let server = vision(
        "vision-fixed",
        &[
            ("slots", "2"),
            ("service_scale", "2"),
            ("service_sigma", "0"),
            ("queue_max", "4"),
        ],
    );
    let image = uploaded(&server, &[&picture(64, 64, 8, [0, 255, 0])]).remove(0);
    let body = json!({ "image_id": image, "model_id": model(&server, "yolo11_nano") }).to_string();
    let replies = server.burst(12, |server| server.post("/api/v1/inference/single", &body));
    let busy: Vec<_> = replies.iter().filter(|reply| reply.status == 503).collect();
    let good = replies.iter().filter(|reply| reply.status == 200).count();
    assert!(good >= 6 && good + busy.len() == 12, "{good}");
    assert!(busy.iter().all(|reply| reply.header("retry-after").is_some()));
    let truth = server.truth();
    assert_eq!(truth["in_service_max"], json!(2));
    let told = truth["engine"]["requests"].as_array().unwrap();
    assert_eq!(told.len(), good);
    assert!(
        told.iter()
            .all(|one| one["service_ns"].as_u64().unwrap() >= 50_000_000)
    );
    assert!(
        told.iter()
            .any(|one| one["queue_ns"].as_u64().unwrap() > 40_000_000)
    );
    let single = &truth["endpoints"]["POST /api/v1/inference/single"];
    assert_eq!(
        (&single["statuses"]["200"], &single["count"]),
        (&json!(good), &json!(12))
    );
    let metrics = server.get("/metrics").text();
    assert!(
        metrics.contains(&format!(
            "nv_inference_request_success{{model=\"yolo11_nano\",version=\"1\"}} {good}\n"
        )),
        "{metrics}"
    );
}

#[test]
fn a_job_runs_to_its_end_and_counts_what_failed() {
    let server = vision("vision-fixed", &[]);
    let files: Vec<Vec<u8>> = (0..5).map(|k| picture(96, 96, 8 * k, [250, 20, 20])).collect();
    let images = uploaded(&server, &files.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let nano = model(&server, "yolo11_nano");
    let made = start_job(
        &server,
        &json!({ "image_ids": images, "model_id": nano, "batch_size": 2, "metadata": { "a": 1 } }),
    );
    let id = made["job_id"].as_str().unwrap();
    let job = job_at(&server, id, |job| job["status"] == "completed");
    assert_eq!(
        (
            &job["processed_images"],
            &job["failed_images"],
            &job["progress_percentage"],
            &job["metadata"]
        ),
        (&json!(5), &json!(0), &json!(100.0), &json!({ "a": 1 }))
    );
    let results = job["results"].as_array().unwrap();
    assert_eq!(
        results
            .iter()
            .map(|one| one["image_id"].as_str().unwrap())
            .collect::<Vec<_>>(),
        images
    );
    assert_eq!(
        results[2]["detections"],
        single(&server, &images[2], &nano, &json!({}))["detections"]
    );
    let late = server.post(&format!("/api/v1/inference/jobs/{id}/cancel"), "");
    assert_eq!(
        (late.status, late.json()["error"].as_str()),
        (400, Some("Cannot cancel a job that is completed"))
    );
    let made = start_job(
        &server,
        &json!({ "image_ids": [images[0], NOBODY], "model_id": nano }),
    );
    let job = job_at(&server, made["job_id"].as_str().unwrap(), |job| {
        job["status"] != "pending" && job["status"] != "running"
    });
    assert_eq!(
        (
            &job["status"],
            &job["processed_images"],
            &job["failed_images"],
            &job["error_message"]
        ),
        (
            &json!("failed"),
            &json!(2),
            &json!(1),
            &json!("1 of 2 images failed")
        )
    );
    assert_eq!(
        job["errors"],
        json!([{ "image_id": NOBODY, "error": "Image not found" }])
    );
    let listed =
        |filter: &str| server.get(&format!("/api/v1/inference/jobs?{filter}")).json()["total_count"].clone();
    assert_eq!(
        [
            listed(""),
            listed("status=failed"),
            listed(&format!("model_id={nano}")),
            listed(&format!("model_id={NOBODY}"))
        ],
        [json!(2), json!(1), json!(2), json!(0)]
    );
}

#[test]
fn jobs_wait_for_each_other_by_priority_and_can_be_cancelled() {
    let server = vision(
        "vision-fixed",
        &[
            ("jobs_running_max", "1"),
            ("slots", "1"),
            ("service_scale", "2"),
            ("jobs_kept_max", "4"),
        ],
    );
    let image = uploaded(&server, &[&picture(64, 64, 8, [0, 255, 0])]).remove(0);
    let nano = model(&server, "yolo11_nano");
    let start = |priority: &str, count: usize| {
        let body = json!({ "image_ids": vec![&image; count], "model_id": nano, "priority": priority, "batch_size": 1 });
        start_job(&server, &body)["job_id"].as_str().unwrap().to_owned()
    };
    let (long, low, high) = (start("normal", 200), start("low", 1), start("high", 1));
    let running = job_at(&server, &long, |job| {
        job["processed_images"].as_u64().unwrap() > 0
    });
    assert_eq!(running["status"], "running");
    let full = json!({ "image_ids": [image], "model_id": nano });
    start_job(&server, &full);
    assert_eq!(
        server.post("/api/v1/inference/batch", &full.to_string()).status,
        429,
        "none has ended"
    );
    let cancelled = server
        .post(&format!("/api/v1/inference/jobs/{long}/cancel"), "")
        .json();
    assert_eq!(cancelled["status"], "cancelled");
    let done = cancelled["processed_images"].as_u64().unwrap();
    assert!(done < 200);
    let ended = |id: &str| job_at(&server, id, |job| job["status"] == "completed");
    let (low, high) = (ended(&low), ended(&high));
    assert!(
        high["started_at"].as_str() < low["started_at"].as_str(),
        "{high} {low}"
    );
    let job = server.get(&format!("/api/v1/inference/jobs/{long}")).json();
    assert_eq!(job["processed_images"].as_u64(), Some(done), "it stays as it was");
}

#[test]
fn each_fault_shows_on_a_route_of_its_own() {
    let server = vision("vision", &[]);
    let images = uploaded(
        &server,
        &[
            &picture(64, 64, 8, [255, 0, 0]),
            &picture(300, 200, 30, [0, 0, 255]),
        ],
    );
    let nano = model(&server, "yolo11_nano");
    let infer = |value: u8| {
        let data = vec![value; 12];
        let input = json!({ "name": "images", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": data });
        let reply = server.post(
            "/v2/models/yolo11_nano/infer",
            &json!({ "inputs": [input] }).to_string(),
        );
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["outputs"].clone()
    };
    assert_eq!(infer(0), infer(255), "V1");
    assert_eq!(infer(0)[0]["data"], json!([100.0, 100.0, 200.0, 300.0]));
    assert_eq!(server.truth()["models"]["memory_bytes"], json!(0));
    let body = |image: &str| json!({ "image_id": image, "model_id": nano }).to_string();
    let dead = server.post("/api/v1/inference/single", &body(&images[0]));
    assert_eq!(
        (dead.status, dead.json()),
        (500, json!({ "error": "Internal server error" })),
        "V2"
    );
    assert_eq!(server.post("/api/v1/inference/single", &body("x")).status, 400);
    let made = start_job(&server, &json!({ "image_ids": images, "model_id": nano }));
    infer(1);
    let job = server
        .get(&format!(
            "/api/v1/inference/jobs/{}",
            made["job_id"].as_str().unwrap()
        ))
        .json();
    assert_eq!(
        (&job["status"], &job["started_at"]),
        (&json!("pending"), &Value::Null),
        "V3"
    );
    assert_eq!(server.truth()["jobs"]["by_status"]["pending"], json!(1));
    let faults: Vec<_> = server.truth()["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["id"].clone())
        .collect();
    assert_eq!(faults, ["V1", "V2", "V3"]);
    assert_eq!(vision("vision-fixed", &[]).truth()["faults"], json!([]));
}

#[test]
fn the_other_ways_of_the_faults() {
    let server = vision("vision", &[("dead_inference_routes", "all")]);
    let body = json!({ "image_ids": [NOBODY], "model_id": model(&server, "yolo11_nano") }).to_string();
    assert_eq!(server.post("/api/v1/inference/batch", &body).status, 500);
    let server = vision(
        "vision-fixed",
        &[("jobs_lie", "true"), ("jobs_lie_how", "uncounted")],
    );
    let image = uploaded(&server, &[&picture(64, 64, 8, [255, 0, 0])]).remove(0);
    let made = start_job(
        &server,
        &json!({ "image_ids": [image, NOBODY], "model_id": model(&server, "yolo11_nano") }),
    );
    let job = job_at(&server, made["job_id"].as_str().unwrap(), |job| {
        job["status"] != "pending" && job["status"] != "running"
    });
    assert_eq!(
        (
            &job["status"],
            &job["processed_images"],
            &job["failed_images"],
            job["results"].as_array().unwrap().len()
        ),
        (&json!("completed"), &json!(2), &json!(0), 1)
    );
    assert_eq!(server.truth()["jobs"]["last"][0]["failed"], json!(1));
}

#[test]
fn uploads_are_bounded_and_the_oldest_image_makes_room() {
    let server = vision("vision-fixed", &[("body_max_mib", "1"), ("store_max_mib", "1")]);
    assert_eq!(
        server
            .send("POST", "/api/v1/images", "", &vec![0; 1_100_000])
            .status,
        413
    );
    let noise = |seed: u32| {
        let pixel = |x: u32, y: u32| {
            let mixed =
                (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503) ^ seed).wrapping_mul(2_246_822_519);
            Rgb(mixed.to_be_bytes()[..3].try_into().unwrap())
        };
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::from_fn(400, 400, pixel)
            .write_to(&mut bytes, ImageFormat::Png)
            .unwrap();
        bytes.into_inner()
    };
    let ids: Vec<String> = (0..3)
        .map(|seed| uploaded(&server, &[&noise(seed)]).remove(0))
        .collect();
    let statuses: Vec<u16> = ids
        .iter()
        .map(|id| server.get(&format!("/api/v1/images/{id}")).status)
        .collect();
    assert_eq!(statuses, [404, 200, 200]);
    assert_eq!(server.truth()["images"]["forgotten"], json!(1));
    assert_eq!(
        server.get("/api/v1/images?dataset_split=test").json()["total_count"],
        json!(2)
    );
}

#[test]
fn wrong_knobs_are_named() {
    for (knob, value, text) in [
        ("preload", "yolo11_nanoo", "yolo11_nano,"),
        ("jobs_lie_how", "never", "pending, uncounted"),
        ("slots", "0", "whole number from 1"),
    ] {
        let outcome = serve(
            options("vision", &[(knob, value)]),
            |_| panic!("it should not start"),
            std::future::pending(),
        );
        let told = outcome.unwrap_err().to_string();
        assert!(told.contains(text), "{told}");
    }
}
