package freeport_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/mageline/mageline/test/kit/freeport"
)

func TestFind_DistinctPorts(t *testing.T) {
	free, err := freeport.Find(20)
	if err != nil || len(free) != 20 {
		t.Fatalf("%v, %v", free, err)
	}
	for _, port := range free { // a port that comes twice can't be listened on twice
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)) //nolint:noctx // at once
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
	}
}
