//! What is made is held against the tokenizer itself, by what stands in the requests.

use std::path::{Path, PathBuf};

use prony_model::{
    AnthropicSpec, Body, DatasetFormat, DatasetSpec, ImageSpec, Item, Length, ModelSpec, OpenaiApi,
    OpenaiSpec, PromptSpec, SessionSpec, SharedSpec, StreamExpect, StreamProtocol, TraceFormat, TraceSpec,
};
use prony_prompts::{PromptError, Workload, anthropic, openai};
use proptest::{prop_assert_eq, proptest};
use serde_json::Value;
use tokenizers::Tokenizer;

/// Text files, and a byte-level BPE of 2,000 tokens.
fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../suites/examples/data")
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_file(data().join("tokenizer.json")).unwrap()
}

fn count(tokenizer: &Tokenizer, text: &str) -> u32 {
    tokenizer.encode(text, false).unwrap().get_ids().len() as u32
}

fn spec(prompts: u32, tokens: u32) -> OpenaiSpec {
    OpenaiSpec {
        prompts,
        prompt: PromptSpec {
            tokens: Length::Constant(tokens),
            tokenizer: Some("tokenizer.json".into()),
            ..PromptSpec::default()
        },
        ..OpenaiSpec::new("m")
    }
}

fn made(spec: &OpenaiSpec) -> Workload {
    openai(spec, &data(), 7).unwrap_or_else(|e| panic!("{e:?}"))
}

fn text_of(item: &Item) -> &str {
    match &item.request.body {
        Body::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

fn body(item: &Item) -> Value {
    serde_json::from_str(text_of(item)).unwrap()
}

/// Tokens of all messages of a chat request.
fn said(tokenizer: &Tokenizer, item: &Item) -> u32 {
    let body = body(item);
    let messages = body["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|m| count(tokenizer, m["content"].as_str().unwrap()))
        .sum()
}

fn stream(item: &Item) -> StreamExpect {
    item.expect.stream.unwrap()
}

fn key(result: Result<Workload, PromptError>) -> String {
    result.unwrap_err().key
}

#[test]
fn every_length_is_met() {
    let tokenizer = tokenizer();
    for tokens in (1..=70).chain([511, 512, 513, 2_000]) {
        for item in made(&spec(2, tokens)).items {
            assert_eq!(said(&tokenizer, &item), tokens);
            assert_eq!(stream(&item).prompt_tokens, Some(tokens));
        }
    }
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]
    #[test]
    fn lengths_are_met_whatever_stands_before(tokens in 40_u32..400, shared in 1_u32..39, joined: bool, seed: u64) {
        let mut spec = spec(3, tokens);
        spec.system = Some("Be brief".into());
        spec.prompt.shared = Some(SharedSpec { tokens: shared, groups: 2, zipf: 0.0 });
        spec.api = if joined { OpenaiApi::Completions } else { OpenaiApi::Chat };
        let tokenizer = tokenizer();
        let system = count(&tokenizer, "Be brief\n\n");
        for item in openai(&spec, &data(), seed).unwrap().items {
            let found = if joined {
                count(&tokenizer, body(&item)["prompt"].as_str().unwrap())
            } else {
                said(&tokenizer, &item)
            };
            prop_assert_eq!(found, tokens + system);
            prop_assert_eq!(stream(&item).prompt_tokens, Some(found));
        }
    }
}

#[test]
fn the_same_seed_asks_the_same_and_more_prompts_change_none() {
    let few = made(&spec(4, 50));
    assert_eq!(few, made(&spec(4, 50)));
    assert_eq!(few.items, made(&spec(9, 50)).items[..4]);
    let other = openai(&spec(4, 50), &data(), 8).unwrap();
    assert!(few.items.iter().zip(&other.items).all(|(a, b)| a != b));
    let texts: std::collections::BTreeSet<&str> = few.items.iter().map(text_of).collect();
    assert_eq!(texts.len(), 4);
}

#[test]
fn groups_share_their_beginning_and_nothing_else() {
    let mut spec = spec(40, 100);
    spec.prompt.shared = Some(SharedSpec {
        tokens: 60,
        groups: 3,
        zipf: 1.0,
    });
    let items = made(&spec).items;
    let shared: Vec<u32> = items
        .iter()
        .map(|item| stream(item).shared_tokens.unwrap())
        .collect();
    // Texts that begin alike by chance share a few tokens more.
    let first = shared.iter().filter(|n| **n < 8).count();
    let again = shared.iter().filter(|n| (60..70).contains(*n)).count();
    assert_eq!((first, again), (3, 37), "{shared:?}");
    let heads: std::collections::BTreeSet<String> = items
        .iter()
        .map(|item| body(item)["messages"][0]["content"].to_string())
        .collect();
    assert_eq!(heads.len(), 3);
}

#[test]
fn the_body_is_what_the_endpoint_takes() {
    let mut spec = spec(1, 20);
    spec.extra.insert("temperature".into(), 0.into());
    spec.output.exact = true;
    let item = &made(&spec).items[0];
    assert_eq!(item.request.label(), "POST /v1/chat/completions");
    let sent = body(item);
    assert_eq!(sent["model"], "m");
    assert_eq!(sent["stream_options"]["include_usage"], true);
    let numbers = (&sent["max_tokens"], &sent["min_tokens"], &sent["temperature"]);
    assert_eq!(numbers, (&128.into(), &128.into(), &0.into()));
    assert_eq!(
        (&sent["ignore_eos"], &sent["stream"]),
        (&true.into(), &true.into())
    );
    let expected = stream(item);
    assert_eq!(expected.protocol, StreamProtocol::OpenaiChat);
    assert_eq!((expected.min_tokens, expected.max_tokens), (Some(128), Some(128)));

    spec.api = OpenaiApi::Responses;
    spec.output.field = None;
    let sent = body(&made(&spec).items[0]);
    assert_eq!(sent["max_output_tokens"], 128);
    assert!(sent["input"][0]["content"].is_string() && sent.get("stream_options").is_none());

    spec.api = OpenaiApi::Embeddings;
    spec.output.exact = false;
    let item = &made(&spec).items[0];
    assert_eq!(item.request.path, "/v1/embeddings");
    assert!(body(item)["input"].is_string() && item.expect.stream.is_none());
    assert_eq!(item.expect.body.len(), 1);
}

#[test]
fn estimated_lengths_are_not_called_known() {
    let mut spec = spec(2, 50);
    spec.prompt.tokenizer = None;
    let found = made(&spec);
    assert_eq!(stream(&found.items[0]).prompt_tokens, None);
    assert!(
        found.notes[0].contains("estimated at 4 characters"),
        "{:?}",
        found.notes
    );
    let text = body(&found.items[0])["messages"][0]["content"].to_string();
    assert!((190..=212).contains(&text.len()), "{}", text.len());
}

#[test]
fn a_salt_is_as_long_as_every_other() {
    let mut spec = spec(2, 60);
    spec.prompt.cache_bust = true;
    let found = made(&spec);
    let feeds = &found.slots.as_ref().unwrap().feeds;
    assert_eq!(feeds.len(), 4);
    let prony_model::Generate::Choice { of } = feeds["salt0"].generate.as_ref().unwrap() else {
        panic!("no words");
    };
    assert!(of.len() >= 32, "{}", of.len());
    let tokenizer = tokenizer();
    for item in &found.items {
        assert_eq!(stream(item).shared_tokens, Some(0));
        for k in 0..of.len() {
            let mut text = text_of(item).to_owned();
            for slot in 0..4 {
                text = text.replace(&format!("{{{{salt{slot}}}}}"), &of[(k + slot * 7) % of.len()]);
            }
            let sent: Value = serde_json::from_str(&text).unwrap();
            let messages = sent["messages"].as_array().unwrap();
            let total: u32 = messages
                .iter()
                .map(|m| count(&tokenizer, m["content"].as_str().unwrap()))
                .sum();
            assert_eq!(Some(total), stream(item).prompt_tokens);
        }
    }
}

#[test]
fn a_session_grows_turn_by_turn() {
    let mut spec = spec(5, 30);
    spec.session = Some(SessionSpec {
        turns: 3,
        answer_tokens: Length::Constant(11),
        think_ms: 40.0,
    });
    let found = made(&spec);
    let flow = found.flow.unwrap();
    assert_eq!(found.items.len(), 3);
    assert_eq!((flow.steps[0].think_ms, flow.steps[2].think_ms), (0.0, 40.0));
    let tokens: Vec<Option<u32>> = found.items.iter().map(|i| stream(i).prompt_tokens).collect();
    assert_eq!(tokens, [Some(30), Some(71), Some(112)]);
    let last = text_of(&found.items[2]);
    for at in 0..5 {
        assert!(last.contains(&format!("{{{{message{at} | raw}}}}")), "{last}");
    }
    assert!(!text_of(&found.items[0]).contains("message1"));
    let feeds = found.slots.unwrap().feeds;
    let prony_model::Generate::Choice { of } = feeds["message1"].generate.as_ref().unwrap() else {
        panic!("no messages");
    };
    let answer: Value = serde_json::from_str(&of[4]).unwrap();
    assert_eq!(answer["role"], "assistant");
    assert_eq!(count(&tokenizer(), answer["content"].as_str().unwrap()), 11);
}

#[test]
fn a_trace_has_its_lengths_and_its_blocks() {
    let mut spec = spec(1, 1);
    spec.prompt.trace = Some(TraceSpec {
        file: "mooncake.jsonl".into(),
        format: TraceFormat::Mooncake,
    });
    let file = std::fs::read_to_string(data().join("mooncake.jsonl")).unwrap();
    let rows: Vec<Value> = file.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let items = made(&spec).items;
    assert_eq!(items.len(), 20);
    let tokenizer = tokenizer();
    let mut seen: Vec<Vec<u64>> = Vec::new();
    for (row, item) in rows.iter().zip(&items) {
        assert_eq!(
            u64::from(said(&tokenizer, item)),
            row["input_length"].as_u64().unwrap()
        );
        assert_eq!(
            stream(item).max_tokens.map(u64::from),
            row["output_length"].as_u64(),
            "{row}"
        );
        let ids: Vec<u64> = serde_json::from_value(row["hash_ids"].clone()).unwrap();
        let common = |other: &Vec<u64>| ids.iter().zip(other).take_while(|(a, b)| a == b).count() as u32;
        let blocks = seen.iter().map(common).max().unwrap_or(0);
        let shared = stream(item).shared_tokens.unwrap();
        // Whole blocks, and what texts share by chance.
        assert!(
            (blocks * 512..blocks * 512 + 8).contains(&shared),
            "{row}: {shared}"
        );
        seen.push(ids);
    }
}

#[test]
fn what_a_file_says_is_sent_as_it_stands() {
    let folder = std::env::temp_dir().join(format!("prony-prompts-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("lines.txt"),
        "say {{seq}} and {{{{ \"twice\" }}\nnext\n",
    )
    .unwrap();
    let mut spec = OpenaiSpec::new("m");
    spec.prompt.dataset = Some(DatasetSpec {
        file: "lines.txt".into(),
        format: DatasetFormat::Lines,
    });
    spec.prompt.cache_bust = true;
    let found = openai(&spec, &folder, 1).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(found.items.len(), 2);
    let text = text_of(&found.items[0]);
    assert!(!text.contains("{{seq}}") && text.contains("{{salt3}}"), "{text}");
    let messages = body(&found.items[0])["messages"].clone();
    assert_eq!(messages[1]["content"], "say {{seq}} and {{{{ \"twice\" }}");
}

#[test]
fn messages_as_anthropic_takes_them() {
    let spec = AnthropicSpec {
        prompts: 3,
        system: Some("Be kind.".into()),
        prompt: PromptSpec {
            shared: Some(SharedSpec {
                tokens: 30,
                groups: 1,
                zipf: 0.0,
            }),
            ..spec(1, 50).prompt
        },
        max_tokens: Length::Constant(9),
        thinking_tokens: Some(4),
        cache_control: true,
        images: Some(ImageSpec {
            count: 1,
            width: 8,
            height: 8,
        }),
        ..AnthropicSpec::new(ModelSpec::One("m".into()))
    };
    let item = &anthropic(&spec, &data(), 1).unwrap().items[1];
    assert_eq!(item.request.path, "/v1/messages");
    assert!(
        item.request
            .headers
            .iter()
            .any(|h| h.name == "anthropic-version" && h.value == "2023-06-01")
    );
    let sent = body(item);
    assert_eq!(sent["system"][0]["cache_control"]["type"], "ephemeral");
    assert!(
        sent["system"][0]["text"]
            .as_str()
            .unwrap()
            .starts_with("Be kind.\n\n")
    );
    assert_eq!(sent["messages"].as_array().unwrap().len(), 1);
    assert_eq!(
        sent["messages"][0]["content"][0]["source"]["media_type"],
        "image/png"
    );
    assert_eq!(
        (&sent["max_tokens"], &sent["thinking"]["budget_tokens"]),
        (&9.into(), &4.into())
    );
    assert_eq!(stream(item).protocol, StreamProtocol::AnthropicMessages);

    let wrong = |change: &dyn Fn(&mut AnthropicSpec)| {
        let mut spec = spec.clone();
        change(&mut spec);
        key(anthropic(&spec, &data(), 1))
    };
    assert_eq!(wrong(&|s| s.thinking_tokens = Some(9)), "thinking_tokens");
    assert_eq!(wrong(&|s| s.version = "a\nb".into()), "version");
    assert_eq!(
        wrong(&|s| {
            s.system = None;
            s.prompt.shared = None;
        }),
        "cache_control"
    );
}

#[test]
fn mistakes_are_told_with_their_key() {
    let wrong = |change: &dyn Fn(&mut OpenaiSpec)| {
        let mut spec = spec(2, 50);
        change(&mut spec);
        key(openai(&spec, &data(), 1))
    };
    let shared = |tokens, groups, zipf| Some(SharedSpec { tokens, groups, zipf });
    assert_eq!(wrong(&|s| s.prompts = 0), "prompts");
    assert_eq!(wrong(&|s| s.prompt.tokens = Length::Constant(0)), "prompt.tokens");
    assert_eq!(wrong(&|s| s.output.tokens = Length::Constant(0)), "output.tokens");
    assert_eq!(
        wrong(&|s| s.prompt.tokenizer = Some("none".into())),
        "prompt.tokenizer"
    );
    assert_eq!(
        wrong(&|s| s.prompt.tokenizer = Some("trace.csv".into())),
        "prompt.tokenizer"
    );
    assert_eq!(
        wrong(&|s| s.prompt.chars_per_token = Some(3.0)),
        "prompt.chars_per_token"
    );
    assert_eq!(
        wrong(&|s| s.prompt.shared = shared(50, 1, 0.0)),
        "prompt.shared.tokens"
    );
    assert_eq!(
        wrong(&|s| s.prompt.shared = shared(5, 0, 0.0)),
        "prompt.shared.groups"
    );
    assert_eq!(
        wrong(&|s| s.prompt.shared = shared(5, 1, -1.0)),
        "prompt.shared.zipf"
    );
    assert_eq!(wrong(&|s| s.path = Some("v1".into())), "path");
    assert_eq!(
        wrong(&|s| {
            s.api = OpenaiApi::Embeddings;
            s.images = Some(ImageSpec {
                count: 1,
                width: 8,
                height: 8,
            });
        }),
        "images"
    );
    // Six billion characters are refused before they fill the memory.
    assert_eq!(
        wrong(&|s| {
            s.prompts = 1_000_000;
            s.prompt.tokenizer = None;
            s.prompt.tokens = Length::Constant(100_000);
        }),
        "prompts"
    );
}
