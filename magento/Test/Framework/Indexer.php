<?php

declare(strict_types=1);

namespace Mageline\Events\Test\Framework;

/**
 * An indexer with its view, the state of the view, and its changelog, as far as the module looks at them.
 */
class Indexer
{
    public function __construct(
        private bool $scheduled,
        private readonly bool $idle,
        private readonly int $handled,
        private readonly int $newest
    ) {
    }

    public function isScheduled()
    {
        return $this->scheduled;
    }

    public function setScheduled($scheduled)
    {
        $this->scheduled = $scheduled;
    }

    public function getView()
    {
        return $this;
    }

    public function isIdle()
    {
        return $this->idle;
    }

    public function getState()
    {
        return $this;
    }

    public function getVersionId()
    {
        return (string)$this->handled;
    }

    public function getChangelog()
    {
        return $this;
    }

    public function getVersion()
    {
        return $this->newest;
    }
}
