//! Serves a preset from the library alone: `cargo run -p prony-backend --example serve -- enso 8003 8004 [knob=value]...`.
//! With `--stdio` it speaks over standard input and output, and tells on standard error where it listens; `--time-scale=RATIO`
//! scales the platform's times. Stops at Ctrl-C.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use prony_backend::{BackendError, Ready, ReadyStdio, ServeOptions, serve, serve_stdio};

fn main() -> Result<(), BackendError> {
    let (flags, words): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let time_scale = flags
        .iter()
        .find_map(|flag| flag.strip_prefix("--time-scale=")?.parse().ok())
        .unwrap_or(1.0);
    let mut arguments = words.into_iter();
    let preset = arguments.next().unwrap_or_else(|| "enso".to_owned());
    let mut port = || arguments.next().and_then(|text| text.parse().ok());
    let (service, admin) = (port().unwrap_or(0), port());
    let knobs = arguments
        .filter_map(|pair| {
            pair.split_once('=')
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        })
        .collect();
    let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let options = ServeOptions {
        preset,
        host,
        port: service,
        admin_port: admin,
        knobs,
        slides: None,
        seed: 1,
        time_scale,
    };
    let stop = async {
        // Without a signal handler the default action ends the process, which is as well.
        let _ = tokio::signal::ctrl_c().await;
    };
    if flags.iter().any(|flag| flag == "--stdio") {
        let told = |ready: &ReadyStdio| eprintln!("ready{}", others(ready.admin, &ready.beside));
        return serve_stdio(options, told, stop);
    }
    let told = |ready: &Ready| {
        println!(
            "ready http://{}{}",
            ready.service,
            others(ready.admin, &ready.beside)
        );
    };
    serve(options, told, stop)
}

fn others(admin: Option<SocketAddr>, beside: &[(&'static str, SocketAddr)]) -> String {
    let admin = admin.map(|at| ("admin", at));
    let mut text = String::new();
    for (name, at) in admin.iter().chain(beside) {
        // Writing to a string cannot fail.
        let _ = write!(text, " {name} http://{at}");
    }
    text
}
