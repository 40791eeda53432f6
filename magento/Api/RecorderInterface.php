<?php

declare(strict_types=1);

namespace Mageline\Events\Api;

use Mageline\Events\Model\Event;

/**
 * Takes what happened, inside the transaction in which it happens, and publishes it after the commit. Nothing that it
 * does fails or delays the save. It throws nothing but a DeadlockException, by which the database has rolled the save
 * back already: swallowed, it would have Magento commit the rest of an order that is gone.
 *
 * @api
 */
interface RecorderInterface
{
    /**
     * Takes an event, if the shop wants events of its topic and store. The same again before it is published is one
     * event.
     */
    public function record(Event $event): void;

    /**
     * Publishes what was recorded, as far as it is committed. To be called after a commit.
     */
    public function flush(): void;
}
