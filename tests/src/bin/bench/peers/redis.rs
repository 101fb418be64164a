//! Redis streams, each command synced before it is answered.

mod resp;

use std::any::Any;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;

use self::resp::{Connection, Reply};
use super::drive::{self, Arrivals, Paced, Worker};
use super::payload::Payload;
use super::peer::{About, AppendLoad, Bench, CONNECTIONS, HUNDRED, Peer, REDIS, Work};
use super::process::{self, Server};
use crate::Failure;

const PROGRAM: &str = "redis-server";
const SETTINGS: [(&str, &str); 5] = [
    ("--appendonly", "yes"),
    ("--appendfsync", "always"),
    ("--save", ""),
    ("--auto-aof-rewrite-percentage", "0"),
    ("--maxclients", "9000"),
];
/// Entries of one write while the stream is filled.
const FILL: usize = 1_000;
/// The stream that is caught up with.
const FEED: &str = "feed";
const APPENDED: &str = "appended";
const FOLLOWED: &str = "followed";

#[derive(Default)]
pub(crate) struct Redis {
    running: Option<(Server, SocketAddr)>,
}

impl Redis {
    fn address(&self) -> Result<SocketAddr, Failure> {
        let running = self.running.as_ref().ok_or("it does not run")?;
        Ok(running.1)
    }
}

impl Peer for Redis {
    fn key(&self) -> &'static str {
        "redis"
    }

    fn name(&self) -> &'static str {
        REDIS
    }

    fn about(&mut self, _bench: &Bench) -> Result<About, Failure> {
        let said = process::says(Path::new(PROGRAM), &["--version"])?;
        let version = said
            .split_whitespace()
            .find_map(|word| word.strip_prefix("v="));
        Ok(About {
            version: version.unwrap_or_default().to_owned(),
            settings: "appendonly yes, appendfsync always, no snapshots; a hundred as one pipeline; catch-up: the better of one XRANGE and XREAD of 1,000 at a time; in parts: of 100".into(),
        })
    }

    fn start(&mut self, bench: &Bench) -> Result<(), Failure> {
        let address = process::free_address()?;
        let mut command = Command::new(PROGRAM);
        command.args(["--bind", "127.0.0.1", "--port"]);
        command.arg(address.port().to_string());
        command.arg("--dir").arg(&bench.folder);
        for (name, value) in SETTINGS {
            command.args([name, value]);
        }
        let mut server = Server::start(&command, &bench.folder.join("log"))?;
        server.listens(address)?;
        self.running = Some((server, address));
        Ok(())
    }

    fn process_id(&self) -> Option<u32> {
        self.running.as_ref().map(|(server, _)| server.id())
    }

    fn fill(&mut self, bench: &Bench) -> Result<(), Failure> {
        let address = self.address()?;
        bench.wait(async {
            let mut writer = Appender::new(address, FEED, FILL, bench.event_bytes).await?;
            for _ in 0..bench.catch_up_events / FILL as u64 {
                writer.once().await?;
            }
            Ok(())
        })
    }

    fn measure(&mut self, bench: &Bench, work: Work) -> Result<Option<f64>, Failure> {
        let address = self.address()?;
        bench.wait(async {
            if let Some(load) = AppendLoad::of(work) {
                let mut writers = Vec::new();
                for _ in 0..load.writers {
                    let bytes = bench.event_bytes;
                    writers.push(Appender::new(address, APPENDED, load.per_append, bytes).await?);
                }
                let rate = drive::rate(writers, bench.time).await?;
                let mut connection = Connection::open(address).await?;
                connection
                    .command(&[b"UNLINK", APPENDED.as_bytes()])
                    .await?;
                return Ok(Some(rate));
            }
            let ask: &[&[u8]] = match work {
                Work::CatchUp => return at_best(address, bench.catch_up_events).await.map(Some),
                Work::CatchUpParts => {
                    return in_parts(address, bench.catch_up_events, HUNDRED)
                        .await
                        .map(Some);
                }
                Work::SameHundred => &[b"XRANGE", FEED.as_bytes(), b"-", b"+", b"COUNT", b"100"],
                Work::EmptyPoll => &[
                    b"XREAD",
                    b"COUNT",
                    b"100",
                    b"STREAMS",
                    FEED.as_bytes(),
                    b"9999999999999-0",
                ],
                _ => return Ok(None),
            };
            let mut askers = Vec::new();
            for _ in 0..CONNECTIONS {
                askers.push(Asker {
                    connection: Connection::open(address).await?,
                    command: resp::encoded(ask),
                });
            }
            drive::rate(askers, bench.time).await.map(Some)
        })
    }

    fn latency(&mut self, bench: &Bench) -> Result<Option<Paced>, Failure> {
        let address = self.address()?;
        bench.wait(async {
            let writer = Appender::new(address, FOLLOWED, 1, bench.event_bytes).await?;
            let mut reader = Connection::open(address).await?;
            drive::latency(
                bench.pace,
                drive::by_the_clock(writer, bench.pace),
                |arrivals| async move { follow(&mut reader, arrivals).await },
            )
            .await
            .map(Some)
        })
    }

    fn live(&mut self, bench: &Bench, readers: usize) -> Result<Option<Box<dyn Any>>, Failure> {
        let address = self.address()?;
        bench.wait(async {
            let mut waiting: Vec<Connection> = Vec::new();
            for _ in 0..readers {
                let mut connection = Connection::open(address).await?;
                let wait: &[&[u8]] = &[b"XREAD", b"BLOCK", b"0", b"STREAMS", b"live", b"$"];
                connection.send(&resp::encoded(wait)).await?;
                waiting.push(connection);
            }
            Ok(Some(Box::new(waiting) as Box<dyn Any>))
        })
    }

    fn stop(&mut self) {
        self.running = None;
    }
}

/// Appends entries and waits for their ids.
struct Appender {
    connection: Connection,
    key: &'static str,
    entries: usize,
    payload: Payload,
    commands: Vec<u8>,
}

impl Appender {
    async fn new(
        address: SocketAddr,
        key: &'static str,
        entries: usize,
        bytes: usize,
    ) -> Result<Self, Failure> {
        Ok(Appender {
            connection: Connection::open(address).await?,
            key,
            entries,
            payload: Payload::new(bytes),
            commands: Vec::new(),
        })
    }
}

impl Worker for Appender {
    async fn once(&mut self) -> Result<u64, Failure> {
        let payload = self.payload.stamped();
        self.commands.clear();
        for _ in 0..self.entries {
            let command: [&[u8]; 5] = [b"XADD", self.key.as_bytes(), b"*", b"d", payload];
            resp::encode(&command, &mut self.commands);
        }
        self.connection.send(&self.commands).await?;
        for _ in 0..self.entries {
            self.connection.skip().await?;
        }
        Ok(self.entries as u64)
    }
}

/// Sends the same command again and again.
struct Asker {
    connection: Connection,
    command: Vec<u8>,
}

impl Worker for Asker {
    async fn once(&mut self) -> Result<u64, Failure> {
        self.connection.send(&self.command).await?;
        self.connection.skip().await?;
        Ok(1)
    }
}

/// Events a second by the better of two ways: all in one reply, or thousands at a time.
async fn at_best(address: SocketAddr, events: u64) -> Result<f64, Failure> {
    let whole = whole(address, events).await?;
    Ok(whole.max(in_parts(address, events, FILL).await?))
}

/// Events a second when all come in one reply, entry by entry.
async fn whole(address: SocketAddr, events: u64) -> Result<f64, Failure> {
    let mut connection = Connection::open(address).await?;
    let began = std::time::Instant::now();
    let all: &[&[u8]] = &[b"XRANGE", FEED.as_bytes(), b"-", b"+"];
    connection.send(&resp::encoded(all)).await?;
    let came = connection.array().await?;
    for _ in 0..came {
        connection.skip().await?;
    }
    complete(came as u64, events)?;
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

/// Events a second when so many are asked for at a time, after the last one seen.
async fn in_parts(address: SocketAddr, events: u64, part: usize) -> Result<f64, Failure> {
    let mut connection = Connection::open(address).await?;
    let began = std::time::Instant::now();
    let (mut seen, mut last) = (0, Bytes::from_static(b"0-0"));
    let count = part.to_string();
    loop {
        let next: [&[u8]; 6] = [
            b"XREAD",
            b"COUNT",
            count.as_bytes(),
            b"STREAMS",
            FEED.as_bytes(),
            &last,
        ];
        connection.send(&resp::encoded(&next)).await?;
        let reply = connection.reply().await?;
        let Some(entries) = entries(&reply) else {
            break;
        };
        seen += entries.len() as u64;
        last = entries
            .last()
            .and_then(entry)
            .ok_or("an entry without id")?
            .0
            .clone();
    }
    complete(seen, events)?;
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

fn complete(seen: u64, events: u64) -> Result<(), Failure> {
    if seen == events {
        return Ok(());
    }
    Err(format!("{seen} of {events} events came").into())
}

async fn follow(reader: &mut Connection, arrivals: Arrivals) -> Result<(), Failure> {
    let mut last = Bytes::from_static(b"0-0");
    loop {
        let next: [&[u8]; 8] = [
            b"XREAD",
            b"COUNT",
            b"100",
            b"BLOCK",
            b"0",
            b"STREAMS",
            FOLLOWED.as_bytes(),
            &last,
        ];
        reader.send(&resp::encoded(&next)).await?;
        let reply = reader.reply().await?;
        for (id, payload) in entries(&reply).unwrap_or_default().iter().filter_map(entry) {
            arrivals.arrived(payload);
            last = id.clone();
        }
    }
}

/// The entries in a reply to XREAD of one stream.
fn entries(reply: &Reply) -> Option<&[Reply]> {
    let [stream] = reply.items()? else {
        return None;
    };
    stream.items()?.get(1)?.items()
}

/// Id and data of an entry.
fn entry(entry: &Reply) -> Option<(&Bytes, &Bytes)> {
    let [id, fields] = entry.items()? else {
        return None;
    };
    Some((id.bytes()?, fields.items()?.get(1)?.bytes()?))
}
