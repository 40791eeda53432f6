<?php

declare(strict_types=1);

namespace Mageline\Events\Observer;

use Mageline\Events\Model\Customer\CustomerEvents;
use Magento\Framework\Event\Observer;
use Magento\Framework\Event\ObserverInterface;
use Psr\Log\LoggerInterface;

/**
 * The last commit of a customer's save, of one of its addresses, or of its deletion.
 */
class CustomerCommitAfter implements ObserverInterface
{
    public function __construct(
        private readonly CustomerEvents $customerEvents,
        private readonly LoggerInterface $logger
    ) {
    }

    public function execute(Observer $observer): void
    {
        try {
            $this->customerEvents->committed();
        } catch (\Throwable $e) {
            // An exception here would fail the save.
            $this->logger->critical('mageline: CustomerCommitAfter: ' . $e->getMessage());
        }
    }
}
