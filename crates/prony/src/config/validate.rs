//! What a suite must satisfy beyond its types: names that exist, shapes that end, checks that parse.

use std::collections::BTreeSet;
use std::path::Path;

use prony_engine::{EngineError, TableError, Trace};
use prony_experiments::{BuildContext, Check, EXPERIMENTS, FINDING_FORMS};
use prony_model::{
    BodyCheck, Endpoint, Expect, Gate, Header, HttpSpec, HttpVersion, Item, Limits, Nanos, PhaseSpec, Piece,
    Retry, Scenario, ScenarioKind, ScenarioSpec, Shape, Slot, Suite, Surface, pieces,
};

use super::document::Document;
use super::explain::explain_params;
use super::{form, launch, origins, shape, template};
use crate::cli::{SPIN_MAX, is_token};
use crate::diagnostic::{Diagnostic, nearest};
use crate::inference::Transport;
use crate::sending::would_be_recorded;
use crate::target_url;

type Checked = Result<(), Diagnostic>;

/// The first thing that is wrong with a suite, in the order of the file's sections.
pub(super) fn validate(suite: &Suite, document: &Document, base_dir: &Path) -> Checked {
    target(suite, document)?;
    origins::check(suite, document)?;
    run(suite, document)?;
    objective(suite, document)?;
    experiments(suite, document)?;
    if let Some(policy) = &suite.retry {
        retry(policy, 2, document, "retry")?;
    }
    unique(
        document,
        "scenario",
        suite.scenario.iter().map(|s| s.name.as_str()),
    )?;
    for (i, spec) in suite.scenario.iter().enumerate() {
        scenario(spec, suite, document, &format!("scenario.{i}"), base_dir)?;
    }
    unique(document, "phase", suite.phase.iter().map(|p| p.name.as_str()))?;
    phases(suite, document, base_dir)?;
    for (i, found) in suite.gate.iter().enumerate() {
        gate(suite, found, document, &format!("gate.{i}"))?;
    }
    unique(document, "claim", suite.claim.iter().map(|c| c.id.as_str()))?;
    for (i, claim) in suite.claim.iter().enumerate() {
        for (k, condition) in claim.holds_if.iter().enumerate() {
            gate(suite, condition, document, &format!("claim.{i}.holds_if.{k}"))?;
        }
    }
    for (i, found) in suite.endpoint.iter().enumerate() {
        endpoint(found, document, &format!("endpoint.{i}"))?;
    }
    if suite.phase.is_empty() && suite.experiment.is_empty() {
        return Err(document
            .error("target", "this suite does nothing")
            .next("add a `[[phase]]`, or an experiment such as `[experiment.baseline]`"));
    }
    Ok(())
}

fn target(suite: &Suite, document: &Document) -> Checked {
    let spec = &suite.target;
    let next_from = |diagnostic: Diagnostic| Diagnostic {
        place: document.error("target.url", "").place,
        ..diagnostic
    };
    target_url::check(&spec.url).map_err(next_from)?;
    if !spec.knobs.is_empty() && target_url::preset(&spec.url).is_none() {
        return Err(document
            .error("target.knobs", "knobs are for the embedded backend only")
            .next("remove them, or use `url = \"demo:enso\"`"));
    }
    if let Some((key, diagnostic)) = launch::wrong(spec) {
        return Err(Diagnostic {
            place: document.error(&format!("target.{key}"), "").place,
            ..diagnostic
        });
    }
    if let Some(text) = &spec.connect_to {
        target_url::host_and_port(text).map_err(|why| document.error("target.connect_to", why))?;
    }
    if spec.unix_socket.is_some() {
        let clash = [
            ("connect_to", spec.connect_to.is_some()),
            ("bind", !spec.bind.is_empty()),
        ];
        if let Some((key, _)) = clash.iter().find(|(_, given)| *given) {
            return Err(document
                .error(
                    &format!("target.{key}"),
                    format!("`{key}` is of no use with `unix_socket`"),
                )
                .next("remove one of the two"));
        }
    }
    if let Some(streams) = spec.streams {
        if streams == 0 {
            return Err(document.error("target.streams", "at least one request at once is needed"));
        }
        let is_http2 = spec.http == HttpVersion::Http2 || Transport::of(&spec.url) == Transport::Grpc;
        if streams > 1 && !is_http2 {
            return Err(document
                .error(
                    "target.streams",
                    "only HTTP/2 has several requests at once on a connection",
                )
                .next("add `http = \"2\"`, or remove `streams`"));
        }
    }
    if spec.key.is_some() && spec.cert.is_none() {
        return Err(document
            .error("target.key", "a key without its certificate")
            .next("name the certificate's file in `cert`"));
    }
    if target_url::preset(&spec.url).is_some() && (spec.unix_socket.is_some() || spec.connect_to.is_some()) {
        let key = if spec.unix_socket.is_some() {
            "unix_socket"
        } else {
            "connect_to"
        };
        return Err(document
            .error(
                &format!("target.{key}"),
                "the demo backend listens on a port of its own",
            )
            .next(format!("remove `{key}`, or give the URL of another target")));
    }
    if let Some(i) = spec.headers.iter().position(|h| !is_token(&h.name)) {
        return Err(document.error(&format!("target.headers.{i}.name"), "this is no header name"));
    }
    secret_headers(&spec.headers, document, "target")
}

/// No header holds a secret: what a suite says is recorded with the run.
pub(super) fn secret_headers(headers: &[Header], document: &Document, path: &str) -> Checked {
    let Some(i) = headers.iter().position(would_be_recorded) else {
        return Ok(());
    };
    Err(document
        .error(
            &format!("{path}.headers.{i}"),
            format!("the value of the header {:?} would be recorded with the run", headers[i].name),
        )
        .next("name the variable that holds it: `bearer_env` or `api_key_env` in `[target]`, or --header-env NAME=VARIABLE")
        .next("of many users each has its own in a file: Bearer {{users.token}}"))
}

fn run(suite: &Suite, document: &Document) -> Checked {
    if !(suite.run.rate_max >= 0.0 && suite.run.rate_max.is_finite()) {
        return Err(document
            .error("run.rate_max", "`rate_max` is below 0")
            .next("0 means no cap"));
    }
    if suite.run.threads > 1024 {
        return Err(document
            .error("run.threads", "more than 1024 threads")
            .next("one thread is enough for most targets"));
    }
    limits(&suite.run.limits, document, "run.limits")
}

/// Time-outs that leave time, and rates that are some.
fn limits(limits: &Limits, document: &Document, path: &str) -> Checked {
    let at = |key: &str| format!("{path}.{key}");
    if !(limits.connect_rate >= 0.0 && limits.connect_rate.is_finite()) {
        return Err(document
            .error(&at("connect_rate"), "`connect_rate` is below 0")
            .next("write users per second; 0 means all at once"));
    }
    if limits.spin() > Nanos::from(SPIN_MAX) {
        return Err(document
            .error(
                &at("spin_us"),
                format!("`spin_us` is above {}", SPIN_MAX.as_micros()),
            )
            .next("100 is what a sleeping core needs to wake; 2000 covers most virtual machines"));
    }
    for (key, value) in [
        ("timeout_ms", limits.timeout_ms),
        ("connect_timeout_ms", limits.connect_timeout_ms),
    ] {
        if value == 0 {
            return Err(document
                .error(&at(key), format!("`{key}` is 0: every request would time out"))
                .next("write the longest wait in milliseconds"));
        }
    }
    Ok(())
}

fn objective(suite: &Suite, document: &Document) -> Checked {
    let objective = &suite.objective;
    let share = objective.success_share;
    if !(share > 0.0 && share < 1.0) {
        return Err(document
            .error(
                "objective.success_share",
                "a promised share lies between 0 and 1, and is not 1",
            )
            .next("0.99 allows one bad answer in a hundred"));
    }
    for (key, value) in [
        ("response_ms", objective.response_ms),
        ("peak_per_s", objective.peak_per_s),
        ("growth_per_min", objective.growth_per_min),
        ("restart_days", objective.restart_days),
    ] {
        if value.is_some_and(|v| !(v > 0.0 && v.is_finite())) {
            return Err(document
                .error(&format!("objective.{key}"), format!("`{key}` must be above 0"))
                .next("leave it out when nothing is known"));
        }
    }
    Ok(())
}

fn experiments(suite: &Suite, document: &Document) -> Checked {
    let surface = Surface {
        endpoints: suite.endpoint.clone(),
        ..Surface::default()
    };
    for (name, params) in &suite.experiment {
        let path = format!("experiment.{name}");
        let Some(def) = prony_experiments::find(name) else {
            let diagnostic = document.error(&path, format!("there is no experiment `{name}`"));
            let names = || EXPERIMENTS.iter().map(|def| def.name);
            return Err(match nearest(name, names()) {
                Some(meant) => diagnostic.next(format!("did you mean `{meant}`?")),
                None => diagnostic.next(format!("known: {}", names().collect::<Vec<_>>().join(", "))),
            });
        };
        let context = BuildContext {
            surface: &surface,
            budget: suite.run.budget,
            time_s: def.time.most_s(suite.run.budget),
            seed: suite.run.seed,
            limits: &suite.run.limits,
        };
        for (k, wanted) in super::scenarios_of(params).enumerate() {
            known_scenario(suite, wanted, document, &format!("{path}.scenarios.{k}"))?;
        }
        if let Err(error) = (def.build)(&context, params) {
            return Err(
                explain_params(document, &path, &error.message).next(format!("an example:\n{}", def.example))
            );
        }
    }
    Ok(())
}

fn scenario(spec: &ScenarioSpec, suite: &Suite, document: &Document, path: &str, base_dir: &Path) -> Checked {
    if !(spec.weight > 0.0 && spec.weight.is_finite()) {
        return Err(document
            .error(&format!("{path}.weight"), "a weight must be above 0")
            .next("leave the scenario out of the phase if it should not be sent"));
    }
    if let Some(policy) = &spec.retry {
        // One attempt does without the policy of the suite.
        let least = if suite.retry.is_some() { 1 } else { 2 };
        retry(policy, least, document, &format!("{path}.retry"))?;
    }
    if spec.cookies && spec.step.is_empty() {
        return Err(document
            .error(
                &format!("{path}.cookies"),
                "without steps there is no later request that would send a cookie back",
            )
            .next(
                "give the scenario several `[[scenario.step]]`, or send a fixed one with --cookie NAME=VALUE",
            ));
    }
    match spec.kind() {
        Some(ScenarioKind::Http(http)) => {
            let at = format!("{path}.http");
            http_spec(http, suite, document, &at, base_dir)?;
            let items = super::expand::http_items(http, base_dir)?;
            compiled(spec, items, suite, document, path, base_dir)
        }
        Some(ScenarioKind::Flow(steps)) => {
            for (k, step) in steps.iter().enumerate() {
                let at = format!("{path}.step.{k}");
                origins::step(step, suite, document, &at)?;
                http_spec(&step.http, suite, document, &format!("{at}.http"), base_dir)?;
                if !step.http.values.is_empty() {
                    return Err(document
                        .error(
                            &format!("{at}.http.values"),
                            "a step has one request for all arrivals",
                        )
                        .next("take the values from a `[feed.NAME]`, as `{{NAME.COLUMN}}`"));
                }
                if !(step.think_ms >= 0.0 && step.think_ms.is_finite()) {
                    return Err(document
                        .error(&format!("{at}.think_ms"), "`think_ms` is below 0")
                        .next("write 0 or more"));
                }
                let same = |other: &prony_model::StepSpec| other.name == step.name;
                if step.name.trim().is_empty() || steps[..k].iter().any(same) {
                    return Err(document
                        .error(&format!("{at}.name"), "this step has no name of its own")
                        .next("the report refers to each step by its name"));
                }
            }
            let items = super::expand::step_items(steps, base_dir)?;
            compiled(spec, items, suite, document, path, base_dir)
        }
        Some(ScenarioKind::Openai(_) | ScenarioKind::Anthropic(_)) => {
            let made = super::prompts::validate(spec, suite, document, path, base_dir)?;
            checked(spec, &made, suite, document, path, base_dir)
        }
        Some(ScenarioKind::Kserve(kserve)) => super::kserve::validate(kserve, document, path),
        Some(ScenarioKind::Dzi(dzi)) => {
            let at = |key: &str| format!("{path}.dzi.{key}");
            if dzi.tiles == 0 {
                return Err(document
                    .error(&at("tiles"), "`tiles` is 0")
                    .next("write how many tiles to ask for"));
            }
            request_path(&dzi.descriptor, document, &at("descriptor"))?;
            match &dzi.tile_path {
                Some(tile)
                    if !["{level}", "{col}", "{row}"]
                        .iter()
                        .all(|part| tile.contains(part)) =>
                {
                    Err(document
                        .error(&at("tile_path"), "a tile path needs {level}, {col} and {row}")
                        .next("for instance /slide_files/{level}/{col}_{row}.jpeg"))
                }
                _ => Ok(()),
            }
        }
        None => Err(document
            .error(
                path,
                format!("scenario `{}` must have exactly one kind of request", spec.name),
            )
            .next(
                "give it `[scenario.http]`, `[scenario.kserve]`, `[scenario.openai]`, `[scenario.anthropic]`, \
                 `[scenario.dzi]` or several `[[scenario.step]]`",
            )),
    }
}

/// A policy of at least so many attempts that has something to act upon.
fn retry(policy: &Retry, least: u8, document: &Document, path: &str) -> Checked {
    let attempts = policy.attempts;
    if attempts < least {
        return Err(document
            .error(
                &format!("{path}.attempts"),
                format!("{attempts} attempts in all are no retry"),
            )
            .next("write 2 or more, the first included, or remove the table"));
    }
    if policy.on.is_empty() {
        return Err(document
            .error(&format!("{path}.on"), "there is no failure to retry on")
            .next("for instance `on = [\"503\", \"reset\"]`"));
    }
    Ok(())
}

/// What the engine says of a scenario whose requests are filled in for every arrival, or that takes several.
fn compiled(
    spec: &ScenarioSpec,
    items: Vec<Item>,
    suite: &Suite,
    document: &Document,
    path: &str,
    base_dir: &Path,
) -> Checked {
    let scenario = super::expand::scenario(spec, items, suite, base_dir);
    checked(spec, &scenario, suite, document, path, base_dir)
}

fn checked(
    spec: &ScenarioSpec,
    scenario: &Scenario,
    suite: &Suite,
    document: &Document,
    path: &str,
    base_dir: &Path,
) -> Checked {
    let mine = suite.phase.iter().filter(|p| p.scenarios.contains(&spec.name));
    let shapes: Vec<&Shape> = mine.map(|p| &p.shape).collect();
    let at = if spec.http.is_some() {
        format!("{path}.http")
    } else {
        format!("{path}.name")
    };
    prony_engine::check_scenario(scenario, &shapes).map_err(|error| match error {
        EngineError::Table(error) => {
            let feed = suite.feed.iter().find(|(name, feed)| {
                let file = feed.file.as_ref().map(|f| base_dir.join(f));
                file.is_some_and(|f| f.to_string_lossy() == error.file)
                    || error.file == format!("feed `{name}`")
            });
            match feed {
                // A column that is not there is a mistake of the request, all else one of the feed.
                Some((name, _)) if error.column.is_empty() => {
                    table(document, &format!("feed.{name}"), &error)
                }
                _ => table(document, &at, &error),
            }
        }
        EngineError::Script { why, word, known, .. } => {
            let diagnostic = document.error(&at, why);
            match nearest(&word, known.iter().map(String::as_str)) {
                Some(meant) => diagnostic.next(format!("did you mean `{meant}`?")),
                None if known.is_empty() => diagnostic,
                None => diagnostic.next(format!("known here: {}", known.join(", "))),
            }
        }
        other => document.error(&at, other.to_string()),
    })
}

fn http_spec(spec: &HttpSpec, suite: &Suite, document: &Document, path: &str, base_dir: &Path) -> Checked {
    let at = |key: &str| format!("{path}.{key}");
    if !is_token(&spec.method) {
        return Err(document.error(&at("method"), format!("`{}` is no method", spec.method)));
    }
    request_path(&spec.path, document, &at("path"))?;
    let bodies = [
        ("json", spec.json.is_some()),
        ("json_text", spec.json_text.is_some()),
        ("body", spec.body.is_some()),
        ("body_file", spec.body_file.is_some()),
        ("multipart", !spec.multipart.is_empty()),
        ("image", spec.image.is_some()),
    ];
    let given: Vec<&str> = bodies
        .iter()
        .filter(|(_, given)| *given)
        .map(|(key, _)| *key)
        .collect();
    if let [first, second, ..] = given[..] {
        return Err(document
            .error(
                &at(second),
                format!("`{first}` and `{second}` both give the body"),
            )
            .next("keep one of them"));
    }
    if let Some(file) = &spec.body_file
        && let Err(error) = std::fs::metadata(base_dir.join(file))
    {
        return Err(document
            .error(
                &at("body_file"),
                format!("cannot read {}: {error}", base_dir.join(file).display()),
            )
            .next("the path starts from the suite file's folder"));
    }
    form::check(spec, document, path, base_dir)?;
    secret_headers(&spec.headers, document, path)?;
    placeholders(spec, suite, document, path)?;
    expect(&spec.expect, document, &at("expect"))
}

/// Every placeholder has values, and every list of values is used.
fn placeholders(spec: &HttpSpec, suite: &Suite, document: &Document, path: &str) -> Checked {
    let json = spec.json.iter().chain(spec.json_text.iter().map(|json| &json.0));
    let json: Vec<String> = json.map(ToString::to_string).collect();
    let texts = std::iter::once(&spec.path)
        .chain(spec.headers.iter().map(|h| &h.value))
        .chain(&spec.body)
        .chain(&json);
    for text in texts {
        for piece in pieces(text).map_err(|why| document.error(path, why))? {
            if let Piece::Hole(placeholder) = piece
                && let Slot::Feed(name, column) = placeholder.slot
                && column != "value"
                && !suite.feed.contains_key(&name)
            {
                let known = suite.feed.keys().map(String::as_str).chain(Slot::RESERVED);
                let diagnostic = document.error(
                    path,
                    format!("there is no feed `{name}` for `{{{{{name}.{column}}}}}`"),
                );
                return Err(match nearest(&name, known) {
                    Some(meant) => diagnostic.next(format!("did you mean `{meant}`?")),
                    None => diagnostic.next(format!("add `[feed.{name}]` with `file = \"...\"`")),
                });
            }
        }
    }
    let used = template::placeholders(spec);
    for (name, list) in &spec.values {
        let at = format!("{path}.values.{name}");
        if list.is_empty() {
            return Err(document.error(&at, format!("`{name}` has no values")));
        }
        if !used.contains(name) {
            let diagnostic = document.error(&at, format!("nothing in this request uses `{{{{{name}}}}}`"));
            return Err(match nearest(name, used.iter().map(String::as_str)) {
                Some(meant) => diagnostic.next(format!("did you mean `{meant}`?")),
                None => diagnostic.next("write it into the path, a header or the body, or remove the list"),
            });
        }
    }
    let filled_later = |name: &String| name == "seq" || name == "user" || suite.feed.contains_key(name);
    match used
        .iter()
        .find(|name| !spec.values.contains_key(*name) && !filled_later(name))
    {
        Some(name) => Err(document
            .error(path, format!("`{{{{{name}}}}}` has no values"))
            .next(format!("add `values.{name} = [\"...\"]`"))),
        None => Ok(()),
    }
}

fn request_path(text: &str, document: &Document, path: &str) -> Checked {
    if !text.starts_with('/') {
        return Err(document
            .error(path, "a path must start with /")
            .next("host and scheme belong into `[target] url`"));
    }
    let unsendable = |part: &str| part.contains(|c: char| c.is_ascii_control() || c == ' ' || !c.is_ascii());
    // Between braces there may be blanks: `{{carry.key | raw}}`. What is malformed there is told later.
    let plain = pieces(text).map_or_else(
        |_| !unsendable(text),
        |pieces| {
            !pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Text(part) if unsendable(part)))
        },
    );
    if !plain {
        return Err(document
            .error(
                path,
                "a path must be percent-encoded: no spaces, no letters beyond ASCII",
            )
            .next("write %20 for a space; values of placeholders are encoded for you"));
    }
    Ok(())
}

fn expect(found: &Expect, document: &Document, path: &str) -> Checked {
    if let Some(i) = found
        .status
        .iter()
        .position(|status| !(100..=599).contains(status))
    {
        return Err(document.error(&format!("{path}.status.{i}"), "a status lies between 100 and 599"));
    }
    for (i, check) in found.body.iter().enumerate() {
        let problem = match check {
            BodyCheck::Regex(pattern) | BodyCheck::Own { any: pattern, .. } => {
                regex::Regex::new(pattern).err().map(|e| {
                    let text = e.to_string();
                    let reason = text
                        .lines()
                        .last()
                        .unwrap_or_default()
                        .trim_start_matches("error: ")
                        .to_owned();
                    format!("this is no regular expression: {reason}")
                })
            }
            BodyCheck::Json(pointer) | BodyCheck::JsonEquals { pointer, .. } => (!pointer.is_empty()
                && !pointer.starts_with('/'))
            .then(|| "a JSON pointer is empty or starts with /, as in /results/0/score".to_owned()),
            BodyCheck::SentBy(_) => (!path.contains(".step."))
                .then(|| "only a step of a flow has earlier steps that sent something".to_owned()),
            BodyCheck::Schema(schema) => jsonschema::validator_for(&schema.0)
                .err()
                .map(|e| format!("this is no JSON Schema: {e}")),
            _ => None,
        };
        if let Some(problem) = problem {
            return Err(document.error(&format!("{path}.body.{i}"), problem));
        }
    }
    Ok(())
}

fn phases(suite: &Suite, document: &Document, base_dir: &Path) -> Checked {
    for (i, phase) in suite.phase.iter().enumerate() {
        let path = format!("phase.{i}");
        if let Some(own) = &phase.limits {
            limits(own, document, &format!("{path}.limits"))?;
        }
        if phase.scenarios.is_empty() {
            return Err(document
                .error(
                    &format!("{path}.scenarios"),
                    "a phase needs at least one scenario",
                )
                .next("name one of the `[[scenario]]` tables"));
        }
        for (k, name) in phase.scenarios.iter().enumerate() {
            known_scenario(suite, name, document, &format!("{path}.scenarios.{k}"))?;
        }
        let repeated: BTreeSet<&String> = phase.scenarios.iter().collect();
        if repeated.len() < phase.scenarios.len() {
            return Err(document
                .error(&format!("{path}.scenarios"), "a scenario is named twice")
                .next("raise its `weight` to send it more often"));
        }
        if let Some(problem) = shape::problem(&phase.shape) {
            let table = format!("{path}.shape.{}", shape::table(&phase.shape));
            let at = if problem.key.is_empty() {
                table
            } else {
                format!("{table}.{}", problem.key)
            };
            return Err(document.error(&at, problem.what).next(problem.next));
        }
        let names: Vec<&str> = phase.scenarios.iter().map(String::as_str).collect();
        Trace::load(&super::expand::shape(&phase.shape, base_dir), &names)
            .map_err(|error| table(document, &format!("{path}.shape.replay.file"), &error))?;
    }
    Ok(())
}

/// What is wrong with a file of rows, at the place that names it.
fn table(document: &Document, path: &str, error: &TableError) -> Diagnostic {
    let diagnostic = document.error(path, error.to_string());
    match nearest(&error.column, error.known.iter().map(String::as_str)) {
        Some(meant) => diagnostic.next(format!("did you mean `{meant}`?")),
        None if error.why.starts_with("cannot be read") => {
            diagnostic.next("the path starts from the suite file's folder")
        }
        None => diagnostic,
    }
}

fn known_scenario(suite: &Suite, name: &str, document: &Document, path: &str) -> Checked {
    let mut names = suite.scenario.iter().map(|s| s.name.as_str());
    if names.clone().any(|known| known == name) {
        return Ok(());
    }
    let diagnostic = document.error(path, format!("there is no scenario `{name}`"));
    Err(match nearest(name, names.by_ref()) {
        Some(meant) => diagnostic.next(format!("did you mean `{meant}`?")),
        None => diagnostic.next(format!("add a `[[scenario]]` with `name = \"{name}\"`")),
    })
}

fn gate(suite: &Suite, gate: &Gate, document: &Document, path: &str) -> Checked {
    let check = match Check::parse(&gate.check) {
        Ok(check) => check,
        Err(error) => {
            let diagnostic = document.error(&format!("{path}.check"), error.to_string());
            let name = gate
                .check
                .split(|c: char| "<>=! ".contains(c))
                .next()
                .unwrap_or_default();
            let known = error.known();
            return Err(match nearest(name, known.iter().copied()) {
                Some(meant) => diagnostic.next(format!("did you mean `{meant}`?")),
                None if known.is_empty() => diagnostic,
                None => diagnostic.next(format!(
                    "metrics: {}; or a finding: {}",
                    known.join(", "),
                    FINDING_FORMS.join(", ")
                )),
            });
        }
    };
    if !check.is_on_phase() {
        return if gate.phase.is_empty() {
            Ok(())
        } else {
            Err(document
                .error(
                    &format!("{path}.phase"),
                    "this condition is on a finding, which has no phase",
                )
                .next("remove `phase`; `scenario` may name the endpoint of the finding"))
        };
    }
    if gate.phase.is_empty() {
        return Err(document
            .error(path, "this condition is on a phase, and none is named")
            .next("add `phase = \"...\"`: a `[[phase]]`, or `EXPERIMENT/PHASE`"));
    }
    let known = suite.phase.iter().find(|phase| phase.name == gate.phase);
    let of_experiment = gate
        .phase
        .split_once('/')
        .is_some_and(|(name, _)| suite.experiment.contains_key(name));
    match (known, &gate.scenario) {
        (None, _) if of_experiment => Ok(()),
        (None, _) => {
            let diagnostic = document.error(
                &format!("{path}.phase"),
                format!("there is no phase `{}`", gate.phase),
            );
            Err(
                match nearest(&gate.phase, suite.phase.iter().map(|phase| phase.name.as_str())) {
                    Some(meant) => diagnostic.next(format!("did you mean `{meant}`?")),
                    None => {
                        diagnostic.next("name a `[[phase]]`, or `EXPERIMENT/PHASE` for one of an experiment")
                    }
                },
            )
        }
        (Some(phase), Some(scenario)) if !names_rows(suite, phase, scenario) => {
            let diagnostic = document.error(
                &format!("{path}.scenario"),
                format!("phase `{}` has no scenario `{scenario}`", gate.phase),
            );
            Err(diagnostic.next(format!("it has: {}", phase.scenarios.join(", "))))
        }
        _ => Ok(()),
    }
}

/// Whether a phase has rows of that name: of a scenario, or of a step of a flow as `SCENARIO/STEP`.
fn names_rows(suite: &Suite, phase: &PhaseSpec, name: &String) -> bool {
    let mine = suite
        .scenario
        .iter()
        .filter(|s| phase.scenarios.contains(&s.name));
    let is_step = |s: &ScenarioSpec| {
        let step = name
            .strip_prefix(s.name.as_str())
            .and_then(|rest| rest.strip_prefix('/'));
        step.is_some_and(|step| s.step.iter().any(|own| own.name == step))
    };
    phase.scenarios.contains(name) || mine.into_iter().any(is_step)
}

fn endpoint(found: &Endpoint, document: &Document, path: &str) -> Checked {
    for (i, sample) in found.samples.iter().enumerate() {
        request_path(
            &sample.request.path,
            document,
            &format!("{path}.samples.{i}.request.path"),
        )?;
    }
    expect(&found.expect, document, &format!("{path}.expect"))
}

/// No two tables of a list share a name; `key` is `scenario`, `phase` or `claim`.
fn unique<'a>(document: &Document, key: &str, names: impl Iterator<Item = &'a str>) -> Checked {
    let id = if key == "claim" { "id" } else { "name" };
    let mut seen = BTreeSet::new();
    for (i, name) in names.enumerate() {
        let at = format!("{key}.{i}.{id}");
        if name.trim().is_empty() {
            return Err(document.error(&at, format!("this {key} has no {id}")));
        }
        if !seen.insert(name) {
            return Err(document
                .error(&at, format!("there are two {key}s `{name}`"))
                .next(format!(
                    "give each {key} a {id} of its own: the report refers to them by it"
                )));
        }
    }
    Ok(())
}
