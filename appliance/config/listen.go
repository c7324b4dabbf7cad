package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"

	"vitrine/appliance/access"
)

// maxRate is more requests a second than one machine answers.
const maxRate = 1e6

// validateHTTP lists what is wrong with the listeners.
func (c *Config) validateHTTP() []problem {
	var out []problem
	add := func(key string, err error) {
		if err != nil {
			out = append(out, problem{key: key, err: err})
		}
	}
	add("http.listen", checkAddress(c.HTTP.Listen))
	add("http.admin_listen", checkAddress(c.HTTP.AdminListen))
	if c.HTTP.RateLimit < 0 || c.HTTP.RateLimit > maxRate {
		add("http.rate_limit", fmt.Errorf("must be between 0 (none) and %.0f requests a second", maxRate))
	}
	if c.Auth.KeysFile == "" {
		add("auth.keys_file", errors.New("must name a file"))
	}
	switch cert, key := c.HTTP.TLSCert, c.HTTP.TLSKey; {
	case cert != "" && key == "":
		add("http.tls_cert", errors.New("needs http.tls_key beside it"))
	case cert == "" && key != "":
		add("http.tls_key", errors.New("needs http.tls_cert beside it"))
	case cert != "":
		if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
			add("http.tls_cert", fmt.Errorf("with http.tls_key does not load: %w", err))
		}
	}
	return out
}

// exposure lists the listeners that are open beyond this machine while there
// are no keys that could guard them.
func (c *Config) exposure() []problem {
	var out []problem
	for _, l := range []struct{ key, addr string }{{"http.listen", c.HTTP.Listen}, {"http.admin_listen", c.HTTP.AdminListen}} {
		if Loopback(l.addr) || checkAddress(l.addr) != nil {
			continue
		}
		store, err := access.Open(c.KeysPath())
		switch {
		case err != nil:
			out = append(out, problem{key: "auth.keys_file", err: fmt.Errorf("cannot be used: %w", err)})
		case store.Len() == 0:
			out = append(out, problem{key: l.key, err: errors.New(
				"must be a loopback address (127.0.0.1, [::1] or localhost) while there are no API keys; make one with: vitrine key new NAME --scope recommend")})
		}
	}
	return out
}

// server takes the address of a server elsewhere apart, which names both.
func server(addr string) (host, port string, ok bool) {
	host, port, err := net.SplitHostPort(addr)
	n, notNumber := strconv.ParseUint(port, 10, 16)
	return host, port, err == nil && host != "" && notNumber == nil && n > 0
}

func checkAddress(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("must be HOST:PORT, such as 127.0.0.1:8080")
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	return nil
}

// Loopback tells whether a listen address is reached from this machine only.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
