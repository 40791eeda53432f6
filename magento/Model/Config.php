<?php

declare(strict_types=1);

namespace Mageline\Events\Model;

use Magento\Framework\App\Config\ScopeConfigInterface;
use Magento\Store\Model\ScopeInterface;

/**
 * Stores > Configuration > Services > mageline.
 */
class Config
{
    public function __construct(private readonly ScopeConfigInterface $scopeConfig)
    {
    }

    /**
     * Whether the shop wants events of this topic and store. A topic's setting is named as the topic, with underscores.
     */
    public function wants(string $topic, ?int $storeId): bool
    {
        if (!$this->flag('general/enabled', $storeId)) {
            return false;
        }
        return $this->flag('events/' . str_replace('.', '_', $topic), $storeId);
    }

    /**
     * Whether an order is told of before it is saved as well, which is the earliest moment.
     */
    public function earliest(?int $storeId): bool
    {
        return $this->flag('events/sales_order_placed_earliest', $storeId);
    }

    public function outbox(): bool
    {
        return $this->flag('outbox/enabled', null);
    }

    /**
     * Whether what was recorded is published in the request that recorded it, and not by the cron alone.
     */
    public function publishesAtOnce(): bool
    {
        return $this->flag('outbox/at_once', null);
    }

    /**
     * Days for which a row that no broker takes is kept.
     */
    public function keepDays(): int
    {
        return max(1, (int)$this->scopeConfig->getValue('mageline/outbox/keep_days'));
    }

    /**
     * Name of the connection in app/etc/env.php: amqp, or one of queue/connections.
     */
    public function connection(): string
    {
        return (string)$this->scopeConfig->getValue('mageline/general/connection') ?: 'amqp';
    }

    public function exchange(): string
    {
        return (string)$this->scopeConfig->getValue('mageline/general/exchange') ?: 'magento';
    }

    private function flag(string $path, ?int $storeId): bool
    {
        if ($storeId === null) {
            return $this->scopeConfig->isSetFlag('mageline/' . $path);
        }
        return $this->scopeConfig->isSetFlag('mageline/' . $path, ScopeInterface::SCOPE_STORE, $storeId);
    }
}
