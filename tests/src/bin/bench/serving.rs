//! Answers a second: a sealed page beside nginx and bare axum, and polls that find nothing beside bare axum.

use std::fmt::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::Args;
use tempfile::TempDir;

use crate::Failure;
use crate::served::{Answer, FEED, ServeOptions, Server};

const JSON: (&str, &str) = ("accept", "application/cloudevents-batch+json");

/// Measure sealed pages, 304 and empty polls beside nginx and bare axum. Needs `wrk` and `nginx` (Debian: apt-get install
/// wrk nginx-light).
#[derive(Args)]
pub(crate) struct ServingOptions {
    /// Rounds; medians are taken over them.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each is asked for in a round.
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Bytes of data in an event.
    #[arg(long, default_value_t = 512)]
    event_bytes: usize,
    /// Pages of these numbers of events are measured, too.
    #[arg(long, value_delimiter = ',')]
    capacities: Vec<u32>,
}

/// Events of a feed whose pages are read from the store each time.
const COLD_EVENTS: u32 = 50_000;

/// What is asked for, and what came of it.
struct Asked {
    name: String,
    url: String,
    headers: Vec<(String, String)>,
    /// Another page each time, of so many.
    pages: u32,
    /// Name of the one that it is compared with.
    beside: Option<&'static str>,
    rates: Vec<f64>,
}

pub(crate) fn run(options: &ServingOptions) -> Result<(), Failure> {
    for (tool, argument) in [("wrk", "-v"), ("nginx", "-v")] {
        let found = Command::new(tool)
            .arg(argument)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if found.is_err() {
            return Err(format!("{tool} is missing: apt-get install wrk nginx-light").into());
        }
    }
    let mut table = format!(
        "Pages of events of {} bytes of data, {} connections.\n\n| answer | per second, median | lowest to highest | ratio |\n\
         | --- | ---: | ---: | ---: |\n",
        options.event_bytes, options.connections
    );
    usual(options, &mut table)?;
    for capacity in &options.capacities {
        of_capacity(options, *capacity, &mut table)?;
    }
    println!("{table}");
    Ok(())
}

/// A page of the usual size, and polls.
fn usual(options: &ServingOptions, table: &mut String) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let feedway = Server::start(&ServeOptions::pages(100, options.event_bytes))?;
    let cold = ServeOptions::pages(100, options.event_bytes).cold(COLD_EVENTS / 100);
    let cold = Server::start(&cold)?;
    let feed = format!("/feeds/{FEED}");
    let head = feedway.ask(&feed, &[JSON])?;
    let tail = format!("{feed}?after={}", head.header("feed-head")?);
    let empty = feedway.ask(&tail, &[JSON])?;
    let (head_tag, tail_tag) = (head.header("etag")?, empty.header("etag")?);
    let same_head = feedway.ask(&feed, &[JSON, ("if-none-match", head_tag)])?;
    let same_tail = feedway.ask(&tail, &[JSON, ("if-none-match", tail_tag)])?;
    let page = feedway.ask(&page_of(&feedway)?, &[])?;
    let statuses = [
        page.status,
        same_head.status,
        same_tail.status,
        empty.status,
    ];
    if statuses != [200, 304, 304, 200] {
        return Err(format!("unexpected answers: {statuses:?}").into());
    }
    let nginx = Nginx::start(&page.body)?;
    let accept = (JSON.0.to_owned(), JSON.1.to_owned());
    let known = |tag: &str| {
        let tag = ("if-none-match".to_owned(), tag.to_owned());
        vec![accept.clone(), tag]
    };
    let page_path = page.path.clone();
    let (head_known, tail_known) = (known(head_tag), known(tail_tag));
    let copies = [
        renamed(page, "/page"),
        renamed(same_head, "/same-head"),
        renamed(same_tail, "/same-tail"),
        renamed(empty, "/empty"),
    ];
    let bare = Server::copying(&copies, folder.path())?;
    let asked = |name: &str, url, headers, beside| Asked {
        name: name.to_owned(),
        url,
        headers,
        pages: 1,
        beside,
        rates: Vec::new(),
    };
    let mut all = [
        asked("page, nginx", nginx.url(), vec![], None),
        asked(
            "page, bare axum",
            bare.url("/page"),
            vec![],
            Some("page, nginx"),
        ),
        asked(
            "page, hot",
            feedway.url(&page_path),
            vec![],
            Some("page, nginx"),
        ),
        asked(
            "page, cold",
            cold.url(&page_of(&cold)?),
            vec![],
            Some("page, nginx"),
        ),
        asked(
            "304 of the head, bare axum",
            bare.url("/same-head"),
            head_known.clone(),
            None,
        ),
        asked(
            "304 of the head",
            feedway.url(&feed),
            head_known,
            Some("304 of the head, bare axum"),
        ),
        asked(
            "304 of the tail, bare axum",
            bare.url("/same-tail"),
            tail_known.clone(),
            None,
        ),
        asked(
            "304 of the tail",
            feedway.url(&tail),
            tail_known,
            Some("304 of the tail, bare axum"),
        ),
        asked(
            "empty poll, bare axum",
            bare.url("/empty"),
            vec![accept.clone()],
            None,
        ),
        asked(
            "empty poll",
            feedway.url(&tail),
            vec![accept],
            Some("empty poll, bare axum"),
        ),
    ];
    all[3].pages = COLD_EVENTS / 100;
    measure(options, &mut all)?;
    tell(&all, table);
    Ok(())
}

/// Pages of this many events, hot and cold: pages and events a second.
fn of_capacity(options: &ServingOptions, capacity: u32, table: &mut String) -> Result<(), Failure> {
    let serve = ServeOptions::pages(capacity, options.event_bytes);
    let hot = Server::start(&serve)?;
    let cold_pages = (COLD_EVENTS / capacity).max(1);
    let cold = Server::start(&serve.cold(cold_pages))?;
    let asked = |name: &str, url| Asked {
        name: format!("page of {capacity} events, {name}"),
        url,
        headers: Vec::new(),
        pages: 1,
        beside: None,
        rates: Vec::new(),
    };
    let mut all = [
        asked("hot", hot.url(&page_of(&hot)?)),
        asked("cold", cold.url(&page_of(&cold)?)),
    ];
    all[1].pages = cold_pages;
    measure(options, &mut all)?;
    tell(&all, table);
    for one in &all {
        let events = median(&one.rates) * f64::from(capacity);
        let _ = writeln!(table, "| … events | {events:.0} | | |");
    }
    Ok(())
}

/// Path of the first sealed page, in JSON.
fn page_of(server: &Server) -> Result<String, Failure> {
    let start = server.ask(&format!("/feeds/{FEED}?after=start"), &[JSON])?;
    Ok(format!("/feeds/{}", start.header("location")?))
}

fn renamed(answer: Answer, path: &str) -> Answer {
    Answer {
        path: path.to_owned(),
        ..answer
    }
}

fn measure(options: &ServingOptions, all: &mut [Asked]) -> Result<(), Failure> {
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for asked in &mut *all {
            asked.rates.push(rate(options, asked)?);
        }
    }
    Ok(())
}

/// Answers a second, by wrk.
fn rate(options: &ServingOptions, asked: &Asked) -> Result<f64, Failure> {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t", "2", "-c", &options.connections.to_string()]);
    wrk.args(["-d", &format!("{}s", options.seconds)]);
    for (name, value) in &asked.headers {
        wrk.args(["-H", &format!("{name}: {value}")]);
    }
    let folder = tempfile::tempdir()?;
    if asked.pages > 1 {
        let script = folder.path().join("pages.lua");
        std::fs::write(&script, other_pages(asked)?)?;
        wrk.arg("-s").arg(script);
    }
    let output = wrk.arg(&asked.url).output()?;
    let text = String::from_utf8(output.stdout)?;
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("{}: {text}", asked.name).into());
    }
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    Ok(line
        .ok_or_else(|| format!("wrk said nothing of a rate: {text}"))?
        .trim()
        .parse()?)
}

/// What makes wrk ask for one page after another, each thread from another one on.
fn other_pages(asked: &Asked) -> Result<String, Failure> {
    let path = asked
        .url
        .splitn(4, '/')
        .nth(3)
        .ok_or("a URL without a path")?;
    let (before, file) = path.rsplit_once('/').ok_or("a path without a file")?;
    let after = file.split_once('.').ok_or("a file without an ending")?.1;
    Ok(format!(
        "math.randomseed(os.time() + tonumber(tostring({{}}):sub(10), 16) % 1000)
function request()
    return wrk.format('GET', '/{before}/' .. math.random({}) .. '.{after}')
end
",
        asked.pages
    ))
}

fn tell(all: &[Asked], table: &mut String) {
    for asked in all {
        let rate = median(&asked.rates);
        let lowest = asked.rates.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = asked.rates.iter().copied().fold(0.0, f64::max);
        let beside = all
            .iter()
            .find(|one| Some(one.name.as_str()) == asked.beside);
        let ratio = beside.map(|beside| format!("{:.2}", rate / median(&beside.rates)));
        let _ = writeln!(
            table,
            "| {} | {rate:.0} | {lowest:.0} to {highest:.0} | {} |",
            asked.name,
            ratio.unwrap_or_default()
        );
    }
}

fn median(rates: &[f64]) -> f64 {
    let mut sorted = rates.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// nginx with one file, until this is dropped.
struct Nginx {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Nginx {
    fn start(page: &[u8]) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let root = folder.path();
        // Given back at once: nobody else on this machine takes ports while it is measured.
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?
            .local_addr()?
            .port();
        std::fs::create_dir(root.join("files"))?;
        std::fs::write(root.join("files/page.json"), page)?;
        std::fs::write(root.join("nginx.conf"), configuration(root, port))?;
        let child = Command::new("nginx")
            .arg("-p")
            .arg(root)
            .arg("-c")
            .arg(root.join("nginx.conf"))
            .stderr(Stdio::null())
            .spawn()?;
        let nginx = Nginx {
            child,
            port,
            _folder: folder,
        };
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(nginx);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("nginx does not answer".into())
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/page.json", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with the signal that asks it to; they would outlive a master that is killed.
        let process = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

fn configuration(root: &Path, port: u16) -> String {
    let root = root.display();
    // A folder of our own may be closed to the user that nginx would take.
    let user = if nix::unistd::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    format!(
        "{user}
daemon off; worker_processes auto; pid {root}/nginx.pid; error_log {root}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000000;
    open_file_cache max=16; open_file_cache_valid 60s;
    types {{ application/cloudevents-batch+json json; }}
    client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
    server {{ listen 127.0.0.1:{port} reuseport; root {root}/files;
        add_header Cache-Control \"public, max-age=31536000, immutable\"; }}
}}
"
    )
}
