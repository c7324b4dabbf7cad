package realservers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Hadoop is the version of HDFS that tests run against.
const Hadoop = "3.5.0"

// HDFS says which cluster to start: a NameNode and DataNodes, a process each.
type HDFS struct {
	// Dir is an empty folder for everything that the servers write.
	Dir string
	// DataNodes is their number, 3 when 0; Replication is the copies of a block,
	// as many as DataNodes when 0.
	DataNodes, Replication int
	// BlockSize is in bytes, 8 MiB when 0: small, so that files of tests have
	// several.
	BlockSize int
	// Standby adds a second NameNode, which Failover makes the active one, or a
	// ZooKeeper where it is Automatic.
	Standby, Automatic bool
	// Realm makes the cluster ask for Kerberos; see secure.
	Realm *Realm
	// Properties are further lines of hdfs-site.xml, and of core-site.xml where
	// they begin with hadoop.
	Properties map[string]string
}

// Cluster is a running HDFS.
type Cluster struct {
	// Address is the NameNode's RPC service, host:port, WebAddress its HTTP, and
	// TLSAddress its HTTPS, with a Realm.
	Address, WebAddress, TLSAddress string
	// StandbyAddress and StandbyWebAddress are those of Standby.
	StandbyAddress, StandbyWebAddress string
	// Realm is that of HDFS.
	Realm *Realm
	// NameNode and DataNodes can be killed and started again one by one.
	NameNode  *Node
	DataNodes []*Node
	// Standby is the second NameNode, nil without HDFS.Standby.
	Standby *Node

	// zookeeper and controllers are addresses.
	zookeeper   string
	controllers []string
	// beside are further processes that end with the cluster.
	beside []*Node

	opt  HDFS
	java string
	lib  string
}

// Node is one process of a Cluster.
type Node struct {
	process
	ready func() (bool, string)
}

// Start fetches Hadoop if need be, formats the NameNode and returns when all
// DataNodes are there.
func (h HDFS) Start(ctx context.Context) (*Cluster, error) {
	if h.DataNodes == 0 {
		h.DataNodes = 3
	}
	if h.Replication == 0 {
		h.Replication = h.DataNodes
	}
	if h.BlockSize == 0 {
		h.BlockSize = 8 << 20
	}
	java, err := program("java", "default-jre-headless")
	if err != nil {
		return nil, err
	}
	lib, err := hadoopJars(ctx)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(8 + 4*h.DataNodes)
	if err != nil {
		return nil, err
	}
	c := &Cluster{opt: h, java: java, lib: lib, Realm: h.Realm, Address: ports[0], WebAddress: ports[1]}
	if h.Standby {
		c.StandbyAddress, c.StandbyWebAddress = ports[2], ports[3]
		c.zookeeper, c.controllers = ports[5], ports[6:8]
	}
	if h.Realm != nil {
		if err := c.secure(ctx, ports[4]); err != nil {
			return nil, fmt.Errorf("configure kerberos: %w", err)
		}
	}
	if err := c.configure(); err != nil {
		return nil, fmt.Errorf("configure hdfs: %w", err)
	}
	if _, err := c.Run(ctx, nameNode, c.nameNodeArgs(1, "-format", "-nonInteractive")...); err != nil {
		return nil, fmt.Errorf("format the namenode: %w", err)
	}
	c.NameNode = c.nameNode(1, "namenode", c.Address, c.WebAddress)
	for i := range h.DataNodes {
		c.DataNodes = append(c.DataNodes, c.dataNode(i, ports[8+4*i:]))
	}
	if err := c.startAll(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func hadoopJars(ctx context.Context) (string, error) {
	return jars(ctx, "hadoop-"+Hadoop, []artifact{
		{"org.apache.hadoop", "hadoop-common", Hadoop}, {"org.apache.hadoop", "hadoop-hdfs", Hadoop}, {"org.apache.hadoop", "hadoop-hdfs-client", Hadoop},
	})
}

func (c *Cluster) startAll(ctx context.Context) error {
	if err := c.NameNode.Start(ctx); err != nil {
		return err
	}
	if c.opt.Standby {
		if err := c.startStandby(ctx); err != nil {
			return err
		}
	}
	errs := make([]error, len(c.DataNodes))
	var wait sync.WaitGroup
	for i, n := range c.DataNodes {
		wait.Go(func() { errs[i] = n.Start(ctx) })
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return c.Await(ctx, len(c.DataNodes))
}

func (c *Cluster) dataNode(i int, ports []string) *Node {
	name := "datanode-" + strconv.Itoa(i+1)
	args := c.args(128, "org.apache.hadoop.hdfs.server.datanode.DataNode", "-Ddfs.datanode.data.dir=file://"+filepath.Join(c.opt.Dir, name),
		"-Ddfs.datanode.address="+ports[0], "-Ddfs.datanode.http.address="+ports[1], "-Ddfs.datanode.ipc.address="+ports[2], "-Ddfs.datanode.https.address="+ports[3])
	n := c.node(name, args, nil)
	// The NameNode counts a killed one as live for a while, so only the node
	// itself tells that it is back.
	n.ready = func() (bool, string) {
		text, err := os.ReadFile(n.log)
		return err == nil && bytes.Contains(text, []byte("successfully registered with NN")), "not registered"
	}
	return n
}

func (c *Cluster) node(name string, args []string, ready func() (bool, string)) *Node {
	return &Node{
		process: process{name: "hdfs " + name, args: append([]string{c.java}, args...), dir: c.opt.Dir, log: filepath.Join(c.opt.Dir, name+".log")},
		ready:   ready,
	}
}

// args is the command line of one of Hadoop's programs.
func (c *Cluster) args(heapMiB int, class string, more ...string) []string {
	args := c.javaArgs(heapMiB, c.conf()+":"+filepath.Join(c.lib, "*"))
	return append(append(args, class), more...)
}

// conf is the folder of the configuration.
func (c *Cluster) conf() string { return filepath.Join(c.opt.Dir, "conf") }

// javaArgs are the options of a small Java machine.
func (c *Cluster) javaArgs(heapMiB int, classPath string) []string {
	args := []string{
		fmt.Sprintf("-Xmx%dm", heapMiB), "-XX:+UseSerialGC", "-XX:MaxDirectMemorySize=64m", "-XX:MaxMetaspaceSize=128m",
		"-Djava.io.tmpdir=" + c.opt.Dir, "-XX:-UsePerfData", // its web servers leave their folders, and a kill the rest
		"-XX:ReservedCodeCacheSize=48m", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true",
	}
	for _, pkg := range []string{"java.lang", "java.util", "java.nio", "java.util.concurrent"} {
		args = append(args, "--add-opens=java.base/"+pkg+"=ALL-UNNAMED")
	}
	if c.Realm != nil {
		args = append(args, "-Djava.security.krb5.conf="+c.Realm.Config)
	}
	return append(args, "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED", "-cp", classPath)
}

// Run runs a command line program of Hadoop, such as
// org.apache.hadoop.hdfs.tools.DFSAdmin, and returns what it prints.
func (c *Cluster) Run(ctx context.Context, class string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.java, c.args(128, class, args...)...)
	cmd.Env = append(os.Environ(), "KRB5CCNAME="+c.tickets())
	return run(cmd, fmt.Sprintf("run %s %v", class, args))
}

// property is an entry of a Hadoop configuration file.
type property struct {
	Name  string `xml:"name"`
	Value string `xml:"value"`
}

func (c *Cluster) configure() error {
	conf := c.conf()
	for _, app := range []string{"hdfs", "datanode", "static"} {
		// The jars of the registry lack the web pages; without their folders the
		// servers do not start.
		dir := filepath.Join(conf, "webapps", app, "WEB-INF")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "web.xml"), []byte("<web-app/>"), 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(conf, "log4j.properties"), []byte(log4j1), 0o644); err != nil {
		return err
	}
	core := []property{
		{"fs.defaultFS", "hdfs://" + c.authority()},
		{"hadoop.tmp.dir", filepath.Join(c.opt.Dir, "tmp")},
		{"hadoop.http.staticuser.user", "root"},
	}
	site := []property{
		{"dfs.replication", strconv.Itoa(c.opt.Replication)},
		{"dfs.permissions.enabled", "false"},
		{"dfs.namenode.handler.count", "4"},
		{"dfs.datanode.handler.count", "3"},
		{"dfs.namenode.safemode.extension", "0"},
		// A DataNode that is gone is noticed within seconds.
		{"dfs.heartbeat.interval", "1"},
		{"dfs.namenode.heartbeat.recheck-interval", "2000"},
		{"dfs.namenode.stale.datanode.interval", "3000"},
		{"dfs.namenode.avoid.write.stale.datanode", "true"},
		{"dfs.namenode.avoid.read.stale.datanode", "true"},
		{"dfs.namenode.datanode.registration.ip-hostname-check", "false"},
		{"dfs.namenode.redundancy.interval.seconds", "1s"},
		{"dfs.namenode.fs-limits.min-block-size", "65536"},
		{"dfs.blocksize", strconv.Itoa(c.opt.BlockSize)},
		{"dfs.blockreport.initialDelay", "0"},
		{"dfs.datanode.max.transfer.threads", "64"},
		{"dfs.datanode.du.reserved", "0"},
	}
	site = append(site, c.nameNodes()...)
	site = append(site, c.security()...)
	core = append(core, c.proxyUsers()...)
	if c.Realm != nil {
		core = append(core, property{"hadoop.security.authentication", "kerberos"})
	}
	for name, value := range c.opt.Properties {
		if strings.HasPrefix(name, "hadoop.") {
			core = append(core, property{name, value})
		} else {
			site = append(site, property{name, value})
		}
	}
	return errors.Join(
		writeProperties(filepath.Join(conf, "core-site.xml"), core),
		writeProperties(filepath.Join(conf, "hdfs-site.xml"), site),
		writeProperties(filepath.Join(conf, "ssl-server.xml"), c.sslServer()),
	)
}

// state is what the NameNode says of the cluster.
type state struct {
	Live  int    `json:"NumLiveDataNodes"`
	State string `json:"FSState"`
}

func stateOf(webAddress string) (state, error) { return bean[state](webAddress, "FSNamesystemState") }

// bean is what a NameNode tells under a name.
func bean[T any](webAddress, name string) (T, error) {
	var none T
	client := http.Client{Timeout: 3 * time.Second}
	resp, err := client.Get("http://" + webAddress + "/jmx?qry=Hadoop:service=NameNode,name=" + name)
	if err != nil {
		return none, err
	}
	defer func() { _ = resp.Body.Close() }() // it is only read
	var body struct {
		Beans []T `json:"beans"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return none, err
	}
	if len(body.Beans) == 0 {
		return none, errors.New("the namenode does not tell its state yet")
	}
	return body.Beans[0], nil
}

// answers says whether a NameNode does, by RPC and HTTP.
func answers(address, webAddress string) (bool, string) {
	if _, err := stateOf(webAddress); err != nil {
		return false, err.Error()
	}
	return listens(address)
}

// Await returns when so many DataNodes are live and files can be written, as the
// active NameNode says.
func (c *Cluster) Await(ctx context.Context, dataNodes int) error {
	return c.NameNode.await(ctx, func() (bool, string) {
		s, err := stateOf(c.WebAddress)
		if err != nil {
			return false, err.Error()
		}
		return s.Live == dataNodes && s.State == "Operational", fmt.Sprintf("%+v", s)
	})
}

// Stop ends all processes.
func (c *Cluster) Stop() error {
	var errs []error
	for _, n := range c.DataNodes {
		errs = append(errs, n.Kill()) // nothing of it is wanted any more
	}
	for _, n := range c.beside {
		errs = append(errs, n.Kill())
	}
	if c.Standby != nil {
		errs = append(errs, c.Standby.Kill())
	}
	return errors.Join(append(errs, c.NameNode.Kill())...)
}

// Start starts a node that was killed or stopped, on its old data and ports, and
// returns when it is there.
func (n *Node) Start(ctx context.Context) error { return n.start(ctx, n.ready) }

// Stop ends the node cleanly.
func (n *Node) Stop() error { return n.stop() }

// Kill ends the node as a power cut would end its process.
func (n *Node) Kill() error { return n.kill() }

// Signal sends a signal, such as SIGSTOP and SIGCONT.
func (n *Node) Signal(s os.Signal) error { return n.signal(s) }
