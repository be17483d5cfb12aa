//! The crate's errors, each one line that says what, where, expected and got.

use std::path::PathBuf;

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure that a caller can provoke or a driver can cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer, a loss or an op does not accept a shape.
    #[error("{at}: expected {expected}, got {got}")]
    Shape {
        /// The layer (`0: Conv2d(1 → 4, 3×3)`), loss or op.
        at: String,
        /// The expected shape.
        expected: String,
        /// The actual shape.
        got: String,
    },
    /// An option or an argument is out of range.
    #[error("{what}: expected {expected}, got {got}")]
    Value {
        /// The option's name.
        what: String,
        /// The accepted values.
        expected: String,
        /// The value given.
        got: String,
    },
    /// A plan needs more than the adapter offers.
    #[error("{what}: needs {needed} {unit}, but {adapter} offers {limit} ({name})")]
    Limit {
        /// The tensor, buffer or op that does not fit.
        what: String,
        /// The amount needed.
        needed: u64,
        /// Bytes, buffers, invocations, ….
        unit: &'static str,
        /// The adapter's name.
        adapter: String,
        /// The adapter's limit.
        limit: u64,
        /// WebGPU's name of the limit.
        name: &'static str,
    },
    /// All kernels of an op that the adapter can run gave wrong results there.
    #[error("kernel `{kernel}` is wrong on {adapter}: {what}")]
    WrongKernel {
        /// The entry point.
        kernel: &'static str,
        /// The adapter.
        adapter: String,
        /// The op with its sizes, the element, the value found and the expected one.
        what: String,
    },
    /// No adapter matches the request.
    #[error("no adapter for {asked}; found: {found}")]
    NoAdapter {
        /// The request.
        asked: String,
        /// The adapters that exist, or `none`.
        found: String,
    },
    /// The device was lost: reset, unplugged, destroyed.
    #[error("device lost: {0}")]
    DeviceLost(String),
    /// A step's loss is infinite or NaN, and so are the parameters from that step on.
    #[error("epoch {epoch}, step {step}: expected a finite loss, got {loss}")]
    NotFinite {
        /// The epoch, counted from 1.
        epoch: u64,
        /// The step of the epoch, counted from 1.
        step: u64,
        /// Infinity or NaN.
        loss: f64,
    },
    /// A training step panicked, leaving the parameters in an unknown state.
    #[error("trainer: expected a restored checkpoint, since training was cut off within a step")]
    CutOff,
    /// The driver or wgpu's validation refused something.
    #[error("{context}: {message}")]
    Gpu {
        /// The operation in progress.
        context: String,
        /// The driver's message, on one line.
        message: String,
    },
    /// A data file has unexpected content.
    #[error("{}: expected {expected}, got {got}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// The expected content.
        expected: String,
        /// The actual content.
        got: String,
    },
    /// A file or folder that only one process may use at a time is in use.
    #[error("{}: in use by {by}", path.display())]
    InUse {
        /// The file or folder.
        path: PathBuf,
        /// Its user, as far as known.
        by: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
}

impl Error {
    /// A [`Error::Value`] from anything that prints.
    pub fn value(
        what: impl Into<String>,
        expected: impl Into<String>,
        got: impl std::fmt::Display,
    ) -> Self {
        Error::Value {
            what: what.into(),
            expected: expected.into(),
            got: got.to_string(),
        }
    }

    /// A [`Error::Gpu`] whose message is folded onto one line.
    pub(crate) fn gpu(context: impl Into<String>, message: impl std::fmt::Display) -> Self {
        let message = message.to_string();
        Error::Gpu {
            context: context.into(),
            message: message.split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }
}
