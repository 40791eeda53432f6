-- +goose Up

-- The processes that run, each with its last heartbeat.
CREATE TABLE process (
    id         text COLLATE "C" PRIMARY KEY, -- host, process id, and a random word for each start
    renewed_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Messages that may kill the process that handles them: redeliveries, and those that take over what another process has begun. If
-- the process of a row is gone, it died while it handled the message.
CREATE TABLE suspect (
    consumer   text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL, -- the letter id
    process    text        NOT NULL,      -- of the last handling
    suspected  boolean     NOT NULL,      -- a process has died over this message
    alone      boolean     NOT NULL,      -- it is being handled with nothing else in flight
    deaths     integer     NOT NULL,      -- of processes while it was handled alone
    entered_at timestamptz NOT NULL,
    PRIMARY KEY (consumer, id)
) WITH (fillfactor = 50);

-- +goose Down
DROP TABLE suspect;
DROP TABLE process;
