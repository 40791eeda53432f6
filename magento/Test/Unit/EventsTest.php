<?php

declare(strict_types=1);

namespace Mageline\Events\Test\Unit;

use Mageline\Events\Api\OutboxInterface;
use Magento\Customer\Model\Address as CustomerAddress;
use Magento\Customer\Model\Customer;
use Magento\Catalog\Model\Product;
use Magento\Framework\DB\Adapter\DeadlockException;
use Magento\Sales\Model\Order;
use Magento\Sales\Model\Order\Address;
use Magento\Sales\Model\Order\Creditmemo;
use Magento\Sales\Model\Order\Invoice;
use Magento\Sales\Model\Order\Item;
use Magento\Sales\Model\Order\Shipment;

/**
 * Which events a save leaves in the outbox, with the broker away.
 */
class EventsTest extends OutboxTestCase
{
    public function testOrderPlacedOnceThoughItIsSavedAgain(): void
    {
        $order = $this->order();
        $this->shop->save($order);
        $this->shop->save($order);
        self::assertSame(['sales.order.placed 1 000000001 store 2'], $this->outbox());
    }

    public function testOrderPlacedBeforeItIsSaved(): void
    {
        $order = $this->order();
        $this->shop->dispatch('sales_order_place_after', ['order' => $order]);
        self::assertSame([], $this->outbox(), 'off by default');
        $this->shop->settings->set['mageline/events/sales_order_placed_earliest'] = '1';
        $this->shop->dispatch('sales_order_place_after', ['order' => $order]);
        self::assertSame(['sales.order.placed - 000000001 store 2'], $this->outbox());
    }

    public function testRollbackLeavesNothingAndTheNextSaveTells(): void
    {
        $order = $this->order();
        $this->shop->begin();
        $this->shop->save($order);
        $this->shop->rollBack();
        self::assertSame([], $this->outbox());
        $order->setData('entity_id', null);
        $this->shop->save($order);
        // MariaDB does not use the first number again.
        self::assertSame(['sales.order.placed ' . $order->getId() . ' 000000001 store 2'], $this->outbox());
    }

    public function testRolledBackUpdateIsToldByTheNextSave(): void
    {
        $order = $this->saved($this->order());
        $this->shop->begin();
        $order->setData('state', 'processing');
        $this->shop->save($order);
        $this->shop->rollBack();
        self::assertSame([], $this->outbox());
        $this->shop->save($order);
        self::assertSame(['sales.order.updated 1 000000001 store 2'], $this->outbox());
    }

    /**
     * @return iterable<string, array{callable, string[]}>
     */
    public function orderChanges(): iterable
    {
        $updated = 'sales.order.updated 1 000000001 store 2';
        $canceled = 'sales.order.canceled 1 000000001 store 2';
        yield 'nothing' => [fn (Order $order) => $order, []];
        yield 'a number in another form' => [fn (Order $order) => $order->setData('grand_total', 12.5), []];
        yield 'state' => [fn (Order $order) => $order->setData('state', 'processing'), [$updated]];
        yield 'status' => [fn (Order $order) => $order->setData('status', 'packing'), [$updated]];
        yield 'held' => [fn (Order $order) => $order->setData('state', 'holded')->setData('hold_before_state', 'new'), [$updated]];
        yield 'paid' => [fn (Order $order) => $order->setData('total_paid', '12.5000'), [$updated]];
        yield 'cancelled' => [fn (Order $order) => $order->setData('state', 'canceled'), [$updated, $canceled]];
        yield 'a comment' => [fn (Order $order) => $order->setData('status_histories', ['x']), []];
    }

    /**
     * @dataProvider orderChanges
     */
    public function testOrderUpdated(callable $change, array $want): void
    {
        $order = $this->saved($this->order());
        $change($order);
        $this->shop->save($order);
        self::assertSame($want, $this->outbox());
    }

    public function testOneChangeIsOneEventThoughTheObjectIsSavedAgain(): void
    {
        $order = $this->saved($this->order());
        $order->setData('state', 'processing');
        $this->shop->save($order);
        $this->forget();
        $this->shop->save($order);
        self::assertSame([], $this->outbox());
        $order->setData('state', 'complete');
        $this->shop->save($order);
        self::assertSame(['sales.order.updated 1 000000001 store 2'], $this->outbox());
    }

    public function testQuantityCancelledOnAnItemAlone(): void
    {
        $order = $this->saved($this->order());
        $item = (new Item(['item_id' => 7, 'order' => $order, 'sku' => 'A', 'qty_ordered' => '2.0000', 'qty_canceled' => '0.0000']))->loaded();
        $item->setData('qty_canceled', 1);
        $this->shop->save($item);
        self::assertSame(['sales.order.canceled 1 000000001 store 2'], $this->outbox());
        $this->forget();
        $this->shop->save($item);
        self::assertSame([], $this->outbox());
        $item->setData('qty_canceled', 2);
        $this->shop->save($item);
        self::assertSame(['sales.order.canceled 1 000000001 store 2'], $this->outbox());
    }

    public function testItemsAndAddressesOfANewOrderAreNoUpdate(): void
    {
        $order = $this->order();
        $this->shop->begin();
        $this->shop->save($order);
        $this->shop->save(new Item(['order' => $order, 'sku' => 'A', 'qty_ordered' => 2]));
        $this->shop->save(new Address(['order' => $order, 'city' => 'Köln']));
        $this->shop->commit();
        self::assertSame(['sales.order.placed 1 000000001 store 2'], $this->outbox());
    }

    public function testEditedAddressAndItemAreAnUpdate(): void
    {
        $order = $this->saved($this->order());
        $address = (new Address(['entity_id' => 3, 'order' => $order, 'city' => 'Köln', 'street' => "A 1\nB"]))->loaded();
        $address->setData('street', ['A 1', 'B']);
        $this->shop->save($address);
        self::assertSame([], $this->outbox(), 'the same street');
        $address->setData('city', 'Bonn');
        $this->shop->save($address);
        self::assertSame(['sales.order.updated 1 000000001 store 2'], $this->outbox());
        $this->forget();
        $this->shop->save(new Item(['order' => $order, 'sku' => 'B', 'qty_ordered' => 1]));
        self::assertSame(['sales.order.updated 1 000000001 store 2'], $this->outbox(), 'an item was added');
    }

    public function testDocumentsAtTheirFirstSaveAlone(): void
    {
        foreach ([new Shipment($this->document()), new Creditmemo($this->document()), new Invoice($this->document())] as $document) {
            $this->shop->save($document);
            $this->shop->save($document);
        }
        $this->shop->save((new Shipment(['entity_id' => 9] + $this->document()))->loaded());
        self::assertSame([
            'sales.shipment.created 1 900 store 2',
            'sales.creditmemo.created 1 900 store 2',
            'sales.invoice.created 1 900 store 2',
        ], $this->outbox());
    }

    public function testCustomerWithAddressesIsOneEvent(): void
    {
        $customer = new Customer(['store_id' => 2, 'updated_at' => '2026-11-29 00:00:00']);
        $this->shop->save($customer);
        $this->shop->dispatch('customer_save_after_data_object', []);
        self::assertSame(['customer.saved 1 - store 2'], $this->outbox());
        $this->forget();
        $this->shop->save(new CustomerAddress(['parent_id' => $customer->getId()]));
        self::assertSame(['customer.saved 1 - store -'], $this->outbox());
        $this->forget();
        $this->shop->delete($customer);
        self::assertSame(['customer.deleted 1 - store 2'], $this->outbox());
    }

    public function testDeletedProduct(): void
    {
        $product = new Product(['sku' => '24-MB01']);
        $this->shop->save($product);
        $this->shop->delete($product);
        self::assertSame(['catalog.products.deleted 24-MB01'], $this->outbox());
    }

    public function testSwitchesByTopicAndStore(): void
    {
        $this->shop->settings->set['mageline/events/sales_order_placed@2'] = '0';
        $this->shop->save($this->order());
        self::assertSame([], $this->outbox());
        $other = $this->order();
        $other->setData('store_id', 3);
        $this->shop->save($other);
        self::assertCount(1, $this->outbox());
        $this->shop->settings->set['mageline/general/enabled'] = '0';
        $third = $this->order();
        $third->setData('store_id', 3);
        $this->shop->save($third);
        self::assertCount(1, $this->outbox());
    }

    public function testDeadlockFailsTheSaveThatItHasRolledBack(): void
    {
        $outbox = $this->createMock(OutboxInterface::class);
        $outbox->method('add')->willThrowException(new DeadlockException('1213 Deadlock found'));
        $this->shop->replace(OutboxInterface::class, $outbox);
        $this->expectException(DeadlockException::class);
        $this->shop->save($this->order());
    }

    public function testNothingThatFailsFailsTheSave(): void
    {
        $this->shop->adapter->delete('shop_mageline_outbox');
        $order = $this->order();
        $order->setData('increment_id', "\xff");
        $this->shop->save($order);
        self::assertNotEmpty($order->getId());
        self::assertStringContainsString('sales.order.placed', implode("\n", $this->shop->log));
    }

    private function order(): Order
    {
        return new Order(['increment_id' => '000000001', 'store_id' => 2, 'state' => 'new', 'status' => 'pending', 'grand_total' => '12.5000']);
    }

    /**
     * An order of an earlier request.
     */
    private function saved(Order $order): Order
    {
        $this->shop->save($order);
        $this->forget();
        $data = $order->getData();
        return (new Order($data))->loaded();
    }

    private function document(): array
    {
        return ['increment_id' => '900', 'store_id' => 2];
    }
}
