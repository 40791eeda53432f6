package kit

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Frames is a proxy before a broker that knows where AMQP's frames begin and end, to lose, change and add some.
type Frames struct {
	URL string

	mu    sync.Mutex
	conns map[net.Conn]bool
	hook  func(*Frame) bool
}

// Frame is one on its way.
type Frame struct {
	FromBroker bool
	// Class and Method are those of a method, such as Ack; 0 for any other frame.
	Class, Method uint16
	Channel       uint16
	Payload       []byte // may be changed; a method's begins with class and method, 2 bytes each
	// More is sent after it, in the same direction: payloads of further methods of the channel.
	More [][]byte
}

// Classes and methods of AMQP 0-9-1 and RabbitMQ's extensions.
const (
	ClassBasic = 60
	MethodAck  = 80
	MethodNack = 120
)

// Is tells whether it is this method of class basic.
func (f *Frame) Is(method uint16) bool { return f.Class == ClassBasic && f.Method == method }

// AckPayload is the payload of an acknowledgement of one delivery.
func AckPayload(tag uint64) []byte {
	p := []byte{0, ClassBasic, 0, MethodAck}
	return append(binary.BigEndian.AppendUint64(p, tag), 0)
}

// NewFrames puts a proxy before the broker at address; it is closed with the test.
func NewFrames(t testing.TB, address string) *Frames {
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
	f := &Frames{URL: u.String(), conns: map[net.Conn]bool{}}
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
			f.keep(client, server)
			move := func(to, from net.Conn, fromBroker bool) {
				f.move(to, from, fromBroker)
				_ = to.Close()
				_ = from.Close()
			}
			done.Go(func() { move(server, client, false) })
			done.Go(func() { move(client, server, true) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		f.Cut()
		done.Wait()
	})
	return f
}

func (f *Frames) keep(conns ...net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range conns {
		f.conns[c] = true
	}
}

// Cut closes every connection.
func (f *Frames) Cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.Close()
		delete(f.conns, c)
	}
}

// On has each frame shown to hook, one at a time, before it goes on; false drops it. nil ends that.
func (f *Frames) On(hook func(*Frame) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

// move moves frames until either side ends: 1 octet of type, 2 of channel, 4 of size, the payload, 1 end.
func (f *Frames) move(to io.Writer, from io.Reader, fromBroker bool) {
	if !fromBroker { // AMQP, 0, 0, 9, 1
		if _, err := io.CopyN(to, from, 8); err != nil {
			return
		}
	}
	head := make([]byte, 7)
	for {
		if _, err := io.ReadFull(from, head); err != nil {
			return
		}
		payload := make([]byte, binary.BigEndian.Uint32(head[3:])+1)
		if _, err := io.ReadFull(from, payload); err != nil {
			return
		}
		frame := &Frame{FromBroker: fromBroker, Channel: binary.BigEndian.Uint16(head[1:]), Payload: payload[:len(payload)-1]}
		if head[0] == 1 && len(frame.Payload) >= 4 {
			frame.Class, frame.Method = binary.BigEndian.Uint16(frame.Payload), binary.BigEndian.Uint16(frame.Payload[2:])
		}
		if !f.show(frame) {
			continue
		}
		var out bytes.Buffer
		for i, p := range append([][]byte{frame.Payload}, frame.More...) {
			kind := head[0]
			if i > 0 {
				kind = 1
			}
			out.Write([]byte{kind, head[1], head[2]})
			out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p)))) //nolint:gosec // a frame's
			out.Write(p)
			out.WriteByte(0xCE)
		}
		if _, err := to.Write(out.Bytes()); err != nil {
			return
		}
	}
}

func (f *Frames) show(frame *Frame) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hook == nil || f.hook(frame)
}
