<?php

declare(strict_types=1);

namespace Mageline\Events\Test\Framework;

/**
 * The shop's database: one of its own in the MariaDB whose socket MAGELINE_TEST_MARIADB names, else a file of SQLite. It has as
 * much of Magento's tables as the module reads, and the module's own table as db_schema.xml declares it.
 */
class Database
{
    /** Tables of Magento, with a prefix. */
    private const TABLES = [
        'CREATE TABLE shop_sales_order (entity_id <id>, increment_id <text>, store_id INTEGER, state <text>, status <text>, created_at <text>)',
        'CREATE TABLE shop_sales_shipment (entity_id <id>, increment_id <text>, store_id INTEGER, created_at <text>)',
        'CREATE TABLE shop_sales_creditmemo (entity_id <id>, increment_id <text>, store_id INTEGER, created_at <text>)',
        'CREATE TABLE shop_sales_invoice (entity_id <id>, increment_id <text>, store_id INTEGER, created_at <text>)',
        'CREATE TABLE shop_customer_entity (entity_id <id>, store_id INTEGER, updated_at <text>)',
        'CREATE TABLE shop_catalog_product_entity (entity_id <id>, sku <text>, updated_at <text>)',
        'CREATE TABLE shop_catalog_product_relation (parent_id INTEGER, child_id INTEGER)',
        'CREATE TABLE shop_inventory_source_item (source_item_id <id>, source_code <text>, sku <text>, quantity DECIMAL(12,4))',
    ];

    public static function isMariaDb(): bool
    {
        return (string)getenv('MAGELINE_TEST_MARIADB') !== '';
    }

    /**
     * Connects to the database that belongs to a directory, and makes it if it is not there. Several processes may do so at once.
     */
    public static function connect(string $directory): \PDO
    {
        $lock = fopen($directory . '/database', 'c');
        flock($lock, LOCK_EX);
        try {
            return self::isMariaDb() ? self::mariaDb($directory) : self::sqlite($directory);
        } finally {
            flock($lock, LOCK_UN);
            fclose($lock);
        }
    }

    private static function mariaDb(string $directory): \PDO
    {
        $name = 'shop_' . substr(hash('sha256', (string)realpath($directory)), 0, 16);
        $pdo = new \PDO('mysql:unix_socket=' . getenv('MAGELINE_TEST_MARIADB') . ';charset=utf8', 'root', '', [
            \PDO::ATTR_ERRMODE => \PDO::ERRMODE_EXCEPTION,
        ]);
        // As Magento's adapter does with each connection: a text that is too long is cut, without a word.
        $pdo->exec("SET SQL_MODE=''");
        $pdo->exec("SET time_zone = '+00:00'");
        $isolation = getenv('MAGELINE_TEST_ISOLATION');
        if ($isolation) {
            $pdo->exec('SET SESSION TRANSACTION ISOLATION LEVEL ' . $isolation);
        }
        $new = $pdo->exec('CREATE DATABASE IF NOT EXISTS ' . $name) > 0;
        $pdo->exec('USE ' . $name);
        if ($new) {
            $types = ['<id>' => 'INT UNSIGNED AUTO_INCREMENT PRIMARY KEY', '<text>' => 'VARCHAR(64)'];
            foreach (self::TABLES as $table) {
                $pdo->exec(strtr($table, $types) . ' ENGINE=InnoDB');
            }
            $pdo->exec(self::declared());
        }
        return $pdo;
    }

    private static function sqlite(string $directory): \PDO
    {
        $new = !file_exists($directory . '/shop.sqlite');
        $pdo = new \PDO('sqlite:' . $directory . '/shop.sqlite');
        $pdo->exec('PRAGMA journal_mode = WAL');
        $pdo->exec('PRAGMA synchronous = NORMAL');
        $pdo->exec('PRAGMA busy_timeout = 10000');
        if ($new) {
            $types = ['<id>' => 'INTEGER PRIMARY KEY AUTOINCREMENT', '<text>' => 'TEXT'];
            foreach (self::TABLES as $table) {
                $pdo->exec(strtr($table, $types));
            }
            $pdo->exec(self::declaredForSqlite());
        }
        return $pdo;
    }

    /**
     * What Magento's declarative schema makes of db_schema.xml: each column with its type, each key and each index.
     */
    public static function declared(): string
    {
        $table = self::schema();
        $parts = [];
        foreach ($table->column as $column) {
            $type = (string)$column->attributes('xsi', true)['type'];
            $parts[] = implode(' ', array_filter([
                $column['name'],
                isset($column['length']) ? "$type({$column['length']})" : $type,
                (string)$column['unsigned'] === 'true' ? 'UNSIGNED' : '',
                (string)$column['nullable'] === 'false' ? 'NOT NULL' : 'NULL',
                isset($column['default']) ? "DEFAULT '{$column['default']}'" : '',
                (string)$column['identity'] === 'true' ? 'AUTO_INCREMENT' : '',
                "COMMENT \"{$column['comment']}\"",
            ]));
        }
        foreach ($table->constraint as $key) {
            if ((string)$key->attributes('xsi', true)['type'] !== 'primary') {
                throw new \LogicException('db_schema.xml has a constraint that is not known here: ' . $key['referenceId']);
            }
            $parts[] = 'PRIMARY KEY (' . implode(', ', self::columns($key)) . ')';
        }
        foreach ($table->index as $index) {
            $parts[] = "INDEX {$index['referenceId']} (" . implode(', ', self::columns($index)) . ") USING {$index['indexType']}";
        }
        return "CREATE TABLE shop_{$table['name']} (" . implode(', ', $parts) . ") ENGINE={$table['engine']} COMMENT=\"{$table['comment']}\"";
    }

    private static function declaredForSqlite(): string
    {
        $columns = [];
        foreach (self::schema()->column as $column) {
            $type = (string)$column->attributes('xsi', true)['type'];
            $columns[] = $column['identity'] ? "{$column['name']} INTEGER PRIMARY KEY AUTOINCREMENT" : sprintf(
                '%s %s%s%s',
                $column['name'],
                in_array($type, ['smallint', 'bigint'], true) ? 'INTEGER' : 'TEXT',
                (string)$column['nullable'] === 'false' ? ' NOT NULL' : '',
                isset($column['default']) ? " DEFAULT {$column['default']}" : ''
            );
        }
        return 'CREATE TABLE shop_' . self::schema()['name'] . ' (' . implode(', ', $columns) . ')';
    }

    private static function schema(): \SimpleXMLElement
    {
        return simplexml_load_file(dirname(__DIR__, 2) . '/etc/db_schema.xml')->table;
    }

    /**
     * @return string[]
     */
    private static function columns(\SimpleXMLElement $element): array
    {
        return array_map(static fn ($column) => (string)$column['name'], iterator_to_array($element->column, false));
    }
}
