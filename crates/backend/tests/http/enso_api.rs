//! The pathology API as a client sees it: shapes, texts and pictures that both presets share.

use crate::client;

use std::sync::LazyLock;

use client::{Reply, Server};
use serde_json::{Value, json};

static OBSERVED: LazyLock<Server> = LazyLock::new(|| Server::enso("enso", &[]));
static FIXED: LazyLock<Server> = LazyLock::new(|| Server::enso("enso-fixed", &[]));

const SLIDES: [&str; 6] = [
    "slide_000",
    "TCGA-04-1360-01A-01-TS1",
    "TCGA-09-2056-01B-01-TS1",
    "TCGA-13-1489-01A-01-TS1",
    "TCGA-29-1691-01A-01-BS1",
    "TCGA-61-1730-01A-01-BS1",
];

fn both() -> [&'static Server; 2] {
    [&OBSERVED, &FIXED]
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn said(reply: &Reply) -> (u16, String) {
    (reply.status, reply.text())
}

#[test]
fn plain_documents_have_their_shapes() {
    for server in both() {
        for path in ["/health", "/api/health"] {
            let health = server.get(path).json();
            assert_eq!(
                keys(&health),
                [
                    "status",
                    "version",
                    "model_loaded",
                    "cuda_available",
                    "slides_available"
                ]
            );
            assert_eq!(health["slides_available"], json!(6));
        }
        assert_eq!(
            server.get("/").json(),
            json!({"name": "Enso Atlas API", "version": "0.1.0", "docs": "/api/docs"})
        );
        let slides = server.get("/api/slides").json();
        assert_eq!(
            slides
                .as_array()
                .unwrap()
                .iter()
                .map(|slide| slide["slide_id"].as_str().unwrap())
                .collect::<Vec<_>>(),
            SLIDES
        );
        assert_eq!(
            keys(&slides[1]),
            ["slide_id", "patient_id", "has_embeddings", "label", "num_patches"]
        );
        for path in ["/api/embed/status", "/api/semantic-search/status"] {
            assert_eq!(
                keys(&server.get(path).json())[..5],
                ["model", "model_loaded", "device", "embedding_dim", "input_size"]
            );
        }
        let docs = server.get("/docs");
        assert_eq!(
            (docs.status, docs.header("location").as_deref()),
            (307, Some("/api/docs"))
        );
        let page = server.get("/api/docs");
        assert!(
            page.status == 200
                && page.text().contains("Not for clinical use")
                && page.text().contains("/api/analyze")
        );
    }
}

#[test]
fn answers_have_their_shapes() {
    for server in both() {
        let analysis = server.post("/api/analyze", r#"{"slide_id":"slide_000"}"#).json();
        assert_eq!(
            keys(&analysis)[..7],
            [
                "slide_id",
                "prediction",
                "score",
                "confidence",
                "patches_analyzed",
                "top_evidence",
                "similar_cases"
            ]
        );
        assert_eq!(analysis["top_evidence"].as_array().unwrap().len(), 8);
        assert_eq!(
            keys(&analysis["top_evidence"][0]),
            ["rank", "patch_index", "attention_weight"]
        );
        assert_eq!(analysis["similar_cases"].as_array().unwrap().len(), 5);
        for case in analysis["similar_cases"].as_array().unwrap() {
            let (score, distance) = (
                case["similarity_score"].as_f64().unwrap(),
                case["distance"].as_f64().unwrap(),
            );
            assert!((score - 1.0 / (1.0 + distance)).abs() < 1e-9 && case["slide_id"] != "slide_000");
        }
        let score = analysis["score"].as_f64().unwrap();
        assert!((analysis["confidence"].as_f64().unwrap() - (score - 0.5).abs() * 2.0).abs() < 1e-12);

        let report = server.post("/api/report", r#"{"slide_id":"slide_000"}"#).json();
        assert_eq!(keys(&report), ["slide_id", "report_json", "summary_text"]);
        for key in [
            "case_id",
            "task",
            "model_output",
            "evidence",
            "limitations",
            "safety_statement",
        ] {
            assert!(report["report_json"].get(key).is_some(), "{key}");
        }
        assert!(
            report["report_json"]["safety_statement"]
                .as_str()
                .unwrap()
                .contains("not for clinical use")
        );

        let search = server
            .post(
                "/api/semantic-search",
                r#"{"slide_id":"slide_000","query":"necrosis","top_k":10}"#,
            )
            .json();
        assert_eq!(keys(&search), ["slide_id", "query", "results", "embedding_model"]);
        assert_eq!(search["results"].as_array().unwrap().len(), 10);
        assert_eq!(
            keys(&search["results"][0]),
            [
                "patch_index",
                "similarity_score",
                "coordinates",
                "attention_weight"
            ]
        );

        let similar = server.get("/api/similar?slide_id=slide_000&k=2").json();
        assert_eq!(
            (
                similar["similar_cases"].as_array().unwrap().len(),
                &similar["num_queries"]
            ),
            (2, &json!(3))
        );
        assert_eq!(
            keys(&similar["similar_cases"][0]),
            ["slide_id", "distance", "similarity_score", "patch_index"]
        );
    }
}

#[test]
fn embeddings_come_from_the_pictures_sent() {
    let picture = |shade: u8| {
        use base64::Engine as _;
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::RgbImage::from_pixel(40, 40, image::Rgb([shade, 80, 140]))
            .write_to(&mut bytes, image::ImageFormat::Png)
            .unwrap();
        base64::engine::general_purpose::STANDARD.encode(bytes.into_inner())
    };
    for server in both() {
        let body = json!({ "patches": [picture(200), format!("data:image/png;base64,{}", picture(60))] });
        let answer = server.post("/api/embed", &body.to_string()).json();
        assert_eq!(
            (&answer["num_patches"], &answer["embedding_dim"]),
            (&json!(2), &json!(384))
        );
        assert_eq!(answer["embeddings"][0].as_array().unwrap().len(), 384);
        assert_ne!(answer["embeddings"][0], answer["embeddings"][1]);
        let body = json!({ "patches": [picture(200)], "return_embeddings": false });
        assert_eq!(
            server.post("/api/embed", &body.to_string()).json()["embeddings"],
            Value::Null
        );
        let bad = server.post("/api/embed", r#"{"patches":["AAAA","x"]}"#);
        assert!(
            bad.status == 400 && bad.text().starts_with(r#"{"detail":"Failed to decode patch 0: "#),
            "{}",
            bad.text()
        );
    }
}

#[test]
fn tiles_follow_the_descriptor() {
    for server in both() {
        let descriptor = server.get("/api/slides/slide_000/dzi");
        assert_eq!(
            descriptor.header("content-type").as_deref(),
            Some("application/xml")
        );
        assert_eq!(
            descriptor.text(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Image xmlns=\"http://schemas.microsoft.com/deepzoom/2008\"\n  Format=\"jpeg\"\n  \
             Overlap=\"1\"\n  TileSize=\"254\">\n  <Size Width=\"1024\" Height=\"768\"/>\n</Image>"
        );
        let info = server.get("/api/slides/slide_000/info").json();
        assert_eq!(info["dimensions"], json!({"width": 1024, "height": 768}));
        assert_eq!(
            info["dzi"],
            json!({"tile_size": 254, "overlap": 1, "level_count": 11})
        );
        for (tile, width, height) in [
            ("10/0_0", 255, 255),
            ("10/1_1", 256, 256),
            ("10/4_3", 9, 7),
            ("9/2_1", 5, 131),
            ("0/0_0", 1, 1),
        ] {
            let reply = server.get(&format!("/api/slides/slide_000/dzi_files/{tile}.jpeg"));
            assert_eq!(
                (reply.status, reply.header("content-type").as_deref()),
                (200, Some("image/jpeg")),
                "{tile}"
            );
            assert_eq!(
                reply.header("cache-control").as_deref(),
                Some("public, max-age=86400")
            );
            let picture = image::load_from_memory(&reply.body).unwrap();
            assert_eq!((picture.width(), picture.height()), (width, height), "{tile}");
        }
        for (path, status, text) in [
            (
                "slide_000/dzi_files/11/0_0.jpeg",
                404,
                r#"{"detail":"Invalid zoom level"}"#,
            ),
            (
                "slide_000/dzi_files/-1/0_0.jpeg",
                404,
                r#"{"detail":"Invalid zoom level"}"#,
            ),
            (
                "slide_000/dzi_files/10/5_0.jpeg",
                404,
                r#"{"detail":"Tile coordinates out of bounds"}"#,
            ),
            (
                "slide_000/dzi_files/0/-1_-1.jpeg",
                404,
                r#"{"detail":"Tile coordinates out of bounds"}"#,
            ),
            (
                "slide_000/dzi_files/0/x.jpeg",
                400,
                r#"{"detail":"Invalid tile specification"}"#,
            ),
            (
                "nope/dzi_files/0/0_0.jpeg",
                404,
                r#"{"detail":"WSI file not found for slide nope"}"#,
            ),
            (
                "nope/dzi",
                404,
                r#"{"detail":"WSI file not found for slide nope"}"#,
            ),
            (
                "nope/thumbnail",
                404,
                r#"{"detail":"WSI file not found for slide nope"}"#,
            ),
            ("nope/info", 404, r#"{"detail":"Slide nope not found"}"#),
            (
                "slide_000/dzi_files/abc/0_0.jpeg",
                422,
                r#"{"detail":[{"type":"int_parsing","loc":["path","level"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"abc"}]}"#,
            ),
        ] {
            assert_eq!(
                said(&server.get(&format!("/api/slides/{path}"))),
                (status, text.to_owned()),
                "{path}"
            );
        }
    }
}

#[test]
fn pictures_are_what_they_say() {
    for server in both() {
        let heatmap = server.get("/api/heatmap/slide_000");
        let picture = image::load_from_memory(&heatmap.body).unwrap();
        assert_eq!(
            (
                picture.width(),
                picture.height(),
                heatmap.header("content-type").as_deref()
            ),
            (512, 512, Some("image/png"))
        );
        assert_eq!(heatmap.body, server.get("/api/heatmap/slide_000").body);
        assert_ne!(
            heatmap.body,
            server.get(&format!("/api/heatmap/{}", SLIDES[1])).body
        );
        for (query, width) in [("", 512), ("?size=100", 100), ("?size=4000", 1024)] {
            let thumbnail = server.get(&format!("/api/slides/slide_000/thumbnail{query}"));
            assert_eq!(
                thumbnail.header("cache-control").as_deref(),
                Some("public, max-age=3600")
            );
            assert_eq!(
                image::load_from_memory(&thumbnail.body).unwrap().width(),
                width,
                "{query}"
            );
        }
        assert_eq!(
            said(&server.get("/api/heatmap/nope")),
            (404, r#"{"detail":"Slide nope not found"}"#.to_owned())
        );
    }
}

#[test]
fn the_router_answers_as_starlette() {
    for server in both() {
        assert_eq!(
            said(&server.get("/nope")),
            (404, r#"{"detail":"Not Found"}"#.to_owned())
        );
        let wrong = server.send("DELETE", "/api/analyze", "", b"");
        assert_eq!(
            said(&wrong),
            (405, r#"{"detail":"Method Not Allowed"}"#.to_owned())
        );
        assert_eq!(wrong.header("allow").as_deref(), Some("POST"));
        let redirect = server.get("/api/slides/");
        assert_eq!(
            (redirect.status, redirect.header("location").as_deref()),
            (307, Some("http://test/api/slides"))
        );
        let echoed = server.send("GET", "/health", "x-request-id: abc-123\r\n", b"");
        assert_eq!(echoed.header("x-request-id").as_deref(), Some("abc-123"));
        assert!(
            server
                .get("/health")
                .header("x-request-id")
                .is_some_and(|id| id.len() == 16)
        );
        let allowed = server.send("GET", "/health", "origin: http://localhost:3000\r\n", b"");
        assert_eq!(
            allowed.header("access-control-allow-origin").as_deref(),
            Some("http://localhost:3000")
        );
        let stranger = server.send("GET", "/health", "origin: http://evil.test\r\n", b"");
        assert_eq!(stranger.header("access-control-allow-origin"), None);
        let preflight = "origin: http://localhost:3000\r\naccess-control-request-method: POST\r\n";
        assert_eq!(
            said(&server.send("OPTIONS", "/api/analyze", preflight, b"")),
            (200, "OK".to_owned())
        );
        assert_eq!(server.send("OPTIONS", "/api/analyze", "", b"").status, 405);
    }
}

#[test]
fn the_edge_cases_of_the_observed_report() {
    for server in both() {
        for (path, body, status, text) in [
            (
                "/api/analyze",
                r#"{"slide_id":"nonexistent_slide"}"#,
                404,
                r#"{"detail":"Slide nonexistent_slide not found"}"#,
            ),
            (
                "/api/analyze",
                "{}",
                422,
                r#"{"detail":[{"type":"missing","loc":["body","slide_id"],"msg":"Field required","input":{}}]}"#,
            ),
            (
                "/api/analyze",
                "not json",
                422,
                r#"{"detail":[{"type":"json_invalid","loc":["body",0],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting value"}}]}"#,
            ),
            (
                "/api/report",
                "",
                422,
                r#"{"detail":[{"type":"missing","loc":["body"],"msg":"Field required","input":null}]}"#,
            ),
            (
                "/api/semantic-search",
                r#"{"slide_id":"slide_000","query":""}"#,
                422,
                r#"{"detail":[{"type":"string_too_short","loc":["body","query"],"msg":"String should have at least 1 character","input":"","ctx":{"min_length":1}}]}"#,
            ),
            (
                "/api/analyze",
                r#"{"slide_id":"../../../etc/passwd"}"#,
                404,
                r#"{"detail":"Slide ../../../etc/passwd not found"}"#,
            ),
        ] {
            assert_eq!(
                said(&server.post(path, body)),
                (status, text.to_owned()),
                "{path} {body}"
            );
        }
        let long = json!({ "slide_id": "slide_000", "query": "q".repeat(1000) }).to_string();
        assert!(
            server
                .post("/api/semantic-search", &long)
                .text()
                .contains("String should have at most 512 characters")
        );
        let script = r#"{"slide_id":"slide_000","query":"<script>alert(1)</script>","top_k":10}"#;
        let answer = server.post("/api/semantic-search", script);
        assert_eq!(
            (answer.status, answer.header("content-type").as_deref()),
            (200, Some("application/json"))
        );
        assert_eq!(answer.json()["results"].as_array().unwrap().len(), 10);
    }
}

#[test]
fn hostile_bodies_get_a_4xx_and_the_server_lives() {
    for server in both() {
        let json_type = "content-type: application/json\r\n";
        let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
        assert_eq!(
            said(&server.send("POST", "/api/analyze", json_type, &deep)),
            (
                400,
                r#"{"detail":"There was an error parsing the body"}"#.to_owned()
            )
        );
        assert_eq!(
            server
                .send("POST", "/api/analyze", json_type, b"{\"slide_id\":\"\xff\"}")
                .status,
            400
        );
        assert_eq!(
            server
                .send("POST", "/api/analyze", "content-type: text/plain\r\n", b"{}")
                .status,
            422
        );
        assert_eq!(
            server.post("/api/analyze", "{\"slide_id\":\"a\\u0000b\"}").status,
            404
        );
        assert_eq!(server.get("/api/slides/%00%ff/info").status, 404);
        assert_eq!(server.get("/api/similar?slide_id=slide_000&k=abc").status, 422);
        assert_eq!(
            server.get("/api/similar").text(),
            r#"{"detail":[{"type":"missing","loc":["query","slide_id"],"msg":"Field required","input":null}]}"#
        );
        assert_eq!(server.get("/health").status, 200);
    }
}

/// The observed document is FastAPI's, but for the bound that the long-id fault removes.
#[test]
fn openapi_is_fastapis() {
    let mut golden: Value = serde_json::from_str(include_str!("../../data/enso/openapi.json")).unwrap();
    for name in ["AnalyzeRequest", "ReportRequest", "SemanticSearchRequest"] {
        golden["components"]["schemas"][name]["properties"]["slide_id"]
            .as_object_mut()
            .unwrap()
            .remove("maxLength");
    }
    assert_eq!(OBSERVED.get("/openapi.json").json(), golden);
}

#[test]
fn the_fixed_document_declares_its_errors_and_bounds() {
    let document = FIXED.get("/openapi.json").json();
    let analyze = &document["paths"]["/api/analyze"]["post"]["responses"];
    for status in ["200", "400", "404", "408", "413", "422", "500", "503"] {
        assert!(analyze.get(status).is_some(), "{status}");
    }
    let similar = document["paths"]["/api/similar"]["get"]["parameters"]
        .as_array()
        .unwrap();
    assert_eq!(
        (&similar[1]["schema"]["minimum"], &similar[1]["schema"]["maximum"]),
        (&json!(1), &json!(20))
    );
    assert_eq!(
        document["components"]["schemas"]["AnalyzeRequest"]["properties"]["slide_id"]["maxLength"],
        json!(256)
    );
    assert!(document["paths"]["/health"]["get"].get("parameters").is_none());
    let example = &document["components"]["schemas"]["EmbedRequest"]["examples"][0];
    assert_eq!(FIXED.post("/api/embed", &example.to_string()).status, 200);
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
    }
}

#[test]
fn both_presets_tell_of_their_latest_answers() {
    for server in [&OBSERVED, &FIXED] {
        server.get("/api/slides");
        let told = server.get("/api/perf/latency-summary").json();
        assert_eq!(
            (&told["enabled"], &told["max_samples"]),
            (&json!(true), &json!(2000))
        );
        let routes = told["summary"]["routes"].as_array().unwrap();
        let slides = routes
            .iter()
            .find(|route| route["route"] == "GET /api/slides")
            .unwrap();
        assert!(slides["status_counts"]["200"].as_u64().unwrap() >= 1, "{slides}");
        assert!(slides["p50_ms"].as_f64() <= slides["p95_ms"].as_f64());
    }
}
