//! NATS JetStream, each message (or batch) synced before it is acknowledged.

mod client;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use serde_json::json;

use self::client::Connection;
use super::drive::{self, Arrivals, Paced, Worker};
use super::payload::Payload;
use super::peer::{About, AppendLoad, Bench, CONNECTIONS, HUNDRED, NATS, Peer, Work};
use super::process::{self, Server};
use crate::Failure;

/// Messages that are under way at once while the stream is filled.
const FILL: u64 = 1_000;
/// Messages that a pulling consumer asks for at a time; it has two such questions under way.
const PULL: u64 = 500;
/// The stream that is caught up with, and those that are appended to and followed; their subjects are called the same.
const FEED: &str = "feed";
const APPENDED: &str = "appended";
const FOLLOWED: &str = "followed";

#[derive(Default)]
pub(crate) struct Nats {
    running: Option<(Server, SocketAddr)>,
}

impl Nats {
    fn program(bench: &Bench) -> PathBuf {
        bench.tools.join("venv/bin/nats-server")
    }

    fn address(&self) -> Result<SocketAddr, Failure> {
        let running = self.running.as_ref().ok_or("it does not run")?;
        Ok(running.1)
    }
}

impl Nats {
    fn launch(&mut self, bench: &Bench, sync: &str) -> Result<(), Failure> {
        let address = process::free_address()?;
        let store = bench.folder.join("jetstream");
        let store = store.display();
        let config = bench.folder.join("nats.conf");
        let text = format!(
            "listen: \"{address}\"\njetstream {{ store_dir: \"{store}\", sync_interval: {sync}, max_file_store: 20GB }}\n"
        );
        std::fs::write(&config, text)?;
        let mut command = Command::new(Self::program(bench));
        command.arg("--config").arg(&config);
        let mut server = Server::start(&command, &bench.folder.join("log"))?;
        server.listens(address)?;
        self.running = Some((server, address));
        Ok(())
    }
}

impl Peer for Nats {
    fn key(&self) -> &'static str {
        "nats"
    }

    fn name(&self) -> &'static str {
        NATS
    }

    fn about(&mut self, bench: &Bench) -> Result<About, Failure> {
        let said = process::says(&Self::program(bench), &["--version"])?;
        Ok(About {
            version: said.trim_start_matches("nats-server: v").to_owned(),
            settings: "jetstream sync_interval always, file storage, one replica; a hundred as one atomic batch; catch-up pushed and pulled, without acknowledgements; the same 100 by batched direct get".into(),
        })
    }

    fn start(&mut self, bench: &Bench) -> Result<(), Failure> {
        self.launch(bench, "always")
    }

    fn process_id(&self) -> Option<u32> {
        self.running.as_ref().map(|(server, _)| server.id())
    }

    fn fill(&mut self, bench: &Bench) -> Result<(), Failure> {
        // Filled message by message, so that none carries the headers of a batch; that would take minutes with a sync each.
        self.running = None;
        self.launch(bench, "2m")?;
        let address = self.address()?;
        let filled = bench.wait(filled(address, bench.catch_up_events, bench.event_bytes));
        self.running = None;
        self.launch(bench, "always")?;
        filled
    }

    fn measure(&mut self, bench: &Bench, work: Work) -> Result<Option<f64>, Failure> {
        let address = self.address()?;
        bench.wait(async {
            if let Some(load) = AppendLoad::of(work) {
                let mut connection = Connection::open(address).await?;
                make_stream(&mut connection, APPENDED).await?;
                let mut writers = Vec::new();
                for _ in 0..load.writers {
                    let bytes = bench.event_bytes;
                    writers.push(Appender::new(address, APPENDED, load.per_append, bytes).await?);
                }
                let rate = drive::rate(writers, bench.time).await?;
                let gone = format!("STREAM.DELETE.{APPENDED}");
                connection.api(&gone, &json!({})).await?;
                return Ok(Some(rate));
            }
            match work {
                Work::CatchUp => pushed(address, bench.catch_up_events).await.map(Some),
                Work::CatchUpParts => pulled(address, bench.catch_up_events).await.map(Some),
                Work::SameHundred | Work::EmptyPoll => {
                    let mut askers = Vec::new();
                    for number in 0..CONNECTIONS {
                        askers.push(Asker::new(address, work, number).await?);
                    }
                    drive::rate(askers, bench.time).await.map(Some)
                }
                _ => Ok(None),
            }
        })
    }

    fn latency(&mut self, bench: &Bench) -> Result<Option<Paced>, Failure> {
        let address = self.address()?;
        bench.wait(async {
            let mut reader = Connection::open(address).await?;
            make_stream(&mut reader, FOLLOWED).await?;
            push_to(&mut reader, FOLLOWED).await?;
            let writer = Appender::new(address, FOLLOWED, 1, bench.event_bytes).await?;
            drive::latency(
                bench.pace,
                drive::by_the_clock(writer, bench.pace),
                |arrivals| async move { follow(&mut reader, arrivals).await },
            )
            .await
            .map(Some)
        })
    }

    fn stop(&mut self) {
        self.running = None;
    }
}

async fn make_stream(connection: &mut Connection, name: &str) -> Result<(), Failure> {
    let stream = json!({
        "name": name, "subjects": [name], "storage": "file", "num_replicas": 1, "retention": "limits",
        "discard": "old", "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0,
        "allow_direct": true, "allow_atomic": true,
    });
    connection
        .api(&format!("STREAM.CREATE.{name}"), &stream)
        .await
}

/// Publishes to the stream that is caught up with, many before the first of them is acknowledged.
async fn filled(address: SocketAddr, events: u64, bytes: usize) -> Result<(), Failure> {
    let mut connection = Connection::open(address).await?;
    make_stream(&mut connection, FEED).await?;
    let mut payload = Payload::new(bytes);
    for _ in 0..events / FILL {
        let payload = payload.stamped();
        for _ in 0..FILL {
            connection.publish(FEED, true, None, payload);
        }
        connection.flush().await?;
        for _ in 0..FILL {
            connection.acknowledgement().await?;
        }
    }
    Ok(())
}

/// Publishes and waits for the acknowledgement.
struct Appender {
    connection: Connection,
    subject: &'static str,
    messages: usize,
    payload: Payload,
    batches: u64,
}

impl Appender {
    async fn new(
        address: SocketAddr,
        subject: &'static str,
        messages: usize,
        bytes: usize,
    ) -> Result<Self, Failure> {
        Ok(Appender {
            connection: Connection::open(address).await?,
            subject,
            messages,
            payload: Payload::new(bytes),
            batches: 0,
        })
    }

    /// One atomic batch: only its first and last message are answered.
    async fn batch(&mut self) -> Result<(), Failure> {
        self.batches += 1;
        let batch = format!("{}-{}", self.connection.inbox(), self.batches);
        let payload = self.payload.stamped();
        for number in 1..=self.messages {
            let is_last = number == self.messages;
            let commit = if is_last {
                "Nats-Batch-Commit: 1\r\n"
            } else {
                ""
            };
            let headers = format!(
                "NATS/1.0\r\nNats-Batch-Id: {batch}\r\nNats-Batch-Sequence: {number}\r\n{commit}\r\n"
            );
            let answer = number == 1 || is_last;
            self.connection
                .publish(self.subject, answer, Some(&headers), payload);
        }
        self.connection.flush().await?;
        // The first answer says that the batch has begun, and says nothing.
        self.connection.acknowledgement().await?;
        self.connection.acknowledgement().await
    }
}

impl Worker for Appender {
    async fn once(&mut self) -> Result<u64, Failure> {
        if self.messages == 1 {
            let payload = self.payload.stamped();
            self.connection.publish(self.subject, true, None, payload);
            self.connection.flush().await?;
            self.connection.acknowledgement().await?;
        } else {
            self.batch().await?;
        }
        Ok(self.messages as u64)
    }
}

/// Asks for the first hundred messages, or for the next one when there is none.
struct Asker {
    connection: Connection,
    subject: String,
    question: String,
    messages: usize,
}

impl Asker {
    async fn new(address: SocketAddr, work: Work, number: usize) -> Result<Self, Failure> {
        let mut connection = Connection::open(address).await?;
        if work == Work::SameHundred {
            return Ok(Asker {
                connection,
                subject: format!("$JS.API.DIRECT.GET.{FEED}"),
                question: json!({ "seq": 1, "batch": HUNDRED }).to_string(),
                messages: HUNDRED,
            });
        }
        let name = format!("empty{number}");
        pull_consumer(&mut connection, &name, "new").await?;
        Ok(Asker {
            connection,
            subject: format!("$JS.API.CONSUMER.MSG.NEXT.{FEED}.{name}"),
            question: json!({ "batch": 1, "no_wait": true }).to_string(),
            messages: 0,
        })
    }
}

impl Worker for Asker {
    async fn once(&mut self) -> Result<u64, Failure> {
        let question = self.question.as_bytes();
        self.connection.publish(&self.subject, true, None, question);
        self.connection.flush().await?;
        let mut came = 0;
        // What ends an answer is a message with a status.
        while self.connection.next().await?.status.is_none() {
            came += 1;
        }
        if came == self.messages {
            return Ok(1);
        }
        Err(format!("{came} of {} messages came", self.messages).into())
    }
}

/// A consumer without acknowledgements that sends to the connection, as long as there is room.
async fn push_to(connection: &mut Connection, stream: &str) -> Result<(), Failure> {
    let subject = format!("{}-pushed", connection.inbox());
    connection.subscribe(&subject).await?;
    let consumer = json!({
        "stream_name": stream,
        "config": {
            "name": "pushed", "deliver_subject": subject, "deliver_policy": "all",
            "ack_policy": "none", "flow_control": true, "idle_heartbeat": 5_000_000_000_u64, "mem_storage": true,
            "num_replicas": 1, "max_deliver": 1, "inactive_threshold": 30_000_000_000_u64,
        },
    });
    connection
        .api(&format!("CONSUMER.CREATE.{stream}.pushed"), &consumer)
        .await
}

async fn pull_consumer(connection: &mut Connection, name: &str, from: &str) -> Result<(), Failure> {
    let consumer = json!({
        "stream_name": FEED,
        "config": {
            "name": name, "deliver_policy": from, "ack_policy": "none", "mem_storage": true, "num_replicas": 1,
            "max_waiting": 512, "inactive_threshold": 30_000_000_000_u64,
        },
    });
    connection
        .api(&format!("CONSUMER.CREATE.{FEED}.{name}"), &consumer)
        .await
}

/// Messages a second when the server pushes.
async fn pushed(address: SocketAddr, events: u64) -> Result<f64, Failure> {
    let mut connection = Connection::open(address).await?;
    let began = Instant::now();
    push_to(&mut connection, FEED).await?;
    let mut came = 0;
    while came < events {
        let message = connection.next().await?;
        match message.status {
            None => came += 1,
            Some(_) => connection.flow(&message).await?,
        }
    }
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

/// Messages a second when the consumer asks for the next ones before it has all of those before.
async fn pulled(address: SocketAddr, events: u64) -> Result<f64, Failure> {
    let mut connection = Connection::open(address).await?;
    pull_consumer(&mut connection, "pulled", "all").await?;
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{FEED}.pulled");
    let question = json!({ "batch": PULL, "expires": 5_000_000_000_u64 }).to_string();
    let began = Instant::now();
    let (mut came, mut asked) = (0, 0);
    while came < events {
        while asked < events && asked < came + 2 * PULL {
            connection.publish(&subject, true, None, question.as_bytes());
            connection.flush().await?;
            asked += PULL;
        }
        let message = connection.next().await?;
        match message.status {
            None => came += 1,
            Some(status) => return Err(format!("{status} after {came} messages").into()),
        }
    }
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

async fn follow(connection: &mut Connection, arrivals: Arrivals) -> Result<(), Failure> {
    loop {
        let message = connection.next().await?;
        match message.status {
            None => arrivals.arrived(&message.payload),
            Some(_) => connection.flow(&message).await?,
        }
    }
}
