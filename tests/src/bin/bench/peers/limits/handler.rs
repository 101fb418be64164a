//! An axum handler that answers with bytes which it has, in a process of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::routing::get;
use bytes::Bytes;

use crate::Failure;
use crate::peers::drive::Paced;
use crate::peers::peer::{AXUM, About, Bench, Peer, Work};
use crate::peers::process::{self, Server};
use crate::peers::wrk;

const TAG: &str = "\"r1.json.0000000000000000.0.0-0000000000000000.0.000000000000\"";
const JSON: &str = "application/cloudevents-batch+json";

/// Answer with the same bytes, until killed.
#[derive(Debug, clap::Args)]
pub(crate) struct BareOptions {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    page: PathBuf,
}

/// Serves until the process is ended.
pub(crate) async fn bare(options: &BareOptions) -> Result<(), Failure> {
    let page = Bytes::from(std::fs::read(&options.page)?);
    let page = move || {
        let page = page.clone();
        async move { ([(CONTENT_TYPE, JSON)], page) }
    };
    let empty = async || {
        (
            [
                (CONTENT_TYPE, JSON),
                (ETAG, TAG),
                (CACHE_CONTROL, "no-cache"),
            ],
            "[\n]\n",
        )
    };
    let same = async || {
        (
            StatusCode::NOT_MODIFIED,
            [(ETAG, TAG), (CACHE_CONTROL, "no-cache")],
        )
    };
    let router = Router::new()
        .route("/page", get(page))
        .route("/empty", get(empty))
        .route("/same", get(same));
    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    Ok(axum::serve(listener, router).await?)
}

#[derive(Default)]
pub(crate) struct Axum {
    running: Option<(Server, SocketAddr)>,
}

impl Peer for Axum {
    fn key(&self) -> &'static str {
        "axum"
    }

    fn name(&self) -> &'static str {
        AXUM
    }

    fn about(&mut self, _bench: &Bench) -> Result<About, Failure> {
        Ok(About {
            version: "0.8".into(),
            settings: "answers with bytes that it holds, and does nothing else".into(),
        })
    }

    fn start(&mut self, bench: &Bench) -> Result<(), Failure> {
        let address = process::free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("peers-bare")
            .arg("--listen")
            .arg(address.to_string());
        command.arg("--page").arg(&bench.page_file);
        let mut server = Server::start(&command, &bench.folder.join("log"))?;
        server.listens(address)?;
        self.running = Some((server, address));
        Ok(())
    }

    fn process_id(&self) -> Option<u32> {
        self.running.as_ref().map(|(server, _)| server.id())
    }

    fn fill(&mut self, _bench: &Bench) -> Result<(), Failure> {
        Ok(())
    }

    fn measure(&mut self, bench: &Bench, work: Work) -> Result<Option<f64>, Failure> {
        let (_, address) = self.running.as_ref().ok_or("it does not run")?;
        let path = match work {
            Work::SameHundred => "page",
            Work::EmptyPoll => "empty",
            Work::NotModified => "same",
            _ => return Ok(None),
        };
        // The same headers as are sent to Feedway.
        let headers = [("Accept", JSON), ("If-None-Match", TAG)];
        let headers = if work == Work::NotModified {
            &headers[..]
        } else {
            &headers[..1]
        };
        wrk::rate(bench, &format!("http://{address}/{path}"), headers).map(Some)
    }

    fn latency(&mut self, _bench: &Bench) -> Result<Option<Paced>, Failure> {
        Ok(None)
    }

    fn stop(&mut self) {
        self.running = None;
    }
}
