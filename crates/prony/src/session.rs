//! What a command knows of the process it runs in: the stop flag, the terminal, the command line.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prony_model::name_words;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The process around a command.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Set by the first Ctrl-C or SIGTERM; the second ends the process at once.
    pub stop: Arc<AtomicBool>,
    /// Print no progress and no notes.
    pub quiet: bool,
    /// Whether to colour standard output.
    pub color: bool,
    /// The command line as recorded with a run: values of sensitive headers are replaced.
    pub command: String,
}

impl Session {
    /// For this process: installs the signal handlers.
    pub(crate) fn start(quiet: bool, no_color: bool) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
            flag::register(signal, Arc::clone(&stop))?;
        }
        Ok(Self {
            stop,
            quiet,
            color: colors_wanted(no_color) && io::stdout().is_terminal(),
            command: recorded_command(
                std::env::args_os()
                    .skip(1)
                    .map(|word| word.to_string_lossy().into_owned()),
            ),
        })
    }

    /// Whether the person asked to stop.
    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether a live line may be drawn on standard error.
    pub(crate) fn live(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Prints a result on standard output. A reader that went away (`prony report RUN | head`) has read enough.
    #[expect(
        clippy::unused_self,
        reason = "output belongs to the session; callers must not need to know how"
    )]
    pub(crate) fn print(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    /// Tells the person what went wrong, on standard error.
    #[expect(clippy::unused_self, reason = "output belongs to the session")]
    pub(crate) fn warn(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Tells the person something on standard error, unless they want quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            // A closed standard error is no reason to end a measurement.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
}

/// Whether colours are wanted at all: neither `--no-color` nor a non-empty NO_COLOR.
pub(crate) fn colors_wanted(no_color: bool) -> bool {
    !no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Words in the name of a header, a parameter or a flag whose value is a secret, lower case.
const SECRET_WORDS: [&str; 12] = [
    "apikey",
    "authorization",
    "cookie",
    "credential",
    "credentials",
    "passphrase",
    "passwd",
    "password",
    "secret",
    "sig",
    "signature",
    "token",
];

/// What comes before the word `key` in names of keys that open nothing.
const OPEN_KEYS: [&str; 8] = [
    "cache",
    "foreign",
    "idempotency",
    "partition",
    "primary",
    "routing",
    "shard",
    "sort",
];

/// Whether a header's value must not be printed or stored.
pub(crate) fn is_sensitive(header: &str) -> bool {
    let words = name_words(header);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["sec", "web", "socket", ..] => false,
        words if words.iter().any(|word| SECRET_WORDS.contains(word)) => true,
        [.., before, "key"] => !OPEN_KEYS.contains(before),
        [.., "auth"] => true,
        _ => false,
    }
}

/// Whether the value of a parameter in the query of a URL must not be printed or stored.
pub(crate) fn is_secret_parameter(name: &str) -> bool {
    // `code` is the key of a function app, `key` that of many an API.
    matches!(name, "code" | "key" | "auth") || is_sensitive(name)
}

/// The command line in one string, quoted for a shell, with secrets replaced.
fn recorded_command(args: impl Iterator<Item = String>) -> String {
    let mut words = vec!["prony".to_owned()];
    let mut after_cookie = false;
    for arg in args {
        let kept = if after_cookie {
            without_value(&arg)
        } else {
            redact(&arg)
        };
        after_cookie = arg == "--cookie";
        words.push(quote(&kept));
    }
    words.join(" ")
}

/// The name of a cookie, without its value.
fn without_value(cookie: &str) -> String {
    let name = cookie.split_once('=').map_or("", |(name, _)| name);
    format!("{name}=***")
}

/// The argument without the values of cookies, sensitive headers and sensitive flags of a command within it, and without user info
/// and secrets in the query of a URL.
fn redact(arg: &str) -> String {
    let header = arg
        .trim_start_matches("--header=")
        .trim_start_matches("-H")
        .trim_start_matches('=');
    if let Some((name, _)) = header.split_once(':')
        && is_sensitive(name.trim())
    {
        return arg[..arg.len() - header.len() + name.len()].to_owned() + ": ***";
    }
    if let Some(cookie) = arg.strip_prefix("--cookie=") {
        return format!("--cookie={}", without_value(cookie));
    }
    without_secret_flags(arg)
}

/// A word without the user info of the URL that it holds, and without the values of the secret parameters in its query.
pub(crate) fn without_url_secrets(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let rest = match authority.rfind('@') {
        Some(at) => format!("***@{}", &rest[at + 1..]),
        None => rest.to_owned(),
    };
    let Some((before, query)) = rest.split_once('?') else {
        return format!("{scheme}://{rest}");
    };
    let shown = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if is_secret_parameter(name) && !value.is_empty() => format!("{name}=***"),
        _ => pair.to_owned(),
    };
    let pairs: Vec<String> = query.split('&').map(shown).collect();
    format!("{scheme}://{before}?{}", pairs.join("&"))
}

/// A command line, or `key=value`, without the values of what is named like a secret: `--api-key sk-1`, `--token=x`, `API_KEY=x`.
pub(crate) fn without_secret_flags(text: &str) -> String {
    let mut hidden = false;
    let mut shown = Vec::new();
    for word in text.split(' ') {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let is_secret = is_sensitive(name.trim_start_matches('-')) && !name.contains('/');
        shown.push(match value {
            _ if hidden && !word.is_empty() => "***".to_owned(),
            Some(value) if is_secret && !value.is_empty() => format!("{name}=***"),
            _ => without_url_secrets(word),
        });
        hidden = (hidden && word.is_empty()) || (is_secret && value.is_none() && name.starts_with('-'));
    }
    shown.join(" ")
}

/// A word as a shell takes it.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+*".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::{is_sensitive, recorded_command};

    fn recorded(args: &[&str]) -> String {
        recorded_command(args.iter().map(ToString::to_string))
    }

    #[test]
    fn secrets_are_not_recorded() {
        for args in [
            &["load", "-H", "Authorization: Bearer hunter2"][..],
            &["load", "-HAuthorization: hunter2"],
            &["load", "--header=X-Api-Key:hunter2"],
            &["load", "http://me:hunter2@h/x@y"],
            &["load", "--cookie", "a=hunter2", "--cookie", "b=hunter2=="],
            &["load", "--cookie=a=hunter2"],
            &["load", "--cookie", "hunter2"],
            &["load", "--cookie", "--cookie", "a=hunter2"],
            &["load", "-H=Authorization: Bearer hunter2"],
            &["load", "-H", "PRIVATE-TOKEN: hunter2"],
            &["load", "-H", "xi-api-key: hunter2"],
            &["load", "-H", "X-Functions-Key:hunter2"],
            &["check", "https://h/predict?model=a&code=hunter2"],
            &["check", "http://h/?access_token=hunter2&key=hunter2"],
            &["check", "http://h/?accessToken=hunter2&apiKey=hunter2"],
            &[
                "check",
                "http://h",
                "--command",
                "vllm serve m --api-key hunter2 --port 1",
            ],
            &["check", "http://h", "--command", "serve http://h --token hunter2"],
            &[
                "check",
                "http://h",
                "--command",
                "API_KEY=hunter2 serve --token=hunter2",
            ],
            &["run", "s.toml", "--set", "origin.s3.secret_key=hunter2"],
        ] {
            let text = recorded(args);
            assert!(!text.contains("hunter2") && text.contains("***"), "{text}");
        }
    }

    #[test]
    fn the_rest_is_recorded_as_typed() {
        let text = recorded(&["load", "http://h/x?a=1&b=2", "-b", "it's", "-H", "Accept: */*"]);
        assert_eq!(
            text,
            r"prony load 'http://h/x?a=1&b=2' -b 'it'\''s' -H 'Accept: */*'"
        );
        let words = ["check", "http://h", "--api-key-env", "KEY", "--max-tokens", "7"];
        assert_eq!(recorded(&words), format!("prony {}", words.join(" ")));
    }

    #[test]
    fn names_of_secrets() {
        for name in [
            "Authorization",
            "Proxy-Authorization",
            "Cookie",
            "X-Api-Key",
            "X-Auth-Token",
            "X-Goog-Api-Key",
            "X-Amz-Security-Token",
            "Ocp-Apim-Subscription-Key",
            "X-Vault-Token",
            "X-RapidAPI-Key",
        ] {
            assert!(is_sensitive(name), "{name}");
        }
        for name in [
            "Accept",
            "Idempotency-Key",
            "X-Max-Tokens",
            "Sec-WebSocket-Key",
            "X-Request-Id",
            "api-key-env",
        ] {
            assert!(!is_sensitive(name), "{name}");
        }
    }
}
