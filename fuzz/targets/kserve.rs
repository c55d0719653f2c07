//! Answers of KServe V2 over gRPC as a hostile server may send them: neither the frame nor a message may panic, and what agrees with
//! declared outputs agrees with itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prony_model::TensorSpec;
use prony_wire::{grpc, kserve};

fuzz_target!(|input: &[u8]| {
    let _ = kserve::model(input);
    let _ = kserve::models(input);
    let _ = kserve::server(input);
    let Ok(message) = grpc::message(input) else {
        return;
    };
    assert_eq!(grpc::frame(message), input);
    let declared = TensorSpec {
        name: "y".to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![-1, 2],
    };
    if kserve::check(message, &[declared]).is_ok() {
        assert_eq!(kserve::check(message, &[]), Ok(()));
    }
});
