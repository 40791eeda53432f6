<?php

declare(strict_types=1);

namespace Mageline\Events\Model\Sales;

use Mageline\Events\Api\RecorderInterface;
use Mageline\Events\Model\Event;
use Mageline\Events\Model\Told;
use Magento\Sales\Model\AbstractModel;

/**
 * The first save of a shipment, a credit memo or an invoice. Later saves (a track, a comment, a mail that was sent)
 * are none.
 */
class DocumentEvents
{
    public function __construct(
        private readonly RecorderInterface $recorder,
        private readonly Told $told
    ) {
    }

    /**
     * In the transaction of a save.
     */
    public function saved(string $topic, AbstractModel $document): void
    {
        // An object stays new for the rest of its request.
        if (!$document->isObjectNew() || $this->told->last($document) !== null) {
            return;
        }
        $this->told->note($document, []);
        $storeId = $document->getStoreId();
        $this->recorder->record(Event::ofEntity(
            $topic,
            (int)$document->getId(),
            (string)$document->getIncrementId(),
            $storeId === null ? null : (int)$storeId,
            new \DateTimeImmutable()
        ));
    }

    /**
     * After the commit of a save.
     */
    public function committed(AbstractModel $document): void
    {
        $this->told->commit($document);
        $this->recorder->flush();
    }
}
