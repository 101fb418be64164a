//! Dumps and base backups.

use feedway_tests::postgres::{Cluster, ClusterOptions, connect};

use crate::{add, all, cluster, numbers};

#[tokio::test]
async fn a_dump_is_the_database_as_it_was() {
    let Some(cluster) = cluster().await else {
        return;
    };
    cluster.create_database("before").await.unwrap();
    let client = connect(&cluster.url("before")).await.unwrap();
    let fill = "CREATE TABLE t AS SELECT generate_series(1, 10) AS n";
    client.batch_execute(fill).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("before.dump");
    cluster.dump("before", &file).await.unwrap();
    client.batch_execute("DELETE FROM t").await.unwrap();

    cluster.restore(&file, "after").await.unwrap();
    let client = connect(&cluster.url("after")).await.unwrap();
    let row = client.query_one("SELECT count(*) FROM t", &[]).await;
    assert_eq!(row.unwrap().get::<_, i64>(0), 10);
    // The same user owns it.
    client.batch_execute("DROP TABLE t").await.unwrap();

    let error = cluster.restore(&folder.path().join("none"), "other").await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("pg_restore"), "{error}");
}

#[tokio::test]
async fn a_base_backup_is_the_cluster_as_it_was() {
    let Some(mut cluster) = cluster().await else {
        return;
    };
    let client = numbers(&cluster).await;
    add(&client, 1).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup");
    cluster.base_backup(&backup).await.unwrap();
    add(&client, 2).await.unwrap();

    let options = ClusterOptions::default();
    let old = Cluster::from_base_backup(&backup, options).await.unwrap();
    let client = old.admin("postgres").await.unwrap();
    add(&client, 3).await.unwrap();
    assert_eq!(all(&old).await, [1, 3]);
    assert_eq!(all(&cluster).await, [1, 2]);

    let (address, folder) = (cluster.address(), cluster.folder().to_owned());
    cluster.go_back_to(&backup).await.unwrap();
    assert_eq!(all(&cluster).await, [1]);
    assert_eq!(cluster.address(), address);
    assert!(!folder.exists(), "{}", folder.display());
}
