-- +goose Up

-- What an operator has paused for maintenance: a consumer, or every consumer that needs a downstream.
CREATE TABLE pause (
    name   text COLLATE "C" PRIMARY KEY, -- of the consumer or downstream
    since  timestamptz NOT NULL,
    until  timestamptz,                  -- null: until it is resumed
    set_by text        NOT NULL          -- user and host of who paused it last
);

-- +goose Down
DROP TABLE pause;
