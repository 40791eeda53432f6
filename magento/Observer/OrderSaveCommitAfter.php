<?php

declare(strict_types=1);

namespace Mageline\Events\Observer;

use Mageline\Events\Model\Sales\OrderEvents;
use Magento\Framework\Event\Observer;
use Magento\Framework\Event\ObserverInterface;
use Psr\Log\LoggerInterface;

/**
 * The save of an order, of its item or of its address is committed.
 */
class OrderSaveCommitAfter implements ObserverInterface
{
    public function __construct(
        private readonly OrderEvents $orderEvents,
        private readonly LoggerInterface $logger
    ) {
    }

    public function execute(Observer $observer): void
    {
        try {
            $this->orderEvents->committed($observer->getEvent()->getData('data_object'));
        } catch (\Throwable $e) {
            // An exception here would fail the save.
            $this->logger->critical('mageline: OrderSaveCommitAfter: ' . $e->getMessage());
        }
    }
}
