-- +goose Up

-- Orders that reconcile has sent an event for, so that none is sent twice while its event is on its way.
CREATE TABLE reconciled (
    key     text COLLATE "C" PRIMARY KEY, -- the business key
    sent_at timestamptz NOT NULL
);

-- How far reconcile has come: every order that was created before has been looked at.
CREATE TABLE reconcile_progress (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    reached timestamptz NOT NULL
);

-- +goose Down
DROP TABLE reconcile_progress;
DROP TABLE reconciled;
