//! `prony run`: a suite file, with the flags laid over it, handed to the runner.

use prony_model::{ExitCode, LaunchSpec, Suite, TargetSpec};

use crate::cli::RunArgs;
use crate::diagnostic::{Diagnostic, nearest};
use crate::runner::{self, RunRequest};
use crate::session::Session;
use crate::text::counted;
use crate::{config, origins, sending, target_url};

/// Runs the command.
pub(crate) fn run(args: &RunArgs, session: &Session) -> anyhow::Result<ExitCode> {
    let config::SuiteFile { mut suite, base_dir } = config::read(&args.suite, &args.sets)?;
    if let Some(url) = &args.target {
        target_url::check(url)?;
        suite.target.url.clone_from(url);
        if target_url::preset(url).is_none() {
            suite.target.knobs.clear();
        }
        // These start, reach and know another target than this.
        suite.target = TargetSpec {
            command: Vec::new(),
            launch: LaunchSpec::default(),
            unix_socket: None,
            connect_to: None,
            server_name: None,
            cert: None,
            key: None,
            pid: None,
            container: None,
            metrics_url: None,
            ..suite.target
        };
    }
    if let Some(cwd) = &mut suite.target.launch.cwd {
        *cwd = base_dir.join(&*cwd).display().to_string();
    }
    sending::launch(&args.launch, &mut suite.target);
    sending::watch(&args.watch, &mut suite.target);
    sending::parts(&args.parts, &mut suite.target);
    let target = &mut suite.target;
    let files = [
        &mut target.cacert,
        &mut target.cert,
        &mut target.key,
        &mut target.unix_socket,
    ];
    for file in files.into_iter().flatten() {
        *file = base_dir.join(&*file).display().to_string();
    }
    origins::settle(&mut suite, &base_dir);
    config::check_launch(&suite.target)?;
    let secrets = sending::apply(&args.send, &mut suite)?;
    keep_phases(&mut suite, &args.phases)?;
    if args.dry_run {
        session.print(&describe(&suite))?;
        return Ok(ExitCode::Pass);
    }
    let request = RunRequest {
        suite,
        surface: None,
        preparation: None,
        secrets,
        base_dir,
        output: args.send.output.clone(),
        json: args.send.json,
        duration_max: args.send.duration,
    };
    runner::run(request, session)
}

/// Leaves of the suite the phases of these names, or whose names begin with one and a space, and the gates on them; all of it where
/// none is named.
fn keep_phases(suite: &mut Suite, wanted: &[String]) -> Result<(), Diagnostic> {
    if wanted.is_empty() {
        return Ok(());
    }
    let is_meant = |name: &str, word: &str| {
        let rest = name.strip_prefix(word);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ':']))
    };
    for word in wanted {
        if !suite.phase.iter().any(|phase| is_meant(&phase.name, word)) {
            let names = suite.phase.iter().map(|phase| phase.name.as_str());
            let wrong = Diagnostic::usage(format!("the suite has no phase {word:?}"));
            return Err(match nearest(word, names) {
                Some(near) => wrong.next(format!("did you mean {near:?}?")),
                None => wrong.next("`--dry-run` names them"),
            });
        }
    }
    let keep = |name: &str| wanted.iter().any(|word| is_meant(name, word));
    suite.phase.retain(|phase| keep(&phase.name));
    suite.gate.retain(|gate| keep(&gate.phase));
    suite.claim.retain(|claim| {
        let judged = !claim.holds_if.is_empty() && claim.holds_if.iter().all(|gate| keep(&gate.phase));
        claim.unless.is_empty() && judged
    });
    suite.experiment.clear();
    Ok(())
}

/// What the suite would do.
fn describe(suite: &Suite) -> String {
    let mut lines = vec![format!("{}: target {}", suite.name, suite.target.url)];
    lines.extend(suite.phase.iter().map(|phase| {
        format!(
            "  phase {}: {}, {}",
            phase.name,
            phase.shape.label(),
            phase.scenarios.join(" + ")
        )
    }));
    lines.extend(suite.experiment.keys().map(|name| {
        let question = prony_experiments::find(name).map_or("", |def| def.question);
        format!("  experiment {name}: {question}")
    }));
    lines.push(format!(
        "  {}, {}",
        counted(suite.gate.len(), "gate"),
        counted(suite.claim.len(), "claim")
    ));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::{describe, keep_phases};

    #[test]
    fn a_phase_is_run_without_the_rest() {
        let suite = |wanted: &[&str]| {
            let mut suite: prony_model::Suite = toml::from_str(
                "name = 'x'\n[target]\nurl = 'http://h'\n[experiment.coverage]\n[[scenario]]\nname = 's'\nhttp.path = '/'\n\
                 [[phase]]\nname = 'stress'\nscenarios = ['s']\nshape.once = {}\n\
                 [[phase]]\nname = 'stress batch'\nscenarios = ['s']\nshape.once = {}\n\
                 [[phase]]\nname = 'stressed'\nscenarios = ['s']\nshape.once = {}\n\
                 [[gate]]\nphase = 'stressed'\ncheck = 'count == 1'\n\
                 [[gate]]\nphase = 'stress batch'\ncheck = 'count == 1'\n\
                 [[claim]]\nid = 'a'\nsays = 'x'\nholds_if = [{ phase = 'stress batch', check = 'count == 1' }]\n\
                 [[claim]]\nid = 'b'\nsays = 'y'\nholds_if = [{ phase = 'stressed', check = 'count == 1' }]\n\
                 [[claim]]\nid = 'c'\nsays = 'z'\nunless = ['leak']\n",
            )
            .unwrap();
            let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            keep_phases(&mut suite, &wanted).map(|()| suite)
        };
        let kept = suite(&["stress"]).unwrap();
        let names: Vec<&str> = kept.phase.iter().map(|phase| phase.name.as_str()).collect();
        assert_eq!(names, ["stress", "stress batch"]);
        assert_eq!(kept.gate.len(), 1);
        let claims: Vec<&str> = kept.claim.iter().map(|claim| claim.id.as_str()).collect();
        assert_eq!(claims, ["a"]);
        assert!(kept.experiment.is_empty());
        let whole = suite(&[]).unwrap();
        assert_eq!((whole.phase.len(), whole.experiment.len()), (3, 1));
        let wrong = suite(&["stres"]).unwrap_err().render(false);
        assert!(wrong.contains("did you mean \"stress\"?"), "{wrong}");
    }

    #[test]
    fn a_dry_run_names_everything() {
        let suite = toml::from_str(
            "name = 'x'\n[target]\nurl = 'http://h'\n[experiment.coverage]\n[[scenario]]\nname = 's'\nhttp.path = '/'\n\
             [[phase]]\nname = 'p'\nscenarios = ['s']\nshape.burst = { size = 3 }\n\
             [[gate]]\nphase = 'p'\ncheck = 'count == 3'\n",
        )
        .unwrap();
        assert_eq!(
            describe(&suite),
            "x: target http://h\n  phase p: burst of 3, s\n  experiment coverage: Which endpoints answer correctly?\n  \
             1 gate, 0 claims\n"
        );
    }
}
