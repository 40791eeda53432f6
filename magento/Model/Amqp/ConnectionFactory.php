<?php

declare(strict_types=1);

namespace Mageline\Events\Model\Amqp;

use Mageline\Events\Model\Config;
use Magento\Framework\App\DeploymentConfig;
use PhpAmqpLib\Connection\AbstractConnection;
use PhpAmqpLib\Connection\AMQPSSLConnection;
use PhpAmqpLib\Connection\AMQPStreamConnection;

/**
 * Opens connections of the module's own to the broker that app/etc/env.php names. Magento's shared one has no
 * time-outs: with the broker in an alarm, a request would wait for it without limit.
 */
class ConnectionFactory
{
    public function __construct(
        private readonly DeploymentConfig $deploymentConfig,
        private readonly Config $config
    ) {
    }

    /**
     * Opens a connection.
     *
     * @param float $connectTimeout seconds, for the socket and for each step of the login
     * @param float $ioTimeout seconds, for a read or a write and for the answer to a call
     * @throws BrokerAway
     */
    public function open(float $connectTimeout, float $ioTimeout): AbstractConnection
    {
        $settings = $this->settings();
        $host = (string)($settings['host'] ?? '');
        if ($host === '') {
            throw new BrokerAway(
                'app/etc/env.php names no host of the connection ' . $this->config->connection() . ' (queue/amqp/host)'
            );
        }
        $port = (int)($settings['port'] ?? 0) ?: 5672;
        $user = (string)($settings['user'] ?? '');
        $password = (string)($settings['password'] ?? '');
        $vhost = (string)($settings['virtualhost'] ?? '') ?: '/';
        // Magento compares with the text "true", so a boolean true there means no TLS; here both mean TLS.
        $tls = in_array($settings['ssl'] ?? '', [true, 'true', '1', 1], true);
        try {
            if ($tls) {
                $options = (array)($settings['ssl_options'] ?? []) ?: ['verify_peer' => true];
                $connection = new AMQPSSLConnection($host, $port, $user, $password, $vhost, $options, [
                    'connection_timeout' => $connectTimeout,
                    'read_write_timeout' => $ioTimeout,
                    'channel_rpc_timeout' => $ioTimeout,
                    'heartbeat' => 0,
                ]);
            } else {
                $connection = new AMQPStreamConnection(
                    $host,
                    $port,
                    $user,
                    $password,
                    $vhost,
                    false,
                    'AMQPLAIN',
                    null,
                    'en_US',
                    $connectTimeout,
                    $ioTimeout,
                    null,
                    false,
                    0,
                    $ioTimeout
                );
            }
            // The end of the request must not wait for the broker to say good-bye.
            $connection->set_close_on_destruct(false);
            return $connection;
        } catch (\Throwable $e) {
            throw new BrokerAway(sprintf('no connection to %s:%d: %s', $host, $port, self::reason($e)), 0, $e);
        }
    }

    /**
     * What an exception of php-amqplib says, with its class: its message alone may be empty.
     */
    public static function reason(\Throwable $e): string
    {
        $class = substr((string)strrchr('\\' . get_class($e), '\\'), 1);
        return $e->getMessage() === '' ? $class : $class . ': ' . $e->getMessage();
    }

    /**
     * @return array<string, mixed>
     */
    private function settings(): array
    {
        $name = $this->config->connection();
        $path = $name === 'amqp' ? 'queue/amqp' : 'queue/connections/' . $name;
        $settings = $this->deploymentConfig->get($path);
        return is_array($settings) ? $settings : [];
    }
}
