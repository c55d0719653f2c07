//! The second listener: it tells what is true (faults in force, counts, service times, single requests) and nothing on a service port
//! mentions it. It knows no preset.

mod document;
mod metrics;
mod port;

pub(crate) use port::Admin;
