//! Intervals must cover as often as they promise, on simulated data whose truth is known. Seeds are fixed and printed.

mod intervals;
