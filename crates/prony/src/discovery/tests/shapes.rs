//! Inference servers by the shapes of their APIs, against tables of answers.

use prony_model::{Captured, Outcome, Request, Role, Surface};
use serde_json::{Value, json};

use super::super::guess::{self, Holds, Shape};
use super::{Endpoint, Fake, Told, body, discover, empty, endpoint};

fn work(surface: &Surface) -> Vec<&str> {
    let inference = surface.endpoints.iter().filter(|e| e.role == Role::Inference);
    inference.map(|e| e.name.as_str()).collect()
}

fn said(surface: &Surface) -> String {
    surface.found_by.join("\n")
}

/// A server whose answers to POST depend on the body.
fn answering(answer: impl Fn(&str, &Value) -> (u16, Value)) -> impl FnMut(&Request) -> Captured {
    move |request: &Request| {
        let sent = request.body.to_bytes().unwrap_or_default();
        let value = serde_json::from_slice(&sent).unwrap_or_default();
        let (status, body) = answer(&request.label(), &value);
        Captured {
            status,
            outcome: if status < 300 {
                Outcome::Ok
            } else {
                Outcome::Status4xx
            },
            digest: format!("{status} {body}"),
            body: body.to_string(),
            ..empty()
        }
    }
}

#[test]
fn ollama_is_known_by_its_tags() {
    let tags = json!({"models": [
        {"name": "nomic-embed-text:latest", "model": "nomic-embed-text:latest", "details": {"family": "nomic-bert"}},
        {"name": "tiny:latest", "model": "tiny:latest", "details": {"family": "llama"}}]});
    let mut fake = Fake::new(&[
        ("/", 200, "Ollama is running".to_owned()),
        ("/api/tags", 200, tags.to_string()),
    ]);
    let surface = fake.discover("/");
    assert_eq!(
        work(&surface),
        ["POST /api/chat", "POST /api/generate", "POST /api/embed"]
    );
    let generate = body(endpoint(&surface, "POST /api/generate"));
    assert_eq!(
        (
            &generate["model"],
            &generate["stream"],
            &generate["options"]["num_predict"]
        ),
        (&json!("tiny:latest"), &json!(false), &json!(16))
    );
    assert_eq!(
        body(endpoint(&surface, "POST /api/embed"))["model"],
        "nomic-embed-text:latest"
    );
    assert!(
        !fake.asked.iter().any(|asked| asked.starts_with("POST /api")),
        "{:?}",
        fake.asked
    );
    let mut bare = Fake::new(&[("/api/tags", 200, json!({"models": []}).to_string())]);
    assert!(said(&bare.discover("/")).contains("ollama pull NAME"));
}

#[test]
fn the_other_servers_of_text_are_known_by_what_they_tell_of_themselves() {
    let props = json!({"default_generation_settings": {}, "total_slots": 1, "model_path": "/m/tiny.gguf"});
    let surface = Fake::new(&[("/props", 200, props.to_string())]).discover("/");
    assert_eq!(work(&surface), ["POST /completion"]);
    assert_eq!(body(endpoint(&surface, "POST /completion"))["n_predict"], 16);

    let inputs = json!({"post": {"requestBody": {"content": {"application/json": {"schema":
        {"type": "object", "required": ["inputs"], "properties": {"inputs": {"type": "string"}}}}}}, "responses": {"200": {}}}});
    let info = json!({"get": {"responses": {"200": {}}}});
    let paths = json!({"/generate": inputs, "/generate_stream": inputs, "/tokenize": inputs, "/embed": inputs, "/rerank": inputs,
                       "/info": info});
    let document = json!({"openapi": "3.0.3", "paths": paths}).to_string();
    let tgi = json!({"model_id": "org/tiny", "max_total_tokens": 2048});
    let surface = Fake::new(&[
        ("/api-doc/openapi.json", 200, document.clone()),
        ("/info", 200, tgi.to_string()),
    ])
    .discover("/");
    assert!(
        !work(&surface).contains(&"POST /generate_stream"),
        "{:?}",
        work(&surface)
    );
    assert_eq!(endpoint(&surface, "POST /tokenize").role, Role::Resource);
    assert_eq!(
        body(endpoint(&surface, "POST /generate"))["parameters"]["max_new_tokens"],
        16
    );

    let tei = json!({"model_id": "org/tiny", "model_type": {"reranker": {}}});
    let surface = Fake::new(&[
        ("/api-doc/openapi.json", 200, document),
        ("/info", 200, tei.to_string()),
    ])
    .discover("/");
    assert!(!work(&surface).contains(&"POST /embed"), "{:?}", work(&surface));
    let texts = body(endpoint(&surface, "POST /rerank"))["texts"].clone();
    assert_eq!(texts.as_array().map(Vec::len), Some(3));
}

#[test]
fn tensorflow_serving_is_asked_by_the_signature_of_its_model() {
    let dims = |sizes: &[&str]| sizes.iter().map(|size| json!({"size": size})).collect::<Vec<_>>();
    let inputs = json!({
        "pixels": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": dims(&["-1", "4", "6", "3"])}},
        "flag": {"dtype": "DT_BOOL", "tensor_shape": {"dim": dims(&["-1"])}}});
    let metadata =
        json!({"metadata": {"signature_def": {"signature_def": {"serving_default": {"inputs": inputs}}}}});
    let state = json!({"model_version_status": [{"version": "1", "state": "AVAILABLE"}]});
    let pages = [
        (
            "/v1/models",
            400,
            json!({"error": "Missing model name in request."}).to_string(),
        ),
        ("/v1/models/net", 200, state.to_string()),
        ("/v1/models/net/metadata", 200, metadata.to_string()),
    ];
    let unnamed = Fake::new(&pages).discover("/");
    assert!(
        said(&unnamed).contains("prony check URL/v1/models/NAME"),
        "{}",
        said(&unnamed)
    );
    for path in ["/v1/models/net", "/v1/models/net:predict", "/"] {
        let mut pages = pages.to_vec();
        if path == "/" {
            let metrics = "load_attempt_count{model_path=\"/models/net/1\",status=\"success\"} 1";
            pages.push(("/monitoring/prometheus/metrics", 200, metrics.to_owned()));
        }
        let surface = Fake::new(&pages).discover(path);
        assert_eq!(work(&surface), ["POST /v1/models/net:predict"], "{path}");
        let row = &body(endpoint(&surface, "POST /v1/models/net:predict"))["instances"][0];
        assert!(row["flag"].is_boolean());
        let lengths = [
            row["pixels"].as_array().unwrap().len(),
            row["pixels"][0].as_array().unwrap().len(),
            row["pixels"][0][0].as_array().unwrap().len(),
        ];
        assert_eq!(lengths, [4, 6, 3]);
    }
}

#[test]
fn torchserve_keeps_its_list_to_itself() {
    let wrong = json!({"code": 404, "type": "ResourceNotFoundException", "message": "m"}).to_string();
    let mut fetch = answering(|label, _| match label {
        "OPTIONS /" => (
            200,
            json!({"openapi": "3.0.1", "paths": {"/predictions/{model_name}": {}}}),
        ),
        _ => (404, serde_json::from_str(&wrong).unwrap()),
    });
    let surface = discover(&mut fetch, "/", &Told::default()).unwrap().surface;
    assert!(
        said(&surface).contains("prony check URL/predictions/NAME"),
        "{}",
        said(&surface)
    );
    assert!(!surface.endpoints.iter().any(Endpoint::is_work));
}

#[test]
fn what_an_undescribed_endpoint_takes_is_tried() {
    let documented = |answer: fn(&Value) -> (u16, Value)| {
        let paths = json!({"/predict": {"post": {"responses": {"200": {"content": {"application/json": {"schema": {}}}}}}}});
        let document = json!({"openapi": "3.1.0", "paths": paths});
        let mut fetch = answering(move |label, body| match label {
            "GET /openapi.json" => (200, document.clone()),
            "POST /predict" => answer(body),
            _ => (404, json!({"detail": "Not Found"})),
        });
        discover(&mut fetch, "/", &Told::default()).unwrap().surface
    };
    let number = documented(|body| match body["input"].as_f64() {
        Some(x) => (200, json!({"output": x * x})),
        None => (500, json!({"detail": "Internal server error"})),
    });
    let predict = endpoint(&number, "POST /predict");
    assert_eq!((body(predict), predict.samples.len()), (json!({"input": 0.5}), 8));
    assert!(said(&number).contains("tried"), "{}", said(&number));
    let named = documented(|body| match body["sentence"].as_str() {
        Some(text) => (200, json!({"length": text.len()})),
        None => (
            422,
            json!({"detail": [{"loc": ["body", "sentence"], "msg": "field required"}]}),
        ),
    });
    assert!(body(endpoint(&named, "POST /predict"))["sentence"].is_string());
    // One that answers anything well must answer what it reads otherwise.
    let deaf = documented(|body| (200, json!({"seen": body["prompt"].is_string()})));
    let chosen = body_or_empty(&deaf);
    assert!(chosen.is_null() || chosen["prompt"].is_string(), "{chosen}");
    let closed = documented(|_| (400, json!({"error": "a format of its own"})));
    assert!(work(&closed).is_empty());
    assert!(
        said(&closed).contains("prony check URL/predict -b"),
        "{}",
        said(&closed)
    );
}

fn body_or_empty(surface: &Surface) -> Value {
    let sent = endpoint(surface, "POST /predict").samples[0]
        .request
        .body
        .to_bytes();
    sent.map_or(Value::Null, |sent| serde_json::from_slice(&sent).unwrap())
}

#[test]
fn the_columns_that_a_model_misses_are_filled_in() {
    let mut fetch = answering(|_, body| {
        let columns = body.pointer("/dataframe_split/columns");
        if columns == Some(&json!(["a b", "c"])) {
            return (200, json!({"predictions": [1]}));
        }
        let words = "Failed to enforce schema: Model is missing inputs ['a b', 'c'].";
        (400, json!({"error_code": "BAD_REQUEST", "message": words}))
    });
    let (samples, _) =
        guess::requests(&mut fetch, "/invocations", &[Shape::field("inputs", Holds::Rows)]).unwrap();
    assert_eq!(samples.len(), 8);
    assert_ne!(samples[0].request.body, samples[1].request.body);
}

#[test]
fn a_key_that_is_missing_ends_the_tries() {
    let mut count = 0;
    let mut fetch = |_: &Request| {
        count += 1;
        Captured {
            status: 401,
            ..empty()
        }
    };
    assert!(guess::requests(&mut fetch, "/predict", &[Shape::Text]).is_err());
    assert_eq!(count, 1);
}

#[test]
fn sound_and_pictures_are_work_where_they_are_answered() {
    let models = json!({"data": [{"id": "tiny"}, {"id": "whisper-small"}]});
    let refused = json!({"error": {"message": "not supported", "type": "BadRequestError"}});
    let mut fetch = answering(move |label, _| match label {
        "GET /v1/models" => (200, models.clone()),
        "POST /v1/audio/transcriptions" => (200, json!({"text": "a"})),
        "POST /v1/audio/speech" | "POST /v1/chat/completions" => (400, refused.clone()),
        _ => (404, json!({"detail": "Not Found"})),
    });
    let mut sound = None;
    let mut watched = |request: &Request| {
        if request.path == "/v1/audio/transcriptions"
            && request.body.to_bytes().is_some_and(|b| b.len() > 1000)
        {
            sound = request.body.to_bytes();
            return fetch(request);
        }
        match request.path.as_str() {
            // The empty request.
            "/v1/audio/transcriptions" => Captured {
                status: 422,
                body: json!({"detail": []}).to_string(),
                ..empty()
            },
            _ => fetch(request),
        }
    };
    let surface = discover(&mut watched, "/", &Told::default()).unwrap().surface;
    assert_eq!(
        work(&surface),
        ["POST /v1/audio/transcriptions", "POST /v1/chat/completions"]
    );
    assert_eq!(
        body(endpoint(&surface, "POST /v1/chat/completions"))["model"],
        "tiny"
    );
    let form = String::from_utf8_lossy(&sound.unwrap()).into_owned();
    assert!(
        form.contains("RIFF") && form.contains("whisper-small"),
        "{}",
        &form[..200]
    );
    assert!(
        said(&surface).contains("POST /v1/audio/speech answers 400"),
        "{}",
        said(&surface)
    );
}

#[test]
fn gradio_is_asked_by_its_functions_and_not_by_its_own_routes() {
    let function = json!({"parameters": [
        {"parameter_name": "name", "parameter_has_default": false, "type": {"type": "string"}, "example_input": "Hello!!"},
        {"parameter_name": "steps", "parameter_has_default": true, "parameter_default": 2, "type": {"type": "number"}}]});
    let picture = json!({"parameters": [
        {"parameter_name": "image", "parameter_has_default": false, "type": {"properties": {"path": {}}}}]});
    let own = json!({"openapi": "3.1.0", "paths": {"/gradio_api/reset": {"post": {"responses": {}}}}});
    let mut fake = Fake::new(&[
        ("/", 200, "<script>window.gradio_config = {}</script>".to_owned()),
        ("/openapi.json", 200, own.to_string()),
        (
            "/gradio_api/info",
            200,
            json!({"named_endpoints": {"/greet": function, "/look": picture}}).to_string(),
        ),
    ]);
    let surface = fake.discover("/");
    assert_eq!(work(&surface), ["POST /gradio_api/run/greet"]);
    let greet = endpoint(&surface, "POST /gradio_api/run/greet");
    assert_eq!(body(greet)["data"][1], 2);
    assert!(body(greet)["data"][0].is_string() && greet.samples.len() == 8);
    assert!(
        said(&surface).contains("/look takes a file"),
        "{}",
        said(&surface)
    );
    assert!(
        !fake
            .asked
            .iter()
            .any(|asked| asked.contains("openapi") || asked.starts_with("POST /gradio"))
    );
}
