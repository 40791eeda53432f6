<?php

declare(strict_types=1);

namespace Mageline\Events\Api;

/**
 * Publishes to the exchange and waits until the broker has confirmed.
 *
 * @api
 */
interface PublisherInterface
{
    /**
     * Publishes the messages and returns what the broker did not take: the keys of those messages, with the reason.
     *
     * @param array<int, array{topic: string, body: string}> $messages
     * @return array<int, string>
     * @throws \Mageline\Events\Model\Amqp\BrokerAway when an outcome is not known: no message counts as published
     */
    public function publish(array $messages): array;
}
