package consumer

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// It plays a channel whose deliveries arrive out of order and are settled in any order, with a broker that takes a
// multiple acknowledgement for all that is open on its side: none may be settled that was not handed in.
func TestTags_SettleNothingThatWasNotHandedIn(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		const prefetch = 40
		tags := newTags()
		next := uint64(0)
		atBroker := map[uint64]bool{} // delivered and not settled; true once it was handed in
		var onTheWay, arrived, behind []uint64
		multiples := 0
		settle := func(tag uint64) {
			handedIn, open := atBroker[tag]
			if !open {
				t.Fatalf("tag %d is settled twice", tag)
			}
			if !handedIn {
				t.Fatalf("tag %d is settled and was never handed in", tag)
			}
			delete(atBroker, tag)
		}
		for range 3000 {
			switch {
			case len(atBroker) < prefetch && r.IntN(2) == 0:
				next++
				atBroker[next] = false
				onTheWay = append(onTheWay, next)
			case len(onTheWay) > 0 && r.IntN(2) == 0:
				// One of the first few: subscriptions overtake each other a little.
				i := r.IntN(min(4, len(onTheWay)))
				arrived = append(arrived, onTheWay[i])
				onTheWay = append(onTheWay[:i], onTheWay[i+1:]...)
			case len(arrived) > 0:
				n := 1 + r.IntN(len(arrived))
				r.Shuffle(len(arrived), func(i, j int) { arrived[i], arrived[j] = arrived[j], arrived[i] })
				gathered := append([]uint64(nil), arrived[:n]...)
				arrived = arrived[n:]
				if n == 1 && r.IntN(2) == 0 { // requeued
					atBroker[gathered[0]] = true
					settle(gathered[0])
					tags.settled(gathered[0])
					continue
				}
				gathered = append(gathered, behind...)
				behind = nil
				for _, tag := range gathered {
					atBroker[tag] = true
					tags.settled(tag)
				}
				slices.Sort(gathered)
				n, _ = slices.BinarySearch(gathered, tags.first)
				if n > 0 {
					multiples++
					multiple := gathered[n-1]
					if _, open := atBroker[multiple]; !open {
						t.Fatalf("tag %d of a multiple acknowledgement is not open: the broker ends the channel", multiple)
					}
					for tag := range atBroker {
						if tag <= multiple {
							settle(tag)
						}
					}
				}
				if r.IntN(2) == 0 { // the rest waits for the next time
					behind = gathered[n:]
					continue
				}
				for _, tag := range gathered[n:] {
					settle(tag)
				}
			}
		}
		for _, tag := range behind {
			settle(tag)
		}
		for tag, handedIn := range atBroker {
			if handedIn {
				t.Fatalf("tag %d was handed in and never settled", tag)
			}
		}
		if multiples == 0 {
			t.Fatal("nothing was ever acknowledged together")
		}
	}
}
