//! Serves a preset from the library alone: `cargo run -p prony-backend --example serve -- enso 8003 8004 [knob=value]...`.
//! Stops at Ctrl-C; with `LOG=1` in the environment it logs each request.

use std::net::{IpAddr, Ipv4Addr};

use prony_backend::{BackendError, ServeOptions, serve};

fn main() -> Result<(), BackendError> {
    let mut arguments = std::env::args().skip(1);
    let preset = arguments.next().unwrap_or_else(|| "enso".to_owned());
    let mut port = || arguments.next().and_then(|text| text.parse().ok());
    let (service, admin) = (port().unwrap_or(0), port());
    let log = std::env::var_os("LOG").is_some();
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
        log,
    };
    let told = |ready: &prony_backend::Ready| println!("{ready}");
    serve(options, told, async {
        // Without a signal handler the default action ends the process, which is as well.
        let _ = tokio::signal::ctrl_c().await;
    })
}
