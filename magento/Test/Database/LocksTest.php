<?php

declare(strict_types=1);

namespace Mageline\Events\Test\Database;

use Magento\Sales\Model\Order;
use Mageline\Events\Api\OutboxInterface;
use Mageline\Events\Api\PublisherInterface;
use Mageline\Events\Model\Event;
use Mageline\Events\Test\Framework\Database;
use Mageline\Events\Test\Framework\Shop;
use PHPUnit\Framework\TestCase;

/**
 * The outbox's locks in a real MariaDB, in both isolation levels that shops use: a sender and a save never wait for each other.
 */
class LocksTest extends TestCase
{
    private string $directory;

    protected function setUp(): void
    {
        if (!Database::isMariaDb()) {
            self::fail('MAGELINE_TEST_MARIADB names no socket of a MariaDB: scripts/module.sh starts one');
        }
        $this->directory = sys_get_temp_dir() . '/mageline-' . bin2hex(random_bytes(6));
        mkdir($this->directory);
    }

    protected function tearDown(): void
    {
        putenv('MAGELINE_TEST_ISOLATION');
        array_map('unlink', glob($this->directory . '/*'));
        rmdir($this->directory);
    }

    /**
     * @return iterable<string, array{string}>
     */
    public function isolations(): iterable
    {
        yield 'repeatable read' => ['REPEATABLE READ'];
        yield 'read committed' => ['READ COMMITTED'];
    }

    /**
     * @dataProvider isolations
     */
    public function testSenderDoesNotWaitForASaveThatIsOpen(string $isolation): void
    {
        putenv('MAGELINE_TEST_ISOLATION=' . $isolation);
        $cron = $this->shop();
        $waiting = $this->fill($cron, 20);
        $customer = $this->shop();
        $customer->begin();
        $customer->save($this->order(1));

        $outbox = $cron->get(OutboxInterface::class);
        $leased = $outbox->leaseDue(200);
        self::assertSame($waiting, $this->ids($leased), 'what is not committed is not seen');
        $outbox->fail($leased[0], 'no queue');
        $outbox->release([$leased[1]->id, $leased[2]->id]);
        $outbox->remove(array_slice($this->ids($leased), 3));
        self::assertSame(2, $outbox->retry([$leased[0]->id, $leased[1]->id]));
        self::assertSame(0, $outbox->deleteOlderThan(1));
        $customer->commit();
        self::assertSame(4, $outbox->status()['depth']);
    }

    /**
     * @dataProvider isolations
     */
    public function testSaveDoesNotWaitForASenderThatIsSlow(string $isolation): void
    {
        putenv('MAGELINE_TEST_ISOLATION=' . $isolation);
        $cron = $this->shop();
        $this->fill($cron, 20);
        $cron->begin(); // as slow as can be: what it locks stays locked
        $outbox = $cron->get(OutboxInterface::class);
        $leased = $this->ids($outbox->leaseDue(200));
        $outbox->release(array_slice($leased, 0, 5));
        $outbox->remove(array_slice($leased, 5));

        $customer = $this->shop();
        $customer->begin();
        $customer->save($this->order(1));
        $customer->save($this->order(2));
        $customer->commit();
        $cron->commit();
        self::assertSame(7, $outbox->status()['depth']);
    }

    /**
     * @dataProvider isolations
     */
    public function testRequestRemovesItsRowsBesideSavesThatAreOpen(string $isolation): void
    {
        putenv('MAGELINE_TEST_ISOLATION=' . $isolation);
        $other = $this->shop();
        $other->begin();
        $other->save($this->order(1));
        $customer = $this->shop();
        $outbox = $customer->get(OutboxInterface::class);
        $own = [$this->add($customer, 2), $this->add($customer, 3)];
        self::assertSame($own, $this->ids($outbox->committed($own)));
        $outbox->remove($own);
        $other->commit();
        self::assertSame(1, $outbox->status()['depth']);
    }

    public function testTwoSendersLeaseDifferentRows(): void
    {
        $one = $this->shop();
        $rows = $this->fill($one, 10);
        $two = $this->shop();
        $first = $this->ids($one->get(OutboxInterface::class)->leaseDue(4));
        $second = $this->ids($two->get(OutboxInterface::class)->leaseDue(200));
        self::assertSame(array_slice($rows, 0, 4), $first);
        self::assertSame(array_slice($rows, 4), $second);
    }

    public function testDeadlockInTheOutboxFailsTheSaveWhole(): void
    {
        $other = $this->shop();
        $this->fill($other, 200);
        $other->begin();
        // Much work done, so that the database gives up the other one; and the end of the outbox, which the save needs.
        $other->adapter->update('shop_mageline_outbox', ['attempts' => 1]);
        $customer = $this->process('place', '1');
        $this->await($other, "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'");
        $other->adapter->update('shop_sales_order', ['state' => 'any'], ['entity_id = ?' => 1]);
        [$code, $output] = $this->end($customer);
        self::assertNotSame(0, $code, $output);
        self::assertStringContainsString('DeadlockException', $output);
        $other->rollBack();
        self::assertSame('0', $other->adapter->fetchOne('SELECT COUNT(*) FROM shop_sales_order'), 'the order went with its event');
    }

    public function testEventIsPublishedAfterTheCommitWhenItsRowCantBeWritten(): void
    {
        $other = $this->shop();
        $other->begin();
        $other->adapter->fetchAll('SELECT id FROM shop_mageline_outbox FOR UPDATE');
        $customer = $this->shop();
        $published = $this->publisher($customer);
        $customer->save($this->order(1));
        $other->rollBack();
        self::assertSame('1', $customer->adapter->fetchOne('SELECT COUNT(*) FROM shop_sales_order'), 'the save went on');
        self::assertSame(['sales.order.placed'], array_column($published->messages, 'topic'));
        self::assertStringContainsString('Lock wait timeout', $customer->log[0]);
    }

    private function shop(): Shop
    {
        $shop = new Shop($this->directory, []);
        $shop->settings->set['mageline/outbox/at_once'] = '0';
        $shop->adapter->execute('SET SESSION innodb_lock_wait_timeout = 1');
        return $shop;
    }

    private function publisher(Shop $shop): object
    {
        $publisher = new class implements PublisherInterface {
            /** @var array<int, array{topic: string, body: string}> */
            public array $messages = [];

            public function publish(array $messages): array
            {
                $this->messages = array_merge($this->messages, $messages);
                return [];
            }
        };
        $shop->replace('Mageline\Events\Model\Amqp\RequestPublisher', $publisher);
        return $publisher;
    }

    /**
     * @return int[] rows that wait for a sender
     */
    private function fill(Shop $shop, int $rows): array
    {
        $shop->begin();
        $ids = array_map(fn ($number) => $this->add($shop, $number), range(1001, 1000 + $rows));
        $shop->get(OutboxInterface::class)->release($ids);
        $shop->commit();
        return $ids;
    }

    private function add(Shop $shop, int $number): int
    {
        return $shop->get(OutboxInterface::class)->add(
            Event::ofEntity(Event::ORDER_PLACED, $number, sprintf('%09d', $number), 1, new \DateTimeImmutable())
        );
    }

    private function order(int $number): Order
    {
        return new Order(['increment_id' => sprintf('%09d', $number), 'store_id' => 2, 'state' => 'new', 'status' => 'pending']);
    }

    /**
     * @param \Mageline\Events\Model\OutboxRow[] $rows
     * @return int[]
     */
    private function ids(array $rows): array
    {
        return array_map(static fn ($row) => $row->id, $rows);
    }

    private function await(Shop $shop, string $sql): void
    {
        $end = microtime(true) + 20;
        while (microtime(true) < $end) {
            if ((int)$shop->adapter->fetchOne($sql) > 0) {
                return;
            }
            usleep(250000); // the table of transactions is not made again for whoever asks more often
        }
        self::fail('not within 20 s: ' . $sql);
    }

    /**
     * @return array{resource, resource}
     */
    private function process(string ...$arguments): array
    {
        $process = proc_open(
            [PHP_BINARY, dirname(__DIR__) . '/shop.php', $this->directory, ...$arguments],
            [1 => ['pipe', 'w'], 2 => ['redirect', 1]],
            $pipes
        );
        return [$process, $pipes[1]];
    }

    /**
     * @param array{resource, resource} $process
     * @return array{int, string}
     */
    private function end(array $process): array
    {
        $output = stream_get_contents($process[1]);
        fclose($process[1]);
        return [proc_close($process[0]), $output];
    }
}
