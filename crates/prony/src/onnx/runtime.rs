//! The model in onnxruntime: loading, inputs that are made up, one inference, what came out. All that touches the runtime is here.

use std::hash::Hasher;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use half::{bf16, f16};
use ort::logging::LogLevel;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Outlet, PrimitiveTensorElementType, Tensor, TensorElementType, ValueType};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use twox_hash::XxHash3_64;

use super::ask::{Job, Refused};
use super::shapes::{Axis, Declared};
use crate::text::clean;

/// Range of made-up numbers unless the person says otherwise: floating point from 0 to 1, whole numbers 0 or 1, which every
/// vocabulary and mask has.
const RANGE: (f64, f64) = (0.0, 1.0);
/// Values of an output that are kept to be compared.
const COMPARED_MAX: usize = 1 << 20;

/// The inputs of one inference, in the order of the declaration.
pub(super) type Inputs = Vec<SessionInputValue<'static>>;

/// A loaded model.
pub(super) struct Model {
    session: Session,
}

/// One output as it came.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Came {
    /// Type of its elements.
    pub kind: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Digest of all its bits.
    pub digest: u64,
    /// How many values it has.
    pub values: u64,
    /// How many are not a number.
    pub nan: u64,
    /// How many are infinite.
    pub infinite: u64,
    /// The first values.
    pub floats: Vec<f64>,
}

impl Came {
    /// Whether all of it was kept, as finite numbers that sums are rounded in.
    pub(super) fn is_all_floats(&self) -> bool {
        let is_float = self.kind.contains("float");
        is_float && self.values > 0 && self.values <= COMPARED_MAX as u64 && self.nan + self.infinite == 0
    }
}

/// Loads the library. The runtime's own log is silenced: what it has to say comes with its errors.
pub(super) fn load_library(path: &Path) -> Result<String, Refused> {
    let builder = ort::init_from(path).map_err(|e| Refused::Library(clean(&e.to_string(), 500)))?;
    builder
        .with_name("prony")
        .with_telemetry(false)
        .with_logger(Arc::new(|_: LogLevel, _: &str, _: &str, _: &str, _: &str| {}))
        .commit();
    Ok(clean(ort::info(), 300))
}

impl Model {
    /// Makes a session of the file.
    pub(super) fn open(job: &Job, threads: u32) -> Result<Self, Refused> {
        let refused = |says: String| Refused::Model(clean(&says, 1000));
        let mut builder = Session::builder()
            .map_err(|e| refused(e.to_string()))?
            .with_intra_threads(threads as usize)
            .map_err(|e| refused(e.to_string()))?;
        let session = builder
            .commit_from_file(&job.model)
            .map_err(|e| refused(e.to_string()))?;
        Ok(Self { session })
    }

    /// What it declares to take.
    pub(super) fn inputs(&self) -> Vec<Declared> {
        self.session.inputs().iter().map(declared).collect()
    }

    /// What it declares to give.
    pub(super) fn outputs(&self) -> Vec<Declared> {
        self.session.outputs().iter().map(declared).collect()
    }

    /// Made-up inputs: the same for the same seed and number.
    pub(super) fn make(&self, job: &Job, shapes: &[Vec<i64>], number: u64) -> Result<Inputs, Refused> {
        let mut random = ChaCha8Rng::seed_from_u64(job.seed);
        random.set_stream(number);
        let refused = |says: String| Refused::Inputs(clean(&says, 500));
        self.session
            .inputs()
            .iter()
            .zip(shapes)
            .map(|(input, shape)| {
                let range = job.ranges.get(input.name()).copied().unwrap_or(RANGE);
                value(input, shape, range, &mut random).map_err(|why| {
                    refused(format!(
                        "the input '{}' ({}) cannot be made up: {why}",
                        input.name(),
                        declared(input).label()
                    ))
                })
            })
            .collect()
    }

    /// Digests of inputs, to tell whether two are the same.
    pub(super) fn digests(inputs: &Inputs) -> Vec<u64> {
        inputs.iter().map(|value| came(value).digest).collect()
    }

    /// One inference; what comes out is dropped.
    pub(super) fn run(&mut self, inputs: &Inputs) -> Result<(), String> {
        match self.session.run(&inputs[..]) {
            Ok(_) => Ok(()),
            Err(error) => Err(clean(&error.to_string(), 1000)),
        }
    }

    /// One inference: what comes out, and how long it took, without the looking.
    pub(super) fn look(&mut self, inputs: &Inputs) -> Result<(Vec<Came>, Duration), String> {
        let began = Instant::now();
        let outputs = self
            .session
            .run(&inputs[..])
            .map_err(|error| clean(&error.to_string(), 1000))?;
        let took = began.elapsed();
        Ok((outputs.values().map(|value| came(&value)).collect(), took))
    }
}

fn declared(outlet: &Outlet) -> Declared {
    let name = outlet.name().to_owned();
    match outlet.dtype() {
        ValueType::Tensor {
            ty,
            shape,
            dimension_symbols,
        } => Declared {
            name,
            kind: kind(*ty),
            axes: shape
                .iter()
                .zip(dimension_symbols.iter())
                .map(|(size, symbol)| Axis {
                    size: (*size >= 0).then_some(*size),
                    symbol: symbol.clone(),
                })
                .collect(),
        },
        other => Declared {
            name,
            kind: clean(&other.to_string(), 100),
            axes: Vec::new(),
        },
    }
}

/// Types by the names that NumPy gives them: `float32`.
fn kind(ty: TensorElementType) -> String {
    format!("{ty:?}").to_lowercase()
}

fn value(
    input: &Outlet,
    shape: &[i64],
    (low, high): (f64, f64),
    random: &mut ChaCha8Rng,
) -> Result<SessionInputValue<'static>, String> {
    use TensorElementType as Type;
    let ValueType::Tensor { ty, .. } = input.dtype() else {
        return Err("it is no tensor".to_owned());
    };
    let is_float = matches!(ty, Type::Float32 | Type::Float64 | Type::Float16 | Type::Bfloat16);
    if !is_float && low.ceil() > high.floor() {
        return Err(format!("there is no whole number from {low} to {high}"));
    }
    let values: Vec<f64> = (0..shape.iter().product::<i64>().max(0))
        .map(|_| {
            if is_float {
                random.random_range(low..=high)
            } else {
                // Whole numbers within the range are equally likely.
                random.random_range(low.ceil()..high.floor() + 1.0).floor()
            }
        })
        .collect();
    let made = match ty {
        Type::Float32 => tensor(shape, &values, |v| v as f32),
        Type::Float64 => tensor(shape, &values, |v| v),
        Type::Float16 => tensor(shape, &values, f16::from_f64),
        Type::Bfloat16 => tensor(shape, &values, bf16::from_f64),
        Type::Int8 => tensor(shape, &values, |v| v as i8),
        Type::Int16 => tensor(shape, &values, |v| v as i16),
        Type::Int32 => tensor(shape, &values, |v| v as i32),
        Type::Int64 => tensor(shape, &values, |v| v as i64),
        Type::Uint8 => tensor(shape, &values, |v| v as u8),
        Type::Uint16 => tensor(shape, &values, |v| v as u16),
        Type::Uint32 => tensor(shape, &values, |v| v as u32),
        Type::Uint64 => tensor(shape, &values, |v| v as u64),
        Type::Bool => tensor(shape, &values, |v| v > 0.0),
        _ => return Err("numbers and truth values can be, nothing else".to_owned()),
    };
    made.map(Into::into).map_err(|e| e.to_string())
}

fn tensor<T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static>(
    shape: &[i64],
    values: &[f64],
    from: impl Fn(f64) -> T,
) -> ort::Result<DynValue> {
    let data: Vec<T> = values.iter().map(|v| from(*v)).collect();
    Ok(Tensor::from_array((shape.to_vec(), data))?.into_dyn())
}

fn came(value: &DynValue) -> Came {
    use TensorElementType as Type;
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Came {
            kind: clean(&value.dtype().to_string(), 100),
            ..Came::default()
        };
    };
    let came = match ty {
        Type::Float32 => read(value, f32::to_le_bytes, f64::from),
        Type::Float64 => read(value, f64::to_le_bytes, |v| v),
        Type::Float16 => read(value, f16::to_le_bytes, f64::from),
        Type::Bfloat16 => read(value, bf16::to_le_bytes, f64::from),
        Type::Int8 => read(value, i8::to_le_bytes, f64::from),
        Type::Int16 => read(value, i16::to_le_bytes, f64::from),
        Type::Int32 => read(value, i32::to_le_bytes, f64::from),
        Type::Int64 => read(value, i64::to_le_bytes, |v| v as f64),
        Type::Uint8 => read(value, u8::to_le_bytes, f64::from),
        Type::Uint16 => read(value, u16::to_le_bytes, f64::from),
        Type::Uint32 => read(value, u32::to_le_bytes, f64::from),
        Type::Uint64 => read(value, u64::to_le_bytes, |v| v as f64),
        Type::Bool => read(value, |v: bool| [u8::from(v)], |v| f64::from(u8::from(v))),
        _ => None,
    };
    Came {
        kind: kind(*ty),
        shape: shape.to_vec(),
        ..came.unwrap_or_else(|| texts(value))
    }
}

/// Values, digest and counts of an output of numbers.
fn read<T: PrimitiveTensorElementType + Copy, const N: usize>(
    value: &DynValue,
    bytes: impl Fn(T) -> [u8; N],
    number: impl Fn(T) -> f64,
) -> Option<Came> {
    let (_, data) = value.try_extract_tensor::<T>().ok()?;
    let mut digest = XxHash3_64::default();
    let mut came = Came {
        values: data.len() as u64,
        ..Came::default()
    };
    for &one in data {
        digest.write(&bytes(one));
        let float = number(one);
        came.nan += u64::from(float.is_nan());
        came.infinite += u64::from(float.is_infinite());
    }
    came.floats = data.iter().take(COMPARED_MAX).map(|&one| number(one)).collect();
    came.digest = digest.finish();
    Some(came)
}

/// The digest of an output of texts.
fn texts(value: &DynValue) -> Came {
    let mut digest = XxHash3_64::default();
    let texts = value
        .try_extract_strings()
        .map(|(_, texts)| texts)
        .unwrap_or_default();
    for text in &texts {
        digest.write(text.as_bytes());
        digest.write_u8(0);
    }
    Came {
        values: texts.len() as u64,
        digest: digest.finish(),
        ..Came::default()
    }
}
