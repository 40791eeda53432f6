<?php

declare(strict_types=1);

namespace Mageline\Events\Test\Unit;

use Magento\Framework\EntityManager\MetadataPool;
use Magento\Framework\Indexer\IndexerRegistry;
use Magento\Framework\Setup\ModuleContextInterface;
use Magento\Framework\Setup\SchemaSetupInterface;
use Mageline\Events\Model\Catalog\IndexState;
use Mageline\Events\Model\Catalog\Skus;
use Mageline\Events\Model\Indexer\Products;
use Mageline\Events\Setup\Recurring;
use Mageline\Events\Test\Framework\Indexer;

/**
 * Which events changed products leave in the outbox.
 */
class CatalogTest extends OutboxTestCase
{
    public function testChangedProductsWithTheirParents(): void
    {
        $this->products(4);
        $this->shop->adapter->insert('shop_catalog_product_relation', ['parent_id' => 4, 'child_id' => 2]);
        $this->shop->adapter->insert('shop_catalog_product_relation', ['parent_id' => 4, 'child_id' => 3]);
        // As mview hands them over: texts, ids of deleted products, the same again.
        $this->shop->get(Products::class)->execute(['2', '3', '3', '99']);
        self::assertSame(['catalog.products.exported SKU-2,SKU-3,SKU-4'], $this->outbox());
    }

    public function testParentsByRowIdWhereThereIsStaging(): void
    {
        $this->shop->adapter->fetchAll('ALTER TABLE shop_catalog_product_entity ADD COLUMN row_id INTEGER');
        $this->products(3);
        $this->shop->adapter->update('shop_catalog_product_entity', ['row_id' => 30], ['entity_id = ?' => 3]);
        $this->shop->adapter->insert('shop_catalog_product_relation', ['parent_id' => 30, 'child_id' => 1]);
        $skus = new Skus($this->shop->get(\Magento\Framework\App\ResourceConnection::class), new MetadataPool('row_id'));
        self::assertSame(['SKU-1', 'SKU-3'], $skus->ofProducts([1]));
    }

    public function testAtMost500SkusInOneMessage(): void
    {
        $this->products(1203);
        $this->shop->get(Products::class)->executeFull();
        $counts = array_map(static fn (string $line) => substr_count($line, ',') + 1, $this->outbox());
        self::assertSame([500, 500, 203], $counts);
    }

    public function testStockOfASource(): void
    {
        $this->products(2);
        $this->shop->adapter->insert('shop_inventory_source_item', ['source_code' => 'default', 'sku' => 'SKU-2', 'quantity' => 5]);
        $this->shop->get('Mageline\Events\Model\Indexer\SourceItems')->execute(['1']);
        self::assertSame(['catalog.products.exported SKU-2'], $this->outbox());
        $this->shop->get('Mageline\Events\Model\Indexer\SourceItems')->executeFull();
        self::assertCount(1, $this->outbox());
    }

    /**
     * @return iterable<string, array{array<string, Indexer>, string[]}>
     */
    public function states(): iterable
    {
        yield 'a shop without these indexes' => [[], []];
        yield 'done' => [['catalog_product_price' => new Indexer(true, true, 5, 5)], []];
        yield 'behind' => [['catalog_product_price' => new Indexer(true, true, 4, 5)], ['catalog_product_price']];
        yield 'working' => [['inventory' => new Indexer(true, false, 5, 5)], ['inventory']];
        yield 'on save' => [['inventory' => new Indexer(false, false, 0, 5)], []];
    }

    /**
     * @dataProvider states
     */
    public function testWhatProductsWaitFor(array $indexers, array $want): void
    {
        $registry = new IndexerRegistry();
        $registry->indexers = $indexers;
        self::assertSame($want, (new IndexState($registry))->behind());
    }

    public function testUpgradeSetsTheIndexersOnSchedule(): void
    {
        $registry = new IndexerRegistry();
        foreach (Recurring::INDEXERS as $id) {
            $registry->indexers[$id] = new Indexer(false, true, 0, 0);
        }
        unset($registry->indexers['mageline_reservations']); // as in a shop without MSI, whose upgrade goes on
        (new Recurring($registry, $this->shop->get(\Psr\Log\LoggerInterface::class)))
            ->install($this->createMock(SchemaSetupInterface::class), $this->createMock(ModuleContextInterface::class));
        foreach ($registry->indexers as $indexer) {
            self::assertTrue($indexer->isScheduled());
        }
        self::assertCount(1, $this->shop->log);
    }

    private function products(int $count): void
    {
        $this->shop->begin();
        for ($i = 1; $i <= $count; $i++) {
            $this->shop->adapter->insert('shop_catalog_product_entity', ['sku' => "SKU-$i"]);
        }
        $this->shop->commit();
    }
}
