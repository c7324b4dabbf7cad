package hdfs

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	krb "github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/keytab"

	"vitrine/bridge/mirror"
)

// Kerberos says as whom a cluster with Kerberos is spoken to.
type Kerberos struct {
	// Principal is NAME@REALM, Keytab the file with its keys, and Config the
	// krb5.conf that names the realm's servers. Both files are read at each log in,
	// so that they may be replaced.
	Principal, Keytab, Config string
	// Service is the NameNodes' principal without its realm, such as nn/_HOST;
	// _HOST stands for the NameNode's host. HTTP has its own, HTTP/ and the host.
	Service string
}

// login is a client that has a ticket, and the realm's servers.
func login(k *Kerberos) (client *krb.Client, servers string, err error) {
	name, realm, ok := strings.Cut(k.Principal, "@")
	if !ok {
		return nil, "", &mirror.AdviceError{Err: fmt.Errorf("the principal has no @REALM"), Advice: "write archive.kerberos_principal as NAME@REALM"}
	}
	conf, err := loadConfig(k.Config)
	if err != nil {
		return nil, "", &mirror.AdviceError{Err: err, Advice: "archive.kerberos_config names the krb5.conf with the servers of " + realm}
	}
	for _, r := range conf.Realms {
		if r.Realm == realm {
			servers = strings.Join(r.KDC, ", ")
		}
	}
	keys := keytab.New()
	data, err := os.ReadFile(k.Keytab)
	if err == nil {
		err = keys.Unmarshal(data)
	}
	if err != nil {
		return nil, servers, &mirror.AdviceError{
			Err:    fmt.Errorf("read the keytab %s: %w", k.Keytab, plain(err)),
			Advice: "archive.kerberos_keytab names the file with the keys of " + k.Principal + ", readable by the user that vitrine runs as: klist -k -t " + k.Keytab,
		}
	}
	client = krb.NewWithKeytab(name, realm, keys, conf)
	if err := client.Login(); err != nil {
		client.Destroy()
		return nil, servers, k.explain(err)
	}
	return client, servers, nil
}

// explain says what gokrb5 means and what to do about it. It keeps texts only, and
// tells every layer of its own before what matters.
func (k *Kerberos) explain(err error) error {
	text := err.Error()
	code := ""
	if _, answer, ok := strings.Cut(text, "KRB Error: ("); ok {
		if _, answer, ok = strings.Cut(answer, ") "); ok {
			text = "the realm answers " + answer
			code, _, _ = strings.Cut(answer, " ")
		}
	}
	advice := k.advice(code, text)
	if last := strings.LastIndex(text, " < "); last >= 0 { // the layers of its own
		text = text[last+3:]
	}
	if _, rest, ok := strings.Cut(text, "_Error: "); ok {
		text = rest
	}
	return &mirror.AdviceError{Err: errors.New(text), Advice: advice}
}

// advice is what to do about an answer of the realm, or about an error without one.
func (k *Kerberos) advice(code, text string) string {
	_, realm, _ := strings.Cut(k.Principal, "@")
	switch code {
	case "KDC_ERR_C_PRINCIPAL_UNKNOWN":
		return "there is no " + k.Principal + " in the realm: look at archive.kerberos_principal, or have it made (kadmin: addprinc -randkey)"
	case "KDC_ERR_S_PRINCIPAL_UNKNOWN":
		return "archive.kerberos_service must be dfs.namenode.kerberos.principal without its realm (over HTTP it is HTTP/ and the host), and archive.url must name the hosts as their principals do"
	case "KDC_ERR_NAME_EXP", "KDC_ERR_CLIENT_REVOKED", "KDC_ERR_KEY_EXPIRED", "KDC_ERR_CLIENT_NOTYET", "KDC_ERR_POLICY":
		return k.Principal + " may not log in at present: ask who administers " + realm + " (kadmin: getprinc " + k.Principal + ")"
	case "KDC_ERR_PREAUTH_FAILED", "KRB_AP_ERR_BAD_INTEGRITY":
		return "the keys of " + k.Keytab + " are not those of " + k.Principal + " any more: have them written anew (kadmin: ktadd -k " + k.Keytab + " " + k.Principal + ")"
	case "KRB_AP_ERR_SKEW", "KRB_AP_ERR_TKT_NYV":
		return "set the clock of this machine, or that of the realm's server: Kerberos allows 5 minutes (chronyc tracking)"
	case "KDC_ERR_ETYPE_NOSUPP":
		return "the realm takes no kind of key that the keytab has: klist -e -k " + k.Keytab
	}
	switch {
	case strings.Contains(text, "not found in keytab"):
		return "archive.kerberos_keytab has no key of " + k.Principal + ": klist -e -k -t " + k.Keytab
	case strings.Contains(text, "clock skew"):
		return k.advice("KRB_AP_ERR_SKEW", "")
	}
	return "look at whether the servers of " + realm + " in " + k.Config + " run and can be reached, by UDP and TCP: kinit -k -t " + k.Keytab + " " + k.Principal
}

// service is the principal of a NameNode, without its realm.
func (k *Kerberos) service(nameNode string) string {
	host, _, err := net.SplitHostPort(nameNode)
	if err != nil {
		host = nameNode
	}
	return strings.Replace(k.Service, "/_HOST", "/"+host, 1)
}

// handshake says what to do where a NameNode and this side do not agree on how to
// prove who one is. k is nil without Kerberos.
func (k *Kerberos) handshake(err error) error {
	text := err.Error()
	switch {
	// To the first call, a NameNode with Kerberos answers to none.
	case k == nil && (strings.Contains(text, "unexpected sequence number") || strings.Contains(text, "SIMPLE authentication is not enabled")):
		return &mirror.AdviceError{
			Err:    errors.New("the NameNode does not take users without Kerberos"),
			Advice: "the cluster asks for Kerberos: set archive.kerberos_principal and archive.kerberos_keytab",
		}
	case k == nil:
		return err
	case strings.Contains(text, "kerberos authentication not supported"):
		return &mirror.AdviceError{Err: err, Advice: "the cluster has no Kerberos: leave archive.kerberos_principal and archive.kerberos_keytab out"}
	case strings.Contains(text, "KRB Error: ("):
		return k.explain(err)
	case strings.Contains(text, "SASL handshake"):
		return &mirror.AdviceError{Err: err, Advice: "the NameNode does not take the ticket, and its log says why: is archive.kerberos_service its principal, and has it the keys of that?"}
	}
	return err
}

// lockable says that more such tries may lock the principal out.
func lockable(err error) bool {
	return strings.Contains(err.Error(), "KDC_ERR_PREAUTH_FAILED") || strings.Contains(err.Error(), "KRB_AP_ERR_BAD_INTEGRITY")
}

// changed is when the files that a log in reads were last written.
func (k *Kerberos) changed() time.Time {
	var last time.Time
	for _, file := range []string{k.Keytab, k.Config} {
		if info, err := os.Stat(file); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}
