//! Answers that arrive later: from another thread, or from a driver's callback.

use std::sync::Arc;

use futures_intrusive::channel::shared::{OneshotReceiver, OneshotSender, oneshot_channel};

use crate::error::{Error, Result};

/// The sender of an answer. Clones answer the same question; the first answer counts.
#[derive(Debug)]
pub(super) struct Asked<T: Send + 'static>(Arc<OneshotSender<Result<T>>>);

impl<T: Send + 'static> Clone for Asked<T> {
    fn clone(&self) -> Self {
        Asked(self.0.clone())
    }
}

impl<T: Send + 'static> Asked<T> {
    pub fn send(&self, answer: Result<T>) {
        // The receiver may have been dropped.
        let _ = self.0.send(answer);
    }
}

/// A sender of an answer of any type.
pub(super) trait Ask: wgpu::WasmNotSendSync {
    /// Answers with an error, unless an answer was sent.
    fn give_up(&self);
}

impl<T: Send + 'static> Ask for Asked<T> {
    fn give_up(&self) {
        self.send(Err(none_came()));
    }
}

/// A pending answer.
#[derive(Debug)]
pub(crate) struct Answer<T: Send + 'static>(OneshotReceiver<Result<T>>);

impl<T: Send + 'static> Answer<T> {
    /// Waits for it.
    ///
    /// # Errors
    /// The answer is an error, or its thread ended without one.
    pub async fn get(self) -> Result<T> {
        let answer = self.0.receive().await;
        answer.unwrap_or_else(|| Err(none_came()))
    }
}

/// A question, and its answer.
pub(super) fn question<T: Send + 'static>() -> (Asked<T>, Answer<T>) {
    let (sender, receiver) = oneshot_channel();
    (Asked(Arc::new(sender)), Answer(receiver))
}

fn none_came() -> Error {
    Error::gpu("waiting for the adapter", "no answer came")
}
