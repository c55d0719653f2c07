//! The endpoints of the OpenAI API for sound and pictures: transcription, speech, images. They are work where the target answers
//! a real request without an error: many servers name them whatever model they serve. It must not know any server by name.

use std::collections::BTreeMap;

use prony_model::{Body, BodyCheck, Endpoint, Expect, Header, Request, SampleRequest, Surface};
use serde_json::json;

use super::Fetch;
use super::llm::{self, Models};
use super::protocols::{PROMPTS, work};
use crate::pictures::{self, Part};
use crate::{sounds, text};

/// Requests of each endpoint: such work is dear.
const SAMPLES: usize = 4;

/// An endpoint of this API.
struct Known {
    path: &'static str,
    /// Words in the names of models that do this.
    words: &'static [&'static str],
    /// The field that varies.
    input: &'static str,
    /// The `k`-th request to a model.
    request: fn(&str, &str, usize) -> Request,
    /// What a good answer is.
    expect: fn() -> Expect,
    /// What to type where the made-up request is refused.
    typed: &'static str,
}

const KNOWN: [Known; 3] = [
    Known {
        path: "/v1/audio/transcriptions",
        words: &["whisper", "transcri", "asr", "parakeet", "canary"],
        input: "file",
        request: transcription,
        expect: || body(BodyCheck::Json("/text".to_owned())),
        typed: "-F file=@ -F model=NAME",
    },
    Known {
        path: "/v1/audio/speech",
        words: &["tts", "speech", "kokoro", "piper", "orpheus"],
        input: "input",
        request: |path, model, k| {
            let asked = json!({"model": model, "input": PROMPTS[k], "voice": "alloy"});
            Request::json("POST", path, &asked)
        },
        expect: || Expect {
            content_type: Some("audio/".to_owned()),
            ..body(BodyCheck::MinBytes(64))
        },
        typed: "-b '{\"model\": \"NAME\", \"input\": \"Hello.\", \"voice\": \"NAME\"}'",
    },
    Known {
        path: "/v1/images/generations",
        words: &["image", "diffusion", "dall", "flux", "sdxl"],
        input: "prompt",
        request: |path, model, k| {
            let asked = json!({"model": model, "prompt": PROMPTS[k], "n": 1, "size": "256x256"});
            Request::json("POST", path, &asked)
        },
        expect: || body(BodyCheck::Json("/data/0".to_owned())),
        typed: "-b '{\"model\": \"NAME\", \"prompt\": \"A red apple.\", \"size\": \"SIZE\"}'",
    },
];

/// Adds what is there and takes out what a document names and the target refuses. Returns whether any was found.
pub(super) fn find(
    fetch: &mut dyn Fetch,
    models: &Models,
    has_document: bool,
    surface: &mut Surface,
) -> bool {
    let mut found = false;
    for known in &KNOWN {
        let path = models.at(known.path);
        let documented = llm::is_documented(surface, &path);
        // Where nothing lists models, this API is not spoken; a document would name them.
        let is_asked = !has_document && models.first.is_some();
        if !documented && (!is_asked || models.refusal(fetch, &path).is_none()) {
            continue;
        }
        let model = models.named(known.words).unwrap_or(known.words[0]);
        let made = endpoint(known, &path, model);
        let answer = fetch.fetch(&made.samples[0].request);
        if (400..500).contains(&answer.status) {
            // What refuses for want of a key or for a rate is there.
            if documented && matches!(answer.status, 401 | 403 | 429) {
                llm::put_made(surface, made);
                continue;
            }
            surface.endpoints.retain(|e| e.path != path);
            surface.found_by.push(format!(
                "POST {0} answers {1} to model {2}: left alone. If it is the work: prony check URL{0} {3}",
                text::clean(&path, 80),
                answer.status,
                text::clean(model, 40),
                known.typed
            ));
        } else if (200..300).contains(&answer.status) || documented {
            surface.found_by.push(format!(
                "OpenAI-compatible: POST {} with model {}",
                text::clean(&path, 80),
                text::clean(model, 60)
            ));
            llm::put_made(surface, made);
            found = true;
        }
    }
    found
}

fn endpoint(known: &Known, path: &str, model: &str) -> Endpoint {
    let samples = (0..SAMPLES).map(|k| {
        let shown = match known.input {
            "file" => format!("sound {k}"),
            _ => PROMPTS[k].to_owned(),
        };
        SampleRequest {
            request: (known.request)(path, model, k),
            inputs: BTreeMap::from([(known.input.to_owned(), shown)]),
        }
    });
    Endpoint {
        expect: (known.expect)(),
        ..work(path, samples.collect(), Vec::new())
    }
}

fn transcription(path: &str, model: &str, k: usize) -> Request {
    let field = |name: &str, value: &str| Part {
        name: name.to_owned(),
        filename: None,
        content_type: None,
        bytes: value.as_bytes().to_vec(),
    };
    let file = Part {
        name: "file".to_owned(),
        filename: Some(format!("sound-{k}.wav")),
        content_type: Some("audio/wav".to_owned()),
        bytes: sounds::wav(k),
    };
    let (form, content_type) =
        pictures::form(&[file, field("model", model), field("response_format", "json")]);
    Request {
        method: "POST".to_owned(),
        path: path.to_owned(),
        headers: vec![Header::new("content-type", content_type)],
        body: Body::Bytes(form),
    }
}

fn body(check: BodyCheck) -> Expect {
    Expect {
        body: vec![check],
        ..Expect::default()
    }
}
