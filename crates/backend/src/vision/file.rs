//! What the platform must know of a model file that takes the place of its small networks. It knows no runtime: that is in `onnx`,
//! which takes the feature of that name.

use std::fmt::Debug;
use std::sync::Arc;

use image::RgbImage;
use serde_json::Value;

use super::config::Config;
use super::detect::{Detection, Limits};
use crate::error::BackendError;
use crate::settings::Settings;

/// The knob that names the file.
const KNOB: &str = "model";

/// Names of the classes, by their index.
pub(crate) type Labels = Arc<[String]>;

/// A file whose model was tried once: its figures are measured ones.
pub(crate) type Started = (Arc<dyn ModelFile>, Arc<dyn OpenFile>);

/// A model that can be loaded from its file.
pub(crate) trait ModelFile: Debug + Send + Sync {
    /// The file's name, without its folder.
    fn name(&self) -> &str;
    /// Height and width of its input, in pixels.
    fn input_px(&self) -> [usize; 2];
    /// Names of its classes.
    fn labels(&self) -> Labels;
    /// Time that loading took, in ms.
    fn load_ms(&self) -> f64;
    /// Memory that it took, loaded and tried, in bytes.
    fn memory_bytes(&self) -> usize;
    /// Time of one inference alone, in ms.
    fn inference_ms(&self) -> f64;
    /// Loads it, unless it is loaded: all who have it share it, and it is gone when the last of them drops it. The error says what the
    /// runtime said.
    fn open(&self) -> Result<Arc<dyn OpenFile>, String>;
    /// What is true of it, for the admin port.
    fn to_json(&self) -> Value;
}

/// A loaded model.
pub(crate) trait OpenFile: Debug + Send + Sync {
    /// Looks at one picture; `outlined` gives each box an outline as well. The error says what the runtime said.
    fn detect(&self, picture: &RgbImage, limits: Limits, outlined: bool) -> Result<Vec<Detection>, String>;
}

/// The file that the knob names, loaded and tried; none where none is named.
pub(crate) fn start(settings: &Settings, config: &Config) -> Result<Option<Started>, BackendError> {
    if settings.word(KNOB).is_empty() {
        return Ok(None);
    }
    if config.placeholder {
        return Err(settings.refuse(
            KNOB,
            "placeholders answer in its place and it would never be asked\nset placeholder=false, or serve vision-fixed",
        ));
    }
    open(settings, config).map(Some)
}

#[cfg(feature = "onnx")]
fn open(settings: &Settings, config: &Config) -> Result<Started, BackendError> {
    let (path, library) = (settings.word(KNOB), settings.word("onnxruntime"));
    super::onnx::start(path, library, config).map_err(|why| settings.refuse(KNOB, &why))
}

#[cfg(not(feature = "onnx"))]
fn open(settings: &Settings, _: &Config) -> Result<Started, BackendError> {
    Err(settings.refuse(
        KNOB,
        "this program was built without the feature `onnx`, which runs ONNX models\nbuild it as it comes, without --no-default-features",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset::preset;

    fn refused(name: &str, pairs: &[(&str, &str)]) -> String {
        let pairs: Vec<(String, String)> = pairs
            .iter()
            .map(|(knob, value)| ((*knob).to_owned(), (*value).to_owned()))
            .collect();
        let settings = Settings::new(preset(name).unwrap(), &pairs).unwrap();
        let config = Config::new(&settings).unwrap();
        start(&settings, &config)
            .map(|started| started.is_some())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_file_that_would_never_be_asked_is_refused() {
        let told = refused("vision", &[("model", "a.onnx")]);
        assert!(told.contains("placeholder=false"), "{told}");
    }

    #[test]
    fn without_a_file_there_is_none() {
        let settings = Settings::new(preset("vision-fixed").unwrap(), &[]).unwrap();
        let config = Config::new(&settings).unwrap();
        assert!(start(&settings, &config).unwrap().is_none());
    }

    #[test]
    fn what_is_missing_is_told() {
        let told = refused("vision-fixed", &[("model", "no/such/file.onnx")]);
        let wanted = if cfg!(feature = "onnx") {
            "there is no such file"
        } else {
            "feature `onnx`"
        };
        assert!(told.contains(wanted), "{told}");
    }
}
