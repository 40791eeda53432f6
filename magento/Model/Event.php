<?php

declare(strict_types=1);

namespace Mageline\Events\Model;

/**
 * What happened: a topic and the thin message that names the entity. message.schema.json has the form of each topic's
 * message.
 */
class Event
{
    public const ORDER_PLACED = 'sales.order.placed';
    public const ORDER_UPDATED = 'sales.order.updated';
    public const ORDER_CANCELED = 'sales.order.canceled';
    public const SHIPMENT_CREATED = 'sales.shipment.created';
    public const CREDITMEMO_CREATED = 'sales.creditmemo.created';
    public const INVOICE_CREATED = 'sales.invoice.created';
    public const CUSTOMER_SAVED = 'customer.saved';
    public const CUSTOMER_DELETED = 'customer.deleted';
    public const PRODUCTS_EXPORTED = 'catalog.products.exported';
    public const PRODUCTS_DELETED = 'catalog.products.deleted';

    public const TOPICS = [
        self::ORDER_PLACED,
        self::ORDER_UPDATED,
        self::ORDER_CANCELED,
        self::SHIPMENT_CREATED,
        self::CREDITMEMO_CREATED,
        self::INVOICE_CREATED,
        self::CUSTOMER_SAVED,
        self::CUSTOMER_DELETED,
        self::PRODUCTS_EXPORTED,
        self::PRODUCTS_DELETED,
    ];

    /** Most SKUs in one message. */
    public const MAX_SKUS = 500;

    /**
     * @param array<string, mixed> $message
     */
    private function __construct(
        public readonly string $topic,
        public readonly array $message,
        public readonly ?int $storeId
    ) {
    }

    /**
     * An event of one entity. What the entity does not have (an id before its first save) is null and left out.
     */
    public static function ofEntity(
        string $topic,
        ?int $entityId,
        ?string $incrementId,
        ?int $storeId,
        \DateTimeInterface $occurredAt
    ): self {
        if (!$entityId && ($incrementId === null || $incrementId === '')) {
            throw new \InvalidArgumentException($topic . ': neither an entity id nor an increment id');
        }
        $message = [
            'entity_id' => $entityId ?: null,
            'increment_id' => $incrementId === '' ? null : $incrementId,
            'store_id' => $storeId,
            'occurred_at' => self::time($occurredAt),
        ];
        return new self($topic, array_filter($message, static fn ($value) => $value !== null), $storeId);
    }

    /**
     * Events that name the SKUs, at most MAX_SKUS each.
     *
     * @param string[] $skus
     * @return self[]
     */
    public static function ofSkus(string $topic, array $skus, \DateTimeInterface $occurredAt): array
    {
        $skus = array_map('strval', array_filter(array_unique($skus), static fn ($sku) => (string)$sku !== ''));
        $events = [];
        foreach (array_chunk($skus, self::MAX_SKUS) as $part) {
            $events[] = new self($topic, ['skus' => $part, 'occurred_at' => self::time($occurredAt)], null);
        }
        return $events;
    }

    /**
     * The message's body.
     */
    public function body(): string
    {
        return json_encode($this->message, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
    }

    /**
     * Equal for two events that say the same of the same entity, whenever they happened.
     */
    public function subject(): string
    {
        $message = $this->message;
        unset($message['occurred_at']);
        return $this->topic . ' ' . json_encode($message, JSON_THROW_ON_ERROR);
    }

    private static function time(\DateTimeInterface $time): string
    {
        return \DateTimeImmutable::createFromInterface($time)
            ->setTimezone(new \DateTimeZone('UTC'))
            ->format('Y-m-d\TH:i:s\Z');
    }
}
