-- What queries are answered from: one row for each order, written with the events that it follows from.
CREATE TABLE orders (
    id             TEXT    PRIMARY KEY,
    status         TEXT    NOT NULL
        CHECK (status IN ('UPDATE', 'CONFIRMED', 'REJECTED', 'CANCELLED', 'EXPIRED', 'COMPLETED')),
    reason         TEXT,
    customer_id    TEXT    NOT NULL,
    requested_mbps INTEGER NOT NULL CHECK (requested_mbps > 0),
    created_us     INTEGER NOT NULL,
    updated_us     INTEGER NOT NULL,
    version        INTEGER NOT NULL CHECK (version > 0),
    last_event_id  BLOB    NOT NULL CHECK (length(last_event_id) = 16)
) STRICT, WITHOUT ROWID;

CREATE INDEX orders_by_customer ON orders (customer_id, id);
CREATE INDEX orders_by_status ON orders (status, id);
-- The sweeper looks at orders without an answer only, the oldest first.
CREATE INDEX orders_waiting ON orders (created_us) WHERE status = 'UPDATE';

-- Answers that were given to requests with an Idempotency-Key, so that a repetition gets the same one.
CREATE TABLE idempotency_keys (
    key            TEXT    PRIMARY KEY,
    request_sha256 BLOB    NOT NULL CHECK (length(request_sha256) = 32),
    order_id       TEXT    NOT NULL,
    answer         TEXT    NOT NULL,
    created_us     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_us);

-- The read model: customers as their own service's feed tells of them.
CREATE TABLE customers (
    customer_id  TEXT    PRIMARY KEY,
    name         TEXT    NOT NULL,
    geo          TEXT    NOT NULL,
    current_mbps INTEGER NOT NULL,
    updated_us   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
