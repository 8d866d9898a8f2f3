//! The store's own work while it is open: settling and flushing by one task, merging by another.
//!
//! A failure is logged and the work tried again at the next turn; nothing is let go of before it succeeded.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::MutexGuard;

use super::patience::Settling;
use super::settle::TRACES_PER_PASS;
use super::{Inner, Store};
use crate::blocking::blocking;
use crate::error::StoreError;
use crate::lake::now;

/// How often idle traces are looked for, and whether a flush is due.
const TURN: Duration = Duration::from_millis(500);

/// How often what another process committed is looked for: a request per table.
const FOLLOW_EVERY: Duration = Duration::from_secs(2);

impl Store {
    /// Waits for the turn of work in the background that takes much memory for some seconds: one merge, one file that retention
    /// looks through, one stretch of a rollup. It lasts until the answer is dropped.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.inner.turns.lock().await
    }
}

pub(super) fn start(inner: &Arc<Inner>) {
    if inner.log.is_none() {
        inner.background.lock().push(tokio::spawn(follow(inner.clone())));
        return;
    }
    let keeper = tokio::spawn(keep(inner.clone()));
    let merger = tokio::spawn(merge(inner.clone()));
    inner.background.lock().extend([keeper, merger]);
}

async fn keep(inner: Arc<Inner>) {
    let mut turn = tokio::time::interval(TURN);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = turn.tick() => {}
            () = inner.flush_wanted.notified() => {}
        }
        loop {
            let settled = settle(&inner).await;
            // A pass that is full has left some.
            let is_more = settled.as_ref().is_ok_and(|traces| *traces >= TRACES_PER_PASS);
            report("settling", settled.map(|_| ()));
            if inner.flush_due() {
                report("flushing", inner.flush().await.map(|_| ()));
            }
            if !is_more {
                break;
            }
        }
    }
}

async fn follow(inner: Arc<Inner>) {
    let mut turn = tokio::time::interval(FOLLOW_EVERY);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        report("following", inner.follow().await);
    }
}

async fn settle(inner: &Arc<Inner>) -> Result<usize, StoreError> {
    let settling = Settling::with(&inner.options, inner.state.lock().tail.retained_bytes());
    let settler = inner.clone();
    blocking(move || settler.settle(settling)).await
}

async fn merge(inner: Arc<Inner>) {
    let mut turn = tokio::time::interval(inner.options.merge_every);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    turn.tick().await;
    loop {
        turn.tick().await;
        report("merging", inner.merge().await.map(|_| ()));
        report("retention", inner.retain(now().day()).await.map(|_| ()));
    }
}

fn report(what: &str, result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::error!(%error, "{what} failed and will be tried again");
    }
}
