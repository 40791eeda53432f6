<?php

declare(strict_types=1);

namespace Mageline\Events\Test\Framework;

use Magento\Framework\App\CacheInterface;

/**
 * A cache that several processes share.
 */
class FileCache implements CacheInterface
{
    public function __construct(private readonly string $directory)
    {
    }

    public function load($identifier)
    {
        $content = @file_get_contents($this->file($identifier));
        if ($content === false) {
            return false;
        }
        [$until, $data] = explode("\n", $content, 2);
        return (float)$until < microtime(true) ? false : $data;
    }

    public function save($data, $identifier, $tags = [], $lifeTime = null)
    {
        $file = $this->file($identifier);
        file_put_contents($file . '.' . getmypid(), (microtime(true) + ($lifeTime ?? 1e9)) . "\n" . $data);
        return rename($file . '.' . getmypid(), $file);
    }

    private function file(string $identifier): string
    {
        return $this->directory . '/cache-' . $identifier;
    }
}
