<?php

/**
 * A request of the simulated shop:
 *
 *   php shop.php DIRECTORY send        what the cron does
 *   php shop.php DIRECTORY place N     N orders, each a request of its own: prints its number, the milliseconds of its save and
 *                                      those of them that the module took, one line each
 *   php shop.php DIRECTORY depth       prints how many events are in the outbox
 *   php shop.php DIRECTORY expire      ends all leases, as two minutes do
 *   php shop.php DIRECTORY order ID NUMBER STORE STATE [FORMER]
 *                                      saves an order of Magento that is in STATE now and, unless it is new, was in FORMER
 */

declare(strict_types=1);

use Magento\Sales\Model\Order;
use Mageline\Events\Api\OutboxInterface;
use Mageline\Events\Cron\SendOutbox;
use Mageline\Events\Test\Framework\Broker;
use Mageline\Events\Test\Framework\Shop;

require __DIR__ . '/bootstrap.php';

[, $directory, $action] = $argv;
$request = static function () use ($directory): Shop {
    $shop = new Shop($directory, Broker::env());
    $shop->settings->set['mageline/general/exchange'] = getenv('MAGELINE_TEST_EXCHANGE') ?: 'magento';
    $shop->settings->set['mageline/outbox/at_once'] = getenv('MAGELINE_TEST_AT_ONCE') === '0' ? '0' : '1';
    return $shop;
};
$shop = $request();

switch ($action) {
    case 'send':
        $shop->get(SendOutbox::class)->execute();
        break;
    case 'place':
        for ($i = 0; $i < (int)$argv[3]; $i++) {
            $number = sprintf('%d-%06d', getmypid(), $i);
            $one = $request();
            $begin = hrtime(true);
            $one->save(new Order(['increment_id' => $number, 'store_id' => 1, 'state' => 'new', 'status' => 'pending']));
            printf("%s %.3f %.3f\n", $number, (hrtime(true) - $begin) / 1e6, $one->observed * 1e3);
            $shop->log = array_merge($shop->log, $one->log);
            unset($one);
            gc_collect_cycles(); // its connections are closed, as at the end of a request
        }
        break;
    case 'depth':
        echo $shop->get(OutboxInterface::class)->status()['depth'], "\n";
        break;
    case 'expire':
        $shop->adapter->update('shop_mageline_outbox', ['leased_until' => null], ['leased_until IS NOT NULL']);
        break;
    case 'order':
        [, , , $id, $number, $store, $state] = $argv;
        $order = new Order(['entity_id' => (int)$id, 'increment_id' => $number, 'store_id' => (int)$store]);
        if (isset($argv[7])) {
            $order->setData('state', $argv[7])->loaded();
        } else {
            $order->isObjectNew(true);
        }
        $shop->save($order->setData('state', $state));
        break;
    default:
        fwrite(STDERR, "there is no action $action\n");
        exit(2);
}
foreach ($shop->log as $line) {
    fwrite(STDERR, $line . "\n");
}
