<?php

declare(strict_types=1);

namespace Mageline\Events\Model;

/**
 * What of an object the committed saves of this request have told. The same object is saved several times in one
 * request (place, invoice, comment), and a save that was rolled back has told nothing: what it noted counts from the
 * commit on.
 */
class Told
{
    /** @var \WeakMap<object, array<string, string>> */
    private \WeakMap $noted;

    /** @var \WeakMap<object, array<string, string>> */
    private \WeakMap $committed;

    public function __construct()
    {
        $this->noted = new \WeakMap();
        $this->committed = new \WeakMap();
    }

    /**
     * Returns what the last committed save told, null if there was none.
     *
     * @return array<string, string>|null
     */
    public function last(object $object): ?array
    {
        return $this->committed[$object] ?? null;
    }

    /**
     * Notes what a save tells, in its transaction.
     *
     * @param array<string, string> $values
     */
    public function note(object $object, array $values): void
    {
        $this->noted[$object] = $values;
    }

    /**
     * After the commit.
     */
    public function commit(object $object): void
    {
        if (isset($this->noted[$object])) {
            $this->committed[$object] = $this->noted[$object];
            unset($this->noted[$object]);
        }
    }
}
