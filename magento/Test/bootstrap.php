<?php

declare(strict_types=1);

// php-amqplib, Psr\Log and Symfony's console, where Debian's packages have them.
require_once '/usr/share/php/PhpAmqpLib/autoload.php';
require_once '/usr/share/php/Psr/Log/autoload.php';
require_once '/usr/share/php/Symfony/Component/Console/autoload.php';
require_once __DIR__ . '/Framework/magento.php';

spl_autoload_register(static function (string $class): void {
    $prefix = 'Mageline\\Events\\';
    if (str_starts_with($class, $prefix)) {
        $file = dirname(__DIR__) . '/' . str_replace('\\', '/', substr($class, strlen($prefix))) . '.php';
        if (is_file($file)) {
            require_once $file;
        }
    }
});
