<?php

declare(strict_types=1);

namespace Mageline\Events\Model\Sales;

use Mageline\Events\Api\RecorderInterface;
use Mageline\Events\Model\Config;
use Mageline\Events\Model\Event;
use Mageline\Events\Model\Told;
use Magento\Framework\Model\AbstractModel;
use Magento\Sales\Model\Order;
use Magento\Sales\Model\Order\Address;
use Magento\Sales\Model\Order\Item;

/**
 * Which events a save of an order, of its items and of its addresses means.
 */
class OrderEvents
{
    /** What of an order's row is told of as an update. */
    private const ORDER = [
        'state', 'status', 'hold_before_state', 'total_paid', 'total_refunded', 'grand_total', 'customer_email',
        'customer_id', 'shipping_method',
    ];

    private const ITEM = ['sku', 'qty_ordered', 'price', 'row_total', 'discount_amount', 'tax_amount', 'qty_canceled'];

    private const ADDRESS = [
        'prefix', 'firstname', 'middlename', 'lastname', 'suffix', 'company', 'street', 'city', 'region', 'region_id',
        'postcode', 'country_id', 'telephone', 'fax', 'email', 'vat_id',
    ];

    public function __construct(
        private readonly RecorderInterface $recorder,
        private readonly Config $config,
        private readonly Told $told
    ) {
    }

    /**
     * Before the first save, when the order has a number and no id. The save can still fail: then the event names an
     * order that never exists.
     */
    public function placed(Order $order): void
    {
        if ($this->config->earliest(self::store($order))) {
            $this->record(Event::ORDER_PLACED, $order);
        }
    }

    /**
     * In the transaction of a save of the order's row.
     */
    public function saved(Order $order): void
    {
        $now = self::values($order, self::ORDER);
        $this->told->note($order, $now);
        $before = $this->told->last($order);
        if ($before === null && $order->isObjectNew()) {
            $this->record(Event::ORDER_PLACED, $order);
            $before = ['state' => ''] + $now;
        } else {
            $before ??= self::values($order, self::ORDER, true);
            if ($before !== $now) {
                $this->record(Event::ORDER_UPDATED, $order);
            }
        }
        if ($now['state'] === Order::STATE_CANCELED && $before['state'] !== Order::STATE_CANCELED) {
            $this->record(Event::ORDER_CANCELED, $order);
        }
    }

    /**
     * In the transaction of a save of one of its items. A partial cancellation may change items alone.
     */
    public function itemSaved(Item $item): void
    {
        $now = self::values($item, self::ITEM);
        $this->told->note($item, $now);
        $order = $item->getOrder();
        $before = $this->told->last($item);
        if ($order === null || ($before === null && $item->isObjectNew() && $order->isObjectNew())) {
            return; // part of the order's own first save
        }
        $before ??= self::values($item, self::ITEM, true);
        if ((float)$now['qty_canceled'] > (float)$before['qty_canceled']) {
            $this->record(Event::ORDER_CANCELED, $order);
        }
        unset($now['qty_canceled'], $before['qty_canceled']);
        if ($before !== $now) {
            $this->record(Event::ORDER_UPDATED, $order);
        }
    }

    /**
     * In the transaction of a save of one of its addresses, of which no event of the order tells.
     */
    public function addressSaved(Address $address): void
    {
        $now = self::values($address, self::ADDRESS);
        $this->told->note($address, $now);
        $order = $address->getOrder();
        $before = $this->told->last($address);
        if ($order === null || ($before === null && $address->isObjectNew() && $order->isObjectNew())) {
            return;
        }
        if (($before ?? self::values($address, self::ADDRESS, true)) !== $now) {
            $this->record(Event::ORDER_UPDATED, $order);
        }
    }

    /**
     * After the commit of a save of the order, an item or an address.
     */
    public function committed(AbstractModel $object): void
    {
        $this->told->commit($object);
        $this->recorder->flush();
    }

    private function record(string $topic, Order $order): void
    {
        $this->recorder->record(Event::ofEntity(
            $topic,
            (int)$order->getId() ?: null,
            (string)$order->getIncrementId(),
            self::store($order),
            new \DateTimeImmutable()
        ));
    }

    private static function store(Order $order): ?int
    {
        return $order->getStoreId() === null ? null : (int)$order->getStoreId();
    }

    /**
     * The fields as texts, in a form in which 10, "10.0000" and 10.0 are the same.
     *
     * @param string[] $fields
     * @return array<string, string>
     */
    private static function values(AbstractModel $object, array $fields, bool $original = false): array
    {
        $values = [];
        foreach ($fields as $field) {
            $value = $original ? $object->getOrigData($field) : $object->getData($field);
            if (is_array($value)) {
                $value = implode("\n", $value);
            }
            $isNumber = is_numeric($value) && !preg_match('/^0\d/', (string)$value);
            $values[$field] = $isNumber ? (string)(float)$value : (string)$value;
        }
        return $values;
    }
}
