//! A serverless platform with a load balancer in front of worker processes, as RunPod's load-balancing endpoints were observed with
//! a virtual try-on service behind (github.com/el-mashta/CatVTON-Runpod-Serverless). The balancer, its queue, its health checks and
//! its scaling are real, and so are the workers: processes that are started, load a file, serve and are stopped. Only the pictures
//! are simple and the waiting stands for a GPU. Every time of the platform and of the workers is told in seconds as it was observed,
//! and lasts that times the scale of time.

mod app;
mod call;
mod config;
mod docs_page;
mod jobs;
mod knobs;
mod ledger;
mod openapi;
mod pool;
mod process;
mod queue_api;
mod scaling;
mod tending;
mod worker;

pub(crate) use app::start;
pub(crate) use knobs::{FIXED_KNOBS, OBSERVED_KNOBS};
pub(crate) use worker::{KNOBS as WORKER_KNOBS, start as start_worker};
