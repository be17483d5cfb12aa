//! Training: step by step, as in the tutorial, or whole epochs.

mod averaged;
mod bursts;
mod checkpoint;
mod config;
mod confusion;
mod convert;
mod described;
mod evaluate;
mod feed;
mod lock;
mod metrics;
mod names;
mod options;
mod planning;
mod position;
mod rate_test;
mod resume;
mod session;
mod steps;
mod trainer;

pub use averaged::Averaged;
pub use checkpoint::Checkpoint;
pub use config::Config;
pub use confusion::ConfusionMatrix;
pub use feed::Residency;
pub use lock::FolderLock;
pub(crate) use metrics::predictions;
pub use metrics::{MeanAbsoluteError, Metric, Targets, TopK};
pub use planning::Planning;
pub use rate_test::{RateCurve, RatePoint, RateTest};
pub use session::Session;
pub use trainer::{EpochReport, Progress, Split, Trainer};
