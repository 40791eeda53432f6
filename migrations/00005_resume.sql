-- +goose Up

-- How often an operator has resumed a consumer or a downstream. Each resume ends on every replica what it waits for.
CREATE TABLE resume (
    name  text COLLATE "C" PRIMARY KEY, -- of the consumer or downstream
    times bigint NOT NULL
);

-- +goose Down
DROP TABLE resume;
