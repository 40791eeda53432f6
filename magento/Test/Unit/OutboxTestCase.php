<?php

declare(strict_types=1);

namespace Mageline\Events\Test\Unit;

use Mageline\Events\Test\Framework\Schema;
use Mageline\Events\Test\Framework\Shop;
use PHPUnit\Framework\TestCase;

/**
 * A shop that publishes nothing, so that the outbox has all that was recorded.
 */
abstract class OutboxTestCase extends TestCase
{
    protected Shop $shop;

    private string $directory;

    protected function setUp(): void
    {
        $this->directory = sys_get_temp_dir() . '/mageline-' . bin2hex(random_bytes(6));
        mkdir($this->directory);
        $this->shop = new Shop($this->directory, []);
        $this->shop->settings->set['mageline/outbox/at_once'] = '0';
        $this->shop->settings->set['mageline/events/sales_invoice_created'] = '1';
        $this->shop->settings->set['mageline/events/customer_deleted'] = '1';
    }

    protected function tearDown(): void
    {
        array_map('unlink', glob($this->directory . '/*'));
        rmdir($this->directory);
    }

    protected function forget(): void
    {
        $this->shop->adapter->delete('shop_mageline_outbox');
    }

    /**
     * What is in the outbox. Each message is as message.schema.json says.
     *
     * @return string[]
     */
    protected function outbox(): array
    {
        $lines = [];
        foreach ($this->shop->adapter->fetchAll('SELECT topic, body FROM shop_mageline_outbox ORDER BY id') as $row) {
            self::assertSame([], (new Schema())->errors($row['topic'], $row['body']));
            $body = json_decode($row['body'], true, 512, JSON_THROW_ON_ERROR);
            $lines[] = $row['topic'] . ' ' . (isset($body['skus']) ? implode(',', $body['skus']) : sprintf(
                '%s %s store %s',
                $body['entity_id'] ?? '-',
                $body['increment_id'] ?? '-',
                $body['store_id'] ?? '-'
            ));
        }
        return $lines;
    }
}
