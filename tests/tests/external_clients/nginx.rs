//! nginx in front of a service: as a shared cache, and below a path prefix.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use feed_core::Format;
use feedway_tests::http::client;
use feedway_tests::service::free_address;
use futures_util::{StreamExt, stream};
use tempfile::TempDir;
use url::Url;

use super::between::Between;
use super::feeds::{Feeds, Odd};
use super::served::FORMATS;
use super::tools::{self, say};

/// Consumers that replay the feed.
const CONSUMERS: usize = 1_000;
/// Consumers that are under way at once.
const AT_ONCE: usize = 50;
/// Consumers that replay without a cache.
const WITHOUT_CACHE: usize = 5;
/// Longest time until nginx answers.
const READY_MAX: Duration = Duration::from_secs(10);
/// Time between two looks at whether it does.
const LOOK: Duration = Duration::from_millis(10);

/// What is asked for only to know that all before it is in the log.
const LOGGED: &str = "/is-all-logged";

/// A running nginx. It is killed when this is dropped: it runs as one process.
pub(crate) struct Nginx {
    pub(crate) origin: String,
    child: Child,
    folder: TempDir,
}

impl Nginx {
    /// Starts it in front of `upstream`: `/` is cached, `/plain/` is not, `/behind/a/proxy/` says who asked.
    async fn start(upstream: &str) -> Self {
        Self::told(|folder, address| config_of(folder, address, upstream)).await
    }

    /// Starts it with what is made of its folder and its address.
    pub(crate) async fn told(config_of: impl FnOnce(&TempDir, &str) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address().unwrap();
        let config = folder.path().join("nginx.conf");
        fs::write(&config, config_of(&folder, &address.to_string())).unwrap();
        let log = fs::File::create(folder.path().join("stderr")).unwrap();
        let child = Command::new(tools::program("nginx").unwrap())
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&config)
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut nginx = Nginx {
            origin: format!("http://{address}"),
            child,
            folder,
        };
        nginx.ready().await;
        nginx
    }

    async fn ready(&mut self) {
        let (http, begun) = (client(1).unwrap(), Instant::now());
        while http.get(&self.origin).send().await.is_err() {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && begun.elapsed() < READY_MAX,
                "{}",
                self.errors()
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    fn errors(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        format!("nginx: {} {}", read("stderr"), read("error.log"))
    }

    /// `url` of the service through nginx, below `prefix`.
    fn through(&self, prefix: &str, url: &str) -> String {
        let url = Url::parse(url).unwrap();
        format!(
            "{}{prefix}{}",
            self.origin,
            &url[url::Position::BeforePath..]
        )
    }

    /// What was asked, with what the cache said to it.
    ///
    /// nginx writes the line of a request after its answer, so the reader of the last answer may be faster. Its one process
    /// answers one more request only when the lines of those before are written.
    pub(crate) async fn log(&self) -> Vec<(String, String)> {
        let http = client(1).unwrap();
        let more = format!("{}{LOGGED}", self.origin);
        http.get(more).send().await.unwrap().bytes().await.unwrap();
        let log = fs::read_to_string(self.folder.path().join("access.log")).unwrap();
        let lines = log.lines().filter_map(|line| line.split_once(' '));
        lines
            .filter(|(_, uri)| *uri != LOGGED)
            .map(|(status, uri)| (uri.to_owned(), status.to_owned()))
            .collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It has most likely not ended by itself, and nobody is left to tell.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn config_of(folder: &TempDir, address: &str, upstream: &str) -> String {
    let folder = folder.path().display();
    format!(
        r#"
daemon off;
# One process, of the user who started it.
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    log_format cached '$upstream_cache_status $request_uri';
    access_log {folder}/access.log cached;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache keys_zone=feeds:8m max_size=256m inactive=1h use_temp_path=off;
    upstream service {{ server {upstream}; keepalive 16; }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    # The service's own redirects are to hold as they are.
    proxy_redirect off;
    server {{
        listen {address};
        proxy_cache feeds;
        proxy_cache_revalidate on;
        location / {{
            proxy_pass http://service;
        }}
        # Those who ask for a page at once wait for the first of them. Not so for the rest, which is not kept: there each
        # would wait for all before it.
        location ~ ^/feeds/[^/]+/archive/ {{
            proxy_pass http://service;
            proxy_cache_lock on;
            proxy_cache_lock_timeout 60s;
        }}
        location /plain/ {{
            proxy_pass http://service/;
            proxy_cache off;
        }}
        location /behind/a/proxy/ {{
            proxy_pass http://service/;
            proxy_cache off;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-Host feeds.example.org;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header X-Forwarded-Port 443;
            proxy_set_header X-Forwarded-Prefix /behind/a/proxy;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header Forwarded "for=192.0.2.1;host=feeds.example.org;proto=https";
        }}
    }}
}}
"#
    )
}

/// How often the service was asked for each path and query.
type Asked = Arc<Mutex<BTreeMap<String, usize>>>;

/// A proxy to the service that hands everything on and counts.
async fn counting(url: &str) -> (Between, Asked) {
    let asked = Asked::default();
    let counted = asked.clone();
    let origin = Url::parse(url).unwrap().origin().ascii_serialization();
    let between = Between::start(&origin, move |request, copy| {
        *counted
            .lock()
            .unwrap()
            .entry(request.uri.to_string())
            .or_default() += 1;
        copy
    })
    .await;
    (between, asked)
}

/// Every document of a feed from the start on, as a reader gets them.
async fn replay(http: &reqwest::Client, feed_url: &str, format: Format) -> Vec<Vec<u8>> {
    let mut documents = Vec::new();
    let mut at = Url::parse(feed_url).unwrap();
    at.set_query(Some("after=start"));
    loop {
        let request = http.get(at.clone()).header("accept", format.media_type());
        let reply = request.send().await.unwrap();
        let header = |name: &str| {
            let value = reply.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        if reply.status() == 307 {
            at = at.join(&header("location").unwrap()).unwrap();
            continue;
        }
        assert_eq!(reply.status(), 200, "{at}");
        let is_last = header("feed-caught-up").is_some_and(|value| value == "true");
        let links = header("link").unwrap();
        documents.push(reply.bytes().await.unwrap().to_vec());
        if is_last {
            return documents;
        }
        let next = links
            .split(", ")
            .find_map(|link| link.strip_suffix(">; rel=\"next\""));
        at = at.join(next.unwrap().strip_prefix('<').unwrap()).unwrap();
    }
}

/// Some consumers replay the feed, and all of them read `expected`.
async fn replay_all(consumers: usize, feed_url: &str, format: Format, expected: &[Vec<u8>]) {
    let http = client(AT_ONCE).unwrap();
    let replays = (0..consumers).map(|_| replay(&http, feed_url, format));
    stream::iter(replays)
        .buffer_unordered(AT_ONCE)
        .for_each(|documents| {
            assert!(documents == expected, "another feed from the cache");
            std::future::ready(())
        })
        .await;
}

/// How often each of the first `sealed` pages was asked for. The page behind them is not sealed, and leads to the tail.
fn pages(asked: &Asked, sealed: usize) -> BTreeMap<String, usize> {
    let asked = asked.lock().unwrap();
    let open = format!("/{}.r1.", sealed + 1);
    let pages = asked
        .iter()
        .filter(|(uri, _)| uri.contains("/archive/") && !uri.contains(&open));
    pages.map(|(uri, count)| (uri.clone(), *count)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_consumers_behind_nginx_cost_the_service_one_request_a_page() {
    if tools::program("nginx").is_none() {
        return;
    }
    let feeds = Feeds::start().await;
    let [orders, customers] = feeds.live();
    for (url, format, sealed_min) in [(customers, Format::Json, 20), (orders, Format::Atom, 4)] {
        let (between, asked) = counting(&url).await;
        let nginx = Nginx::start(between.authority()).await;
        let http = client(1).unwrap();
        let expected = replay(&http, &url, format).await;
        // All but the tail are sealed.
        let sealed = expected.len() - 1;
        assert!(sealed >= sealed_min, "{sealed} pages are no history");
        let begun = Instant::now();
        replay_all(CONSUMERS, &nginx.through("", &url), format, &expected).await;
        let counted = pages(&asked, sealed);
        assert_eq!(
            counted.len(),
            sealed,
            "every sealed page went through the cache"
        );
        assert!(counted.values().all(|count| *count == 1), "{counted:?}");
        let all: usize = asked.lock().unwrap().values().sum();
        say(&format!(
            "nginx: {CONSUMERS} consumers replayed {sealed} sealed pages in {} and the tail in {:.1} s; the service was \
             asked {sealed} times for pages, {all} times in all, instead of {}",
            format.extension(),
            begun.elapsed().as_secs_f64(),
            CONSUMERS * (expected.len() + 2),
        ));
        // The count does count: past the cache, everybody's request arrives.
        asked.lock().unwrap().clear();
        let plain = nginx.through("/plain", &url);
        replay_all(WITHOUT_CACHE, &plain, format, &expected).await;
        let counted = pages(&asked, sealed);
        assert!(
            counted.values().all(|count| *count == WITHOUT_CACHE),
            "{counted:?}"
        );
    }
}

#[tokio::test]
async fn nginx_keeps_sealed_pages_and_nothing_else() {
    if tools::program("nginx").is_none() {
        return;
    }
    let odd = Odd::start().await;
    let nginx = Nginx::start(odd.served.origin().trim_start_matches("http://")).await;
    let http = client(1).unwrap();
    for name in ["sealed", "private"] {
        for format in FORMATS {
            let url = nginx.through("", &odd.url(name));
            let direct = replay(&http, &odd.url(name), format).await;
            for _ in 0..2 {
                assert!(replay(&http, &url, format).await == direct);
                // Head, problems and single events too.
                for path in ["", "?after=nonsense", "x", "/events/x"] {
                    let request = http.get(format!("{url}{path}"));
                    let reply = request.header("accept", format.media_type()).send().await;
                    assert_eq!(
                        reply.unwrap().status().is_success(),
                        path.is_empty(),
                        "{path}"
                    );
                }
            }
        }
    }
    let log = nginx.log().await;
    let hits: Vec<&str> = log
        .iter()
        .filter(|(_, status)| status == "HIT")
        .map(|(uri, _)| uri.as_str())
        .collect();
    // Each of two sealed pages in each representation, at the second look.
    assert_eq!(hits.len(), 4, "{log:?}");
    let all_sealed = hits.iter().all(|uri| uri.contains("/sealed/archive/"));
    assert!(all_sealed, "{hits:?}");
    let missed = log.iter().filter(|(_, status)| status == "MISS").count();
    assert_eq!(
        missed,
        log.len() - hits.len(),
        "all else went to the service: {log:?}"
    );
    say(&format!(
        "nginx: {} of {} answers came from the cache, all of them sealed pages of a public feed",
        hits.len(),
        log.len()
    ));
}

#[tokio::test]
async fn links_and_redirects_hold_below_a_path_prefix() {
    if tools::program("nginx").is_none() || tools::python().is_none() {
        return;
    }
    let feeds = Feeds::start().await;
    for url in feeds.live() {
        let origin = Url::parse(&url).unwrap();
        let nginx =
            Nginx::start(&origin[url::Position::BeforeHost..url::Position::AfterPort]).await;
        let prefixed = nginx.through("/behind/a/proxy", &url);
        for script in ["atom_check.py", "cloud_events.py"] {
            let args = [tools::script(script).into_os_string(), (&prefixed).into()];
            tools::run(&tools::python().unwrap(), args, &[])
                .await
                .tell();
        }
        let http = client(1).unwrap();
        for format in FORMATS {
            // What the proxy says of itself enters no document.
            let (direct, behind) = (
                replay(&http, &url, format).await,
                replay(&http, &prefixed, format).await,
            );
            assert!(direct == behind, "{url} is another feed behind the proxy");
        }
        let asked = nginx.log().await;
        assert!(
            asked
                .iter()
                .all(|(uri, _)| uri.starts_with("/behind/a/proxy/") || uri == "/"),
            "{asked:?}"
        );
    }
}
