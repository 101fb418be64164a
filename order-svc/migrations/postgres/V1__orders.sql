-- What queries are answered from: one row for each order, written with the events that it follows from.
CREATE TABLE orders (
    id             TEXT COLLATE "C" PRIMARY KEY,
    status         TEXT COLLATE "C" NOT NULL
        CHECK (status IN ('UPDATE', 'CONFIRMED', 'REJECTED', 'CANCELLED', 'EXPIRED', 'COMPLETED')),
    reason         TEXT,
    customer_id    TEXT COLLATE "C" NOT NULL,
    requested_mbps BIGINT NOT NULL CHECK (requested_mbps > 0),
    created_us     BIGINT NOT NULL,
    updated_us     BIGINT NOT NULL,
    version        BIGINT NOT NULL CHECK (version > 0),
    last_event_id  BYTEA  NOT NULL CHECK (length(last_event_id) = 16)
);

CREATE INDEX orders_by_customer ON orders (customer_id, id);
CREATE INDEX orders_by_status ON orders (status, id);

-- Answers that were given to requests with an Idempotency-Key, so that a repetition gets the same one.
CREATE TABLE idempotency_keys (
    key            TEXT COLLATE "C" PRIMARY KEY,
    request_sha256 BYTEA  NOT NULL CHECK (length(request_sha256) = 32),
    order_id       TEXT COLLATE "C" NOT NULL,
    answer         TEXT   NOT NULL,
    created_us     BIGINT NOT NULL
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_us);

-- The read model of customers is kept in generations, so that it can be built anew beside the one that is read.
CREATE TABLE read_models (
    name       TEXT COLLATE "C" PRIMARY KEY,
    -- The one that is read, and that the live subscription writes. The next one is being built, if there are rows of it;
    -- those before it are waste.
    generation BIGINT NOT NULL CHECK (generation > 0)
);

INSERT INTO read_models (name, generation) VALUES ('customers', 1);

-- The read model: customers as their own service's feed tells of them.
CREATE TABLE customers (
    generation   BIGINT NOT NULL CHECK (generation > 0),
    customer_id  TEXT COLLATE "C" NOT NULL,
    name         TEXT COLLATE "C" NOT NULL,
    geo          TEXT COLLATE "C" NOT NULL,
    current_mbps BIGINT NOT NULL,
    updated_us   BIGINT NOT NULL,
    PRIMARY KEY (generation, customer_id)
);
