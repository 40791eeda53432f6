<?php

declare(strict_types=1);

namespace Mageline\Events\Model;

use Mageline\Events\Api\OutboxInterface;
use Mageline\Events\Api\PublisherInterface;
use Mageline\Events\Model\Amqp\BrokerAway;
use Mageline\Events\Model\Catalog\IndexState;

/**
 * What bin/magento mageline:status and mageline:test say.
 */
class Diagnosis
{
    /** No queue of mageline is bound to it: the broker hands the event back, which shows that it reads. */
    public const TEST_TOPIC = 'mageline.test';

    public function __construct(
        private readonly OutboxInterface $outbox,
        private readonly PublisherInterface $publisher,
        private readonly Config $config,
        private readonly IndexState $indexState
    ) {
    }

    /**
     * Publishes one event of kind test. Returns what the broker answered; an exchange that is not there or a login
     * that it refuses is a BrokerAway.
     *
     * @throws BrokerAway
     */
    public function test(): string
    {
        $body = json_encode(
            ['kind' => 'test', 'occurred_at' => gmdate('Y-m-d\TH:i:s\Z')],
            JSON_THROW_ON_ERROR
        );
        $refused = $this->publisher->publish([['topic' => self::TEST_TOPIC, 'body' => $body]]);
        $where = sprintf('exchange %s, topic %s', $this->config->exchange(), self::TEST_TOPIC);
        return $refused
            ? sprintf(
                'the broker took the test event and says: %s. The way to it works (%s).',
                current($refused),
                $where
            )
            : sprintf('the broker confirmed the test event: it is in a queue (%s).', $where);
    }

    /**
     * @return array{
     *     outbox: array{depth: int, oldest: ?string, failed: int, last_error: ?string},
     *     broker: string,
     *     connected: bool,
     *     topics: array<string, string>,
     *     products_wait_for: string[]
     * }
     */
    public function status(): array
    {
        $outbox = $this->outbox->status();
        try {
            $broker = $this->test();
            $connected = true;
        } catch (BrokerAway $e) {
            $broker = $e->getMessage();
            $connected = false;
        }
        $topics = [];
        foreach (Event::TOPICS as $topic) {
            $topics[$topic] = $this->config->wants($topic, null) ? $outbox['topics'][$topic] ?? 'on' : 'off';
        }
        unset($outbox['topics']);
        return [
            'outbox' => $outbox,
            'broker' => $broker,
            'connected' => $connected,
            'topics' => $topics,
            'products_wait_for' => $this->indexState->behind(),
        ];
    }
}
