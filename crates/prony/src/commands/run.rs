//! `prony run`: a suite file, with the flags laid over it, handed to the runner.

use prony_model::{ExitCode, LaunchSpec, Suite};

use crate::cli::RunArgs;
use crate::runner::{self, RunRequest};
use crate::session::Session;
use crate::{config, sending, target_url};

/// Runs the command.
pub(crate) fn run(args: &RunArgs, session: &Session) -> anyhow::Result<ExitCode> {
    let config::SuiteFile { mut suite, base_dir } = config::read(&args.suite, &args.sets)?;
    if let Some(url) = &args.target {
        target_url::check(url)?;
        suite.target.url.clone_from(url);
        if target_url::preset(url).is_none() {
            suite.target.knobs.clear();
        }
        // It would start another target than this.
        suite.target.command.clear();
        suite.target.launch = LaunchSpec::default();
    }
    if let Some(cwd) = &mut suite.target.launch.cwd {
        *cwd = base_dir.join(&*cwd).display().to_string();
    }
    sending::launch(&args.launch, &mut suite.target);
    if let Some(cacert) = &mut suite.target.cacert {
        *cacert = base_dir.join(&*cacert).display().to_string();
    }
    config::check_launch(&suite.target)?;
    let secrets = sending::apply(&args.send, &mut suite)?;
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
        "  {} gates, {} claims",
        suite.gate.len(),
        suite.claim.len()
    ));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::describe;

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
             1 gates, 0 claims\n"
        );
    }
}
