-- +goose Up

-- What an effect knows that later handlings need, as a JSON object of its own form. A version that does not know these columns
-- leaves them as they are when it changes a row: data is the row's only while data_claim is its claim.
ALTER TABLE effect ADD COLUMN data jsonb, ADD COLUMN data_claim bigint;

-- +goose Down
ALTER TABLE effect DROP COLUMN data, DROP COLUMN data_claim;
