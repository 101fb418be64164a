//! The examples in `deploy/`: valid where they are not run, and run where they can be.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use feed_core::server::{bind, router, serve};
use feed_core::{FeedConfig, Migrations, Store};
use feedway_tests::http::client;
use feedway_tests::postgres::Database;
use tokio_util::sync::CancellationToken;

use super::feeds::{append, lit};
use super::nginx::Nginx;
use super::tools;

const FEED: &str = "orders";

fn deploy() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// What a program of the Python packages said of files that it finds valid.
fn valid(module: &str, arguments: &[&str], files: &[PathBuf]) {
    let Some(python) = tools::python() else {
        return;
    };
    let mut command = Command::new(python);
    command.args(["-m", module]).args(arguments).args(files);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{module}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_compose_file_is_one() {
    let schema = ["--builtin-schema", "vendor.compose-spec"];
    valid(
        "check_jsonschema",
        &schema,
        &[deploy().join("compose.yaml")],
    );
}

#[test]
fn the_kubernetes_files_are_what_kubernetes_takes() {
    let files = std::fs::read_dir(deploy().join("kubernetes")).unwrap();
    let files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 2, "{files:?}");
    valid("kubernetes_validate", &["--strict"], &files);
}

/// The configuration as it stands there, but for where it listens, keeps and finds what it needs.
fn config_here(folder: &str, address: &str, instances: &[SocketAddr]) -> String {
    let config = std::fs::read_to_string(deploy().join("nginx.conf")).unwrap();
    let mut config = config
        .replace("/tmp/", &format!("{folder}/"))
        .replace("/var/cache/nginx", folder)
        .replace("worker_processes auto;", "daemon off; master_process off;")
        .replace(
            "access_log /dev/stdout;",
            &format!(
                "log_format cached '$upstream_cache_status $request_uri'; access_log {folder}/access.log cached;"
            ),
        )
        .replace("listen 8080;", &format!("listen {address};"));
    for (number, instance) in instances.iter().enumerate() {
        let name = format!("order-svc-{}:8081", number + 1);
        assert!(config.contains(&name), "{name}");
        config = config.replace(&name, &instance.to_string());
    }
    config
}

/// Three instances on one database, with the cache in front: whoever answers, the bytes are the same, and a sealed page is
/// fetched once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_instances_behind_the_cache_are_one_feed() {
    let (Some(_), Some(database)) = (
        tools::program("nginx"),
        Database::for_test("deploy").await.unwrap(),
    ) else {
        return;
    };
    let stop = CancellationToken::new();
    let mut instances = Vec::new();
    let mut stores = Vec::new();
    for _ in 0..3 {
        let store = Store::open(database.url(), Migrations::NONE).await.unwrap();
        let config = FeedConfig::new(FEED, "order-svc").unwrap();
        store
            .create_feed(config.page_capacity(10).unwrap())
            .await
            .unwrap();
        let routes = router(&store, [FEED]).unwrap();
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        instances.push(listener.local_addr().unwrap());
        tokio::spawn(serve(listener, routes, stop.clone()));
        stores.push(store);
    }
    for store in &stores {
        append(store, FEED, || lit(12)).await;
    }
    stores[0].sequenced().await.unwrap();
    let cache = Nginx::told(|folder, address| {
        config_here(&folder.path().display().to_string(), address, &instances)
    })
    .await;
    let http = client(1).unwrap();
    let text = async |url: String| {
        let reply = http
            .get(&url)
            .header("accept", "application/cloudevents-batch+json");
        let reply = reply.send().await.unwrap();
        assert_eq!(reply.status(), 200, "{url}");
        let tag = reply.headers()["etag"].to_str().unwrap().to_owned();
        (reply.text().await.unwrap(), tag)
    };
    let state = stores[1].log(FEED).unwrap().state().await.unwrap();
    let epoch = state.history.epochs()[0].1;
    for page in 1..=3 {
        let path = format!("/feeds/{FEED}/archive/{epoch}/{page}.r1.json");
        let cached = text(format!("{}{path}", cache.origin)).await;
        for instance in &instances {
            assert_eq!(text(format!("http://{instance}{path}")).await, cached);
        }
        for _ in 0..4 {
            assert_eq!(text(format!("{}{path}", cache.origin)).await, cached);
        }
        let asked = cache.log().await;
        let said: Vec<&str> = asked
            .iter()
            .filter(|(uri, _)| *uri == path)
            .map(|(_, status)| status.as_str())
            .collect();
        assert_eq!(said, ["MISS", "HIT", "HIT", "HIT", "HIT"]);
    }
    let head = format!("/feeds/{FEED}");
    let through = text(format!("{}{head}", cache.origin)).await;
    for instance in &instances {
        assert_eq!(text(format!("http://{instance}{head}")).await, through);
    }
    stop.cancel();
    for store in stores {
        store.close().await;
    }
}
