-- +goose Up

-- The search indexes that products are written to, by the name that the front end asks for.
CREATE TABLE search_index (
    index  text COLLATE "C" PRIMARY KEY,
    change text NOT NULL -- a token of the last change of its generations
);

-- Their generations: what the engine keeps under that name. Products are written to the one that is searched and to the one that is
-- being filled to take its place; one that was searched before is kept for a day.
CREATE TABLE search_generation (
    index      text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL, -- the engine's own
    generation text COLLATE "C" NOT NULL, -- differs between two indexes of one name of which the first was deleted
    state      text COLLATE "C" NOT NULL CHECK (state IN ('searched', 'filling', 'kept')),
    since      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (index, name, generation)
);
CREATE UNIQUE INDEX search_generation_one ON search_generation (index, state) WHERE state <> 'kept';

-- The last run of `mageline reindex`, which is one at a time.
CREATE TABLE reindex (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    run         text        NOT NULL,           -- names it
    owner       text        NOT NULL,           -- the process that runs it: a name for people, slash, a token; '' is nobody
    lease_until timestamptz NOT NULL,           -- until then nobody else may go on with it
    started_at  timestamptz NOT NULL,
    ended_at    timestamptz,                    -- when all of it was done
    swap        boolean     NOT NULL,
    stores      text[]      NOT NULL,           -- the store views whose indexes it is about
    phase       text        NOT NULL,           -- what it does: publish, delete, swap
    reached     bigint      NOT NULL DEFAULT 0, -- each product up to this entity id is in reindex_page, or done
    total       bigint      NOT NULL DEFAULT 0, -- products of Magento when it began
    handled     bigint      NOT NULL DEFAULT 0, -- of those that were published
    failed      bigint      NOT NULL DEFAULT 0, -- that nobody has handled, and that nobody will
    deleted     bigint      NOT NULL DEFAULT 0  -- documents of products that Magento no longer has
);

-- The messages of the run that are not handled yet: a page of products each.
CREATE TABLE reindex_page (
    page      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run       text    NOT NULL,
    deletion  boolean NOT NULL, -- of products that Magento seems to have no longer
    skus      text[]  NOT NULL
);

-- +goose Down
DROP TABLE reindex_page;
DROP TABLE reindex;
DROP TABLE search_generation;
DROP TABLE search_index;
