//! `prony compare`: the same load on two targets in turns. It plans; `runner/pairs.rs` sends and
//! `prony_experiments::compare` concludes.

use prony_model::{ExitCode, Phase, Suite};

use crate::cli::CompareArgs;
use crate::commands::load::plan::Plan;
use crate::diagnostic::Diagnostic;
use crate::runner::{Connection, PairsRequest, engine_options, perform_pairs};
use crate::session::Session;
use crate::{config, sending, target_url};

/// Runs the command.
pub(crate) fn run(args: &CompareArgs, session: &Session) -> anyhow::Result<ExitCode> {
    let b = args.b.as_ref().unwrap_or(&args.a);
    check(args, b)?;
    let plan = |url: &str| -> Result<Plan, Diagnostic> { Plan::of(url, &args.request, args.shape()) };
    let (mut plan_a, mut plan_b) = (plan(&args.a)?, plan(b)?);
    let send = plan_a.own_headers(&args.send)?;
    let secrets = sending::apply(&send, &mut plan_a.suite)?;
    sending::apply(&plan_b.own_headers(&args.send)?, &mut plan_b.suite)?;
    for (plan, launch) in [&mut plan_a, &mut plan_b].into_iter().zip(args.launches()) {
        sending::launch(&launch, &mut plan.suite.target);
        config::check_launch(&plan.suite.target)?;
    }
    let mut note = |said: &str| session.note(said);
    for said in [&plan_a, &plan_b].map(|plan| target_url::says_apart(&plan.secrets)) {
        said.as_deref().map(&mut note);
    }
    let ahead_a = plan_a.phase_ahead(&mut note)?;
    let ahead_b = plan_b.phase_ahead(&mut note)?;
    // One clock for both.
    let options = engine_options(&plan_a.suite, session);
    let open = |plan: &mut Plan| -> anyhow::Result<Connection> {
        let mut secrets = secrets.clone();
        secrets.query.append(&mut plan.secrets);
        let side = Connection::open_with(&plan.suite, &secrets, session, options.clone())?;
        plan.arrived_at(&side.url);
        Ok(side)
    };
    let mut side_a = open(&mut plan_a)?;
    if args.aa && args.launch.command.is_some() {
        plan_b.suite.target.url.clone_from(&side_a.url);
        plan_b.url.clone_from(&plan_a.url);
    }
    let mut side_b = open(&mut plan_b)?;
    let mut made = |ahead: Option<Phase>, plan: &Plan, side: &mut Connection| match ahead {
        Some(phase) => Ok(phase),
        None => plan.phase_asked(side, &mut note),
    };
    let phase = made(ahead_a, &plan_a, &mut side_a)?;
    let phase_b = made(ahead_b, &plan_b, &mut side_b)?;
    let length_s = 2.0 * f64::from(args.pairs()) * args.run().as_secs_f64();
    session.note(&format!(
        "A  {} {}\nB  {} {}\n{} pairs of runs in turns (ABBA BAAB), each {}: about {length_s:.0} s",
        phase.scenarios[0].items[0].request.method,
        plan_a.url,
        phase_b.scenarios[0].items[0].request.method,
        plan_b.url,
        args.pairs(),
        phase.shape.label(),
    ));
    let request = PairsRequest {
        suite: Suite {
            name: if args.aa {
                "held against itself"
            } else {
                "comparison"
            }
            .to_owned(),
            ..plan_a.suite
        },
        sides: [side_a, side_b],
        urls: [plan_a.url, plan_b.url],
        phases: [phase, phase_b],
        pairs: args.pairs() as usize,
        warm_up: args.warm_up(),
        margin: args.margin.map(|percent| percent / 100.0),
        same: args.aa,
        output: args.send.output.clone(),
        json: args.send.json,
    };
    perform_pairs(request, session)
}

fn check(args: &CompareArgs, b: &str) -> Result<(), Diagnostic> {
    if let Some(demo) = [args.a.as_str(), b]
        .into_iter()
        .find(|url| target_url::preset(url).is_some())
    {
        return Err(Diagnostic::usage(format!(
            "`{demo}` is a demo backend, and a comparison needs URLs with a path"
        ))
        .next("start it with `prony serve PRESET`, then compare the URLs that it prints"));
    }
    if args.a == b && !args.aa && args.command_b.is_none() {
        return Err(Diagnostic::usage("A and B are the same URL")
            .next("add --aa to learn whether the target differs from itself here"));
    }
    if args.warm_up() >= args.run() {
        return Err(
            Diagnostic::usage("the warm-up is as long as the run, so nothing would count")
                .next("make the runs longer (-d), or --warm-up shorter"),
        );
    }
    Ok(())
}
