package rabbitmq_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// alarm is a proxy before a broker that puts frames of its own among the broker's, on the connection that was made last.
type alarm struct {
	url string

	mu   sync.Mutex // one frame at a time
	last net.Conn
}

func newAlarm(t *testing.T, address string) *alarm {
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
	a := &alarm{url: u.String()}
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
func (a *alarm) frames(client io.Writer, server io.Reader) {
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

func (a *alarm) say(t *testing.T, frame []byte) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.last.Write(frame); err != nil {
		t.Fatal(err)
	}
}

// method makes a frame of channel 0 with a method of class connection.
func method(id byte, arguments ...byte) []byte {
	payload := append([]byte{0, 10, 0, id}, arguments...)
	frame := append([]byte{1, 0, 0, 0, 0, 0, byte(len(payload))}, payload...)
	return append(frame, 0xCE)
}

// blockedFrame and unblockedFrame are connection.blocked and connection.unblocked, RabbitMQ's extensions of AMQP 0-9-1
// (https://www.rabbitmq.com/docs/connection-blocked).
func blockedFrame(reason string) []byte {
	return method(60, append([]byte{byte(len(reason))}, reason...)...)
}

func unblockedFrame() []byte { return method(61) }
