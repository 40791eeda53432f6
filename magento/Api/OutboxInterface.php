<?php

declare(strict_types=1);

namespace Mageline\Events\Api;

use Mageline\Events\Model\Event;
use Mageline\Events\Model\OutboxRow;

/**
 * Events that are committed and not yet confirmed by the broker. A row is written in the transaction of the entity's
 * own save, so it has the entity's fate. Rows are not unique: an event too many does no harm.
 *
 * @api
 */
interface OutboxInterface
{
    /**
     * Writes a row, leased by this process, and returns its id. The row joins the transaction that is open.
     */
    public function add(Event $event): int;

    /**
     * Returns those of the rows that this process has added which are committed and which it still leases.
     *
     * @param int[] $ids
     * @return OutboxRow[] oldest first
     */
    public function committed(array $ids): array;

    /**
     * Leases the oldest rows that are due and leased by nobody.
     *
     * @return OutboxRow[] oldest first
     */
    public function leaseDue(int $limit): array;

    /**
     * Removes rows that the broker has confirmed.
     *
     * @param int[] $ids
     */
    public function remove(array $ids): void;

    /**
     * Ends the lease of rows that were not tried, as the broker is away. They stay due.
     *
     * @param int[] $ids
     */
    public function release(array $ids): void;

    /**
     * Ends the lease of a row that the broker did not take, and makes it due again later.
     */
    public function fail(OutboxRow $row, string $error): void;

    /**
     * Makes rows due now.
     *
     * @param int[] $ids
     * @return int how many
     */
    public function retry(array $ids): int;

    /**
     * Deletes rows that are older than so many days, and returns how many.
     */
    public function deleteOlderThan(int $days): int;

    /**
     * Times are in UTC. Topics are those of rows that the broker did not take, with the last reason.
     *
     * @return array{depth: int, oldest: ?string, failed: int, last_error: ?string, topics: array<string, string>}
     */
    public function status(): array;
}
