<?php

declare(strict_types=1);

namespace Mageline\Events\Controller\Adminhtml\Outbox;

use Mageline\Events\Api\OutboxInterface;
use Mageline\Events\Model\ResourceModel\Outbox\Grid\CollectionFactory;
use Magento\Backend\App\Action;
use Magento\Backend\App\Action\Context;
use Magento\Framework\App\Action\HttpPostActionInterface;
use Magento\Framework\Controller\ResultFactory;
use Magento\Framework\Controller\ResultInterface;
use Magento\Ui\Component\MassAction\Filter;

/**
 * Makes the chosen events due at once.
 */
class MassResend extends Action implements HttpPostActionInterface
{
    public const ADMIN_RESOURCE = 'Mageline_Events::outbox_resend';

    public function __construct(
        Context $context,
        private readonly Filter $filter,
        private readonly CollectionFactory $collectionFactory,
        private readonly OutboxInterface $outbox
    ) {
        parent::__construct($context);
    }

    public function execute(): ResultInterface
    {
        $collection = $this->filter->getCollection($this->collectionFactory->create());
        $count = $this->outbox->retry(array_map('intval', $collection->getAllIds()));
        $this->messageManager->addSuccessMessage(__('%1 events go out with the next run of the cron.', $count));
        return $this->resultFactory->create(ResultFactory::TYPE_REDIRECT)->setPath('*/*/');
    }
}
