<?php

declare(strict_types=1);

namespace Mageline\Events\Test\Unit;

use Mageline\Events\Model\Event;
use Mageline\Events\Test\Framework\Schema;
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

    /**
     * A topic or a member that the module publishes and mageline's tests do not know of fails here.
     */
    public function testMessagesOfEachTopicAreAsTheSchemaSays(): void
    {
        $schema = new Schema();
        $now = new \DateTimeImmutable();
        foreach (Event::TOPICS as $topic) {
            if (str_starts_with($topic, 'catalog.')) {
                $events = Event::ofSkus($topic, ['24-MB01', '42', "Gr\u{f6}\u{df}e/\"M\""], $now);
            } else {
                $number = str_starts_with($topic, 'customer.') ? null : '000000123';
                $events = [Event::ofEntity($topic, 57, $number, 1, $now), Event::ofEntity($topic, 57, $number, null, $now)];
            }
            foreach ($events as $event) {
                self::assertSame([], $schema->errors($topic, $event->body()));
            }
        }
        $time = '"occurred_at":"2026-11-29T10:00:00Z"';
        foreach (
            [
                'no order' => ['sales.order.placed', "{{$time}}"],
                'one member more' => ['sales.order.placed', "{\"entity_id\":1,\"state\":\"new\",$time}"],
                'an id that is a text' => ['sales.order.placed', "{\"entity_id\":\"1\",$time}"],
                'a local time' => ['customer.saved', '{"entity_id":1,"occurred_at":"2026-11-29 10:00:00"}'],
                'no SKU' => ['catalog.products.exported', "{\"skus\":[],$time}"],
                'a SKU that is a number' => ['catalog.products.exported', "{\"skus\":[42],$time}"],
                'another topic' => ['sales.order.deleted', "{\"entity_id\":1,$time}"],
            ] as $what => [$topic, $body]
        ) {
            self::assertNotSame([], $schema->errors($topic, $body), $what);
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

    /**
     * Both languages have each text that the code and the files show, and none that nothing shows any more.
     */
    public function testBothLanguagesHaveTheTextsThatAreShown(): void
    {
        $texts = array_unique(array_merge($this->textsOfFiles(), $this->textsOfCode()));
        sort($texts);
        self::assertGreaterThan(45, count($texts));
        foreach (['en_US', 'de_DE'] as $language) {
            $translated = array_column(array_map('str_getcsv', file(self::MODULE . "/i18n/$language.csv")), 1, 0);
            foreach ($translated as $text => $translation) {
                self::assertNotSame('', trim((string)$translation), "$language: $text");
                preg_match_all('/%\d+/', (string)$text, $wanted);
                preg_match_all('/%\d+/', (string)$translation, $given);
                self::assertEqualsCanonicalizing($wanted[0], $given[0], "$language: $text");
            }
            $known = array_map('strval', array_keys($translated));
            sort($known);
            self::assertSame($texts, $known, $language);
        }
    }

    /**
     * @return string[] what attributes translate name: of the element itself, of its children, or of its attributes
     */
    private function textsOfFiles(): array
    {
        $texts = [];
        foreach ($this->xml() as $file) {
            foreach (simplexml_load_file($file)->xpath('//*[@translate]') as $element) {
                foreach (preg_split('/[ ,]+/', (string)$element['translate']) as $name) {
                    $texts[] = $name === 'true' ? (string)$element : (string)($element[$name] ?? $element->$name);
                }
            }
        }
        return array_filter($texts, static fn ($text) => trim($text) !== '');
    }

    /**
     * @return string[]
     */
    private function textsOfCode(): array
    {
        $texts = [];
        $files = new \RegexIterator(new \RecursiveIteratorIterator(new \RecursiveDirectoryIterator(realpath(self::MODULE))), '/\.(php|phtml)$/');
        foreach ($files as $file) {
            if (!str_contains((string)$file, '/Test/')) {
                preg_match_all("/\\b__\(\\s*'((?:[^'\\\\]|\\\\.)*)'/", file_get_contents((string)$file), $found);
                $texts = array_merge($texts, array_map('stripslashes', $found[1]));
            }
        }
        return $texts;
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
