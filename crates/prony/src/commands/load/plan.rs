//! From the flags of `prony load`, and of others that load one URL, to a suite with one scenario and one phase. Sends nothing.

use std::path::Path;
use std::time::Duration;

use prony_engine::{EngineError, Trace};
use prony_model::{
    Capture, Captured, Expect, Feed, Header, HttpSpec, KserveSpec, Order, OriginSpec, Phase, PhaseSpec,
    Piece, Placeholder, Request, Retry, ScenarioSpec, Secret, Shape, Slot, StreamExpect, StreamProtocol,
    Suite, TargetSpec, TimeUnit, pieces,
};
use serde_json::json;
use url::Position;

use crate::cli::{ArrivalsArg, LoadArgs, RequestArgs, SendArgs, is_token};
use crate::config;
use crate::diagnostic::{Diagnostic, nearest};
use crate::inference::{Fetch, Named, Transport};
use crate::runner::Connection;
use crate::sending::would_be_recorded;
use crate::target_url;

/// Connections of a closed loop when none are given.
const CONNECTIONS: u32 = 50;
/// Length of the load when neither a duration nor a number of requests is given.
const DURATION: Duration = Duration::from_secs(10);
/// Name of the one scenario and the one phase.
const NAME: &str = "load";
/// Name of the feed of `--data`.
const DATA: &str = "data";

/// What `prony load` was asked to do.
#[derive(Clone, Debug)]
pub(in crate::commands) struct Plan {
    /// The same as a suite.
    pub suite: Suite,
    /// The URL as shown.
    pub url: String,
    /// Its origin.
    origin: String,
    /// The secrets that stood in its query.
    pub secrets: Vec<(String, Secret)>,
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
            target_url::parse_template(url)?
        };
        let (path, secrets) = target_url::apart(&path);
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
                url: origin.clone(),
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
            cookies: false,
            retry: args.retry.map(|attempts| Retry {
                attempts,
                ..Retry::default()
            }),
        });
        for (k, url) in args.redirect_to.iter().enumerate() {
            let url = target_url::parse(url)?;
            let spec = OriginSpec {
                url: url[..Position::AfterPort].to_owned(),
                ..OriginSpec::default()
            };
            suite.origin.insert(format!("redirect-{}", k + 1), spec);
        }
        if let Some(file) = &args.data {
            let file = file
                .to_str()
                .ok_or_else(|| Diagnostic::usage("the name of the data file is not UTF-8"))?;
            suite.feed.insert(
                DATA.to_owned(),
                Feed {
                    file: Some(file.to_owned()),
                    order: args.data_order,
                    ..Feed::default()
                },
            );
        }
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
        Ok(Self {
            suite,
            url: shown,
            origin,
            secrets,
        })
    }

    /// The phase, where nothing must be asked of the target for it.
    #[cfg(test)]
    pub(super) fn phase(&self) -> Result<Phase, Diagnostic> {
        let ahead = self.phase_ahead(&mut |_| ())?;
        Ok(ahead.expect("nothing is asked"))
    }

    /// Whether the target must be asked what its model takes before there are requests.
    fn asks(&self) -> bool {
        self.suite.scenario[0].kserve.is_some()
    }

    /// The phase, where nothing must be asked of the target for it: what is wrong with it is told before anything is started. `note`
    /// hears what is to be known of requests that were made.
    pub(in crate::commands) fn phase_ahead(
        &self,
        note: &mut dyn FnMut(&str),
    ) -> Result<Option<Phase>, Diagnostic> {
        if self.asks() {
            return Ok(None);
        }
        let mut fetch = |_: &Request| Captured::unsent("nothing is fetched");
        self.phase_with(&mut fetch, note).map(Some)
    }

    /// The phase, where the target must be asked for it first.
    pub(in crate::commands) fn phase_asked(
        &self,
        connection: &mut Connection,
        note: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Phase> {
        connection.reach()?;
        Ok(self.phase_with(&mut |request: &Request| connection.fetch(request), note)?)
    }

    /// The phase for the engine; reads the body file. `fetch` asks the target for what requests are made of.
    fn phase_with(&self, fetch: &mut Fetch<'_>, note: &mut dyn FnMut(&str)) -> Result<Phase, Diagnostic> {
        self.check_placeholders()?;
        let mut phases = config::expand(&self.suite, Path::new(""), fetch, note)?;
        let mut phase = phases
            .pop()
            .ok_or_else(|| Diagnostic::usage("there is nothing to send"))?;
        NAME.clone_into(&mut phase.experiment);
        for scenario in &phase.scenarios {
            prony_engine::check_scenario(scenario, &[&phase.shape]).map_err(unusable)?;
        }
        Ok(phase)
    }

    /// Makes the headers in which placeholders stand the request's own, since they differ from one to the next. Returns the flags
    /// without them.
    pub(in crate::commands) fn own_headers(&mut self, send: &SendArgs) -> Result<SendArgs, Diagnostic> {
        let has_holes = |header: &Header| {
            let pieces = pieces(&header.value).unwrap_or_default();
            pieces.iter().any(|piece| matches!(piece, Piece::Hole(_)))
        };
        let (filled, fixed) = send.access.headers.iter().cloned().partition(has_holes);
        let mut send = send.clone();
        send.access.headers = fixed;
        let filled: Vec<Header> = filled;
        if let Some(header) = filled.iter().find(|header| would_be_recorded(header)) {
            return Err(Diagnostic::usage(format!(
                "the fixed part of the header {:?} would be recorded with the run",
                header.name
            ))
            .next("take all of it from the file: -H 'Authorization: Bearer {{data.TOKEN}}', -H 'Cookie: NAME={{data.SESSION}}'"));
        }
        let scenario = &mut self.suite.scenario[0];
        match &mut scenario.http {
            Some(http) => http.headers.extend(filled),
            None if filled.is_empty() => {}
            None if scenario.kserve.is_some() => {
                return Err(Diagnostic::usage(
                    "headers are not filled in where requests are made from what a model declares",
                )
                .next("write the header out"));
            }
            None => {
                return Err(
                    Diagnostic::usage("headers are not filled in where prompts are made")
                        .next("write the header out, or give the request with -b"),
                );
            }
        }
        Ok(send)
    }

    /// Every placeholder stands for something.
    fn check_placeholders(&self) -> Result<(), Diagnostic> {
        let Some(http) = &self.suite.scenario[0].http else {
            if self.suite.feed.is_empty() {
                return Ok(());
            }
            let wrong = Diagnostic::usage("--data fills in requests, and prompts are made without it");
            return Err(wrong.next("a suite takes prompts from a file: `[scenario.openai] prompt.dataset`"));
        };
        let values = http.headers.iter().map(|header| &header.value);
        let mut used = false;
        for text in std::iter::once(&http.path).chain(values).chain(&http.body) {
            for piece in pieces(text).map_err(Diagnostic::usage)? {
                let Piece::Hole(placeholder) = piece else { continue };
                match &placeholder.slot {
                    Slot::Feed(name, _) if self.suite.feed.contains_key(name) => used = true,
                    Slot::Feed(..) | Slot::Carry(_) => return Err(self.unknown(&placeholder)),
                    _ => {}
                }
            }
        }
        if used || self.suite.feed.is_empty() {
            return Ok(());
        }
        Err(
            Diagnostic::usage("nothing in the request takes a value from --data")
                .next("write {{data.COLUMN}} into the URL, the body (-b) or a header (-H)"),
        )
    }

    /// A placeholder that stands for nothing, and those that stand for something.
    fn unknown(&self, placeholder: &Placeholder) -> Diagnostic {
        let known = "seq, user, random.int(1,100), random.hex(16), random.uuid";
        let diagnostic = Diagnostic::usage(format!("there is nothing to fill in for `{placeholder}`"));
        let data = self.suite.feed.get(DATA).and_then(|feed| feed.file.as_deref());
        let diagnostic = match (data, &placeholder.slot) {
            (Some(_), Slot::Feed(name, column)) => {
                let column = if column == "value" { name } else { column };
                diagnostic.next(format!(
                    "known: data.COLUMN, {known}; a column is written {{{{data.{column}}}}}"
                ))
            }
            _ => diagnostic.next(format!("known: {known}; with --data FILE also data.COLUMN")),
        };
        diagnostic.next("text that shall stay as it is goes into a file: -f FILE")
    }

    /// The URL that is loaded, where the prompts of a model have a path of their own.
    pub(super) fn shown(&self, phase: &Phase) -> String {
        if self.suite.scenario[0].http.is_some() || self.asks() {
            self.url.clone()
        } else {
            format!("{}{}", self.origin, phase.scenarios[0].items[0].request.path)
        }
    }

    /// The target was opened at this origin: where the port of a command was to be a free one, it is known now.
    pub(in crate::commands) fn arrived_at(&mut self, origin: &str) {
        if self.suite.target.command.is_empty() {
            return;
        }
        let origin = origin.trim_end_matches('/');
        if let Some(rest) = self.url.strip_prefix(&self.origin) {
            self.url = format!("{origin}{rest}");
        }
        origin.clone_into(&mut self.origin);
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
    let named = match (&args.kserve, by) {
        (None, Transport::Http) => return Ok(None),
        (Some(_), _) if !in_url.is_empty() || target_url::is_inner(origin) => {
            return Err(
                Diagnostic::usage("--kserve finds the path itself, and the URL has one")
                    .next("write host and port only: http://127.0.0.1:8000 or grpc://127.0.0.1:8001"),
            );
        }
        (Some(text), _) => Named::parse(text, ':').filter(|named| !named.model.is_empty()),
        (None, Transport::Grpc) => Named::in_path(path),
    };
    let Some(Named { model, version }) = named else {
        return Err(Diagnostic::usage(format!(
            "{:?} is no name of a model",
            args.kserve.as_deref().unwrap_or(in_url)
        ))
        .next("write --kserve MODEL or --kserve MODEL:VERSION, or the URL grpc://HOST:PORT/MODEL"));
    };
    let useless = [
        ("--method", args.method.is_some()),
        ("--body", args.body.is_some()),
        ("--body-file", args.body_file.is_some()),
        ("--data", args.data.is_some()),
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

/// Values that cannot be filled in.
fn unusable(error: EngineError) -> Diagnostic {
    let EngineError::Table(error) = error else {
        return Diagnostic::usage(error.to_string());
    };
    let meant = nearest(&error.column, error.known.iter().map(String::as_str));
    let diagnostic = Diagnostic::usage(error.to_string());
    match meant {
        Some(meant) => diagnostic.next(format!("did you mean {{{{data.{meant}}}}}?")),
        None => diagnostic,
    }
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
        StreamProtocol::TgiGenerate => "/generate_stream",
        StreamProtocol::LlamacppCompletion => "/completion",
        StreamProtocol::Ollama => "/api/chat",
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
        StreamProtocol::TgiGenerate => json!({
            "inputs": PROMPT, "parameters": {"max_new_tokens": tokens, "details": true},
        }),
        StreamProtocol::LlamacppCompletion => json!({"prompt": PROMPT, "n_predict": tokens, "stream": true}),
        StreamProtocol::Ollama => json!({
            "model": model, "messages": messages, "options": {"num_predict": tokens}, "stream": true,
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
