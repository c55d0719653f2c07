//! Honest answers, planted faults, and classifiers that are rightly sure of what they are given.

use std::collections::BTreeMap;

use prony_model::{Budget, Endpoint, Expect, JsonText, Request, Role, SampleRequest, Surface, Verdict};
use serde_json::{Value, json};

use crate::fake::library::{Faults, Library, surface};
use crate::fake::{Reply, body_json, complaints, run};

fn judged(faults: Faults) -> Vec<prony_model::Finding> {
    let mut library = Library::new(faults);
    run(&["coverage", "diversity"], &surface(), Budget::Standard, |r| {
        library.answer(r)
    })
    .1
}

#[test]
fn nothing_is_said_against_honest_answers() {
    let findings = judged(Faults::default());
    assert_eq!(complaints(&findings), [""; 0], "{findings:#?}");
    let overview = findings.iter().find(|f| f.id == "diversity").unwrap();
    assert_eq!(overview.verdict, Verdict::Pass);
    assert!(
        overview.title.starts_with("The answers depend on"),
        "{}",
        overview.title
    );
}

#[test]
fn each_planted_fault_is_found_alone() {
    for (faults, id, endpoint) in [
        (
            Faults {
                template: true,
                ..Faults::default()
            },
            "template-answer",
            "POST /v1/summarise",
        ),
        (
            Faults {
                ignores_query: true,
                ..Faults::default()
            },
            "input-ignored",
            "POST /v1/search",
        ),
        (
            Faults {
                one_class: true,
                ..Faults::default()
            },
            "degenerate-output",
            "POST /v1/classify",
        ),
    ] {
        let findings = judged(faults);
        let failed: Vec<_> = findings
            .iter()
            .filter(|f| f.verdict == Verdict::Fail && f.required)
            .collect();
        assert!(
            failed.iter().any(|f| f.id == id && f.endpoint == endpoint),
            "{id}: {findings:#?}"
        );
        assert!(failed.iter().all(|f| f.endpoint == endpoint), "{failed:#?}");
    }
}

/// What is said where the classifier gives every document this answer.
fn always_classified_as(answer: &Value) -> Vec<prony_model::Finding> {
    let mut library = Library::new(Faults::default());
    run(&["coverage", "diversity"], &surface(), Budget::Standard, |r| {
        let reply = library.answer(r);
        if r.path == "/v1/classify" && reply.status == 200 {
            Reply::json(200, answer)
        } else {
            reply
        }
    })
    .1
}

#[test]
fn inputs_of_one_class_may_get_the_same_class() {
    for answer in [
        json!({"label": "not_spam"}),
        json!({"prediction": 0, "model": "v3", "threshold": 0.5}),
        json!({"predictions": ["setosa"], "took_ms": 3}),
    ] {
        let findings = always_classified_as(&answer);
        assert_eq!(complaints(&findings), [""; 0], "{answer}");
        let class = findings.iter().find(|f| f.id == "constant-class");
        assert!(
            class.is_none_or(|f| f.title.ends_with("for all 6 inputs, and no certainty")),
            "{answer}: {class:#?}"
        );
    }
    for answer in [
        json!({"label": "not_spam", "score": 0.98}),
        json!({"label": "not_spam", "embedding": [1, 2, 3]}),
        json!({"label": "not_spam", "text": "It is none."}),
        json!({"results": [{"label": "alpha"}, {"label": "beta"}]}),
    ] {
        let findings = always_classified_as(&answer);
        assert!(complaints(&findings).contains(&"input-ignored"), "{answer}");
    }
}

/// The library with one more input of the search, required and chosen from a list.
fn with_choice(depends: bool) -> Vec<prony_model::Finding> {
    let mut surface = surface();
    let search = surface
        .endpoints
        .iter_mut()
        .find(|e| e.name == "POST /v1/search")
        .unwrap();
    let schema = &mut search.body_schema.as_mut().unwrap().0;
    schema["properties"]["language"] = json!({"type": "string", "enum": ["de", "fr", "it", "nl"]});
    schema["required"].as_array_mut().unwrap().push(json!("language"));
    for sample in &mut search.samples {
        sample.inputs.insert("language".into(), "de".into());
        let body = json!(sample.inputs);
        sample.request = Request::json("POST", "/v1/search", &body);
    }
    let mut library = Library::new(Faults::default());
    run(&["coverage", "diversity"], &surface, Budget::Quick, |r| {
        let reply = library.answer(r);
        let language = body_json(r).and_then(|b| b.get("language").cloned());
        match (language, serde_json::from_slice::<Value>(&reply.body)) {
            (Some(language), Ok(mut body)) => {
                body["language"] = language.clone();
                body["text"] = json!(if depends {
                    format!("words in {language}")
                } else {
                    "words".into()
                });
                Reply::json(reply.status, &body)
            }
            _ => reply,
        }
    })
    .1
}

#[test]
fn a_required_choice_that_changes_nothing_is_a_warning() {
    assert_eq!(complaints(&with_choice(true)), [""; 0]);
    let findings = with_choice(false);
    let ignored = findings.iter().find(|f| f.id == "input-ignored").expect("found");
    assert_eq!((ignored.counted(), ignored.required), (Verdict::Warn, false));
    assert!(ignored.title.contains("`language`"), "{}", ignored.title);
}

/// An endpoint of one field that takes values of that type, and has these samples.
fn one_field(field: &str, schema: &Value, samples: &[Value]) -> Surface {
    let path = "/v1/judge";
    let sample = |value: &Value| SampleRequest {
        request: Request::json("POST", path, &json!({ field: value })),
        inputs: BTreeMap::from([(field.to_owned(), crate::leaf::scalar_text(value))]),
    };
    let endpoint = Endpoint {
        name: format!("POST {path}"),
        method: "POST".into(),
        path: path.into(),
        role: Role::Inference,
        parameters: Vec::new(),
        body_schema: Some(JsonText(json!({
            "type": "object", "properties": { field: schema }, "required": [field]
        }))),
        declared_statuses: vec![200],
        samples: samples.iter().map(sample).collect(),
        expect: Expect::default(),
    };
    Surface {
        endpoints: vec![endpoint],
        ..Surface::default()
    }
}

/// The kinds of complaints about the endpoint and the names of the phases that were sent to it, where `answer` makes of its input what
/// it answers.
fn of_one_field(surface: &Surface, answer: impl Fn(&Value) -> Reply) -> (Vec<String>, Vec<String>) {
    let (phases, findings) = run(&["coverage", "diversity"], surface, Budget::Standard, |r| {
        let body = body_json(r).expect("JSON is sent");
        answer(body.as_object().and_then(|o| o.values().next()).expect("a field"))
    });
    let mut said: Vec<String> = findings
        .iter()
        .filter(|f| f.counted() > Verdict::Pass && f.id != "diversity")
        .map(|f| f.id.clone())
        .collect();
    said.sort_unstable();
    let own = phases.iter().filter(|p| p.phase.experiment == "diversity");
    (said, own.map(|p| p.phase.name.clone()).collect())
}

fn texts() -> Surface {
    let plain = [
        "The quick brown fox jumps over the lazy dog.",
        "Which rivers flow through the old town?",
        "A steam engine turns heat into motion.",
        "Bees return to the hive before the rain starts.",
        "The night train to the coast leaves at nine.",
        "Glass is made of sand, soda and lime.",
    ];
    one_field("text", &json!({"type": "string"}), &plain.map(Value::from))
}

#[test]
fn what_sorts_out_rare_inputs_is_asked_for_one_of_them() {
    let says = |text: &Value, words: &[&str]| words.iter().any(|w| text.as_str().unwrap().contains(w));
    let sure = |yes: bool| if yes { 1.0 } else { 0.0 };
    let moderates = |text: &Value| {
        let flagged = says(text, &["idiot"]);
        Reply::json(200, &json!({"flagged": flagged, "score": sure(flagged)}))
    };
    let tells_spam = |text: &Value| {
        let label = if says(text, &["prize"]) { "spam" } else { "ham" };
        Reply::json(
            200,
            &json!({"label": label, "confidence": 1.0, "tokens": text.as_str().unwrap().len()}),
        )
    };
    let tells_languages = |text: &Value| {
        let language = if says(text, &[" und "]) { "de" } else { "en" };
        Reply::json(200, &json!({"language": language, "confidence": 1.0}))
    };
    let both = ["variation", "contrast"].map(str::to_owned).to_vec();
    assert_eq!(of_one_field(&texts(), moderates), (Vec::new(), both.clone()));
    assert_eq!(of_one_field(&texts(), tells_spam), (Vec::new(), both.clone()));
    assert_eq!(of_one_field(&texts(), tells_languages), (Vec::new(), both));
}

#[test]
fn what_is_sure_of_inputs_of_every_kind_is_found() {
    let blind = |_: &Value| Reply::json(200, &json!({"label": "positive", "confidence": 1.0}));
    let (said, _) = of_one_field(&texts(), blind);
    assert_eq!(said, ["degenerate-output", "input-ignored"]);
    // Names that the target lists are of as many kinds as it holds.
    let names = ["alpha-1", "beta-2", "gamma-3", "delta-4", "omega-5", "sigma-6"];
    let listed = one_field("document", &json!({"type": "string"}), &names.map(Value::from));
    let (said, phases) = of_one_field(&listed, blind);
    assert_eq!(said, ["degenerate-output", "input-ignored"]);
    assert_eq!(phases, ["variation"]);
}

#[test]
fn nothing_is_said_where_no_input_of_another_kind_was_answered() {
    let strict = |text: &Value| {
        let text = text.as_str().unwrap();
        if ["password", "idiot", " und "]
            .iter()
            .any(|word| text.contains(word))
        {
            Reply::json(400, &json!({"error": "not allowed"}))
        } else {
            Reply::json(200, &json!({"label": "ham", "score": 0.0}))
        }
    };
    let (said, _) = of_one_field(&texts(), strict);
    assert_eq!(said, [""; 0]);
}

#[test]
fn numbers_far_from_the_samples_are_of_another_kind() {
    let samples: Vec<Value> = [0.5, 1.5, 0.25, 2.5, 0.75, 4.0]
        .iter()
        .map(|n| json!([n, n + 0.25, 0.5]))
        .collect();
    let surface = one_field(
        "features",
        &json!({"type": "array", "items": {"type": "number"}}),
        &samples,
    );
    let forest = |limit: f64| {
        move |features: &Value| {
            let large = features[0].as_f64().unwrap() > limit;
            let class = if large { "virginica" } else { "setosa" };
            Reply::json(200, &json!({"prediction": class, "probability": 1.0}))
        }
    };
    assert_eq!(of_one_field(&surface, forest(10.0)).0, [""; 0]);
    assert_eq!(
        of_one_field(&surface, forest(f64::MAX)).0,
        ["degenerate-output", "input-ignored"]
    );
}

#[test]
fn answers_that_differ_are_not_asked_for_more() {
    let counts = |text: &Value| {
        let length = text.as_str().unwrap().len() as f64;
        Reply::json(200, &json!({"score": length / 100.0}))
    };
    let (said, phases) = of_one_field(&texts(), counts);
    assert_eq!((said.len(), phases), (0, vec!["variation".to_owned()]));
}

#[test]
fn what_leaves_something_behind_is_not_varied_unless_it_was_chosen() {
    let name = "POST /v1/judge".to_owned();
    let blind = |_: &Value| Reply::json(200, &json!({"label": "positive", "confidence": 1.0}));
    let mut surface = texts();
    surface.keeps = vec![name.clone()];
    assert_eq!(of_one_field(&surface, blind), (Vec::new(), Vec::new()));
    surface.chosen = vec![name];
    assert!(!of_one_field(&surface, blind).0.is_empty());
}
