-- A subscription may be split by the hash of the ordering key: each partition is a row, with a cursor and a lease of its own.
CREATE TABLE subscriptions_v5 (
    name              TEXT    NOT NULL,
    -- Which of how many partitions, from 0. A subscription that is not split has one.
    partition         INTEGER NOT NULL DEFAULT 0,
    partitions        INTEGER NOT NULL DEFAULT 1 CHECK (partitions BETWEEN 1 AND 64),
    feed_url          TEXT    NOT NULL,
    -- By what it is split: another ordering key would send events to other partitions. None until a service has said it.
    ordering          TEXT    CHECK (ordering IN ('subject', 'feed', 'key')),
    -- A change that waits until all partitions stand at one position: how many there are to be, and the position that none
    -- of them goes beyond until then. The same in all rows of a subscription.
    partitions_wanted INTEGER CHECK (partitions_wanted BETWEEN 1 AND 64),
    stop_at           INTEGER,
    -- The last event that was passed, and when its feed recorded it.
    cursor            TEXT,
    recorded_us       INTEGER,
    -- The feed's newest event, as far as it was heard of.
    head              TEXT,
    head_seen_us      INTEGER,
    state             TEXT    NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'waiting', 'halted', 'paused')),
    reason            TEXT,
    failures          INTEGER NOT NULL DEFAULT 0,
    next_try_us       INTEGER,
    -- The lease: every change by a new holder or an operator takes the next fence. Its end is counted by a clock that
    -- only runs forward within one boot, so it is told together with the boot's id.
    fence             INTEGER NOT NULL DEFAULT 0,
    holder            BLOB    CHECK (length(holder) = 16),
    lease_boot        TEXT,
    lease_until_ms    INTEGER,
    -- Of the events of this partition that were passed: all, those of a type without a handler, those that came a second
    -- time.
    events            INTEGER NOT NULL DEFAULT 0,
    unhandled         INTEGER NOT NULL DEFAULT 0,
    duplicates        INTEGER NOT NULL DEFAULT 0,
    updated_us        INTEGER NOT NULL,
    PRIMARY KEY (name, partition),
    CHECK (partition >= 0 AND partition < partitions),
    CHECK ((partitions_wanted IS NULL) = (stop_at IS NULL))
) STRICT, WITHOUT ROWID;

INSERT INTO subscriptions_v5
    (name, feed_url, cursor, recorded_us, head, head_seen_us, state, reason, failures, next_try_us, fence, holder, lease_boot,
     lease_until_ms, events, unhandled, duplicates, updated_us)
    SELECT name, feed_url, cursor, recorded_us, head, head_seen_us, state, reason, failures, next_try_us, fence, holder,
           lease_boot, lease_until_ms, events, unhandled, duplicates, updated_us
    FROM subscriptions;

DROP TABLE subscriptions;

ALTER TABLE subscriptions_v5 RENAME TO subscriptions;

-- The hash of the ordering key, from 0 to 2^63 - 1; modulo the number of partitions it says which one the event belongs to.
-- -1 where it was not computed yet, which is of no matter as long as there is one partition.
ALTER TABLE subscription_events ADD COLUMN key_hash INTEGER NOT NULL DEFAULT -1;

-- The instances that share the partitions of a subscription, each as long as its lease lasts.
CREATE TABLE subscription_members (
    subscription   TEXT    NOT NULL,
    member         BLOB    NOT NULL CHECK (length(member) = 16),
    lease_boot     TEXT    NOT NULL,
    lease_until_ms INTEGER NOT NULL,
    PRIMARY KEY (subscription, member)
) STRICT, WITHOUT ROWID;
