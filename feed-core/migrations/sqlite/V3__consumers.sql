-- Where each of the service's consumers stands in the feed that it follows, and who may move it on.
CREATE TABLE subscriptions_v3 (
    name           TEXT    PRIMARY KEY,
    feed_url       TEXT    NOT NULL,
    -- The last event that was passed, and when its feed recorded it.
    cursor         TEXT,
    recorded_us    INTEGER,
    -- The feed's newest event, as far as it was heard of.
    head           TEXT,
    head_seen_us   INTEGER,
    state          TEXT    NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'waiting', 'halted', 'paused')),
    reason         TEXT,
    failures       INTEGER NOT NULL DEFAULT 0,
    next_try_us    INTEGER,
    -- The lease: every change by a new holder or an operator takes the next fence. Its end is counted by a clock that
    -- only runs forward within one boot, so it is told together with the boot's id.
    fence          INTEGER NOT NULL DEFAULT 0,
    holder         BLOB    CHECK (length(holder) = 16),
    lease_boot     TEXT,
    lease_until_ms INTEGER,
    -- Of the events that were passed: all, those of a type without a handler, those that came a second time.
    events         INTEGER NOT NULL DEFAULT 0,
    unhandled      INTEGER NOT NULL DEFAULT 0,
    duplicates     INTEGER NOT NULL DEFAULT 0,
    updated_us     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO subscriptions_v3 (name, feed_url, cursor, state, reason, events, updated_us)
    SELECT name, feed_url, cursor, CASE WHEN halted IS NULL THEN 'running' ELSE 'halted' END, halted, events, updated_us
    FROM subscriptions;

DROP TABLE subscriptions;

ALTER TABLE subscriptions_v3 RENAME TO subscriptions;

-- Events that were not simply applied. All but the retrying one lie at or before the cursor.
CREATE TABLE subscription_events (
    subscription TEXT    NOT NULL,
    event_id     BLOB    NOT NULL CHECK (length(event_id) = 16),
    position     INTEGER NOT NULL CHECK (position > 0),
    ordering_key TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('retrying', 'parked', 'waiting', 'replaying', 'dropped')),
    -- The event in CloudEvents JSON, as it was read.
    event        BLOB    NOT NULL,
    error        TEXT,
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_try_us  INTEGER,
    dropped_by   TEXT,
    dropped_why  TEXT,
    changed_us   INTEGER NOT NULL,
    PRIMARY KEY (subscription, event_id)
) STRICT;

-- What waits for its turn, key by key.
CREATE INDEX subscription_events_by_key ON subscription_events (subscription, ordering_key, position)
    WHERE state IN ('parked', 'waiting', 'replaying');

-- Ids of the events that were passed last, for feeds that do not promise that an id comes once.
CREATE TABLE inbox (
    subscription TEXT    NOT NULL,
    event_id     BLOB    NOT NULL CHECK (length(event_id) = 16),
    position     INTEGER NOT NULL,
    PRIMARY KEY (subscription, event_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX inbox_by_position ON inbox (subscription, position);
