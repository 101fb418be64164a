//! Apache Kafka, one broker in KRaft mode, each write flushed to the disk.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use rskafka::client::ClientBuilder;
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::record::Record;

use super::drive::{self, Arrivals, Paced, Worker};
use super::payload::Payload;
use super::peer::{About, AppendLoad, Bench, CONNECTIONS, HUNDRED, KAFKA, Peer, Work};
use super::process::{self, Server};
use crate::Failure;

/// Any id of a cluster will do.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";
/// Records of one request while the topic is filled.
const FILL: usize = 1_000;
/// Bytes of one answer when all is to come soon.
const FETCH_BYTES: i32 = 4 << 20;
/// How long the broker waits for a record, in milliseconds.
const WAIT_MS: i32 = 5_000;
const TOPIC_MS_MAX: i32 = 10_000;
const TOPICS: [&str; 4] = ["feed", "hundred", "appended", "followed"];

#[derive(Default)]
pub(crate) struct Kafka {
    running: Option<(Server, SocketAddr)>,
}

impl Kafka {
    fn jars(bench: &Bench) -> PathBuf {
        bench.tools.join("kafka")
    }

    fn java(bench: &Bench) -> Command {
        let mut command = Command::new("java");
        command.args([
            "-Xms256m",
            "-Xmx1g",
            "-XX:+UseG1GC",
            "-Dlog4j2.level=WARN",
            "-cp",
        ]);
        command.arg(Self::jars(bench).join("*"));
        command
    }

    fn address(&self) -> Result<SocketAddr, Failure> {
        let running = self.running.as_ref().ok_or("it does not run")?;
        Ok(running.1)
    }
}

impl Peer for Kafka {
    fn key(&self) -> &'static str {
        "kafka"
    }

    fn name(&self) -> &'static str {
        KAFKA
    }

    fn about(&mut self, bench: &Bench) -> Result<About, Failure> {
        let java = process::says(Path::new("java"), &["-version"])?;
        let jars = Self::jars(bench);
        let mut names = std::fs::read_dir(&jars)
            .map_err(|error| format!("{}: {error}", jars.display()))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let version = names
            .find_map(|name| {
                let rest = name.strip_prefix("kafka-clients-")?;
                Some(rest.strip_suffix(".jar")?.to_owned())
            })
            .ok_or("kafka-clients is not there")?;
        Ok(About {
            version: format!("{version} ({java})"),
            settings: "one broker, KRaft, log.flush.interval.messages 1, acks all, one partition, heap 1 GB; a hundred as one batch; fetched 4 MB at a time".into(),
        })
    }

    fn start(&mut self, bench: &Bench) -> Result<(), Failure> {
        let (address, controller) = (process::free_address()?, process::free_address()?);
        let settings = bench.folder.join("server.properties");
        let data = bench.folder.join("kafka");
        std::fs::write(&settings, properties(address, controller, &data))?;
        let mut format = Self::java(bench);
        format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]);
        let output = format.arg(&settings).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let mut broker = Self::java(bench);
        broker.arg("kafka.Kafka").arg(&settings);
        let mut server = Server::start(&broker, &bench.folder.join("log"))?;
        server.listens(address)?;
        self.running = Some((server, address));
        bench.wait(async {
            let client = ClientBuilder::new(vec![address.to_string()])
                .build()
                .await?;
            let controller = client.controller_client()?;
            for topic in TOPICS {
                controller.create_topic(topic, 1, 1, TOPIC_MS_MAX).await?;
            }
            Ok(())
        })
    }

    fn process_id(&self) -> Option<u32> {
        self.running.as_ref().map(|(server, _)| server.id())
    }

    fn fill(&mut self, bench: &Bench) -> Result<(), Failure> {
        let address = self.address()?;
        bench.wait(async {
            let mut writer = Appender::new(address, "feed", FILL, bench.event_bytes).await?;
            for _ in 0..bench.catch_up_events / FILL as u64 {
                writer.once().await?;
            }
            let mut writer = Appender::new(address, "hundred", HUNDRED, bench.event_bytes).await?;
            writer.once().await?;
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
                    writers.push(Appender::new(address, "appended", load.per_append, bytes).await?);
                }
                return drive::rate(writers, bench.time).await.map(Some);
            }
            let (offset, records) = match work {
                Work::CatchUp => return caught_up(address, bench.catch_up_events).await.map(Some),
                Work::SameHundred => (0, HUNDRED),
                Work::EmptyPoll => (HUNDRED as i64, 0),
                _ => return Ok(None),
            };
            let mut askers = Vec::new();
            for _ in 0..CONNECTIONS {
                let partition = partition(address, "hundred").await?;
                askers.push(Asker {
                    partition,
                    offset,
                    records,
                });
            }
            drive::rate(askers, bench.time).await.map(Some)
        })
    }

    fn latency(&mut self, bench: &Bench) -> Result<Option<Paced>, Failure> {
        let address = self.address()?;
        bench.wait(async {
            let writer = Appender::new(address, "followed", 1, bench.event_bytes).await?;
            let written = drive::by_the_clock(writer, bench.pace);
            drive::latency(bench.pace, written, |arrivals| follow(address, arrivals))
                .await
                .map(Some)
        })
    }

    fn stop(&mut self) {
        self.running = None;
    }
}

fn properties(address: SocketAddr, controller: SocketAddr, data: &Path) -> String {
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@{controller}\n\
         listeners=PLAINTEXT://{address},CONTROLLER://{controller}\nadvertised.listeners=PLAINTEXT://{address}\n\
         controller.listener.names=CONTROLLER\nlog.dirs={}\nlog.flush.interval.messages=1\nnum.partitions=1\n\
         offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\nauto.create.topics.enable=false\n",
        data.display()
    )
}

/// A client of its own, with a connection of its own.
async fn partition(address: SocketAddr, topic: &str) -> Result<Arc<PartitionClient>, Failure> {
    let client = ClientBuilder::new(vec![address.to_string()])
        .build()
        .await?;
    let partition = client
        .partition_client(topic, 0, UnknownTopicHandling::Retry)
        .await?;
    Ok(Arc::new(partition))
}

struct Appender {
    partition: Arc<PartitionClient>,
    records: usize,
    payload: Payload,
}

impl Appender {
    async fn new(
        address: SocketAddr,
        topic: &str,
        records: usize,
        bytes: usize,
    ) -> Result<Self, Failure> {
        Ok(Appender {
            partition: partition(address, topic).await?,
            records,
            payload: Payload::new(bytes),
        })
    }
}

impl Worker for Appender {
    async fn once(&mut self) -> Result<u64, Failure> {
        let payload = self.payload.stamped();
        let record = Record {
            key: None,
            value: Some(payload.to_vec()),
            headers: std::collections::BTreeMap::new(),
            timestamp: chrono::Utc::now(),
        };
        let records = vec![record; self.records];
        self.partition
            .produce(records, Compression::NoCompression)
            .await?;
        Ok(self.records as u64)
    }
}

/// Fetches what is at an offset, again and again.
struct Asker {
    partition: Arc<PartitionClient>,
    offset: i64,
    records: usize,
}

impl Worker for Asker {
    async fn once(&mut self) -> Result<u64, Failure> {
        let (records, _) = self
            .partition
            .fetch_records(self.offset, 0..FETCH_BYTES, 0)
            .await?;
        if records.len() == self.records {
            return Ok(1);
        }
        Err(format!("{} of {} records came", records.len(), self.records).into())
    }
}

/// Records a second, one fetch after the other.
async fn caught_up(address: SocketAddr, events: u64) -> Result<f64, Failure> {
    let partition = partition(address, "feed").await?;
    let began = Instant::now();
    let mut next = 0;
    while next < events as i64 {
        let (records, _) = partition
            .fetch_records(next, 1..FETCH_BYTES, WAIT_MS)
            .await?;
        let last = records.last().ok_or("no record came")?;
        next = last.offset + 1;
    }
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

async fn follow(address: SocketAddr, arrivals: Arrivals) -> Result<(), Failure> {
    let partition = partition(address, "followed").await?;
    let mut next = 0;
    loop {
        let (records, _) = partition
            .fetch_records(next, 1..FETCH_BYTES, WAIT_MS)
            .await?;
        for record in records {
            next = record.offset + 1;
            arrivals.arrived(record.record.value.as_deref().unwrap_or_default());
        }
    }
}
