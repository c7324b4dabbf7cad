package realservers

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The versions of Kafka that tests run against: the article's, and the newest.
const (
	KafkaArticle = "3.4.0"
	KafkaNewest  = "4.4.0"
)

// The user that a broker with Kafka.Secure knows.
const (
	User     = "vitrine"
	Password = "vitrine-secret"
)

// storePassword is that of the Java key stores of one test.
const storePassword = "changeit"

// Kafka says which broker to start.
type Kafka struct {
	// Version defaults to KafkaNewest.
	Version string
	// Dir is an empty folder for everything that the broker writes.
	Dir string
	// Advertised is the address that clients are told, such as that of a proxy
	// before the broker; "" is its own.
	Advertised string
	// Secure adds a listener with TLS and SASL SCRAM, for Broker.Secure.
	Secure bool
	// Expired makes the certificate of that listener one that has expired.
	Expired bool
	// MaxMessage is the largest record batch in bytes; 0 is Kafka's default of
	// 1 MiB.
	MaxMessage int
}

// Broker is one running Kafka, broker and controller in one process, alone or
// one of a cluster.
type Broker struct {
	// Address is the plain listener, host:port.
	Address string
	// SecureAddress is the one with TLS and SASL, "" without Kafka.Secure; CA is
	// the PEM file of the authority that signed its certificate.
	SecureAddress, CA string

	opt Kafka
	// node is the number of the broker, voters are all controllers as the
	// configuration names them, and brokers is how many there are.
	node    int
	voters  string
	brokers int
	java    string
	lib     string
	process process
}

// startTimeout ends the start of a server that is stuck; one that ends by itself
// is noticed at once.
const startTimeout = 5 * time.Minute

// Start fetches the version if need be, formats the folder and returns when the
// broker is ready.
func (k Kafka) Start(ctx context.Context) (*Broker, error) {
	brokers, err := k.StartCluster(ctx, 1)
	if err != nil {
		return nil, err
	}
	return brokers[0], nil
}

// StartCluster starts n brokers that are one cluster, each controller too, and
// returns when all are ready. With three or more, topics, offsets and
// transactions have three replicas, of which two must have what is acknowledged.
func (k Kafka) StartCluster(ctx context.Context, n int) (brokers []*Broker, err error) {
	if k.Version == "" {
		k.Version = KafkaNewest
	}
	java, err := program("java", "default-jre-headless")
	if err != nil {
		return nil, err
	}
	lib, err := k.jars(ctx)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(3 * n)
	if err != nil {
		return nil, err
	}
	voters := make([]string, n)
	for i := range voters {
		voters[i] = fmt.Sprintf("%d@%s", i+1, ports[3*i+1])
	}
	id := clusterID()
	defer func() {
		if err != nil {
			for _, b := range brokers {
				err = errors.Join(err, b.Kill())
			}
		}
	}()
	for i := range n {
		b := &Broker{opt: k, node: i + 1, voters: strings.Join(voters, ","), brokers: n, java: java, lib: lib, Address: ports[3*i]}
		if n > 1 {
			b.opt.Dir = filepath.Join(k.Dir, fmt.Sprint(i+1))
		}
		if err := b.prepare(ctx, ports[3*i+1:3*i+3], id); err != nil {
			return brokers, err
		}
		if err := b.launch(); err != nil {
			return brokers, err
		}
		brokers = append(brokers, b)
	}
	// A controller alone is no quorum, so none is ready before the others run.
	for _, b := range brokers {
		if err := b.await(ctx); err != nil {
			return brokers, err
		}
	}
	return brokers, nil
}

// prepare writes the broker's configuration and formats its folder. ports are
// those of the controller and of the secure listener.
func (b *Broker) prepare(ctx context.Context, ports []string, cluster string) error {
	if b.opt.Secure {
		b.SecureAddress, b.CA = ports[1], filepath.Join(b.opt.Dir, "ca.pem")
		if err := makeCertificates(ctx, b.opt.Dir, b.opt.Expired); err != nil {
			return err
		}
	}
	if err := b.configure(ports[0]); err != nil {
		return fmt.Errorf("configure kafka %s: %w", b.opt.Version, err)
	}
	return b.format(ctx, cluster)
}

// modern tells the versions from 4.0 on.
func (k Kafka) modern() bool { return !strings.HasPrefix(k.Version, "3.") }

func (k Kafka) jars(ctx context.Context) (string, error) {
	return jars(ctx, "kafka-"+k.Version, k.artifacts())
}

func (k Kafka) artifacts() []artifact {
	// The server's own jars bind no log, and without one there is no line that
	// says that the broker is ready.
	if k.modern() {
		return []artifact{{"org.apache.kafka", "kafka_2.13", k.Version}, {"org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5"}}
	}
	return []artifact{{"org.apache.kafka", "kafka_2.13", k.Version}, {"org.slf4j", "slf4j-reload4j", "1.7.36"}}
}

const (
	log4j1 = "log4j.rootLogger=INFO,C\nlog4j.appender.C=org.apache.log4j.ConsoleAppender\n" +
		"log4j.appender.C.layout=org.apache.log4j.PatternLayout\nlog4j.appender.C.layout.ConversionPattern=%d %p %m (%c)%n\n"
	log4j2 = "status=error\nrootLogger.level=info\nrootLogger.appenderRef.c.ref=C\nappender.c.type=Console\nappender.c.name=C\n" +
		"appender.c.layout.type=PatternLayout\nappender.c.layout.pattern=%d %p %m (%c)%n\n"
)

func (b *Broker) configure(controller string) error {
	conf := filepath.Join(b.opt.Dir, "conf")
	if err := os.MkdirAll(conf, 0o755); err != nil {
		return err
	}
	logFile, logConf := "log4j.properties", log4j1
	if b.opt.modern() {
		logFile, logConf = "log4j2.properties", log4j2
	}
	if err := os.WriteFile(filepath.Join(conf, logFile), []byte(logConf), 0o644); err != nil {
		return err
	}
	replicas := min(3, b.brokers)
	insync := fmt.Sprint((replicas + 1) / 2)
	lines := []string{
		"process.roles=broker,controller", fmt.Sprintf("node.id=%d", b.node),
		"controller.quorum.voters=" + b.voters, "controller.listener.names=CONTROLLER",
		"inter.broker.listener.name=PLAINTEXT",
		"log.dirs=" + filepath.Join(b.opt.Dir, "data"), "num.partitions=8", "auto.create.topics.enable=false",
		fmt.Sprintf("default.replication.factor=%d", replicas), "min.insync.replicas=" + insync,
		fmt.Sprintf("offsets.topic.replication.factor=%d", replicas), "offsets.topic.num.partitions=8",
		fmt.Sprintf("transaction.state.log.replication.factor=%d", replicas), "transaction.state.log.min.isr=" + insync, "transaction.state.log.num.partitions=8",
		"group.initial.rebalance.delay.ms=0", "num.network.threads=2", "num.io.threads=4",
		"log.cleaner.dedupe.buffer.size=16777216", "log.cleaner.threads=1", "log.cleaner.backoff.ms=500",
		"controlled.shutdown.max.retries=1",
	}
	if b.opt.MaxMessage > 0 {
		lines = append(lines, fmt.Sprintf("message.max.bytes=%d", b.opt.MaxMessage),
			fmt.Sprintf("socket.request.max.bytes=%d", max(100<<20, 2*b.opt.MaxMessage)))
	}
	protocols := "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"
	listeners, advertised := "PLAINTEXT://"+b.Address+",CONTROLLER://"+controller, "PLAINTEXT://"+cmp.Or(b.opt.Advertised, b.Address)
	if b.opt.Secure {
		protocols += ",SASL_SSL:SASL_SSL"
		listeners += ",SASL_SSL://" + b.SecureAddress
		advertised += ",SASL_SSL://" + b.SecureAddress
		lines = append(lines, b.security()...)
	}
	lines = append(lines, protocols, "listeners="+listeners, "advertised.listeners="+advertised)
	return os.WriteFile(b.properties(), []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

func (b *Broker) security() []string {
	const jaas = "org.apache.kafka.common.security"
	return []string{
		"sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN",
		"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=" + jaas + ".scram.ScramLoginModule required;",
		"listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=" + jaas + ".scram.ScramLoginModule required;",
		"listener.name.sasl_ssl.plain.sasl.jaas.config=" + jaas + `.plain.PlainLoginModule required user_` + User + `="` + Password + `";`,
		"ssl.keystore.type=PKCS12", "ssl.keystore.location=" + filepath.Join(b.opt.Dir, "server.p12"), "ssl.keystore.password=" + storePassword,
		"ssl.client.auth=none",
	}
}

func (b *Broker) properties() string { return filepath.Join(b.opt.Dir, "conf", "server.properties") }

// classPath has the configuration first: the log's file lies there.
func (b *Broker) classPath() string {
	return filepath.Join(b.opt.Dir, "conf") + ":" + filepath.Join(b.lib, "*")
}

func (b *Broker) format(ctx context.Context, cluster string) error {
	args := []string{"format", "-t", cluster, "-c", b.properties()}
	if b.opt.Secure && b.opt.modern() {
		for _, mechanism := range []string{"SCRAM-SHA-512", "SCRAM-SHA-256"} {
			args = append(args, "--add-scram", mechanism+"=[name="+User+",password="+Password+"]")
		}
	}
	if _, err := b.Run(ctx, "kafka.tools.StorageTool", args...); err != nil {
		return fmt.Errorf("format the folder of kafka %s: %w", b.opt.Version, err)
	}
	return nil
}

// clusterID is 16 random bytes as the format tool writes them.
func clusterID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	id[0] &= 0x7f           // no leading '-', which would be taken for a flag
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// Restart starts a broker that was stopped or killed, on its old data and
// ports, and returns when it is ready.
func (b *Broker) Restart(ctx context.Context) error {
	if err := b.launch(); err != nil {
		return err
	}
	return b.await(ctx)
}

// launch starts the process.
func (b *Broker) launch() error {
	b.process.name, b.process.dir, b.process.log = "kafka "+b.opt.Version, b.opt.Dir, filepath.Join(b.opt.Dir, "server.log")
	b.process.args = []string{
		b.java, "-Djava.io.tmpdir=" + b.opt.Dir, "-XX:-UsePerfData", // a kill would leave them
		"-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:MaxMetaspaceSize=128m", "-XX:ReservedCodeCacheSize=64m",
		"-cp", b.classPath(), "kafka.Kafka", b.properties(),
	}
	return b.process.launch()
}

// await returns when the broker says that it is ready.
func (b *Broker) await(ctx context.Context) error {
	return b.process.await(ctx, func() (bool, string) {
		log, err := os.ReadFile(b.process.log)
		if err != nil {
			return false, err.Error()
		}
		return bytes.Contains(log, []byte("Kafka Server started")), "it has not said so"
	})
}

// Run runs a command line program that the server's jars hold, such as
// kafka.admin.TopicCommand of 3.4.0, and returns what it prints.
func (b *Broker) Run(ctx context.Context, class string, args ...string) (string, error) {
	command := append([]string{"-Djava.io.tmpdir=" + b.opt.Dir, "-XX:-UsePerfData", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", b.classPath(), class}, args...)
	return run(exec.CommandContext(ctx, b.java, command...), fmt.Sprintf("run %s %v", class, args))
}

// Stop ends the broker and waits for it.
func (b *Broker) Stop() error { return b.process.stop() }

// Kill ends the broker as a power cut would end the process.
func (b *Broker) Kill() error { return b.process.kill() }

// Signal sends a signal to the process, such as SIGSTOP and SIGCONT.
func (b *Broker) Signal(s os.Signal) error { return b.process.signal(s) }
