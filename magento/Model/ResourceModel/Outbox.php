<?php

declare(strict_types=1);

namespace Mageline\Events\Model\ResourceModel;

use Mageline\Events\Api\OutboxInterface;
use Mageline\Events\Model\Event;
use Mageline\Events\Model\OutboxRow;
use Magento\Framework\App\ResourceConnection;
use Magento\Framework\DB\Adapter\AdapterInterface;

/**
 * The outbox in the table mageline_outbox. A lease is an owner and a time, taken by a conditional UPDATE; whoever
 * dies with one loses it by time.
 *
 * Rows are changed one by one, by their primary key: such a statement locks the one row that it changes. With a list
 * of ids or a range of times MySQL may read the whole table, and locks what it reads: rows of saves that are not
 * committed yet, for which it then waits, and the end of the table, for which those saves wait then.
 */
class Outbox implements OutboxInterface
{
    public const TABLE = 'mageline_outbox';

    /** Seconds for which a row that is being saved belongs to the process that saves it. */
    private const LEASE_OF_SAVE = 60;

    /** Seconds for which a batch belongs to the process that sends it: longer than a batch may take. */
    private const LEASE_OF_BATCH = 120;

    /** Seconds until a row that the broker did not take is due again, by the number of attempts. */
    private const RETRY_AFTER = [60, 300, 1800, 3600];

    private const MAX_ERROR = 255;

    /** Most rows that status() looks at for what was refused. */
    private const MAX_ERRORS = 1000;

    /** Most rows that are changed in one transaction. */
    private const MAX_CHANGES = 500;

    private string $owner;

    public function __construct(private readonly ResourceConnection $resource)
    {
        $this->owner = bin2hex(random_bytes(16));
    }

    public function add(Event $event): int
    {
        $connection = $this->connection();
        $now = time();
        $connection->insert($this->table(), [
            'topic' => $event->topic,
            'body' => $event->body(),
            'created_at' => self::utc($now),
            'due_at' => self::utc($now),
            'attempts' => 0,
            'owner' => $this->owner,
            'leased_until' => self::utc($now + self::LEASE_OF_SAVE),
        ]);
        return (int)$connection->lastInsertId($this->table());
    }

    public function committed(array $ids): array
    {
        if (!$ids) {
            return [];
        }
        return $this->rows($this->owner, $ids);
    }

    public function leaseDue(int $limit): array
    {
        $connection = $this->connection();
        $now = time();
        $select = $connection->select()
            ->from($this->table(), ['id'])
            ->where('due_at <= ?', self::utc($now))
            ->where('leased_until IS NULL OR leased_until < ?', self::utc($now))
            ->order('id ASC')
            ->limit($limit);
        $ids = array_map('intval', $connection->fetchCol($select));
        if (!$ids) {
            return [];
        }
        // An owner of its own for each batch: what an earlier batch of this process left behind is not in this one.
        $owner = bin2hex(random_bytes(16));
        $this->each($ids, fn (int $id) => $connection->update(
            $this->table(),
            ['owner' => $owner, 'leased_until' => self::utc($now + self::LEASE_OF_BATCH)],
            ['id = ?' => $id, 'leased_until IS NULL OR leased_until < ?' => self::utc($now)]
        ));
        return $this->rows($owner, $ids);
    }

    public function remove(array $ids): void
    {
        $this->each($ids, fn (int $id) => $this->connection()->delete($this->table(), ['id = ?' => $id]));
    }

    public function release(array $ids): void
    {
        $free = ['owner' => null, 'leased_until' => null];
        $this->each($ids, fn (int $id) => $this->connection()->update($this->table(), $free, ['id = ?' => $id]));
    }

    public function fail(OutboxRow $row, string $error): void
    {
        $wait = self::RETRY_AFTER[min($row->attempts, count(self::RETRY_AFTER) - 1)];
        $this->connection()->update(
            $this->table(),
            [
                'owner' => null,
                'leased_until' => null,
                'attempts' => $row->attempts + 1,
                'due_at' => self::utc(time() + $wait),
                'error' => mb_substr($error, 0, self::MAX_ERROR),
            ],
            ['id = ?' => $row->id]
        );
    }

    public function retry(array $ids): int
    {
        if (!$ids) {
            return 0;
        }
        $connection = $this->connection();
        // MySQL counts a row that is due already as not changed.
        $there = $connection->fetchCol($connection->select()->from($this->table(), ['id'])->where('id IN (?)', $ids));
        $due = ['due_at' => self::utc(time())];
        $this->each($there, fn (int $id) => $connection->update($this->table(), $due, ['id = ?' => $id]));
        return count($there);
    }

    public function deleteOlderThan(int $days): int
    {
        $connection = $this->connection();
        $select = $connection->select()
            ->from($this->table(), ['id'])
            ->where('created_at < ?', self::utc(time() - $days * 86400))
            ->limit(self::MAX_CHANGES);
        $deleted = 0;
        do {
            $ids = $connection->fetchCol($select);
            $count = $this->each($ids, fn (int $id) => $connection->delete($this->table(), ['id = ?' => $id]));
            $deleted += $count;
        } while ($count > 0);
        return $deleted;
    }

    public function status(): array
    {
        $connection = $this->connection();
        $all = $connection->fetchRow(
            $connection->select()->from($this->table(), ['depth' => 'COUNT(*)', 'oldest' => 'MIN(created_at)'])
        );
        $failed = (int)$connection->fetchOne(
            $connection->select()->from($this->table(), ['COUNT(*)'])->where('attempts > ?', 0)
        );
        // By id, so the newest of a topic is the last.
        $topics = $connection->fetchPairs(
            $connection->select()
                ->from($this->table(), ['topic', 'error'])
                ->where('error IS NOT NULL')
                ->order('id ASC')
                ->limit(self::MAX_ERRORS)
        );
        return [
            'depth' => (int)$all['depth'],
            'oldest' => $all['oldest'] ?: null,
            'failed' => $failed,
            'last_error' => $topics ? (string)end($topics) : null,
            'topics' => $topics,
        ];
    }

    /**
     * Changes rows one by one, in one transaction, and returns how many it has changed. All do so in the order of
     * their ids: none waits for one that waits for it.
     *
     * @param int[]|string[] $ids
     * @param callable(int): int $change
     */
    private function each(array $ids, callable $change): int
    {
        $ids = array_map('intval', $ids);
        sort($ids);
        $changed = 0;
        foreach (array_chunk($ids, self::MAX_CHANGES) as $part) {
            $this->connection()->beginTransaction();
            try {
                foreach ($part as $id) {
                    $changed += $change($id);
                }
                $this->connection()->commit();
            } catch (\Throwable $e) {
                $this->connection()->rollBack();
                throw $e;
            }
        }
        return $changed;
    }

    /**
     * @param int[] $ids
     * @return OutboxRow[]
     */
    private function rows(string $owner, array $ids): array
    {
        $connection = $this->connection();
        $select = $connection->select()
            ->from($this->table(), ['id', 'topic', 'body', 'attempts'])
            ->where('id IN (?)', $ids)
            ->where('owner = ?', $owner)
            ->where('leased_until >= ?', self::utc(time()))
            ->order('id ASC');
        return array_map(
            static fn (array $row) => new OutboxRow(
                (int)$row['id'],
                (string)$row['topic'],
                (string)$row['body'],
                (int)$row['attempts']
            ),
            $connection->fetchAll($select)
        );
    }

    /**
     * The connection of the shop's own tables. A second connection would be a second transaction.
     */
    private function connection(): AdapterInterface
    {
        return $this->resource->getConnection();
    }

    private function table(): string
    {
        return $this->resource->getTableName(self::TABLE);
    }

    private static function utc(int $time): string
    {
        return gmdate('Y-m-d H:i:s', $time);
    }
}
