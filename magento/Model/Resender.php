<?php

declare(strict_types=1);

namespace Mageline\Events\Model;

use Mageline\Events\Api\OutboxInterface;
use Magento\Framework\App\ResourceConnection;

/**
 * Puts events of what is in Magento's tables into the outbox once more: mageline takes what it has done as done.
 */
class Resender
{
    private const PAGE = 500;

    /** @var array<string, array{string, string, ?string}> table, topic and the column of the number */
    private const ENTITIES = [
        'order' => ['sales_order', Event::ORDER_PLACED, 'increment_id'],
        'shipment' => ['sales_shipment', Event::SHIPMENT_CREATED, 'increment_id'],
        'creditmemo' => ['sales_creditmemo', Event::CREDITMEMO_CREATED, 'increment_id'],
        'customer' => ['customer_entity', Event::CUSTOMER_SAVED, null],
        'product' => ['catalog_product_entity', Event::PRODUCTS_EXPORTED, 'sku'],
    ];

    public function __construct(
        private readonly ResourceConnection $resource,
        private readonly OutboxInterface $outbox
    ) {
    }

    /**
     * @return string[]
     */
    public static function entities(): array
    {
        return array_keys(self::ENTITIES);
    }

    /**
     * Entities whose ids are given, or that were created (customers and products: changed) from one time to another,
     * in UTC.
     *
     * @param int[] $ids
     * @return int how many entities
     */
    public function resend(string $entity, ?\DateTimeInterface $from, ?\DateTimeInterface $to, array $ids): int
    {
        if (!isset(self::ENTITIES[$entity])) {
            throw new \InvalidArgumentException(
                'there is no entity ' . $entity . ': one of ' . implode(', ', self::entities())
            );
        }
        if (!$ids && !$from && !$to) {
            throw new \InvalidArgumentException('neither --ids nor --from nor --to: that would be every ' . $entity);
        }
        [$table, $topic, $numberColumn] = self::ENTITIES[$entity];
        $timeColumn = in_array($entity, ['customer', 'product'], true) ? 'updated_at' : 'created_at';
        $columns = ['entity_id'];
        if ($numberColumn !== null) {
            $columns[] = $numberColumn;
        }
        if ($entity !== 'product') {
            $columns[] = 'store_id';
        }
        $connection = $this->resource->getConnection();
        $count = 0;
        $last = 0;
        do {
            $select = $connection->select()
                ->distinct()
                ->from($this->resource->getTableName($table), $columns)
                ->where('entity_id > ?', $last)
                ->order('entity_id ASC')
                ->limit(self::PAGE);
            if ($ids) {
                $select->where('entity_id IN (?)', $ids);
            }
            if ($from) {
                $select->where($timeColumn . ' >= ?', self::utc($from));
            }
            if ($to) {
                $select->where($timeColumn . ' < ?', self::utc($to));
            }
            $rows = $connection->fetchAll($select);
            if (!$rows) {
                break;
            }
            $last = (int)end($rows)['entity_id'];
            $count += count($rows);
            $this->add($topic, $rows, $numberColumn);
        } while (count($rows) === self::PAGE);
        return $count;
    }

    /**
     * @param array<int, array<string, mixed>> $rows
     */
    private function add(string $topic, array $rows, ?string $numberColumn): void
    {
        $now = new \DateTimeImmutable();
        $events = [];
        if ($topic === Event::PRODUCTS_EXPORTED) {
            $events = Event::ofSkus($topic, array_column($rows, 'sku'), $now);
        } else {
            foreach ($rows as $row) {
                $events[] = Event::ofEntity(
                    $topic,
                    (int)$row['entity_id'],
                    $numberColumn === null ? null : (string)$row[$numberColumn],
                    $row['store_id'] === null ? null : (int)$row['store_id'],
                    $now
                );
            }
        }
        $added = array_map(fn (Event $event) => $this->outbox->add($event), $events);
        $this->outbox->release($added);
    }

    private static function utc(\DateTimeInterface $time): string
    {
        return \DateTimeImmutable::createFromInterface($time)
            ->setTimezone(new \DateTimeZone('UTC'))
            ->format('Y-m-d H:i:s');
    }
}
