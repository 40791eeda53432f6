<?php

declare(strict_types=1);

namespace Mageline\Events\Test\Framework;

use Magento\Framework\App\CacheInterface;
use Magento\Framework\App\Config\ScopeConfigInterface;
use Magento\Framework\App\DeploymentConfig;
use Magento\Framework\App\ResourceConnection;
use Magento\Framework\DB\Adapter\AdapterInterface;
use Magento\Framework\DB\Adapter\Pdo;
use Magento\Framework\Event;
use Magento\Framework\Event\ManagerInterface;
use Magento\Framework\Event\Observer;
use Magento\Framework\Model\AbstractModel;
use Psr\Log\AbstractLogger;
use Psr\Log\LoggerInterface;

/**
 * As much of a shop as the module needs: a database, an object manager and an event manager that read the module's own di.xml and
 * events.xml, and saves with Magento's order of events. One Shop is one request; several share the database and the cache of a
 * directory.
 */
class Shop implements ManagerInterface
{
    public readonly AdapterInterface $adapter;

    /** @var string[] what was logged */
    public array $log = [];

    public readonly Settings $settings;

    /** Seconds that were spent in observers. */
    public float $observed = 0.0;

    /** @var array<string, object> */
    private array $shared = [];

    /** @var array<string, string[]> observers by event */
    private array $observers = [];

    /** @var array<string, string> */
    private array $preferences = [];

    /** @var array<string, string> */
    private array $virtualTypes = [];

    /** @var array<string, array<string, mixed>> */
    private array $arguments = [];

    /** @var callable[] */
    private array $callbacks = [];

    public function __construct(string $directory, array $amqp)
    {
        $this->adapter = new Pdo(Database::connect($directory));
        $this->settings = new Settings(self::module() . '/etc/config.xml');
        $this->readDi();
        $this->readEvents();
        $this->shared = [
            AdapterInterface::class => $this->adapter,
            ResourceConnection::class => new ResourceConnection($this->adapter),
            DeploymentConfig::class => new DeploymentConfig(['queue' => ['amqp' => $amqp]]),
            ScopeConfigInterface::class => $this->settings,
            CacheInterface::class => new FileCache($directory),
            LoggerInterface::class => new class ($this) extends AbstractLogger {
                public function __construct(private Shop $shop)
                {
                }

                public function log($level, $message, array $context = []): void
                {
                    $this->shop->log[] = $level . ': ' . $message;
                }
            },
        ];
    }

    /** Which table a model is saved in, and which of its data. */
    private const MODELS = [
        'sales_order' => ['shop_sales_order', ['increment_id', 'store_id', 'state', 'status', 'created_at']],
        'sales_order_shipment' => ['shop_sales_shipment', ['increment_id', 'store_id', 'created_at']],
        'sales_order_creditmemo' => ['shop_sales_creditmemo', ['increment_id', 'store_id', 'created_at']],
        'sales_order_invoice' => ['shop_sales_invoice', ['increment_id', 'store_id', 'created_at']],
        'customer' => ['shop_customer_entity', ['store_id', 'updated_at']],
        'catalog_product' => ['shop_catalog_product_entity', ['sku', 'updated_at']],
    ];

    /**
     * Saves a model as Magento's resource model does: the row and the observers of save_after in one transaction, those of
     * save_commit_after when the outermost one is committed.
     */
    public function save(AbstractModel $model): void
    {
        $prefix = $model->eventPrefix();
        $this->adapter->beginTransaction();
        try {
            if (!$model->getId()) {
                $model->isObjectNew(true);
            }
            if (isset(self::MODELS[$prefix])) {
                [$table, $columns] = self::MODELS[$prefix];
                $row = array_intersect_key($model->getData(), array_flip($columns));
                if ($model->getId()) {
                    $this->adapter->update($table, $row, ['entity_id = ?' => (int)$model->getId()]);
                } else {
                    $this->adapter->insert($table, $row);
                    $model->setData('entity_id', $this->adapter->lastInsertId());
                }
            }
            $this->dispatch($prefix . '_save_after', $model->eventData());
            $this->callbacks[] = fn () => $this->dispatch($prefix . '_save_commit_after', $model->eventData());
            $this->commit();
        } catch (\Throwable $e) {
            $this->rollBack();
            throw $e;
        }
    }

    public function delete(AbstractModel $model): void
    {
        $prefix = $model->eventPrefix();
        $this->adapter->beginTransaction();
        try {
            [$table] = self::MODELS[$prefix] ?? [null];
            if ($table !== null) {
                $this->adapter->delete($table, ['entity_id = ?' => (int)$model->getId()]);
            }
            $this->dispatch($prefix . '_delete_after', $model->eventData());
            $this->callbacks[] = fn () => $this->dispatch($prefix . '_delete_commit_after', $model->eventData());
            $this->commit();
        } catch (\Throwable $e) {
            $this->rollBack();
            throw $e;
        }
    }

    public function begin(): void
    {
        $this->adapter->beginTransaction();
    }

    public function commit(): void
    {
        $this->adapter->commit();
        if ($this->adapter->getTransactionLevel() > 0) {
            return;
        }
        $callbacks = $this->callbacks;
        $this->callbacks = [];
        foreach ($callbacks as $callback) {
            $callback();
        }
    }

    public function rollBack(): void
    {
        $this->adapter->rollBack();
        $this->callbacks = [];
    }

    public function dispatch($eventName, array $data = []): void
    {
        $begin = hrtime(true);
        try {
            foreach ($this->observers[$eventName] ?? [] as $class) {
                $this->get($class)->execute(new Observer(['event' => new Event($data + ['name' => $eventName])]));
            }
        } finally {
            $this->observed += (hrtime(true) - $begin) / 1e9;
        }
    }

    /**
     * @return object the shared instance, as Magento's object manager makes it
     */
    public function get(string $type): object
    {
        $type = ltrim($this->preferences[$type] ?? $type, '\\');
        if (str_ends_with($type, '\\Proxy')) {
            $type = substr($type, 0, -strlen('\\Proxy'));
        }
        return $this->shared[$type] ??= $this->create($type);
    }

    public function replace(string $type, object $instance): void
    {
        $this->shared[ltrim($this->preferences[$type] ?? $type, '\\')] = $instance;
    }

    public function create(string $type): object
    {
        $class = $type;
        $arguments = $this->arguments[$type] ?? [];
        while (isset($this->virtualTypes[$class])) {
            $class = $this->virtualTypes[$class];
            $arguments += $this->arguments[$class] ?? [];
        }
        $values = [];
        foreach ((new \ReflectionClass($class))->getConstructor()?->getParameters() ?? [] as $parameter) {
            $name = $parameter->getName();
            if (array_key_exists($name, $arguments)) {
                $values[$name] = is_array($arguments[$name]) ? $this->get($arguments[$name]['object']) : $arguments[$name];
            } elseif (!$parameter->isDefaultValueAvailable()) {
                $values[$name] = $this->get((string)$parameter->getType());
            }
        }
        return new $class(...$values);
    }

    private function readDi(): void
    {
        $di = simplexml_load_file(self::module() . '/etc/di.xml');
        foreach ($di->preference as $preference) {
            $this->preferences[(string)$preference['for']] = (string)$preference['type'];
        }
        foreach ($di->virtualType as $type) {
            $this->virtualTypes[(string)$type['name']] = (string)$type['type'];
        }
        foreach (array_merge(iterator_to_array($di->virtualType, false), iterator_to_array($di->type, false)) as $type) {
            foreach ($type->arguments->argument ?? [] as $argument) {
                $kind = (string)$argument->attributes('xsi', true)['type'];
                $this->arguments[(string)$type['name']][(string)$argument['name']] = match ($kind) {
                    'object' => ['object' => (string)$argument],
                    'number' => (float)$argument,
                    'string' => (string)$argument,
                    default => null,
                };
            }
        }
    }

    private function readEvents(): void
    {
        foreach (simplexml_load_file(self::module() . '/etc/events.xml')->event as $event) {
            foreach ($event->observer as $observer) {
                $this->observers[(string)$event['name']][(string)$observer['name']] = (string)$observer['instance'];
            }
        }
    }

    private static function module(): string
    {
        return dirname(__DIR__, 2);
    }
}
