-- +goose Up

-- How new a value is that Magento has, and the value that is being written: of prices and stock. Rows are updated twice for each
-- write. Half of each page stays free for new versions of its rows, and no column that changes has an index: both keep updates in
-- place (HOT).
CREATE TABLE watermark (
    sku         text COLLATE "C" NOT NULL, -- in lower case, as Magento compares it
    kind        text COLLATE "C" NOT NULL, -- base, special, tier or stock
    scope       text COLLATE "C" NOT NULL, -- the rest of the key: a store, a source, a tier
    written     timestamptz,               -- the newest version that Magento has accepted
    message     text        NOT NULL,      -- letter id of the message that had it
    lost        timestamptz,               -- not null: the newest version of which nobody knows whether it was written
    writing     timestamptz,               -- while it has an owner: the version that is being written; null: none, it is only held
    owner       text        NOT NULL,      -- of the claim: process, slash, a token for each claim; '' is nobody
    claim       bigint      NOT NULL,      -- grows with each claim
    lease_until timestamptz NOT NULL,      -- until then nobody else may take the claim over
    not_before  timestamptz NOT NULL,      -- nothing is written sooner: a call that was given up may still have its effect
    PRIMARY KEY (sku, kind, scope)
) WITH (fillfactor = 50);

-- A price that differs so much from what Magento has that a person decides over it.
CREATE TABLE held_price (
    sku       text COLLATE "C" NOT NULL,
    kind      text COLLATE "C" NOT NULL,
    scope     text COLLATE "C" NOT NULL,
    as_of     timestamptz NOT NULL,
    old_price numeric     NOT NULL,  -- what Magento had
    new_price numeric     NOT NULL,
    message   text        NOT NULL,  -- letter id of the message that has it
    body      text        NOT NULL,  -- a message of the same form with this price alone
    held_at   timestamptz NOT NULL,
    released  timestamptz,           -- when a person has released it; the row goes when it is written
    PRIMARY KEY (sku, kind, scope)
);

-- +goose Down
DROP TABLE held_price;
DROP TABLE watermark;
