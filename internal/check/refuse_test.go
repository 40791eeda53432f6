package check_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/rabbitmq"
)

// method is a method of AMQP 0-9-1, by class and id.
type method struct{ class, id uint16 }

var (
	exchangeDeclare = method{40, 10}
	queueDeclare    = method{50, 10}
	queueUnbind     = method{50, 50}
	basicConsume    = method{60, 20}
	basicPublish    = method{60, 40}
)

// refuser is a proxy before a broker that answers some methods itself, as the broker does to a user who lacks the right:
// it closes the channel with 403. A user without rights can't be made over AMQP.
type refuser struct {
	url    string
	answer func(m method, channel uint16) []byte // nil: ask the broker

	listener net.Listener
	running  sync.WaitGroup
}

// newRefuser refuses methods; a passive declaration needs no right and is let through.
func newRefuser(t *testing.T, address string, refuse ...method) *refuser {
	t.Helper()
	return newAnswerer(t, address, func(m method, channel uint16) []byte {
		if !slices.Contains(refuse, m) {
			return nil
		}
		return channelClose(channel, m, 403, "ACCESS_REFUSED - access refused for user 'test'")
	})
}

func newAnswerer(t *testing.T, address string, answer func(method, uint16) []byte) *refuser {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	target := u.Host
	r := &refuser{answer: answer}
	if r.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	u.Host = r.listener.Addr().String()
	r.url = u.String()
	r.running.Go(func() {
		for {
			client, err := r.listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			locked := &lockedWriter{w: client}
			r.running.Go(func() {
				_ = frames(server, locked)
				_ = client.Close()
			})
			r.running.Go(func() {
				r.requests(client, server, locked)
				_ = server.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = r.listener.Close()
		r.running.Wait()
	})
	return r
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// readFrame reads a whole frame: type, channel, size, payload, end.
func readFrame(from io.Reader) ([]byte, error) {
	head := make([]byte, 7)
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	frame := make([]byte, 7+int(binary.BigEndian.Uint32(head[3:]))+1)
	copy(frame, head)
	_, err := io.ReadFull(from, frame[7:])
	return frame, err
}

func frames(from io.Reader, to io.Writer) error {
	for {
		frame, err := readFrame(from)
		if err != nil {
			return err
		}
		if _, err := to.Write(frame); err != nil {
			return err
		}
	}
}

// requests moves what the client sends. On a channel that was closed here, everything is held back until the client has
// agreed; then the broker's side of it is closed too.
func (r *refuser) requests(client io.Reader, server io.Writer, back io.Writer) {
	if _, err := io.CopyN(server, client, 8); err != nil { // "AMQP", version
		return
	}
	closed := map[uint16]bool{}
	for {
		frame, err := readFrame(client)
		if err != nil {
			return
		}
		channel := binary.BigEndian.Uint16(frame[1:])
		if frame[0] == 1 { // a method
			m := method{binary.BigEndian.Uint16(frame[7:]), binary.BigEndian.Uint16(frame[9:])}
			if closed[channel] {
				if m == (method{20, 41}) { // close-ok: the broker gets a close, its answer goes to nobody who waits
					delete(closed, channel)
					frame = channelClose(channel, method{}, 200, "")
				} else {
					continue
				}
			} else if !passive(m, frame) {
				if answer := r.answer(m, channel); answer != nil {
					closed[channel] = true
					if _, err := back.Write(answer); err != nil {
						return
					}
					continue
				}
			}
		} else if closed[channel] {
			continue
		}
		if _, err := server.Write(frame); err != nil {
			return
		}
	}
}

// passive reports whether a frame is a declaration that only looks: its first bit, behind a reserved number and the
// name, and an exchange's type.
func passive(m method, frame []byte) bool {
	at := 13 + 1
	switch m {
	case queueDeclare:
		at += int(frame[13])
	case exchangeDeclare:
		at += int(frame[13])
		at += 1 + int(frame[at])
	default:
		return false
	}
	return frame[at]&1 == 1
}

func methodFrame(channel uint16, m method, arguments []byte) []byte {
	payload := binary.BigEndian.AppendUint16(nil, m.class)
	payload = binary.BigEndian.AppendUint16(payload, m.id)
	payload = append(payload, arguments...)
	frame := []byte{1}
	frame = binary.BigEndian.AppendUint16(frame, channel)
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(payload)))
	return append(append(frame, payload...), 0xCE)
}

func channelClose(channel uint16, of method, code uint16, text string) []byte {
	arguments := binary.BigEndian.AppendUint16(nil, code)
	arguments = append(append(arguments, byte(len(text))), text...)
	arguments = binary.BigEndian.AppendUint16(arguments, of.class)
	arguments = binary.BigEndian.AppendUint16(arguments, of.id)
	return methodFrame(channel, method{20, 40}, arguments)
}

// A right that the user lacks is told, and no other.
func TestRabbitMQ_NamesMissingRights(t *testing.T) {
	t.Parallel()
	all := []string{"declare", "bind", "consume", "publish"}
	for verb, m := range map[string]method{"declare": queueDeclare, "bind": queueUnbind, "consume": basicConsume, "publish": basicPublish} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			q, topology, _ := broker(t)
			refuse := []method{m}
			if verb == "declare" {
				refuse = append(refuse, exchangeDeclare)
			}
			found := lines(t, check.RabbitMQ{Options: rabbitmq.Options{URL: newRefuser(t, q.URL, refuse...).url}, Topology: topology})
			for _, v := range all {
				status := check.OK
				if v == verb {
					status = check.Fail
				}
				want(t, found, status, "RabbitMQ permission to "+v)
				if v == verb && verb != "publish" {
					want(t, found, status, "RabbitMQ permission to "+v, "queue "+q.Queue("order_placed"), q.RetryQueue(topology.Delays[0]))
				}
				if v == verb && verb == "publish" {
					want(t, found, status, "RabbitMQ permission to "+v, "default exchange", q.RetryQueue(topology.Delays[0]), q.RetryQueue(topology.Delays[1]))
				}
			}
		})
	}
}

// Who may not configure queues that are there can run mageline all the same.
func TestRabbitMQ_NeedsNoConfigureRightForWhatExists(t *testing.T) {
	t.Parallel()
	q, topology, conn := broker(t)
	if _, err := topology.Declare(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	address := newRefuser(t, q.URL, queueDeclare, exchangeDeclare).url
	found := lines(t, check.RabbitMQ{Options: rabbitmq.Options{URL: address}, Topology: topology})
	wantNo(t, found, check.Fail)
	want(t, found, check.Unknown, "queue "+q.Queue("order_placed"), "can't be seen")
	want(t, found, check.OK, "exchange "+q.Exchange, "is there")
	want(t, found, check.OK, "RabbitMQ permission to declare", "nothing is missing")
}

// A broker in alarm stops reading what is published; it says why.
func TestRabbitMQ_WarnsOfAnAlarm(t *testing.T) {
	t.Parallel()
	q, topology, _ := broker(t)
	const reason = "low on memory"
	blocked := methodFrame(0, method{10, 60}, append([]byte{byte(len(reason))}, reason...))
	address := newAnswerer(t, q.URL, func(m method, _ uint16) []byte {
		if m == basicPublish {
			return blocked
		}
		return nil
	}).url
	found := lines(t, check.RabbitMQ{Options: rabbitmq.Options{URL: address}, Topology: topology})
	want(t, found, check.Fail, "RabbitMQ permission to publish", reason)
	if n := slices.IndexFunc(found, func(l check.Finding) bool { return strings.HasPrefix(l.Subject, "queue ") }); n < 0 {
		t.Error("the rest was not looked at")
	}
}
