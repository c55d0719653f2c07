//! What a request asks for, once read from either protocol: pictures, limits and the outputs that are wanted.

use image::RgbImage;

use super::super::detect::Limits;
use super::Fault;
use super::tensors::{INPUT, OUTPUTS, input_bytes, pictures};

/// A request that can be run.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) images: Vec<RgbImage>,
    pub(super) limits: Limits,
}

/// Limits when nothing is said.
pub(super) const DEFAULTS: Limits = Limits {
    confidence: 0.5,
    overlap: 0.4,
    count: 100,
};

/// Checks what an input is declared to be; the number of bytes that it must have.
pub(super) fn declared(model: &str, name: &str, datatype: &str, shape: &[i64]) -> Result<usize, Fault> {
    if name != INPUT.name {
        let name: String = name.chars().take(64).collect();
        return Err(Fault::Bad(format!(
            "unexpected inference input '{name}' for model '{model}'"
        )));
    }
    if datatype != INPUT.datatype {
        return Err(Fault::Bad(format!(
            "inference input 'images' data-type must be UINT8 for model '{model}'"
        )));
    }
    input_bytes(shape).map_err(Fault::Bad)
}

/// The pictures of an input whose declaration was checked.
pub(super) fn filled(shape: &[i64], bytes: &[u8], needed: usize) -> Result<Vec<RgbImage>, Fault> {
    if bytes.len() == needed {
        return Ok(pictures(shape, bytes));
    }
    let given = bytes.len();
    Err(Fault::Bad(format!(
        "input 'images' got unexpected byte size {given}, expected {needed} for shape {shape:?}"
    )))
}

/// Takes one of the parameters that the models know; others are left to those who know them.
pub(super) fn limit(limits: &mut Limits, name: &str, value: Option<f64>) -> Result<(), Fault> {
    let within = |min: f64, max: f64| {
        value
            .filter(|value| (min..=max).contains(value))
            .ok_or_else(|| Fault::Bad(format!("parameter '{name}' must be a number from {min} to {max}")))
    };
    match name {
        "confidence_threshold" => limits.confidence = within(0.0, 1.0)? as f32,
        "nms_threshold" => limits.overlap = within(0.0, 1.0)? as f32,
        "max_detections" => limits.count = within(1.0, 1000.0)? as usize,
        _ => {}
    }
    Ok(())
}

/// Refuses an output that no model has.
pub(super) fn known_output(model: &str, name: &str) -> Result<(), Fault> {
    if OUTPUTS.iter().any(|output| output.name == name) {
        return Ok(());
    }
    let name: String = name.chars().take(64).collect();
    Err(Fault::Bad(format!(
        "unexpected inference output '{name}' for model '{model}'"
    )))
}
