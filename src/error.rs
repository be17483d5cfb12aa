//! What can go wrong, each as one line that says what, where, expected and got.

use std::path::PathBuf;

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure that a caller can provoke or a driver can cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer, a loss or an op was given a shape that it cannot take.
    #[error("{at}: expected {expected}, got {got}")]
    Shape {
        /// The layer (`0: Conv2d(1 → 4, 3×3)`), loss or op.
        at: String,
        /// The shape that it wanted.
        expected: String,
        /// The shape that it got.
        got: String,
    },
    /// An option or an argument lies outside its range.
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
        /// How much it needs.
        needed: u64,
        /// Bytes, buffers, invocations, ….
        unit: &'static str,
        /// The adapter's name.
        adapter: String,
        /// How much there is.
        limit: u64,
        /// WebGPU's name of the limit.
        name: &'static str,
    },
    /// Every kernel of an op that the adapter can run was seen to compute something wrong there.
    #[error("kernel `{kernel}` is wrong on {adapter}: {what}")]
    WrongKernel {
        /// The entry point.
        kernel: &'static str,
        /// The adapter.
        adapter: String,
        /// The op with its sizes, the element, what it was and what is right.
        what: String,
    },
    /// No adapter answers the request.
    #[error("no adapter for {asked}; found: {found}")]
    NoAdapter {
        /// What was asked for.
        asked: String,
        /// The adapters that exist, or `none`.
        found: String,
    },
    /// The device was lost: reset, unplugged, destroyed.
    #[error("device lost: {0}")]
    DeviceLost(String),
    /// A step's loss is infinite or NaN, and with it every parameter from that step on.
    #[error("epoch {epoch}, step {step}: expected a finite loss, got {loss}")]
    NotFinite {
        /// The epoch, counted from 1.
        epoch: u64,
        /// The step of the epoch, counted from 1.
        step: u64,
        /// Infinity or NaN.
        loss: f64,
    },
    /// A training step panicked, so that nobody knows which parameters it moved.
    #[error("trainer: expected a restored checkpoint, since training was cut off within a step")]
    CutOff,
    /// The driver or wgpu's validation refused something.
    #[error("{context}: {message}")]
    Gpu {
        /// What was being done.
        context: String,
        /// The driver's words, on one line.
        message: String,
    },
    /// A data file does not hold what it should.
    #[error("{}: expected {expected}, got {got}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: String,
        /// What it holds.
        got: String,
    },
    /// A file or folder that one may use at a time is in use.
    #[error("{}: in use by {by}", path.display())]
    InUse {
        /// The file or folder.
        path: PathBuf,
        /// Who uses it, as far as it can be known.
        by: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer.
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
