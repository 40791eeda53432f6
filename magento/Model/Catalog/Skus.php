<?php

declare(strict_types=1);

namespace Mageline\Events\Model\Catalog;

use Magento\Catalog\Api\Data\ProductInterface;
use Magento\Framework\App\ResourceConnection;
use Magento\Framework\EntityManager\MetadataPool;

/**
 * Looks up SKUs in the tables of the catalogue.
 */
class Skus
{
    public function __construct(
        private readonly ResourceConnection $resource,
        private readonly MetadataPool $metadataPool
    ) {
    }

    /**
     * SKUs of the products, and of the parents that they are variants or parts of. A product that is gone has none.
     *
     * @param int[] $productIds
     * @return string[]
     */
    public function ofProducts(array $productIds): array
    {
        if (!$productIds) {
            return [];
        }
        $connection = $this->resource->getConnection();
        $products = $this->resource->getTableName('catalog_product_entity');
        $own = $connection->select()
            ->from($products, ['sku'])
            ->where('entity_id IN (?)', $productIds);
        // With the staging of Adobe Commerce a parent is named by its row_id.
        $link = $this->metadataPool->getMetadata(ProductInterface::class)->getLinkField();
        $parents = $connection->select()
            ->from(['relation' => $this->resource->getTableName('catalog_product_relation')], [])
            ->join(['parent' => $products], 'parent.' . $link . ' = relation.parent_id', ['sku'])
            ->where('relation.child_id IN (?)', $productIds);
        return array_values(array_unique(array_merge($connection->fetchCol($own), $connection->fetchCol($parents))));
    }

    /**
     * Ids of the products with these SKUs.
     *
     * @param string[] $skus
     * @return int[]
     */
    public function idsOf(array $skus): array
    {
        if (!$skus) {
            return [];
        }
        $connection = $this->resource->getConnection();
        $select = $connection->select()
            ->from($this->resource->getTableName('catalog_product_entity'), ['entity_id'])
            ->where('sku IN (?)', $skus);
        return array_map('intval', $connection->fetchCol($select));
    }

    /**
     * Column sku of the rows with these ids, in a table of the inventory. Rows that are gone have none.
     *
     * @param int[] $ids
     * @return string[]
     */
    public function ofRows(string $table, string $idColumn, array $ids): array
    {
        if (!$ids) {
            return [];
        }
        $connection = $this->resource->getConnection();
        $select = $connection->select()
            ->distinct()
            ->from($this->resource->getTableName($table), ['sku'])
            ->where($idColumn . ' IN (?)', $ids);
        return $connection->fetchCol($select);
    }

    /**
     * All SKUs, so many at a time.
     *
     * @return iterable<string[]>
     */
    public function all(int $size): iterable
    {
        $connection = $this->resource->getConnection();
        $last = 0;
        do {
            $select = $connection->select()
                ->distinct()
                ->from($this->resource->getTableName('catalog_product_entity'), ['entity_id', 'sku'])
                ->where('entity_id > ?', $last)
                ->order('entity_id ASC')
                ->limit($size);
            $rows = $connection->fetchAll($select);
            if ($rows) {
                $last = (int)end($rows)['entity_id'];
                yield array_map('strval', array_column($rows, 'sku'));
            }
        } while (count($rows) === $size);
    }
}
