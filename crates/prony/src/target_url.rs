//! Whether a target's URL can be one, before anything is resolved or sent.

use prony_engine::Inner;
use prony_model::{Piece, Secret, pieces};
use url::{Position, Url};

use crate::diagnostic::{Diagnostic, nearest};
use crate::session::is_secret_parameter;
use crate::text::clean;

/// The preset of a target `demo`, `demo:NAME` or `stdio:demo:NAME`.
pub(crate) fn preset(target: &str) -> Option<&str> {
    let target = target.strip_prefix("stdio:").unwrap_or(target).trim();
    if target == "demo" {
        Some("enso")
    } else {
        target.strip_prefix("demo:")
    }
}

/// Refuses what can be no target, and says what to write instead.
pub(crate) fn check(target: &str) -> Result<(), Diagnostic> {
    if let Some(name) = preset(target) {
        return check_preset(name);
    }
    if let Some(command) = target.strip_prefix("stdio:") {
        if command.trim().is_empty() {
            return Err(Diagnostic::usage("`stdio:` needs a command").next("write stdio:python server.py"));
        }
        return Ok(());
    }
    match Inner::parse(target) {
        Some(Ok(_)) => Ok(()),
        Some(Err(why)) => Err(Diagnostic::usage(why)),
        None => parse(target).map(|_| ()),
    }
}

/// Whether a target is a server within this process: `null:` or `sim:...`.
pub(crate) fn is_inner(target: &str) -> bool {
    Inner::parse(target).is_some()
}

/// An http, https, grpc or grpcs URL with a host; the latter two with a port. A missing scheme means http.
pub(crate) fn parse(target: &str) -> Result<Url, Diagnostic> {
    if target.trim().is_empty() {
        return Err(
            Diagnostic::usage("the target is empty").next("write a URL such as http://127.0.0.1:8000")
        );
    }
    let full = if target.contains("://") {
        target.to_owned()
    } else {
        format!("http://{target}")
    };
    let scheme = full.split("://").next().unwrap_or_default();
    if !matches!(scheme, "http" | "https" | "grpc" | "grpcs") {
        return Err(
            Diagnostic::usage(format!("`{scheme}` is no scheme that Prony speaks"))
                .next("use http:// or https://, and grpc:// or grpcs:// for KServe V2 over gRPC"),
        );
    }
    let url = Url::parse(&full).map_err(|e| {
        Diagnostic::usage(format!("`{target}` is no URL: {e}"))
            .next("write a URL such as http://127.0.0.1:8000")
    })?;
    if scheme.starts_with("grpc") && (url.port().is_none() || !url.has_host()) {
        return Err(
            Diagnostic::usage(format!("`{target}` has no port, and gRPC has none of its own"))
                .next("write it like grpc://127.0.0.1:8001"),
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            Diagnostic::usage("a URL with a user name or password in it would be recorded")
                .next("put the credentials into a variable: --header-env Authorization=VARIABLE"),
        );
    }
    Ok(url)
}

/// Origin and request target of a URL in whose path and query placeholders may stand: `{{seq}}`. They stay as they are; all else
/// is percent-encoded where it must be.
pub(crate) fn parse_template(target: &str) -> Result<(String, String), Diagnostic> {
    /// What stands for a placeholder while the rest is read.
    const MARK: &str = "prony-placeholder-";
    let wrong =
        |why: String| Diagnostic::usage(why).next("write a URL such as http://127.0.0.1:8000/item/{{seq}}");
    let mut holes = Vec::new();
    let mut marked = String::new();
    for piece in pieces(target).map_err(wrong)? {
        match piece {
            Piece::Text(text) => marked.push_str(text),
            Piece::Hole(placeholder) => {
                marked.extend([MARK, &holes.len().to_string(), "-"]);
                holes.push(placeholder.to_string());
            }
        }
    }
    let rest = marked.split_once("://").map_or(marked.as_str(), |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !holes.is_empty() && (authority.contains(MARK) || target.contains(MARK)) {
        return Err(wrong(
            "a placeholder cannot stand in the host or port: one run loads one target".to_owned(),
        ));
    }
    let url = parse(&marked)?;
    let mut path = url[Position::BeforePath..Position::AfterQuery].to_owned();
    for (k, hole) in holes.iter().enumerate() {
        path = path.replace(&format!("{MARK}{k}-"), hole);
    }
    Ok((url[..Position::AfterPort].to_owned(), path))
}

/// A path with its query, without the secrets that its query holds, and these as they stand in it: what is part of a URL is recorded
/// in many places. One that is filled in for every request is no secret of the run.
pub(crate) fn apart(path: &str) -> (String, Vec<(String, Secret)>) {
    let Some((before, query)) = path.split_once('?') else {
        return (path.to_owned(), Vec::new());
    };
    let mut secrets = Vec::new();
    let rest: Vec<&str> = query
        .split('&')
        .filter(|pair| match pair.split_once('=') {
            Some((name, value))
                if is_secret_parameter(name) && !value.is_empty() && !value.contains("{{") =>
            {
                secrets.push((name.to_owned(), Secret::new(value)));
                false
            }
            _ => true,
        })
        .collect();
    if rest.is_empty() {
        (before.to_owned(), secrets)
    } else {
        (format!("{before}?{}", rest.join("&")), secrets)
    }
}

/// What a person should know of the secrets that stood in their URL; empty where there are none.
pub(crate) fn says_apart(secrets: &[(String, Secret)]) -> Option<String> {
    let names: Vec<&str> = secrets.iter().map(|(name, _)| name.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "`{}` in the URL's query is taken for a secret: it goes with every request, at the end of the query, and is recorded \
             nowhere. --query-env keeps it out of the list of processes, too.",
            clean(&names.join("`, `"), 200)
        )
    })
}

/// The host and the port of `HOST:PORT`; an IPv6 address stands in brackets, and is returned without them.
pub(crate) fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("{text:?} is not HOST:PORT; write 127.0.0.1:8000 or [::1]:8000");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = inner.unwrap_or(host);
    let is_host = !host.is_empty() && (inner.is_some() || !host.contains(':'));
    match port.parse::<u16>() {
        Ok(port) if port > 0 && is_host && !host.contains(['/', '@', ' ']) => Ok((host.to_owned(), port)),
        _ => Err(wrong()),
    }
}

fn check_preset(name: &str) -> Result<(), Diagnostic> {
    let mut names = prony_backend::PRESETS.iter().map(|preset| preset.name);
    if names.clone().any(|known| known == name) {
        return Ok(());
    }
    let diagnostic = Diagnostic::usage(format!("there is no preset `{name}`"));
    Err(match nearest(name, names.by_ref()) {
        Some(meant) => diagnostic.next(format!("did you mean `demo:{meant}`?")),
        None => diagnostic.next("`prony serve --list` names the presets"),
    })
}

#[cfg(test)]
mod tests {
    use super::{apart, check, host_and_port, parse, parse_template, preset, says_apart};

    #[test]
    fn hosts_with_ports() {
        for (text, host, port) in [
            ("a.b:80", "a.b", 80),
            ("[::1]:9", "::1", 9),
            ("1.2.3.4:5", "1.2.3.4", 5),
        ] {
            assert_eq!(host_and_port(text), Ok((host.to_owned(), port)));
        }
        for wrong in [
            "a",
            ":80",
            "a:",
            "a:0",
            "a:99999",
            "::1:80",
            "http://a:80",
            "a b:80",
        ] {
            assert!(host_and_port(wrong).unwrap_err().contains("HOST:PORT"), "{wrong}");
        }
    }

    #[test]
    fn secrets_in_a_query_stand_apart() {
        for (path, rest, names) in [
            ("/a", "/a", &[][..]),
            ("/a?b=1", "/a?b=1", &[]),
            ("/a?code=s3", "/a", &["code"]),
            ("/a?b=1&api_key=s3&c=2&sig=s4", "/a?b=1&c=2", &["api_key", "sig"]),
            ("/a?token=", "/a?token=", &[]),
            ("/a?token={{data.token}}", "/a?token={{data.token}}", &[]),
        ] {
            let (kept, secrets) = apart(path);
            assert_eq!(kept, rest);
            let found: Vec<&str> = secrets.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(found, names, "{path}");
            assert_eq!(says_apart(&secrets).is_some(), !names.is_empty());
        }
    }

    #[test]
    fn placeholders_stay_in_path_and_query() {
        for (url, origin, path) in [
            ("127.0.0.1:8000/a/{{seq}}", "http://127.0.0.1:8000", "/a/{{seq}}"),
            (
                "http://h/{{ data.id }}/é {x}?q={{random.int(1, 9)}}&w={{data.w|raw}}#f{{seq}}",
                "http://h",
                "/{{data.id}}/%C3%A9%20%7Bx%7D?q={{random.int(1,9)}}&w={{data.w | raw}}",
            ),
            ("http://h?{{seq}}", "http://h", "/?{{seq}}"),
            ("http://h/{{}}", "http://h", "/%7B%7B%7D%7D"),
        ] {
            assert_eq!(
                parse_template(url).unwrap(),
                (origin.to_owned(), path.to_owned()),
                "{url}"
            );
        }
        for (url, hint) in [
            ("http://{{data.host}}/", "host or port"),
            ("http://h:{{seq}}/x", "host or port"),
            ("{{data.url}}", "host or port"),
            ("http://h/{{random.word}}", "random.uuid"),
        ] {
            let text = parse_template(url).unwrap_err().render(false);
            assert!(text.contains(hint) && text.contains("next:"), "{url}: {text}");
        }
    }

    #[test]
    fn urls_and_presets() {
        assert!(check("http://127.0.0.1:8000/api").is_ok() && check("https://[::1]/").is_ok());
        assert!(check("demo").is_ok() && check("demo:enso-fixed").is_ok());
        assert_eq!(
            parse("127.0.0.1:8000/x").unwrap().as_str(),
            "http://127.0.0.1:8000/x"
        );
        assert_eq!(parse("grpc://[::1]:8001/m/2").unwrap().path(), "/m/2");
        assert_eq!(preset("demo"), Some("enso"));
        assert_eq!(preset("stdio:demo:media"), Some("media"));
        assert_eq!(preset("stdio:python demo.py"), None);
        assert_eq!(preset("http://demo"), None);
    }

    #[test]
    fn what_is_no_target() {
        for (target, hint) in [
            ("", "the target is empty"),
            ("ftp://h/", "use http:// or https://"),
            ("grpc://h/", "write it like grpc://127.0.0.1:8001"),
            ("grpcs://", "write it like grpc://127.0.0.1:8001"),
            ("http://", "is no URL"),
            ("http://a b/", "is no URL"),
            ("http://me:hunter2@h/", "would be recorded"),
            ("demo:ensoo", "did you mean `demo:enso`?"),
            ("stdio:demo:mediaa", "did you mean `demo:media`?"),
        ] {
            let text = check(target).unwrap_err().render(false);
            assert!(
                text.contains(hint) && !text.contains("hunter2"),
                "{target}: {text}"
            );
        }
        assert!(parse("http://h:99999/").is_err());
    }
}
