-- The read model of customers is kept in generations, so that it can be built anew beside the one that is read. What is
-- there becomes the first.
CREATE TABLE read_models (
    name       TEXT    PRIMARY KEY,
    -- The one that is read, and that the live subscription writes. The next one is being built, if there are rows of it;
    -- those before it are waste.
    generation INTEGER NOT NULL CHECK (generation > 0)
) STRICT, WITHOUT ROWID;

INSERT INTO read_models (name, generation) VALUES ('customers', 1);

ALTER TABLE customers RENAME TO customers_without_generation;

CREATE TABLE customers (
    generation   INTEGER NOT NULL CHECK (generation > 0),
    customer_id  TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    geo          TEXT    NOT NULL,
    current_mbps INTEGER NOT NULL,
    updated_us   INTEGER NOT NULL,
    PRIMARY KEY (generation, customer_id)
) STRICT, WITHOUT ROWID;

INSERT INTO customers (generation, customer_id, name, geo, current_mbps, updated_us)
SELECT 1, customer_id, name, geo, current_mbps, updated_us FROM customers_without_generation;

DROP TABLE customers_without_generation;
