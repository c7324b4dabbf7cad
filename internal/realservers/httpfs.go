package realservers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"time"
)

// HTTPFS is the version of HttpFS that tests run against: the newest of which the
// registry has the jar.
const HTTPFS = "3.4.2"

// httpfsPrincipal is that of a gateway, without the realm.
const httpfsPrincipal = "httpfs/localhost"

func httpfsJars(ctx context.Context) (string, error) {
	return jars(ctx, "httpfs-"+HTTPFS, []artifact{
		{"org.apache.hadoop", "hadoop-hdfs-httpfs", HTTPFS}, {"org.apache.hadoop", "hadoop-hdfs-client", HTTPFS},
	})
}

// StartGateway starts an HttpFS before the cluster, which works for whoever asks,
// and returns its address. It ends with the cluster.
func (c *Cluster) StartGateway(ctx context.Context) (address string, err error) {
	lib, err := httpfsJars(ctx)
	if err != nil {
		return "", err
	}
	ports, err := freePorts(1)
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(ports[0])
	if err != nil {
		return "", fmt.Errorf("start httpfs: %w", err)
	}
	dir := filepath.Join(c.opt.Dir, "httpfs")
	for _, sub := range []string{"conf", "log", "temp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return "", fmt.Errorf("configure httpfs: %w", err)
		}
	}
	site := []property{
		{"httpfs.http.hostname", "localhost"},
		{"httpfs.http.port", port},
		{"httpfs.hadoop.config.dir", c.conf()},
		{"hadoop.http.max.threads", "20"},
	}
	if c.Realm != nil {
		if err := c.Realm.Keytab(ctx, c.keytab()+".httpfs", httpfsPrincipal); err != nil {
			return "", err
		}
		const at = "@" + RealmName
		site = append(site,
			property{"hadoop.http.authentication.type", "kerberos"},
			property{"hadoop.http.authentication.kerberos.principal", webPrincipal + at},
			property{"hadoop.http.authentication.kerberos.keytab", c.keytab()},
			property{"httpfs.hadoop.authentication.type", "kerberos"},
			property{"httpfs.hadoop.authentication.kerberos.principal", httpfsPrincipal + at},
			property{"httpfs.hadoop.authentication.kerberos.keytab", c.keytab() + ".httpfs"},
		)
	}
	if err := errors.Join(
		writeProperties(filepath.Join(dir, "conf", "httpfs-site.xml"), site),
		os.WriteFile(filepath.Join(dir, "conf", "httpfs-log4j.properties"), []byte(log4j1), 0o644),
		os.WriteFile(filepath.Join(dir, "conf", "httpfs-signature.secret"), []byte("secret"), 0o600),
	); err != nil {
		return "", fmt.Errorf("configure httpfs: %w", err)
	}
	args := c.javaArgs(128, filepath.Join(dir, "conf")+":"+filepath.Join(lib, "*"))
	args = append(args, "-Dhttpfs.home.dir="+dir, "-Dhttpfs.config.dir="+filepath.Join(dir, "conf"), "-Dhttpfs.log.dir="+filepath.Join(dir, "log"),
		"-Dhttpfs.temp.dir="+filepath.Join(dir, "temp"), "org.apache.hadoop.fs.http.server.HttpFSServerWebServer")
	address = net.JoinHostPort("localhost", port)
	gateway := c.node("httpfs", args, func() (bool, string) { return answersHTTP(address) })
	c.beside = append(c.beside, gateway)
	return address, gateway.Start(ctx)
}

// answersHTTP says whether a gateway answers, whatever it says.
func answersHTTP(address string) (bool, string) {
	client := http.Client{Timeout: 3 * time.Second}
	resp, err := client.Get("http://" + address + "/webhdfs/v1/?op=GETHOMEDIRECTORY&user.name=nobody")
	if err != nil {
		return false, err.Error()
	}
	return resp.Body.Close() == nil, ""
}

// proxyUsers are the properties that let a gateway work for others.
func (c *Cluster) proxyUsers() []property {
	name := "httpfs"
	if u, err := user.Current(); err == nil && c.Realm == nil {
		name = u.Username
	}
	return []property{{"hadoop.proxyuser." + name + ".hosts", "*"}, {"hadoop.proxyuser." + name + ".groups", "*"}}
}
