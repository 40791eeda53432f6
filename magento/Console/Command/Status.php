<?php

declare(strict_types=1);

namespace Mageline\Events\Console\Command;

use Mageline\Events\Model\Diagnosis;
use Symfony\Component\Console\Command\Command;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/**
 * bin/magento mageline:status
 */
class Status extends Command
{
    private const JSON = 'json';

    public function __construct(private readonly Diagnosis $diagnosis)
    {
        parent::__construct();
    }

    protected function configure(): void
    {
        $this->setName('mageline:status');
        $this->setDescription('Shows the outbox, the connection to the broker, and each topic');
        $this->addOption(self::JSON, null, InputOption::VALUE_NONE, 'As JSON');
        parent::configure();
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $status = $this->diagnosis->status();
        if ($input->getOption(self::JSON)) {
            $output->writeln(json_encode($status, JSON_THROW_ON_ERROR | JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES));
            return $status['connected'] ? Command::SUCCESS : Command::FAILURE;
        }
        $outbox = $status['outbox'];
        $output->writeln(
            sprintf('outbox      %d events, %d of them not taken before', $outbox['depth'], $outbox['failed'])
        );
        if ($outbox['oldest'] !== null) {
            $output->writeln('oldest      ' . $outbox['oldest'] . ' UTC');
        }
        if ($outbox['last_error'] !== null) {
            $output->writeln('last error  ' . $outbox['last_error']);
        }
        $output->writeln('broker      ' . $status['broker']);
        if ($status['products_wait_for']) {
            $output->writeln('products    wait for the index of ' . implode(', ', $status['products_wait_for']));
        }
        foreach ($status['topics'] as $topic => $state) {
            $output->writeln(sprintf('%-27s %s', $topic, $state));
        }
        return $status['connected'] ? Command::SUCCESS : Command::FAILURE;
    }
}
