<?php

declare(strict_types=1);

namespace Mageline\Events\Model\Customer;

use Mageline\Events\Api\RecorderInterface;
use Mageline\Events\Model\Event;

/**
 * A customer's record or one of its addresses was saved, or the customer was deleted.
 */
class CustomerEvents
{
    public function __construct(private readonly RecorderInterface $recorder)
    {
    }

    public function saved(int $customerId, ?int $storeId): void
    {
        $this->record(Event::CUSTOMER_SAVED, $customerId, $storeId);
    }

    public function deleted(int $customerId, ?int $storeId): void
    {
        $this->record(Event::CUSTOMER_DELETED, $customerId, $storeId);
    }

    /**
     * After the last commit of the customer's save.
     */
    public function committed(): void
    {
        $this->recorder->flush();
    }

    public static function store(mixed $storeId): ?int
    {
        return $storeId === null || $storeId === '' ? null : (int)$storeId;
    }

    private function record(string $topic, int $customerId, ?int $storeId): void
    {
        if ($customerId > 0) {
            $this->recorder->record(Event::ofEntity($topic, $customerId, null, $storeId, new \DateTimeImmutable()));
        }
    }
}
