package kit_test

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
)

// echo answers each line with itself, and tells which lines have arrived.
func echo(t *testing.T) (addr string, arrived <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				for r := bufio.NewReader(c); ; {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					lines <- line
					if _, err := io.WriteString(c, line); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String(), lines
}

func ask(t *testing.T, conn net.Conn, line string) (string, error) {
	t.Helper()
	if _, err := io.WriteString(conn, line); err != nil {
		return "", err
	}
	return bufio.NewReader(conn).ReadString('\n')
}

func dial(t *testing.T, p *kit.Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestProxy_BreaksConnections(t *testing.T) {
	addr, arrived := echo(t)
	p := kit.NewProxy(t, addr)

	conn := dial(t, p)
	if got, err := ask(t, conn, "plain\n"); got != "plain\n" {
		t.Fatalf("a proxy that breaks nothing gave %q, %v", got, err)
	}
	<-arrived

	p.Cut()
	if got, err := ask(t, conn, "cut\n"); err == nil {
		t.Fatalf("a cut connection answered %q", got)
	}

	lost := make(chan struct{})
	p.LoseAnswer(func() { close(lost) })
	if got, err := ask(t, dial(t, p), "lost\n"); err == nil {
		t.Fatalf("an answer that was to be lost arrived: %q", got)
	}
	<-lost
	if got := <-arrived; got != "lost\n" {
		t.Fatalf("the request whose answer was lost arrived as %q", got)
	}

	p.Refuse()
	if refused, err := net.Dial("tcp", p.Addr()); err == nil { // the reset may come before or after Dial has returned
		if got, err := ask(t, refused, "refused\n"); err == nil {
			t.Fatalf("a proxy that refuses answered %q", got)
		}
		_ = refused.Close()
	}
	p.Accept()

	p.Stall()
	conn = dial(t, p)
	if _, err := io.WriteString(conn, "stalled\n"); err != nil {
		t.Fatal(err)
	}
	p.Resume()
	if got, err := bufio.NewReader(conn).ReadString('\n'); got != "stalled\n" {
		t.Fatalf("after Resume came %q, %v", got, err)
	}

	p.Drip(time.Millisecond)
	began := time.Now()
	if got, err := ask(t, dial(t, p), "dripping\n"); got != "dripping\n" || time.Since(began) < 8*time.Millisecond {
		t.Fatalf("nine bytes with a millisecond between them gave %q, %v after %s", got, err, time.Since(began))
	}
	p.Drip(0)

	other, arrivedThere := echo(t)
	p.Lead(other)
	if got, err := ask(t, dial(t, p), "led\n"); got != "led\n" {
		t.Fatalf("led elsewhere it gave %q, %v", got, err)
	}
	<-arrivedThere
}
