//! Stalls: how long the slowest appends take, beside those of a bare loop whose every thousandth page is brought into the
//! file by the commit that comes to it.

use std::time::Instant;

use rusqlite::Connection;
use tokio::runtime::Runtime;

use crate::append::{append_one, insert_bare, open, prepare_bare};
use crate::postgres::percentile;
use crate::{Failure, Options};

/// Appends that are timed, for each of one writer's in a round.
const TIMES: u32 = 5;
const WRITERS: u32 = 16;
const EVENTS: u32 = 100;

pub(crate) fn run(runtime: &Runtime, options: &Options) -> Result<(), Failure> {
    let (count, bytes) = (options.appends * TIMES, options.event_bytes);
    println!(
        "| work | p50 µs | p99 µs | p99.9 µs | longest µs |\n| --- | ---: | ---: | ---: | ---: |"
    );
    print(
        "bare rusqlite, one row a transaction",
        bare(runtime, count, 1, bytes)?,
    );
    print("append, 1 writer", feedway(runtime, 1, count, 1, bytes)?);
    print(
        "bare rusqlite, 1,600 rows a transaction",
        bare(runtime, count / 40, WRITERS * EVENTS, bytes)?,
    );
    print(
        "append, 16 writers x 100 events",
        feedway(runtime, WRITERS, count / 40, EVENTS, bytes)?,
    );
    Ok(())
}

fn print(work: &str, mut micros: Vec<f64>) {
    micros.sort_by(f64::total_cmp);
    let [half, most, nearly_all, longest] =
        [0.5, 0.99, 0.999, 1.0].map(|share| percentile(&micros, share));
    println!("| {work} | {half:.0} | {most:.0} | {nearly_all:.0} | {longest:.0} |");
}

fn bare(runtime: &Runtime, commits: u32, rows: u32, bytes: usize) -> Result<Vec<f64>, Failure> {
    let folder = tempfile::tempdir()?;
    let mut conn: Connection = prepare_bare(runtime, folder.path())?;
    let mut times = Vec::with_capacity(commits as usize);
    for commit in 0..commits {
        let began = Instant::now();
        insert_bare(&mut conn, commit * rows..(commit + 1) * rows, bytes)?;
        times.push(micros(began));
    }
    Ok(times)
}

fn feedway(
    runtime: &Runtime,
    writers: u32,
    appends_each: u32,
    events: u32,
    bytes: usize,
) -> Result<Vec<f64>, Failure> {
    let folder = tempfile::tempdir()?;
    runtime.block_on(async {
        let store = open(folder.path()).await?;
        let tasks = (0..writers).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut times = Vec::with_capacity(appends_each as usize);
                for append in 0..appends_each {
                    let began = Instant::now();
                    append_one(&store, (append * writers + writer) * events, events, bytes).await?;
                    times.push(micros(began));
                }
                Ok::<_, Failure>(times)
            })
        });
        let mut all = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            all.extend(task.await??);
        }
        store.close().await;
        Ok(all)
    })
}

fn micros(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e6
}
