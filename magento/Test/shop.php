<?php

/**
 * A request of the simulated shop:
 *
 *   php shop.php DIRECTORY send        what the cron does
 *   php shop.php DIRECTORY place N     N orders
 *   php shop.php DIRECTORY order ID NUMBER STORE STATE [FORMER]
 *                                      saves an order of Magento that is in STATE now and, unless it is new, was in FORMER
 */

declare(strict_types=1);

use Magento\Sales\Model\Order;
use Mageline\Events\Cron\SendOutbox;
use Mageline\Events\Test\Framework\Broker;
use Mageline\Events\Test\Framework\Shop;

require __DIR__ . '/bootstrap.php';

[, $directory, $action] = $argv;
$shop = new Shop($directory, Broker::env());
$shop->settings->set['mageline/general/exchange'] = getenv('MAGELINE_TEST_EXCHANGE') ?: 'magento';

switch ($action) {
    case 'send':
        $shop->get(SendOutbox::class)->execute();
        break;
    case 'place':
        for ($i = 0; $i < (int)$argv[3]; $i++) {
            $number = sprintf('%d-%06d', getmypid(), $i);
            $shop->save(new Order(['increment_id' => $number, 'store_id' => 1, 'state' => 'new', 'status' => 'pending']));
            echo $number, "\n";
        }
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
