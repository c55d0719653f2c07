//! What stands before every preset: common faults, single requests, knobs that are turned, and all presets at once.

use crate::client;

use client::{Server, options};
use prony_backend::{PRESETS, serve};

#[test]
fn faults_that_are_off_change_nothing() {
    let (plain, idle) = (
        Server::start("truth", &[]),
        Server::start("truth", &[("fault_path", "/nowhere"), ("fault_envelope", "html")]),
    );
    for path in ["/health", "/nothing", "/openapi.json"] {
        let (a, b) = (plain.get(path), idle.get(path));
        assert_eq!((a.status, &a.body), (b.status, &b.body), "{path}");
    }
    assert_eq!(plain.truth()["common_faults"]["on"], false);
    assert_eq!(idle.truth()["common_faults"]["applied"], serde_json::json!({}));
}

#[test]
fn a_presets_own_request_id_decides() {
    let sent = "x-request-id: mine\r\n";
    let id = |server: &Server| server.send("GET", "/health", sent, b"").header("x-request-id");
    assert_eq!(id(&Server::start("truth", &[])).as_deref(), Some("mine"));
    assert_eq!(id(&Server::start("truth", &[("request_id", "false")])), None);
    // Its own knob.
    assert_eq!(id(&Server::enso("enso", &[("request_id", "false")])), None);
    assert_eq!(id(&Server::enso("enso-fixed", &[])).as_deref(), Some("mine"));
}

#[test]
fn the_account_tells_what_the_client_saw() {
    let server = Server::enso(
        "enso-fixed",
        &[
            ("fault_envelope", "ok"),
            ("fault_delay", "constant"),
            ("fault_delay_ms", "20"),
        ],
    );
    assert_eq!(server.get("/api/slides/none/info").status, 200);
    let truth = server.truth();
    let endpoint = &truth["endpoints"]["GET /api/slides/{slide_id}/info"];
    assert_eq!(endpoint["statuses"], serde_json::json!({ "200": 1 }), "{truth}");
    assert!(endpoint["service_ns"]["min"].as_u64().unwrap() >= 20_000_000);
    assert_eq!(truth["abandoned"], 0);
    let ids: Vec<&str> = truth["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["delay", "envelope"]);
}

#[test]
fn the_first_request_is_hit_again_after_a_reset() {
    let server = Server::start("truth", &[("fault_corrupt_n", "3"), ("mean_ms", "0")]);
    let hits = || -> Vec<bool> {
        server.ask_admin("POST", "/truth/reset");
        let clean = b'{';
        (0..30)
            .map(|_| server.get("/health").body)
            .map(|body| body.first() != Some(&clean) || body != br#"{"status":"ok"}"#)
            .collect()
    };
    let first = hits();
    assert!(first.contains(&true) && first.contains(&false));
    assert_eq!(first, hits());
}

#[test]
fn every_preset_is_served_at_once() {
    let mut wanted = options("all", &[("fault_envelope", "text"), ("enso.slide_px", "1024")]);
    wanted.admin_port = None;
    let (ready, at) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        serve(wanted, |told| ready.send(told.clone()).unwrap(), async {
            let _ = stopped.await;
        })
    });
    let told = at.recv().unwrap();
    let names: Vec<&str> = told.presets.iter().map(|served| served.name).collect();
    assert_eq!(
        names,
        PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>()
    );
    let line = told.to_string();
    for served in &told.presets {
        assert!(line.contains(&format!(" {} http://{}", served.name, served.service)));
    }
    drop(stop);
    thread.join().unwrap().unwrap();
}

#[test]
fn wrong_knobs_of_all_are_told() {
    let refusal = |knobs: &[(&str, &str)]| {
        serve(
            options("all", knobs),
            |_| panic!("it should not start"),
            std::future::pending(),
        )
        .unwrap_err()
        .to_string()
    };
    assert!(refusal(&[("fault_delayy", "constant")]).contains("did you mean 'fault_delay'?"));
    assert!(refusal(&[("ensoo.serial", "true")]).contains("did you mean 'enso'?"));
    assert!(refusal(&[("enso.seriall", "true")]).contains("did you mean 'serial'?"));
    assert!(refusal(&[("fault_delay", "sometimes")]).contains("constant, lognormal"));
}
