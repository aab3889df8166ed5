//! Which models are served.

mod worker;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::call::echoed;
use crate::counters::Counters;
use crate::noted::Noted;
use crate::replica::{Replica, Standing};
use crate::reply::{Fault, ModelStatus, Origin};

pub use worker::{Next, Worker};

#[cfg(test)]
pub(crate) use worker::tests;

/// A variant as it is served.
pub struct Served {
    pub model: String,
    pub variant: String,
    pub replica: Arc<Replica>,
    stale: AtomicBool,
}

/// The models by name; None while a model is waited for.
type Models = BTreeMap<String, Option<Arc<Served>>>;

/// What all server threads share.
pub struct Front {
    models: RwLock<Models>,
    /// Variants swapped out: kept until no thread scores with them, so that none of those has to free gigabytes.
    retired: Mutex<Vec<Arc<Served>>>,
    draining: AtomicBool,
    opened: Instant,
    pub counters: Counters,
    pub noted: Noted,
}

impl Default for Front {
    fn default() -> Self {
        Front {
            models: RwLock::default(),
            retired: Mutex::default(),
            draining: AtomicBool::new(false),
            opened: Instant::now(),
            counters: Counters::default(),
            noted: Noted::default(),
        }
    }
}

impl Front {
    /// Say that *model* is waited for: asked for it, the answer is "no model yet".
    pub fn expect(&self, model: &str) {
        self.change(|models| {
            models.entry(model.to_owned()).or_default();
        });
    }

    /// Swap in *replica*, whole; a call that began before is answered by the one before.
    pub fn serve(&self, model: &str, variant: &str, replica: Arc<Replica>) {
        replica.set_live();
        let served = Served {
            model: model.to_owned(),
            variant: variant.to_owned(),
            replica,
            stale: AtomicBool::new(false),
        };
        let before = self.change(|models| models.insert(model.to_owned(), Some(Arc::new(served))));
        self.free_retired(before.flatten());
    }

    /// Free what nothing scores with any more; called by whoever is not a server thread.
    pub fn free_retired(&self, newly: Option<Arc<Served>>) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.extend(newly);
        retired.retain(|served| Arc::strong_count(served) > 1);
    }

    pub fn mark_stale(&self, model: &str, stale: bool) {
        if let Some(Some(served)) = self.read().get(model) {
            served.stale.store(stale, Relaxed);
        }
    }

    pub fn set_draining(&self) {
        self.draining.store(true, Relaxed);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Models> {
        self.models.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Models) -> R) -> R {
        change(&mut self.models.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn find(&self, model: Option<&str>) -> Result<Arc<Served>, Fault> {
        let models = self.read();
        let (name, entry) = match model {
            Some(name) => match models.get_key_value(name) {
                Some(found) => found,
                None if models.is_empty() => return Err(no_model_yet(echoed(name))),
                None => return Err(unknown_model(name, &models)),
            },
            None if models.len() > 1 => return Err(several_models(&models)),
            None => match models.iter().next() {
                Some(only) => only,
                None => return Err(no_model_yet("any model")),
            },
        };
        entry.clone().ok_or_else(|| no_model_yet(name))
    }
}

fn no_model_yet(name: &str) -> Fault {
    Fault::NoModelYet(format!(
        "{name} has no weights yet: is a learner running, and has it learned anything and taken a snapshot?"
    ))
}

fn unknown_model(name: &str, models: &Models) -> Fault {
    let names: Vec<String> = models.keys().cloned().collect();
    Fault::UnknownModel(
        format!(
            "no model {:?} here; served: {}",
            echoed(name),
            names.join(", ")
        ),
        names,
    )
}

fn several_models(models: &Models) -> Fault {
    let names: Vec<&str> = models.keys().map(String::as_str).collect();
    Fault::BadRequest(format!(
        "several models are served: name one of {}",
        names.join(", ")
    ))
}

fn age_seconds(standing: &Standing) -> f64 {
    (unix_seconds() - standing.learned_at).max(0.0)
}

fn origin<'a>(served: &'a Served, standing: &Standing, weights_age_seconds: f64) -> Origin<'a> {
    Origin {
        model: &served.model,
        variant: &served.variant,
        fingerprint: served.replica.fingerprint(),
        step: standing.step,
        watermark_us: standing.watermark_us,
        weights_age_seconds,
        stale: served.stale.load(Relaxed),
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

fn statuses(models: &Models) -> Vec<ModelStatus<'_>> {
    models
        .iter()
        .map(|(model, served)| ModelStatus {
            model,
            origin: served.as_ref().map(|served| {
                let standing = served.replica.standing();
                origin(served, &standing, age_seconds(&standing))
            }),
            rows: served
                .as_ref()
                .map_or(0, |served| served.replica.rows() as i64),
        })
        .collect()
}
