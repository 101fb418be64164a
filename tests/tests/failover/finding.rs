//! Which of several servers a service finds: also when one of them says nothing at all, or only reads.

use std::time::Duration;

use feed_core::EventId;
use feedway_tests::postgres::{Cut, Link, StandbyOptions};

use crate::nodes::{DATABASE, Nodes};
use crate::{append, service, wait_for};

/// A server whose machine is gone answers nothing: it is given up in time for the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i13_a_server_that_is_silent_does_not_keep_a_service_from_the_other_one() {
    let Some(nodes) = Nodes::start().await else {
        return;
    };
    let link = Link::start(nodes.primary.address()).await.unwrap();
    link.cut(Cut::Silent);
    let url = format!(
        "postgres://feedway@{},{}/{DATABASE}?target_session_attrs=read-write&writers=2",
        link.address(),
        nodes.primary.address()
    );
    let opened = tokio::time::timeout(crate::WAIT_MAX, service(&url)).await;
    let store = opened.expect("opened in time");
    let appended = append(&store, "lamp-1", EventId::now(), 1);
    let appended = tokio::time::timeout(Duration::from_secs(10), appended).await;
    appended.expect("appended in time").unwrap();
    store.close().await;
}

/// A connection by which it turned out that its server only reads is not used for writing again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i13_a_connection_to_a_standby_is_not_kept_for_writing() {
    let Some(mut nodes) = Nodes::start().await else {
        return;
    };
    let main = service(&nodes.primary.url(DATABASE)).await;
    nodes.add_standby(StandbyOptions::new("second")).await;
    // As by a name or a proxy that leads to whichever server: half of the connections are to the standby.
    let url = format!(
        "postgres://feedway@{},{}/{DATABASE}?load_balance_hosts=random&writers=1",
        nodes.primary.address(),
        nodes.standbys[0].address()
    );
    let mut refused = 0;
    while refused < 3 {
        let store = service(&url).await;
        let id = EventId::now();
        wait_for("it is written", async || {
            match append(&store, "lamp-1", id, 1).await {
                Ok(()) => Some(()),
                Err(error) => {
                    assert!(error.is_transient(), "{error}");
                    assert!(error.to_string().contains("standby"), "{error}");
                    refused += 1;
                    None
                }
            }
        })
        .await;
        store.close().await;
    }
    main.close().await;
}
