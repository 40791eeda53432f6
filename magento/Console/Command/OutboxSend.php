<?php

declare(strict_types=1);

namespace Mageline\Events\Console\Command;

use Mageline\Events\Model\Amqp\BrokerAway;
use Mageline\Events\Model\Sender;
use Symfony\Component\Console\Command\Command;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/**
 * bin/magento mageline:outbox:send
 */
class OutboxSend extends Command
{
    private const SECONDS = 'seconds';

    public function __construct(private readonly Sender $sender)
    {
        parent::__construct();
    }

    protected function configure(): void
    {
        $this->setName('mageline:outbox:send');
        $this->setDescription('Sends the events that wait in the outbox, oldest first');
        $this->addOption(self::SECONDS, null, InputOption::VALUE_REQUIRED, 'Ends after so many seconds', '3600');
        parent::configure();
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $seconds = $input->getOption(self::SECONDS);
        if (!is_numeric($seconds) || (int)$seconds < 1) {
            $output->writeln('<error>--seconds wants a number above 0</error>');
            return Command::INVALID;
        }
        try {
            $result = $this->sender->send((int)$seconds);
        } catch (BrokerAway $e) {
            $output->writeln('<error>' . $e->getMessage() . '</error>');
            return Command::FAILURE;
        }
        $output->writeln(sprintf('%d sent, %d not taken by the broker', $result['sent'], $result['refused']));
        return $result['refused'] > 0 ? Command::FAILURE : Command::SUCCESS;
    }
}
