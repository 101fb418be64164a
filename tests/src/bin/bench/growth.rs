//! Growth: what appends and reads cost in a feed of millions of events, beside a feed of ten thousand.

use std::ops::Range;
use std::time::Instant;

use feed_core::{
    AppendError, Expected, Log, PageNumber, Position, Store, StoreError, Subject, Tx, Version,
    Window,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::append::{FEED, data, open};
use crate::{Failure, Options};

/// Events of the feed that the large one is compared with.
const SMALL: u32 = 10_000;
/// Events in a transaction while a feed is filled.
const FILL_EVENTS: u32 = 1_000;
/// Times that everything is done in a round.
const TIMES: u32 = 1_000;
/// Writers and events of each of their appends.
const BATCHES: (u32, u32) = (16, 100);
/// Appends of each of these writers in a round.
const BATCHES_EACH: u32 = 4;

const WORKS: [&str; 9] = [
    "append to a new subject, the last in order",
    "append to a new subject, anywhere in order",
    "append to a subject that is there, anywhere in order",
    "append of 100 events, 16 writers, for each event",
    "head (the newest page)",
    "tail (the last 50 events)",
    "first page",
    "the page in the middle",
    "a page anywhere",
];

/// A feed that is measured.
struct Measured {
    store: Store,
    log: Log,
    folder: TempDir,
    /// Events that it was filled with.
    events: u32,
    /// Grows with each thing that is named.
    named: u32,
}

pub(crate) fn run(runtime: &Runtime, options: &Options, events: u32) -> Result<(), Failure> {
    let bytes = options.event_bytes;
    runtime.block_on(async {
        let began = Instant::now();
        let mut large = Measured::fill(events, bytes).await?;
        eprintln!("{events} events in {:.0} s", began.elapsed().as_secs_f64());
        let mut costs = vec![(Vec::new(), Vec::new()); WORKS.len()];
        for round in 1..=options.rounds {
            eprintln!("round {round} of {}", options.rounds);
            let mut small = Measured::fill(SMALL, bytes).await?;
            // What nobody looked at for long is not to be measured: both are warm.
            small.warm(bytes).await?;
            large.warm(bytes).await?;
            let of_small = small.round(bytes).await?;
            let of_large = large.round(bytes).await?;
            for (work, (in_small, in_large)) in costs.iter_mut().enumerate() {
                in_small.push(of_small[work]);
                in_large.push(of_large[work]);
            }
            small.store.close().await;
        }
        println!("| work | µs at {SMALL} events | µs at {events} events | ratio |\n| --- | ---: | ---: | ---: |");
        for (name, (small, large)) in WORKS.iter().zip(costs) {
            let (small, large) = (median(small), median(large));
            println!("| {name} | {small:.1} | {large:.1} | {:.2} |", large / small);
        }
        let file = std::fs::metadata(large.folder.path().join("bench.db"))?.len();
        println!(
            "\nfile {} MB, resident {} MB at most",
            file >> 20,
            resident_kb_max().unwrap_or_default() >> 10
        );
        large.store.close().await;
        Ok(())
    })
}

impl Measured {
    /// A new feed of so many events, each about a subject of its own, in order.
    async fn fill(events: u32, bytes: usize) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let store = open(folder.path()).await?;
        let tasks: Vec<_> = (0..2_u32)
            .map(|half| {
                let store = store.clone();
                tokio::spawn(async move {
                    for first in (half * FILL_EVENTS..events).step_by(2 * FILL_EVENTS as usize) {
                        fill(&store, first..(first + FILL_EVENTS).min(events), bytes).await?;
                    }
                    Ok::<_, Failure>(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(Measured {
            log: store.log(FEED)?,
            store,
            folder,
            events,
            named: 0,
        })
    }

    /// Microseconds of everything, in the order of [`WORKS`].
    async fn round(&mut self, bytes: usize) -> Result<Vec<f64>, Failure> {
        let mut costs = Vec::with_capacity(WORKS.len());
        for work in 0..3 {
            let began = Instant::now();
            for _ in 0..TIMES {
                self.named += 1;
                let anywhere = self.anywhere(self.events);
                let (subject, expected) = match work {
                    0 => (format!("subject-9{:09}", self.named), Expected::New),
                    1 => (
                        format!("{}-{}", subject(anywhere), self.named),
                        Expected::New,
                    ),
                    _ => (subject(anywhere), Expected::Any),
                };
                append(&self.store, subject, expected, 1, bytes).await?;
            }
            costs.push(micros(began, TIMES));
        }
        costs.push(self.batches(bytes).await?);
        costs.extend(self.reads().await?);
        Ok(costs)
    }

    async fn warm(&mut self, bytes: usize) -> Result<(), Failure> {
        for _ in 0..TIMES {
            self.named += 1;
            let subject = format!("subject-7{:09}", self.named);
            append(&self.store, subject, Expected::New, 1, bytes).await?;
        }
        self.reads().await.map(drop)
    }

    async fn batches(&mut self, bytes: usize) -> Result<f64, Failure> {
        let (writers, events) = BATCHES;
        let began = Instant::now();
        let mut tasks = Vec::new();
        for _ in 0..writers {
            let first = self.named;
            self.named += BATCHES_EACH;
            let store = self.store.clone();
            tasks.push(tokio::spawn(async move {
                for number in first..first + BATCHES_EACH {
                    let subject = format!("subject-8{number:09}");
                    append(&store, subject, Expected::New, events, bytes).await?;
                }
                Ok::<_, Failure>(())
            }));
        }
        for task in tasks {
            task.await??;
        }
        Ok(micros(began, writers * events * BATCHES_EACH))
    }

    async fn reads(&mut self) -> Result<Vec<f64>, Failure> {
        let head = self.log.state().await?.head.position.get();
        let after = Position::new(head.saturating_sub(50))?;
        let capacity = 100;
        let pages = head / capacity;
        let mut costs = Vec::new();
        for work in 0..5 {
            let began = Instant::now();
            for _ in 0..TIMES {
                let window = match work {
                    0 => Window::NewestPage,
                    1 => Window::After { after, limit: 100 },
                    2 => Window::Page(PageNumber::new(1)?),
                    3 => Window::Page(PageNumber::new(pages / 2)?),
                    _ => Window::Page(PageNumber::new(1 + u64::from(self.anywhere(pages as u32)))?),
                };
                if self.read(window).await? < 50 {
                    return Err("a page is too short".into());
                }
            }
            costs.push(micros(began, TIMES));
        }
        Ok(costs)
    }

    async fn read(&self, window: Window) -> Result<usize, StoreError> {
        Ok(self.log.read(window).await?.1.len())
    }

    /// A number below `end`; another one each time, and the same ones in each run.
    fn anywhere(&mut self, end: u32) -> u32 {
        self.named += 1;
        let mixed = u64::from(self.named).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        ((mixed * u64::from(end)) >> 32) as u32
    }
}

async fn fill(store: &Store, numbers: Range<u32>, bytes: usize) -> Result<(), Failure> {
    let events = numbers
        .map(|number| Ok((Subject::new(subject(number))?, data(number, bytes)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    let work = async move |tx: &mut Tx<'_>| -> Result<(), AppendError> {
        for (subject, event) in &events {
            tx.append(FEED, subject, Expected::New, std::slice::from_ref(event))
                .await?;
        }
        Ok(())
    };
    Ok(store.write(work).await?)
}

async fn append(
    store: &Store,
    subject: String,
    expected: Expected,
    count: u32,
    bytes: usize,
) -> Result<Version, Failure> {
    let subject = Subject::new(subject)?;
    let events = (0..count)
        .map(|number| data(number, bytes))
        .collect::<Result<Vec<_>, _>>()?;
    let work = async move |tx: &mut Tx<'_>| -> Result<Version, AppendError> {
        let appended = tx.append(FEED, &subject, expected, &events).await?;
        Ok(appended.version)
    };
    Ok(store.write(work).await?)
}

/// In order, with room between two of them.
fn subject(number: u32) -> String {
    format!("subject-{number:010}")
}

fn micros(began: Instant, times: u32) -> f64 {
    began.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The most memory that this process had resident (proc(5), `VmHWM`), in kB.
fn resident_kb_max() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}
