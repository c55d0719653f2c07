//! Whether what says how to start a target makes sense. It starts nothing.

use prony_model::TargetSpec;

use crate::diagnostic::Diagnostic;
use crate::target_url;

/// What is wrong with the command of a target, if anything, however it was given.
pub(crate) fn check_launch(spec: &TargetSpec) -> Result<(), Diagnostic> {
    wrong(spec).map_or(Ok(()), |(_, diagnostic)| Err(diagnostic))
}

/// The key in `[target]` that is wrong, and why.
pub(super) fn wrong(spec: &TargetSpec) -> Option<(&'static str, Diagnostic)> {
    let launch = &spec.launch;
    let is_demo = target_url::preset(&spec.url).is_some();
    if spec.command.is_empty() {
        let given = (!launch.is_default() && !is_demo).then(|| {
            Diagnostic::usage("this says how to start the target, but not what to start")
                .next("give the command: `command = [\"python\", \"server.py\"]`, or `--command 'python server.py'`")
        });
        return Some(("launch", given?));
    }
    let is_own = is_demo || spec.url.starts_with("stdio:") || target_url::is_inner(&spec.url);
    if is_own {
        let why = format!(
            "`{}` brings its own server: there is no place for a command",
            spec.url
        );
        let next = "remove the command, or give the URL on which it listens: http://127.0.0.1:8000";
        return Some(("command", Diagnostic::usage(why).next(next)));
    }
    if spec.command[0].trim().is_empty() {
        return Some(("command", Diagnostic::usage("the command has no program")));
    }
    if launch.ready.as_ref().is_some_and(|path| !path.starts_with('/')) {
        let next = "write it as /health/ready";
        return Some((
            "launch.ready",
            Diagnostic::usage("a path begins with /").next(next),
        ));
    }
    for (key, value) in [
        ("launch.start_timeout_ms", launch.start_timeout_ms),
        ("launch.stop_timeout_ms", launch.stop_timeout_ms),
    ] {
        if value == 0 {
            return Some((key, Diagnostic::usage("it would be over before it began")));
        }
    }
    let is_name = |name: &String| !name.is_empty() && !name.contains(['=', '\0']);
    let unnamed = |key| (key, Diagnostic::usage("this is no name of a variable"));
    if !launch.env.keys().all(is_name) {
        return Some(unnamed("launch.env"));
    }
    (!launch
        .env_from
        .iter()
        .all(|(name, from)| is_name(name) && is_name(from)))
    .then(|| unnamed("launch.env_from"))
}

#[cfg(test)]
mod tests {
    use prony_model::TargetSpec;

    use super::wrong;

    fn key(toml: &str) -> Option<&'static str> {
        let spec: TargetSpec = toml::from_str(toml).unwrap();
        wrong(&spec).map(|(key, _)| key)
    }

    #[test]
    fn what_can_start_nothing_is_told_by_its_key() {
        let url = "url = 'http://127.0.0.1:1'\n";
        for (rest, expected) in [
            ("command = ['x']", None),
            (
                "command = ['x']\nlaunch.ready = '/up'\nlaunch.stop_signal = 'INT'",
                None,
            ),
            ("launch.ready = '/up'", Some("launch")),
            ("command = ['']", Some("command")),
            ("command = ['x']\nlaunch.ready = 'up'", Some("launch.ready")),
            (
                "command = ['x']\nlaunch.stop_timeout_ms = 0",
                Some("launch.stop_timeout_ms"),
            ),
            (
                "command = ['x']\nlaunch.env = { 'A=B' = '1' }",
                Some("launch.env"),
            ),
            (
                "command = ['x']\nlaunch.env_from = { A = '' }",
                Some("launch.env_from"),
            ),
        ] {
            assert_eq!(key(&format!("{url}{rest}")), expected, "{rest}");
        }
        assert_eq!(key("url = 'demo:enso'\ncommand = ['x']"), Some("command"));
        assert_eq!(key("url = 'demo:enso'\nlaunch.stop_timeout_ms = 9"), None);
    }
}
