package realservers

import (
	"context"
	"encoding/xml"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// The principals of a cluster's services, without the realm.
const (
	nameNodePrincipal = "nn/localhost"
	dataNodePrincipal = "dn/localhost"
	webPrincipal      = "HTTP/localhost"
)

// secure makes the keys and certificates of a cluster with Kerberos, which is
// known as localhost from then on: principals have names of machines. Its users
// are proven by Kerberos, over RPC and HTTP, its DataNodes take block tokens
// only, and speak SASL as dfs.data.transfer.protection says, which is
// authentication where HDFS.Properties have nothing else.
func (c *Cluster) secure(ctx context.Context, tlsAddress string) error {
	for _, a := range []*string{&c.Address, &c.WebAddress, &tlsAddress} {
		_, port, err := net.SplitHostPort(*a)
		if err != nil {
			return err
		}
		*a = net.JoinHostPort("localhost", port)
	}
	c.TLSAddress = tlsAddress
	r := c.opt.Realm
	if err := r.Keytab(ctx, c.keytab(), nameNodePrincipal, dataNodePrincipal, webPrincipal); err != nil {
		return err
	}
	if err := r.login(ctx, c.tickets(), c.keytab(), nameNodePrincipal); err != nil {
		return err
	}
	return makeCertificates(ctx, c.opt.Dir, false)
}

// Superuser is who may do everything in a cluster with Kerberos, and the file with
// his keys.
func (c *Cluster) Superuser() (principal, keytab string) {
	return nameNodePrincipal + "@" + RealmName, c.keytab()
}

// keytab has the keys of the cluster's services.
func (c *Cluster) keytab() string { return filepath.Join(c.opt.Dir, "services.keytab") }

// tickets are those of Run, which works as the NameNode, the superuser.
func (c *Cluster) tickets() string { return filepath.Join(c.opt.Dir, "tickets") }

// Authority is the file with the certificate that vouches for the cluster's HTTPS.
func (c *Cluster) Authority() string { return filepath.Join(c.opt.Dir, "ca.pem") }

// security are the properties of a cluster with Kerberos.
func (c *Cluster) security() []property {
	if c.opt.Realm == nil {
		return nil
	}
	const at = "@" + RealmName
	return []property{
		{"dfs.namenode.kerberos.principal", nameNodePrincipal + at},
		{"dfs.namenode.keytab.file", c.keytab()},
		{"dfs.datanode.kerberos.principal", dataNodePrincipal + at},
		{"dfs.datanode.keytab.file", c.keytab()},
		{"dfs.web.authentication.kerberos.principal", webPrincipal + at},
		{"dfs.web.authentication.kerberos.keytab", c.keytab()},
		// Since Hadoop 3.3 these decide on WebHDFS, too.
		{"hadoop.http.authentication.type", "kerberos"},
		{"hadoop.http.authentication.kerberos.principal", webPrincipal + at},
		{"hadoop.http.authentication.kerberos.keytab", c.keytab()},
		{"hadoop.http.authentication.kerberos.endpoint.whitelist", "/jmx"},
		{"dfs.block.access.token.enable", "true"},
		{"dfs.data.transfer.protection", "authentication"},
		// Both, so that all three ways to the cluster can be tried; outside of
		// tests DataNodes with SASL want HTTPS only.
		{"dfs.http.policy", "HTTP_AND_HTTPS"},
		{"ignore.secure.ports.for.testing", "true"},
		{"dfs.namenode.https-address", c.TLSAddress},
	}
}

// sslServer is ssl-server.xml.
func (c *Cluster) sslServer() []property {
	return []property{
		{"ssl.server.keystore.location", filepath.Join(c.opt.Dir, "server.p12")},
		{"ssl.server.keystore.type", "PKCS12"},
		{"ssl.server.keystore.password", storePassword},
		{"ssl.server.keystore.keypassword", storePassword},
	}
}

// writeProperties writes a configuration file of Hadoop. Of two values of a
// property the later one holds.
func writeProperties(file string, properties []property) error {
	text, err := xml.MarshalIndent(struct {
		XMLName    xml.Name   `xml:"configuration"`
		Properties []property `xml:"property"`
	}{Properties: properties}, "", " ")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.WriteFile(file, text, 0o644)
}
