-- +goose Up

-- What is known of the document of each product in each generation of a search index. A row stays when the document is deleted: the
-- version keeps an older write from bringing it back after the engine has forgotten the deletion. Rows are updated twice for each
-- write, and no column that changes has an index.
CREATE TABLE search_document (
    target       text COLLATE "C" NOT NULL, -- name and generation of the index: search_generation has both
    sku          text COLLATE "C" NOT NULL, -- in lower case, as Magento compares it
    id           text        NOT NULL,      -- of the document: the SKU as Magento spells it
    version      bigint      NOT NULL,      -- the newest that was to be written; the engine may have an older one of the same content
    deleted      boolean     NOT NULL,      -- what is to be at that version
    hash         text        NOT NULL,      -- of what the engine has; '' if nobody knows for certain
    pending      bigint,                    -- the newest version that is on its way to the engine, or was and nobody knows how it ended
    pending_hash text        NOT NULL,
    doubt        boolean     NOT NULL,      -- two different documents of the pending version are on their way
    handled_at   timestamptz NOT NULL,      -- when the handling began that last came to an end
    PRIMARY KEY (target, sku)
) WITH (fillfactor = 50);

-- Which products a composed product is made of.
CREATE TABLE search_part (
    parent text COLLATE "C" NOT NULL, -- SKUs in lower case
    child  text COLLATE "C" NOT NULL,
    PRIMARY KEY (child, parent)
);
CREATE INDEX search_part_parent ON search_part (parent);

-- Products that are read again, because Magento's indexes lag behind a change.
CREATE TABLE search_settle (
    sku     text COLLATE "C" PRIMARY KEY,
    soon    boolean     NOT NULL, -- it is to be read at once, too
    due_at  timestamptz NOT NULL,
    change  bigint      NOT NULL  -- grows with each change
);

-- The last version that was given to a reading, in milliseconds since 1970.
CREATE TABLE search_clock (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    last bigint NOT NULL
);
INSERT INTO search_clock (last) VALUES (0);

-- +goose Down
DROP TABLE search_clock;
DROP TABLE search_settle;
DROP TABLE search_part;
DROP TABLE search_document;
