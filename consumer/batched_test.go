package consumer_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
)

// batched is a handler of single events as one of batches: each event is an entry.
type batched struct{ consumer.Handler }

func (b batched) Entries(_ context.Context, e event.Event) ([]consumer.Entry, error) {
	return []consumer.Entry{{Value: e}}, nil
}

func (b batched) Write(ctx context.Context, c consumer.Call) ([]consumer.Result, error) {
	results := make([]consumer.Result, len(c.Entries))
	for i, e := range c.Entries {
		results[i].Outcome, results[i].Err = b.Handle(ctx, e.Value.(event.Event))
	}
	return results, nil
}

func (b batched) Letter(e event.Event, _ []consumer.Rejection) (json.RawMessage, error) {
	return e.Body, nil
}

// batchesVariable says that the tests of this process have batch consumers in the place of the others.
const batchesVariable = "CONSUMER_TEST_BATCHES"

// inBatches makes batch consumers of those of the options, if the tests of this process want that.
func inBatches(o *consumer.Options) {
	if os.Getenv(batchesVariable) == "" {
		return
	}
	for i := range o.Consumers {
		c := &o.Consumers[i]
		c.Batch = &consumer.Batch{Handler: batched{c.Handler}, Size: 8, Linger: 2 * time.Millisecond, Concurrency: o.Concurrency}
		c.Handler = nil
	}
}

// onBatches are the tests of crashes and faults, and of what becomes of a message that fails.
var onBatches = []string{
	"TestCrashLoop_DeadLettersTheMessageAlone",
	"TestSuspect_IsEnteredAndStruckOut", "TestSuspect_OfAnotherProcessIsDeferred", "TestSuspect_IsHandledAlone",
	"TestSession_LateSettlementSettlesNothing", "TestSession_LateSettlementLosesNoMessage", "TestRuntime_WaitsForTheBroker",
	"TestConsumer_SubscribesAgainAfterItsQueueWasDeleted", "TestPublish_DeclaresADeletedTarget", "TestPublish_WaitsWhileTheTargetIsFull",
	"TestRuntime_LosesNothingWhenConnectionsAreCut", "TestStatus_TellsThatPublishingIsBlocked",
	"TestDrain_PublishesRetries", "TestDrain_CutsHandlersOnTimeout", "TestDrain_EndsWithoutASession",
	"TestDrain_EndsWhilePublishingFails", "TestDrain_EndsOnADeadLink", "TestReplicas_ShareAQueue",
	"TestHung_EndsTheProcessAfterTheLease", "TestHung_MayReturnLate",
	"TestUnauthorized_PausesTheConsumer", "TestUnauthorized_AtRandomIsDeadLetteredAfterThree", "TestUnauthorized_PausesUntilSomethingIsDone",
	"TestCircuit_PausesWhoNeedsIt", "TestCircuit_CountsAnUnreadableAnswer", "TestProbe_ThatFailsGoesBehindTheOthers",
	"TestProbe_WithoutARequestDecidesNothing", "TestProbe_IsTheOnlyOneOfItsCircuit", "TestProbe_WaitsForTheOtherCircuit",
	"TestPostgresAway_PausesEveryConsumer", "TestOperator_PausesAndResumes",
	"TestProbe_SingleActiveConsumerUnauthorized", "TestProbe_SingleActiveConsumerDrains",
	"TestRetry_UsesTheDelaysInTurn", "TestRetry_KeepsHeaders", "TestRetry_DeadLettersWhenAttemptsAreUsedUp", "TestConsumer_RetriesAPanic",
	"TestDeferral_UsesNoAttempt", "TestThrottled_UsesNoAttempt", "TestHandlerTimeout_IsRetried",
}

// What crashes and fails does the same to a batch consumer.
func TestBatch_PassesTheTestsOfCrashesAndFaults(t *testing.T) {
	t.Parallel()
	if os.Getenv(batchesVariable) != "" {
		t.Fatal("this test ran itself")
	}
	//nolint:gosec // this very test
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^("+strings.Join(onBatches, "|")+")$", "-test.timeout=5m", "-test.v")
	child.Env = append(os.Environ(), batchesVariable+"=1")
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, name := range onBatches {
		if !strings.Contains(string(out), "--- PASS: "+name+" ") {
			t.Errorf("%s did not run", name)
		}
	}
}
