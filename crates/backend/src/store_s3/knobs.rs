//! The knobs that a preset with this store has beside its own.

use crate::knob::{KnobDef, knob};

/// All of them.
#[rustfmt::skip]
pub(crate) const KNOBS: [KnobDef; 8] = [
    knob("store_bucket", "text", "volume", "name of the store's bucket"),
    knob("store_access_key", "text", "user_prony", "access key of the store"),
    knob("store_secret_key", "text", "rps_prony", "secret key of the store"),
    knob("store_latency_s", "s", "0", "how long the store thinks before each answer"),
    knob("store_connections", "count", "64", "requests in the store at once"),
    knob("store_waiting", "count", "1000", "requests that may wait for that; the next is answered 503 SlowDown"),
    knob("store_object_mb", "MB", "64", "largest object or part of one"),
    knob("store_mb", "MB", "512", "what the store holds in all; beyond it is 507"),
];
