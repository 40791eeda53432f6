<?php

declare(strict_types=1);

namespace Mageline\Events\Cron;

use Mageline\Events\Api\OutboxInterface;
use Mageline\Events\Model\Config;
use Psr\Log\LoggerInterface;

/**
 * Deletes rows that no broker took for days, so that events nobody listens to do not fill the table.
 */
class CleanOutbox
{
    public function __construct(
        private readonly OutboxInterface $outbox,
        private readonly Config $config,
        private readonly LoggerInterface $logger
    ) {
    }

    public function execute(): void
    {
        $days = $this->config->keepDays();
        $deleted = $this->outbox->deleteOlderThan($days);
        if ($deleted > 0) {
            $this->logger->error(
                sprintf(
                    'mageline: %d events were deleted, unsent for %d days: mageline:resend sends them once more',
                    $deleted,
                    $days
                )
            );
        }
    }
}
