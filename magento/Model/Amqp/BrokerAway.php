<?php

declare(strict_types=1);

namespace Mageline\Events\Model\Amqp;

/**
 * The broker can't be reached, refuses the login, or did not confirm in time.
 */
class BrokerAway extends \RuntimeException
{
}
