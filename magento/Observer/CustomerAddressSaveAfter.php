<?php

declare(strict_types=1);

namespace Mageline\Events\Observer;

use Mageline\Events\Model\Customer\CustomerEvents;
use Magento\Framework\DB\Adapter\DeadlockException;
use Magento\Framework\Event\Observer;
use Magento\Framework\Event\ObserverInterface;
use Psr\Log\LoggerInterface;

/**
 * An address of a customer is saved or deleted, in that transaction.
 */
class CustomerAddressSaveAfter implements ObserverInterface
{
    public function __construct(
        private readonly CustomerEvents $customerEvents,
        private readonly LoggerInterface $logger
    ) {
    }

    public function execute(Observer $observer): void
    {
        try {
            $address = $observer->getEvent()->getData('customer_address');
            $this->customerEvents->saved((int)$address->getData('parent_id'), null);
        } catch (DeadlockException $e) {
            throw $e; // the database has rolled the save back already: Magento must know
        } catch (\Throwable $e) {
            // An exception here would fail the save.
            $this->logger->critical('mageline: CustomerAddressSaveAfter: ' . $e->getMessage());
        }
    }
}
