package realservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// KDC says which realm of Kerberos to start: MIT's krb5kdc, as Debian has it.
type KDC struct {
	// Dir is an empty folder for everything that the server writes.
	Dir string
	// Ahead is how far the server's clock is off; it needs libfaketime.
	Ahead time.Duration
}

// RealmName is that of every KDC.
const RealmName = "VITRINE.TEST"

// Realm is a running KDC with its principals. Clients know it by Config.
type Realm struct {
	// Address is host:port, both for UDP and TCP.
	Address string
	// Config is the krb5.conf that names the server.
	Config string

	opt     KDC
	process process
}

// Start makes an empty realm and returns when its server answers.
func (k KDC) Start(ctx context.Context) (*Realm, error) {
	server, err := systemProgram("krb5kdc", "krb5-kdc")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	r := &Realm{Address: ports[0], Config: filepath.Join(k.Dir, "krb5.conf"), opt: k}
	if err := r.configure(); err != nil {
		return nil, fmt.Errorf("configure the kdc: %w", err)
	}
	if _, err := r.run(ctx, "kdb5_util", "krb5-kdc", "create", "-s", "-P", "masterkey"); err != nil {
		return nil, fmt.Errorf("make the realm: %w", err)
	}
	env := r.env()
	if k.Ahead != 0 {
		lib, err := fakeTime()
		if err != nil {
			return nil, err
		}
		env = append(env, "LD_PRELOAD="+lib, fmt.Sprintf("FAKETIME=%+ds", int(k.Ahead.Seconds())))
	}
	r.process = process{
		name: "krb5kdc", args: []string{server, "-n", "-r", RealmName}, dir: k.Dir, log: filepath.Join(k.Dir, "krb5kdc.log"), env: env,
	}
	return r, r.Restart(ctx)
}

// fakeTime is the library that changes a program's clock.
func fakeTime() (string, error) {
	found, err := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("libfaketime is %w: apt-get install libfaketime", ErrMissing)
	}
	return found[0], nil
}

// Restart starts a server that was stopped or killed, on its old port.
func (r *Realm) Restart(ctx context.Context) error {
	return r.process.start(ctx, func() (bool, string) { return listens(r.Address) })
}

// Stop ends the server cleanly.
func (r *Realm) Stop() error { return r.process.stop() }

// Signal sends a signal, such as SIGSTOP and SIGCONT.
func (r *Realm) Signal(s os.Signal) error { return r.process.signal(s) }

// WriteConfig writes a krb5.conf for clients that know the server by another
// address, such as that of a Proxy, and speak to it by TCP only.
func (r *Realm) WriteConfig(file, address string, more ...string) error {
	more = append(more, "udp_preference_limit = 1")
	return os.WriteFile(file, []byte(clientConfig(address, more)), 0o644)
}

func clientConfig(address string, more []string) string {
	return "[libdefaults]\n default_realm = " + RealmName + "\n dns_lookup_kdc = false\n dns_lookup_realm = false\n rdns = false\n" +
		" dns_canonicalize_hostname = false\n " + strings.Join(more, "\n ") +
		"\n[realms]\n " + RealmName + " = {\n  kdc = " + address + "\n }\n[domain_realm]\n localhost = " + RealmName + "\n"
}

func (r *Realm) configure() error {
	dir := r.opt.Dir
	kdc := "[kdcdefaults]\n kdc_listen = " + r.Address + "\n kdc_tcp_listen = " + r.Address + "\n[realms]\n " + RealmName + " = {\n" +
		"  database_name = " + filepath.Join(dir, "principal") + "\n  key_stash_file = " + filepath.Join(dir, "stash") + "\n" +
		"  max_life = 10h\n  max_renewable_life = 7d\n  default_principal_flags = +preauth\n" +
		"  supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal\n }\n"
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "kdc.conf"), []byte(kdc), 0o600),
		os.WriteFile(r.Config, []byte(clientConfig(r.Address, nil)+"[logging]\n kdc = FILE:"+r.requests()+"\n"), 0o644),
	)
}

// requests is the server's log.
func (r *Realm) requests() string { return filepath.Join(r.opt.Dir, "requests.log") }

// Issued counts the tickets that a principal got.
func (r *Realm) Issued(principal string) (int, error) {
	text, err := os.ReadFile(r.requests())
	if err != nil {
		return 0, fmt.Errorf("read the log of the kdc: %w", err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "ISSUE") && strings.Contains(line, " "+principal+"@"+RealmName+" for ") {
			n++
		}
	}
	return n, nil
}

func (r *Realm) env() []string {
	return append(os.Environ(), "KRB5_CONFIG="+r.Config, "KRB5_KDC_PROFILE="+filepath.Join(r.opt.Dir, "kdc.conf"))
}

// run runs one of the realm's tools.
func (r *Realm) run(ctx context.Context, name, pkg string, args ...string) (string, error) {
	tool, err := systemProgram(name, pkg)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, tool, append([]string{"-r", RealmName}, args...)...)
	cmd.Env = r.env()
	return run(cmd, fmt.Sprintf("run %s %v", name, args))
}

// Admin gives kadmin.local a command, such as `modprinc -allow_tix shop`; what it
// refuses is an error.
func (r *Realm) Admin(ctx context.Context, command string) error {
	out, err := r.run(ctx, "kadmin.local", "krb5-admin-server", "-q", command)
	if err == nil && strings.Contains(out, " while ") { // its exit code says nothing
		err = fmt.Errorf("kadmin.local: %s: %s", command, tail([]byte(out)))
	}
	return err
}

// Keytab makes principals, those that are not there yet, with new keys, and adds
// these to a keytab. Keys that were given before are good no more.
func (r *Realm) Keytab(ctx context.Context, file string, principals ...string) error {
	for _, p := range principals {
		if out, err := r.run(ctx, "kadmin.local", "krb5-admin-server", "-q", "getprinc "+p); err != nil {
			return err
		} else if strings.Contains(out, "does not exist") {
			if err := r.Admin(ctx, "addprinc -randkey "+p); err != nil {
				return err
			}
		}
		if err := r.Admin(ctx, "ktadd -k "+file+" "+p); err != nil {
			return err
		}
	}
	return nil
}

// login puts a ticket into a cache for programs of Hadoop.
func (r *Realm) login(ctx context.Context, cache, keytab, principal string) error {
	kinit, err := program("kinit", "krb5-user")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, kinit, "-c", cache, "-k", "-t", keytab, principal)
	cmd.Env = r.env()
	_, err = run(cmd, "log in as "+principal)
	return err
}

// systemProgram finds a program that only the superuser has on his path.
func systemProgram(name, pkg string) (string, error) {
	if path, err := exec.LookPath(filepath.Join("/usr/sbin", name)); err == nil {
		return path, nil
	}
	return program(name, pkg)
}
