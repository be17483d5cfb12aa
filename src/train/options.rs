//! What a checkpoint says of its training, and whether a trainer's options equal it.

use super::{Checkpoint, Planning, Trainer};
use crate::error::{Error, Result};
use crate::nn::Normalize;

/// The prefix of the optimizer's arrays.
pub(super) const OPTIMIZER: &str = "optimizer.";

/// Metadata key for the kernel choices; its value for the unfused plan.
pub(super) const KERNELS: &str = "kernels";
pub(super) const UNFUSED: &str = "unfused";

/// Metadata key for the device that wrote the checkpoint.
pub(super) const DEVICE: &str = "device";

/// Metadata key for the means and deviations by which images are normalised.
pub(super) const NORMALIZATION: &str = "normalization";

impl Checkpoint {
    /// The plan of the training: a trainer that resumes with it gives the same bits as an
    /// uninterrupted one.
    ///
    /// # Errors
    /// The kernel choices cannot be parsed.
    pub fn planning(&self) -> Result<Planning> {
        match self.metadata.get(KERNELS).map(String::as_str) {
            None | Some(UNFUSED) => Ok(Planning::Unfused),
            Some(kernels) => Ok(Planning::Chosen(kernels.parse()?)),
        }
    }

    /// The means and deviations by which the images were normalised, if they were.
    ///
    /// # Errors
    /// They cannot be parsed.
    pub fn normalization(&self) -> Result<Option<Normalize>> {
        let text = self.metadata.get(NORMALIZATION);
        text.map(|text| text.parse()).transpose()
    }

    /// The device that trained so far, if it was noted; another one gives other last bits.
    pub fn device(&self) -> Option<&str> {
        self.metadata.get(DEVICE).map(String::as_str)
    }
}

/// What options were before checkpoints named them.
const DEFAULTS: [(&str, &str); 4] = [
    ("augmentation", "none"),
    ("averaging", "none"),
    ("clipping", "none"),
    ("micro_batches", "1"),
];

impl Trainer {
    /// # Errors
    /// The checkpoint belongs to other options of training, of which the error names the first.
    pub(super) fn check_options(&self, checkpoint: &Checkpoint) -> Result<()> {
        for (key, ours) in self.options() {
            let default = DEFAULTS.iter().find(|(option, _)| *option == key);
            let default = default.map_or("nothing", |(_, text)| text);
            let theirs = checkpoint.metadata.get(key).map_or(default, String::as_str);
            // The rate may change from step to step; the checkpoint holds the current one.
            if without_rate(theirs) != without_rate(&ours) {
                let on_one_line = |text: &str| text.replace('\n', "; ");
                let what = format!("checkpoint's {key}");
                return Err(Error::value(what, on_one_line(&ours), on_one_line(theirs)));
            }
        }
        Ok(())
    }

    /// The options that must equal the checkpoint's, the most telling first.
    pub(super) fn options(&self) -> [(&'static str, String); 12] {
        let config = &self.config;
        let averaging = config.averaging;
        let averaging = averaging.map_or_else(|| "none".to_owned(), |decay| decay.to_string());
        [
            ("model", self.graph.to_string()),
            ("loss", config.loss.to_string()),
            ("optimizer", config.optimizer.to_string()),
            ("schedule", config.schedule.to_string()),
            ("batch_size", config.batch_size.to_string()),
            ("micro_batches", config.micro_batches.to_string()),
            ("seed", config.seed.to_string()),
            ("shuffle", config.shuffle.to_string()),
            ("augmentation", config.augmentation.to_string()),
            ("averaging", averaging),
            ("clipping", config.clipping.to_string()),
            (
                "training_set",
                format!(
                    "{} samples, CRC-32 {:08x}",
                    self.feed.train_len(),
                    self.feed.checksum
                ),
            ),
        ]
    }
}

/// The text of an optimizer without its learning rate.
fn without_rate(text: &str) -> Vec<&str> {
    let parts = text.split(", ");
    let is_rate = |part: &&str| part.starts_with("learning rate ");
    parts.filter(|part| !is_rate(part)).collect()
}
