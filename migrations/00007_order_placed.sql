-- +goose Up

-- The order's created_at in Magento. A shop whose database was restored may use its entity id and number again for another order.
ALTER TABLE orders ADD COLUMN placed_at timestamptz;

-- +goose Down
ALTER TABLE orders DROP COLUMN placed_at;
