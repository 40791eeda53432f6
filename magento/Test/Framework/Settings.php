<?php

declare(strict_types=1);

namespace Mageline\Events\Test\Framework;

use Magento\Framework\App\Config\ScopeConfigInterface;

/**
 * The configuration: the module's config.xml, and what the shop has set.
 */
class Settings implements ScopeConfigInterface
{
    /** @var array<string, string> by path, or by path@store */
    public array $set = [];

    private \SimpleXMLElement $defaults;

    public function __construct(string $file)
    {
        $this->defaults = simplexml_load_file($file)->default;
    }

    public function getValue($path, $scopeType = self::SCOPE_TYPE_DEFAULT, $scopeCode = null)
    {
        $found = $this->defaults->xpath($path);
        return $this->set[$path . '@' . $scopeCode] ?? $this->set[$path] ?? ($found ? (string)$found[0] : null);
    }

    public function isSetFlag($path, $scopeType = self::SCOPE_TYPE_DEFAULT, $scopeCode = null)
    {
        return !in_array($this->getValue($path, $scopeType, $scopeCode), [null, '', '0', 'false'], true);
    }
}
