-- +goose Up

-- When Magento says that the order was created: a database that was restored may give its entity id and its number to another.
ALTER TABLE orders ADD COLUMN placed_at timestamptz;

-- +goose Down
ALTER TABLE orders DROP COLUMN placed_at;
