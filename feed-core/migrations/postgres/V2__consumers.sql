-- Where each of the service's consumers stands in the feed that it follows, and who may move it on.
CREATE TABLE subscriptions (
    name           TEXT COLLATE "C" PRIMARY KEY,
    feed_url       TEXT   NOT NULL,
    -- The last event that was passed, and when its feed recorded it.
    cursor         TEXT,
    recorded_us    BIGINT,
    -- The feed's newest event, as far as it was heard of.
    head           TEXT,
    head_seen_us   BIGINT,
    state          TEXT COLLATE "C" NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'waiting', 'halted', 'paused')),
    reason         TEXT,
    failures       BIGINT NOT NULL DEFAULT 0,
    next_try_us    BIGINT,
    -- The lease: every change by a new holder or an operator takes the next fence. Its end is told by the database's clock.
    fence          BIGINT NOT NULL DEFAULT 0,
    holder         BYTEA  CHECK (length(holder) = 16),
    lease_boot     TEXT,
    lease_until_ms BIGINT,
    -- Of the events that were passed: all, those of a type without a handler, those that came a second time.
    events         BIGINT NOT NULL DEFAULT 0,
    unhandled      BIGINT NOT NULL DEFAULT 0,
    duplicates     BIGINT NOT NULL DEFAULT 0,
    updated_us     BIGINT NOT NULL
) WITH (fillfactor = 50);

-- Events that were not simply applied. All but the retrying one lie at or before the cursor.
CREATE TABLE subscription_events (
    subscription TEXT COLLATE "C" NOT NULL,
    event_id     BYTEA  NOT NULL CHECK (length(event_id) = 16),
    position     BIGINT NOT NULL CHECK (position > 0),
    ordering_key TEXT COLLATE "C" NOT NULL,
    state        TEXT COLLATE "C" NOT NULL CHECK (state IN ('retrying', 'parked', 'waiting', 'replaying', 'dropped')),
    -- The event in CloudEvents JSON, as it was read.
    event        BYTEA  NOT NULL,
    error        TEXT,
    attempts     BIGINT NOT NULL DEFAULT 0,
    next_try_us  BIGINT,
    dropped_by   TEXT,
    dropped_why  TEXT,
    changed_us   BIGINT NOT NULL,
    PRIMARY KEY (subscription, event_id)
);

-- What waits for its turn, key by key.
CREATE INDEX subscription_events_by_key ON subscription_events (subscription, ordering_key, position)
    WHERE state IN ('parked', 'waiting', 'replaying');

-- Ids of the events that were passed last, for feeds that do not promise that an id comes once.
CREATE TABLE inbox (
    subscription TEXT COLLATE "C" NOT NULL,
    event_id     BYTEA  NOT NULL CHECK (length(event_id) = 16),
    position     BIGINT NOT NULL,
    PRIMARY KEY (subscription, event_id)
);

CREATE INDEX inbox_by_position ON inbox (subscription, position);
