<?php

/**
 * Signatures of what the module uses of Magento's admin, as Magento's own: static analysis reads them, nothing runs them.
 */

declare(strict_types=1);

namespace {
    function __(string $text, mixed ...$arguments): \Magento\Framework\Phrase
    {
        throw new \LogicException();
    }
}

namespace Magento\Framework {
    class Phrase implements \Stringable
    {
        public function __toString(): string
        {
            throw new \LogicException();
        }
    }
}

namespace Magento\Framework\App {
    interface ActionInterface
    {
    }
}

namespace Magento\Framework\App\Action {
    interface HttpGetActionInterface extends \Magento\Framework\App\ActionInterface
    {
    }

    interface HttpPostActionInterface extends \Magento\Framework\App\ActionInterface
    {
    }
}

namespace Magento\Framework\Message {
    interface ManagerInterface
    {
        /**
         * @param \Magento\Framework\Phrase|string $message
         * @param string|null $group
         * @return $this
         */
        public function addSuccessMessage($message, $group = null);
    }
}

namespace Magento\Framework\Controller {
    interface ResultInterface
    {
    }

    class ResultFactory
    {
        public const TYPE_REDIRECT = 'redirect';

        /**
         * @param string $type
         * @param array<string, mixed> $arguments
         * @return \Magento\Backend\Model\View\Result\Redirect
         */
        public function create($type, array $arguments = [])
        {
            throw new \LogicException();
        }
    }
}

namespace Magento\Backend\Model\View\Result {
    class Redirect implements \Magento\Framework\Controller\ResultInterface
    {
        /**
         * @param string $path
         * @param array<string, mixed> $params
         * @return $this
         */
        public function setPath($path, array $params = [])
        {
            throw new \LogicException();
        }
    }

    class Page implements \Magento\Framework\Controller\ResultInterface
    {
        /**
         * @param string $itemId
         * @return $this
         */
        public function setActiveMenu($itemId)
        {
            throw new \LogicException();
        }

        /**
         * @return \Magento\Framework\View\Page\Config
         */
        public function getConfig()
        {
            throw new \LogicException();
        }
    }
}

namespace Magento\Framework\View\Page {
    class Config
    {
        /**
         * @return \Magento\Framework\View\Page\Title
         */
        public function getTitle()
        {
            throw new \LogicException();
        }
    }

    class Title
    {
        /**
         * @param string $prefix
         * @return void
         */
        public function prepend($prefix)
        {
        }
    }
}

namespace Magento\Framework\View\Result {
    class PageFactory
    {
        /**
         * In the admin.
         *
         * @return \Magento\Backend\Model\View\Result\Page
         */
        public function create(bool $isView = false, array $arguments = [])
        {
            throw new \LogicException();
        }
    }
}

namespace Magento\Backend\App {
    abstract class Action implements \Magento\Framework\App\ActionInterface
    {
        /** @var \Magento\Framework\Message\ManagerInterface */
        protected $messageManager;

        /** @var \Magento\Framework\Controller\ResultFactory */
        protected $resultFactory;

        public function __construct(Action\Context $context)
        {
        }
    }
}

namespace Magento\Backend\App\Action {
    class Context
    {
    }
}

namespace Magento\Framework\Data\Collection {
    interface EntityFactoryInterface
    {
    }
}

namespace Magento\Framework\Data\Collection\Db {
    interface FetchStrategyInterface
    {
    }
}

namespace Magento\Framework\View\Element\UiComponent\DataProvider {
    class SearchResult
    {
        /**
         * @param string $mainTable
         * @param string|null $resourceModel
         * @param string|null $identifierName
         * @param string|null $connectionName
         */
        public function __construct(
            \Magento\Framework\Data\Collection\EntityFactoryInterface $entityFactory,
            \Psr\Log\LoggerInterface $logger,
            \Magento\Framework\Data\Collection\Db\FetchStrategyInterface $fetchStrategy,
            \Magento\Framework\Event\ManagerInterface $eventManager,
            $mainTable,
            $resourceModel = null,
            $identifierName = null,
            $connectionName = null
        ) {
        }

        /**
         * @return string[]
         */
        public function getAllIds()
        {
            throw new \LogicException();
        }
    }
}

namespace Magento\Ui\Component\MassAction {
    class Filter
    {
        /**
         * @template T of object
         * @param T $collection
         * @return T
         */
        public function getCollection($collection)
        {
            throw new \LogicException();
        }
    }
}

namespace Mageline\Events\Model\ResourceModel\Outbox\Grid {
    class CollectionFactory
    {
        public function create(array $data = []): Collection
        {
            throw new \LogicException();
        }
    }
}
