-- +goose Up

-- When this database first became mageline's: reconcile never reaches behind it.
CREATE TABLE installation (
    migrated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO installation DEFAULT VALUES;

-- One row for each effect of each business key. Every row is updated a few times soon after it was made, so half of each
-- page stays free for the new versions, and no column that changes has an index: both keep updates in place (HOT).
CREATE TABLE effect (
    consumer    text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL, -- the business key
    effect      text COLLATE "C" NOT NULL,
    state       text        NOT NULL,      -- in_progress, uncertain, failed, waiting, skipped, done
    owner       text        NOT NULL,      -- who claimed it last: process, slash, a token of its own for each claim
    claim       bigint      NOT NULL,      -- grows with each claim
    lease_until timestamptz NOT NULL,      -- in_progress: until when nobody else may claim it
    sent_at     timestamptz,               -- not null: something sent until then may have taken effect unrecorded
    accepted    boolean     NOT NULL,      -- the downstream took it and gave no number yet
    result      text        NOT NULL,      -- what the effect gave: a document number
    reason      text        NOT NULL,      -- why it waits or was skipped
    class       text        NOT NULL,      -- class of the last error
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (consumer, key, effect)
) WITH (fillfactor = 50);

-- What is known of an order, written together with the effect that found it out.
CREATE TABLE orders (
    key           text COLLATE "C" PRIMARY KEY, -- the business key
    consumer      text        NOT NULL,         -- with key and effect: the row of effect that it belongs to
    effect        text        NOT NULL,
    entity_id     bigint      NOT NULL,
    store_id      bigint      NOT NULL,
    state         text        NOT NULL,         -- Magento's
    document      text        NOT NULL,         -- the ERP's number
    waiting       boolean     NOT NULL,
    waiting_since timestamptz,                  -- since when it was not exportable, kept until it is done or skipped
    looked_at     timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX orders_waiting ON orders (looked_at, key) WHERE waiting;

-- A claim on a name: the writer of an order, a periodic task, the reader of a dead-letter queue.
CREATE TABLE lease (
    name        text COLLATE "C" PRIMARY KEY,
    owner       text        NOT NULL,
    claim       bigint      NOT NULL,
    lease_until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- +goose Down
DROP TABLE lease;
DROP TABLE orders;
DROP TABLE effect;
DROP TABLE installation;
