package hdfs

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	krb "github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/spnego"

	"vitrine/bridge/mirror"
)

// The pauses after keys that the realm did not take: many realms lock out who
// comes with wrong ones again and again. Other files end them at once.
const (
	refusedLeast = 5 * time.Second
	refusedMost  = 5 * time.Minute
)

// tickets is who one store is logged in as, once somebody asked. The library
// renews what it got by itself; where that failed, and where somebody would not
// have the ticket, the next one logs in anew.
type tickets struct {
	k       *Kerberos
	timeout time.Duration
	// turn is held while the realm's servers may be asked, by one goroutine that
	// ends when the library's own deadlines have: 5 s for each server, by UDP and
	// TCP.
	turn chan struct{}
	// clock is time.Now but in tests.
	clock func() time.Time

	mu  sync.Mutex
	now *ticket
	// servers are those of the realm, once they are known.
	servers string
	// refused is why the realm did not take the keys of files of a time; it is not
	// asked again before until.
	refused  error
	of       time.Time
	until    time.Time
	pause    time.Duration
	shutDown bool
}

// ticket is a client that is logged in. It is destroyed when it is gone and nobody
// uses it any more.
type ticket struct {
	client *krb.Client
	users  int
	gone   bool
}

func newTickets(k *Kerberos, timeout time.Duration) *tickets {
	return &tickets{k: k, timeout: timeout, turn: make(chan struct{}, 1), clock: time.Now}
}

// take gives a ticket with which one for the service can be had without asking the
// realm; it has to be given back.
func (t *tickets) take(ctx context.Context, service string) (*ticket, error) {
	timer := time.NewTimer(t.timeout)
	defer timer.Stop()
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, t.silent()
	}
	type answer struct {
		ticket *ticket
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		got, err := t.ensure()
		if err == nil {
			got, err = t.prepare(got, service)
		}
		<-t.turn
		answers <- answer{got, err}
	}()
	abandon := func() {
		go func() {
			if a := <-answers; a.ticket != nil {
				t.give(a.ticket, true)
			}
		}()
	}
	select {
	case a := <-answers:
		return a.ticket, a.err
	case <-ctx.Done():
		abandon()
		return nil, ctx.Err()
	case <-timer.C:
		abandon()
		return nil, t.silent()
	}
}

// silent is the error of a realm that does not answer.
func (t *tickets) silent() error {
	_, realm, _ := strings.Cut(t.k.Principal, "@")
	t.mu.Lock()
	servers := t.servers
	t.mu.Unlock()
	if servers == "" {
		servers = "the servers of " + realm
	}
	return t.told(&mirror.AdviceError{Err: &mirror.SilentError{Address: servers, For: t.timeout}, Advice: t.k.advice("", "")})
}

func (t *tickets) told(err error) error {
	return fmt.Errorf("log in to kerberos as %s: %w", t.k.Principal, err)
}

// ensure logs in where nobody is.
func (t *tickets) ensure() (*ticket, error) {
	if got := t.use(); got != nil {
		// It logs in again where the time is over, with the keys that it has; those
		// in the file may be newer.
		if got.client.AffirmLogin() == nil {
			return got, nil
		}
		t.give(got, false)
	}
	of := t.k.changed()
	if err := t.paused(of); err != nil {
		return nil, err
	}
	client, servers, err := login(t.k)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.servers = servers
	if err != nil {
		err = t.told(err)
		t.refuse(err, of)
		return nil, err
	}
	t.refused, t.pause = nil, 0
	got := &ticket{client: client, users: 1, gone: t.shutDown}
	if !t.shutDown {
		t.now = got
	}
	return got, nil
}

// prepare asks for the ticket of a service, which the library keeps.
func (t *tickets) prepare(got *ticket, service string) (*ticket, error) {
	if _, _, err := got.client.GetServiceTicket(service); err != nil {
		t.give(got, false)
		return nil, t.told(fmt.Errorf("for %s: %w", service, t.k.explain(err)))
	}
	return got, nil
}

// use is the ticket that there is.
func (t *tickets) use() *ticket {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now != nil {
		t.now.users++
	}
	return t.now
}

// paused is why the realm is not asked now with the keys of the files of a time.
func (t *tickets) paused(of time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refused != nil && of.Equal(t.of) && t.clock().Before(t.until) {
		return t.refused
	}
	return nil
}

func (t *tickets) refuse(err error, of time.Time) {
	if !lockable(err) {
		t.refused, t.pause = nil, 0
		return
	}
	t.pause = min(max(2*t.pause, refusedLeast), refusedMost)
	t.refused, t.of, t.until = err, of, t.clock().Add(t.pause)
}

// give takes a ticket back; one that is no good nobody is given again.
func (t *tickets) give(got *ticket, good bool) {
	t.mu.Lock()
	got.users--
	if !good {
		got.gone = true
		if t.now == got {
			t.now = nil
		}
	}
	over := got.gone && got.users == 0
	t.mu.Unlock()
	if over {
		got.client.Destroy()
	}
}

// drop lets go of the ticket that there is, which those who use it yet keep.
func (t *tickets) drop() {
	if got := t.use(); got != nil {
		t.give(got, false)
	}
}

// close lets go of the ticket for good.
func (t *tickets) close() {
	t.mu.Lock()
	t.shutDown = true
	t.mu.Unlock()
	t.drop()
}

// Negotiator authorizes HTTP requests to a cluster with Kerberos (SPNEGO): for
// webhdfs.Options.
type Negotiator struct{ tickets *tickets }

// Negotiate makes a Negotiator; the realm may be silent for timeout, DefaultTimeout
// when 0.
func Negotiate(k *Kerberos, timeout time.Duration) *Negotiator {
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return &Negotiator{newTickets(k, timeout)}
}

// Authorize adds to a request what proves who we are; one that carries a
// delegation token needs no more.
func (n *Negotiator) Authorize(req *http.Request) error {
	if req.URL.Query().Has("delegation") {
		return nil
	}
	// As Hadoop's own clients have it: the host of the address as it is written.
	service := "HTTP/" + strings.ToLower(req.URL.Hostname())
	got, err := n.tickets.take(req.Context(), service)
	if err != nil {
		return err
	}
	err = spnego.SetSPNEGOHeader(got.client, req, service)
	n.tickets.give(got, err == nil)
	if err != nil {
		return n.tickets.told(n.tickets.k.explain(err))
	}
	return nil
}

// Refused makes the next request log in anew: the keys of a service may be others
// than those that its ticket was made with.
func (n *Negotiator) Refused() { n.tickets.drop() }

// Close lets go of the ticket.
func (n *Negotiator) Close() { n.tickets.close() }
