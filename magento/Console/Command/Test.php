<?php

declare(strict_types=1);

namespace Mageline\Events\Console\Command;

use Mageline\Events\Model\Amqp\BrokerAway;
use Mageline\Events\Model\Diagnosis;
use Symfony\Component\Console\Command\Command;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/**
 * bin/magento mageline:test
 */
class Test extends Command
{
    public function __construct(private readonly Diagnosis $diagnosis)
    {
        parent::__construct();
    }

    protected function configure(): void
    {
        $this->setName('mageline:test');
        $this->setDescription('Publishes one event of kind test, and says what the broker answered');
        parent::configure();
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        try {
            $output->writeln($this->diagnosis->test());
            return Command::SUCCESS;
        } catch (BrokerAway $e) {
            $output->writeln('<error>' . $e->getMessage() . '</error>');
            return Command::FAILURE;
        }
    }
}
