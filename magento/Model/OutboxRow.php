<?php

declare(strict_types=1);

namespace Mageline\Events\Model;

/**
 * A row of the outbox that this process has leased, to be published.
 */
class OutboxRow
{
    public function __construct(
        public readonly int $id,
        public readonly string $topic,
        public readonly string $body,
        public readonly int $attempts
    ) {
    }
}
