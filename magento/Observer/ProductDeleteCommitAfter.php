<?php

declare(strict_types=1);

namespace Mageline\Events\Observer;

use Mageline\Events\Model\Catalog\ProductEvents;
use Magento\Framework\Event\Observer;
use Magento\Framework\Event\ObserverInterface;
use Psr\Log\LoggerInterface;

/**
 * The deletion of a product is committed.
 */
class ProductDeleteCommitAfter implements ObserverInterface
{
    public function __construct(
        private readonly ProductEvents $productEvents,
        private readonly LoggerInterface $logger
    ) {
    }

    public function execute(Observer $observer): void
    {
        try {
            $this->productEvents->committed();
        } catch (\Throwable $e) {
            // An exception here would fail the save.
            $this->logger->critical('mageline: ProductDeleteCommitAfter: ' . $e->getMessage());
        }
    }
}
