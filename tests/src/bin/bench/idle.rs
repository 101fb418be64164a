//! What it costs when thousands wait and nothing happens: memory and processor time of the serving process.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use clap::Args;

use crate::Failure;
use crate::served::{FEED, ServeOptions, Server};

/// How long the waiting is left alone before it is measured, so that all of it has come to rest.
const SETTLING: Duration = Duration::from_secs(2);

/// Connections that are made without a pause, and the pause.
const CONNECTED_AT_ONCE: usize = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// Measure memory and processor time of a server at which many wait for an event.
#[derive(Args)]
pub(crate) struct IdleOptions {
    /// Long polls that wait at the same time.
    #[arg(long, default_value_t = 5_000)]
    waiters: usize,
    /// How long the processor time is counted, in seconds; below 20, since nobody waits for longer than 25.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

pub(crate) fn run(options: &IdleOptions) -> Result<(), Failure> {
    let files = options.waiters as u64 + 500;
    let resource = nix::sys::resource::Resource::RLIMIT_NOFILE;
    let (_, hard) = nix::sys::resource::getrlimit(resource)?;
    if hard < files {
        return Err(format!("{files} open files are needed: ulimit -n {files}").into());
    }
    nix::sys::resource::setrlimit(resource, hard, hard)?;
    let server = Server::start(&ServeOptions::default())?;
    // What a first request sets up belongs to no waiter.
    server.ask(&format!("/feeds/{FEED}?after=now&wait=1"), &[])?;
    let before = rss_kib(server.process())?;
    let request = format!(
        "GET /feeds/{FEED}?after=now&wait=25 HTTP/1.1\r\nhost: bench\r\n\
         accept: application/cloudevents-batch+json\r\nuser-agent: bench\r\n\r\n"
    );
    let began = Instant::now();
    let mut waiting = Vec::with_capacity(options.waiters);
    for number in 0..options.waiters {
        // No more at once than the kernel's queue holds, or some would have to try again a second later.
        if number % CONNECTED_AT_ONCE == 0 {
            std::thread::sleep(PAUSE);
        }
        let mut stream = TcpStream::connect(server.address())?;
        stream.write_all(request.as_bytes())?;
        waiting.push(stream);
    }
    let connected = began.elapsed();
    std::thread::sleep(SETTLING);
    let after = rss_kib(server.process())?;
    let spent = processor_ticks(server.process())?;
    std::thread::sleep(Duration::from_secs(options.seconds));
    let spent = processor_ticks(server.process())? - spent;
    if let Some(stream) = waiting.last_mut() {
        stream.set_nonblocking(true)?;
        if stream.read(&mut [0; 1]).is_ok() {
            return Err("somebody was answered while it was measured".into());
        }
    }
    let each = (after.saturating_sub(before)) as f64 / options.waiters as f64;
    println!(
        "| waiting | resident before | resident | each | processor time in {} s | connected in |",
        options.seconds
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: |");
    println!(
        "| {} | {:.1} MB | {:.1} MB | {each:.1} KiB | {} ms | {} ms |",
        options.waiters,
        before as f64 * 1024.0 / 1e6,
        after as f64 * 1024.0 / 1e6,
        spent * 10,
        connected.as_millis()
    );
    Ok(())
}

/// Resident memory of a process, in KiB.
fn rss_kib(process: u32) -> Result<u64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let digits = line.and_then(|line| line.split_whitespace().next());
    Ok(digits.ok_or("no VmRSS")?.parse()?)
}

/// Processor time of a process, in ticks of 10 ms.
fn processor_ticks(process: u32) -> Result<u64, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name before may have spaces in it.
    let fields = stat.rsplit_once(')').ok_or("no fields in stat")?.1;
    let mut times = fields.split_whitespace().skip(11);
    let mut next = || -> Result<u64, Failure> { Ok(times.next().ok_or("no times")?.parse()?) };
    Ok(next()? + next()?)
}
