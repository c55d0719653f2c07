//! The user's model in onnxruntime: loaded and tried before the server is ready, then run for its requests. All that touches the runtime
//! is here; what the numbers mean is in `layout`.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use image::{Rgb, RgbImage};
use ort::logging::LogLevel;
use ort::session::Session;
use ort::value::{Tensor, TensorElementType, ValueType};
use serde_json::{Value, json};

use super::super::config::Config;
use super::super::detect::{Detection, Limits, suppress};
use super::super::file::{Labels, ModelFile, OpenFile, Started};
use super::labels;
use super::layout::{Layout, Output};
use super::letterbox::{input_px, letterbox};
use super::{library, plain};
use crate::memory::resident_bytes;

/// Side of the pictures that a model is tried with, in pixels: they are scaled to its input.
const PROBE_PX: u32 = 64;
/// Where the exporters of YOLO write the names of the classes.
const NAMES: &str = "names";
/// What a model needs to be served, for whoever exports one.
const NEEDED: &str = "export it with one input, a picture of float32 [1, 3, height, width], and one output";
const MIB: f64 = 1024.0 * 1024.0;

/// A model whose figures were measured when it was loaded first.
#[derive(Debug)]
struct OnnxFile {
    path: PathBuf,
    name: String,
    how: How,
    labels: Labels,
    load_ms: f64,
    memory_bytes: usize,
    inference_ms: f64,
    open: Mutex<Weak<Sessions>>,
}

/// How a model is loaded and read.
#[derive(Debug, Clone, Copy)]
struct How {
    sessions: usize,
    threads: usize,
    input: [usize; 2],
    layout: Layout,
}

/// A loaded model: a session for each picture that is looked at at once, because a session runs one at a time.
#[derive(Debug)]
struct Sessions {
    all: Vec<Mutex<Session>>,
    how: How,
}

/// Memory that the process has taken since, in bytes; 0 where the system does not say.
fn taken_since(before: Option<u64>) -> usize {
    match (before, resident_bytes()) {
        (Some(before), Some(after)) => after.saturating_sub(before) as usize,
        _ => 0,
    }
}

/// Refuses what takes more memory than the registry may, as soon as it does.
fn fits(needed: usize, sessions: usize, most: usize) -> Result<(), String> {
    if needed <= most {
        return Ok(());
    }
    Err(format!(
        "it takes {:.0} MiB or more with {sessions} sessions, and memory_max_mib is {:.0}\nraise it with --set memory_max_mib=N, or run \
         fewer sessions with --set slots=N",
        needed as f64 / MIB,
        most as f64 / MIB
    ))
}

/// Loads the file and tries it. `told` is where onnxruntime's library is, or empty. The error says what is wrong, then what to do, a
/// line for each step.
pub(crate) fn start(path: &str, told: &str, config: &Config) -> Result<Started, String> {
    let path = Path::new(path);
    if !path.is_file() {
        return Err(
            "there is no such file\nname a model in the ONNX format: prony serve vision-fixed --model FILE.onnx"
                .to_owned(),
        );
    }
    // A variable that is set to nothing is not set.
    let set = |name: &str| {
        let value = env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    let told = match told {
        "" => set("ORT_DYLIB_PATH"),
        path => Some(PathBuf::from(path)),
    };
    let library = library::find(told.as_deref(), set("VIRTUAL_ENV").as_deref())?;
    load_library(&library)?;
    let (file, sessions) = OnnxFile::tried(path, config.slots, config.memory_max_bytes)?;
    let sessions = Arc::new(sessions);
    *lock(&file.open) = Arc::downgrade(&sessions);
    Ok((Arc::new(file), sessions))
}

/// The runtime's own log is silenced: what it has to say comes with its errors.
fn load_library(path: &Path) -> Result<(), String> {
    let builder = ort::init_from(path).map_err(|error| {
        format!(
            "{} cannot be loaded as onnxruntime: {}\nversion 1.17 or later is needed: pip install onnxruntime; --onnxruntime PATH names \
             another library",
            path.display(),
            plain(&error.to_string())
        )
    })?;
    builder
        .with_name("prony-backend")
        .with_telemetry(false)
        .with_logger(Arc::new(|_: LogLevel, _: &str, _: &str, _: &str, _: &str| {}))
        .commit();
    Ok(())
}

impl OnnxFile {
    /// Loads it and looks at two pictures, for what it gives, what it takes and how long.
    fn tried(path: &Path, count: usize, most: usize) -> Result<(Self, Sessions), String> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = (cores / count).max(1);
        let before = resident_bytes();
        let begun = Instant::now();
        let first = session(path, threads)?;
        let input = taken(&first).map_err(|why| format!("{why}\n{NEEDED}"))?;
        if first.outputs().len() != 1 {
            return Err(format!(
                "it gives {} outputs, and boxes and classes are needed in one, without masks\n{NEEDED}",
                first.outputs().len()
            ));
        }
        let named = named(&first);
        let mut all = vec![first];
        for _ in 1..count {
            all.push(session(path, threads)?);
            fits(taken_since(before), count, most)?;
        }
        let load_ms = ms(begun.elapsed());
        let plain_probe = RgbImage::from_pixel(PROBE_PX, PROBE_PX, Rgb([114; 3]));
        let ramp = RgbImage::from_fn(PROBE_PX, PROBE_PX, |x, y| {
            Rgb([(4 * x) as u8, (4 * y) as u8, 128])
        });
        let mut outputs: Vec<Output> = Vec::new();
        for probe in [&plain_probe, &ramp] {
            let came = run(&mut all[0], probe_input(probe, input), input, |shape, values| {
                (shape.to_vec(), values.to_vec())
            });
            let [rows, columns] = input;
            outputs.push(came.map_err(|why| {
                format!("{why}\nit was given a picture of {rows} x {columns}: export it with the size that it takes, if that is another\n{NEEDED}")
            })?);
        }
        // The first inference of a session is none of a warm one, and takes memory that the session keeps.
        for session in all.iter_mut().skip(1) {
            run(session, probe_input(&ramp, input), input, |_, _| ())?;
        }
        let warm = probe_input(&ramp, input);
        let begun = Instant::now();
        run(&mut all[0], warm, input, |_, _| ())?;
        let inference_ms = ms(begun.elapsed());
        let memory_bytes = taken_since(before);
        fits(memory_bytes, count, most)?;
        let layout = Layout::of(&outputs, input, named.as_ref().map(Vec::len))?;
        let how = How {
            sessions: count,
            threads,
            input,
            layout,
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let file = Self {
            path: path.to_owned(),
            name: plain(&name),
            how,
            labels: labels::complete(named, layout.classes()),
            load_ms,
            memory_bytes,
            inference_ms,
            open: Mutex::default(),
        };
        Ok((file, Sessions::new(all, how)))
    }
}

impl ModelFile for OnnxFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn input_px(&self) -> [usize; 2] {
        self.how.input
    }

    fn labels(&self) -> Labels {
        Arc::clone(&self.labels)
    }

    fn load_ms(&self) -> f64 {
        self.load_ms
    }

    fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    fn inference_ms(&self) -> f64 {
        self.inference_ms
    }

    fn open(&self) -> Result<Arc<dyn OpenFile>, String> {
        // Held while it is loaded: a second one waits and shares it.
        let mut open = lock(&self.open);
        if let Some(sessions) = open.upgrade() {
            return Ok(sessions);
        }
        let all = (0..self.how.sessions).map(|_| session(&self.path, self.how.threads));
        let sessions = Arc::new(Sessions::new(all.collect::<Result<_, _>>()?, self.how));
        *open = Arc::downgrade(&sessions);
        Ok(sessions)
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "layout": self.how.layout.name(),
            "input_px": self.how.input,
            "classes": self.labels.len(),
            "sessions": self.how.sessions,
            "threads_per_session": self.how.threads,
            "load_ms": self.load_ms,
            "memory_bytes": self.memory_bytes,
            "inference_ms": self.inference_ms,
            "loaded": lock(&self.open).strong_count() > 0,
        })
    }
}

impl Sessions {
    fn new(all: Vec<Session>, how: How) -> Self {
        Self {
            all: all.into_iter().map(Mutex::new).collect(),
            how,
        }
    }

    /// A session that nobody uses; there is one for each turn of the engine.
    fn free(&self) -> MutexGuard<'_, Session> {
        for session in &self.all {
            match session.try_lock() {
                Ok(free) => return free,
                Err(TryLockError::Poisoned(free)) => return free.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        lock(&self.all[0])
    }
}

impl OpenFile for Sessions {
    fn detect(&self, picture: &RgbImage, limits: Limits, outlined: bool) -> Result<Vec<Detection>, String> {
        let How { input, layout, .. } = self.how;
        let (planes, placed) = letterbox(picture, input);
        let candidates = run(&mut self.free(), planes, input, |shape, values| {
            layout.candidates(shape, values, input, limits.confidence)
        })??;
        let kept = suppress(&candidates, limits, |one, other| layout.are_rivals(one, other));
        Ok(kept.iter().map(|one| placed.back(one, outlined)).collect())
    }
}

/// Loads a session of the model. Its threads do not spin while they wait: what measures may share the machine.
fn session(path: &Path, threads: usize) -> Result<Session, String> {
    let refused = |says: String| {
        format!(
            "onnxruntime cannot load it: {}\na model that is newer than the runtime takes another one: pip install --upgrade onnxruntime",
            plain(&says)
        )
    };
    let mut builder = Session::builder()
        .map_err(|error| refused(error.to_string()))?
        .with_intra_threads(threads)
        .map_err(|error| refused(error.to_string()))?
        .with_intra_op_spinning(false)
        .map_err(|error| refused(error.to_string()))?;
    builder
        .commit_from_file(path)
        .map_err(|error| refused(error.to_string()))
}

/// Height and width of the one picture that a model takes.
fn taken(session: &Session) -> Result<[usize; 2], String> {
    let [input] = session.inputs() else {
        return Err(format!(
            "it takes {} inputs, and one picture is needed",
            session.inputs().len()
        ));
    };
    match input.dtype() {
        ValueType::Tensor {
            ty: TensorElementType::Float32,
            shape,
            ..
        } => input_px(shape),
        other => Err(format!(
            "its input is {}; a picture of float32 [1, 3, height, width] is needed",
            plain(&other.to_string())
        )),
    }
}

/// The names of the classes that the file has.
fn named(session: &Session) -> Option<Vec<String>> {
    labels::parse(&session.metadata().ok()?.custom(NAMES)?)
}

fn probe_input(picture: &RgbImage, input: [usize; 2]) -> Vec<f32> {
    letterbox(picture, input).0
}

/// One inference; `read` gets the shape and the values of what comes out.
fn run<R>(
    session: &mut Session,
    planes: Vec<f32>,
    [rows, columns]: [usize; 2],
    read: impl FnOnce(&[i64], &[f32]) -> R,
) -> Result<R, String> {
    let refused = |says: String| format!("onnxruntime cannot run it: {}", plain(&says));
    let shape: Vec<usize> = vec![1, 3, rows, columns];
    let input = Tensor::from_array((shape, planes)).map_err(|error| refused(error.to_string()))?;
    let outputs = session
        .run(ort::inputs![input])
        .map_err(|error| refused(error.to_string()))?;
    let Some(output) = outputs.values().next() else {
        return Err("it gave nothing".to_owned());
    };
    let (shape, values) = output
        .try_extract_tensor::<f32>()
        .map_err(|error| refused(error.to_string()))?;
    Ok(read(shape, values))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
