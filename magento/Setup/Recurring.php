<?php

declare(strict_types=1);

namespace Mageline\Events\Setup;

use Magento\Framework\Indexer\IndexerRegistry;
use Magento\Framework\Setup\InstallSchemaInterface;
use Magento\Framework\Setup\ModuleContextInterface;
use Magento\Framework\Setup\SchemaSetupInterface;
use Psr\Log\LoggerInterface;

/**
 * Sets the module's indexers to "Update by Schedule" with each upgrade: only then there are triggers.
 */
class Recurring implements InstallSchemaInterface
{
    public const INDEXERS = [
        'mageline_products',
        'mageline_product_parents',
        'mageline_sources',
        'mageline_reservations',
    ];

    public function __construct(
        private readonly IndexerRegistry $indexerRegistry,
        private readonly LoggerInterface $logger
    ) {
    }

    public function install(SchemaSetupInterface $setup, ModuleContextInterface $context): void
    {
        foreach (self::INDEXERS as $id) {
            try {
                $indexer = $this->indexerRegistry->get($id);
                if (!$indexer->isScheduled()) {
                    $indexer->setScheduled(true);
                }
            } catch (\Throwable $e) {
                // A shop without the inventory has no such table, or the database's user may not make triggers: the
                // upgrade goes on.
                $this->logger->error('mageline: indexer ' . $id . ' is not on schedule: ' . $e->getMessage());
            }
        }
    }
}
