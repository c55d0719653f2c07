//! Messages of KServe V2 that agree, that do not, and that no memory would hold. They are made here: no server is asked.

use bytes::Bytes;
use prony_model::TensorSpec;
use prost::Message as _;
use serde_json::json;

use super::messages::{Contents, InferRequest, InferResponse, OutputTensor};
use super::{Input, check, fits, infer, model, models, raw};

fn spec(name: &str, datatype: &str, shape: &[i64]) -> TensorSpec {
    TensorSpec {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
    }
}

fn output(name: &str, datatype: &str, shape: &[i64]) -> OutputTensor {
    OutputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        contents: None,
    }
}

fn answer(outputs: Vec<OutputTensor>, raw: &[&[u8]]) -> Vec<u8> {
    InferResponse {
        outputs,
        raw_output_contents: raw.iter().map(|raw| Bytes::copy_from_slice(raw)).collect(),
    }
    .encode_to_vec()
}

#[test]
fn a_request_holds_its_tensors() {
    let input = Input {
        spec: spec("x", "FP32", &[1, 2]),
        raw: raw("FP32", &[json!(1), json!(0.5)]).unwrap(),
    };
    let message = infer("m", "1", vec![input], &["y".to_owned()]);
    let read = InferRequest::decode(&message[..]).unwrap();
    assert_eq!(
        (read.model_name.as_str(), read.model_version.as_str()),
        ("m", "1")
    );
    assert_eq!(
        TensorSpec::from(read.inputs[0].clone()),
        spec("x", "FP32", &[1, 2])
    );
    assert_eq!(read.raw_input_contents, [[0, 0, 0x80, 0x3f, 0, 0, 0, 0x3f]]);
    assert_eq!(read.outputs[0].name, "y");
}

#[test]
fn values_become_bytes_by_their_type() {
    for (datatype, value, bytes) in [
        ("BOOL", json!(true), &[1][..]),
        ("UINT8", json!(200), &[200]),
        ("INT8", json!(-1), &[0xff]),
        ("INT16", json!(-2), &[0xfe, 0xff]),
        ("UINT32", json!(258), &[2, 1, 0, 0]),
        ("INT64", json!(1), &[1, 0, 0, 0, 0, 0, 0, 0]),
        ("FP16", json!(1.0), &[0, 0x3c]),
        ("FP16", json!(-0.1), &[0x66, 0xae]),
        ("FP16", json!(65504), &[0xff, 0x7b]),
        ("FP16", json!(65520), &[0, 0x7c]),
        ("FP16", json!(1e9), &[0, 0x7c]),
        ("FP16", json!(6e-8), &[1, 0]),
        ("FP16", json!(0), &[0, 0]),
        ("BF16", json!(1.0), &[0x80, 0x3f]),
        ("BF16", json!(0.1), &[0xcd, 0x3d]),
        ("FP64", json!(1), &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f]),
        ("BYTES", json!("ab"), &[2, 0, 0, 0, b'a', b'b']),
    ] {
        assert_eq!(raw(datatype, &[value]).unwrap(), bytes, "{datatype}");
    }
    for (datatype, value) in [("UINT8", json!(256)), ("FP32", json!("x")), ("FP8", json!(1))] {
        assert!(raw(datatype, &[value]).is_err(), "{datatype}");
    }
}

#[test]
fn an_answer_is_held_against_what_is_declared() {
    let declared = [spec("boxes", "FP32", &[-1, 4]), spec("n", "INT32", &[1])];
    let boxes = || output("boxes", "FP32", &[2, 4]);
    let n = || output("n", "INT32", &[1]);
    let says = |outputs, raw: &[&[u8]]| check(&answer(outputs, raw), &declared).map_err(|why| why + ".");
    assert_eq!(says(vec![n(), boxes()], &[&[0; 4], &[0; 32]]), Ok(()));
    for (outputs, raw, why) in [
        (vec![], &[][..], "holds no output."),
        (
            vec![boxes()],
            &[&[0; 32][..]][..],
            "the output \"n\" is not there.",
        ),
        (
            vec![boxes(), n()],
            &[&[0; 32][..]],
            "1 raw contents belong to 2 outputs.",
        ),
        (
            vec![boxes(), n()],
            &[&[0; 32][..], &[0; 3]],
            "the output \"n\" holds 3 bytes, and [1] of INT32 take 4.",
        ),
        (
            vec![output("boxes", "FP32", &[2, 5]), n()],
            &[&[0; 40][..], &[0; 4]],
            "has the shape [2, 5] and is declared as [-1, 4].",
        ),
        (
            vec![output("boxes", "FP64", &[2, 4]), n()],
            &[&[0; 64][..], &[0; 4]],
            "is \"FP64\" and declared as \"FP32\".",
        ),
        (vec![boxes(), n()], &[], "holds 0 elements, and [2, 4] takes 8."),
    ] {
        let said = says(outputs, raw).unwrap_err();
        assert!(said.ends_with(why), "{said}");
    }
}

#[test]
fn what_nobody_declared_must_agree_with_itself() {
    let alone = |output, raw: &[&[u8]]| check(&answer(vec![output], raw), &[]);
    assert!(
        alone(output("a", "INT8", &[-1]), &[&[0]])
            .unwrap_err()
            .contains("[-1]")
    );
    assert!(
        alone(output("a", "INT9", &[1]), &[&[0]])
            .unwrap_err()
            .contains("INT9")
    );
    assert!(alone(output("a", "BYTES", &[2]), &[&[1, 0, 0, 0, 7, 0, 0, 0, 0]]).is_ok());
    assert!(alone(output("a", "BYTES", &[1]), &[&[9, 0, 0, 0, 7]]).is_err());
    let typed = |n: usize| OutputTensor {
        contents: Some(Contents {
            floats: vec![0.5; n],
            ..Contents::default()
        }),
        ..output("a", "FP32", &[3])
    };
    assert_eq!(alone(typed(3), &[]), Ok(()));
    assert!(alone(typed(2), &[]).unwrap_err().contains("2 elements"));
    assert!(alone(typed(3), &[&[0; 12]]).unwrap_err().contains("both"));
    assert_eq!(alone(typed(0), &[&[0; 12]]), Ok(()));
}

#[test]
fn what_is_no_answer_is_refused_before_it_is_read() {
    assert!(check(b"<html>", &[]).is_err());
    // Empty outputs: two bytes each here, a hundred in memory.
    let many = [0x2a, 0].repeat(100_000);
    assert!(check(&many, &[]).unwrap_err().contains("at most 1024"));
    // So are tensors and models that are only named.
    let names = [0x22, 0].repeat(100_000);
    assert!(model(&names).unwrap_err().contains("at most 1024"));
    let names = [0x0a, 0].repeat(100_000);
    assert!(models(&names).unwrap_err().contains("at most 1024"));
    // A shape of very many ones.
    let mut long = OutputTensor {
        shape: vec![1; 9 << 20],
        ..output("a", "INT8", &[])
    };
    assert!(
        check(&answer(vec![long.clone()], &[]), &[])
            .unwrap_err()
            .contains("at most")
    );
    long.shape.truncate(100);
    assert_eq!(check(&answer(vec![long], &[&[0]]), &[]), Ok(()));
}

#[test]
fn a_dimension_of_one_more_or_less_is_no_other_shape() {
    for (found, declared, same) in [
        (&[2, 4][..], &[-1, 4][..], true),
        (&[2, 5], &[-1, 4], false),
        (&[3, 1], &[-1], true),
        (&[3], &[-1, 1], true),
        (&[1, 7], &[7], true),
        (&[1, 8], &[7], false),
        (&[5], &[-1, 4], false),
        (&[], &[1], true),
        (&[i64::MAX, 2, 1], &[-1, 2], false),
        (&[0, 0, 1], &[-1, 0], true),
    ] {
        assert_eq!(fits(found, declared), same, "{found:?} {declared:?}");
    }
}
