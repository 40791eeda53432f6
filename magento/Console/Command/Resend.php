<?php

declare(strict_types=1);

namespace Mageline\Events\Console\Command;

use Mageline\Events\Model\Resender;
use Symfony\Component\Console\Command\Command;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/**
 * bin/magento mageline:resend
 */
class Resend extends Command
{
    private const ENTITY = 'entity';
    private const FROM = 'from';
    private const TO = 'to';
    private const IDS = 'ids';

    public function __construct(private readonly Resender $resender)
    {
        parent::__construct();
    }

    protected function configure(): void
    {
        $this->setName('mageline:resend');
        $this->setDescription('Sends events of what is in the shop once more, through the outbox');
        $this->addOption(self::ENTITY, null, InputOption::VALUE_REQUIRED, implode(', ', Resender::entities()));
        $this->addOption(
            self::FROM,
            null,
            InputOption::VALUE_REQUIRED,
            'Created (customer, product: changed) since, UTC, as 2026-11-23 or 2026-11-23T10:00:00Z'
        );
        $this->addOption(self::TO, null, InputOption::VALUE_REQUIRED, 'and before, UTC');
        $this->addOption(self::IDS, null, InputOption::VALUE_REQUIRED, 'Entity ids, separated by commas');
        parent::configure();
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        try {
            $ids = $this->ids((string)$input->getOption(self::IDS));
            $count = $this->resender->resend(
                (string)$input->getOption(self::ENTITY),
                $this->time((string)$input->getOption(self::FROM), self::FROM),
                $this->time((string)$input->getOption(self::TO), self::TO),
                $ids
            );
        } catch (\InvalidArgumentException $e) {
            $output->writeln('<error>' . $e->getMessage() . '</error>');
            return Command::INVALID;
        }
        $output->writeln(sprintf('%d in the outbox: the cron sends them, or bin/magento mageline:outbox:send', $count));
        return $count > 0 ? Command::SUCCESS : Command::FAILURE;
    }

    /**
     * @return int[]
     */
    private function ids(string $text): array
    {
        if ($text === '') {
            return [];
        }
        $ids = [];
        foreach (explode(',', $text) as $id) {
            if (!preg_match('/^[1-9][0-9]*$/D', trim($id))) {
                throw new \InvalidArgumentException('--ids: ' . trim($id) . ' is no entity id');
            }
            $ids[] = (int)trim($id);
        }
        return $ids;
    }

    private function time(string $text, string $option): ?\DateTimeImmutable
    {
        if ($text === '') {
            return null;
        }
        if (!preg_match('/^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?$/D', $text)) {
            throw new \InvalidArgumentException(
                '--' . $option . ': ' . $text . ' is no time, as 2026-11-23 or 2026-11-23T10:00:00Z'
            );
        }
        try {
            return new \DateTimeImmutable($text, new \DateTimeZone('UTC'));
        } catch (\Exception $e) {
            throw new \InvalidArgumentException('--' . $option . ': ' . $text . ' is no time: ' . $e->getMessage());
        }
    }
}
