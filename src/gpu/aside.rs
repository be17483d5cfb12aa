//! Threads beside a device: one makes the driver calls that may take long, one waits for the
//! adapter, so that awaiting the device never blocks the caller. Software adapters run kernels
//! within the submit, or block the next submit until the previous one ends.
//!
//! GL has one context for all devices of an adapter, owned by one thread at a time; wgpu panics
//! after waiting some seconds for it. So on GL the adapter has a single thread for both jobs, and
//! everything that needs the context runs there.
//!
//! A browser has no threads and no blocking calls: there everything runs in place.

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

/// How long the thread of a shared context waits for the adapter before it checks for other work,
/// and for objects that are no longer needed.
#[cfg(not(target_arch = "wasm32"))]
const SHARED_TURN: Duration = Duration::from_millis(5);
#[cfg(not(target_arch = "wasm32"))]
const SWEEP: Duration = Duration::from_millis(100);

/// Joins the threads when the last clone is dropped: drivers are torn down while a process exits,
/// and a thread that still frees driver objects then crashes. So every owner outside the threads
/// holds a clone, and drops it after each of its [`Aside`]s.
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
                // A panic was already reported.
                let _ = thread.join();
            }
        }
    }
}

/// A handle of the threads, which end when the last handle is dropped.
#[derive(Clone)]
pub(super) struct Aside {
    /// Runs jobs in order.
    #[cfg(not(target_arch = "wasm32"))]
    worker: mpsc::Sender<Job>,
    /// Waits for submissions; the same thread as `worker` if it owns the adapter's only context.
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

/// A submission whose completion is awaited.
#[cfg(not(target_arch = "wasm32"))]
struct Wait {
    device: wgpu::Device,
    submission: wgpu::SubmissionIndex,
    /// Answered with an error, unless waiting succeeds: then a callback answers, on whichever
    /// thread polled first.
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
    /// Starts the threads: a single one if it owns the adapter's only context.
    ///
    /// # Errors
    /// The operating system refused a thread.
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

    /// Whether the thread owns the adapter's only context.
    pub fn has_context(&self) -> bool {
        cfg!(not(target_arch = "wasm32")) && self.has_context
    }

    /// Runs a job that submits or writes, after all such jobs before it.
    pub fn call(&self, job: impl FnOnce() + WasmNotSend + 'static) {
        #[cfg(not(target_arch = "wasm32"))]
        self.post(Job::Call(Box::new(job)));
        #[cfg(target_arch = "wasm32")]
        job();
    }

    /// Runs a job like [`Aside::call`], and awaits its result.
    ///
    /// # Errors
    /// The thread has ended.
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

    /// Runs a job in place.
    ///
    /// # Errors
    /// None.
    #[cfg(target_arch = "wasm32")]
    pub async fn run<T, F: Future<Output = T>>(&self, job: impl FnOnce() -> F) -> Result<T> {
        Ok(job().await)
    }

    /// Polls until `submission` is done and its callback has answered `asked`, or gives `asked` up:
    /// callbacks run only during a poll. A browser's event loop polls by itself.
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

    /// Waits until polls that have begun on the waiting thread have run their callbacks: a poll that
    /// another thread makes meanwhile does not run them, nor wait for them.
    pub async fn callbacks(&self) {
        #[cfg(not(target_arch = "wasm32"))]
        {
            let (asked, answer) = question();
            let _ = self
                .waiter
                .send(Job::Call(Box::new(move || asked.send(Ok(())))));
            // An error says that the thread has ended, and so every poll of it.
            let _ = answer.get().await;
        }
    }

    /// Keeps an object until nothing else refers to it, so that the thread that owns the context
    /// drops it.
    #[cfg_attr(target_arch = "wasm32", expect(unused_variables))]
    pub fn keep(&self, needed: Arc<dyn Any + Send + Sync>) {
        #[cfg(not(target_arch = "wasm32"))]
        if self.has_context {
            self.post(Job::Keep(needed));
        }
    }

    /// If the thread has ended, drops the job, which answers its waiters with an error.
    #[cfg(not(target_arch = "wasm32"))]
    fn post(&self, job: Job) {
        let _ = self.worker.send(job);
    }
}

/// Runs `job`, which takes long, on a separate thread.
///
/// # Errors
/// The operating system refused a thread.
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

/// Runs jobs as they arrive; in between, waits for the oldest submission.
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

/// Waits for a submission; returns whether the wait is over, successful or not.
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
            // The loss of the device is reported in a separate callback, which needs another poll.
            let _ = wait.device.poll(wgpu::PollType::Poll);
            true
        }
    }
}
