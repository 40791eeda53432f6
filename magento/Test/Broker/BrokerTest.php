<?php

declare(strict_types=1);

namespace Mageline\Events\Test\Broker;

use Magento\Sales\Model\Order;
use Mageline\Events\Api\OutboxInterface;
use Mageline\Events\Api\PublisherInterface;
use Mageline\Events\Cron\SendOutbox;
use Mageline\Events\Model\Amqp\BrokerAway;
use Mageline\Events\Model\Diagnosis;
use Mageline\Events\Model\Event;
use Mageline\Events\Model\Sender;
use Mageline\Events\Test\Framework\Broker;
use Mageline\Events\Test\Framework\Shop;
use PHPUnit\Framework\TestCase;

/**
 * The outbox and a real RabbitMQ, which MAGELINE_TEST_AMQP_URL names.
 */
class BrokerTest extends TestCase
{
    private string $directory;

    private Broker $broker;

    /** @var resource[] */
    private array $processes = [];

    protected function setUp(): void
    {
        $this->directory = sys_get_temp_dir() . '/mageline-' . bin2hex(random_bytes(6));
        mkdir($this->directory);
        $this->broker = new Broker();
    }

    protected function tearDown(): void
    {
        foreach ($this->processes as $process) {
            proc_terminate($process, 9);
            proc_close($process);
        }
        $this->broker->close();
        array_map('unlink', glob($this->directory . '/*'));
        rmdir($this->directory);
    }

    public function testPublishesAfterTheCommitAndEmptiesTheOutbox(): void
    {
        $this->broker->bind('sales.order.placed');
        $shop = $this->shop();
        $shop->begin();
        $shop->save($this->order(1));
        self::assertSame([], $this->broker->take(), 'not before the commit');
        $shop->commit();
        [$message] = $this->broker->take();
        self::assertSame('sales.order.placed', $message->getRoutingKey());
        self::assertSame(2, $message->get('delivery_mode'));
        self::assertSame('application/json', $message->get('content_type'));
        $body = json_decode($message->getBody(), true);
        self::assertSame([1, '000000001', 2], [$body['entity_id'], $body['increment_id'], $body['store_id']]);
        self::assertSame(0, $this->depth($shop));
        self::assertSame([], $shop->log);
    }

    public function testRolledBackOrderIsNotPublishedByTheNextCommit(): void
    {
        $this->broker->bind('#');
        $shop = $this->shop();
        $shop->begin();
        $shop->save($this->order(1));
        $shop->rollBack();
        $shop->save($this->order(2));
        $messages = $this->broker->take();
        self::assertCount(1, $messages);
        self::assertStringContainsString('000000002', $messages[0]->getBody());
    }

    public function testTopicWithoutAQueueWaitsAndIsNamed(): void
    {
        $this->broker->bind('sales.order.updated');
        $shop = $this->shop();
        $shop->save($this->order(1));
        $status = $shop->get(Diagnosis::class)->status();
        self::assertSame(1, $status['outbox']['depth']);
        self::assertTrue($status['connected']);
        self::assertStringContainsString('no queue is bound to sales.order.placed', $status['topics']['sales.order.placed']);
        self::assertSame('on', $status['topics']['sales.order.updated']);
        self::assertSame('off', $status['topics']['sales.invoice.created']);

        $this->broker->bind('sales.order.placed');
        self::assertSame(['sent' => 0, 'refused' => 0], $shop->get(Sender::class)->send(5), 'not due yet');
        self::assertSame(1, $shop->get(OutboxInterface::class)->retry([1]));
        self::assertSame(['sent' => 1, 'refused' => 0], $shop->get(Sender::class)->send(5));
        self::assertCount(1, $this->broker->take());
    }

    /**
     * @return iterable<string, array{callable(self): array}>
     */
    public function away(): iterable
    {
        yield 'port closed' => [static fn (self $test) => ['host' => '127.0.0.1', 'port' => $test->closedPort()]];
        yield 'accepts and never speaks' => [static fn (self $test) => ['host' => '127.0.0.1', 'port' => $test->silentPort()]];
        yield 'login refused' => [static fn (self $test) => ['password' => 'wrong'] + Broker::env()];
        yield 'no such exchange' => [static fn (self $test) => Broker::env(), 'nowhere'];
        yield 'no host in env.php' => [static fn (self $test) => []];
    }

    /**
     * @dataProvider away
     */
    public function testBrokerAwayCostsOneCustomerAndNoEvent(callable $amqp, string $exchange = ''): void
    {
        $this->broker->bind('#');
        $shop = $this->shop($amqp($this), $exchange);
        $begin = microtime(true);
        $shop->save($this->order(1));
        self::assertLessThan(2.5, microtime(true) - $begin, 'php-amqplib itself waits for 3 s, and Magento with it');
        self::assertCount(1, $shop->log);
        self::assertStringStartsWith('error: mageline: 1 events wait in the outbox', $shop->log[0]);

        // The next request does not try.
        $next = $this->shop($amqp($this), $exchange);
        $next->save($this->order(2));
        self::assertSame([], $next->log);
        self::assertSame(2, $this->depth($next));

        $back = $this->shop();
        $back->get(SendOutbox::class)->execute();
        self::assertSame(0, $this->depth($back));
        $numbers = array_map(static fn ($message) => json_decode($message->getBody(), true)['increment_id'], $this->broker->take());
        self::assertSame(['000000001', '000000002'], $numbers, 'oldest first');
    }

    public function testWithoutOutboxWhatTheBrokerDoesNotTakeIsLogged(): void
    {
        $shop = $this->shop(['host' => '127.0.0.1', 'port' => $this->closedPort()]);
        $shop->settings->set['mageline/outbox/enabled'] = '0';
        $shop->save($this->order(1));
        self::assertStringContainsString('1 events are lost', $shop->log[0]);
        self::assertSame(0, $this->depth($shop));

        $this->broker->bind('#');
        $other = new Shop($this->fresh(), Broker::env());
        $other->settings->set['mageline/general/exchange'] = $this->broker->exchange;
        $other->settings->set['mageline/outbox/enabled'] = '0';
        $other->save($this->order(2));
        self::assertCount(1, $this->broker->take());
    }

    public function testTwoSendersOneOfThemKilledLoseNothing(): void
    {
        $this->broker->bind('#');
        $shop = $this->shop();
        $outbox = $shop->get(OutboxInterface::class);
        $shop->begin();
        $ids = [];
        for ($i = 1; $i <= 3000; $i++) {
            $ids[] = $outbox->add(Event::ofEntity(Event::ORDER_PLACED, $i, sprintf('%09d', $i), 1, new \DateTimeImmutable()));
        }
        $outbox->release($ids);
        $shop->commit();

        $killed = $this->sender();
        $this->sender();
        while ($this->broker->count() < 400) {
            usleep(1000);
        }
        proc_terminate($killed, 9);
        // What the killed one had leased is free when the lease ends: here by hand.
        $end = microtime(true) + 30;
        while (($depth = $this->depth($shop)) > 0 && microtime(true) < $end) {
            if (proc_get_status(end($this->processes))['running'] === false) {
                $shop->adapter->update('shop_mageline_outbox', ['leased_until' => null]);
                $shop->get(Sender::class)->send(5);
            }
            usleep(20000);
        }
        self::assertSame(0, $depth);
        $seen = [];
        foreach ($this->broker->take() as $message) {
            $id = json_decode($message->getBody(), true)['entity_id'];
            $seen[$id] = ($seen[$id] ?? 0) + 1;
        }
        self::assertCount(3000, $seen);
        self::assertLessThanOrEqual(200, count(array_filter($seen, static fn ($times) => $times > 1)), 'only the batch of the crash goes out twice');
    }

    public function testAChannelThatDiedIsReplaced(): void
    {
        $this->broker->bind('#');
        $shop = $this->shop();
        $publisher = $shop->get(PublisherInterface::class);
        $message = ['topic' => 'sales.order.placed', 'body' => '{"entity_id":1}'];
        self::assertSame([], $publisher->publish([$message]));
        // A firewall has cut the connection meanwhile.
        (fn () => $this->connection->getIO()->close())->call($publisher);
        self::assertSame([], $publisher->publish([$message]));
        self::assertCount(2, $this->broker->take());
    }

    public function testTestEventSaysWhatTheBrokerAnswered(): void
    {
        $shop = $this->shop();
        self::assertStringContainsString('The way to it works', $shop->get(Diagnosis::class)->test());
        $this->broker->bind('mageline.test');
        self::assertStringContainsString('confirmed', $shop->get(Diagnosis::class)->test());
        $away = $this->shop(['host' => '127.0.0.1', 'port' => $this->closedPort()]);
        $this->expectException(BrokerAway::class);
        $away->get(Diagnosis::class)->test();
    }

    private function shop(?array $amqp = null, string $exchange = ''): Shop
    {
        $shop = new Shop($this->directory, $amqp ?? Broker::env());
        $shop->settings->set['mageline/general/exchange'] = $exchange ?: $this->broker->exchange;
        return $shop;
    }

    private function fresh(): string
    {
        $directory = $this->directory . '-2';
        @mkdir($directory);
        register_shutdown_function(static function () use ($directory): void {
            array_map('unlink', glob($directory . '/*'));
            @rmdir($directory);
        });
        return $directory;
    }

    private function order(int $number): Order
    {
        return new Order(['increment_id' => sprintf('%09d', $number), 'store_id' => 2, 'state' => 'new', 'status' => 'pending']);
    }

    private function depth(Shop $shop): int
    {
        return $shop->get(OutboxInterface::class)->status()['depth'];
    }

    private function closedPort(): int
    {
        $server = stream_socket_server('tcp://127.0.0.1:0');
        $port = (int)substr((string)strrchr(stream_socket_get_name($server, false), ':'), 1);
        fclose($server);
        return $port;
    }

    private function silentPort(): int
    {
        static $servers = [];
        $servers[] = $server = stream_socket_server('tcp://127.0.0.1:0');
        return (int)substr((string)strrchr(stream_socket_get_name($server, false), ':'), 1);
    }

    /**
     * @return resource a process that sends the outbox
     */
    private function sender()
    {
        $process = proc_open(
            [PHP_BINARY, dirname(__DIR__) . '/shop.php', $this->directory, 'send'],
            [1 => ['file', '/dev/null', 'w'], 2 => STDERR],
            $pipes,
            null,
            ['MAGELINE_TEST_EXCHANGE' => $this->broker->exchange] + getenv()
        );
        $this->processes[] = $process;
        return $process;
    }
}
