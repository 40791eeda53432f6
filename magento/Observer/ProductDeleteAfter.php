<?php

declare(strict_types=1);

namespace Mageline\Events\Observer;

use Mageline\Events\Model\Catalog\ProductEvents;
use Magento\Framework\DB\Adapter\DeadlockException;
use Magento\Framework\Event\Observer;
use Magento\Framework\Event\ObserverInterface;
use Psr\Log\LoggerInterface;

/**
 * A product is deleted, in that transaction: no trigger knows its SKU afterwards.
 */
class ProductDeleteAfter implements ObserverInterface
{
    public function __construct(
        private readonly ProductEvents $productEvents,
        private readonly LoggerInterface $logger
    ) {
    }

    public function execute(Observer $observer): void
    {
        try {
            $this->productEvents->deleted((string)$observer->getEvent()->getData('product')->getData('sku'));
        } catch (DeadlockException $e) {
            throw $e; // the database has rolled the save back already: Magento must know
        } catch (\Throwable $e) {
            // An exception here would fail the save.
            $this->logger->critical('mageline: ProductDeleteAfter: ' . $e->getMessage());
        }
    }
}
