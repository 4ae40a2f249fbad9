package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

const (
	dnsPort = 53
	// ttl is short, in seconds, so that a change is seen at once.
	ttl = 1
)

// DNSMode is how the gateway answers names.
type DNSMode int32

const (
	// DNSAnswers is the normal mode: known names, and NXDOMAIN.
	DNSAnswers DNSMode = iota
	// DNSSilent never answers: clients wait for their timeout.
	DNSSilent
	// DNSFails answers SERVFAIL, as a resolver without upstream does.
	DNSFails
)

// String says what clients see.
func (m DNSMode) String() string {
	return [...]string{"answers", "is silent", "answers SERVFAIL"}[m%3]
}

// resolver answers from its records alone; it has no upstream.
type resolver struct {
	names map[string][]netip.Addr // lower case, with the final dot
	ptr   map[string]string

	mu    sync.Mutex
	modes []*DNSMode // in force, the latest last
}

// push puts a mode in force until it is taken back.
func (r *resolver) push(mode DNSMode) (back func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entry := &mode
	r.modes = append(r.modes, entry)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.modes = slices.DeleteFunc(r.modes, func(m *DNSMode) bool { return m == entry })
	}
}

func (r *resolver) mode() DNSMode {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.modes) == 0 {
		return DNSAnswers
	}
	return *r.modes[len(r.modes)-1]
}

// newResolver takes names without final dots.
func newResolver(records map[string][]netip.Addr, reverse map[netip.Addr]string) (*resolver, error) {
	r := &resolver{names: make(map[string][]netip.Addr), ptr: make(map[string]string)}
	for name, addrs := range records {
		if _, ok := dns.IsDomainName(name); !ok || name == "" {
			return nil, fmt.Errorf("dns: %q is no domain name", name)
		}
		r.names[dns.CanonicalName(name)] = addrs
	}
	for addr, name := range reverse {
		arpa, err := dns.ReverseAddr(addr.String())
		if err != nil {
			return nil, fmt.Errorf("dns: %w", err)
		}
		r.ptr[arpa] = dns.Fqdn(name)
	}
	return r, nil
}

// ServeDNS answers one query.
func (r *resolver) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	reply := r.answer(q)
	if reply == nil {
		return
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		size := dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		reply.Truncate(size)
	}
	_ = w.WriteMsg(reply) // a client that is gone asks again
}

// answer is the reply to a query, or nil for none.
func (r *resolver) answer(q *dns.Msg) *dns.Msg {
	reply := new(dns.Msg)
	switch r.mode() {
	case DNSSilent:
		return nil
	case DNSFails:
		return reply.SetRcode(q, dns.RcodeServerFailure)
	}
	if q.Opcode != dns.OpcodeQuery {
		return reply.SetRcode(q, dns.RcodeNotImplemented)
	}
	if len(q.Question) != 1 {
		return reply.SetRcode(q, dns.RcodeFormatError)
	}
	reply.SetReply(q)
	reply.Authoritative, reply.RecursionAvailable = true, true
	question := q.Question[0]
	name := dns.CanonicalName(question.Name)
	head := func(kind uint16) dns.RR_Header {
		return dns.RR_Header{Name: question.Name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
	}
	addrs, known := r.names[name]
	target, reverse := r.ptr[name]
	if !known && !reverse {
		reply.Rcode = dns.RcodeNameError
	}
	wants := func(kind uint16) bool { return question.Qtype == kind || question.Qtype == dns.TypeANY }
	for _, addr := range addrs {
		switch {
		case addr.Is4() && wants(dns.TypeA):
			reply.Answer = append(reply.Answer, &dns.A{Hdr: head(dns.TypeA), A: addr.AsSlice()})
		case addr.Is6() && wants(dns.TypeAAAA):
			reply.Answer = append(reply.Answer, &dns.AAAA{Hdr: head(dns.TypeAAAA), AAAA: addr.AsSlice()})
		}
	}
	if reverse && wants(dns.TypePTR) {
		reply.Answer = append(reply.Answer, &dns.PTR{Hdr: head(dns.TypePTR), Ptr: target})
	}
	if len(reply.Answer) == 0 {
		// The SOA bounds how long "no such name" may be remembered (RFC 2308).
		reply.Ns = append(reply.Ns, &dns.SOA{
			Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ttl},
			Ns:  "gateway.", Mbox: "nobody.gateway.", Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: ttl,
		})
	}
	return reply
}

// serve answers on a packet connection and a listener until stop.
func (r *resolver) serve(packets net.PacketConn, streams net.Listener) (stop func() error) {
	servers := []*dns.Server{{PacketConn: packets, Handler: r}, {Listener: streams, Handler: r}}
	done := make(chan error, len(servers))
	for _, s := range servers {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { done <- s.ActivateAndServe() }()
		select {
		case <-started:
		case err := <-done:
			done <- err
		}
	}
	return func() error {
		var errs []error
		for _, s := range servers {
			_ = s.Shutdown() // what matters is that the server ends
		}
		_, _ = packets.Close(), streams.Close()
		for range servers {
			if err := <-done; err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "closed") {
				errs = append(errs, fmt.Errorf("dns: %w", err))
			}
		}
		return errors.Join(errs...)
	}
}

// record adds an address to a name's.
func record(records map[string][]netip.Addr, name string, addrs ...netip.Addr) {
	for _, addr := range addrs {
		if !slices.Contains(records[name], addr) {
			records[name] = append(records[name], addr)
		}
	}
}
