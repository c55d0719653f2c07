//! `prony check`: from a URL to a verdict. Discovers, plans, shows the plan, runs it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use prony_experiments::{EXPERIMENTS, ExperimentDef, OF_A_PROCESS};
use prony_model::{ExitCode, Role, RunSpec, Suite, Surface, TargetSpec};

use crate::cli::{CheckArgs, ToldArgs};
use crate::config;
use crate::diagnostic::Diagnostic;
use crate::discovery::{Discovery, Told};
use crate::inference::{Named, Transport};
use crate::runner::{self, Connection, RunRequest};
use crate::sending;
use crate::session::{Session, without_url_secrets};
use crate::target_url;
use crate::text::clean;
use crate::timetable::{Timetable, lasting};

/// Experiments that ask which rate keeps the objective; without one they derive it from the target.
const SEARCH_FOR_THE_OBJECTIVE: [&str; 2] = ["capacity", "overload"];

/// The one that can keep to limits of streams.
const SEARCH_FOR_GOODPUT: &str = "capacity";

/// Runs the command.
pub(crate) fn run(args: &CheckArgs, session: &Session) -> Result<ExitCode> {
    if args.stream_slo().is_some() && !searches_for_goodput(args) {
        let wrong =
            format!("limits of streams are for `{SEARCH_FOR_GOODPUT}`, which this check does not ask");
        return Err(Diagnostic::usage(wrong)
            .next("add --thorough, or --only capacity; or give a time, as in --slo 500ms")
            .next(
                "`prony load URL --openai MODEL --search --slo ttft=200ms,itl=50ms` searches without a check",
            )
            .into());
    }
    let (url, path) = split(&args.target);
    let (path, mut in_url) = target_url::apart(&path);
    let mut suite = Suite {
        name: format!("check {}", without_url_secrets(&args.target)),
        target: TargetSpec {
            url,
            ..TargetSpec::default()
        },
        run: RunSpec {
            budget: args.budget(),
            endpoints: args.endpoints.clone(),
            ..RunSpec::default()
        },
        objective: args.objective(),
        ..Suite::default()
    };
    sending::launch(&args.launch, &mut suite.target);
    sending::watch(&args.watch, &mut suite.target);
    sending::parts(&args.parts, &mut suite.target);
    config::check_launch(&suite.target)?;
    let mut secrets = sending::apply(&args.send, &mut suite)?;
    if let Some(said) = target_url::says_apart(&in_url) {
        session.note(&said);
    }
    secrets.query.append(&mut in_url);
    let told = told(&args.told)?;
    if Transport::of(&suite.target.url) == Transport::Grpc {
        of_grpc(&path, &told)?;
    }
    let mut connection = Connection::open(&suite, &secrets, session)?;
    if !told.is_empty() && suite.run.endpoints.is_empty() {
        suite.run.endpoints.push(format!("POST {path}"));
    }
    let Discovery { surface, preparation } = connection.discover(&path, &told)?;
    plan(&mut suite, &surface, &args.only);
    if let Some(slo) = args.stream_slo()
        && let Some(params) = suite.experiment.get_mut(SEARCH_FOR_GOODPUT)
    {
        params["slo"] = serde_json::json!(slo);
    }
    if args.plan {
        if preparation.is_some() {
            // The ids of what is uploaded are other ones in every run: it finds out itself.
            suite.endpoint.clear();
        }
        session.print(&config::print(&suite))?;
        return Ok(ExitCode::Pass);
    }
    session.note(&describe(&connection.url, &surface, &suite, args));
    let request = RunRequest {
        suite,
        secrets,
        base_dir: PathBuf::from("."),
        output: args.send.output.clone(),
        json: args.send.json,
        duration_max: args.send.duration,
        surface: Some(surface),
        preparation,
    };
    runner::perform(connection, request, session)
}

/// Whether the check that was asked for searches the rate at which limits of streams are held.
fn searches_for_goodput(args: &CheckArgs) -> bool {
    if args.only.is_empty() {
        prony_experiments::find(SEARCH_FOR_GOODPUT).is_some_and(|def| args.budget() >= def.from_budget)
    } else {
        let asked = prony_experiments::with_needed(args.only.iter().map(String::as_str));
        asked.iter().any(|def| def.name == SEARCH_FOR_GOODPUT)
    }
}

/// What a URL of gRPC can have beside it.
fn of_grpc(path: &str, told: &Told) -> Result<(), Diagnostic> {
    if Named::in_path(path).is_none() {
        let what = format!("`{path}` names no model");
        return Err(Diagnostic::usage(what).next("write grpc://HOST:PORT, or grpc://HOST:PORT/MODEL"));
    }
    if !told.is_empty() {
        let what = "requests to a KServe V2 server over gRPC are made from what its models declare: no body is taken";
        return Err(Diagnostic::usage(what).next("leave the body out"));
    }
    Ok(())
}

/// What the flags say of the endpoint at the URL given.
fn told(args: &ToldArgs) -> Result<Told> {
    let mut bodies = args.bodies.clone();
    for file in &args.body_files {
        let read = fs::read_to_string(file).map_err(|e| {
            Diagnostic::usage(format!("cannot read {}: {e}", file.display()))
                .next("check the path; a body must be text")
        })?;
        bodies.push(read);
    }
    for body in bodies.iter().filter(|_| args.content_type.is_none()) {
        let says_json = body.trim_start().starts_with(['{', '[']);
        if says_json && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(body) {
            let wrong = Diagnostic::usage(format!("the body begins as JSON and is none: {error}"));
            return Err(wrong
                .next("mend it, or say with --content-type what it is")
                .into());
        }
    }
    Ok(Told {
        bodies,
        content_type: args.content_type.clone(),
        form: args.form.clone(),
    })
}

/// Origin and path of a URL: paths of a plan count from the root. What is no URL stays whole; the engine explains it.
fn split(target: &str) -> (String, String) {
    let is_demo = target == "demo" || target.starts_with("demo:") || target.starts_with("stdio:");
    let full = if target.contains("://") {
        target.to_owned()
    } else {
        format!("http://{target}")
    };
    match url::Url::parse(&full) {
        Ok(url) if !is_demo && url.has_host() && url.username().is_empty() => {
            let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
            (url[..url::Position::AfterPort].to_owned(), path.to_owned())
        }
        _ => (target.to_owned(), "/".to_owned()),
    }
}

/// The experiments asked for with all that they need, or every one that the budget allows, with their defaults, over the
/// endpoints found.
fn plan(suite: &mut Suite, surface: &Surface, only: &[String]) {
    suite.endpoint.clone_from(&surface.endpoints);
    suite.run.not_loaded.clone_from(&surface.keeps);
    let experiments: Vec<&ExperimentDef> = if only.is_empty() {
        EXPERIMENTS
            .iter()
            .copied()
            .filter(|def| suite.run.budget >= def.from_budget)
            .filter(|def| is_asked_unchosen(def, suite))
            .collect()
    } else {
        prony_experiments::with_needed(only.iter().map(String::as_str))
    };
    suite.experiment = experiments
        .iter()
        .map(|def| (def.name.to_owned(), serde_json::json!({})))
        .collect::<BTreeMap<_, _>>();
    if let Some(limit_ms) = suite.objective.response_ms {
        for name in SEARCH_FOR_THE_OBJECTIVE {
            if let Some(params) = suite.experiment.get_mut(name) {
                params["slo_ms"] = limit_ms.into();
            }
        }
    }
}

/// Those that stop the target are for one that was started for it. What should outlive it only a suite can name.
fn is_asked_unchosen(def: &ExperimentDef, suite: &Suite) -> bool {
    let stops = OF_A_PROCESS.contains(&def.name);
    def.name != "persistence" && (!stops || !suite.target.command.is_empty())
}

/// The plan in words.
fn describe(url: &str, surface: &Surface, suite: &Suite, args: &CheckArgs) -> String {
    let mut text = format!("Prony {} checks {url}", env!("CARGO_PKG_VERSION"));
    if !surface.name.is_empty() {
        let _ = write!(text, " ({} {})", surface.name, surface.version);
    }
    let count = |keep: &dyn Fn(Role) -> bool| surface.endpoints.iter().filter(|e| keep(e.role)).count();
    let health = count(&|role| matches!(role, Role::Health | Role::Status));
    let work = surface.endpoints.iter().filter(|e| e.is_work()).count();
    let other = surface.endpoints.len() - health - work;
    let _ = write!(
        text,
        "\n\nfound  {} endpoints: {work} do work, {health} tell health or status, {other} other",
        surface.endpoints.len()
    );
    for line in &surface.found_by {
        let _ = write!(text, "\n       {}", clean(line, 200));
    }
    let experiments: Vec<&ExperimentDef> = EXPERIMENTS
        .iter()
        .copied()
        .filter(|def| suite.experiment.contains_key(def.name))
        .collect();
    let timetable = Timetable::new(&experiments, suite, args.send.duration);
    let _ = write!(
        text,
        "\n\nplan   {} experiments, {}{}, seed {}",
        experiments.len(),
        if timetable.is_filled() { "" } else { "about " },
        lasting(timetable.total_s()),
        suite.run.seed
    );
    for def in experiments {
        let _ = write!(text, "\n       {:<17} {}", def.name, def.question);
        if !args.only.is_empty() && !args.only.iter().any(|name| name == def.name) {
            text.push_str(" (comes with it)");
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_plan_counts_paths_from_the_root() {
        for (target, origin, path) in [
            ("http://127.0.0.1:80/a/b?c=d#e", "http://127.0.0.1", "/a/b?c=d"),
            ("localhost:8000", "http://localhost:8000", "/"),
            ("https://[::1]:8443/", "https://[::1]:8443", "/"),
            ("demo:enso-fixed", "demo:enso-fixed", "/"),
            ("demo", "demo", "/"),
        ] {
            assert_eq!(split(target), (origin.to_owned(), path.to_owned()));
        }
    }
}
