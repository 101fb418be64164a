-- The ledger: a row for each geo that was stated or that a customer lives in. A geo is served once it was stated;
-- until then only its customers' speeds are counted. Free is capacity_mbps - in_use_mbps - reserved_mbps; statements
-- of fact may make it negative, reservations never do.
CREATE TABLE geos (
    geo           TEXT COLLATE "C" PRIMARY KEY,
    name          TEXT,
    max_mbps      BIGINT CHECK (max_mbps > 0),
    capacity_mbps BIGINT CHECK (capacity_mbps >= 0),
    in_use_mbps   BIGINT NOT NULL DEFAULT 0 CHECK (in_use_mbps >= 0),
    reserved_mbps BIGINT NOT NULL DEFAULT 0 CHECK (reserved_mbps >= 0),
    updated_us    BIGINT NOT NULL,
    -- The last event that changed what a geo is: who writes waits by it for the read models of others.
    last_event_id BYTEA  CHECK (length(last_event_id) = 16),
    CHECK ((name IS NULL) = (max_mbps IS NULL) AND (name IS NULL) = (capacity_mbps IS NULL))
);

-- The revision counts the changes of a row, so that a change made on what was read before can be refused.
CREATE TABLE customers (
    customer_id   TEXT COLLATE "C" PRIMARY KEY,
    name          TEXT COLLATE "C" NOT NULL,
    geo           TEXT COLLATE "C" NOT NULL REFERENCES geos (geo),
    current_mbps  BIGINT NOT NULL CHECK (current_mbps >= 0),
    revision      BIGINT NOT NULL,
    updated_us    BIGINT NOT NULL,
    last_event_id BYTEA  CHECK (length(last_event_id) = 16)
);

CREATE INDEX customers_by_geo ON customers (geo, customer_id);

-- What queries are answered from: one row for each order that was decided, written with the events that it follows
-- from.
CREATE TABLE reservations (
    order_id         TEXT COLLATE "C" PRIMARY KEY,
    status           TEXT COLLATE "C" NOT NULL CHECK (status IN ('RESERVED', 'REJECTED', 'ACTIVATED', 'RELEASED')),
    reason           TEXT,
    customer_id      TEXT COLLATE "C" NOT NULL,
    geo              TEXT,
    requested_mbps   BIGINT NOT NULL,
    current_mbps     BIGINT,
    difference_mbps  BIGINT,
    free_before_mbps BIGINT,
    created_us       BIGINT NOT NULL,
    updated_us       BIGINT NOT NULL,
    version          BIGINT NOT NULL CHECK (version > 0),
    last_event_id    BYTEA  NOT NULL CHECK (length(last_event_id) = 16)
);

-- One open reservation a customer, whoever writes at the same time.
CREATE UNIQUE INDEX reservations_open ON reservations (customer_id) WHERE status = 'RESERVED';
