<?php

declare(strict_types=1);

namespace Mageline\Events\Model\Amqp;

use Mageline\Events\Api\PublisherInterface;
use Mageline\Events\Model\Config;
use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Connection\AbstractConnection;
use PhpAmqpLib\Exception\AMQPTimeoutException;
use PhpAmqpLib\Message\AMQPMessage;

/**
 * Publishes persistent, mandatory messages on a channel in confirm mode, all of them before it waits. The whole of it
 * ends in the time that it was given, whatever the broker does.
 */
class Publisher implements PublisherInterface
{
    private ?AbstractConnection $connection = null;

    private ?AMQPChannel $channel = null;

    /**
     * @param float $connectTimeout seconds, see ConnectionFactory
     * @param float $ioTimeout seconds, see ConnectionFactory
     * @param float $deadline seconds, for one publish with everything that it takes
     */
    public function __construct(
        private readonly ConnectionFactory $connectionFactory,
        private readonly Config $config,
        private readonly float $connectTimeout = 3.0,
        private readonly float $ioTimeout = 10.0,
        private readonly float $deadline = 60.0
    ) {
    }

    public function publish(array $messages): array
    {
        if (!$messages) {
            return [];
        }
        $end = microtime(true) + $this->deadline;
        $reused = $this->channel !== null;
        try {
            return $this->tryPublish($messages, $end);
        } catch (BrokerAway $e) {
            // A connection that was idle may have been cut without a word: one that is new decides.
            if (!$reused || microtime(true) >= $end) {
                throw $e;
            }
            return $this->tryPublish($messages, $end);
        }
    }

    /**
     * @param array<int, array{topic: string, body: string}> $messages
     * @return array<int, string>
     */
    private function tryPublish(array $messages, float $end): array
    {
        try {
            $channel = $this->channel();
            $settled = 0;
            $refused = [];
            $channel->set_ack_handler(static function () use (&$settled): void {
                $settled++;
            });
            $channel->set_nack_handler(static function (AMQPMessage $message) use (&$settled, &$refused): void {
                $settled++;
                $refused[self::number($message)] = 'the broker did not take it (nack)';
            });
            // A return comes before the message's confirm.
            $channel->set_return_listener(
                static function ($code, $text, $exchange, $topic, AMQPMessage $message) use (&$refused): void {
                    $refused[self::number($message)] = sprintf('no queue is bound to %s (%s %s)', $topic, $code, $text);
                }
            );
            $keys = array_keys($messages);
            foreach (array_values($messages) as $number => $message) {
                $channel->basic_publish(
                    new AMQPMessage($message['body'], [
                        'content_type' => 'application/json',
                        'delivery_mode' => AMQPMessage::DELIVERY_MODE_PERSISTENT,
                        'message_id' => $number . '-' . bin2hex(random_bytes(12)),
                        'timestamp' => time(),
                        'app_id' => 'mageline/module-events',
                    ]),
                    $this->config->exchange(),
                    $message['topic'],
                    true
                );
            }
            // php-amqplib's own wait counts its time for each frame, not for all.
            while ($settled < count($messages)) {
                $left = $end - microtime(true);
                if ($left <= 0) {
                    throw new AMQPTimeoutException(
                        sprintf('%d of %d messages confirmed in %.1f s', $settled, count($messages), $this->deadline)
                    );
                }
                $channel->wait(null, false, $left);
            }
            $result = [];
            foreach ($refused as $number => $reason) {
                $result[$keys[$number]] = $reason;
            }
            return $result;
        } catch (BrokerAway $e) {
            $this->forget();
            throw $e;
        } catch (\Throwable $e) {
            $this->forget();
            throw new BrokerAway('the broker did not confirm: ' . ConnectionFactory::reason($e), 0, $e);
        }
    }

    /**
     * Returns the place of a message among those that were published with it.
     */
    private static function number(AMQPMessage $message): int
    {
        return (int)$message->get('message_id');
    }

    private function channel(): AMQPChannel
    {
        if ($this->channel === null) {
            $this->connection = $this->connectionFactory->open($this->connectTimeout, $this->ioTimeout);
            $this->channel = $this->connection->channel();
            $this->channel->confirm_select();
        }
        return $this->channel;
    }

    /**
     * Drops the connection without a farewell, for which the broker might let it wait. What is in a channel's buffer
     * goes with it.
     */
    private function forget(): void
    {
        $connection = $this->connection;
        $this->connection = null;
        $this->channel = null;
        try {
            $connection?->getIO()?->close();
        } catch (\Throwable $e) {
            return; // it is gone as well
        }
    }
}
