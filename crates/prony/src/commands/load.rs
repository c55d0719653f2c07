//! `prony load`: one URL, one load shape, one summary. Wiring only; what is sent is in `plan`, what is said in `summary`.

mod document;
mod live;
pub(in crate::commands) mod plan;
mod prompts;
mod recording;
mod search;
mod streams;
mod summary;

use prony_engine::EngineOptions;
use prony_experiments::judge_gate;
use prony_model::{ExitCode, Gate, Nanos, Outcome, PhaseResult, Surface, Verdict};
use prony_report::TerminalStyle;

use crate::cli::LoadArgs;
use crate::diagnostic::Diagnostic;
use crate::runner::{Connection, PROTOCOL_HINT, TLS_HINT, engine_options, unwritten, write_reports};
use crate::session::Session;
use crate::{config, sending, target_url};

pub(crate) use document::LoadDocument;
use document::Reached;
use live::LiveLine;
use plan::Plan;
use recording::Recording;

/// Samples that are kept whole. A longer load is added up in histograms, so that its memory does not grow.
const SAMPLES_MAX: u64 = 32_768;

/// Sends the load and says what came back.
pub(crate) fn run(args: &LoadArgs, session: &Session) -> anyhow::Result<ExitCode> {
    if target_url::preset(&args.url).is_some() {
        return Err(Diagnostic::usage("`prony load` needs a URL")
            .next("start the demo backend with `prony serve enso`, then load the URL that it prints")
            .into());
    }
    if !args.watch.is_empty() && args.send.output.is_none() && !args.search && !args.sweep {
        return Err(Diagnostic::usage(
            "what is watched is shown in a report, and there is none without a folder for it",
        )
        .next("add -o DIR, or leave --pid, --container, --metrics-url and --gauge out")
        .into());
    }
    let mut plan = Plan::new(args)?;
    search::check(args, &plan.suite)?;
    sending::launch(&args.launch, &mut plan.suite.target);
    sending::watch(&args.watch, &mut plan.suite.target);
    config::check_launch(&plan.suite.target)?;
    let send = plan.own_headers(&args.send)?;
    let mut secrets = sending::apply(&send, &mut plan.suite)?;
    if let Some(said) = target_url::says_apart(&plan.secrets) {
        session.note(&said);
    }
    secrets.query.append(&mut plan.secrets);
    if args.search || args.sweep {
        return search::run(args, plan, secrets, session);
    }
    let mut note = |said: &str| session.note(said);
    let ahead = plan.phase_ahead(&mut note)?;
    let options = EngineOptions {
        samples_max: SAMPLES_MAX,
        ..engine_options(&plan.suite, session)
    };
    let mut connection = Connection::open_with(&plan.suite, &secrets, session, options)?;
    plan.arrived_at(&connection.url);
    let phase = match ahead {
        Some(phase) => phase,
        None => plan.phase_asked(&mut connection, &mut note)?,
    };
    let streams = args
        .request
        .streams
        .map_or(String::new(), |streams| format!(", {streams} streams on each"));
    session.note(&format!(
        "{} {}, {}{streams}",
        phase.scenarios[0].items[0].request.method,
        plan.shown(&phase),
        phase.shape.label()
    ));

    let live = LiveLine::new(session.live(), plan.expected());
    let watched = connection.watched(&plan.suite.target, &Surface::default())?;
    let mut recording = Recording::start(
        args.send.output.as_deref(),
        &plan,
        &connection,
        watched,
        session,
        live,
    )?;
    let engine = &mut connection.engine;
    recording.phase_started(engine.now(), &phase);
    let result = engine.run(0, phase, &mut recording)?;
    let interrupted = session.stopped();
    let verdict = verdict(&result, args.allow_failures);
    let unreachable = is_unreachable(&result);
    recording.judged(&judge_gate(
        &gate(&result, args.allow_failures),
        std::slice::from_ref(&result),
        &[],
    ));
    let stored = recording.finish(&result, verdict, interrupted, engine.now());
    let reached = Reached::of(engine);
    drop(connection);

    let written = match (&args.send.output, &stored) {
        (Some(dir), Ok(())) => write_reports(dir, TerminalStyle::default()).map(|_| ()),
        _ => Ok(()),
    };
    let document = LoadDocument::new(&plan.url, &reached, &result, verdict, interrupted)
        .with_goodput(&result, args.slo.as_ref())?;
    if args.send.json {
        session.print(&(serde_json::to_string_pretty(&document)? + "\n"))?;
    } else {
        session.print(&summary::text(&document, session.color))?;
    }
    if let Some(dir) = &args.send.output {
        let failed = stored
            .err()
            .map(anyhow::Error::new)
            .into_iter()
            .chain(written.err());
        failed.for_each(|error| unwritten(&error, dir, session));
    }
    if unreachable && !interrupted {
        return Err(no_connection(&plan.url, &reached, &result).into());
    }
    Ok(if interrupted {
        ExitCode::Interrupted
    } else {
        verdict.exit_code()
    })
}

/// The condition that the report shows: as many failures as were allowed, or fewer.
fn gate(result: &PhaseResult, allowed: f64) -> Gate {
    let most = allowed_failures(result, allowed);
    Gate {
        phase: format!("{}/{}", result.phase.experiment, result.phase.name),
        scenario: None,
        check: if most == 0 {
            "failed_count == 0".to_owned()
        } else {
            format!("failed_count <= {most}")
        },
    }
}

/// How many of the finished requests may have failed.
fn allowed_failures(result: &PhaseResult, allowed: f64) -> u64 {
    (allowed * (result.summary.ok + result.summary.failed) as f64).floor() as u64
}

/// FAIL when more failed than was allowed or nothing came back at all; INVALID when the numbers cannot be trusted.
fn verdict(result: &PhaseResult, allowed: f64) -> Verdict {
    let summary = &result.summary;
    let finished = summary.ok + summary.failed;
    if !summary.validity.is_valid() {
        Verdict::Invalid
    } else if finished == 0 {
        Verdict::Inconclusive
    } else if summary.failed > allowed_failures(result, allowed) {
        Verdict::Fail
    } else {
        Verdict::Pass
    }
}

/// Whether not one request got a connection.
fn is_unreachable(result: &PhaseResult) -> bool {
    let no_connection = |outcome: Outcome| {
        matches!(
            outcome,
            Outcome::Dns
                | Outcome::Refused
                | Outcome::Unreachable
                | Outcome::Tls
                | Outcome::WrongProtocol
                | Outcome::ConnectTimeout
        )
    };
    let finished = || result.summary.rows.iter().filter(|row| !row.outcome.is_own());
    finished().next().is_some() && finished().all(|row| no_connection(row.outcome))
}

fn no_connection(url: &str, reached: &Reached, result: &PhaseResult) -> Diagnostic {
    let rows = result.summary.rows.iter().filter(|row| !row.outcome.is_own());
    let outcome = rows
        .max_by_key(|row| row.n)
        .map_or(Outcome::Unreachable, |row| row.outcome);
    let why = reached.first_error(outcome);
    let words = why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    let diagnostic = Diagnostic::unreachable(format!(
        "no request to {url} got a connection: each {}{words}",
        outcome.says()
    ));
    match outcome {
        // The words say what to do.
        Outcome::Tls | Outcome::WrongProtocol if why.is_some() => diagnostic,
        Outcome::Tls => diagnostic.next(TLS_HINT),
        Outcome::WrongProtocol => diagnostic.next(PROTOCOL_HINT),
        Outcome::ConnectTimeout if url.starts_with("https:") || url.starts_with("grpcs:") => {
            diagnostic.next(format!("no TLS? {TLS_HINT}"))
        }
        Outcome::ConnectTimeout => {
            diagnostic.next("check host and port, or give it more time with --connect-timeout")
        }
        _ => diagnostic.next("start the backend, or check host and port"),
    }
}

/// Nearest-rank quantile of sorted times; `None` below `1 / (1 - p)` values, where it would only be the largest.
fn nearest_rank(sorted: &[Nanos], p: f64) -> Option<Nanos> {
    let n = sorted.len() as u64;
    let needed = (1.0 / (1.0 - p) - 1e-9).ceil() as u64;
    (n >= needed.max(1)).then(|| sorted[prony_stats::order::nearest_rank(p, n) as usize - 1])
}

#[cfg(test)]
mod tests;
