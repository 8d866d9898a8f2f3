//! Work that blocks, or computes for long, away from the async threads; and waiting for the async world from there.

use std::cell::Cell;
use std::future::Future;

thread_local! {
    /// Whether this thread waits (see [`wait`]), so that what it polls may block it.
    static WAITS: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` where blocking is allowed. A panic of it is passed on.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    if WAITS.get() {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // It never began: the runtime is going away, and whoever waits here with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Blocks this thread until the future is done, with the reactor and timers of a runtime. Work that blocks takes place here
/// and now, without a way over another thread.
pub fn wait<T>(runtime: &tokio::runtime::Handle, future: impl Future<Output = T>) -> T {
    let _entered = runtime.enter();
    let before = WAITS.replace(true);
    // A task has a budget, which is renewed where it yields: nobody yields here.
    let done = futures::executor::block_on(tokio::task::unconstrained(future));
    WAITS.set(before);
    done
}
