package hdfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	krb "github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"vitrine/bridge/mirror"
)

// fakeKDC is a server that gives each request by TCP one answer, none where that is
// nil.
type fakeKDC struct {
	net.Listener
	asked atomic.Int32
}

func startKDC(t *testing.T, answer []byte) *fakeKDC {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &fakeKDC{Listener: l}
	go func() {
		var held []net.Conn
		defer func() {
			for _, c := range held {
				_ = c.Close()
			}
		}()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			held = append(held, c)
			k.asked.Add(1)
			if answer != nil {
				_, _ = io.CopyN(io.Discard, c, 4)
				_, _ = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...))
			}
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return k
}

// shop is somebody of a realm with one server.
func shop(t *testing.T, server string) *Kerberos {
	t.Helper()
	dir := t.TempDir()
	k := &Kerberos{Principal: "shop@VITRINE.TEST", Keytab: filepath.Join(dir, "keytab"), Config: filepath.Join(dir, "krb5.conf"), Service: "nn/_HOST"}
	keys := keytab.New()
	if err := keys.AddEntry("shop", "VITRINE.TEST", "secret", time.Now(), 1, etypeID.AES256_CTS_HMAC_SHA1_96); err != nil {
		t.Fatal(err)
	}
	data, err := keys.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	conf := "[libdefaults]\nudp_preference_limit = 1\n[realms]\nVITRINE.TEST = {\n kdc = " + server + "\n}\n"
	if err := errors.Join(os.WriteFile(k.Keytab, data, 0o600), os.WriteFile(k.Config, []byte(conf), 0o600)); err != nil {
		t.Fatal(err)
	}
	return k
}

// TestWrongKeysAreNotTriedForEver: a realm that does not take keys is asked again
// after a pause only, or when there are others.
func TestWrongKeysAreNotTriedForEver(t *testing.T) {
	refusal := messages.NewKRBError(types.NewPrincipalName(nametype.KRB_NT_SRV_INST, "krbtgt/VITRINE.TEST"), "VITRINE.TEST", errorcode.KRB_AP_ERR_BAD_INTEGRITY, "no")
	answer, err := refusal.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	kdc := startKDC(t, answer)
	k := shop(t, kdc.Addr().String())
	s := New(Options{NameNodes: []string{"127.0.0.1:1"}, Kerberos: k, Timeout: time.Minute})
	defer s.Close()
	now := time.Now()
	s.tickets.clock = func() time.Time { return now }
	for i, step := range []struct {
		after time.Duration
		touch bool
		asked int32
	}{
		{0, false, 1},
		{time.Second, false, 1},
		{refusedLeast, false, 2},
		{refusedLeast + time.Second, false, 2}, // the pause grows
		{2 * refusedLeast, true, 3},
	} {
		now = now.Add(step.after)
		if step.touch {
			later := time.Now().Add(time.Hour)
			if err := os.Chtimes(k.Keytab, later, later); err != nil {
				t.Fatal(err)
			}
		}
		_, err := s.List(t.Context(), "")
		var told *mirror.AdviceError
		if !errors.As(err, &told) || !strings.Contains(told.Advice, "ktadd -k "+k.Keytab) || strings.Contains(err.Error(), "_Error") {
			t.Errorf("step %d: %v", i, err)
		}
		if got := kdc.asked.Load(); got != step.asked {
			t.Errorf("step %d: the realm was asked %d times, want %d", i, got, step.asked)
		}
	}
}

// TestSilentRealm: a realm that accepts and does not answer is named, is waited for
// as long as a NameNode would be, and leaves nothing behind.
func TestSilentRealm(t *testing.T) {
	before := runtime.NumGoroutine()
	kdc := startKDC(t, nil)
	address := kdc.Addr().String()
	s := New(Options{NameNodes: []string{"127.0.0.1:1"}, Kerberos: shop(t, address), Timeout: 200 * time.Millisecond})
	for range 2 { // the second one waits for the first one's turn
		_, err := s.List(t.Context(), "")
		var silent *mirror.SilentError
		var told *mirror.AdviceError
		if !errors.As(err, &silent) || !errors.As(err, &told) || !strings.Contains(told.Advice, "kinit") {
			t.Errorf("List: %v, want the silence of the realm", err)
		}
	}
	if got := kdc.asked.Load(); got > 1 {
		t.Errorf("%d at a time wait for a realm that is silent", got)
	}
	if err := errors.Join(s.Close(), kdc.Close()); err != nil {
		t.Error(err)
	}
	for begin := time.Now(); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

// TestTicketsEndAfterUse: a ticket that is let go of is given to nobody else, and
// stays good for those who have it.
func TestTicketsEndAfterUse(t *testing.T) {
	for _, test := range []struct {
		name string
		let  func(ts *tickets)
	}{
		{"refused", func(ts *tickets) { (&Negotiator{ts}).Refused() }},
		{"no good", func(ts *tickets) { ts.give(ts.use(), false) }},
		{"closed", (*tickets).close},
	} {
		ts := newTickets(shop(t, "127.0.0.1:1"), time.Minute)
		client := krb.NewWithPassword("shop", "VITRINE.TEST", "secret", config.New())
		ts.now = &ticket{client: client}
		ends := func() bool { return client.Credentials.UserName() == "" }
		first, second := ts.use(), ts.use()
		if first != second {
			t.Fatalf("%s: two tickets", test.name)
		}
		ts.give(first, true)
		test.let(ts)
		if ts.use() != nil {
			t.Errorf("%s: it is given again", test.name)
		}
		if ends() {
			t.Errorf("%s: it ends while it is in use", test.name)
		}
		if ts.give(second, true); !ends() {
			t.Errorf("%s: it does not end", test.name)
		}
	}
}

// TestMissingKeytab: a file that is missing here is not one that is missing there.
func TestMissingKeytab(t *testing.T) {
	k := shop(t, "127.0.0.1:1")
	for _, file := range []string{k.Keytab, k.Config} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		s := New(Options{NameNodes: []string{"127.0.0.1:1"}, Kerberos: k, Timeout: time.Minute})
		_, err := s.Open(t.Context(), "x")
		if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), file) {
			t.Errorf("Open: %v, want that there is no %s", err, file)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestKrb5Conf(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"krb5.conf": "# of a distribution\nincludedir " + dir + "/krb5.conf.d/\nincludedir\t" + dir + "/not-there\n[logging]\n default = FILE:/x\n" +
			"[libdefaults]\n default_realm = A.TEST\n default_ccache_name = KEYRING:persistent:%{uid}\n ticket_lifetime = 24h\n" +
			"[realms]\n A.TEST = {\n  kdc = kdc1.a.test\n  kdc = kdc2.a.test:750\n  auth_to_local = RULE:[1:$1@$0](.*@.*)s/@.*//\n }\n[domain_realm]\n .a.test = A.TEST\n",
		"krb5.conf.d/b":       "[realms]\n B.TEST = {\n  kdc = kdc.b.test\n }\n",
		"krb5.conf.d/c.conf":  "[libdefaults]\n udp_preference_limit = 1\n",
		"krb5.conf.d/old.bak": "[libdefaults]\n default_realm = WRONG.TEST\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	conf, err := loadConfig(filepath.Join(dir, "krb5.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if d := conf.LibDefaults; d.DefaultRealm != "A.TEST" || d.UDPPreferenceLimit != 1 || !d.DNSLookupKDC || d.TicketLifetime != 24*time.Hour {
		t.Errorf("defaults %+v", d)
	}
	kdcs := map[string]string{}
	for _, r := range conf.Realms {
		kdcs[r.Realm] = strings.Join(r.KDC, " ")
	}
	if len(kdcs) != 2 || kdcs["A.TEST"] != "kdc1.a.test:88 kdc2.a.test:750" || kdcs["B.TEST"] != "kdc.b.test:88" {
		t.Errorf("servers %v", kdcs)
	}
	if conf.ResolveRealm("nn1.a.test") != "A.TEST" {
		t.Errorf("nn1.a.test is of %q", conf.ResolveRealm("nn1.a.test"))
	}
	loop := filepath.Join(dir, "loop")
	if err := os.WriteFile(loop, []byte("include "+loop+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadConfig(loop); err == nil || !strings.Contains(err.Error(), "include each other") {
		t.Errorf("a file that includes itself: %v", err)
	}
}

func FuzzKrb5Conf(f *testing.F) {
	f.Add("[libdefaults]\nx = y\n[realms]\nA = {\n kdc = a\n}\ninclude x\nincludedir\n[")
	f.Fuzz(func(t *testing.T, text string) {
		s := sections{}
		if err := s.parse(text, func(string) error { return nil }); err != nil {
			return
		}
		again := sections{}
		if err := again.parse(s.String(), func(path string) error { return errors.New(path) }); err != nil {
			t.Fatalf("what was read includes %v", err)
		}
		if again.String() != s.String() {
			t.Errorf("%q becomes %q", s, again)
		}
	})
}

// message is a message of the DataNode's, with its length before it.
func message(body string) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(body))), body...)
}

func TestGreeting(t *testing.T) {
	challenge := func(qop string) []byte {
		text := `realm="0",nonce="x",qop="` + qop + `",charset=utf-8`
		return message("\x08\x00\x12" + string(rune(len(text))) + text)
	}
	proof := "\x08\x00\x12\x02ok"
	for _, test := range []struct {
		name string
		said [][]byte
		want string
	}{
		{"authentication", [][]byte{challenge("auth")}, errOver.Error()},
		{"integrity", [][]byte{challenge("auth-int")}, noIntegrity().Error()},
		{"the first one counts", [][]byte{challenge("auth-int,auth-conf")}, noIntegrity().Error()},
		{"aes", [][]byte{challenge("auth-conf"), message(proof + "\x22\x02\x08\x01")}, errOver.Error()},
		{"no aes", [][]byte{challenge("auth-conf"), message(proof)}, noCipher().Error()},
		{"no sasl", [][]byte{message("\x08\x00")}, errOver.Error()},
		{"not all yet", [][]byte{challenge("auth-int")[:20]}, "<nil>"},
	} {
		for _, step := range []int{1, 5, 1 << 10} { // however it is read
			g := &greeting{}
			var err error
			for rest := bytes.Join(test.said, nil); len(rest) > 0 && err == nil; {
				n := min(step, len(rest))
				err, rest = g.look(rest[:n]), rest[n:]
			}
			got := "<nil>"
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("%s, %d bytes a time: %s, want %s", test.name, step, got, test.want)
			}
		}
	}
}

// hearsay is a connection whose other side has said a text and hung up.
type hearsay struct {
	net.Conn
	rest io.Reader
}

func (h *hearsay) Read(b []byte) (int, error)      { return h.rest.Read(b) }
func (h *hearsay) SetReadDeadline(time.Time) error { return nil }

// TestHungUp: a DataNode that hangs up on the first word may want other protection,
// which no cluster without Kerberos does.
func TestHungUp(t *testing.T) {
	for _, test := range []struct {
		name    string
		tickets *tickets
		said    string
		advice  bool
	}{
		{"kerberos", &tickets{}, "", true}, {"no kerberos", nil, "", false}, {"later", &tickets{}, "\x05", false},
	} {
		ses := &session{timeout: time.Minute, tickets: test.tickets}
		said, err := io.ReadAll(&conn{Conn: &hearsay{rest: strings.NewReader(test.said)}, ses: ses, addr: "dn1:9866", greeting: &greeting{}})
		if string(said) != test.said || err != nil {
			t.Errorf("%s: read %q, %v", test.name, said, err)
		}
		var told *mirror.AdviceError
		if err := ses.cause(t.Context(), io.EOF); errors.As(err, &told) != test.advice || !test.advice && err != io.EOF {
			t.Errorf("%s: %v, want advice: %v", test.name, err, test.advice)
		}
	}
}

func FuzzGreeting(f *testing.F) {
	f.Add([]byte("\x05\x08\x00\x12\x01x"), 3)
	f.Add([]byte("n\x08\x00\x12jrealm=\"0\",qop=\"auth-conf\",\x04\x08\x00\x22\x00"), 1)
	f.Fuzz(func(t *testing.T, said []byte, step int) {
		if step < 1 {
			return
		}
		g := &greeting{}
		for rest := said; len(rest) > 0; {
			n := min(step, len(rest))
			if g.look(rest[:n]) != nil {
				return
			}
			rest = rest[n:]
		}
		if len(g.said) > mostGreeting+10+step {
			t.Errorf("%d bytes are kept", len(g.said))
		}
	})
}
