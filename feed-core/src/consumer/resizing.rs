//! Changing the number of partitions: all of them come to a stop at one position, the furthest that one of them had reached;
//! then one transaction replaces them by others that stand there.
//!
//! The stop is part of the rows, and whoever puts it there takes the fences of all: so nobody goes on who does not know of it.
//! Until they are replaced, the partitions are what they were; from then on no commit of theirs succeeds (invariants I7, I9).

use super::error::ConsumerError;
use super::operate::{SubscriptionHandle, Touched};
use super::operator::{Changed, Mode, OperateError};
use super::partition;
use super::step::{StepOutcome, Worker};
use super::storage::{self, Stored, partitions::Obstacle};
use super::subscription::Subscription;
use crate::error::StoreError;
use crate::event::SubscriptionName;
use crate::store::Tx;

impl SubscriptionHandle {
    /// Splits it into so many partitions, 1 to [`PARTITIONS_MAX`](crate::limits::PARTITIONS_MAX). At once where those that
    /// there are stand at the same event. Else none of them goes beyond the one that is furthest, and the last one that gets
    /// there makes the change: see [`Subscription::resizing`]. One that halts or is paused is waited for.
    ///
    /// The number that there is already cancels a change that waits.
    ///
    /// # Errors
    /// See [`OperateError`]; nothing was changed then.
    pub async fn set_partitions(
        &self,
        partitions: u32,
        mode: Mode,
    ) -> Result<Changed, OperateError> {
        let partitions = partition::checked(partitions)?;
        let name = self.name.clone();
        self.change(
            mode,
            async move |tx: &mut Tx<'_>, _: &Subscription| -> Touched {
                let rows = storage::find_all(tx, &name).await?;
                let split_by = rows.iter().find_map(|row| row.ordering.as_deref());
                if partitions > 1 && split_by == Some("feed") {
                    return Err(OperateError::CannotBeSplit(name.clone()));
                }
                let resizing = resizing_to(&rows);
                if rows.len() == partitions as usize && resizing.is_none() {
                    return Err(OperateError::SplitAlready(name.clone(), partitions));
                }
                if rows.len() == partitions as usize {
                    storage::partitions::go_on(tx, &name).await?;
                } else if storage::partitions::obstacle(&rows).is_none() {
                    storage::partitions::replace(tx, &name, &rows, partitions).await?;
                } else {
                    let stop_at = furthest(&rows);
                    storage::partitions::stop_at(tx, &name, partitions, stop_at).await?;
                }
                Ok((Vec::new(), 0))
            },
        )
        .await
    }

    /// Cancels a change of the number of partitions that waits.
    ///
    /// # Errors
    /// See [`OperateError`]; nothing was changed then.
    pub async fn keep_partitions(&self, mode: Mode) -> Result<Changed, OperateError> {
        let name = self.name.clone();
        self.change(
            mode,
            async move |tx: &mut Tx<'_>, before: &Subscription| -> Touched {
                if before.resizing.is_none() {
                    return Err(OperateError::NotResizing(name.clone()));
                }
                storage::partitions::go_on(tx, &name).await?;
                Ok((Vec::new(), 0))
            },
        )
        .await
    }

    /// What a change of the number of partitions waits for; none when none does.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn resizing_waits_for(&self) -> Result<Option<String>, StoreError> {
        let name = self.name.clone();
        let rows: Vec<Stored> = self
            .store
            .read(async move |tx: &mut Tx<'_>| storage::find_all(tx, &name).await)
            .await?;
        let Some(resizing) = rows.first().and_then(|row| row.subscription.resizing) else {
            return Ok(None);
        };
        Ok(Some(match storage::partitions::obstacle(&rows) {
            Some(Obstacle::Halted(number)) => format!("partition {number}, which halts"),
            Some(Obstacle::Paused(number)) => format!("partition {number}, which is paused"),
            Some(Obstacle::Apart) => {
                format!("all partitions to reach position {}", resizing.stop_at)
            }
            None => "an instance to make it".to_owned(),
        }))
    }
}

impl Worker {
    /// It stands where it is to stop: makes the change, if all others do so too.
    pub(super) async fn resize(&mut self) -> Result<StepOutcome, ConsumerError> {
        let name = self.part.name.clone();
        // Most of the time others are not so far, and nobody has to be kept from writing to find that out.
        let rows: Vec<Stored> = self
            .store
            .read(async move |tx: &mut Tx<'_>| storage::find_all(tx, &name).await)
            .await?;
        if storage::partitions::obstacle(&rows).is_some() {
            return Ok(StepOutcome::Stopped);
        }
        let name = self.part.name.clone();
        let resized: bool = self
            .store
            .write(async move |tx: &mut Tx<'_>| {
                storage::operators::touch(tx, &name).await?;
                finish(tx, &name).await
            })
            .await?;
        // Where it was not made, somebody else has made it, or has cancelled it.
        self.let_go();
        if resized {
            tracing::info!(subscription = %self.part.name, "split anew");
            return Ok(StepOutcome::Resized);
        }
        Ok(StepOutcome::Superseded)
    }
}

/// Makes a change that waits, if nothing is in the way. The caller's transaction has locked the rows.
pub(super) async fn finish(tx: &mut Tx<'_>, name: &SubscriptionName) -> Result<bool, StoreError> {
    let rows = storage::find_all(tx, name).await?;
    let Some(to) = resizing_to(&rows) else {
        return Ok(false);
    };
    if storage::partitions::obstacle(&rows).is_some() {
        return Ok(false);
    }
    storage::partitions::replace(tx, name, &rows, to).await?;
    Ok(true)
}

/// After a reset to `position`, all partitions stand together: a change that waits is made. Where one of them is paused it
/// waits on, and they stop there.
pub(super) async fn after_reset(
    tx: &mut Tx<'_>,
    name: &SubscriptionName,
    position: u64,
) -> Result<(), StoreError> {
    if let (false, Some(to)) = (
        finish(tx, name).await?,
        resizing_to(&storage::find_all(tx, name).await?),
    ) {
        storage::partitions::stop_at(tx, name, to, position).await?;
    }
    Ok(())
}

fn resizing_to(rows: &[Stored]) -> Option<u32> {
    let resizing = rows.first()?.subscription.resizing?;
    Some(resizing.to)
}

/// The position of the partition that is furthest: no stop may be before it, since what was passed is passed.
fn furthest(rows: &[Stored]) -> u64 {
    let positions = rows
        .iter()
        .filter_map(|row| row.subscription.cursor)
        .map(|cursor| cursor.position.get());
    positions.max().unwrap_or(0)
}
