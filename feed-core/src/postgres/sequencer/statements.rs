//! The sequencer's statements.

use std::sync::LazyLock;

/// Where the tables are, as a number that no other place has: the cluster, the database and the table itself. What is
/// restored from a dump, into the same cluster too, has another one, and so has a database made of another as a template.
pub(super) const PLACE_ID: &str = "hashint8extended((SELECT system_identifier FROM pg_control_system()),
    (SELECT oid::bigint FROM pg_database WHERE datname = current_database()) << 32 | 'outbox'::regclass::oid::bigint)";

pub(super) const TIMELINE: &str =
    "('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint";

/// Whether a feed has something to be sequenced, without waiting for anybody and without writing anything.
pub(super) static PENDING: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT b.feed
FROM feeds f CROSS JOIN LATERAL (
    SELECT * FROM sequencer_batches WHERE feed = f.feed ORDER BY batch DESC LIMIT 1
) b
WHERE b.doing IS NOT NULL
   OR b.system_id <> (SELECT {PLACE_ID})
   OR b.timeline <> {TIMELINE}
   OR pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax(b.done)
   OR EXISTS (
       SELECT FROM outbox
       WHERE feed = b.feed AND xid >= pg_snapshot_xmax(b.done) AND xid < pg_snapshot_xmax(pg_current_snapshot())
         AND event_no > b.event_no_done
   )
   OR EXISTS (
       SELECT FROM pg_snapshot_xip(b.done) AS running(xid) JOIN outbox o ON o.feed = b.feed AND o.xid = running.xid
       WHERE o.event_no > b.event_no_done
   )"
    )
});

/// Held until the transaction ends: one sequencer of a feed at a time.
pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock(
    (SELECT oid::bigint << 32 | $1 FROM pg_namespace WHERE nspname = current_schema()))";

/// The newest batch, the newest place, and this very moment's snapshot.
pub(super) static LAST: LazyLock<String> = LazyLock::new(|| {
    format!(
        r#"SELECT b.batch, b.done::text, b.doing::text, b.doing_upto, b.event_no_done, b.system_id, b.timeline,
    pg_current_snapshot()::text,
    {PLACE_ID},
    {TIMELINE},
    CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT),
    p.position, p."check", p.recorded_us, f.pruned_position, f.pruned_check,
    pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax(b.done)
FROM feeds f
CROSS JOIN LATERAL (SELECT * FROM sequencer_batches WHERE feed = f.feed ORDER BY batch DESC LIMIT 1) b
LEFT JOIN LATERAL (SELECT * FROM positions WHERE feed = f.feed ORDER BY position DESC LIMIT 1) p ON true
WHERE f.feed = $1"#
    )
});

/// What became visible between the snapshots $2 and $3, behind event $4: what began after the first one, and what was
/// running in it. The order is that in which the numbers were drawn, and so within a subject that of its versions.
pub(super) const FOUND: &str = "
SELECT o.xid, o.event_no, o.id FROM (
    SELECT xid, event_no, id FROM outbox
    WHERE feed = $1
      AND xid >= pg_snapshot_xmax($2::text::pg_snapshot) AND xid < pg_snapshot_xmax($3::text::pg_snapshot)
      AND pg_visible_in_snapshot(xid, $3::text::pg_snapshot)
    UNION ALL
    SELECT o.xid, o.event_no, o.id
    FROM pg_snapshot_xip($2::text::pg_snapshot) AS running(xid) JOIN outbox o ON o.feed = $1 AND o.xid = running.xid
    WHERE pg_visible_in_snapshot(o.xid, $3::text::pg_snapshot)
) o
WHERE o.event_no > $4
ORDER BY o.event_no LIMIT $5";

/// Puts the numbers of events that come next behind those that are there, and says so in the log, since those that were
/// drawn in advance may be forgotten by a crash: a restore may have left them behind, and an event with a number of before
/// would never be looked for.
pub(super) const NUMBERS_BEHIND: &str = "
SELECT setval(s.name::regclass, greatest(n.newest, q.last_value))
FROM (SELECT pg_get_serial_sequence('outbox', 'event_no') AS name) s
CROSS JOIN (SELECT max(event_no) AS newest FROM outbox) n
JOIN pg_sequences q ON to_regclass(format('%I.%I', q.schemaname, q.sequencename)) = s.name::regclass
WHERE greatest(n.newest, q.last_value) IS NOT NULL";

/// What has no place, whatever its transaction; for a database that came to another place. A subject's events stay in the
/// order of their versions, also where numbers began anew.
pub(super) const UNPLACED: &str = "
SELECT o.xid, o.event_no, o.id FROM (
    SELECT o.xid, o.event_no, o.id, o.version, max(o.event_no) OVER (PARTITION BY o.subject ORDER BY o.version) AS behind
    FROM outbox o
    WHERE o.feed = $1 AND NOT EXISTS (SELECT FROM positions p WHERE p.event_no = o.event_no AND p.xid = o.xid)
) o
ORDER BY o.behind, o.version, o.event_no";

pub(super) const PLACE: &str = r#"
INSERT INTO positions (feed, position, xid, event_no, "check", recorded_us)
SELECT $1, $2 + e.number, e.xid, e.event_no, e."check", $6
FROM unnest($3::xid8[], $4::bigint[], $5::bytea[]) WITH ORDINALITY AS e(xid, event_no, "check", number)"#;

pub(super) const NEXT_BATCH: &str = "
INSERT INTO sequencer_batches (feed, batch, done, doing, doing_upto, event_no_done, system_id, timeline)
VALUES ($1, $2, $3::text::pg_snapshot, $4::text::pg_snapshot, $5, $6, $7, $8)";

pub(super) const FORGET_BATCHES: &str =
    "DELETE FROM sequencer_batches WHERE feed = $1 AND batch < $2";

pub(super) const OPEN_EPOCH: &str = "
INSERT INTO epochs (feed, first_position, epoch, reason, opened_us) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (feed, first_position) DO UPDATE SET epoch = excluded.epoch, reason = excluded.reason, opened_us = excluded.opened_us";

pub(super) const NOTIFY: &str = "SELECT pg_notify($1, '')";
