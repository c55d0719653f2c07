//! Faults of streams of server-sent events: what may be ordered, for one request by its header or for a share of all by a knob, and what
//! becomes of each event then. It knows the dialects' shapes, but neither connections nor clocks: it turns events into acts that
//! whoever sends them carries out.

mod event;
mod mangler;
mod order;
mod zip;

pub(crate) use mangler::{Act, Kind, Mangler};
pub(crate) use order::{Dialect, FAULT_HEADER, Fault, Orders, Shares};
pub(crate) use zip::Zip;
