<?php

declare(strict_types=1);

namespace Mageline\Events\Model\Catalog;

use Mageline\Events\Api\RecorderInterface;
use Mageline\Events\Model\Event;

/**
 * Products that changed or were deleted, by SKU.
 */
class ProductEvents
{
    public function __construct(
        private readonly RecorderInterface $recorder,
        private readonly Skus $skus
    ) {
    }

    /**
     * Products that changed, with the parents of those that are variants or parts.
     *
     * @param int[] $productIds
     */
    public function changed(array $productIds): void
    {
        foreach (array_chunk(array_values(array_unique($productIds)), Event::MAX_SKUS) as $part) {
            $this->record(Event::PRODUCTS_EXPORTED, $this->skus->ofProducts($part));
        }
        $this->recorder->flush();
    }

    /**
     * Every product of the shop.
     */
    public function all(): void
    {
        foreach ($this->skus->all(Event::MAX_SKUS) as $part) {
            $this->record(Event::PRODUCTS_EXPORTED, $part);
        }
        $this->recorder->flush();
    }

    /**
     * In the transaction of the product's deletion.
     */
    public function deleted(string $sku): void
    {
        $this->record(Event::PRODUCTS_DELETED, [$sku]);
    }

    /**
     * After the commit.
     */
    public function committed(): void
    {
        $this->recorder->flush();
    }

    /**
     * @param string[] $skus
     */
    private function record(string $topic, array $skus): void
    {
        foreach (Event::ofSkus($topic, $skus, new \DateTimeImmutable()) as $event) {
            $this->recorder->record($event);
        }
    }
}
