package kit

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Alarm is a proxy before a broker through which the broker seems to have an alarm for want of memory or disk. A real
// one would stop every other test.
type Alarm struct {
	URL string

	mu   sync.Mutex // one frame at a time
	last net.Conn
}

// NewAlarm puts a proxy before the broker at address; it is closed with the test, after its connections have ended.
func NewAlarm(t testing.TB, address string) *Alarm {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	target := u.Host
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.Host = listener.Addr().String()
	a := &Alarm{URL: u.String()}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			a.mu.Lock()
			a.last = client
			a.mu.Unlock()
			done.Go(func() {
				_, _ = io.Copy(server, client)
				_ = server.Close()
			})
			done.Go(func() {
				a.frames(client, server)
				_ = client.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		done.Wait()
	})
	return a
}

// frames moves whole frames from the broker to the client: 1 octet of type, 2 of channel, 4 of size, the payload, 1 end.
func (a *Alarm) frames(client io.Writer, server io.Reader) {
	head := make([]byte, 7)
	for {
		if _, err := io.ReadFull(server, head); err != nil {
			return
		}
		frame := make([]byte, 7+int(binary.BigEndian.Uint32(head[3:]))+1)
		copy(frame, head)
		if _, err := io.ReadFull(server, frame[7:]); err != nil {
			return
		}
		a.mu.Lock()
		_, err := client.Write(frame)
		a.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Raise tells the connection that was made last that the broker reads nothing that it publishes. Unlike a broker with an
// alarm it goes on reading.
func (a *Alarm) Raise(t testing.TB, reason string) {
	t.Helper()
	a.say(t, method(60, append([]byte{byte(len(reason))}, reason...)...))
}

// Clear says that it is over.
func (a *Alarm) Clear(t testing.TB) {
	t.Helper()
	a.say(t, method(61))
}

func (a *Alarm) say(t testing.TB, frame []byte) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.last.Write(frame); err != nil {
		t.Fatal(err)
	}
}

// method makes a frame of channel 0 with a method of class connection: 60 is blocked and 61 unblocked, RabbitMQ's
// extensions of AMQP 0-9-1 (https://www.rabbitmq.com/docs/connection-blocked).
func method(id byte, arguments ...byte) []byte {
	payload := append([]byte{0, 10, 0, id}, arguments...)
	frame := append([]byte{1, 0, 0, 0, 0, 0, byte(len(payload))}, payload...)
	return append(frame, 0xCE)
}
