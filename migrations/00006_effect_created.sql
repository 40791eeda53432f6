-- +goose NO TRANSACTION
-- +goose Up

-- `mageline key list` gives the newest rows. created_at never changes, so that updates stay in place (HOT). Made beside the
-- writers, which run on; one that was begun and broke off is of no use.
DROP INDEX IF EXISTS effect_created;
CREATE INDEX CONCURRENTLY effect_created ON effect (created_at);

-- +goose Down
DROP INDEX effect_created;
