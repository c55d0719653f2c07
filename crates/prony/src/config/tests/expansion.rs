//! What the engine is given for what the suite says.

use std::path::Path;

use prony_model::{Body, Captured, Outcome, Phase, Request};

use super::suite;
use crate::config::expand;
use crate::diagnostic::Diagnostic;

const DESCRIPTOR: &str = r#"<?xml version="1.0"?><Image xmlns="http://schemas.microsoft.com/deepzoom/2008"
    Format="jpeg" Overlap="1" TileSize="254"><Size Width="1000" Height="600"/></Image>"#;

fn answer(status: u16, body: &str) -> Captured {
    Captured {
        seq: 0,
        scenario: 0,
        item: 0,
        status,
        outcome: Outcome::Ok,
        headers: Vec::new(),
        body: body.to_owned(),
        head: String::new(),
        bytes: Vec::new(),
        body_bytes: body.len() as u64,
        cut: false,
        binary: false,
        digest: String::new(),
        error: String::new(),
    }
}

fn expanded(scenario: &str, reply: &Captured) -> Result<Vec<Phase>, Diagnostic> {
    let text = format!(
        "[target]\nurl = 'http://h'\n[[scenario]]\nname = 's'\n{scenario}\n[[phase]]\nname = 'p'\n\
         scenarios = ['s']\nshape.burst = {{ size = 3 }}\n"
    );
    let file = suite(&text).unwrap_or_else(|e| panic!("{}", e.render(false)));
    expand(&file.suite, &file.base_dir, &mut |_| reply.clone(), &mut |_| ())
}

fn items(scenario: &str) -> Vec<prony_model::Item> {
    expanded(scenario, &answer(200, DESCRIPTOR))
        .unwrap()
        .remove(0)
        .scenarios
        .remove(0)
        .items
}

#[test]
fn lists_of_values_make_items_and_the_longest_decides() {
    let items = items(
        "[scenario.http]\nmethod = 'post'\npath = '/find?in={{where}}'\njson = { query = '{{q}}', top_k = 10 }\n\
         values.where = ['a b', 'c']\nvalues.q = ['one', 'two', 'three']",
    );
    let said: Vec<(String, Body)> = items
        .iter()
        .map(|i| (i.request.label(), i.request.body.clone()))
        .collect();
    assert_eq!(
        said,
        [
            (
                "POST /find?in=a%20b".to_owned(),
                Body::text(r#"{"query":"one","top_k":10}"#)
            ),
            (
                "POST /find?in=c".to_owned(),
                Body::text(r#"{"query":"two","top_k":10}"#)
            ),
            (
                "POST /find?in=a%20b".to_owned(),
                Body::text(r#"{"query":"three","top_k":10}"#)
            ),
        ]
    );
    assert_eq!(items[0].request.headers[0].value, "application/json");
}

#[test]
fn json_keeps_the_order_of_its_keys_and_a_given_content_type() {
    let items = items(
        "[scenario.http]\nmethod = 'POST'\npath = '/'\njson = { z = 1, a = 2 }\n\
         headers = [{ name = 'Content-Type', value = 'text/plain' }]",
    );
    assert_eq!(items[0].request.body, Body::text(r#"{"z":1,"a":2}"#));
    assert_eq!(items[0].request.headers.len(), 1);
}

#[test]
fn texts_and_json_texts_are_bodies_too() {
    assert_eq!(
        items("http = { path = '/', body = '{\"a\":' }")[0].request.body,
        Body::text("{\"a\":")
    );
    assert_eq!(
        items("http = { path = '/', json_text = '{\"a\":null}' }")[0]
            .request
            .body,
        Body::text(r#"{"a":null}"#)
    );
    assert_eq!(items("http = { path = '/' }")[0].request.body, Body::Empty);
}

#[test]
fn tiles_come_from_the_descriptor() {
    let valid = items("dzi = { descriptor = '/slides/a/dzi', tiles = 12 }");
    assert_eq!(valid.len(), 12);
    let paths: std::collections::BTreeSet<&str> = valid.iter().map(|i| i.request.path.as_str()).collect();
    assert_eq!(paths.len(), 12, "tiles are distinct");
    assert!(
        paths
            .iter()
            .all(|p| p.starts_with("/slides/a/dzi_files/") && p.contains(".jpeg")),
        "{paths:?}"
    );
    assert!(
        valid
            .iter()
            .all(|i| i.expect.status == [200] && i.expect.content_type.as_deref() == Some("image/"))
    );

    // 1000 x 600 pixels fit into a viewer's window: it asks for that level, the middle of the view first, and has seen all.
    let seen = items("dzi = { descriptor = '/slides/a/dzi', tiles = 40, pick = 'viewport' }");
    assert_eq!(seen.len(), 4 * 3);
    assert!(
        seen.iter()
            .all(|i| i.expect.status == [200] && i.request.path.starts_with("/slides/a/dzi_files/10/"))
    );

    let outside = items("dzi = { descriptor = '/slides/a/dzi', tiles = 5, pick = 'out-of-range' }");
    assert_eq!(outside.len(), 5);
    assert!(
        outside
            .iter()
            .all(|i| i.expect.status == [404] && !paths.contains(i.request.path.as_str()))
    );
}

#[test]
fn no_descriptor_no_tiles() {
    let scenario = "dzi = { descriptor = '/slides/a/dzi', tiles = 12 }";
    for (reply, why) in [
        (answer(404, "{}"), "the target answered 404"),
        (answer(200, "<html></html>"), "no deep-zoom descriptor"),
        (
            Captured {
                outcome: Outcome::Refused,
                ..answer(0, "")
            },
            "was refused",
        ),
    ] {
        let text = expanded(scenario, &reply).unwrap_err().render(false);
        assert!(text.contains(why), "{text}");
    }
}

#[test]
fn phases_take_the_limits_of_the_run_unless_they_have_their_own() {
    let text = "[target]\nurl = 'http://h'\n[run.limits]\ntimeout_ms = 7\n[[scenario]]\nname = 's'\nhttp.path = '/'\n\
                [[phase]]\nname = 'a'\nscenarios = ['s']\nshape.burst = { size = 3 }\n\
                [[phase]]\nname = 'b'\nscenarios = ['s']\nshape.once = {}\nlimits = { timeout_ms = 9 }\n";
    let file = suite(text).unwrap_or_else(|e| panic!("{}", e.render(false)));
    let phases = expand(&file.suite, &file.base_dir, &mut |_| answer(200, ""), &mut |_| ()).unwrap();
    assert_eq!((phases[0].limits.timeout_ms, phases[1].limits.timeout_ms), (7, 9));
    assert_eq!(phases[0].experiment, "suite");
}

#[test]
fn a_form_has_its_parts_and_its_type() {
    let items = items(
        "[scenario.http]\nmethod = 'post'\npath = '/images'\nmultipart = [\n\
         { name = 'files', image = { width = 8, height = 6, kind = 'medium', seed = 2 } },\n\
         { name = 'split', value = '{{split}}' }]\nvalues.split = ['train', 'test']",
    );
    assert_eq!(items.len(), 2);
    let Body::Bytes(bytes) = &items[1].request.body else {
        panic!("a form is bytes: {:?}", items[1].request.body)
    };
    let text = String::from_utf8_lossy(bytes);
    assert!(
        text.contains("name=\"files\"; filename=\"8x6-2.png\"\r\nContent-Type: image/png\r\n\r\n"),
        "{text}"
    );
    assert!(text.contains("name=\"split\"\r\n\r\ntest\r\n"), "{text}");
    assert!(
        items[1].request.headers[0]
            .value
            .starts_with("multipart/form-data; boundary=")
    );
}

#[test]
fn a_picture_may_be_the_whole_body() {
    let items = items(
        "[scenario.http]\nmethod = 'post'\npath = '/look'\nimage = { width = 8, height = 6, format = 'jpeg' }",
    );
    let bytes = items[0].request.body.to_bytes().unwrap();
    assert_eq!(&bytes[..2], b"\xff\xd8", "a JPEG");
    assert_eq!(items[0].request.headers[0].value, "image/jpeg");
}

#[test]
fn wrong_forms_are_told() {
    for (http, words) in [
        ("multipart = [{ name = 'f' }]", "exactly one content"),
        (
            "multipart = [{ name = 'f', value = 'a', file = 'b' }]",
            "exactly one content",
        ),
        ("multipart = [{ value = 'a' }]", "needs a name"),
        (
            "multipart = [{ name = 'f', file = 'missing.png' }]",
            "cannot read",
        ),
        (
            "multipart = [{ name = 'f', value = '{{carry.id}}' }]",
            "before the run",
        ),
        ("image = { width = 0, height = 1 }", "1 to 8192 pixels"),
        (
            "image = { width = 1, height = 1 }\nbody = 'x'",
            "both give the body",
        ),
    ] {
        let text = format!(
            "[target]\nurl = 'http://h'\n[[scenario]]\nname = 's'\n[scenario.http]\nmethod = 'post'\npath = '/'\n{http}\n\
             [[phase]]\nname = 'p'\nscenarios = ['s']\nshape.burst = {{ size = 3 }}\n"
        );
        let refused = match suite(&text) {
            Ok(_) => panic!("accepted: {http}"),
            Err(diagnostic) => diagnostic.render(false),
        };
        assert!(refused.contains(words), "{http}: {refused}");
    }
}

#[test]
fn a_gate_may_name_a_step_of_a_flow() {
    let with_gate = |scenario: &str| {
        suite(&format!(
            "[target]\nurl = 'http://h'\n[[scenario]]\nname = 's'\nstep = [{{ name = 'a', http = {{ path = '/' }} }}]\n\
             [[phase]]\nname = 'p'\nscenarios = ['s']\nshape.burst = {{ size = 3 }}\n\
             [[gate]]\nphase = 'p'\nscenario = '{scenario}'\ncheck = 'missed_100_ms_count == 0'\n"
        ))
    };
    assert!(with_gate("s/a").is_ok());
    assert!(with_gate("s/b").is_err());
}

#[test]
fn the_policy_of_the_suite_is_that_of_every_scenario_without_its_own() {
    let file = suite(
        "[target]\nurl = 'http://h'\n[retry]\nattempts = 4\nbase_ms = 7\n\
         [[scenario]]\nname = 'plain'\nhttp.path = '/'\n\
         [[scenario]]\nname = 'own'\nhttp.path = '/'\nretry.attempts = 2\n\
         [[scenario]]\nname = 'without'\nhttp.path = '/'\nretry.attempts = 1\n\
         [[scenario]]\nname = 'flow'\ncookies = true\nstep = [{ name = 'a', http = { path = '/' } }]\n\
         [[scenario]]\nname = 'chat'\nopenai = { model = 'm', prompt = { tokens = 9 } }\n\
         [[phase]]\nname = 'p'\nscenarios = ['plain', 'own', 'without', 'flow', 'chat']\nshape.once = {}\n",
    )
    .unwrap_or_else(|e| panic!("{}", e.render(false)));
    let mut fetch = |_: &Request| Captured::unsent("nothing is fetched");
    let phases = expand(&file.suite, Path::new(""), &mut fetch, &mut |_| ()).unwrap();
    let policies: Vec<Option<(u8, u32)>> = phases[0]
        .scenarios
        .iter()
        .map(|s| s.retry.as_ref().map(|r| (r.attempts, r.base_ms)))
        .collect();
    let of_the_suite = Some((4, 7));
    assert_eq!(
        policies,
        [of_the_suite, Some((2, 100)), None, of_the_suite, of_the_suite]
    );
    assert!(phases[0].scenarios[3].flow.as_ref().unwrap().cookies);
}
