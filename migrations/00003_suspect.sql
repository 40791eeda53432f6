-- +goose Up

-- The processes that run, each with the time of its last sign of life.
CREATE TABLE process (
    id         text COLLATE "C" PRIMARY KEY, -- host, process id, and a word of its own for each start
    renewed_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Messages that may kill the process that handles them: those that were delivered before, or that continue what another
-- process has begun. One that is here while its process is gone has seen it die.
CREATE TABLE suspect (
    consumer   text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL, -- the dead-letter id
    process    text        NOT NULL,      -- who took it up last
    suspected  boolean     NOT NULL,      -- a process has died while it had this message
    alone      boolean     NOT NULL,      -- it is handled now, with nothing else in flight
    deaths     integer     NOT NULL,      -- of processes while it was handled so
    entered_at timestamptz NOT NULL,
    PRIMARY KEY (consumer, id)
) WITH (fillfactor = 50);

-- +goose Down
DROP TABLE suspect;
DROP TABLE process;
