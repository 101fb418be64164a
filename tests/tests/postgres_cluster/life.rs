//! Starting, stopping, being killed, and many databases.

use feedway_tests::postgres::{
    Cluster, ClusterOptions, Collation, Database, connect, is_installed,
};

use crate::{cluster, processes_of, runs};

async fn count(url: &str) -> i64 {
    let client = connect(url).await.unwrap();
    let row = client.query_one("SELECT count(*) FROM t", &[]).await;
    row.unwrap().get(0)
}

#[tokio::test]
async fn a_cluster_leaves_neither_process_nor_folder() {
    let Some(mut cluster) = cluster().await else {
        return;
    };
    let (process, folder) = (cluster.process_id().unwrap(), cluster.folder().to_owned());
    assert!(runs(process) && folder.exists());
    cluster.create_database("one").await.unwrap();
    let url = cluster.url("one");
    let client = connect(&url).await.unwrap();
    client.batch_execute("CREATE TABLE t ()").await.unwrap();

    // Killed, it has no process of its own left, and what was committed is there when it is back at its address.
    client
        .batch_execute("INSERT INTO t DEFAULT VALUES")
        .await
        .unwrap();
    cluster.kill().unwrap();
    assert!(!runs(process) && client.simple_query("SELECT 1").await.is_err());
    cluster.restart().await.unwrap();
    assert_eq!(count(&url).await, 1);
    cluster.stop().unwrap();
    assert!(cluster.process_id().is_none());
    cluster.restart().await.unwrap();
    assert_eq!(count(&url).await, 1);
    cluster.drop_database("one").await.unwrap();
    connect(&url).await.unwrap_err();

    let process = cluster.process_id().unwrap();
    drop(cluster);
    assert!(!runs(process) && !folder.exists());
    assert_eq!(processes_of(&folder), Vec::<String>::new());
}

#[tokio::test]
async fn a_killed_cluster_leaves_nothing_either() {
    let Some(mut cluster) = cluster().await else {
        return;
    };
    let folder = cluster.folder().to_owned();
    let processes = processes_of(&folder);
    assert!(processes.len() > 4, "{processes:?}");
    cluster.kill().unwrap();
    let left = processes_of(&folder);
    assert!(left.len() == 1 && left[0].contains("watchdog"), "{left:?}");
    drop(cluster);
    assert!(!folder.exists());
    assert_eq!(processes_of(&folder), Vec::<String>::new());
}

/// Each in a thread and a runtime of its own, as tests are.
#[test]
fn databases_of_the_shared_cluster_know_nothing_of_each_other() {
    let one_test = |number: i64| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let database = Database::for_test("life").await.unwrap()?;
            let client = connect(database.url()).await.unwrap();
            let table = "CREATE TABLE t AS SELECT generate_series(1, $1::bigint)";
            let table = table.replace("$1", &number.to_string());
            client.batch_execute(&table).await.unwrap();
            assert_eq!(count(database.url()).await, number);
            Some(database.name().to_owned())
        })
    };
    let names = std::thread::scope(|scope| {
        let tests: Vec<_> = (1..=4).map(|n| scope.spawn(move || one_test(n))).collect();
        let ended = tests.into_iter().map(|test| test.join().unwrap());
        ended.collect::<Vec<_>>()
    });
    let mut names: Vec<String> = names.into_iter().flatten().collect();
    names.sort();
    let made = names.len();
    names.dedup();
    assert_eq!(names.len(), made, "{names:?}");
}

#[tokio::test]
async fn a_database_s_user_owns_it_and_may_do_nothing_else() {
    let Some(database) = Database::for_test("owner").await.unwrap() else {
        return;
    };
    let client = connect(database.url()).await.unwrap();
    client.batch_execute("CREATE SCHEMA s").await.unwrap();
    let error = client.batch_execute("CREATE ROLE r").await.unwrap_err();
    let code = error.code().unwrap();
    assert_eq!(
        code,
        &tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE
    );
    let admin = connect(database.admin_url()).await.unwrap();
    let sorted = "SELECT string_agg(t, '' ORDER BY t) FROM unnest('{a,B,c}'::text[]) t";
    let sorted: String = admin.query_one(sorted, &[]).await.unwrap().get(0);
    assert!(["aBc", "Bac"].contains(&sorted.as_str()), "{sorted}");
}

#[tokio::test]
async fn settings_and_folder_can_be_chosen() {
    if !is_installed() {
        return;
    }
    let parent = tempfile::tempdir().unwrap();
    // The server's user has to come through.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(parent.path(), open).unwrap();
    let options = ClusterOptions {
        folder: Some(parent.path().to_owned()),
        connections_max: 20,
        collation: Collation::Bytes,
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start(options.set("work_mem", "1MB"))
        .await
        .unwrap();
    assert!(cluster.folder().starts_with(parent.path()));
    let admin = cluster.admin("postgres").await.unwrap();
    for (setting, expected) in [
        ("max_connections", "20"),
        ("work_mem", "1MB"),
        ("fsync", "on"),
    ] {
        let row = admin
            .query_one(&format!("SHOW {setting}"), &[])
            .await
            .unwrap();
        assert_eq!(row.get::<_, String>(0), expected, "{setting}");
    }
    let error = cluster.create_database("no; good").await.unwrap_err();
    assert!(error.to_string().contains("no; good"), "{error}");

    let refused = ClusterOptions::default().set("no_such_setting", "1");
    let error = Cluster::start(refused).await.unwrap_err().to_string();
    assert!(error.contains("no_such_setting"), "{error}");
}
