//! The life of one worker: provisioning, its process, its health checks, to its end. It routes nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use tokio::sync::watch;

use super::call::call;
use super::pool::{Home, Phase, Pool, name};
use super::process::Process;
use crate::serve::ServeOptions;

/// Largest answer of a health check.
const ANSWER_MAX: usize = 64 * 1024;

/// Looks after a worker until it ends.
pub(super) async fn tend(pool: Arc<Pool>, id: usize, kept: Option<Home>, mut stopped: watch::Receiver<bool>) {
    let life = async {
        if let Err(why) = live(&pool, id, kept).await {
            pool.fail(id, &why);
        }
    };
    tokio::select! {
        () = life => {}
        // An error means that the worker is gone.
        _ = stopped.wait_for(|stop| *stop) => {}
    }
}

/// What its end was.
async fn live(pool: &Arc<Pool>, id: usize, kept: Option<Home>) -> Result<(), String> {
    let config = &pool.config;
    let begun = Instant::now();
    let init_max = config.wrong_port.unwrap_or(config.init_max);
    let (address, mut ended) = if let Some(home) = kept {
        let (address, ended) = (home.address.ok_or("it never listened")?, home.ended.clone());
        settle(pool, id, home)?;
        pool.alarm.sleep_until(begun + config.flashboot_start).await;
        (address, ended)
    } else {
        pool.alarm.sleep_until(begun + config.before_process).await;
        launch(pool, id, init_max).await?
    };
    let looked_for = if config.wrong_port.is_some() {
        nobodys_port()?
    } else {
        address
    };
    if config.wrong_port.is_none() {
        if let Some(home) = &mut pool.lock().workers[id].home {
            home.address = Some(address);
        }
        pool.initialising(id);
    }
    let (mut parts, _) = Request::new(Body::empty()).into_parts();
    parts.uri = "/ping".parse().map_err(|_| "no path")?;
    let mut failures = 0;
    loop {
        let asked = Instant::now();
        let answer = tokio::select! {
            answer = tokio::time::timeout(config.ping_timeout, call(looked_for, &parts, Bytes::new(), ANSWER_MAX)) => answer,
            _ = ended.wait_for(|over| *over) => return Err("its process ended".to_owned()),
        };
        let was_healthy = pinged(pool, id, asked.elapsed());
        match answer.ok().and_then(Result::ok).map(|answer| answer.status) {
            Some(StatusCode::OK) => {
                failures = 0;
                pool.healthy(id);
            }
            Some(StatusCode::NO_CONTENT) => {
                failures = 0;
                pool.initialising(id);
            }
            Some(status) => return Err(format!("unhealthy: /ping was {status}")),
            None if was_healthy => {
                failures += 1;
                if failures >= config.ping_failures {
                    return Err(format!("unhealthy: {failures} health checks failed"));
                }
            }
            None => {}
        }
        let healthy = pool.lock().workers[id].phase == Phase::Healthy;
        if !healthy && begun.elapsed() > init_max {
            if config.wrong_port.is_some() {
                pool.wrong_port(id);
                return Ok(());
            }
            return Err("not healthy in time".to_owned());
        }
        let pause = if healthy { config.ping } else { config.ping / 5 };
        pool.alarm.sleep_until(Instant::now() + pause).await;
    }
}

/// Starts the process and waits until it says where it listens.
async fn launch(
    pool: &Arc<Pool>,
    id: usize,
    init_max: Duration,
) -> Result<(SocketAddr, watch::Receiver<bool>), String> {
    let options = options(pool, id);
    let program = pool.config.program.clone();
    let started = tokio::task::spawn_blocking(move || Process::start(program, &options)).await;
    let (process, signs) = started
        .map_err(|error| error.to_string())?
        .map_err(|error| format!("its process cannot be started: {error}"))?;
    let mut ended = signs.ended;
    settle(
        pool,
        id,
        Home {
            process,
            ended: ended.clone(),
            address: None,
        },
    )?;
    let told = tokio::select! {
        at = tokio::time::timeout(init_max, signs.ready) => at.map_err(|_| "not loaded in time")?.ok(),
        _ = ended.wait_for(|over| *over) => None,
    };
    told.map(|at| (at, ended))
        .ok_or_else(|| "its process ended while it loaded".to_owned())
}

/// The process is the worker's from here on; it ends with it.
fn settle(pool: &Pool, id: usize, home: Home) -> Result<(), String> {
    let mut state = pool.lock();
    if state.stopping || !state.workers[id].is_live() {
        return Err("stopped".to_owned());
    }
    let worker = &mut state.workers[id];
    worker.process_at = Some(Instant::now());
    worker.pid = Some(home.process.id());
    worker.home = Some(home);
    Ok(())
}

/// Notes a health check; whether the worker was healthy until now.
fn pinged(pool: &Pool, id: usize, took: Duration) -> bool {
    let mut state = pool.lock();
    let worker = &mut state.workers[id];
    worker.pings += 1;
    worker.ping_longest = worker.ping_longest.max(took);
    worker.phase == Phase::Healthy
}

fn options(pool: &Pool, id: usize) -> ServeOptions {
    let config = &pool.config;
    let mut knobs = config.for_workers.clone();
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    knobs.extend([
        (
            "begun_ms".to_owned(),
            format!("{:.3}", begun.as_secs_f64() * 1000.0),
        ),
        ("worker_id".to_owned(), name(id)),
        ("heirloom".to_owned(), pool.folder.display().to_string()),
        ("volume".to_owned(), pool.volume.display().to_string()),
        ("weights".to_owned(), pool.weights.display().to_string()),
    ]);
    ServeOptions {
        preset: "runpod-worker".to_owned(),
        host: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 0,
        admin_port: None,
        knobs,
        slides: None,
        seed: config.seed.wrapping_add(id as u64 + 1),
        time_scale: config.time_scale,
        log: false,
        stdio: false,
    }
}

/// A port where nobody listens.
fn nobodys_port() -> Result<SocketAddr, String> {
    let held = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    held.local_addr().map_err(|error| error.to_string())
}
