//! Memory that is really kept: blocks held after so many requests, by a stated shape.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::error::BackendError;
use crate::settings::Settings;

/// Kept and released in blocks of so many bytes.
const BLOCK_BYTES: usize = 256 * 1024;
/// Most that is ever kept.
const KEPT_MAX: f64 = 8.0 * 1024.0 * 1024.0 * 1024.0;

/// How the memory kept depends on the requests served, n, with k bytes per request and the scale m.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Nothing.
    Flat,
    /// k n.
    Leak,
    /// k min(n, m).
    Plateau,
    /// k m ln(1 + n/m).
    Log,
    /// k m floor(n/m).
    Steps,
    /// k (n mod m).
    Saw,
    /// k m from the m-th request on.
    Step,
    /// k m (1 - e^(-n/m)).
    Warmup,
}

/// The memory.
#[derive(Debug)]
pub(crate) struct Memory {
    shape: Shape,
    bytes_per_request: f64,
    scale: f64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    requests: u64,
    blocks: Vec<Vec<u8>>,
}

impl Memory {
    /// From the knobs.
    pub(crate) fn new(settings: &Settings) -> Result<Self, BackendError> {
        const WORDS: [&str; 8] = ["flat", "leak", "plateau", "log", "steps", "saw", "step", "warmup"];
        let shape = match settings.choice("memory", &WORDS)? {
            "leak" => Shape::Leak,
            "plateau" => Shape::Plateau,
            "log" => Shape::Log,
            "steps" => Shape::Steps,
            "saw" => Shape::Saw,
            "step" => Shape::Step,
            "warmup" => Shape::Warmup,
            _ => Shape::Flat,
        };
        Ok(Self {
            shape,
            bytes_per_request: settings.number("memory_kib", 0.0, 65_536.0)? * 1024.0,
            scale: settings.number("memory_at", 1.0, 1e9)?,
            kept: Mutex::default(),
        })
    }

    /// So many bytes more with each request, for ever.
    pub(crate) fn leak(bytes_per_request: f64) -> Self {
        Self {
            shape: Shape::Leak,
            bytes_per_request,
            scale: 1.0,
            kept: Mutex::default(),
        }
    }

    /// One more request was served.
    pub(crate) fn served(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.requests += 1;
        let wanted = (self.bytes(kept.requests) / BLOCK_BYTES as f64).round() as usize;
        while kept.blocks.len() < wanted {
            // Written to, so that the system has to find real pages.
            kept.blocks.push(vec![0xa5; BLOCK_BYTES]);
        }
        kept.blocks.truncate(wanted);
    }

    fn bytes(&self, requests: u64) -> f64 {
        let (n, m) = (requests as f64, self.scale);
        let units = match self.shape {
            Shape::Flat => 0.0,
            Shape::Leak => n,
            Shape::Plateau => n.min(m),
            Shape::Log => m * (n / m).ln_1p(),
            Shape::Steps => m * (n / m).floor(),
            Shape::Saw => n % m,
            Shape::Step if n < m => 0.0,
            Shape::Step => m,
            Shape::Warmup => m * (1.0 - (-n / m).exp()),
        };
        (self.bytes_per_request * units).min(KEPT_MAX)
    }

    /// Bytes held now.
    pub(crate) fn kept_bytes(&self) -> usize {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.blocks.len() * BLOCK_BYTES
    }

    /// The shape, and what is held.
    pub(crate) fn to_json(&self) -> Value {
        let leaks = self.shape == Shape::Leak;
        json!({
            "shape": format!("{:?}", self.shape).to_lowercase(),
            "bytes_per_request": if leaks { self.bytes_per_request } else { 0.0 },
            "kept_bytes": self.kept_bytes(),
        })
    }
}

/// Resident memory of this process in bytes, as the kernel counts it; `None` where the kernel does not tell.
pub(crate) fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset::preset;

    /// MiB kept after 500, 1,000, 1,500 and 2,000 requests of 64 KiB with the scale 1,000.
    fn after(shape: &str) -> Vec<f64> {
        let pairs = [("memory", shape), ("memory_kib", "64"), ("memory_at", "1000")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let memory = Memory::new(&Settings::new(preset("truth").unwrap(), &pairs).unwrap()).unwrap();
        (1..=2000)
            .filter_map(|n| {
                memory.served();
                (n % 500 == 0).then(|| memory.kept_bytes() as f64 / 1024.0 / 1024.0)
            })
            .collect()
    }

    #[test]
    fn every_shape_keeps_what_it_states() {
        for (shape, wanted) in [
            ("flat", [0.0; 4]),
            ("leak", [31.25, 62.5, 93.75, 125.0]),
            ("plateau", [31.25, 62.5, 62.5, 62.5]),
            ("log", [25.34, 43.32, 57.27, 68.66]),
            ("steps", [0.0, 62.5, 62.5, 125.0]),
            ("saw", [31.25, 0.0, 31.25, 0.0]),
            ("step", [0.0, 62.5, 62.5, 62.5]),
            ("warmup", [24.59, 39.51, 48.55, 54.04]),
        ] {
            for (kept, wanted) in after(shape).iter().zip(wanted) {
                assert!((kept - wanted).abs() <= 0.26, "{shape}: {kept} not {wanted}");
            }
        }
    }
}
