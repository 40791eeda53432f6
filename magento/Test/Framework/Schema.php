<?php

declare(strict_types=1);

namespace Mageline\Events\Test\Framework;

/**
 * message.schema.json, with those words of JSON Schema that it uses. Any other word in it is an error.
 */
class Schema
{
    private const WORDS = [
        '$ref', 'type', 'properties', 'required', 'additionalProperties', 'anyOf', 'items', 'minItems', 'maxItems', 'minimum',
        'minLength', 'maxLength', 'pattern', 'format',
    ];

    /** @var array<string, array<string, mixed>> */
    private array $definitions;

    public function __construct()
    {
        $text = file_get_contents(dirname(__DIR__, 2) . '/message.schema.json');
        $this->definitions = json_decode($text, true, 512, JSON_THROW_ON_ERROR)['$defs'];
    }

    /**
     * @return string[] what is wrong with a message
     */
    public function errors(string $topic, string $body): array
    {
        if (!isset($this->definitions[$topic])) {
            return [$topic . ' is not in message.schema.json'];
        }
        return $this->compare($this->definitions[$topic], json_decode($body, false, 512, JSON_THROW_ON_ERROR), $topic);
    }

    /**
     * @param array<string, mixed> $schema
     * @return string[]
     */
    private function compare(array $schema, mixed $value, string $at): array
    {
        $unknown = array_diff(array_keys($schema), self::WORDS);
        if ($unknown) {
            throw new \LogicException('message.schema.json says ' . implode(', ', $unknown) . ', which is not known here');
        }
        if (isset($schema['$ref'])) {
            return $this->compare($this->definitions[substr($schema['$ref'], strlen('#/$defs/'))], $value, $at);
        }
        $isType = match ($schema['type'] ?? null) {
            null => true,
            'object' => is_object($value),
            'array' => is_array($value),
            'string' => is_string($value),
            'integer' => is_int($value),
        };
        if (!$isType) {
            return [sprintf('%s is %s and not %s', $at, get_debug_type($value), $schema['type'])];
        }
        $errors = [];
        if (is_object($value)) {
            $errors = $this->compareObject($schema, get_object_vars($value), $at);
        } elseif (is_array($value)) {
            if (count($value) < ($schema['minItems'] ?? 0) || count($value) > ($schema['maxItems'] ?? PHP_INT_MAX)) {
                $errors[] = $at . ' has ' . count($value) . ' items';
            }
            foreach ($value as $i => $item) {
                $errors = array_merge($errors, $this->compare($schema['items'] ?? [], $item, $at . '[' . $i . ']'));
            }
        } elseif (is_string($value)) {
            $length = mb_strlen($value);
            if ($length < ($schema['minLength'] ?? 0) || $length > ($schema['maxLength'] ?? PHP_INT_MAX)) {
                $errors[] = $at . ' has ' . $length . ' characters';
            }
            if (isset($schema['pattern']) && !preg_match('/' . $schema['pattern'] . '/D', $value)) {
                $errors[] = $at . ' is ' . $value;
            }
        } elseif (is_int($value) && $value < ($schema['minimum'] ?? PHP_INT_MIN)) {
            $errors[] = $at . ' is ' . $value;
        }
        return $errors;
    }

    /**
     * @param array<string, mixed> $schema
     * @param array<string, mixed> $value
     * @return string[]
     */
    private function compareObject(array $schema, array $value, string $at): array
    {
        $errors = [];
        foreach ($schema['required'] ?? [] as $name) {
            if (!array_key_exists($name, $value)) {
                $errors[] = $at . ' has no ' . $name;
            }
        }
        if (isset($schema['anyOf'])) {
            $all = array_map(fn (array $one) => $this->compare($one, (object)$value, $at), $schema['anyOf']);
            if (!in_array([], $all, true)) {
                $errors[] = $at . ': ' . implode(', or ', array_map(static fn (array $one) => $one[0], $all));
            }
        }
        foreach ($value as $name => $member) {
            if (isset($schema['properties'][$name])) {
                $errors = array_merge($errors, $this->compare($schema['properties'][$name], $member, $at . '.' . $name));
            } elseif (($schema['additionalProperties'] ?? true) === false) {
                $errors[] = $at . ' has ' . $name . ', which the schema lacks';
            }
        }
        return $errors;
    }
}
