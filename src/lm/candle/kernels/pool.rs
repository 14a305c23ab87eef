//! Threads that help: the caller of [`Pool::run`] takes tasks itself, and waits only for tasks that a
//! worker has begun.
//!
//! A pass over a small model is some hundred regions of a few microseconds. A pool that meets all its
//! workers at the end of each is stopped by whichever of them the system has put aside for another
//! process; here a worker that is late finds nothing left to do and is not missed. Workers spin for a
//! moment between regions, then sleep.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// How often a worker looks for work before it sleeps: some tens of microseconds, longer than the pauses
/// within a pass and far shorter than those between passes.
const SPINS: u32 = 2_000;

/// A fixed number of threads, the caller's among them.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held while a job runs: a second caller, or a task that calls, does its tasks alone.
    turn: Mutex<()>,
}

struct Shared {
    /// Tasks of the current job that nobody has taken. A thread that counts it down by one, from `n`, has
    /// taken task number `tasks - n`.
    unclaimed: AtomicUsize,
    /// Tasks of the current job that are not done.
    unfinished: AtomicUsize,
    /// The current job. Read only by a thread that has taken one of its tasks.
    job: AtomicPtr<Job<'static>>,
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
    stop: AtomicBool,
}

struct Job<'a> {
    task: &'a (dyn Fn(usize) + Sync),
    tasks: usize,
    panicked: AtomicBool,
}

impl Pool {
    /// A pool of `threads` threads; `threads - 1` are started, the caller is the other. 0 means 1.
    pub(crate) fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            unclaimed: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(0),
            job: AtomicPtr::new(ptr::null_mut()),
            sleepers: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let start = |_| {
            let shared = shared.clone();
            // Fewer threads than asked for are slower, not wrong.
            thread::Builder::new().name("tamis".into()).spawn(move || shared.work()).ok()
        };
        Self { workers: (1..threads).filter_map(start).collect(), shared, turn: Mutex::new(()) }
    }

    /// The number of threads.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task` with every number below `tasks`, on several threads; returns when all are done.
    ///
    /// # Panics
    /// If a task does, when all others are done.
    pub(crate) fn run(&self, tasks: usize, task: impl Fn(usize) + Sync) {
        let turn = if self.workers.is_empty() || tasks < 2 { None } else { self.turn.try_lock().ok() };
        if turn.is_none() {
            (0..tasks).for_each(task);
            return;
        }
        let job = Job { task: &task, tasks, panicked: AtomicBool::new(false) };
        self.shared.job.store(ptr::from_ref(&job).cast_mut().cast(), Ordering::Relaxed);
        self.shared.unfinished.store(tasks, Ordering::Relaxed);
        // Publishes the two stores above. Sequentially consistent, as is reading `sleepers`: either this
        // thread sees a worker that has gone to sleep, or that worker sees the tasks.
        self.shared.unclaimed.store(tasks, Ordering::SeqCst);
        if self.shared.sleepers.load(Ordering::SeqCst) > 0 {
            drop(self.shared.sleep.lock());
            self.shared.wake.notify_all();
        }
        while self.shared.help() {}
        let mut spins = 0;
        while self.shared.unfinished.load(Ordering::Acquire) > 0 {
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { thread::yield_now() }
        }
        drop(turn);
        if job.panicked.load(Ordering::Relaxed) {
            resume_unwind(Box::new("a task of the pool panicked"));
        }
    }
}

impl Pool {
    /// Calls `task` with each of `parts`, on several threads; returns when all are done.
    ///
    /// # Panics
    /// As [`Pool::run`].
    pub(crate) fn run_with<T: Send>(&self, parts: impl Iterator<Item = T>, task: impl Fn(T) + Sync) {
        let parts: Vec<Mutex<Option<T>>> = parts.map(|part| Mutex::new(Some(part))).collect();
        self.run(parts.len(), |index| {
            let part = parts[index].lock().unwrap_or_else(PoisonError::into_inner).take();
            task(part.expect("a task is done once"));
        });
    }
}

impl Shared {
    /// Takes one task and does it; false where none is left.
    fn help(&self) -> bool {
        let claim = |unclaimed: usize| unclaimed.checked_sub(1);
        let Ok(unclaimed) = self.unclaimed.try_update(Ordering::Acquire, Ordering::Relaxed, claim) else { return false };
        // SAFETY: this thread has just taken a task of the job that was published last: `unclaimed` rises
        // above zero only in `Pool::run`, after `job` has been set (release there, acquire here, and
        // counting down in between continues the release sequence). That call does not return, nor does
        // another begin (it holds `turn`), before `unfinished` is zero, which it cannot be before this
        // thread counts its own task below. So the job and all that it borrows live until then, and are
        // not touched after it. The job is shared, and `task` is `Sync`.
        let job = unsafe { &*self.job.load(Ordering::Relaxed) };
        // A panic must not pass the count below: the caller would wait for ever.
        if catch_unwind(AssertUnwindSafe(|| (job.task)(job.tasks - unclaimed))).is_err() {
            job.panicked.store(true, Ordering::Relaxed);
        }
        self.unfinished.fetch_sub(1, Ordering::Release);
        true
    }

    /// What a worker does.
    fn work(&self) {
        let mut spins = 0;
        while !self.stop.load(Ordering::Relaxed) {
            if self.help() {
                spins = 0;
            } else if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                self.rest();
                spins = 0;
            }
        }
    }

    /// Sleeps until there are tasks.
    fn rest(&self) {
        let guard = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let idle = |(): &mut ()| self.unclaimed.load(Ordering::SeqCst) == 0 && !self.stop.load(Ordering::SeqCst);
        drop(self.wake.wait_while(guard, idle));
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        drop(self.shared.sleep.lock());
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // Tasks' panics are caught, so a worker's thread has none of its own.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_task_is_done_once() {
        for threads in [1, 2, 3, 8] {
            let pool = Pool::new(threads);
            assert_eq!(pool.threads(), threads);
            for tasks in (0..40).chain([1000]) {
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                pool.run(tasks, |index| {
                    counts[index].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{threads} threads, {tasks} tasks");
            }
        }
    }

    #[test]
    fn workers_that_have_gone_to_sleep_wake_up() {
        let pool = Pool::new(2);
        for pause in [0, 1, 5] {
            thread::sleep(Duration::from_millis(pause));
            // The first of two tasks waits for the other: somebody else must do it.
            let met = [AtomicBool::new(false), AtomicBool::new(false)];
            pool.run(2, |index| {
                met[index].store(true, Ordering::SeqCst);
                while !met[1 - index].load(Ordering::SeqCst) {
                    thread::yield_now();
                }
            });
        }
    }

    #[test]
    fn a_task_may_use_the_pool_and_so_may_two_callers() {
        let pool = Pool::new(3);
        let count = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    pool.run(5, |_| {
                        pool.run(7, |_| {
                            count.fetch_add(1, Ordering::Relaxed);
                        });
                    });
                });
            }
        });
        assert_eq!(count.into_inner(), 4 * 5 * 7);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_leaves_the_pool_usable() {
        let pool = Pool::new(2);
        for _ in 0..3 {
            let caught = catch_unwind(AssertUnwindSafe(|| pool.run(10, |index| assert!(index != 4, "task 4 fails"))));
            assert!(caught.is_err());
            let count = AtomicUsize::new(0);
            pool.run(10, |_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(count.into_inner(), 10);
        }
    }
}
