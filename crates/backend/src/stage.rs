//! One running preset with all that belongs to it: settings, account, common faults, and what stands before it. It knows no preset.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::Response;
use serde_json::Value;

use crate::alarm::Alarm;
use crate::error::BackendError;
use crate::faults::{Faults, Known};
use crate::front::Front;
use crate::ledger::Ledger;
use crate::preset::PresetDef;
use crate::recorder::Recorder;
use crate::settings::Settings;
use crate::system::{Start, System};

/// Longest OpenAPI document that is read for the fields it names.
const DOCUMENT_MAX: usize = 16 * 1024 * 1024;

/// What a preset is started with.
pub(crate) struct Cast {
    /// Address of every listener.
    pub(crate) host: IpAddr,
    /// The folder of images that the person gave.
    pub(crate) slides: Option<PathBuf>,
    /// Seed of everything random.
    pub(crate) seed: u64,
    /// True length of the platform's times over the nominal one.
    pub(crate) time_scale: f64,
    /// Whether an admin port can ask.
    pub(crate) admin: bool,
    /// Whether each request is logged.
    pub(crate) log: bool,
    /// The clock of the common faults.
    pub(crate) alarm: Arc<Alarm>,
}

/// A running preset.
pub(crate) struct Stage {
    /// Which.
    pub(crate) preset: &'static PresetDef,
    /// The seed.
    pub(crate) seed: u64,
    /// The stated law of the service time, where it has one.
    pub(crate) model: Option<Value>,
    /// What answers on the service port.
    pub(crate) front: Arc<Front>,
    /// Its account.
    pub(crate) recorder: Arc<Recorder>,
    settings: Mutex<Settings>,
}

impl Stage {
    /// Starts it; everything that loads at the start is loaded when this returns.
    pub(crate) async fn start(
        preset: &'static PresetDef,
        settings: Settings,
        cast: &Cast,
    ) -> Result<Self, BackendError> {
        let recorder = Arc::new(Recorder::new(cast.admin));
        // What the faults refuse is told before slides are painted.
        Faults::new(&settings, cast.seed, Arc::clone(&cast.alarm), None)?;
        let system = (preset.start)(&Start {
            preset: preset.name,
            settings: &settings,
            host: cast.host,
            slides: cast.slides.clone(),
            seed: cast.seed,
            time_scale: cast.time_scale,
            recorder: Arc::clone(&recorder),
        })?;
        let known = if settings.flag("fault_ignore_unknown")? {
            let known = document(&system).await.map(|document| Known::new(&document));
            recorder.reset();
            known
        } else {
            None
        };
        let own_id = preset.knobs.iter().any(|knob| knob.name == "request_id");
        let signs = settings.flag("request_id")? && !own_id;
        let faults = Faults::new(&settings, cast.seed, Arc::clone(&cast.alarm), known)?;
        Ok(Self {
            preset,
            seed: cast.seed,
            model: system.model(),
            front: Arc::new(Front::new(
                system,
                Arc::new(faults),
                Arc::new(Ledger::new(preset.name, cast.admin, cast.log)),
                Arc::clone(&recorder),
                signs,
            )),
            recorder,
            settings: Mutex::new(settings),
        })
    }

    /// The preset itself.
    pub(crate) fn system(&self) -> &Arc<dyn System> {
        &self.front.system
    }

    /// The knobs as they stand.
    pub(crate) fn settings(&self) -> Settings {
        self.settings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Turns knobs while it runs; either all of them or none. The reason of a refusal is for the person who asked.
    pub(crate) fn turn(&self, pairs: &[(String, String)]) -> Result<(), String> {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut turned = settings.clone();
        for (name, value) in pairs {
            turned.set(name, value).map_err(|error| error.to_string())?;
        }
        let is_own = |name: &str| self.preset.knobs.iter().any(|knob| knob.name == name);
        let starting = |name: &str| !name.starts_with("fault_") || name == "fault_ignore_unknown";
        for (name, _) in pairs {
            if starting(name) && !is_own(name) {
                return Err(format!("knob '{name}' can be set only at the start"));
            }
            if is_own(name) && !self.system().can_turn(name) {
                return Err(format!(
                    "knob '{name}' of this preset can be set only at the start"
                ));
            }
        }
        let faults = &self.front.faults;
        let plan = faults.lay_out(&turned).map_err(|error| error.to_string())?;
        self.system().turn(&turned)?;
        // Nothing can be refused from here on.
        faults.follow(plan);
        *settings = turned;
        Ok(())
    }
}

/// The preset's own OpenAPI document, as any client would get it.
async fn document(system: &Arc<dyn System>) -> Option<Value> {
    let request = Request::builder().uri("/openapi.json").body(Body::empty()).ok()?;
    let response: Response<Body> = Arc::clone(system).handle(request).await;
    let bytes = to_bytes(response.into_body(), DOCUMENT_MAX).await.ok()?;
    serde_json::from_slice(&bytes).ok()
}
