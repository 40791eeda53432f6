<?php
// Consumes messages as a PHP shop would: php-amqp, and a claim and a finish in Postgres for each message, each a statement
// of its own. Prints how many it was a second. Used by the bench: php consume.php AMQP_URL QUEUE MESSAGES PREFETCH DATABASE_URL
[, $amqp, $name, $count, $prefetch, $database] = $argv;
$url = parse_url($amqp);
$vhost = isset($url['path']) && $url['path'] !== '/' ? urldecode(substr($url['path'], 1)) : '/';
$connection = new AMQPConnection([
    'host' => $url['host'], 'port' => $url['port'] ?? 5672, 'vhost' => $vhost,
    'login' => urldecode($url['user'] ?? 'guest'), 'password' => urldecode($url['pass'] ?? 'guest'),
]);
$connection->connect();
$channel = new AMQPChannel($connection);
$channel->qos(0, (int) $prefetch);
$queue = new AMQPQueue($channel);
$queue->setName($name);

$db = pg_connect($database);
pg_prepare($db, 'claim', "INSERT INTO effect VALUES ('order_placed', $1, 'php', 'in_progress', 'php', 1,
    now() + interval '90 s', NULL, false, '', '', '', now(), now()) ON CONFLICT DO NOTHING");
pg_prepare($db, 'finish', "UPDATE effect SET state = 'done', result = 'SO-1', updated_at = now()
    WHERE consumer = 'order_placed' AND key = $1 AND effect = 'php' AND claim = 1");

$handled = 0;
$began = 0;
$queue->consume(function (AMQPEnvelope $envelope, AMQPQueue $queue) use ($db, $count, &$handled, &$began) {
    $began = $began ?: microtime(true);
    $order = json_decode($envelope->getBody(), true, 512, JSON_THROW_ON_ERROR);
    pg_execute($db, 'claim', [$order['increment_id']]);
    pg_execute($db, 'finish', [$order['increment_id']]);
    $queue->ack($envelope->getDeliveryTag());
    return ++$handled < $count;
});
printf("%.1f\n", ($count - 1) / (microtime(true) - $began));
