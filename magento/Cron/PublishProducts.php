<?php

declare(strict_types=1);

namespace Mageline\Events\Cron;

use Mageline\Events\Model\Catalog\IndexState;
use Magento\Framework\Mview\ProcessorInterface;
use Psr\Log\LoggerInterface;

/**
 * Handles the module's own views, each minute, apart from Magento's: neither waits for the other.
 */
class PublishProducts
{
    private const GROUP = 'mageline';

    public function __construct(
        private readonly ProcessorInterface $processor,
        private readonly IndexState $indexState,
        private readonly LoggerInterface $logger
    ) {
    }

    public function execute(): void
    {
        $behind = $this->indexState->behind();
        if ($behind) {
            $this->logger->info('mageline: changed products wait for the index of ' . implode(', ', $behind));
            return;
        }
        $this->processor->update(self::GROUP);
    }

    /**
     * Deletes what was handled from the views' changelogs, which would grow for ever.
     */
    public function clean(): void
    {
        $this->processor->clearChangelog(self::GROUP);
    }
}
