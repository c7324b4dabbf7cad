package hdfs

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	krb "github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/spnego"
)

// Kerberos says as whom a cluster with Kerberos is spoken to.
type Kerberos struct {
	// Principal is NAME@REALM, Keytab the file with its keys, and Config the
	// krb5.conf that names the realm's servers.
	Principal, Keytab, Config string
	// Service is the NameNodes' principal without its realm, such as nn/_HOST;
	// _HOST stands for the NameNode's host. HTTP has its own, HTTP/ and the host.
	Service string
}

// Negotiate makes what authorizes HTTP requests to a cluster with Kerberos: for
// webhdfs.Options. A request that carries a delegation token needs no more.
func Negotiate(k *Kerberos) func(req *http.Request) error {
	t := &ticket{}
	return func(req *http.Request) error {
		if req.URL.Query().Has("delegation") {
			return nil
		}
		client, err := t.get(k)
		if err != nil {
			return err
		}
		return spnego.SetSPNEGOHeader(client, req, "")
	}
}

// ticket is who is logged in, once somebody asked.
type ticket struct {
	mu     sync.Mutex
	client *krb.Client
}

// get logs in the first time; the library renews what it got by itself.
func (t *ticket) get(k *Kerberos) (*krb.Client, error) {
	t.mu.Lock()
	client := t.client
	t.mu.Unlock()
	if client != nil {
		return client, nil
	}
	client, err := login(k)
	if err != nil {
		return nil, fmt.Errorf("log in to kerberos as %s: %w", k.Principal, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.client != nil {
		client.Destroy() // somebody was faster
		return t.client, nil
	}
	t.client = client
	return client, nil
}

func (t *ticket) drop() {
	t.mu.Lock()
	client := t.client
	t.client = nil
	t.mu.Unlock()
	if client != nil {
		client.Destroy()
	}
}

func login(k *Kerberos) (*krb.Client, error) {
	name, realm, ok := strings.Cut(k.Principal, "@")
	if !ok {
		return nil, fmt.Errorf("the principal has no @REALM")
	}
	conf, err := config.Load(k.Config)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", k.Config, err)
	}
	keys, err := keytab.Load(k.Keytab)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", k.Keytab, err)
	}
	client := krb.NewWithKeytab(name, realm, keys, conf)
	return client, client.Login()
}
