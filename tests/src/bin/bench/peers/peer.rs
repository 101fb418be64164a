//! What is measured, and who is measured.

use std::any::Any;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::drive::{Pace, Paced};
use crate::Failure;

pub(crate) const FEEDWAY: &str = "Feedway";
pub(crate) const REDIS: &str = "Redis streams";
pub(crate) const POSTGRES: &str = "PostgreSQL outbox, polled";
pub(crate) const NATS: &str = "NATS JetStream, sync always";
pub(crate) const KAFKA: &str = "Apache Kafka, flush per message";
pub(crate) const DURABLE_RUST: &str = "Durable Streams, Rust server";
pub(crate) const DURABLE_NODE: &str = "Durable Streams, node server";
/// The limits, which are no peers.
pub(crate) const NGINX: &str = "nginx, a file";
pub(crate) const AXUM: &str = "bare axum handler";
pub(crate) const RUSQLITE: &str = "bare rusqlite";
pub(crate) const DISK: &str = "fdatasync of an append";

/// Connections of whatever has many.
pub(crate) const CONNECTIONS: usize = 64;
/// Writers of hundreds.
pub(crate) const BATCH_WRITERS: usize = 16;
/// Events that one acknowledgement is for, and events that are read again and again.
pub(crate) const HUNDRED: usize = 100;
/// Readers that wait for the next event.
pub(crate) const LIVE: usize = 5_000;

/// One kind of work. Higher is better, unless it is in milliseconds, megabytes or percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    AppendOne,
    AppendMany,
    AppendHundreds,
    /// As fast as it goes: pushed, or in one reply, or in the largest pages that a reader asks for.
    CatchUp,
    /// In smaller parts: pulled, or a hundred a time.
    CatchUpParts,
    CatchUpStruct,
    CatchUpRows,
    SameHundred,
    EmptyPoll,
    NotModified,
    LatencyP50,
    LatencyP99,
    MemoryIdle,
    MemoryLive,
    CpuLive,
    /// Orders that both services of the demo settled.
    Orders,
}

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    PerSecond,
    Milliseconds,
    Megabytes,
    PercentOfACore,
}

impl Work {
    pub(crate) const ALL: [Work; 16] = [
        Work::AppendOne,
        Work::AppendMany,
        Work::AppendHundreds,
        Work::CatchUp,
        Work::CatchUpParts,
        Work::CatchUpStruct,
        Work::CatchUpRows,
        Work::SameHundred,
        Work::EmptyPoll,
        Work::NotModified,
        Work::LatencyP50,
        Work::LatencyP99,
        Work::MemoryIdle,
        Work::MemoryLive,
        Work::CpuLive,
        Work::Orders,
    ];
    /// What [`Peer::measure`] is asked for, in this order.
    pub(crate) const MEASURED: [Work; 11] = [
        Work::AppendOne,
        Work::AppendMany,
        Work::AppendHundreds,
        Work::CatchUp,
        Work::CatchUpParts,
        Work::CatchUpStruct,
        Work::CatchUpRows,
        Work::SameHundred,
        Work::EmptyPoll,
        Work::NotModified,
        Work::Orders,
    ];

    /// Its title, and the name of its plot's file.
    pub(crate) fn title(self) -> (&'static str, &'static str) {
        match self {
            Work::AppendOne => ("append, 1 writer, events/s", "append-1-writer"),
            Work::AppendMany => ("append, 64 writers, events/s", "append-64-writers"),
            Work::AppendHundreds => ("append, 16 writers x 100, events/s", "append-16x100"),
            Work::CatchUp => ("catch-up, whole or pushed, events/s", "catch-up"),
            Work::CatchUpParts => (
                "catch-up in parts (hundreds, pulled, pages not in memory), events/s",
                "catch-up-in-parts",
            ),
            Work::CatchUpStruct => ("catch-up into structs, events/s", "catch-up-into-structs"),
            Work::CatchUpRows => ("catch-up, a row per event, events/s", "catch-up-rows"),
            Work::SameHundred => (
                "the same 100 events, 64 connections, req/s",
                "same-100-events",
            ),
            Work::EmptyPoll => ("empty poll, 64 connections, req/s", "empty-poll"),
            Work::NotModified => ("304, 64 connections, req/s", "not-modified"),
            Work::LatencyP50 => ("latency at 1,000 events/s, p50, ms", "latency-p50"),
            Work::LatencyP99 => ("latency at 1,000 events/s, p99, ms", "latency-p99"),
            Work::MemoryIdle => ("memory, idle, MB", "memory-idle"),
            Work::MemoryLive => ("memory, 5,000 live readers, MB", "memory-5000-live"),
            Work::CpuLive => (
                "5,000 live readers and no event, % of a core",
                "cpu-5000-live",
            ),
            Work::Orders => ("order flow of the demo, orders/s", "order-flow"),
        }
    }

    pub(crate) fn unit(self) -> Unit {
        match self {
            Work::LatencyP50 | Work::LatencyP99 => Unit::Milliseconds,
            Work::MemoryIdle | Work::MemoryLive => Unit::Megabytes,
            Work::CpuLive => Unit::PercentOfACore,
            _ => Unit::PerSecond,
        }
    }
}

/// The loads that are appends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppendLoad {
    pub(crate) writers: usize,
    pub(crate) per_append: usize,
}

impl AppendLoad {
    /// None when the work is none of them.
    pub(crate) fn of(work: Work) -> Option<Self> {
        let (writers, per_append) = match work {
            Work::AppendOne => (1, 1),
            Work::AppendMany => (CONNECTIONS, 1),
            Work::AppendHundreds => (BATCH_WRITERS, HUNDRED),
            _ => return None,
        };
        Some(AppendLoad {
            writers,
            per_append,
        })
    }
}

/// Who it is: its version, and how it was set up, in one line each.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) version: String,
    pub(crate) settings: String,
}

/// What all of them share.
pub(crate) struct Bench {
    pub(crate) runtime: Runtime,
    /// Where data goes: on a disk.
    pub(crate) folder: PathBuf,
    /// Where the programs are that were installed for this.
    pub(crate) tools: PathBuf,
    /// How long one measurement takes that is one by time.
    pub(crate) time: Duration,
    pub(crate) pace: Pace,
    /// Events in the feed that is caught up with.
    pub(crate) catch_up_events: u64,
    /// Bytes of data in an event.
    pub(crate) event_bytes: usize,
    /// A file with the bytes of Feedway's hot page, for whoever serves files.
    pub(crate) page_file: PathBuf,
}

/// Longest time that one measurement may take, whatever it is.
const MEASUREMENT_MAX: Duration = Duration::from_secs(90);

impl Bench {
    /// Runs it to its end, or for as long as anything may take.
    pub(crate) fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.runtime.block_on(async {
            match tokio::time::timeout(MEASUREMENT_MAX, work).await {
                Ok(done) => done,
                Err(_) => Err(format!("not done in {} s", MEASUREMENT_MAX.as_secs()).into()),
            }
        })
    }
}

/// Somebody who is measured. Each round it is started on nothing, filled, measured and stopped, all from the main thread.
///
/// What it acknowledges is on the disk by its own settings, as Feedway's events are.
pub(crate) trait Peer {
    /// How it is chosen on the command line.
    fn key(&self) -> &'static str;

    /// How it is called in the tables.
    fn name(&self) -> &'static str;

    /// Whether it is on this machine.
    ///
    /// # Errors
    /// When it is not, saying what is missing.
    fn about(&mut self, bench: &Bench) -> Result<About, Failure>;

    /// Starts it on an empty folder.
    fn start(&mut self, bench: &Bench) -> Result<(), Failure>;

    /// Its server while it runs.
    fn process_id(&self) -> Option<u32>;

    /// Puts the events there that are caught up with.
    fn fill(&mut self, bench: &Bench) -> Result<(), Failure>;

    /// One measurement; none when this is nothing that it does.
    fn measure(&mut self, bench: &Bench, work: Work) -> Result<Option<f64>, Failure>;

    /// From append to handler; none when this is nothing that it does.
    fn latency(&mut self, bench: &Bench) -> Result<Option<Paced>, Failure>;

    /// So many readers that wait for the next event until what is returned is dropped.
    fn live(&mut self, _bench: &Bench, _readers: usize) -> Result<Option<Box<dyn Any>>, Failure> {
        Ok(None)
    }

    /// Stops it and forgets what it had.
    fn stop(&mut self);
}
