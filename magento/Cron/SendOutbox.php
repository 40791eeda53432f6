<?php

declare(strict_types=1);

namespace Mageline\Events\Cron;

use Mageline\Events\Model\Amqp\BrokerAway;
use Mageline\Events\Model\Sender;
use Psr\Log\LoggerInterface;

/**
 * Sends what waits in the outbox, each minute.
 */
class SendOutbox
{
    private const SECONDS = 50;

    public function __construct(
        private readonly Sender $sender,
        private readonly LoggerInterface $logger
    ) {
    }

    public function execute(): void
    {
        try {
            $this->sender->send(self::SECONDS);
        } catch (BrokerAway $e) {
            $this->logger->error('mageline: events wait in the outbox: ' . $e->getMessage());
        }
    }
}
