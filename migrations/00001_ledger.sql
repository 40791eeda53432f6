-- +goose Up

-- Since when mageline uses this database: reconcile does not look at older orders.
CREATE TABLE installation (
    migrated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO installation DEFAULT VALUES;

-- One row for each effect of each business key. A row is updated a few times soon after its insert. Half of each page stays free
-- for new versions of its rows, and no column that changes has an index: both keep updates in place (HOT).
CREATE TABLE effect (
    consumer    text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL, -- the business key
    effect      text COLLATE "C" NOT NULL,
    state       text        NOT NULL,      -- in_progress, uncertain, failed, waiting, skipped, done
    owner       text        NOT NULL,      -- of the last claim: process, slash, a token for each claim
    claim       bigint      NOT NULL,      -- grows with each claim
    lease_until timestamptz NOT NULL,      -- in_progress: until then nobody else may claim it
    sent_at     timestamptz,               -- not null: a request sent before then may have had an effect that is not recorded
    accepted    boolean     NOT NULL,      -- the downstream has accepted the request and not returned a number yet
    result      text        NOT NULL,      -- of the effect: a document number
    reason      text        NOT NULL,      -- why it waits or was skipped
    class       text        NOT NULL,      -- class of the last error
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (consumer, key, effect)
) WITH (fillfactor = 50);

-- The state of an order, written in the transaction of the effect that has read it.
CREATE TABLE orders (
    key           text COLLATE "C" PRIMARY KEY, -- the business key
    consumer      text        NOT NULL,         -- with key and effect: the row of effect that it belongs to
    effect        text        NOT NULL,
    entity_id     bigint      NOT NULL,
    store_id      bigint      NOT NULL,
    state         text        NOT NULL,         -- Magento's
    document      text        NOT NULL,         -- the ERP's number
    waiting       boolean     NOT NULL,
    waiting_since timestamptz,                  -- since when it waits, kept until it is done or skipped
    looked_at     timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX orders_waiting ON orders (looked_at, key) WHERE waiting;

-- Leases on a name: the writer of an order, a periodic task.
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
