package realservers

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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
	// MaxMessage is the largest record batch in bytes; 0 is Kafka's default of
	// 1 MiB.
	MaxMessage int
}

// Broker is one running Kafka, broker and controller in one process.
type Broker struct {
	// Address is the plain listener, host:port.
	Address string
	// SecureAddress is the one with TLS and SASL, "" without Kafka.Secure; CA is
	// the PEM file of the authority that signed its certificate.
	SecureAddress, CA string

	opt  Kafka
	java string
	lib  string
	cmd  *exec.Cmd
	done chan struct{}
}

// startTimeout bounds the start of a broker on a busy machine.
const startTimeout = 2 * time.Minute

// Start fetches the version if need be, formats the folder and returns when the
// broker is ready.
func (k Kafka) Start(ctx context.Context) (*Broker, error) {
	if k.Version == "" {
		k.Version = KafkaNewest
	}
	java, err := program("java", "default-jre-headless")
	if err != nil {
		return nil, err
	}
	lib, err := jars(ctx, "kafka-"+k.Version, k.artifacts())
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	b := &Broker{opt: k, java: java, lib: lib, Address: ports[0]}
	if k.Secure {
		b.SecureAddress, b.CA = ports[2], filepath.Join(k.Dir, "ca.pem")
		if err := makeCertificates(ctx, k.Dir); err != nil {
			return nil, err
		}
	}
	if err := b.configure(ports[1]); err != nil {
		return nil, fmt.Errorf("configure kafka %s: %w", k.Version, err)
	}
	if err := b.format(ctx); err != nil {
		return nil, err
	}
	return b, b.Restart(ctx)
}

// modern tells the versions from 4.0 on.
func (k Kafka) modern() bool { return !strings.HasPrefix(k.Version, "3.") }

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
	lines := []string{
		"process.roles=broker,controller", "node.id=1",
		"controller.quorum.voters=1@" + controller, "controller.listener.names=CONTROLLER",
		"inter.broker.listener.name=PLAINTEXT",
		"log.dirs=" + filepath.Join(b.opt.Dir, "data"), "num.partitions=8", "auto.create.topics.enable=false",
		"default.replication.factor=1", "min.insync.replicas=1",
		"offsets.topic.replication.factor=1", "offsets.topic.num.partitions=8",
		"transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1", "transaction.state.log.num.partitions=8",
		"group.initial.rebalance.delay.ms=0", "num.network.threads=2", "num.io.threads=4",
		"log.cleaner.dedupe.buffer.size=16777216", "log.cleaner.threads=1",
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

func (b *Broker) format(ctx context.Context) error {
	args := []string{"-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", b.classPath(), "kafka.tools.StorageTool", "format", "-t", clusterID(), "-c", b.properties()}
	if b.opt.Secure && b.opt.modern() {
		for _, mechanism := range []string{"SCRAM-SHA-512", "SCRAM-SHA-256"} {
			args = append(args, "--add-scram", mechanism+"=[name="+User+",password="+Password+"]")
		}
	}
	if out, err := exec.CommandContext(ctx, b.java, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("format the folder of kafka %s: %w\n%s", b.opt.Version, err, tail(out))
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
	path := filepath.Join(b.opt.Dir, "server.log")
	out, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("start kafka: %w", err)
	}
	defer func() { _ = out.Close() }() // the broker has its own copy
	cmd := exec.Command(b.java, "-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:MaxMetaspaceSize=128m", "-XX:ReservedCodeCacheSize=64m",
		"-cp", b.classPath(), "kafka.Kafka", b.properties())
	cmd.Dir, cmd.Stdout, cmd.Stderr = b.opt.Dir, out, out
	// The broker goes with the test, even one that is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start kafka: %w", err)
	}
	b.cmd, b.done = cmd, make(chan struct{})
	go func(done chan struct{}) {
		_ = cmd.Wait() // how it ended is in its log
		close(done)
	}(b.done)
	return b.await(ctx, path)
}

func (b *Broker) await(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		log, err := os.ReadFile(path)
		if err == nil && bytes.Contains(log, []byte("Kafka Server started")) {
			return nil
		}
		select {
		case <-b.done:
			return fmt.Errorf("kafka %s ended at its start:\n%s", b.opt.Version, tail(log))
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("kafka %s is not ready: %w\n%s", b.opt.Version, ctx.Err(), tail(log)), b.Kill())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Stop ends the broker and waits for it.
func (b *Broker) Stop() error {
	if b.cmd == nil {
		return nil
	}
	_ = b.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-b.done:
		b.cmd = nil
		return nil
	case <-time.After(15 * time.Second):
		return b.Kill()
	}
}

// Kill ends the broker as a power cut would end the process.
func (b *Broker) Kill() error {
	if b.cmd == nil {
		return nil
	}
	err := b.cmd.Process.Kill()
	<-b.done
	b.cmd = nil
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Signal sends a signal to the process, such as SIGSTOP and SIGCONT.
func (b *Broker) Signal(s os.Signal) error { return b.cmd.Process.Signal(s) }

// freePorts gives addresses of 127.0.0.1 that nobody listens on.
func freePorts(n int) ([]string, error) {
	out := make([]string, 0, n)
	for range n {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		// Closed at the end only, so that the ports differ.
		defer func() { _ = l.Close() }()
		out = append(out, l.Addr().String())
	}
	return out, nil
}
