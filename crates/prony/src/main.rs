//! The command line of Prony.
fn main() {}
