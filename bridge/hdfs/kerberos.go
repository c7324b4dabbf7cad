package hdfs

import (
	"fmt"
	"strings"

	krb "github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/keytab"
)

// Kerberos says as whom a cluster with Kerberos is spoken to.
type Kerberos struct {
	// Principal is NAME@REALM, Keytab the file with its keys, and Config the
	// krb5.conf that names the realm's servers.
	Principal, Keytab, Config string
	// Service is the NameNodes' principal without its realm, such as nn/_HOST;
	// _HOST stands for the NameNode's host.
	Service string
}

// login gets the first ticket; later ones come by themselves.
func (s *Store) login(k *Kerberos) (*krb.Client, error) {
	s.mu.Lock()
	ticket := s.ticket
	s.mu.Unlock()
	if ticket != nil {
		return ticket, nil
	}
	name, realm, ok := strings.Cut(k.Principal, "@")
	if !ok {
		return nil, fmt.Errorf("log in to kerberos: the principal %q has no @REALM", k.Principal)
	}
	conf, err := config.Load(k.Config)
	if err != nil {
		return nil, fmt.Errorf("log in to kerberos: read %s: %w", k.Config, err)
	}
	keys, err := keytab.Load(k.Keytab)
	if err != nil {
		return nil, fmt.Errorf("log in to kerberos: read %s: %w", k.Keytab, err)
	}
	ticket = krb.NewWithKeytab(name, realm, keys, conf)
	if err := ticket.Login(); err != nil {
		return nil, fmt.Errorf("log in to kerberos as %s: %w", k.Principal, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ticket = ticket
	return ticket, nil
}
