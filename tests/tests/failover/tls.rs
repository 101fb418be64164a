//! The way to the database: encrypted where that is asked for, and only to whom the certificate says.

use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use feed_core::{EventId, Migrations, Store, StoreError};
use feedway_tests::postgres::{Cluster, ClusterOptions, is_installed};
use feedway_tests::tools;

use crate::nodes::DATABASE;
use crate::{append, service};

fn openssl(folder: &Path, args: &[&str]) {
    let run = Command::new("openssl")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "openssl {args:?}: {said}");
}

/// An authority in `{name}.crt`, with its key.
fn authority(folder: &Path, name: &str) {
    let (key, certificate, subject) = (
        format!("{name}.key"),
        format!("{name}.crt"),
        format!("/CN={name}"),
    );
    openssl(
        folder,
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-keyout",
            &key,
            "-out",
            &certificate,
            "-subj",
            &subject,
            "-addext",
            "keyUsage=critical,keyCertSign",
        ],
    );
}

/// `server.crt` and `server.key`, by the authority `good`, for one address.
fn certificate(folder: &Path, address: IpAddr) {
    std::fs::write(
        folder.join("names"),
        format!("subjectAltName=IP:{address}\nbasicConstraints=critical,CA:FALSE\n"),
    )
    .unwrap();
    openssl(
        folder,
        &[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "server.key",
            "-out",
            "server.csr",
            "-subj",
            "/CN=server",
        ],
    );
    openssl(
        folder,
        &[
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "good.crt",
            "-CAkey",
            "good.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "names",
            "-out",
            "server.crt",
        ],
    );
}

fn has_openssl() -> bool {
    let version = Command::new("openssl")
        .arg("version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let found = version.is_ok_and(|status| status.success());
    if !found {
        tools::missing("openssl");
    }
    found
}

/// Puts the certificate where the server takes it from when it reads its settings anew.
async fn encrypts(cluster: &Cluster, folder: &Path) {
    let data = cluster.folder().join("data");
    // Whose the data is may read the key, and nobody else.
    for name in ["server.crt", "server.key"] {
        let target = data.join(name);
        // A file of the server's account, which is overwritten.
        std::fs::copy(data.join("PG_VERSION"), &target).unwrap();
        let owner = std::os::unix::fs::MetadataExt::uid(
            &std::fs::metadata(data.join("PG_VERSION")).unwrap(),
        );
        let group = std::os::unix::fs::MetadataExt::gid(
            &std::fs::metadata(data.join("PG_VERSION")).unwrap(),
        );
        std::fs::write(&target, std::fs::read(folder.join(name)).unwrap()).unwrap();
        std::os::unix::fs::chown(&target, Some(owner), Some(group)).unwrap();
        let only_owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&target, only_owner).unwrap();
    }
    let admin = cluster.admin("postgres").await.unwrap();
    admin
        .batch_execute("ALTER SYSTEM SET ssl = on")
        .await
        .unwrap();
    admin
        .batch_execute("SELECT pg_reload_conf()")
        .await
        .unwrap();
}

/// Whether this store's own session is encrypted.
async fn is_encrypted(store: &Store) -> bool {
    let sql = "SELECT ssl::int::bigint FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    store.query::<(i64,)>(sql, &[]).await.unwrap()[0].0 == 1
}

async fn refused(url: &str) -> String {
    match Store::open(url, Migrations::NONE).await {
        Err(error @ (StoreError::Unavailable(_) | StoreError::Open { .. })) => error.to_string(),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("{url} was taken"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_is_encrypted_and_leads_to_whom_the_certificate_says() {
    if !is_installed() || !has_openssl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(ClusterOptions::default()).await.unwrap();
    cluster.create_database(DATABASE).await.unwrap();
    let plain = cluster.url(DATABASE);
    let with = |parameters: &str| format!("{plain}?{parameters}");
    // Before the server can.
    let error = refused(&with("sslmode=require")).await;
    assert!(error.to_lowercase().contains("tls"), "{error}");
    let store = service(&plain).await;
    assert!(!is_encrypted(&store).await);
    store.close().await;

    authority(folder.path(), "good");
    authority(folder.path(), "other");
    certificate(folder.path(), cluster.address().ip());
    encrypts(&cluster, folder.path()).await;
    let trusted = |name: &str| {
        let file = folder.path().join(name);
        format!("sslmode=verify-full&sslrootcert={}", file.display())
    };
    crate::wait_for("the server encrypts", async || {
        let store = Store::open(&with("sslmode=require"), Migrations::NONE).await;
        store.ok()?.close().await;
        Some(())
    })
    .await;
    for (parameters, encrypted) in [
        ("sslmode=disable".to_owned(), false),
        ("sslmode=prefer".to_owned(), true),
        ("sslmode=require".to_owned(), true),
        (trusted("good.crt"), true),
    ] {
        let store = service(&with(&parameters)).await;
        append(&store, "lamp-1", EventId::now(), 1).await.unwrap();
        assert_eq!(is_encrypted(&store).await, encrypted, "{parameters}");
        store.close().await;
    }

    // An authority that is not trusted; that of the system is not ours either.
    let error = refused(&with(&trusted("other.crt"))).await;
    assert!(error.contains("certificate"), "{error}");
    // Another name of the same server.
    certificate(folder.path(), "192.0.2.1".parse().unwrap());
    encrypts(&cluster, folder.path()).await;
    let error = crate::wait_for("the other certificate", async || {
        match Store::open(&with(&trusted("good.crt")), Migrations::NONE).await {
            Ok(store) => {
                store.close().await;
                None
            }
            Err(error) => Some(error.to_string()),
        }
    })
    .await;
    assert!(error.contains("certificate"), "{error}");
    let store = service(&with("sslmode=require")).await;
    assert!(is_encrypted(&store).await);
    store.close().await;
}
