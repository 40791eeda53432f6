<?php

declare(strict_types=1);

namespace Mageline\Events\Test\Unit;

use Mageline\Events\Model\Event;
use PHPUnit\Framework\TestCase;

/**
 * That the module's files fit together: what one names, another has.
 */
class FilesTest extends TestCase
{
    private const MODULE = __DIR__ . '/../..';

    /**
     * @return string[]
     */
    private function xml(): array
    {
        return array_merge(
            glob(self::MODULE . '/etc/*.xml'),
            glob(self::MODULE . '/etc/*/*.xml'),
            glob(self::MODULE . '/view/*/*/*.xml')
        );
    }

    public function testEveryClassThatAFileNamesIsThere(): void
    {
        $di = simplexml_load_file(self::MODULE . '/etc/di.xml');
        $virtual = array_map(fn ($type) => (string)$type['name'], iterator_to_array($di->virtualType, false));
        $named = 0;
        foreach ($this->xml() as $file) {
            preg_match_all('/Mageline\\\\Events\\\\[A-Za-z\\\\]+/', file_get_contents($file), $found);
            foreach ($found[0] as $class) {
                $class = preg_replace('/\\\\Proxy$/', '', $class);
                $path = self::MODULE . '/' . str_replace('\\', '/', substr($class, strlen('Mageline\\Events\\'))) . '.php';
                self::assertTrue(in_array($class, $virtual, true) || is_file($path), basename($file) . ' names ' . $class);
                $named++;
            }
        }
        self::assertGreaterThan(30, $named);
    }

    public function testEveryTopicHasItsSwitchAndItsSchema(): void
    {
        $schema = json_decode(file_get_contents(self::MODULE . '/message.schema.json'), true, 512, JSON_THROW_ON_ERROR);
        $defaults = simplexml_load_file(self::MODULE . '/etc/config.xml')->default->mageline->events;
        $system = file_get_contents(self::MODULE . '/etc/adminhtml/system.xml');
        foreach (Event::TOPICS as $topic) {
            $name = str_replace('.', '_', $topic);
            self::assertArrayHasKey($topic, $schema['$defs']);
            self::assertNotEmpty((string)$defaults->$name === '' ? null : 'set', $name);
            self::assertStringContainsString('id="' . $name . '"', $system);
        }
    }

    public function testEveryAclResourceIsDeclared(): void
    {
        $acl = file_get_contents(self::MODULE . '/etc/acl.xml');
        foreach ([...$this->xml(), ...glob(self::MODULE . '/Controller/*/*/*.php')] as $file) {
            preg_match_all('/Mageline_Events::[a-z_]+/', file_get_contents($file), $found);
            foreach ($found[0] as $resource) {
                self::assertStringContainsString('id="' . $resource . '"', $acl, basename($file));
            }
        }
    }

    public function testEveryTextIsTranslated(): void
    {
        $texts = [];
        foreach ($this->xml() as $file) {
            preg_match_all('#<(?:label|comment|title|description)[^>]*>([^<]+)</#', file_get_contents($file), $found);
            preg_match_all('/ title="([^"]+)" translate="title"/', file_get_contents($file), $titles);
            $texts = array_merge($texts, $found[1], $titles[1]);
        }
        foreach (glob(self::MODULE . '/Controller/*/*/*.php') as $file) {
            preg_match_all("/__\('([^']+)'/", file_get_contents($file), $found);
            $texts = array_merge($texts, $found[1]);
        }
        self::assertGreaterThan(40, count($texts));
        foreach (['en_US', 'de_DE'] as $language) {
            $translated = array_column(array_map('str_getcsv', file(self::MODULE . "/i18n/$language.csv")), 1, 0);
            foreach ($texts as $text) {
                self::assertNotEmpty($translated[$text] ?? '', "$language: $text");
            }
        }
    }

    public function testWhitelistHasTheWholeTable(): void
    {
        $table = simplexml_load_file(self::MODULE . '/etc/db_schema.xml')->table;
        $whitelist = json_decode(file_get_contents(self::MODULE . '/etc/db_schema_whitelist.json'), true)[(string)$table['name']];
        $names = fn ($nodes, $attribute) => array_map(fn ($node) => (string)$node[$attribute], iterator_to_array($nodes, false));
        self::assertSame($names($table->column, 'name'), array_keys($whitelist['column']));
        self::assertSame($names($table->index, 'referenceId'), array_keys($whitelist['index']));
        self::assertSame($names($table->constraint, 'referenceId'), array_keys($whitelist['constraint']));
    }
}
