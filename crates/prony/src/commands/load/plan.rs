//! From the flags of `prony load`, and of others that load one URL, to a suite with one scenario and one phase. Sends nothing.

use std::path::Path;
use std::time::Duration;

use prony_engine::Trace;
use prony_model::{
    Capture, Expect, Header, HttpSpec, KserveSpec, Order, Phase, PhaseSpec, Retry, ScenarioSpec, Shape,
    StreamExpect, StreamProtocol, Suite, TargetSpec, TimeUnit,
};
use serde_json::json;
use url::Position;

use crate::cli::{ArrivalsArg, LoadArgs, RequestArgs, is_token};
use crate::config;
use crate::diagnostic::Diagnostic;
use crate::inference::{self, Fetch, Transport};
use crate::target_url;

/// Connections of a closed loop when none are given.
const CONNECTIONS: u32 = 50;
/// Length of the load when neither a duration nor a number of requests is given.
const DURATION: Duration = Duration::from_secs(10);
/// Name of the one scenario and the one phase.
const NAME: &str = "load";

/// What `prony load` was asked to do.
#[derive(Clone, Debug)]
pub(in crate::commands) struct Plan {
    /// The same as a suite.
    pub suite: Suite,
    /// The URL as shown.
    pub url: String,
}

impl Plan {
    /// Reads the flags; nothing is sent and only the body file's existence is checked later.
    pub(super) fn new(args: &LoadArgs) -> Result<Self, Diagnostic> {
        let mut plan = Self::of(&args.url, &args.request, shape(args)?)?;
        plan.suite.run.limits.connect_rate = args.connect_rate.unwrap_or(0.0);
        super::prompts::apply(args, &mut plan.suite.scenario[0])?;
        Ok(plan)
    }

    /// One request to one URL, in a shape.
    pub(in crate::commands) fn of(url: &str, args: &RequestArgs, shape: Shape) -> Result<Self, Diagnostic> {
        let (origin, path) = if target_url::is_inner(url) {
            target_url::check(url)?;
            (url.to_owned(), "/".to_owned())
        } else {
            let url = target_url::parse(url)?;
            (
                url[..Position::AfterPort].to_owned(),
                url[Position::BeforePath..Position::AfterQuery].to_owned(),
            )
        };
        let kserve = kserve(args, &origin, &path)?;
        let shown = format!(
            "{origin}{}",
            if target_url::is_inner(&origin) {
                ""
            } else {
                path.as_str()
            }
        );
        let mut suite = Suite {
            name: NAME.to_owned(),
            target: TargetSpec {
                url: origin,
                streams: args.streams,
                ..TargetSpec::default()
            },
            ..Suite::default()
        };
        suite.run.limits.keep_alive = !args.no_keepalive;
        suite.run.limits.requests_per_connection = args.requests_per_connection.unwrap_or(0);
        suite.run.limits.spin_us = args.spin.map_or(0, |spin| spin.as_micros() as u32);
        suite.run.limits.redirects_max = args.redirects;
        suite.scenario.push(ScenarioSpec {
            name: NAME.to_owned(),
            order: Order::InTurn,
            weight: 1.0,
            http: match kserve {
                Some(_) => None,
                None => Some(http(args, path)?),
            },
            dzi: None,
            kserve,
            openai: None,
            anthropic: None,
            step: Vec::new(),
            retry: args.retry.map(|attempts| Retry {
                attempts,
                ..Retry::default()
            }),
        });
        suite.phase.push(PhaseSpec {
            name: NAME.to_owned(),
            description: String::new(),
            scenarios: vec![NAME.to_owned()],
            shape,
            limits: None,
            capture: Capture::NONE,
            advisory: false,
            fresh: false,
        });
        Ok(Self { suite, url: shown })
    }

    /// The phase for the engine, where nothing must be asked of the target for it; reads the body file.
    #[cfg(test)]
    pub(super) fn phase(&self) -> Result<Phase, Diagnostic> {
        self.phase_with(
            &mut |_| prony_model::Captured::unsent("nothing is fetched"),
            &mut |_| (),
        )
    }

    /// Whether the target must be asked what its model takes before there are requests.
    pub(in crate::commands) fn asks(&self) -> bool {
        self.suite.scenario[0].kserve.is_some()
    }

    /// The phase for the engine; reads the body file. `note` hears what is to be known of requests that were made.
    pub(in crate::commands) fn phase_with(
        &self,
        fetch: &mut Fetch<'_>,
        note: &mut dyn FnMut(&str),
    ) -> Result<Phase, Diagnostic> {
        let mut phases = config::expand(&self.suite, Path::new(""), fetch, note)?;
        let mut phase = phases
            .pop()
            .ok_or_else(|| Diagnostic::usage("there is nothing to send"))?;
        NAME.clone_into(&mut phase.experiment);
        Ok(phase)
    }

    /// The URL that is loaded, where the prompts of a model have a path of their own.
    pub(super) fn shown(&self, phase: &Phase) -> String {
        if self.suite.scenario[0].http.is_some() || self.asks() {
            self.url.clone()
        } else {
            format!(
                "{}{}",
                self.suite.target.url, phase.scenarios[0].items[0].request.path
            )
        }
    }

    /// How many requests or seconds are to come, for the live line.
    pub(super) fn expected(&self) -> (Option<u64>, Option<f64>) {
        match self.suite.phase[0].shape {
            Shape::Closed {
                requests, duration_s, ..
            } => (requests, duration_s),
            Shape::Open { duration_s, .. } | Shape::Ramp { duration_s, .. } => (None, Some(duration_s)),
            Shape::Burst { size, .. } => (Some(u64::from(size)), None),
            _ => (None, None),
        }
    }
}

/// The model that is asked for inference, where the URL or a flag says so. Without a name the target is asked for it.
fn kserve(args: &RequestArgs, origin: &str, path: &str) -> Result<Option<KserveSpec>, Diagnostic> {
    let in_url = path.trim_matches('/');
    let by = Transport::of(origin);
    let (model, version) = match (&args.kserve, by) {
        (None, Transport::Http) => return Ok(None),
        (Some(_), _) if !in_url.is_empty() || target_url::is_inner(origin) => {
            return Err(
                Diagnostic::usage("--kserve finds the path itself, and the URL has one")
                    .next("write host and port only: http://127.0.0.1:8000 or grpc://127.0.0.1:8001"),
            );
        }
        (Some(named), _) => named.split_once(':').unwrap_or((named, "")),
        (None, Transport::Grpc) => in_url.split_once('/').unwrap_or((in_url, "")),
    };
    let is_named = |name: &str| name.is_empty() || inference::is_name(name);
    if !is_named(model) || !is_named(version) || (args.kserve.is_some() && model.is_empty()) {
        return Err(Diagnostic::usage(format!(
            "{:?} is no name of a model",
            args.kserve.as_deref().unwrap_or(in_url)
        ))
        .next("write --kserve MODEL or --kserve MODEL:VERSION, or the URL grpc://HOST:PORT/MODEL"));
    }
    let useless = [
        ("--method", args.method.is_some()),
        ("--body", args.body.is_some()),
        ("--body-file", args.body_file.is_some()),
        ("--content-type", args.content_type.is_some()),
        ("--stream", args.stream.is_some()),
        ("--redirects", args.redirects > 0),
        ("--expect-status", !args.expect_status.is_empty()),
        ("--expect-body", !args.expect_body.is_empty()),
    ];
    if let Some((flag, _)) = useless.iter().find(|(_, given)| *given) {
        return Err(Diagnostic::usage(format!(
            "{flag} is of no use here: requests to a KServe V2 server are made from what its model declares"
        ))
        .next(format!("leave {flag} out")));
    }
    Ok(Some(KserveSpec {
        model: model.to_owned(),
        version: version.to_owned(),
        contents: KserveSpec::CONTENTS,
        ..KserveSpec::default()
    }))
}

fn http(args: &RequestArgs, path: String) -> Result<HttpSpec, Diagnostic> {
    let given = args.body.is_some() || args.body_file.is_some();
    // A plain event stream is asked for like any other resource.
    let speaks = |protocol: &StreamProtocol| !given && *protocol != StreamProtocol::Sse;
    let asked = args.stream.filter(speaks).map(|protocol| asks(protocol, args));
    let has_body = given || asked.is_some();
    let path = match args.stream {
        Some(protocol) if path == "/" => path_of(protocol).to_owned(),
        _ => path,
    };
    let method = args
        .method
        .as_deref()
        .unwrap_or(if has_body { "POST" } else { "GET" });
    if !is_token(method) {
        return Err(Diagnostic::usage(format!("`{method}` is no method")).next("write GET, POST, PUT ..."));
    }
    let body_file = match &args.body_file {
        Some(file) => Some(
            file.to_str()
                .ok_or_else(|| Diagnostic::usage("the name of the body file is not UTF-8"))?,
        ),
        None => None,
    };
    let json = args.stream.filter(|_| has_body).map(|_| "application/json");
    let content_type = args
        .content_type
        .as_deref()
        .or(json)
        .into_iter()
        .map(|value| Header::new("content-type", value));
    Ok(HttpSpec {
        method: method.to_ascii_uppercase(),
        path,
        headers: content_type.collect(),
        json: None,
        json_text: None,
        body: args.body.clone().or(asked),
        body_file: body_file.map(ToOwned::to_owned),
        multipart: Vec::new(),
        image: None,
        values: std::collections::BTreeMap::new(),
        expect: Expect {
            status: args.expect_status.clone(),
            body: args.expect_body.clone(),
            stream: args.stream.map(|protocol| StreamExpect {
                max_tokens: has_body.then_some(args.max_tokens).filter(|_| !given),
                ..StreamExpect::new(protocol)
            }),
            ..Expect::default()
        },
    })
}

/// Where servers of a protocol answer, for a URL without a path.
fn path_of(protocol: StreamProtocol) -> &'static str {
    match protocol {
        StreamProtocol::OpenaiChat => "/v1/chat/completions",
        StreamProtocol::OpenaiCompletions => "/v1/completions",
        StreamProtocol::OpenaiResponses => "/v1/responses",
        StreamProtocol::AnthropicMessages => "/v1/messages",
        StreamProtocol::KserveGenerate => "/v2/models/default/generate_stream",
        StreamProtocol::Sse => "/",
    }
}

/// A short request of a protocol for a stream with the server's count of tokens.
fn asks(protocol: StreamProtocol, args: &RequestArgs) -> String {
    const PROMPT: &str = "Tell a long story about a lighthouse.";
    let (model, tokens) = (&args.model, args.max_tokens);
    let messages = json!([{"role": "user", "content": PROMPT}]);
    let usage = json!({"include_usage": true});
    let body = match protocol {
        StreamProtocol::OpenaiChat => json!({
            "model": model, "messages": messages, "max_tokens": tokens, "stream": true, "stream_options": usage,
        }),
        StreamProtocol::OpenaiCompletions => json!({
            "model": model, "prompt": PROMPT, "max_tokens": tokens, "stream": true, "stream_options": usage,
        }),
        StreamProtocol::OpenaiResponses => json!({
            "model": model, "input": PROMPT, "max_output_tokens": tokens, "stream": true,
        }),
        StreamProtocol::AnthropicMessages => json!({
            "model": model, "messages": messages, "max_tokens": tokens, "stream": true,
        }),
        StreamProtocol::KserveGenerate => json!({
            "text_input": PROMPT, "parameters": {"max_tokens": tokens, "stream": true},
        }),
        StreamProtocol::Sse => return String::new(),
    };
    body.to_string()
}

fn shape(args: &LoadArgs) -> Result<Shape, Diagnostic> {
    let duration = args.send.duration;
    let duration_s = duration.unwrap_or(DURATION).as_secs_f64();
    if args.burstiness.is_some() && args.arrivals != ArrivalsArg::Gamma {
        return Err(
            Diagnostic::usage("--burstiness is for gamma-distributed gaps only").next("add --arrivals gamma"),
        );
    }
    if let Some(size) = args.burst {
        return Ok(Shape::Burst {
            size,
            count: 1,
            interval_s: 0.0,
        });
    }
    if let Some((from, to)) = args.ramp {
        return Ok(Shape::Ramp {
            from,
            to,
            duration_s,
            arrivals: args.spacing(),
            in_flight_max: args.in_flight,
        });
    }
    if let Some(file) = &args.replay {
        let file = file
            .to_str()
            .ok_or_else(|| Diagnostic::usage("the name of the trace is not UTF-8"))?;
        let shape = Shape::Replay {
            file: file.to_owned(),
            speed: args.speed,
            time: "timestamp".to_owned(),
            unit: TimeUnit::Seconds,
            scenario: None,
            in_flight_max: args.in_flight,
        };
        // A trace that cannot be used is told before anything is started.
        Trace::load(&shape, &[NAME]).map_err(|error| Diagnostic::usage(error.to_string()))?;
        return Ok(shape);
    }
    if let Some(rate) = args.rate {
        return Ok(Shape::Open {
            rate,
            arrivals: args.spacing(),
            duration_s,
            in_flight_max: args.in_flight,
        });
    }
    let until = if args.requests.is_some() {
        duration
    } else {
        duration.or(Some(DURATION))
    };
    let most = args
        .requests
        .and_then(|n| u32::try_from(n).ok())
        .unwrap_or(u32::MAX);
    Ok(Shape::Closed {
        connections: args.connections.unwrap_or(CONNECTIONS).min(most),
        requests: args.requests,
        duration_s: until.map(|d| d.as_secs_f64()),
        think_ms: args.think.unwrap_or(0.0),
    })
}
