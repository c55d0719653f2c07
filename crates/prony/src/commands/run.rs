//! `prony run`: a suite file, with the flags laid over it, handed to the runner.

use prony_model::{ExitCode, Gate, Suite};

use crate::cli::RunArgs;
use crate::diagnostic::{Diagnostic, nearest};
use crate::runner::{self, RunRequest};
use crate::session::Session;
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
    }
    if let Some(cacert) = &mut suite.target.cacert {
        *cacert = base_dir.join(&*cacert).display().to_string();
    }
    origins::settle(&mut suite, &base_dir);
    select(&mut suite, &args.phases)?;
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

/// Leaves these phases of a suite, and what is judged by them alone; all of it where none are named.
fn select(suite: &mut Suite, phases: &[String]) -> Result<(), Diagnostic> {
    let names = || suite.phase.iter().map(|phase| phase.name.as_str());
    if let Some(name) = phases.iter().find(|name| !names().any(|known| known == *name)) {
        let wrong = Diagnostic::usage(format!("the suite has no phase {name:?}"));
        return Err(match nearest(name, names()) {
            Some(meant) => wrong.next(format!("did you mean {meant:?}?")),
            None => wrong.next(format!("it has: {}", names().collect::<Vec<_>>().join(", "))),
        });
    }
    if !phases.is_empty() {
        suite.phase.retain(|phase| phases.contains(&phase.name));
        suite.experiment.clear();
        suite.gate.retain(|gate| phases.contains(&gate.phase));
        suite.claim.retain(|claim| {
            let here = |gate: &Gate| phases.contains(&gate.phase);
            claim.unless.is_empty() && !claim.holds_if.is_empty() && claim.holds_if.iter().all(here)
        });
    }
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
        "  {} gates, {} claims",
        suite.gate.len(),
        suite.claim.len()
    ));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::{describe, select};

    #[test]
    fn phases_are_chosen_with_what_judges_them() {
        let mut suite: prony_model::Suite = toml::from_str(
            "[target]\nurl = 'http://h'\n[experiment.coverage]\n[[scenario]]\nname = 's'\nhttp.path = '/'\n\
             [[phase]]\nname = 'one'\nscenarios = ['s']\nshape.once = {}\n\
             [[phase]]\nname = 'two'\nscenarios = ['s']\nshape.once = {}\n\
             [[gate]]\nphase = 'one'\ncheck = 'count == 1'\n[[gate]]\ncheck = 'capacity_rps >= 1'\n\
             [[gate]]\nphase = 'two'\ncheck = 'count == 1'\n\
             [[claim]]\nid = 'a'\nsays = 'x'\nholds_if = [{ phase = 'two', check = 'count == 1' }]\n\
             [[claim]]\nid = 'b'\nsays = 'y'\nunless = ['leak']\n",
        )
        .unwrap();
        let whole = suite.clone();
        select(&mut suite, &[]).unwrap();
        assert_eq!(suite, whole);
        let error = select(&mut suite, &["tow".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("no phase \"tow\""), "{error}");
        select(&mut suite, &["two".to_owned()]).unwrap();
        let left = (
            suite.phase.len(),
            suite.gate.len(),
            suite.claim.len(),
            suite.experiment.len(),
        );
        assert_eq!(left, (1, 1, 1, 0));
        assert_eq!(
            (suite.gate[0].phase.as_str(), suite.claim[0].id.as_str()),
            ("two", "a")
        );
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
             1 gates, 0 claims\n"
        );
    }
}
