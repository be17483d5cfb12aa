//! Trained models.

use std::path::{Path, PathBuf};

use wgrad::{Checkpoint, Error, Result};

use crate::run_folder::{BEST, LAST, WEIGHTS};

/// The key of the names of the classes, as JSON, in a checkpoint's metadata.
pub const CLASSES: &str = "classes";

/// The key of the model file's text in a checkpoint's metadata.
pub const MODEL_FILE: &str = "model_file";

/// A trained model, and the names of its classes.
pub struct Trained {
    pub checkpoint: Checkpoint,
    /// None in checkpoints that this program did not write.
    pub classes: Option<Vec<String>>,
}

impl Trained {
    /// Loads a checkpoint: a file, or the best one of a run's folder. If training averages its
    /// weights, the averages take their place.
    ///
    /// # Errors
    /// There is no checkpoint, or it is damaged.
    pub fn load(path: &Path) -> Result<Self> {
        let checkpoint = Checkpoint::load(file(path))?;
        let classes = checkpoint.metadata.get(CLASSES);
        let classes = classes.and_then(|text| serde_json::from_str(text).ok());
        let checkpoint = checkpoint.averaged().unwrap_or(checkpoint);
        Ok(Trained {
            checkpoint,
            classes,
        })
    }

    /// Height and width of the model's images.
    ///
    /// # Errors
    /// The checkpoint does not describe its model, or the model is not of images.
    pub fn size(&self) -> Result<[usize; 2]> {
        let graph = self.checkpoint.graph()?;
        let images = &graph.value(graph.images()).shape;
        match *images.dims() {
            [_, _, height, width] => Ok([height, width]),
            _ => Err(Error::value("checkpoint", "a model of images", images)),
        }
    }

    /// The name of a class, or its number.
    pub fn class(&self, class: usize) -> String {
        let names = self.classes.as_deref().unwrap_or_default();
        names.get(class).cloned().unwrap_or(class.to_string())
    }
}

fn file(path: &Path) -> PathBuf {
    if !path.is_dir() {
        return path.to_owned();
    }
    let best = path.join(WEIGHTS).join(BEST);
    match best.exists() {
        true => best,
        false => path.join(WEIGHTS).join(LAST),
    }
}
