<?php

declare(strict_types=1);

namespace Mageline\Events\Observer;

use Mageline\Events\Model\Sales\OrderEvents;
use Magento\Framework\DB\Adapter\DeadlockException;
use Magento\Framework\Event\Observer;
use Magento\Framework\Event\ObserverInterface;
use Psr\Log\LoggerInterface;

/**
 * An order is saved, in the save's transaction.
 */
class OrderSaveAfter implements ObserverInterface
{
    public function __construct(
        private readonly OrderEvents $orderEvents,
        private readonly LoggerInterface $logger
    ) {
    }

    public function execute(Observer $observer): void
    {
        try {
            $this->orderEvents->saved($observer->getEvent()->getData('order'));
        } catch (DeadlockException $e) {
            throw $e; // the database has rolled the save back already: Magento must know
        } catch (\Throwable $e) {
            // An exception here would fail the save.
            $this->logger->critical('mageline: OrderSaveAfter: ' . $e->getMessage());
        }
    }
}
