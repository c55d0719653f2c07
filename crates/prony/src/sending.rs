//! From the flags that check, load and run share to the suite and its secrets. Flags win over the suite.

use std::fs;
use std::path::{Path, PathBuf};

use prony_engine::Target;
use prony_engine::monitors::{EngineMetrics, Scrape};
use prony_model::{Header, HttpVersion, Piece, Role, Secret, Suite, Surface, TargetSpec, pieces};
use prony_wire::TlsOptions;

use crate::cli::{AccessArgs, LaunchArgs, PartsArgs, SendArgs, WatchArgs, is_token};
use crate::diagnostic::Diagnostic;
use crate::inference::Transport;
use crate::session::is_sensitive;
use crate::target_url;

/// What goes on the wire with every request, and nowhere else.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets {
    /// Headers.
    pub headers: Vec<(String, Secret)>,
    /// Parameters of the query, as they stand in a URL.
    pub query: Vec<(String, Secret)>,
}

/// Shorter parts of a secret are not masked by themselves: they would mask half of an innocent text.
const PART_BYTES_MIN: usize = 6;

/// Writes the flags into the suite, and returns what must not stand in one.
pub(crate) fn apply(send: &SendArgs, suite: &mut Suite) -> Result<Secrets, Diagnostic> {
    let (run, target) = (&mut suite.run, &mut suite.target);
    let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX).max(1);
    let own = suite.phase.iter_mut().filter_map(|phase| phase.limits.as_mut());
    for limits in own.chain([&mut run.limits]) {
        limits.timeout_ms = send.timeout.map_or(limits.timeout_ms, millis);
        limits.connect_timeout_ms = send.connect_timeout.map_or(limits.connect_timeout_ms, millis);
    }
    run.rate_max = send.max_rate.unwrap_or(run.rate_max);
    run.seed = send.seed.unwrap_or(run.seed);
    run.normal_priority |= send.normal_priority;
    run.threads = send.threads.unwrap_or(run.threads);

    let access = &send.access;
    connection(access, target);
    let is_http2 = target.http == HttpVersion::Http2 || Transport::of(&target.url) == Transport::Grpc;
    if target.streams.is_some_and(|streams| streams > 1) && !is_http2 {
        return Err(
            Diagnostic::usage("only HTTP/2 has several requests at once on a connection")
                .next("add --http2, or leave --streams out"),
        );
    }
    target.allow_hosts.extend(access.allow_host.iter().cloned());
    target.bearer_env = access.bearer_env.clone().or(target.bearer_env.take());
    target.api_key_env = access.api_key_env.clone().or(target.api_key_env.take());

    let mut secrets = Vec::new();
    for header in &access.headers {
        if is_sensitive(&header.name) {
            secrets.push((header.name.clone(), Secret::new(&header.value)));
        } else {
            target.headers.push(header.clone());
        }
    }
    for header in &access.header_env {
        secrets.push((header.name.clone(), Secret::new(variable(&header.variable)?)));
    }
    add_cookies(access, &mut secrets);
    if let Some(path) = &access.bearer_file {
        target.bearer_env = None;
        secrets.push((
            "authorization".to_owned(),
            Secret::new(format!("Bearer {}", first_line(path)?)),
        ));
    }
    if let Some(path) = &access.api_key_file {
        target.api_key_env = None;
        secrets.push(("x-api-key".to_owned(), Secret::new(first_line(path)?)));
    }
    if let Some(name) = &target.bearer_env {
        secrets.push((
            "authorization".to_owned(),
            Secret::new(format!("Bearer {}", variable(name)?)),
        ));
    }
    if let Some(name) = &target.api_key_env {
        secrets.push(("x-api-key".to_owned(), Secret::new(variable(name)?)));
    }
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let query = access
        .query_env
        .iter()
        .map(|given| {
            Ok((
                encoded(&given.name),
                Secret::new(encoded(&variable(&given.variable)?)),
            ))
        })
        .collect::<Result<_, Diagnostic>>()?;
    Ok(Secrets {
        headers: secrets,
        query,
    })
}

/// Adds the cookies to the header that was given otherwise: a request has one.
fn add_cookies(access: &AccessArgs, secrets: &mut Vec<(String, Secret)>) {
    let mut pairs = Vec::new();
    secrets.retain(|(name, value)| {
        let is_cookie = name.eq_ignore_ascii_case("cookie");
        if is_cookie {
            pairs.push(value.reveal().to_owned());
        }
        !is_cookie
    });
    let own = access.cookies.iter();
    pairs.extend(own.map(|cookie| format!("{}={}", cookie.name, cookie.value.reveal())));
    if !pairs.is_empty() {
        secrets.push(("cookie".to_owned(), Secret::new(pairs.join("; "))));
    }
}

/// The texts that must not be kept: the values of headers, and of cookies and credentials within them, and those of parameters.
pub(crate) fn masked(secrets: &Secrets) -> Vec<Secret> {
    let mut texts = Vec::new();
    for (name, secret) in &secrets.headers {
        texts.push(secret.clone());
        let whole = secret.reveal();
        let parts: Vec<&str> = if name.eq_ignore_ascii_case("cookie") {
            let pairs = whole.split(';').filter_map(|pair| pair.split_once('='));
            pairs.map(|(_, value)| value.trim()).collect()
        } else {
            let credential = whole.split_once(' ').map(|(_, rest)| rest.trim());
            credential.into_iter().collect()
        };
        let long = parts.into_iter().filter(|part| part.len() >= PART_BYTES_MIN);
        texts.extend(long.map(Secret::new));
    }
    for (name, secret) in &secrets.query {
        texts.push(secret.clone());
        let pair = format!("{name}={}", secret.reveal());
        let plain = url::form_urlencoded::parse(pair.as_bytes()).next();
        texts.extend(plain.map(|(_, value)| Secret::new(value)));
    }
    texts
}

/// Whether a header holds a secret that is part of a request, and so would be recorded with it.
pub(crate) fn would_be_recorded(header: &Header) -> bool {
    is_sensitive(&header.name) && !is_all_filled_in(header)
}

/// Whether nothing of a header's value is fixed but a scheme, or the name of a cookie.
fn is_all_filled_in(header: &Header) -> bool {
    const SCHEMES: [&str; 4] = ["", "bearer ", "basic ", "token "];
    let fixed = |text: &str| {
        let names_cookie = text.strip_suffix('=').is_some_and(is_token);
        SCHEMES.contains(&text.to_ascii_lowercase().as_str())
            || (header.name.eq_ignore_ascii_case("cookie") && names_cookie)
    };
    match pieces(&header.value).unwrap_or_default().as_slice() {
        [Piece::Hole(_)] => true,
        [Piece::Text(text), Piece::Hole(_)] => fixed(text),
        _ => false,
    }
}

/// Writes the flags that say what of it to watch into the target.
pub(crate) fn watch(args: &WatchArgs, target: &mut TargetSpec) {
    target.pid = args.pid.or(target.pid);
    target.container = args.container.clone().or(target.container.take());
    target.metrics_url = args.metrics_url.clone().or(target.metrics_url.take());
    target.gauges.extend(args.gauges.iter().cloned());
}

/// Writes the flags that say what it consists of into the target.
pub(crate) fn parts(args: &PartsArgs, target: &mut TargetSpec) {
    target.processes = args.processes.or(target.processes);
    target.upstream = args.upstream.clone().or(target.upstream.take());
}

/// Writes the flags that say how to start and stop it into the target.
pub(crate) fn launch(args: &LaunchArgs, target: &mut TargetSpec) {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    if let Some(words) = &args.command {
        target.command.clone_from(&words.0);
    }
    let launch = &mut target.launch;
    launch.cwd = args
        .cwd
        .as_ref()
        .map(|dir| dir.display().to_string())
        .or(launch.cwd.take());
    launch.ready = args.ready.clone().or(launch.ready.take());
    launch.start_timeout_ms = args.start_timeout.map_or(launch.start_timeout_ms, millis);
    launch.stop_signal = args.stop_signal.unwrap_or(launch.stop_signal);
    launch.stop_timeout_ms = args.stop_timeout.map_or(launch.stop_timeout_ms, millis);
}

/// Writes the flags that say where to connect, whom to trust and who to be into the target.
fn connection(access: &AccessArgs, target: &mut TargetSpec) {
    let file = |flag: &Option<PathBuf>, kept: &mut Option<String>| {
        if let Some(path) = flag {
            *kept = Some(path.display().to_string());
        }
    };
    file(&access.unix_socket, &mut target.unix_socket);
    target.connect_to = access.connect_to.clone().or(target.connect_to.take());
    if !access.bind.is_empty() {
        target.bind.clone_from(&access.bind);
    }
    if access.http2 {
        target.http = HttpVersion::Http2;
    }
    target.insecure |= access.insecure;
    file(&access.cacert, &mut target.cacert);
    if access.cert.is_some() {
        // A key belongs to its certificate: that of the suite is of no use to another.
        target.key = None;
    }
    file(&access.cert, &mut target.cert);
    file(&access.key, &mut target.key);
    target.server_name = access.server_name.clone().or(target.server_name.take());
    target.no_tls_resumption |= access.no_tls_resumption;
}

/// The engine's target: the URL, what every request carries, whom to trust, what must not be kept.
pub(crate) fn target(url: &str, spec: &TargetSpec, secrets: &Secrets) -> anyhow::Result<Target> {
    let mut target = Target::new(url)?;
    target.unix_socket = spec.unix_socket.as_ref().map(PathBuf::from);
    if let Some(text) = &spec.connect_to {
        target.connect_to = Some(target_url::host_and_port(text).map_err(Diagnostic::usage)?);
    }
    target.sources.clone_from(&spec.bind);
    target.tls = TlsOptions {
        insecure: spec.insecure,
        cacert: spec.cacert.as_ref().map(PathBuf::from),
        cert: spec.cert.as_ref().map(PathBuf::from),
        key: spec.key.as_ref().map(PathBuf::from),
        no_resumption: spec.no_tls_resumption,
    };
    target.server_name.clone_from(&spec.server_name);
    if !target.origin.is_grpc() {
        target.http = spec.http;
    }
    target.streams = spec.streams.unwrap_or(1);
    target.headers = spec
        .headers
        .iter()
        .map(|h| (h.name.clone(), Secret::new(&h.value)))
        .collect();
    target.headers.extend(secrets.headers.iter().cloned());
    target.query.clone_from(&secrets.query);
    target.masked = masked(secrets);
    target.allow_hosts.clone_from(&spec.allow_hosts);
    Ok(target)
}

/// Where the target tells its metrics: at the URL that the user gave, else where discovery found them. Elsewhere than at the
/// target, nothing that is secret is sent.
pub(crate) fn metrics(
    spec: &TargetSpec,
    target: &Target,
    surface: &Surface,
) -> anyhow::Result<Option<Scrape>> {
    let (target, path) = if let Some(url) = &spec.metrics_url {
        let url = target_url::parse(url)?;
        let path = url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
        let asked = Target::new(&url[..url::Position::AfterPort])?;
        let same = asked.origin.authority() == target.origin.authority();
        let target = if same {
            Target {
                origin: asked.origin,
                ..target.clone()
            }
        } else {
            Target {
                tls: target.tls.clone(),
                allow_hosts: target.allow_hosts.clone(),
                ..asked
            }
        };
        (target, path)
    } else {
        let told = surface
            .endpoints
            .iter()
            .find(|e| e.role == Role::Metrics && e.method == "GET");
        match told.and_then(|endpoint| endpoint.samples.first()) {
            Some(sample) => (target.clone(), sample.request.path.clone()),
            None => return Ok(None),
        }
    };
    Ok(Some(Scrape {
        target,
        path,
        gauges: spec.gauges.clone(),
        engine: engine_metrics(),
    }))
}

/// What serving engines tell of themselves.
fn engine_metrics() -> EngineMetrics {
    let wanted = prony_experiments::server_metrics();
    EngineMetrics {
        sums: wanted.sums,
        peaks: wanted.peaks,
        histograms: wanted.histograms,
    }
}

/// A secret from the environment.
pub(crate) fn variable(name: &str) -> Result<String, Diagnostic> {
    match std::env::var(name) {
        Ok(value) if !value.trim().is_empty() => Ok(value.trim().to_owned()),
        Ok(_) => Err(
            Diagnostic::usage(format!("the environment variable {name} is empty"))
                .next(format!("set it to the secret: export {name}=...")),
        ),
        Err(_) => Err(
            Diagnostic::usage(format!("there is no environment variable {name}")).next(format!(
                "set it to the secret: export {name}=... (the flag takes the name, not the secret itself)"
            )),
        ),
    }
}

/// A secret from the first line of a file.
pub(crate) fn first_line(path: &Path) -> Result<String, Diagnostic> {
    let text = fs::read_to_string(path)
        .map_err(|e| Diagnostic::usage(format!("cannot read the secret in {}: {e}", path.display())))?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        return Err(
            Diagnostic::usage(format!("the first line of {} is empty", path.display()))
                .next("put the secret alone on the first line"),
        );
    }
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use prony_engine::Target;
    use prony_model::{
        Endpoint, Expect, Header, Request, Role, SampleRequest, Secret, Suite, Surface, TargetSpec,
    };

    use super::{Secrets, apply, masked, metrics};
    use crate::cli::{AccessArgs, Cookie, SendArgs};

    #[test]
    fn sensitive_headers_never_enter_the_suite() {
        let headers = vec![
            Header::new("Authorization", "Bearer hunter2"),
            Header::new("x-team", "blue"),
        ];
        let send = SendArgs {
            access: AccessArgs {
                headers,
                ..AccessArgs::default()
            },
            ..SendArgs::default()
        };
        let mut suite = Suite::default();
        let secrets = apply(&send, &mut suite).unwrap();
        assert_eq!(secrets.headers.len(), 1);
        assert_eq!(secrets.headers[0].1.reveal(), "Bearer hunter2");
        assert_eq!(suite.target.headers, [Header::new("x-team", "blue")]);
        assert!(!serde_json::to_string(&suite).unwrap().contains("hunter2"));
    }

    #[test]
    fn cookies_are_one_header_and_each_is_a_secret() {
        let cookie = |name: &str, value: &str| Cookie {
            name: name.to_owned(),
            value: Secret::new(value),
        };
        let send = SendArgs {
            access: AccessArgs {
                headers: vec![Header::new("Cookie", "first=1")],
                cookies: vec![cookie("sid", "hunter2=="), cookie("b", "3")],
                ..AccessArgs::default()
            },
            ..SendArgs::default()
        };
        let mut suite = Suite::default();
        let secrets = apply(&send, &mut suite).unwrap();
        assert_eq!(secrets.headers.len(), 1);
        assert_eq!(secrets.headers[0].1.reveal(), "first=1; sid=hunter2==; b=3");
        let texts = masked(&secrets);
        let texts: Vec<&str> = texts.iter().map(Secret::reveal).collect();
        assert_eq!(texts, ["first=1; sid=hunter2==; b=3", "hunter2=="]);
        assert!(!format!("{send:?}{suite:?}").contains("hunter2"));
        let bearer = Secrets {
            headers: vec![("authorization".to_owned(), Secret::new("Bearer hunter2"))],
            query: vec![("sig".to_owned(), Secret::new("a%2Fb"))],
        };
        let texts: Vec<Secret> = masked(&bearer);
        assert_eq!((texts[2].reveal(), texts[3].reveal()), ("a%2Fb", "a/b"));
        assert_eq!(masked(&bearer)[1].reveal(), "hunter2");
    }

    #[test]
    fn metrics_are_read_where_they_are_and_secrets_stay_with_the_target() {
        let mut target = Target::new("http://127.0.0.1:8000/api").unwrap();
        target.headers = vec![("authorization".to_owned(), Secret::new("Bearer hunter2"))];
        let endpoint = Endpoint {
            name: "GET /metrics".into(),
            method: "GET".into(),
            path: "/metrics".into(),
            role: Role::Metrics,
            parameters: Vec::new(),
            body_schema: None,
            declared_statuses: Vec::new(),
            samples: vec![SampleRequest {
                request: Request::get("/metrics"),
                inputs: std::collections::BTreeMap::new(),
            }],
            expect: Expect::default(),
        };
        let surface = Surface {
            endpoints: vec![endpoint],
            ..Surface::default()
        };
        let mut spec = TargetSpec::default();
        assert!(metrics(&spec, &target, &Surface::default()).unwrap().is_none());
        let found = metrics(&spec, &target, &surface).unwrap().unwrap();
        assert_eq!((found.path.as_str(), found.target.headers.len()), ("/metrics", 1));
        spec.metrics_url = Some("http://127.0.0.1:9100/m?x=1".to_owned());
        let elsewhere = metrics(&spec, &target, &surface).unwrap().unwrap();
        assert_eq!(
            (elsewhere.path.as_str(), elsewhere.target.origin.port),
            ("/m?x=1", 9100)
        );
        assert!(elsewhere.target.headers.is_empty());
        spec.metrics_url = Some("127.0.0.1:8000/own".to_owned());
        let own = metrics(&spec, &target, &surface).unwrap().unwrap();
        assert_eq!((own.path.as_str(), own.target.headers.len()), ("/own", 1));
    }

    #[test]
    fn a_missing_variable_is_named() {
        let access = AccessArgs {
            bearer_env: Some("PRONY_TEST_NO_SUCH_VARIABLE".into()),
            ..AccessArgs::default()
        };
        let error = apply(
            &SendArgs {
                access,
                ..SendArgs::default()
            },
            &mut Suite::default(),
        )
        .unwrap_err();
        assert!(error.what.contains("PRONY_TEST_NO_SUCH_VARIABLE"));
    }

    #[test]
    fn flags_win_over_the_file() {
        let mut suite = Suite::default();
        suite.run.seed = 7;
        let send = SendArgs {
            seed: Some(9),
            timeout: Some(std::time::Duration::from_secs(2)),
            ..SendArgs::default()
        };
        apply(&send, &mut suite).unwrap();
        assert_eq!(
            (suite.run.seed, suite.run.limits.timeout_ms, suite.run.threads),
            (9, 2_000, 1)
        );
    }
}
