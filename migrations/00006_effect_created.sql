-- +goose NO TRANSACTION
-- +goose Up

-- `mageline key list` reads the newest rows. created_at never changes, so updates stay in place (HOT). The index is built
-- concurrently, while writers run. One that was left incomplete is invalid, and dropped first.
DROP INDEX IF EXISTS effect_created;
CREATE INDEX CONCURRENTLY effect_created ON effect (created_at);

-- +goose Down
DROP INDEX effect_created;
