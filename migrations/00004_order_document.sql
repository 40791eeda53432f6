-- +goose Up

-- A warehouse may name an order by the ERP's document number.
CREATE INDEX orders_document ON orders (document) WHERE document <> '';

-- +goose Down
DROP INDEX orders_document;
