<?php

declare(strict_types=1);

namespace Mageline\Events\Model\Catalog;

use Magento\Framework\Indexer\IndexerRegistry;

/**
 * Whether the indexes that a product's answer is made of have handled all changes. Who reads a product before gets
 * yesterday's price.
 */
class IndexState
{
    private const INDEXERS = ['catalog_product_price', 'cataloginventory_stock', 'inventory'];

    public function __construct(private readonly IndexerRegistry $indexerRegistry)
    {
    }

    /**
     * The indexers that are behind.
     *
     * @return string[]
     */
    public function behind(): array
    {
        $behind = [];
        foreach (self::INDEXERS as $id) {
            try {
                $indexer = $this->indexerRegistry->get($id);
            } catch (\InvalidArgumentException $e) {
                continue; // a shop without that module
            }
            if (!$indexer->isScheduled()) {
                continue; // it is done in the save
            }
            $view = $indexer->getView();
            if (!$view->isIdle() || (int)$view->getState()->getVersionId() < (int)$view->getChangelog()->getVersion()) {
                $behind[] = $id;
            }
        }
        return $behind;
    }
}
