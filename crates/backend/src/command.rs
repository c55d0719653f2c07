//! The smallest command line over the library: what a preset starts its own processes with, and how a program that has no command
//! line of its own takes it. It knows no preset.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use tokio::sync::oneshot;

use crate::error::BackendError;
use crate::serve::{Ready, ServeOptions, serve};

/// The words of a command line that serves `options` until its standard input closes: `serve PRESET --port N ...`. The `prony`
/// binary and [`run`] understand them.
pub(crate) fn words(options: &ServeOptions) -> Vec<String> {
    let mut words = vec![
        "serve".to_owned(),
        options.preset.clone(),
        "--host".to_owned(),
        options.host.to_string(),
        "--port".to_owned(),
        options.port.to_string(),
        "--seed".to_owned(),
        options.seed.to_string(),
        "--time-scale".to_owned(),
        options.time_scale.to_string(),
        "--until-stdin-closes".to_owned(),
    ];
    if let Some(port) = options.admin_port {
        words.extend(["--admin-port".to_owned(), port.to_string()]);
    }
    for (name, value) in &options.knobs {
        words.extend(["--set".to_owned(), format!("{name}={value}")]);
    }
    words
}

/// Serves what such words ask for, until standard input closes if they say so, or until the process is ended. The ready line goes
/// to standard output.
pub fn run(words: impl IntoIterator<Item = String>) -> Result<(), BackendError> {
    let (options, until_stdin_closes) = options(words)?;
    let (stop, stopped) = oneshot::channel();
    if until_stdin_closes {
        std::thread::spawn(move || {
            // An error means the same as the end: nobody is there any more.
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            let _ = stop.send(());
        });
    }
    serve(options, announce, async move {
        let closed = async {
            // Without such a wish, standard input may be closed from the beginning.
            if until_stdin_closes && stopped.await.is_ok() {
                return;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = closed => {}
            () = asked_to_end() => {}
        }
    })
}

/// Completes at the first signal that asks a process to end. Without a handler the default action ends it, which is as well.
async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Writes the ready line: where the service, the truth and what is served beside listen.
pub fn announce(ready: &Ready) {
    // Whoever started this may have stopped reading; the service goes on.
    let _ = writeln!(std::io::stdout(), "{ready}");
}

fn options(words: impl IntoIterator<Item = String>) -> Result<(ServeOptions, bool), BackendError> {
    let mut words = words.into_iter();
    if words.next().as_deref() != Some("serve") {
        return Err(refuse("the first word must be 'serve'"));
    }
    let preset = words
        .next()
        .ok_or_else(|| refuse("name a preset after 'serve'"))?;
    let mut options = ServeOptions {
        preset,
        host: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 0,
        admin_port: None,
        knobs: Vec::new(),
        slides: None,
        seed: 1,
        time_scale: 1.0,
        log: false,
        stdio: false,
    };
    let mut until_stdin_closes = false;
    while let Some(flag) = words.next() {
        if flag == "--until-stdin-closes" {
            until_stdin_closes = true;
            continue;
        }
        let value = words
            .next()
            .ok_or_else(|| refuse(&format!("{flag} needs a value")))?;
        match flag.as_str() {
            "--host" => options.host = read(&flag, &value)?,
            "--port" => options.port = read(&flag, &value)?,
            "--admin-port" => options.admin_port = Some(read(&flag, &value)?),
            "--seed" => options.seed = read(&flag, &value)?,
            "--time-scale" => options.time_scale = scale(&value)?,
            "--slides" => options.slides = Some(value.into()),
            "--set" => {
                let (name, value) = value
                    .split_once('=')
                    .ok_or_else(|| refuse(&format!("--set {value}: write KNOB=VALUE")))?;
                options.knobs.push((name.to_owned(), value.to_owned()));
            }
            _ => return Err(refuse(&format!("{flag} is not known here"))),
        }
    }
    Ok((options, until_stdin_closes))
}

fn read<T: std::str::FromStr>(flag: &str, value: &str) -> Result<T, BackendError> {
    value
        .parse()
        .map_err(|_| refuse(&format!("{flag} cannot be '{value}'")))
}

fn scale(value: &str) -> Result<f64, BackendError> {
    let scale: f64 = read("--time-scale", value)?;
    if scale.is_finite() && scale > 0.0 {
        Ok(scale)
    } else {
        Err(refuse("--time-scale must be above 0"))
    }
}

fn refuse(why: &str) -> BackendError {
    BackendError::Command(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        let wanted = ServeOptions {
            preset: "truth".to_owned(),
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            admin_port: Some(7),
            knobs: vec![("a".to_owned(), "b=c d".to_owned())],
            slides: None,
            seed: 9,
            time_scale: 1.0 / 60.0,
            log: false,
            stdio: false,
        };
        let (read, until) = options(words(&wanted)).unwrap();
        assert!(until);
        assert_eq!(format!("{read:?}"), format!("{wanted:?}"));
    }

    #[test]
    fn slips_are_told() {
        for (line, says) in [
            ("go", "'serve'"),
            ("serve", "preset"),
            ("serve truth --port", "--port needs"),
            ("serve truth --port x", "'x'"),
            ("serve truth --set a", "KNOB=VALUE"),
            ("serve truth --time-scale 0", "above 0"),
            ("serve truth --nope 1", "not known"),
        ] {
            let told = options(line.split(' ').map(str::to_owned))
                .unwrap_err()
                .to_string();
            assert!(told.contains(says), "{line}: {told}");
        }
    }
}
