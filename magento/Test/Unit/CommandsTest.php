<?php

declare(strict_types=1);

namespace Mageline\Events\Test\Unit;

use Magento\Sales\Model\Order;
use Mageline\Events\Console\Command\OutboxSend;
use Mageline\Events\Console\Command\Resend;
use Mageline\Events\Console\Command\Status;
use Mageline\Events\Console\Command\Test;
use Symfony\Component\Console\Tester\CommandTester;

/**
 * The commands of bin/magento, with the broker away.
 */
class CommandsTest extends OutboxTestCase
{
    public function testResendByTimeAndById(): void
    {
        foreach (['2026-11-01 10:00:00', '2026-11-02 10:00:00', '2026-11-03 10:00:00'] as $i => $time) {
            $order = ['increment_id' => "00000000$i", 'store_id' => 1, 'state' => 'new', 'status' => 'pending', 'created_at' => $time];
            $this->shop->save(new Order($order));
        }
        $this->forget();
        self::assertSame(0, $this->call(Resend::class, ['--entity' => 'order', '--from' => '2026-11-02', '--to' => '2026-11-03T11:00:00+01:00']));
        self::assertSame(['sales.order.placed 2 000000001 store 1'], $this->outbox());
        $this->forget();
        self::assertSame(0, $this->call(Resend::class, ['--entity' => 'order', '--ids' => '1, 3']));
        self::assertSame(['sales.order.placed 1 000000000 store 1', 'sales.order.placed 3 000000002 store 1'], $this->outbox());
        self::assertSame(1, $this->call(Resend::class, ['--entity' => 'order', '--ids' => '77']), 'nothing found');
    }

    public function testResendProductsAsSkus(): void
    {
        for ($i = 1; $i <= 501; $i++) {
            $this->shop->adapter->insert('shop_catalog_product_entity', ['sku' => "SKU-$i", 'updated_at' => '2026-11-02 10:00:00']);
        }
        self::assertSame(0, $this->call(Resend::class, ['--entity' => 'product', '--from' => '2026-11-01']));
        self::assertCount(2, $this->outbox());
    }

    /**
     * @return iterable<string, array{array<string, string>, string}>
     */
    public function wrong(): iterable
    {
        yield 'no entity' => [['--ids' => '1'], 'order, shipment'];
        yield 'unknown entity' => [['--entity' => 'quote', '--ids' => '1'], 'order, shipment'];
        yield 'everything' => [['--entity' => 'order'], '--from'];
        yield 'no id' => [['--entity' => 'order', '--ids' => '1,x'], 'x is no entity id'];
        yield 'no time' => [['--entity' => 'order', '--from' => 'yesterday'], '--from: yesterday'];
        yield 'no such day' => [['--entity' => 'order', '--to' => '2026-13-01'], '--to: 2026-13-01'];
    }

    /**
     * @dataProvider wrong
     */
    public function testResendRefusesWhatItCantMean(array $options, string $want): void
    {
        self::assertSame(2, $this->call(Resend::class, $options, $output));
        self::assertStringContainsString($want, $output);
        self::assertSame([], $this->outbox());
    }

    public function testBrokerAwayIsSaid(): void
    {
        self::assertSame(1, $this->call(Test::class, [], $output));
        self::assertStringContainsString('app/etc/env.php names no host', $output);
        $this->shop->save(new Order(['increment_id' => '1', 'store_id' => 1, 'state' => 'new', 'status' => 'pending']));
        self::assertSame(1, $this->call(OutboxSend::class, []));
        self::assertSame(2, $this->call(OutboxSend::class, ['--seconds' => 'x']));
        self::assertSame(1, $this->call(Status::class, [], $output));
        self::assertStringContainsString('1 events', $output);
        self::assertSame(1, $this->call(Status::class, ['--json' => true], $output));
        self::assertSame(1, json_decode($output, true)['outbox']['depth']);
    }

    private function call(string $class, array $options, ?string &$output = null): int
    {
        $tester = new CommandTester($this->shop->get($class));
        $code = $tester->execute($options);
        $output = $tester->getDisplay();
        return $code;
    }
}
