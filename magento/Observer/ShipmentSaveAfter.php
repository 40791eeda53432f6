<?php

declare(strict_types=1);

namespace Mageline\Events\Observer;

use Mageline\Events\Model\Event;
use Mageline\Events\Model\Sales\DocumentEvents;
use Magento\Framework\DB\Adapter\DeadlockException;
use Magento\Framework\Event\Observer;
use Magento\Framework\Event\ObserverInterface;
use Psr\Log\LoggerInterface;

/**
 * A shipment is saved, in the save's transaction.
 */
class ShipmentSaveAfter implements ObserverInterface
{
    public function __construct(
        private readonly DocumentEvents $documentEvents,
        private readonly LoggerInterface $logger
    ) {
    }

    public function execute(Observer $observer): void
    {
        try {
            $this->documentEvents->saved(Event::SHIPMENT_CREATED, $observer->getEvent()->getData('data_object'));
        } catch (DeadlockException $e) {
            throw $e; // the database has rolled the save back already: Magento must know
        } catch (\Throwable $e) {
            // An exception here would fail the save.
            $this->logger->critical('mageline: ShipmentSaveAfter: ' . $e->getMessage());
        }
    }
}
