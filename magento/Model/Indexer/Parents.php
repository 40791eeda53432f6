<?php

declare(strict_types=1);

namespace Mageline\Events\Model\Indexer;

/**
 * Hands on products whose variants or parts were linked or unlinked. A full run is Products' business.
 */
class Parents extends Products
{
    public function executeFull(): void
    {
    }
}
