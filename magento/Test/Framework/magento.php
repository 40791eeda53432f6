<?php

/**
 * What the module uses of Magento, as far as it uses it: signatures as Magento's own, behaviour as its documentation and its
 * sources have it. Nothing here is kinder than the real thing: observers' exceptions leave the save, commit callbacks run after the
 * outermost commit alone, a rollback forgets them, and an object stays new until its request ends.
 */

declare(strict_types=1);

namespace Magento\Framework\Component {
    class ComponentRegistrar
    {
        public const MODULE = 'module';
        public static array $paths = [];

        public static function register($type, $componentName, $path)
        {
            self::$paths[$type][$componentName] = $path;
        }
    }
}

namespace Magento\Framework {
    class DataObject
    {
        protected $_data = [];

        public function __construct(array $data = [])
        {
            $this->_data = $data;
        }

        public function getData($key = '', $index = null)
        {
            return $key === '' ? $this->_data : ($this->_data[$key] ?? null);
        }

        public function setData($key, $value = null)
        {
            if (is_array($key)) {
                $this->_data = $key;
            } else {
                $this->_data[$key] = $value;
            }
            return $this;
        }

        public function __call($method, $args)
        {
            $key = strtolower(preg_replace('/(.)([A-Z])/', '$1_$2', substr($method, 3)));
            return match (substr($method, 0, 3)) {
                'get' => $this->getData($key),
                'set' => $this->setData($key, $args[0] ?? null),
                default => throw new \BadMethodCallException(static::class . '::' . $method),
            };
        }
    }

    class Event extends DataObject
    {
    }
}

namespace Magento\Framework\Event {
    interface ObserverInterface
    {
        public function execute(Observer $observer);
    }

    class Observer extends \Magento\Framework\DataObject
    {
        /** @return \Magento\Framework\Event */
        public function getEvent()
        {
            return $this->getData('event');
        }
    }

    interface ManagerInterface
    {
        public function dispatch($eventName, array $data = []);
    }
}

namespace Magento\Framework\App {
    interface CacheInterface
    {
        /** @return string|false */
        public function load($identifier);

        public function save($data, $identifier, $tags = [], $lifeTime = null);
    }

    class DeploymentConfig
    {
        public function __construct(private array $data = [])
        {
        }

        public function get($key = null, $defaultValue = null)
        {
            $value = $this->data;
            foreach (explode('/', (string)$key) as $part) {
                if (!is_array($value) || !array_key_exists($part, $value)) {
                    return $defaultValue;
                }
                $value = $value[$part];
            }
            return $value;
        }
    }

    class ResourceConnection
    {
        public function __construct(private \Magento\Framework\DB\Adapter\AdapterInterface $adapter)
        {
        }

        /** @return \Magento\Framework\DB\Adapter\AdapterInterface */
        public function getConnection($resourceName = 'default')
        {
            return $this->adapter;
        }

        /** @return string */
        public function getTableName($modelEntity, $connectionName = 'default')
        {
            return 'shop_' . $modelEntity; // a shop with a table prefix
        }
    }
}

namespace Magento\Framework\App\Config {
    interface ScopeConfigInterface
    {
        public const SCOPE_TYPE_DEFAULT = 'default';

        public function getValue($path, $scopeType = self::SCOPE_TYPE_DEFAULT, $scopeCode = null);

        /** @return bool */
        public function isSetFlag($path, $scopeType = self::SCOPE_TYPE_DEFAULT, $scopeCode = null);
    }
}

namespace Magento\Store\Model {
    interface ScopeInterface
    {
        public const SCOPE_STORE = 'store';
    }
}

namespace Magento\Framework\DB\Adapter {
    interface AdapterInterface
    {
        public function beginTransaction();

        public function commit();

        public function rollBack();

        public function getTransactionLevel();

        /** @return \Magento\Framework\DB\Select */
        public function select();

        /** @return int */
        public function insert($table, array $bind);

        /** @return int */
        public function update($table, array $bind, $where = '');

        /** @return int */
        public function delete($table, $where = '');

        /** @return string */
        public function lastInsertId($tableName = null, $primaryKey = null);

        /** @return list<array<string, string|null>> */
        public function fetchAll($sql, $bind = [], $fetchMode = null);

        /** @return array<string, string|null> */
        public function fetchRow($sql, $bind = [], $fetchMode = null);

        /** @return list<string> */
        public function fetchCol($sql, $bind = []);

        /** @return array<string, string> */
        public function fetchPairs($sql, $bind = []);

        /** @return string|false */
        public function fetchOne($sql, $bind = []);

        public function quoteInto($text, $value, $type = null, $count = null);
    }

    class DeadlockException extends \Exception
    {
    }

    class LockWaitException extends \Exception
    {
    }

    /**
     * An adapter over PDO. A nested transaction is a level, not a savepoint; one that is rolled back inside leaves nothing that
     * could be committed outside.
     */
    class Pdo implements AdapterInterface
    {
        private int $level = 0;
        private bool $rolledBack = false;

        public function __construct(private \PDO $pdo)
        {
            $pdo->setAttribute(\PDO::ATTR_ERRMODE, \PDO::ERRMODE_EXCEPTION);
            $pdo->setAttribute(\PDO::ATTR_STRINGIFY_FETCHES, true);
        }

        public function beginTransaction()
        {
            if ($this->rolledBack) {
                throw new \Exception('Rolled back transaction has not been completed correctly.');
            }
            if ($this->level === 0) {
                $this->pdo->exec($this->pdo->getAttribute(\PDO::ATTR_DRIVER_NAME) === 'sqlite' ? 'BEGIN IMMEDIATE' : 'START TRANSACTION');
            }
            $this->level++;
            return $this;
        }

        public function commit()
        {
            if ($this->level === 1 && !$this->rolledBack) {
                $this->pdo->exec('COMMIT');
            } elseif ($this->level === 0) {
                throw new \Exception('Asymmetric transaction commit.');
            } elseif ($this->rolledBack) {
                throw new \Exception('Rolled back transaction has not been completed correctly.');
            }
            $this->level--;
            return $this;
        }

        public function rollBack()
        {
            if ($this->level === 1) {
                $this->pdo->exec('ROLLBACK');
                $this->rolledBack = false;
            } elseif ($this->level === 0) {
                throw new \Exception('Asymmetric transaction rollback.');
            } else {
                $this->rolledBack = true;
            }
            $this->level--;
            return $this;
        }

        public function getTransactionLevel()
        {
            return $this->level;
        }

        public function select()
        {
            return new \Magento\Framework\DB\Select($this);
        }

        public function insert($table, array $bind)
        {
            $columns = implode(', ', array_keys($bind));
            return $this->run("INSERT INTO $table ($columns) VALUES (" . implode(', ', array_fill(0, count($bind), '?')) . ')', array_values($bind))->rowCount();
        }

        public function update($table, array $bind, $where = '')
        {
            $set = implode(', ', array_map(fn ($column) => "$column = ?", array_keys($bind)));
            return $this->run("UPDATE $table SET $set" . $this->where($where), array_values($bind))->rowCount();
        }

        public function delete($table, $where = '')
        {
            return $this->run("DELETE FROM $table" . $this->where($where), [])->rowCount();
        }

        public function lastInsertId($tableName = null, $primaryKey = null)
        {
            return $this->pdo->lastInsertId();
        }

        public function fetchAll($sql, $bind = [], $fetchMode = null)
        {
            return $this->run((string)$sql, $bind)->fetchAll(\PDO::FETCH_ASSOC);
        }

        public function fetchRow($sql, $bind = [], $fetchMode = null)
        {
            return $this->run((string)$sql, $bind)->fetch(\PDO::FETCH_ASSOC);
        }

        public function fetchCol($sql, $bind = [])
        {
            return $this->run((string)$sql, $bind)->fetchAll(\PDO::FETCH_COLUMN);
        }

        public function fetchPairs($sql, $bind = [])
        {
            $pairs = [];
            foreach ($this->run((string)$sql, $bind)->fetchAll(\PDO::FETCH_NUM) as [$key, $value]) {
                $pairs[$key] = $value;
            }
            return $pairs;
        }

        public function fetchOne($sql, $bind = [])
        {
            return $this->run((string)$sql, $bind)->fetchColumn();
        }

        public function quoteInto($text, $value, $type = null, $count = null)
        {
            $quoted = is_array($value)
                ? implode(', ', array_map(fn ($one) => $this->quote($one), $value))
                : $this->quote($value);
            return str_replace('?', $quoted, $text);
        }

        /** A statement of a test's own. */
        public function execute(string $sql): void
        {
            $this->pdo->exec($sql);
        }

        private function quote($value): string
        {
            return match (true) {
                $value === null => 'NULL',
                is_int($value), is_float($value) => (string)$value,
                default => $this->pdo->quote((string)$value),
            };
        }

        private function where($where): string
        {
            $parts = [];
            foreach ((array)$where as $condition => $value) {
                if ($value === '') {
                    continue;
                }
                $parts[] = '(' . (is_int($condition) ? $value : $this->quoteInto($condition, $value)) . ')';
            }
            return $parts ? ' WHERE ' . implode(' AND ', $parts) : '';
        }

        private function run(string $sql, array $bind): \PDOStatement
        {
            try {
                $statement = $this->pdo->prepare($sql);
                $statement->execute($bind);
                return $statement;
            } catch (\PDOException $e) {
                throw match ($e->errorInfo[1] ?? 0) {
                    1205 => new LockWaitException($e->getMessage(), 1205, $e),
                    1213 => new DeadlockException($e->getMessage(), 1213, $e),
                    default => $e,
                };
            }
        }
    }
}

namespace Magento\Framework\DB {
    class Select
    {
        private bool $distinct = false;
        private string $from = '';
        private array $columns = [];
        private array $joins = [];
        private array $where = [];
        private array $order = [];
        private string $limit = '';

        public function __construct(private Adapter\AdapterInterface $adapter)
        {
        }

        /** @return $this */
        public function distinct($flag = true)
        {
            $this->distinct = (bool)$flag;
            return $this;
        }

        /** @return $this */
        public function from($name, $cols = '*', $schema = null)
        {
            [$this->from, $alias] = $this->table($name);
            $this->columns($cols, $alias);
            return $this;
        }

        /** @return $this */
        public function join($name, $cond, $cols = '*', $schema = null)
        {
            [$table, $alias] = $this->table($name);
            $this->joins[] = " INNER JOIN $table ON $cond";
            $this->columns($cols, $alias);
            return $this;
        }

        /** @return $this */
        public function where($cond, $value = null, $type = null)
        {
            $this->where[] = '(' . ($value === null ? $cond : $this->adapter->quoteInto($cond, $value)) . ')';
            return $this;
        }

        /** @return $this */
        public function order($spec)
        {
            $this->order[] = $spec;
            return $this;
        }

        /** @return $this */
        public function limit($count = null, $offset = null)
        {
            $this->limit = ' LIMIT ' . (int)$count;
            return $this;
        }

        public function __toString()
        {
            return 'SELECT ' . ($this->distinct ? 'DISTINCT ' : '') . implode(', ', $this->columns) . ' FROM ' . $this->from
                . implode('', $this->joins)
                . ($this->where ? ' WHERE ' . implode(' AND ', $this->where) : '')
                . ($this->order ? ' ORDER BY ' . implode(', ', $this->order) : '')
                . $this->limit;
        }

        private function table($name): array
        {
            if (is_array($name)) {
                $alias = (string)key($name);
                return [current($name) . ' AS ' . $alias, $alias];
            }
            return [$name, $name];
        }

        private function columns($cols, string $alias): void
        {
            foreach ((array)$cols as $as => $column) {
                $column = str_contains($column, '(') ? $column : "$alias.$column";
                $this->columns[] = is_int($as) ? $column : "$column AS $as";
            }
        }
    }
}

namespace Magento\Framework\Model {
    abstract class AbstractModel extends \Magento\Framework\DataObject
    {
        protected $_eventPrefix = 'core_abstract';
        protected $_eventObject = 'object';
        protected $_origData;
        private ?bool $new = null;

        public function getId()
        {
            return $this->getData('entity_id');
        }

        public function getOrigData($key = null)
        {
            return $key === null ? $this->_origData : ($this->_origData[$key] ?? null);
        }

        /** What reading it from the database does. */
        public function loaded(): static
        {
            $this->_origData = $this->_data;
            return $this;
        }

        public function isObjectNew($flag = null)
        {
            if ($flag !== null) {
                $this->new = $flag;
            }
            return $this->new ?? !$this->getId();
        }

        public function eventPrefix(): string
        {
            return $this->_eventPrefix;
        }

        public function eventData(): array
        {
            return ['data_object' => $this, $this->_eventObject => $this];
        }
    }
}

namespace Magento\Sales\Model {
    /**
     * @method string|null getIncrementId()
     * @method int|string|null getStoreId()
     */
    abstract class AbstractModel extends \Magento\Framework\Model\AbstractModel
    {
    }

    /**
     * @method string|null getIncrementId()
     * @method int|string|null getStoreId()
     */
    class Order extends AbstractModel
    {
        public const STATE_CANCELED = 'canceled';
        protected $_eventPrefix = 'sales_order';
        protected $_eventObject = 'order';

        public function getState()
        {
            return $this->getData('state');
        }
    }
}

namespace Magento\Sales\Model\Order {
    class Item extends \Magento\Sales\Model\AbstractModel
    {
        protected $_eventPrefix = 'sales_order_item';
        protected $_eventObject = 'item';

        public function getId()
        {
            return $this->getData('item_id');
        }

        public function getOrder()
        {
            return $this->getData('order');
        }
    }

    class Address extends \Magento\Sales\Model\AbstractModel
    {
        protected $_eventPrefix = 'sales_order_address';
        protected $_eventObject = 'address';

        public function getOrder()
        {
            return $this->getData('order');
        }
    }

    class Shipment extends \Magento\Sales\Model\AbstractModel
    {
        protected $_eventPrefix = 'sales_order_shipment';
        protected $_eventObject = 'shipment';
    }

    class Creditmemo extends \Magento\Sales\Model\AbstractModel
    {
        protected $_eventPrefix = 'sales_order_creditmemo';
        protected $_eventObject = 'creditmemo';
    }

    class Invoice extends \Magento\Sales\Model\AbstractModel
    {
        protected $_eventPrefix = 'sales_order_invoice';
        protected $_eventObject = 'invoice';
    }
}

namespace Magento\Customer\Model {
    class Customer extends \Magento\Framework\Model\AbstractModel
    {
        protected $_eventPrefix = 'customer';
        protected $_eventObject = 'customer';
    }

    class Address extends \Magento\Framework\Model\AbstractModel
    {
        protected $_eventPrefix = 'customer_address';
        protected $_eventObject = 'customer_address';
    }
}

namespace Magento\Catalog\Model {
    class Product extends \Magento\Framework\Model\AbstractModel
    {
        protected $_eventPrefix = 'catalog_product';
        protected $_eventObject = 'product';
    }
}

namespace Magento\Catalog\Api\Data {
    interface ProductInterface
    {
    }
}

namespace Magento\Framework\EntityManager {
    interface EntityMetadataInterface
    {
        public function getLinkField();
    }

    class MetadataPool
    {
        public function __construct(private string $linkField = 'entity_id')
        {
        }

        public function getMetadata($entityType)
        {
            return new class ($this->linkField) implements EntityMetadataInterface {
                public function __construct(private string $linkField)
                {
                }

                public function getLinkField()
                {
                    return $this->linkField;
                }
            };
        }
    }
}

namespace Magento\Framework\Indexer {
    interface ActionInterface
    {
        public function executeFull();

        /** @param int[] $ids */
        public function executeList(array $ids);

        public function executeRow($id);
    }

    class IndexerRegistry
    {
        /** @var array<string, object> */
        public array $indexers = [];

        public function get($indexerId)
        {
            return $this->indexers[$indexerId] ?? throw new \InvalidArgumentException("$indexerId indexer does not exist.");
        }
    }
}

namespace Magento\Framework\Mview {
    interface ActionInterface
    {
        public function execute($ids);
    }

    interface ProcessorInterface
    {
        public function update($group = '');

        public function clearChangelog($group = '');
    }
}

namespace Magento\Framework\Setup {
    interface InstallSchemaInterface
    {
        public function install(SchemaSetupInterface $setup, ModuleContextInterface $context);
    }

    interface SchemaSetupInterface
    {
    }

    interface ModuleContextInterface
    {
    }
}
