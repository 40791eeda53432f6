<?php

declare(strict_types=1);

namespace Mageline\Events\Model\Indexer;

use Mageline\Events\Model\Catalog\ProductEvents;
use Mageline\Events\Model\Catalog\Skus;
use Magento\Framework\Indexer\ActionInterface;
use Magento\Framework\Mview\ActionInterface as MviewActionInterface;

/**
 * Hands on the products whose stock changed: the triggers note ids of rows that have a SKU and no product id.
 */
class InventoryRows implements ActionInterface, MviewActionInterface
{
    public function __construct(
        private readonly ProductEvents $productEvents,
        private readonly Skus $skus,
        private readonly string $table,
        private readonly string $idColumn
    ) {
    }

    /**
     * @param int[]|string[] $ids
     */
    public function execute($ids): void
    {
        $skus = $this->skus->ofRows($this->table, $this->idColumn, array_map('intval', (array)$ids));
        $this->productEvents->changed($this->skus->idsOf($skus));
    }

    /**
     * Nothing: the index of the products publishes all of them in its own full run.
     */
    public function executeFull(): void
    {
    }

    /**
     * @param int[] $ids
     */
    public function executeList(array $ids): void
    {
        $this->execute($ids);
    }

    /**
     * @param int $id
     */
    public function executeRow($id): void
    {
        $this->execute([$id]);
    }
}
