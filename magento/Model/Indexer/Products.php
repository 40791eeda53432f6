<?php

declare(strict_types=1);

namespace Mageline\Events\Model\Indexer;

use Mageline\Events\Model\Catalog\ProductEvents;
use Magento\Framework\Indexer\ActionInterface;
use Magento\Framework\Mview\ActionInterface as MviewActionInterface;

/**
 * Hands on the ids of products that the triggers noted. Nothing is computed here.
 */
class Products implements ActionInterface, MviewActionInterface
{
    public function __construct(private readonly ProductEvents $productEvents)
    {
    }

    /**
     * @param int[]|string[] $ids
     */
    public function execute($ids): void
    {
        $this->productEvents->changed(array_map('intval', (array)$ids));
    }

    /**
     * A full run first forgets what the triggers noted, so it publishes every product.
     */
    public function executeFull(): void
    {
        $this->productEvents->all();
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
