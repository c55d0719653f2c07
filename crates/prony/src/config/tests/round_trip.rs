//! A printed suite reads back as the same suite, whatever is in it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use prony_model::{
    Arrivals, Body, BodyCheck, Budget, Capture, Carry, Claim, DziPick, DziSpec, Endpoint, Expect, Feed,
    FeedOrder, FeedPer, Gate, Generate, Header, HttpSpec, HttpVersion, ImageFormat, ImageKind, ImageSpec,
    JsonText, KserveSpec, LaunchSpec, Limits, Objective, Order, OriginSpec, Outcome, Parameter, PartSpec,
    PhaseSpec, Place, Request, Retry, RetryOn, Role, RunSpec, S3Sign, SampleRequest, ScenarioSpec, Shape,
    SignSpec, Stage, StepSpec, StopSignal, Suite, TargetSpec, TensorSpec, TimeUnit, Until,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{prop_assert_eq, proptest};
use serde_json::{Value, json};

use super::prompts::{anthropic, openai};
use super::suites;
use crate::config::print;
use crate::config::read::read;

fn parsed(text: &str) -> Suite {
    toml::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

#[test]
fn the_suites_that_come_with_prony_print_back_as_themselves() {
    for name in [
        "enso.toml",
        "examples/minimal.toml",
        "examples/load-shapes.toml",
        "examples/gates.toml",
        "examples/arrivals.toml",
        "examples/feeds.toml",
        "examples/flows.toml",
        "examples/openai-chat.toml",
        "examples/prefix-cache.toml",
        "examples/mooncake.toml",
        "examples/anthropic.toml",
    ] {
        let suite = read(&suites().join(name), &[])
            .unwrap_or_else(|e| panic!("{}", e.render(false)))
            .suite;
        assert_eq!(parsed(&print(&suite)), suite, "{name}");
    }
}

#[test]
fn what_toml_cannot_say_is_written_as_text() {
    let mut suite = Suite::default();
    suite
        .experiment
        .insert("diversity".into(), json!({"a": null, "b": [1, null], "c": 2}));
    suite.scenario.push(ScenarioSpec {
        name: "s".into(),
        order: Order::InTurn,
        weight: 1.0,
        http: Some(HttpSpec {
            json: Some(json!({"a": null})),
            ..http()
        }),
        dzi: None,
        kserve: None,
        openai: None,
        anthropic: None,
        step: Vec::new(),
        cookies: false,
        retry: None,
    });
    let back = parsed(&print(&suite));
    assert_eq!(back.experiment["diversity"], json!({"b": [1], "c": 2}));
    assert_eq!(
        back.scenario[0].http.as_ref().unwrap().json_text,
        Some(JsonText(json!({"a": null})))
    );
}

#[test]
fn a_printed_plan_is_readable() {
    let mut suite = Suite {
        name: "plan".into(),
        ..Suite::default()
    };
    suite.target.url = "http://127.0.0.1:8000".into();
    suite.experiment.insert("coverage".into(), json!({}));
    suite.endpoint.push(Endpoint {
        name: "POST /api/analyze".into(),
        method: "POST".into(),
        path: "/api/analyze".into(),
        role: Role::Inference,
        parameters: Vec::new(),
        body_schema: Some(JsonText(json!({"type": "object"}))),
        declared_statuses: vec![200, 422],
        samples: vec![SampleRequest {
            request: Request::json("POST", "/api/analyze", &json!({"slide_id": "slide_000"})),
            inputs: BTreeMap::from([("slide_id".into(), "slide_000".into())]),
        }],
        expect: Expect::default(),
    });
    insta::assert_snapshot!(print(&suite));
}

fn part(text: &str) -> PartSpec {
    PartSpec {
        name: text.to_owned(),
        value: Some(text.to_owned()),
        file: None,
        image: Some(picture(7)),
        filename: None,
        content_type: Some(text.to_owned()),
    }
}

fn picture(side: u32) -> ImageSpec {
    ImageSpec {
        width: side,
        height: 1,
        kind: ImageKind::Complex,
        format: ImageFormat::Jpeg,
        seed: 3,
    }
}

fn http() -> HttpSpec {
    HttpSpec {
        method: "GET".into(),
        path: "/".into(),
        headers: Vec::new(),
        json: None,
        json_text: None,
        body: None,
        body_file: None,
        multipart: Vec::new(),
        image: None,
        values: BTreeMap::new(),
        expect: Expect::default(),
    }
}

/// Any text, with everything that TOML must escape.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z /{}:.-]{0,12}",
        "\\PC{0,8}",
        Just("a\n\"'\\\u{7f}\u{1b}é\t'''\"\"\"".to_owned())
    ]
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z_-]{1,8}"
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![0.0f64..1e6, Just(0.1), Just(1.0), Just(1e-9)]
}

/// JSON that TOML can say.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        number().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(text(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn headers() -> impl Strategy<Value = Vec<Header>> {
    vec(
        (name(), text()).prop_map(|(name, value)| Header { name, value }),
        0..3,
    )
}

fn expect() -> impl Strategy<Value = Expect> {
    let check = prop_oneof![
        any::<u32>().prop_map(|n| BodyCheck::MinBytes(n.into())),
        text().prop_map(BodyCheck::Contains),
        text().prop_map(BodyCheck::Regex),
        text().prop_map(BodyCheck::Json),
        (text(), text()).prop_map(|(mark, any)| BodyCheck::Own { mark, any }),
        (text(), text()).prop_map(|(pointer, value)| BodyCheck::JsonEquals { pointer, value }),
        text().prop_map(BodyCheck::Xxh3),
        text().prop_map(BodyCheck::SentBy),
        Just(BodyCheck::Etag),
        Just(BodyCheck::Rpc),
        Just(BodyCheck::Grpc),
        vec(tensor(), 0..2).prop_map(BodyCheck::Tensors),
        text().prop_map(|title| BodyCheck::Schema(JsonText(serde_json::json!({ "title": title })))),
    ];
    (vec(any::<u16>(), 0..3), option::of(text()), vec(check, 0..3)).prop_map(
        |(status, content_type, body)| Expect {
            status,
            content_type,
            body,
            stream: None,
        },
    )
}

fn tensor() -> impl Strategy<Value = TensorSpec> {
    (text(), text(), vec(any::<i64>(), 0..3)).prop_map(|(name, datatype, shape)| TensorSpec {
        name,
        datatype,
        shape,
    })
}

fn arrivals() -> impl Strategy<Value = Arrivals> {
    prop_oneof![
        Just(Arrivals::Poisson),
        Just(Arrivals::Constant),
        number().prop_map(|burstiness| Arrivals::Gamma { burstiness }),
    ]
}

fn scheduled_shape() -> impl Strategy<Value = Shape> {
    let units = prop_oneof![
        Just(TimeUnit::Seconds),
        Just(TimeUnit::Millis),
        Just(TimeUnit::Micros),
        Just(TimeUnit::Nanos),
        Just(TimeUnit::Date),
    ];
    prop_oneof![
        (number(), number(), arrivals(), any::<u32>()).prop_map(|(from, to, arrivals, in_flight_max)| {
            Shape::Ramp {
                from,
                to,
                duration_s: from + to,
                arrivals,
                in_flight_max,
            }
        }),
        (number(), number(), arrivals(), any::<u32>()).prop_map(|(base, peak, arrivals, in_flight_max)| {
            Shape::Spike {
                base,
                peak,
                at_s: base / 2.0,
                spike_s: peak / 2.0,
                duration_s: base + peak,
                arrivals,
                in_flight_max,
            }
        }),
        (text(), number(), units, option::of(text()), any::<u32>()).prop_map(
            |(file, speed, unit, scenario, in_flight_max)| Shape::Replay {
                time: file.clone(),
                file,
                speed,
                unit,
                scenario,
                in_flight_max,
            }
        ),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    let stage = (number(), number(), any::<bool>());
    let stage = stage.prop_map(|(rate, duration_s, jump)| Stage {
        rate,
        duration_s,
        jump,
    });
    prop_oneof![
        (any::<u32>(), option::of(number())).prop_map(|(n, duration_s)| Shape::Sequential {
            requests: n.into(),
            duration_s
        }),
        option::of(number()).prop_map(|duration_s| Shape::Once { duration_s }),
        (
            any::<u32>(),
            option::of(0u64..1 << 40),
            option::of(number()),
            number()
        )
            .prop_map(|(connections, requests, duration_s, think_ms)| Shape::Closed {
                connections,
                requests,
                duration_s,
                think_ms
            }),
        (number(), arrivals(), number(), any::<u32>()).prop_map(
            |(rate, arrivals, duration_s, in_flight_max)| {
                Shape::Open {
                    rate,
                    arrivals,
                    duration_s,
                    in_flight_max,
                }
            }
        ),
        (any::<u32>(), any::<u32>(), number()).prop_map(|(size, count, interval_s)| Shape::Burst {
            size,
            count,
            interval_s
        }),
        (
            vec(any::<u32>(), 0..4),
            option::of(0u64..1 << 40),
            option::of(number()),
            number()
        )
            .prop_map(|(connections, requests_each, duration_s, idle_s)| Shape::Ladder {
                connections,
                requests_each,
                duration_s,
                idle_s
            }),
        scheduled_shape(),
        (vec(stage, 0..3), arrivals(), any::<u32>()).prop_map(|(stages, arrivals, in_flight_max)| {
            Shape::Stages {
                stages,
                arrivals,
                in_flight_max,
            }
        }),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    (any::<u32>(), any::<u32>(), any::<bool>()).prop_map(|(timeout_ms, redirects_max, keep_alive)| Limits {
        timeout_ms: timeout_ms.into(),
        redirects_max,
        keep_alive,
        requests_per_connection: redirects_max / 2,
        connect_rate: f64::from(redirects_max) / 4.0,
        spin_us: redirects_max / 8,
        ..Limits::default()
    })
}

fn target() -> impl Strategy<Value = TargetSpec> {
    (
        text(),
        btree_map(text(), text(), 0..3),
        headers(),
        option::of(name()),
        any::<bool>(),
        vec(text(), 0..2),
    )
        .prop_map(
            |(url, knobs, headers, bearer_env, insecure, allow_hosts)| TargetSpec {
                url,
                command: allow_hosts.clone(),
                launch: LaunchSpec {
                    cwd: bearer_env.clone(),
                    env: knobs.clone(),
                    env_from: knobs.clone(),
                    ready: bearer_env.clone(),
                    start_timeout_ms: allow_hosts.len() as u64,
                    stop_signal: if insecure {
                        StopSignal::Quit
                    } else {
                        StopSignal::Term
                    },
                    stop_timeout_ms: 30_000,
                },
                knobs,
                headers,
                api_key_env: bearer_env.clone(),
                cacert: bearer_env.clone(),
                unix_socket: bearer_env.clone(),
                connect_to: bearer_env.clone(),
                bind: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
                cert: bearer_env.clone(),
                key: bearer_env.clone(),
                server_name: bearer_env.clone(),
                no_tls_resumption: insecure,
                http: if insecure {
                    HttpVersion::Http2
                } else {
                    HttpVersion::Auto
                },
                streams: insecure.then_some(3),
                bearer_env,
                insecure,
                allow_hosts,
                pid: Some(7),
                container: None,
                processes: insecure.then_some(4),
                upstream: Some("http://127.0.0.1:9000".to_owned()),
                metrics_url: Some("http://127.0.0.1:9100/metrics".to_owned()),
                gauges: vec!["pool_used".to_owned()],
            },
        )
}

fn run() -> impl Strategy<Value = RunSpec> {
    let budget = prop_oneof![
        Just(Budget::Quick),
        Just(Budget::Standard),
        Just(Budget::Thorough)
    ];
    (0u64..1 << 62, budget, number(), any::<u32>(), limits()).prop_map(
        |(seed, budget, rate_max, threads, limits)| RunSpec {
            seed,
            budget,
            rate_max,
            threads,
            normal_priority: threads % 2 == 1,
            endpoints: (0..threads % 3).map(|i| format!("POST /{i}")).collect(),
            not_loaded: (0..threads % 2).map(|i| format!("POST /kept/{i}")).collect(),
            limits,
        },
    )
}

fn scenario() -> impl Strategy<Value = ScenarioSpec> {
    let values = btree_map(name(), vec(text(), 0..3), 0..3);
    let spec = (
        text(),
        text(),
        headers(),
        option::of(json_value()),
        option::of(text()),
        values,
        expect(),
    );
    let http = spec.prop_map(|(method, path, headers, json, body, values, expect)| HttpSpec {
        method,
        path,
        headers,
        json_text: json.clone().map(JsonText),
        json,
        body_file: body.clone(),
        multipart: body.iter().map(|text| part(text)).collect(),
        image: body.as_ref().map(|text| picture(text.len() as u32)),
        body,
        values,
        expect,
    });
    let dzi = (text(), option::of(text()), 0..3_usize, any::<u32>());
    let dzi = dzi.prop_map(|(descriptor, tile_path, pick, tiles)| DziSpec {
        descriptor,
        tile_path,
        pick: [DziPick::Valid, DziPick::OutOfRange, DziPick::Viewport][pick],
        tiles,
    });
    let kserve = (
        text(),
        text(),
        vec(tensor(), 0..2),
        vec(text(), 0..2),
        any::<u32>(),
    );
    let kserve = kserve.prop_map(|(model, version, inputs, outputs, contents)| KserveSpec {
        model,
        version,
        inputs,
        outputs,
        contents,
    });
    let parts = (
        text(),
        any::<bool>(),
        number(),
        option::of(http.boxed()),
        (option::of(dzi.boxed()), option::of(kserve.boxed())),
        (option::of(openai().boxed()), option::of(anthropic().boxed())),
        vec(step(), 0..3),
        (any::<bool>(), option::of(retry())),
    );
    parts.prop_map(
        |(name, random, weight, http, (dzi, kserve), (openai, anthropic), step, (cookies, retry))| {
            ScenarioSpec {
                name,
                order: if random { Order::Random } else { Order::InTurn },
                weight,
                http,
                dzi,
                kserve,
                openai,
                anthropic,
                step,
                cookies,
                retry,
            }
        },
    )
}

fn step() -> impl Strategy<Value = StepSpec> {
    let carry = prop_oneof![
        text().prop_map(Carry::Json),
        text().prop_map(Carry::Header),
        text().prop_map(Carry::Regex)
    ];
    let until =
        (text(), text(), any::<u32>(), any::<u16>()).prop_map(|(pointer, value, every_ms, polls_max)| {
            Until {
                pointer,
                value,
                every_ms,
                polls_max,
            }
        });
    (
        text(),
        number(),
        btree_map(name(), carry, 0..3),
        option::of(until),
        option::of(text()),
        option::of(json_value()),
    )
        .prop_map(|(name, think_ms, carry, until, origin, json)| StepSpec {
            name,
            think_ms,
            carry,
            until,
            origin,
            http: HttpSpec { json, ..http() },
        })
}

fn origin() -> impl Strategy<Value = OriginSpec> {
    let sign = (
        text(),
        text(),
        option::of(text()),
        option::of(text()),
        any::<bool>(),
    )
        .prop_map(
            |(region, access_key_env, secret_key_file, session_token_env, unsigned_payload)| {
                SignSpec::S3(S3Sign {
                    region,
                    access_key_env,
                    secret_key_file,
                    session_token_env,
                    unsigned_payload,
                    ..S3Sign::default()
                })
            },
        );
    (text(), option::of(sign), any::<bool>(), option::of(text())).prop_map(|(url, sign, insecure, cacert)| {
        OriginSpec {
            url,
            sign,
            insecure,
            cacert,
            ..OriginSpec::default()
        }
    })
}

fn retry() -> impl Strategy<Value = Retry> {
    let on = prop_oneof![
        Just(RetryOn::ServerError),
        Just(RetryOn::Timeout),
        (100u16..=599).prop_map(RetryOn::Status),
        Just(RetryOn::Outcome(Outcome::Reset)),
    ];
    (any::<u8>(), vec(on, 0..3), any::<u32>(), any::<bool>()).prop_map(
        |(attempts, on, base_ms, unsafe_methods)| Retry {
            attempts,
            on,
            base_ms,
            cap_ms: base_ms / 2,
            retry_after_max_s: base_ms / 3,
            unsafe_methods,
        },
    )
}

fn feed() -> impl Strategy<Value = Feed> {
    let generate = prop_oneof![
        (any::<i64>(), any::<i64>()).prop_map(|(from, step)| Generate::Sequence { from, step }),
        (any::<i64>(), any::<i64>()).prop_map(|(from, to)| Generate::IntRange { from, to }),
        vec(text(), 0..3).prop_map(|of| Generate::Choice { of }),
        Just(Generate::Uuid),
    ];
    let order = prop_oneof![
        Just(FeedOrder::InTurn),
        Just(FeedOrder::Random),
        Just(FeedOrder::Once)
    ];
    (
        option::of(text()),
        option::of(generate),
        order,
        any::<bool>(),
        vec(text(), 0..2),
    )
        .prop_map(|(file, generate, order, user, secret)| Feed {
            file,
            generate,
            order,
            per: if user { FeedPer::User } else { FeedPer::Arrival },
            secret,
        })
}

fn phase() -> impl Strategy<Value = PhaseSpec> {
    (
        text(),
        text(),
        vec(text(), 0..3),
        shape(),
        option::of(limits()),
        any::<bool>(),
    )
        .prop_map(
            |(name, description, scenarios, shape, limits, advisory)| PhaseSpec {
                name,
                description,
                scenarios,
                shape,
                limits,
                capture: if advisory {
                    Capture::responses(3)
                } else {
                    Capture::NONE
                },
                advisory,
                fresh: advisory,
            },
        )
}

fn gate() -> impl Strategy<Value = Gate> {
    (text(), option::of(text()), text()).prop_map(|(phase, scenario, check)| Gate {
        phase,
        scenario,
        check,
    })
}

fn claim() -> impl Strategy<Value = Claim> {
    (text(), text(), vec(gate(), 0..3), vec(text(), 0..3), text()).prop_map(
        |(id, says, holds_if, unless, note)| Claim {
            id,
            says,
            holds_if,
            unless,
            note,
        },
    )
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let body = prop_oneof![
        Just(Body::Empty),
        text().prop_map(Body::Text),
        vec(any::<u8>(), 0..4).prop_map(Body::Bytes),
        (text(), any::<u32>()).prop_map(|(unit, count)| Body::Repeat { unit, count }),
    ];
    let request = (text(), text(), headers(), body).prop_map(|(method, path, headers, body)| Request {
        method,
        path,
        headers,
        body,
    });
    let sample = (request, btree_map(text(), text(), 0..3))
        .prop_map(|(request, inputs)| SampleRequest { request, inputs });
    let parameter = (text(), any::<bool>(), json_value()).prop_map(|(name, required, schema)| Parameter {
        name,
        place: if required { Place::Path } else { Place::Query },
        required,
        schema: JsonText(schema),
    });
    (
        text(),
        vec(parameter, 0..3),
        option::of(json_value()),
        vec(sample, 0..3),
        expect(),
    )
        .prop_map(|(path, parameters, body_schema, samples, expect)| Endpoint {
            name: path.clone(),
            method: "POST".into(),
            path,
            role: Role::Inference,
            parameters,
            body_schema: body_schema.map(JsonText),
            declared_statuses: vec![200],
            samples,
            expect,
        })
}

fn objective() -> impl Strategy<Value = Objective> {
    let number = || option::of(0.001f64..1e6);
    (number(), 0.001f64..0.999, number(), number(), number()).prop_map(
        |(response_ms, success_share, peak_per_s, growth_per_min, restart_days)| Objective {
            response_ms,
            success_share,
            peak_per_s,
            growth_per_min,
            restart_days,
        },
    )
}

fn any_suite() -> impl Strategy<Value = Suite> {
    let params = json_value().prop_map(|value| json!({ "key": value }));
    let parts = (
        (
            text(),
            text(),
            target().boxed(),
            btree_map(name(), origin().boxed(), 0..3),
            run().boxed(),
            objective(),
            btree_map(name(), params, 0..3),
            btree_map(name(), feed().boxed(), 0..3),
            option::of(retry()),
        ),
        (
            vec(scenario().boxed(), 0..3),
            vec(phase().boxed(), 0..3),
            vec(gate().boxed(), 0..3),
            vec(claim().boxed(), 0..3),
            vec(endpoint().boxed(), 0..2),
        ),
    );
    parts.prop_map(
        |(
            (name, description, target, origin, run, objective, experiment, feed, retry),
            (scenario, phase, gate, claim, endpoint),
        )| {
            Suite {
                feed,
                retry,
                name,
                description,
                target,
                origin,
                run,
                objective,
                experiment,
                scenario,
                phase,
                gate,
                claim,
                endpoint,
            }
        },
    )
}

proptest! {
    #[test]
    fn any_suite_prints_back_as_itself(suite in any_suite()) {
        let printed = print(&suite);
        prop_assert_eq!(parsed(&printed), suite, "{}", printed);
    }
}
