//! `[scenario.openai]` and `[scenario.anthropic]`: what a person reads when they are wrong, what the engine is given, and
//! that they print back as themselves.

use std::collections::BTreeMap;

use prony_model::{
    AnthropicSpec, Body, DatasetFormat, DatasetSpec, Drawn, ImageSpec, Length, ModelMix, ModelPick,
    ModelSpec, OpenaiApi, OpenaiSpec, OutputSpec, PromptSpec, Scenario, SessionSpec, SharedSpec,
    StreamProtocol, TraceFormat, TraceSpec,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use serde_json::json;

use super::{suite, suites};
use crate::config::expand;
use crate::config::read::{parse, read};

fn with(scenario: &str) -> String {
    format!(
        "[target]\nurl = 'http://h'\n[[scenario]]\nname = 's'\n{scenario}\n[[phase]]\nname = 'p'\nscenarios = ['s']\n\
         shape.burst = {{ size = 3 }}\n"
    )
}

fn refused(scenario: &str) -> String {
    match suite(&with(scenario)) {
        Ok(_) => panic!("this suite is wrong but was accepted:\n{scenario}"),
        Err(diagnostic) => diagnostic.render(false),
    }
}

/// What is wrong, the line it is told at, and what helps; each as a part of the message.
const WRONG: &[(&str, [&str; 3])] = &[
    (
        "[scenario.openai]\nprompts = 3",
        ["missing key `model`", "[scenario.openai]", "add `model = ...`"],
    ),
    (
        "openai = { model = 'm', api = 'chats' }",
        ["unknown value `chats`", "openai = {", "did you mean `chat`?"],
    ),
    (
        "[scenario.openai]\nmodel = 'm'\nprompt.tokens = 'many'",
        [
            "wrong type: expected a number of tokens, or a table such as { uniform",
            "prompt.tokens = 'many'",
            "found string \"many\"",
        ],
    ),
    (
        "[scenario.openai]\nmodel = 'm'\nprompt.tokens = { unifrom = { from = 1, to = 2 } }",
        [
            "unknown value `unifrom`",
            "prompt.tokens =",
            "did you mean `uniform`?",
        ],
    ),
    (
        "[scenario.openai]\nmodel = 'm'\nprompt.tokens = { uniform = { from = 9, to = 2 } }",
        [
            "the range ends before it begins",
            "prompt.tokens =",
            "write `to` of at least `from`",
        ],
    ),
    (
        "[scenario.openai]\nmodel = 'm'\nprompt.tokenizer = 'none.json'",
        [
            "none.json is no tokenizer",
            "prompt.tokenizer =",
            "`tokenizer.json` of the model",
        ],
    ),
    (
        "[scenario.openai]\nmodel = 'm'\nprompt = { tokens = 50, shared = { tokens = 64 } }",
        [
            "must be shorter than the shortest prompt",
            "prompt = {",
            "raise `prompt.tokens`",
        ],
    ),
    (
        "[scenario.openai]\nmodel = 'm'\nstreams = true",
        [
            "unknown key `streams`",
            "streams = true",
            "did you mean `stream`?",
        ],
    ),
    (
        "[scenario.openai]\nmodel = 'm'\nprompt.dataset = { file = 'a', format = 'lines' }\n\
         prompt.trace = { file = 'b', format = 'azure' }",
        ["both say what is asked", "prompt.trace =", "keep one of them"],
    ),
    (
        "order = 'random'\n[scenario.openai]\nmodel = 'm'\nprompt.trace = { file = 'b', format = 'azure' }",
        ["are sent in their order", "order = 'random'", "remove `order`"],
    ),
    (
        "[scenario.openai]\nmodel = 'm'\nprompt.trace = { file = 'b.csv', format = 'azure' }",
        [
            "b.csv cannot be used",
            "prompt.trace =",
            "from the suite's folder",
        ],
    ),
    (
        "[scenario.openai]\nmodel = 'm'\nsession.turns = 1",
        [
            "a session has 2 to 1000 turns",
            "session.turns = 1",
            "remove `session`",
        ],
    ),
    (
        "[scenario.openai]\nmodel = { of = [] }",
        ["there is no model", "model = {", "name at least one"],
    ),
    (
        "[scenario.anthropic]\nmodel = 'm'\nmax_tokens = 100\nthinking_tokens = 1024",
        [
            "must be left tokens",
            "thinking_tokens = 1024",
            "less than `max_tokens`",
        ],
    ),
    (
        "[scenario.anthropic]\nmodel = 'm'\ncache_control = true",
        [
            "there is no beginning to mark",
            "cache_control = true",
            "prompt.shared",
        ],
    ),
    (
        "openai = { model = 'm' }\nanthropic = { model = 'm' }",
        ["exactly one kind of request", "[[scenario]]", "[scenario.openai]"],
    ),
];

#[test]
fn every_mistake_is_told_at_its_place_with_what_helps() {
    for (scenario, parts) in WRONG {
        let message = refused(scenario);
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in\n{message}");
        }
    }
}

fn scenarios(name: &str) -> Vec<Scenario> {
    let file = read(&suites().join("examples").join(name)).unwrap_or_else(|e| panic!("{}", e.render(false)));
    let mut notes = Vec::new();
    let phases = expand(
        &file.suite,
        &file.base_dir,
        &mut |_| panic!("nothing is fetched"),
        &mut |note| notes.push(note.to_owned()),
    );
    assert!(!notes.is_empty());
    phases
        .unwrap()
        .into_iter()
        .flat_map(|phase| phase.scenarios)
        .collect()
}

#[test]
fn the_examples_become_ordinary_requests() {
    let chat = scenarios("openai-chat.toml");
    let expected = chat[0].items[0].expect.stream.unwrap();
    assert_eq!((chat[0].items.len(), expected.prompt_tokens), (64, Some(128)));
    assert_eq!(expected.protocol, StreamProtocol::OpenaiChat);
    assert_eq!(chat[0].items[0].request.headers[0].value, "application/json");
    let trace = scenarios("mooncake.toml").remove(0);
    assert_eq!(
        (
            trace.items.len(),
            trace.items[0].expect.stream.unwrap().max_tokens
        ),
        (20, Some(15))
    );
    let claude = scenarios("anthropic.toml");
    assert_eq!(claude[1].flow.as_ref().map(|flow| flow.steps.len()), Some(3));
    assert_eq!(claude[1].part(3), "conversation/turn-3");
}

#[test]
fn a_trace_needs_its_file_beside_the_suite() {
    let text = with(
        "[scenario.openai]\nmodel = 'm'\nprompt.trace = { file = 'mooncake.jsonl', format = 'mooncake' }",
    );
    let file = parse("suite.toml", &text, suites().join("examples/data"))
        .unwrap_or_else(|e| panic!("{}", e.render(false)));
    let phases = expand(&file.suite, &file.base_dir, &mut |_| panic!(), &mut |_| ()).unwrap();
    let Body::Text(body) = &phases[0].scenarios[0].items[1].request.body else {
        panic!("a JSON body");
    };
    assert!(body.contains("\"max_tokens\":18"), "{body}");
    assert!(
        refused("[scenario.openai]\nmodel = 'm'\nprompt.trace = { file = 'a.csv', format = 'azure' }")
            .contains("a.csv")
    );
}

fn name() -> impl Strategy<Value = String> {
    "[a-z/{} .-]{1,12}"
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![0.0f64..1e6, Just(1.5)]
}

fn length() -> impl Strategy<Value = Length> {
    prop_oneof![
        any::<u32>().prop_map(Length::Constant),
        (any::<u32>(), any::<u32>()).prop_map(|(from, to)| Length::Drawn(Drawn::Uniform { from, to })),
        (number(), number(), any::<u32>()).prop_map(|(mean, sd, max)| {
            Length::Drawn(Drawn::Normal {
                mean,
                sd,
                min: 1,
                max,
            })
        }),
        (number(), number(), any::<u32>()).prop_map(|(median, sigma, min)| {
            Length::Drawn(Drawn::Lognormal {
                median,
                sigma,
                min,
                max: 9,
            })
        }),
        (vec(any::<u32>(), 0..3), vec(number(), 0..3))
            .prop_map(|(of, weights)| Length::Drawn(Drawn::List { of, weights })),
    ]
}

fn prompt() -> impl Strategy<Value = PromptSpec> {
    let dataset = (name(), any::<bool>()).prop_map(|(file, lines)| DatasetSpec {
        file,
        format: if lines {
            DatasetFormat::Lines
        } else {
            DatasetFormat::OpenaiJsonl
        },
    });
    let trace = name().prop_map(|file| TraceSpec {
        file,
        format: TraceFormat::Burstgpt,
    });
    let shared = (any::<u32>(), any::<u32>(), number()).prop_map(|(tokens, groups, zipf)| SharedSpec {
        tokens,
        groups,
        zipf,
    });
    (
        length(),
        option::of(name()),
        option::of(number()),
        option::of(shared),
        any::<bool>(),
        option::of(dataset),
        option::of(trace),
    )
        .prop_map(
            |(tokens, tokenizer, chars_per_token, shared, cache_bust, dataset, trace)| PromptSpec {
                tokens,
                vocabulary: tokenizer.clone(),
                tokenizer,
                chars_per_token,
                shared,
                cache_bust,
                dataset,
                trace,
            },
        )
}

fn model() -> impl Strategy<Value = ModelSpec> {
    prop_oneof![
        name().prop_map(ModelSpec::One),
        (vec(name(), 0..3), number()).prop_map(|(of, zipf)| ModelSpec::Mix(ModelMix {
            of,
            pick: ModelPick::Zipf,
            zipf
        })),
    ]
}

fn session() -> impl Strategy<Value = SessionSpec> {
    (any::<u32>(), length(), number()).prop_map(|(turns, answer_tokens, think_ms)| SessionSpec {
        turns,
        answer_tokens,
        think_ms,
    })
}

fn images() -> impl Strategy<Value = ImageSpec> {
    (any::<u32>(), any::<u32>()).prop_map(|(count, width)| ImageSpec {
        count,
        width,
        height: width / 2,
    })
}

/// Any table of the OpenAI kind.
pub(super) fn openai() -> impl Strategy<Value = OpenaiSpec> {
    (
        model(),
        prompt(),
        length(),
        option::of(name()),
        option::of(session()),
        option::of(images()),
        any::<bool>(),
    )
        .prop_map(
            |(model, prompt, tokens, system, session, images, stream)| OpenaiSpec {
                api: if stream {
                    OpenaiApi::Chat
                } else {
                    OpenaiApi::Responses
                },
                model,
                stream,
                path: system.clone(),
                prompts: 7,
                output: OutputSpec {
                    tokens,
                    exact: stream,
                    field: system.clone(),
                },
                system,
                prompt,
                session,
                images,
                tools: vec![json!({"type": "function", "function": {"name": "f"}})],
                extra: BTreeMap::from([("a".to_owned(), json!({"b": [1, 2.5]}))]),
            },
        )
}

/// Any table of the Anthropic kind.
pub(super) fn anthropic() -> impl Strategy<Value = AnthropicSpec> {
    (
        model(),
        prompt(),
        length(),
        option::of(name()),
        option::of(session()),
        any::<bool>(),
    )
        .prop_map(
            |(model, prompt, max_tokens, system, session, stream)| AnthropicSpec {
                stream,
                path: system.clone(),
                version: "v".to_owned(),
                prompts: 9,
                system,
                prompt,
                max_tokens,
                thinking_tokens: stream.then_some(3),
                cache_control: stream,
                session,
                ..AnthropicSpec::new(model)
            },
        )
}
