-- A subscription may be split by the hash of the ordering key: each partition is a row, with a cursor and a lease of its own.
ALTER TABLE subscriptions
    -- Which of how many partitions, from 0. A subscription that is not split has one.
    ADD COLUMN partition         BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN partitions        BIGINT NOT NULL DEFAULT 1 CHECK (partitions BETWEEN 1 AND 64),
    -- By what it is split: another ordering key would send events to other partitions. None until a service has said it.
    ADD COLUMN ordering          TEXT COLLATE "C" CHECK (ordering IN ('subject', 'feed', 'key')),
    -- A change that waits until all partitions stand at one position: how many there are to be, and the position that none
    -- of them goes beyond until then. The same in all rows of a subscription.
    ADD COLUMN partitions_wanted BIGINT CHECK (partitions_wanted BETWEEN 1 AND 64),
    ADD COLUMN stop_at           BIGINT,
    ADD CHECK (partition >= 0 AND partition < partitions),
    ADD CHECK ((partitions_wanted IS NULL) = (stop_at IS NULL)),
    DROP CONSTRAINT subscriptions_pkey,
    ADD PRIMARY KEY (name, partition);

-- The hash of the ordering key, from 0 to 2^63 - 1; modulo the number of partitions it says which one the event belongs to.
-- -1 where it was not computed yet, which is of no matter as long as there is one partition.
ALTER TABLE subscription_events ADD COLUMN key_hash BIGINT NOT NULL DEFAULT -1;

-- The instances that share the partitions of a subscription, each as long as its lease lasts.
CREATE TABLE subscription_members (
    subscription   TEXT COLLATE "C" NOT NULL,
    member         BYTEA  NOT NULL CHECK (length(member) = 16),
    lease_boot     TEXT   NOT NULL,
    lease_until_ms BIGINT NOT NULL,
    PRIMARY KEY (subscription, member)
);
