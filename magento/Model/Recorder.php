<?php

declare(strict_types=1);

namespace Mageline\Events\Model;

use Mageline\Events\Api\OutboxInterface;
use Mageline\Events\Api\PublisherInterface;
use Mageline\Events\Api\RecorderInterface;
use Mageline\Events\Model\Amqp\BrokerAway;
use Magento\Framework\DB\Adapter\DeadlockException;
use Psr\Log\LoggerInterface;

/**
 * With the outbox an event is a row of the transaction, and is published from it after the commit. Without, or where
 * the row can't be written, it is kept in memory until the commit, and is lost when the broker is away then.
 */
class Recorder implements RecorderInterface
{
    /** Most events of one request; what comes in addition waits for the cron. */
    private const MAX_PENDING = 1000;

    /** @var array<string, int> ids of rows by subject */
    private array $rows = [];

    /** @var array<string, Event> by subject, where there is no row */
    private array $events = [];

    public function __construct(
        private readonly Config $config,
        private readonly OutboxInterface $outbox,
        private readonly PublisherInterface $publisher,
        private readonly BrokerMarker $marker,
        private readonly LoggerInterface $logger
    ) {
    }

    public function record(Event $event): void
    {
        try {
            if (!$this->config->wants($event->topic, $event->storeId)) {
                return;
            }
            $subject = $event->subject();
            if (!$this->config->outbox()) {
                if (count($this->events) < self::MAX_PENDING) {
                    $this->events[$subject] = $event;
                }
                return;
            }
            if (isset($this->rows[$subject]) && $this->outbox->committed([$this->rows[$subject]])) {
                return; // the row of before is there and still to be published
            }
            $id = $this->outbox->add($event);
            if (count($this->rows) < self::MAX_PENDING) {
                $this->rows[$subject] = $id;
            }
        } catch (DeadlockException $e) {
            throw $e;
        } catch (\JsonException $e) {
            $this->logger->critical(
                'mageline: an event of ' . $event->topic . ' has a text that is not UTF-8: ' . $e->getMessage()
            );
        } catch (\Throwable $e) {
            $this->keep($event, $e);
        }
    }

    public function flush(): void
    {
        try {
            if ($this->events) {
                $events = $this->events;
                $this->events = [];
                $this->publishNow($events);
            }
            if ($this->rows) {
                $ids = array_values($this->rows);
                $this->rows = [];
                $this->publishRows($ids);
            }
        } catch (\Throwable $e) {
            $this->logger->error('mageline: events wait in the outbox: ' . $e->getMessage());
        }
    }

    /**
     * Keeps an event whose row can't be written in memory, to be published after the commit as without an outbox: a
     * lock that somebody holds for too long, or a table that is full, costs no event while the broker is there.
     */
    private function keep(Event $event, \Throwable $reason): void
    {
        $kept = count($this->events) < self::MAX_PENDING;
        if ($kept) {
            $this->events[$event->subject()] = $event;
        }
        $this->logger->critical(sprintf(
            'mageline: an event of %s is not in the outbox, %s: %s',
            $event->topic,
            $kept ? 'and is published after the commit' : 'and is lost',
            $reason->getMessage()
        ));
    }

    /**
     * @param Event[] $events
     */
    private function publishNow(array $events): void
    {
        $topics = implode(', ', array_unique(array_map(static fn (Event $event) => $event->topic, $events)));
        if ($this->marker->isAway()) {
            $this->logger->error('mageline: ' . count($events) . ' events are lost, the broker is away: ' . $topics);
            return;
        }
        $messages = array_map(
            static fn (Event $event) => ['topic' => $event->topic, 'body' => $event->body()],
            array_values($events)
        );
        try {
            foreach ($this->publisher->publish($messages) as $key => $reason) {
                $this->logger->error('mageline: an event of ' . $messages[$key]['topic'] . ' is lost: ' . $reason);
            }
        } catch (BrokerAway $e) {
            $this->marker->setAway();
            $this->logger->error(
                'mageline: ' . count($events) . ' events are lost (' . $topics . '): ' . $e->getMessage()
            );
        }
    }

    /**
     * @param int[] $ids
     */
    private function publishRows(array $ids): void
    {
        if (!$this->config->publishesAtOnce() || $this->marker->isAway()) {
            $this->outbox->release($ids);
            return;
        }
        $rows = $this->outbox->committed($ids);
        if (!$rows) {
            return; // rolled back
        }
        $messages = array_map(static fn (OutboxRow $row) => ['topic' => $row->topic, 'body' => $row->body], $rows);
        try {
            $refused = $this->publisher->publish($messages);
        } catch (BrokerAway $e) {
            $this->marker->setAway();
            $this->outbox->release($ids);
            $this->logger->error('mageline: ' . count($rows) . ' events wait in the outbox: ' . $e->getMessage());
            return;
        }
        $done = [];
        foreach ($rows as $key => $row) {
            if (isset($refused[$key])) {
                $this->outbox->fail($row, $refused[$key]);
            } else {
                $done[] = $row->id;
            }
        }
        $this->outbox->remove($done);
    }
}
