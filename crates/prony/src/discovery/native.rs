//! Servers of language models by their own APIs: Ollama, llama.cpp, Text Generation Inference and Text Embeddings Inference. Each
//! is known by what it answers at a place of its own, whatever its name. It sends no request that generates anything.

use prony_model::{Request, Role, Surface};
use serde_json::{Value, json};

use super::llm::{self, TOKENS_MAX};
use super::{Fetch, Hints};
use crate::text;

/// Endpoints of the two inference servers by Hugging Face that help others.
const HELPERS: &[&str] = &["/tokenize", "/chat_tokenize", "/decode"];

/// Adds what is there, asked for short answers.
pub(super) fn find(fetch: &mut dyn Fetch, hints: &Hints<'_>, has_document: bool, surface: &mut Surface) {
    let named: Vec<String> = surface.endpoints.iter().map(|e| e.path.clone()).collect();
    let mut ask = |place: &str| {
        // A document would name it.
        if has_document && !named.iter().any(|path| path == place) {
            return None;
        }
        let answer = fetch.fetch(&Request::get(place));
        let proves = answer.status == 200 && !hints.is_anything(&answer);
        answer.json().filter(|json| proves && json.is_object())
    };
    if let Some(tags) = ask("/api/tags").filter(|j| j.get("models").is_some_and(Value::is_array)) {
        ollama(&tags, surface);
    }
    if let Some(props) = ask("/props").filter(|j| j.get("default_generation_settings").is_some()) {
        llama_cpp(&props, surface);
    }
    if let Some(info) = ask("/info") {
        let has = |key: &str| info.get(key).is_some();
        if has("model_type") && has("model_id") {
            embeddings(&info, surface);
        } else if has("model_id") && has("max_total_tokens") {
            generation(&info, surface);
        }
    }
}

fn ollama(tags: &Value, surface: &mut Surface) {
    let listed = tags.get("models").and_then(Value::as_array);
    let named = |entry: &Value| {
        let name = entry.get("model").or_else(|| entry.get("name"));
        let family = entry.pointer("/details/family").and_then(Value::as_str);
        let embeds = family.is_some_and(|family| family.contains("bert"));
        let name = name.and_then(Value::as_str)?.to_owned();
        Some((embeds || name.contains("embed"), name))
    };
    let models: Vec<(bool, String)> = listed.into_iter().flatten().filter_map(named).collect();
    let first = |embeds: bool| {
        models
            .iter()
            .find(|(own, _)| *own == embeds)
            .map(|(_, name)| name)
    };
    if models.is_empty() {
        surface.found_by.push(
            "Ollama's API, and no model is there: pull one (`ollama pull NAME`) and check again".to_owned(),
        );
    }
    if let Some(model) = first(false) {
        said(surface, "Ollama's API", model, "/api/tags");
        let options = json!({"num_predict": TOKENS_MAX, "temperature": 0});
        llm::put(surface, "/api/chat", "/message/content", "messages", |prompt| {
            let messages = json!([{"role": "user", "content": prompt}]);
            let body = json!({"model": model, "messages": messages, "stream": false, "options": options});
            Request::json("POST", "/api/chat", &body)
        });
        llm::put(surface, "/api/generate", "/response", "prompt", |prompt| {
            let body = json!({"model": model, "prompt": prompt, "stream": false, "options": options});
            Request::json("POST", "/api/generate", &body)
        });
    }
    if let Some(model) = first(true) {
        said(surface, "Ollama's API", model, "/api/tags");
        llm::put(surface, "/api/embed", "/embeddings/0", "input", |prompt| {
            Request::json("POST", "/api/embed", &json!({"model": model, "input": prompt}))
        });
    }
}

fn llama_cpp(props: &Value, surface: &mut Surface) {
    let model = props
        .get("model_path")
        .and_then(Value::as_str)
        .unwrap_or("unnamed");
    let name = model.rsplit('/').next().unwrap_or(model);
    said(surface, "the API of llama.cpp's server", name, "/props");
    llm::put(surface, "/completion", "/content", "prompt", |prompt| {
        let body = json!({"prompt": prompt, "n_predict": TOKENS_MAX, "temperature": 0, "stream": false});
        Request::json("POST", "/completion", &body)
    });
}

fn generation(info: &Value, surface: &mut Surface) {
    said(surface, "Text Generation Inference", model_id(info), "/info");
    llm::put(surface, "/generate", "/generated_text", "inputs", |prompt| {
        let body = json!({"inputs": prompt, "parameters": {"max_new_tokens": TOKENS_MAX}});
        Request::json("POST", "/generate", &body)
    });
    // The same work under other names; streams are asked for by the experiments that read them.
    same_work(surface, &["/", "/generate_stream", "/invocations", "/vertex"]);
}

fn embeddings(info: &Value, surface: &mut Surface) {
    const ALL: [&str; 10] = [
        "/embed",
        "/embed_all",
        "/embed_sparse",
        "/similarity",
        "/rerank",
        "/predict",
        "/v1/embeddings",
        "/",
        "/invocations",
        "/vertex",
    ];
    said(surface, "Text Embeddings Inference", model_id(info), "/info");
    let kind = &info["model_type"];
    let is = |name: &str| kind.get(name).is_some() || kind == name;
    // A model does one of these, and the document names them all.
    let (own, check, input): (&str, &str, &str) = if is("reranker") {
        ("/rerank", "/0/score", "query")
    } else if is("classifier") {
        ("/predict", "/0", "inputs")
    } else {
        ("/embed", "/0", "inputs")
    };
    let others: Vec<&str> = ALL.into_iter().filter(|path| *path != own).collect();
    same_work(surface, &others);
    llm::put(surface, own, check, input, |prompt| {
        let body = match input {
            "query" => json!({"query": prompt, "texts": [
                "The Danube, the Rhine and the Seine are rivers.",
                "Water boils at one hundred degrees Celsius.",
                "Good morning is bonjour in French.",
            ]}),
            _ => json!({ "inputs": prompt }),
        };
        Request::json("POST", own, &body)
    });
}

fn model_id(info: &Value) -> &str {
    info.get("model_id").and_then(Value::as_str).unwrap_or("unnamed")
}

fn said(surface: &mut Surface, what: &str, model: &str, place: &str) {
    surface
        .found_by
        .push(format!("{what}: model {} by {place}", text::clean(model, 60)));
}

/// Takes out endpoints that do the same work, or work that the model cannot do; those that only help do not count as inference.
fn same_work(surface: &mut Surface, paths: &[&str]) {
    let is_post = |e: &prony_model::Endpoint| e.method == "POST";
    let before = surface.endpoints.len();
    surface
        .endpoints
        .retain(|e| !(is_post(e) && paths.contains(&e.path.as_str())));
    let left = before - surface.endpoints.len();
    if left > 0 {
        surface.found_by.push(format!(
            "{left} documented endpoints left alone: the same work under other names, or none of this model's"
        ));
    }
    for endpoint in surface.endpoints.iter_mut().filter(|e| is_post(e)) {
        if HELPERS.contains(&endpoint.path.as_str()) {
            endpoint.role = Role::Resource;
        }
    }
}
