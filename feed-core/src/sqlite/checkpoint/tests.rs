use tempfile::TempDir;

use super::*;

const SMALL: Bounds = Bounds {
    pages: 20,
    last_pages_max: 10,
    pages_max: 100,
    bytes_warn: 300 * 4_096,
};

/// A file with a table, and the connection that writes to it.
fn file() -> (TempDir, Connection, Checkpoints) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.db");
    let conn = open_writer(&path, OpenFlags::default()).unwrap();
    let checkpoints = Checkpoints::start(&conn, &path, SMALL).unwrap();
    conn.execute_batch("CREATE TABLE t (b BLOB)").unwrap();
    (folder, conn, checkpoints)
}

fn write(conn: &Connection) {
    conn.execute_batch("INSERT INTO t VALUES (randomblob(3000))")
        .unwrap();
}

/// Commits so often, and says what was done after each; the thread is as quick as can be.
fn commits(conn: &Connection, checkpoints: &mut Checkpoints, count: usize) -> Vec<Did> {
    let mut did = Vec::new();
    for _ in 0..count {
        write(conn);
        did.push(checkpoints.after_commit(conn));
        while checkpoints.thread.is_working() {
            thread::yield_now();
        }
    }
    did
}

fn count(did: &[Did], wanted: Did) -> usize {
    did.iter().filter(|one| **one == wanted).count()
}

#[test]
fn the_thread_does_it() {
    let (_folder, conn, mut checkpoints) = file();
    let did = commits(&conn, &mut checkpoints, 200);
    assert!(count(&did, Did::Asked) >= 5, "{did:?}");
    assert!(WAL_PAGES.get() < 2 * SMALL.pages, "{}", WAL_PAGES.get());
}

#[test]
fn the_writer_ends_what_the_thread_has_nearly_done() {
    let (_folder, conn, mut checkpoints) = file();
    while checkpoints.after_commit(&conn) != Did::Asked {
        write(&conn);
    }
    // Somebody commits while the thread works, so that it does not come to the end.
    while checkpoints.thread.is_working() {
        thread::yield_now();
    }
    let pages = WAL_PAGES.get() - SMALL.last_pages_max;
    let generation = checkpoints.generation;
    let done = packed(generation, pages);
    checkpoints
        .thread
        .progress
        .done
        .store(done, Ordering::Release);
    assert_eq!(checkpoints.after_commit(&conn), Did::Finished);
    write(&conn);
    assert!(WAL_PAGES.get() < SMALL.pages);
    // What is heard of the WAL as it was before is of no meaning for the new one.
    checkpoints
        .thread
        .progress
        .done
        .store(done, Ordering::Release);
    assert_eq!(checkpoints.after_commit(&conn), Did::Nothing);
    assert_eq!(checkpoints.thread.take_done(checkpoints.generation), None);
}

#[test]
fn the_writer_does_it_alone_when_the_thread_is_of_no_help() {
    let (_folder, conn, mut checkpoints) = file();
    // As if it had no thread.
    checkpoints.thread.wake = None;
    let mut most = 0;
    for _ in 0..1_000 {
        write(&conn);
        most = most.max(WAL_PAGES.get());
        checkpoints.after_commit(&conn);
    }
    assert!(most <= SMALL.pages_max + 10, "{most}");
}

#[test]
fn a_reader_that_does_not_end_is_told_and_costs_one_wait_a_bound() {
    let (folder, conn, mut checkpoints) = file();
    write(&conn);
    let reader = Connection::open(folder.path().join("file.db")).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM t")
        .unwrap();
    let did = commits(&conn, &mut checkpoints, 1_000);
    assert_eq!(count(&did, Did::Finished), 0, "{did:?}");
    let told = count(&did, Did::Blocked { told: true });
    assert!((2..=4).contains(&told), "{did:?}");
    let blocked = count(&did, Did::Blocked { told: false });
    assert!(blocked <= 40, "{did:?}");
    // As soon as it has ended, the WAL begins anew.
    reader.execute_batch("COMMIT").unwrap();
    commits(&conn, &mut checkpoints, 200);
    assert!(WAL_PAGES.get() < SMALL.pages_max);
}
