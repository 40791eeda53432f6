package kit

import (
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Proxy is a TCP proxy in front of one address, to break connections the way networks do. It is closed with the test.
type Proxy struct {
	listener net.Listener
	done     sync.WaitGroup

	mu       sync.Mutex
	target   string
	links    map[*link]bool
	refusing bool
	closed   bool
	// moved is not nil while bytes stall, and is closed when they move again.
	moved chan struct{}
	lose  bool          // the next answer
	lost  func()        // called when it is
	pause time.Duration // after each byte that goes to the server
}

type link struct{ client, server net.Conn }

// NewProxy listens on a free local port and leads to target, host and port.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("proxy in front of %s: %v", target, err)
	}
	p := &Proxy{target: target, listener: listener, links: map[*link]bool{}}
	p.done.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// ProxyURL puts a proxy in front of the host of a URL and gives the URL that leads through it.
func ProxyURL(t testing.TB, address string) (*Proxy, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Port() == "" {
		t.Fatalf("a proxy needs a URL with host and port")
	}
	p := NewProxy(t, u.Host)
	u.Host = p.Addr()
	return p, u.String()
}

// Addr is where clients connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut resets every open connection. New ones are let through.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

// Refuse cuts every connection and resets new ones, as while a server is away, until Accept.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	p.refusing = true
	p.mu.Unlock()
	p.Cut()
}

// Accept ends Refuse.
func (p *Proxy) Accept() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = false
}

// Stall leaves connections open and lets no byte through in either direction, until Resume: a half-open link.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.moved == nil {
		p.moved = make(chan struct{})
	}
}

// Resume ends Stall: what was held arrives.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.moved != nil {
		close(p.moved)
		p.moved = nil
	}
}

// Drip lets bytes to the server through one by one, with a pause after each, until it is called with 0.
func (p *Proxy) Drip(pause time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pause = pause
}

// dripping gives the pause after each byte; 0 is none.
func (p *Proxy) dripping() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0
	}
	return p.pause
}

// Lead has new connections led to another server.
func (p *Proxy) Lead(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Target is where new connections are led.
func (p *Proxy) Target() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target
}

// LoseAnswer cuts the connection that next gets an answer from the server: the request has arrived and was done, the
// answer is lost. then, which may be nil, is called once that has happened.
func (p *Proxy) LoseAnswer(then func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose, p.lost = true, then
}

// losing reports whether the answer that has just come is to be lost.
func (p *Proxy) losing() (lose bool, then func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lose, p.lose = p.lose, false
	return lose, p.lost
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.mu.Lock()
		refuse, target := p.refusing || p.closed, p.target
		p.mu.Unlock()
		if refuse {
			(&link{client: client}).reset()
			continue
		}
		server, err := net.DialTimeout("tcp", target, 5*time.Second)
		if err != nil {
			(&link{client: client}).reset()
			continue
		}
		l := &link{client: client, server: server}
		p.mu.Lock()
		p.links[l] = true
		if p.closed || p.refusing {
			l.reset()
		}
		p.mu.Unlock()
		var both sync.WaitGroup
		both.Go(func() { p.copy(l, server, client, false) })
		both.Go(func() { p.copy(l, client, server, true) })
		p.done.Go(func() {
			both.Wait()
			l.reset()
			p.mu.Lock()
			delete(p.links, l)
			p.mu.Unlock()
		})
	}
}

// copy moves bytes until either side ends.
func (p *Proxy) copy(l *link, to, from net.Conn, answer bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.wait()
		if n > 0 && answer {
			if lose, then := p.losing(); lose {
				l.reset()
				if then != nil {
					then()
				}
				return
			}
		}
		rest := buffer[:n]
		var werr error
		for !answer && werr == nil && len(rest) > 0 {
			pause := p.dripping()
			if pause == 0 {
				break
			}
			_, werr = to.Write(rest[:1])
			rest = rest[1:]
			time.Sleep(pause)
		}
		if werr == nil {
			_, werr = to.Write(rest)
		}
		switch {
		case werr == nil && err == nil:
			continue
		case werr == nil && errors.Is(err, io.EOF): // the other direction may go on
			if half, ok := to.(*net.TCPConn); ok {
				_ = half.CloseWrite()
			}
		default:
			l.reset()
		}
		return
	}
}

// wait holds while the proxy stalls.
func (p *Proxy) wait() {
	for {
		p.mu.Lock()
		moved := p.moved
		p.mu.Unlock()
		if moved == nil {
			return
		}
		<-moved
	}
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Resume()
	p.Cut()
	p.done.Wait()
}

// reset closes both ends without the goodbye of TCP.
func (l *link) reset() {
	for _, c := range []net.Conn{l.client, l.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		if c != nil {
			_ = c.Close()
		}
	}
}
