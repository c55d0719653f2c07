//! Serves a preset from the library alone: `cargo run -p prony-backend --example serve -- enso 8003 8004 [knob=value]...`.
//! Stops at Ctrl-C. It also takes the words with which a preset starts its worker processes: `serve PRESET --port N ...`.

use std::net::{IpAddr, Ipv4Addr};

use prony_backend::{BackendError, ServeOptions, announce, run, serve};

fn main() -> Result<(), BackendError> {
    let mut arguments = std::env::args().skip(1);
    let preset = arguments.next().unwrap_or_else(|| "enso".to_owned());
    if preset == "serve" {
        return run(std::iter::once(preset).chain(arguments));
    }
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
        time_scale: 1.0,
    };
    serve(options, announce, async {
        // Without a signal handler the default action ends the process, which is as well.
        let _ = tokio::signal::ctrl_c().await;
    })
}
