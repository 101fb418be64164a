-- What the service publishes. A row never changes once it is written.
CREATE TABLE feeds (
    feed            INTEGER PRIMARY KEY CHECK (feed BETWEEN 1 AND 1000000),
    name            TEXT    NOT NULL UNIQUE,
    feed_id         BLOB    NOT NULL UNIQUE CHECK (length(feed_id) = 16),
    author          TEXT    NOT NULL,
    title           TEXT    NOT NULL,
    source          TEXT    NOT NULL,
    visibility      TEXT    NOT NULL CHECK (visibility IN ('public', 'private')),
    page_capacity   INTEGER NOT NULL CHECK (page_capacity > 0),
    event_bytes_max INTEGER NOT NULL CHECK (event_bytes_max > 0),
    created_us      INTEGER NOT NULL
) STRICT;

-- The stretches of each feed's history. An event's epoch is the last one that began at or before its position.
CREATE TABLE epochs (
    feed           INTEGER NOT NULL REFERENCES feeds (feed),
    first_position INTEGER NOT NULL CHECK (first_position > 0),
    epoch          BLOB    NOT NULL UNIQUE CHECK (length(epoch) = 8),
    reason         TEXT    NOT NULL,
    opened_us      INTEGER NOT NULL,
    PRIMARY KEY (feed, first_position)
) STRICT, WITHOUT ROWID;

-- The events, in the order of their positions. One key holds feed and position, so that a feed's events lie side
-- by side and an append touches no index but the two that it needs: unique ids, and a subject's versions.
CREATE TABLE outbox (
    feed_position   INTEGER PRIMARY KEY,
    id              BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    type            TEXT    NOT NULL,
    subject         TEXT    NOT NULL,
    version         INTEGER NOT NULL CHECK (version > 0),
    time_us         INTEGER NOT NULL,
    recorded_us     INTEGER NOT NULL,
    "check"         BLOB    NOT NULL CHECK (length("check") = 6),
    datacontenttype TEXT,
    dataschema      TEXT,
    traceparent     TEXT,
    causationid     BLOB,
    correlationid   TEXT,
    extensions      TEXT,
    data            BLOB,
    feed            INTEGER GENERATED ALWAYS AS (feed_position >> 40) VIRTUAL,
    position        INTEGER GENERATED ALWAYS AS (feed_position & 1099511627775) VIRTUAL,
    UNIQUE (subject, version)
) STRICT;

-- Where each of the service's consumers stands in the feed that it follows.
CREATE TABLE subscriptions (
    name       TEXT    PRIMARY KEY,
    feed_url   TEXT    NOT NULL,
    cursor     TEXT,
    events     INTEGER NOT NULL DEFAULT 0,
    halted     TEXT,
    updated_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
