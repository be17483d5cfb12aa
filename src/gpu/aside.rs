//! Threads beside a device: one does what the driver may take long for, one waits for the adapter, so that
//! whoever awaits the device does not block. Drivers that run kernels on a processor do so within the
//! submit, or keep the next submit waiting for the one before.
//!
//! GL has one context for all devices of an adapter, and whoever needs it waits for the one who has it;
//! wgpu panics when that takes some seconds. So on GL both threads are one, and the adapter's: whatever
//! needs the context is done there.
//!
//! A browser has no threads and no call that blocks: there all is done where it is asked for.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
#[cfg(not(target_arch = "wasm32"))]
use std::{
    collections::VecDeque,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use wgpu::WasmNotSend;

use super::answer::Ask;
#[cfg(not(target_arch = "wasm32"))]
use super::answer::question;
use crate::error::Result;

/// How long the thread of a shared context waits for the adapter before it looks for other work, and how
/// soon it notices that something is needed no more.
#[cfg(not(target_arch = "wasm32"))]
const SHARED_TURN: Duration = Duration::from_millis(5);
#[cfg(not(target_arch = "wasm32"))]
const SWEEP: Duration = Duration::from_millis(100);

/// Waits, when the last clone goes, for the threads to let go of what they hold and end: while a process ends,
/// drivers take themselves apart, and a thread that still frees something there crashes. So whoever is outside
/// the threads, and may be the last to go, holds one, and drops it after every [`Aside`] of its own.
#[derive(Debug)]
pub(super) struct Threads {
    #[cfg(not(target_arch = "wasm32"))]
    all: Vec<JoinHandle<()>>,
}

#[cfg(not(target_arch = "wasm32"))]
impl Drop for Threads {
    fn drop(&mut self) {
        for thread in self.all.drain(..) {
            if thread.thread().id() != thread::current().id() {
                // One that panicked has said so.
                let _ = thread.join();
            }
        }
    }
}

/// A handle of the threads, which end with the last of them.
#[derive(Clone)]
pub(super) struct Aside {
    /// Does what it is given in order.
    #[cfg(not(target_arch = "wasm32"))]
    worker: mpsc::Sender<Job>,
    /// Waits: the same, where it has the adapter's only context.
    #[cfg(not(target_arch = "wasm32"))]
    waiter: mpsc::Sender<Job>,
    has_context: bool,
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_context = self.has_context;
        write!(f, "Aside {{ has_context: {has_context} }}")
    }
}

#[cfg(not(target_arch = "wasm32"))]
enum Job {
    Call(Box<dyn FnOnce() + Send>),
    Wait(Wait),
    Keep(Arc<dyn Any + Send + Sync>),
}

/// A submission whose end someone awaits.
#[cfg(not(target_arch = "wasm32"))]
struct Wait {
    device: wgpu::Device,
    submission: wgpu::SubmissionIndex,
    /// Told that no answer will come, unless waiting succeeds: then a callback answers, on whichever thread
    /// polled first.
    asked: Option<Arc<dyn Ask>>,
}

#[cfg(not(target_arch = "wasm32"))]
impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(asked) = &self.asked {
            asked.give_up();
        }
    }
}

impl Aside {
    /// Starts the threads: one, where it is to have the adapter's only context.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn start(has_context: bool) -> Result<(Self, Arc<Threads>)> {
        #[cfg(not(target_arch = "wasm32"))]
        {
            let (worker, thread) = spawn("wgrad worker", has_context)?;
            let mut all = vec![thread];
            let waiter = match has_context {
                true => worker.clone(),
                false => {
                    let (waiter, thread) = spawn("wgrad waiter", false)?;
                    all.push(thread);
                    waiter
                }
            };
            let aside = Aside {
                worker,
                waiter,
                has_context,
            };
            Ok((aside, Arc::new(Threads { all })))
        }
        #[cfg(target_arch = "wasm32")]
        Ok((Aside { has_context }, Arc::new(Threads {})))
    }

    /// Whether the thread has the adapter's only context.
    pub fn has_context(&self) -> bool {
        cfg!(not(target_arch = "wasm32")) && self.has_context
    }

    /// What submits and writes, after everything of that kind before.
    pub fn call(&self, job: impl FnOnce() + WasmNotSend + 'static) {
        #[cfg(not(target_arch = "wasm32"))]
        self.post(Job::Call(Box::new(job)));
        #[cfg(target_arch = "wasm32")]
        job();
    }

    /// The same of what makes something, which is awaited.
    ///
    /// # Errors
    /// A thread that has ended.
    #[cfg(not(target_arch = "wasm32"))]
    pub async fn run<T: Send + 'static, F: Future<Output = T>>(
        &self,
        job: impl FnOnce() -> F + Send + 'static,
    ) -> Result<T> {
        let (asked, answer) = question();
        self.post(Job::Call(Box::new(move || {
            asked.send(Ok(pollster::block_on(job())));
        })));
        answer.get().await
    }

    /// The same, where it is asked for.
    ///
    /// # Errors
    /// There is none.
    #[cfg(target_arch = "wasm32")]
    pub async fn run<T, F: Future<Output = T>>(&self, job: impl FnOnce() -> F) -> Result<T> {
        Ok(job().await)
    }

    /// Sees to it that `asked` is answered when `submission` is done, or given up: callbacks run only while
    /// someone polls. A browser's event loop does it by itself.
    #[cfg_attr(target_arch = "wasm32", expect(unused_variables))]
    pub fn wait(
        &self,
        device: &wgpu::Device,
        submission: wgpu::SubmissionIndex,
        asked: Arc<dyn Ask>,
    ) {
        #[cfg(not(target_arch = "wasm32"))]
        let _ = self.waiter.send(Job::Wait(Wait {
            device: device.clone(),
            submission,
            asked: Some(asked),
        }));
    }

    /// Keeps what is needed until nobody else does, where the thread that has the context must be the one
    /// that lets it go.
    #[cfg_attr(target_arch = "wasm32", expect(unused_variables))]
    pub fn keep(&self, needed: Arc<dyn Any + Send + Sync>) {
        #[cfg(not(target_arch = "wasm32"))]
        if self.has_context {
            self.post(Job::Keep(needed));
        }
    }

    /// A job that no thread takes any more is dropped, and whoever awaits its answer is told.
    #[cfg(not(target_arch = "wasm32"))]
    fn post(&self, job: Job) {
        let _ = self.worker.send(job);
    }
}

/// Runs `job`, which takes long, on a thread of its own.
///
/// # Errors
/// The operating system's refusal of a thread.
pub(super) async fn apart<T, F>(job: impl FnOnce() -> F + WasmNotSend + 'static) -> Result<T>
where
    T: WasmNotSend + 'static,
    F: Future<Output = T>,
{
    let (aside, threads) = Aside::start(false)?;
    let done = aside.run(job).await;
    drop(aside);
    drop(threads);
    done
}

#[cfg(not(target_arch = "wasm32"))]
fn spawn(name: &str, has_context: bool) -> Result<(mpsc::Sender<Job>, JoinHandle<()>)> {
    let (jobs, queue) = mpsc::channel();
    let thread = thread::Builder::new().name(name.to_owned());
    let started = thread.spawn(move || serve(&queue, has_context));
    let started = started.map_err(|error| crate::Error::gpu("starting a thread", error))?;
    Ok((jobs, started))
}

/// Does jobs as they come; while there are none, waits for the oldest submission.
#[cfg(not(target_arch = "wasm32"))]
fn serve(jobs: &mpsc::Receiver<Job>, has_context: bool) {
    use mpsc::{RecvTimeoutError as Timed, TryRecvError};
    let mut waits: VecDeque<Wait> = VecDeque::new();
    let mut kept: Vec<Arc<dyn Any + Send + Sync>> = Vec::new();
    loop {
        let job = match (waits.is_empty(), kept.is_empty()) {
            (false, _) => jobs.try_recv(),
            (true, true) => jobs.recv().map_err(|_| TryRecvError::Disconnected),
            (true, false) => jobs.recv_timeout(SWEEP).map_err(|error| match error {
                Timed::Timeout => TryRecvError::Empty,
                Timed::Disconnected => TryRecvError::Disconnected,
            }),
        };
        match job {
            Ok(Job::Call(call)) => call(),
            Ok(Job::Wait(wait)) => waits.push_back(wait),
            Ok(Job::Keep(needed)) => kept.push(needed),
            Err(TryRecvError::Disconnected) if waits.is_empty() => return,
            Err(_) => {
                if waits
                    .front_mut()
                    .is_some_and(|wait| is_over(wait, has_context))
                {
                    waits.pop_front();
                }
            }
        }
        kept.retain(|needed| Arc::strong_count(needed) > 1);
    }
}

/// Waits for a submission; whether its wait is over, be it that it failed.
#[cfg(not(target_arch = "wasm32"))]
fn is_over(wait: &mut Wait, has_context: bool) -> bool {
    let polled = wait.device.poll(wgpu::PollType::Wait {
        submission_index: Some(wait.submission.clone()),
        timeout: has_context.then_some(SHARED_TURN),
    });
    match polled {
        Ok(_) => {
            wait.asked = None;
            true
        }
        Err(wgpu::PollError::Timeout) => false,
        Err(_) => {
            // A device that was lost says so in a callback of its own, which takes another look.
            let _ = wait.device.poll(wgpu::PollType::Poll);
            true
        }
    }
}
