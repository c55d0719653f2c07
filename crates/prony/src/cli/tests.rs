//! The command line parses what its examples say, refuses the rest in words, and its help pages are reviewed.

use clap::{FromArgMatches, Parser};
use prony_model::Budget;

use super::{Cli, Command};

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("prony").chain(line.split_whitespace()))
}

/// The error as a person sees it, without the usage that clap adds below.
fn refused(args: &[&str]) -> String {
    let error = Cli::try_parse_from(std::iter::once(&"prony").chain(args)).unwrap_err();
    error.render().to_string()
}

#[test]
fn the_tree_is_consistent() {
    Cli::tree().debug_assert();
}

#[test]
fn every_flag_has_a_sentence_and_every_command_an_example() {
    let mut tree = Cli::tree();
    tree.build();
    for command in tree.get_subcommands() {
        let examples = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(
            examples.starts_with("Examples:\n  prony "),
            "{} has no example",
            command.get_name()
        );
        for arg in command
            .get_arguments()
            .filter(|a| a.get_id() != "help" && a.get_id() != "version")
        {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                help.split_whitespace().count() >= 3,
                "{}: {}",
                command.get_name(),
                arg.get_id()
            );
        }
    }
}

#[test]
fn examples_in_the_help_parse() {
    let mut tree = Cli::tree();
    tree.build();
    let pages = std::iter::once(&tree).chain(tree.get_subcommands());
    let mut parsed = 0;
    for page in pages {
        let help = page.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in help
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("prony "))
        {
            let (command, prose) = line.split_once("   ").unwrap_or((line, ""));
            // A shell takes the whole line, so what is said of the command is a comment.
            let prose = prose.trim_start();
            assert!(prose.is_empty() || prose.starts_with("# "), "{line}");
            let command = command.split([';', '|', '>']).next().unwrap();
            let words = shlex::split(command).unwrap();
            let matches = Cli::tree().try_get_matches_from(std::iter::once("prony".to_owned()).chain(words));
            let cli = matches.and_then(|m| Cli::from_arg_matches(&m));
            assert!(cli.is_ok(), "{line}: {}", cli.unwrap_err());
            parsed += 1;
        }
    }
    assert!(parsed >= 25, "{parsed}");
}

#[test]
fn a_target_to_be_started_is_a_command_in_words() {
    let line = "prony check http://h --command 'python \"my server.py\" -p {port}' --stop-signal INT --stop-timeout 2s";
    let cli = Cli::tree()
        .try_get_matches_from(shlex::split(line).unwrap())
        .and_then(|m| Cli::from_arg_matches(&m));
    let Command::Check(args) = cli.unwrap().command else {
        panic!("it is a check");
    };
    let mut target = prony_model::TargetSpec::default();
    crate::sending::launch(&args.launch, &mut target);
    assert_eq!(target.command, ["python", "my server.py", "-p", "{port}"]);
    assert_eq!(target.launch.stop_signal, prony_model::StopSignal::Int);
    assert_eq!(
        (target.launch.stop_timeout_ms, target.launch.start_timeout_ms),
        (2_000, 60_000)
    );
}

#[test]
fn shared_flags_work_on_every_command_that_sends() {
    let flags = "-H Accept:text/plain --bearer-env T --api-key-env K --header-env X-Token=V --timeout 30s \
                 --connect-timeout 1s --insecure --cacert ca.pem --allow-host h --max-rate 10 --duration 10s --seed 7 \
                 --query-env key=K --threads 2 -o out --json --quiet --no-color";
    for command in [
        "check http://h",
        "load http://h",
        "compare http://h http://i",
        "run s.toml",
    ] {
        let cli = parse(&format!("{command} {flags}")).unwrap();
        assert!(cli.quiet && cli.no_color);
        let send = match cli.command {
            Command::Check(args) => args.send,
            Command::Load(args) => args.send,
            Command::Compare(args) => args.send,
            Command::Run(args) => args.send,
            _ => unreachable!("only commands that send are listed"),
        };
        assert_eq!(send.seed, Some(7));
        assert_eq!(send.duration.unwrap().as_secs(), 10);
        assert_eq!(send.access.header_env[0].variable, "V");
    }
}

#[test]
fn the_short_flags_of_other_load_tools() {
    let Command::Load(args) = parse("load http://h -c 64 -z 10s -m POST -T text/plain -b x")
        .unwrap()
        .command
    else {
        panic!("load parses as load");
    };
    assert_eq!(
        (args.connections, args.request.method.as_deref()),
        (Some(64), Some("POST"))
    );
    assert_eq!(args.send.duration.unwrap().as_secs(), 10);
}

#[test]
fn budgets() {
    for (flag, budget) in [
        ("", Budget::Standard),
        ("--quick", Budget::Quick),
        ("--standard", Budget::Standard),
        ("--thorough", Budget::Thorough),
    ] {
        let Command::Check(args) = parse(&format!("check demo {flag}")).unwrap().command else {
            panic!("check parses as check");
        };
        assert_eq!(args.budget(), budget);
    }
    assert!(parse("check demo --quick --thorough").is_err());
}

#[test]
fn wrong_flags_are_explained() {
    let cases: &[&[&str]] = &[
        &["load", "http://h", "-d", "10 sec"],
        &["load", "http://h", "--timout", "1s"],
        &["lod", "http://h"],
        &["load", "http://h", "-c", "0"],
        &["load", "http://h", "-c", "4", "--rate", "5"],
        &["load", "http://h", "-H", "no colon"],
        &["load", "http://h", "--rate", "fast"],
        &["load", "http://h", "--allow-failures", "5"],
        &["run"],
        &["serve"],
        &["serve", "enso", "--set", "knob"],
        &["schema", "suit"],
    ];
    let text: Vec<String> = cases
        .iter()
        .map(|args| format!("$ prony {}\n{}", args.join(" "), refused(args)))
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn flags_that_would_do_nothing_are_refused() {
    for line in [
        "load http://h --openai m --stream openai-chat",
        "load http://h --openai m --expect-status 503",
        "load http://h --openai m --search --slo ttft=1s --think 5",
        "load http://h --openai m --search --slo ttft=1s --allow-failures 0.1",
        "load http://h --openai m --sweep --slo ttft=1s",
        "load http://h --ramp 1:9 --connect-rate 5",
        "load http://h --upstream http://h",
        "load http://h --processes 2",
        "check http://h -T text/plain",
        "compare http://h http://i --pid 1",
        "compare http://h http://i --gauge g",
    ] {
        let refused = parse(line);
        assert!(refused.is_err(), "{line}");
    }
    for line in [
        "check http://h -b x -T text/plain",
        "check http://h -f x -T text/plain",
        "check http://h --pid 1 --upstream http://i --processes 2",
        "load http://h --pid 1 -o out",
        "load http://h --allow-failures 1%",
    ] {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
    }
}

#[test]
fn help_pages() {
    let mut tree = Cli::tree().term_width(100);
    tree.build();
    insta::assert_snapshot!("help_prony", tree.render_long_help().to_string());
    for command in tree.get_subcommands_mut() {
        let name = format!("help_{}", command.get_name());
        insta::assert_snapshot!(name, command.render_long_help().to_string());
    }
}
