<?php

declare(strict_types=1);

namespace Mageline\Events\Observer;

use Mageline\Events\Model\Customer\CustomerEvents;
use Magento\Framework\DB\Adapter\DeadlockException;
use Magento\Framework\Event\Observer;
use Magento\Framework\Event\ObserverInterface;
use Psr\Log\LoggerInterface;

/**
 * A customer is deleted, in that transaction.
 */
class CustomerDeleteAfter implements ObserverInterface
{
    public function __construct(
        private readonly CustomerEvents $customerEvents,
        private readonly LoggerInterface $logger
    ) {
    }

    public function execute(Observer $observer): void
    {
        try {
            $customer = $observer->getEvent()->getData('customer');
            $this->customerEvents->deleted(
                (int)$customer->getId(),
                CustomerEvents::store($customer->getData('store_id'))
            );
        } catch (DeadlockException $e) {
            throw $e; // the database has rolled the save back already: Magento must know
        } catch (\Throwable $e) {
            // An exception here would fail the save.
            $this->logger->critical('mageline: CustomerDeleteAfter: ' . $e->getMessage());
        }
    }
}
