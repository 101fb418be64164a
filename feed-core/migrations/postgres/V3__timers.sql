-- What is to be done later. A row is set by the transaction that wants it done, and taken away by the one that does it.
CREATE TABLE timers (
    kind          TEXT COLLATE "C" NOT NULL CHECK (length(kind) BETWEEN 1 AND 255),
    key           TEXT COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    -- Another one each time that the timer is set; the ids of the events that follow derive from it.
    setting_id    BYTEA  NOT NULL CHECK (length(setting_id) = 16),
    due_us        BIGINT NOT NULL,
    data          TEXT,
    causationid   BYTEA,
    correlationid TEXT,
    traceparent   TEXT,
    attempts      BIGINT NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- The due time, and after a failure the end of the back-off.
    next_try_us   BIGINT NOT NULL,
    error         TEXT,
    -- 1: trying again does not help, somebody has to look at it.
    failed        BIGINT NOT NULL DEFAULT 0 CHECK (failed IN (0, 1)),
    PRIMARY KEY (kind, key)
);

-- By kind, so that timers that nobody fires here are never read.
CREATE INDEX timers_by_next_try ON timers (kind, next_try_us) WHERE failed = 0;
