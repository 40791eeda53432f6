<?php

declare(strict_types=1);

namespace Mageline\Events\Model;

use Magento\Framework\App\CacheInterface;

/**
 * Remembers for all processes that the broker is away, so that one customer waits for it and not each.
 */
class BrokerMarker
{
    private const ID = 'mageline_broker_away';
    private const SECONDS = 30;

    public function __construct(private readonly CacheInterface $cache)
    {
    }

    public function isAway(): bool
    {
        return $this->cache->load(self::ID) !== false;
    }

    public function setAway(): void
    {
        $this->cache->save('1', self::ID, [], self::SECONDS);
    }
}
