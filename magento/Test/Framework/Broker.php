<?php

declare(strict_types=1);

namespace Mageline\Events\Test\Framework;

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Message\AMQPMessage;

/**
 * An exchange and a queue of a test's own on a real RabbitMQ.
 */
class Broker
{
    public readonly string $exchange;

    private AMQPStreamConnection $connection;

    private AMQPChannel $channel;

    private string $queue;

    public function __construct()
    {
        $env = self::env();
        $this->connection = new AMQPStreamConnection($env['host'], $env['port'], $env['user'], $env['password'], $env['virtualhost']);
        $this->channel = $this->connection->channel();
        $this->exchange = 'mageline-module-' . bin2hex(random_bytes(6));
        $this->channel->exchange_declare($this->exchange, 'topic', false, false, true);
        $this->queue = $this->exchange . '.queue';
        $this->channel->queue_declare($this->queue, false, false, true, false);
        $this->channel->queue_bind($this->queue, $this->exchange, 'kept'); // else the exchange goes with the last binding
    }

    /**
     * Section queue/amqp of app/etc/env.php.
     *
     * @return array<string, mixed>
     */
    public static function env(): array
    {
        $url = parse_url(getenv('MAGELINE_TEST_AMQP_URL') ?: 'amqp://guest:guest@127.0.0.1:5672/');
        return [
            'host' => $url['host'],
            'port' => $url['port'] ?? 5672,
            'user' => rawurldecode($url['user'] ?? 'guest'),
            'password' => rawurldecode($url['pass'] ?? 'guest'),
            'virtualhost' => rawurldecode(ltrim($url['path'] ?? '', '/')) ?: '/',
            'ssl' => '',
        ];
    }

    public function bind(string $topic): void
    {
        $this->channel->queue_bind($this->queue, $this->exchange, $topic);
    }

    public function count(): int
    {
        return (int)$this->channel->queue_declare($this->queue, true)[1];
    }

    /**
     * @return AMQPMessage[]
     */
    public function take(): array
    {
        $messages = [];
        while ($message = $this->channel->basic_get($this->queue, true)) {
            $messages[] = $message;
        }
        return $messages;
    }

    public function close(): void
    {
        $this->connection->close();
    }
}
