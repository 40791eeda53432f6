<?php

declare(strict_types=1);

namespace Mageline\Events\Model;

use Mageline\Events\Api\OutboxInterface;
use Mageline\Events\Api\PublisherInterface;
use Mageline\Events\Model\Amqp\BrokerAway;
use Psr\Log\LoggerInterface;

/**
 * Sends what waits in the outbox, oldest first, in batches that it leases: two that run at once send different rows.
 * One that is killed leaves its batch to the next when the lease ends; what it had published by then is published
 * again.
 */
class Sender
{
    private const BATCH = 200;

    public function __construct(
        private readonly OutboxInterface $outbox,
        private readonly PublisherInterface $publisher,
        private readonly BrokerMarker $marker,
        private readonly LoggerInterface $logger
    ) {
    }

    /**
     * Sends for at most so many seconds, as a batch ends only then.
     *
     * @return array{sent: int, refused: int}
     * @throws BrokerAway
     */
    public function send(int $seconds): array
    {
        $end = microtime(true) + $seconds;
        $result = ['sent' => 0, 'refused' => 0];
        do {
            $rows = $this->outbox->leaseDue(self::BATCH);
            if (!$rows) {
                break;
            }
            $refused = $this->publish($rows);
            $done = [];
            foreach (array_values($rows) as $key => $row) {
                if (isset($refused[$key])) {
                    $this->outbox->fail($row, $refused[$key]);
                } else {
                    $done[] = $row->id;
                }
            }
            $this->outbox->remove($done);
            $result['sent'] += count($done);
            $result['refused'] += count($refused);
        } while (microtime(true) < $end);
        if ($result['refused'] > 0) {
            $this->logger->warning(sprintf(
                'mageline: %d events were not taken by the broker: bin/magento mageline:status says why',
                $result['refused']
            ));
        }
        return $result;
    }

    /**
     * @param OutboxRow[] $rows
     * @return array<int, string>
     */
    private function publish(array $rows): array
    {
        $messages = array_map(
            static fn (OutboxRow $row) => ['topic' => $row->topic, 'body' => $row->body],
            array_values($rows)
        );
        try {
            return $this->publisher->publish($messages);
        } catch (BrokerAway $e) {
            $this->marker->setAway();
            $this->outbox->release(array_map(static fn (OutboxRow $row) => $row->id, $rows));
            throw $e;
        }
    }
}
