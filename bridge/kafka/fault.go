package kafka

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge/kafka/fault"
	"vitrine/bridge/kafka/fetch"
)

// missing is the fault of topics that are not there; like is one that is and may be
// meant by the first, or "".
func missing(topics []string, like string, o *Options) *fault.Error {
	what := fmt.Sprintf("topic %s does not exist on %s", topics[0], strings.Join(o.Brokers, ","))
	if len(topics) > 1 {
		what += ", nor do others of the configuration: " + strings.Join(topics[1:], ", ")
	}
	var create []string
	for _, topic := range topics {
		create = append(create, fmt.Sprintf("kafka-topics.sh --create --topic %s --partitions 8 --bootstrap-server %s", topic, o.Brokers[0]))
	}
	hint := strings.Join(create, " && ")
	if like != "" {
		hint = "the cluster has " + like + ": is that meant? Else " + hint
	}
	return fault.New(what, hint)
}

// unreachable is the fault of brokers that answer, and give addresses of themselves
// that do not.
func unreachable(err error, o *Options) *fault.Error {
	return fault.New(
		fmt.Sprintf("%s answer, and the addresses that they give of themselves cannot be reached: %v", strings.Join(o.Brokers, ","), err),
		"the brokers' advertised.listeners must name them as they are reached from here",
	)
}

// unkept is the fault of a beginning that could not be noted, which the cluster has no
// part in.
func unkept(err error) *fault.Error {
	return fault.New("where partitions begin cannot be noted, so nothing of them is read: "+err.Error(), "check free space and rights on the data folder's disk")
}

// unreadable is the fault of a partition that cannot be read from an offset on; nil
// without an error.
func unreadable(topic string, partition int32, offset int64, err error, o *Options) *fault.Error {
	if err == nil {
		return nil
	}
	from := fmt.Sprint("offset ", offset)
	if offset < 0 {
		from = "its start"
	}
	var hint string
	var refused *kerr.Error
	switch known := errors.As(err, &refused); {
	case refused == kerr.CorruptMessage, !known:
		hint = passOver(topic, partition, "NEXT", o) + "; NEXT is where the next batch begins: kafka-dump-log.sh on the leader's folder of the partition shows it"
	case refused == kerr.KafkaStorageError:
		hint = "look at the disks of the partition's leader and its log"
	default:
		hint = explain(err, o).Hint()
	}
	return fault.New(fmt.Sprintf("partition %d of %s cannot be read from %s on: %v", partition, topic, from, err), hint)
}

// rotten is the fault of a batch whose bytes are wrong.
func rotten(b *fetch.Batch, err error, o *Options) *fault.Error {
	return fault.New(err.Error(), passOver(b.Topic, b.Partition, fmt.Sprint(b.Next), o))
}

// passOver says how to get over what is broken in a partition before an offset. The
// group's offset does not: it counts where the log has nothing of a partition.
func passOver(topic string, partition int32, to string, o *Options) string {
	return fmt.Sprintf(`another replica may be whole: stop the broker that leads the partition; where none is, type echo '{"version":1,"partitions":[{"topic":"%s","partition":%d,"offset":%s}]}' >skip.json `+
		`and kafka-delete-records.sh --bootstrap-server %s --offset-json-file skip.json (the partition then begins at that offset, for all who read it)`, topic, partition, to, o.Brokers[0])
}

// dialed tells whether there was no connection at all.
func dialed(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// explain puts an error of the client in the operator's terms.
func explain(err error, o *Options) *fault.Error {
	brokers := strings.Join(o.Brokers, ",")
	var own *fault.Error
	var expired x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var eof *kgo.ErrFirstReadEOF
	switch {
	case err == nil:
		return fault.New("the connection ended", "")
	case errors.As(err, &own):
		return own
	case errors.As(err, &expired) && expired.Reason == x509.Expired:
		return fault.New("the certificate of "+brokers+" has expired or is not valid yet: "+expired.Error(), "renew the brokers' certificate, or set this machine's clock")
	case errors.As(err, &unknown):
		return fault.New("the certificate of "+brokers+" is signed by an authority that is not trusted", "kafka.tls_ca names the PEM file of the authority")
	case errors.As(err, &host):
		return fault.New(host.Error(), "kafka.brokers must name the brokers as their certificates do")
	case errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.UnsupportedSaslMechanism), errors.Is(err, kerr.IllegalSaslState):
		return fault.New(fmt.Sprintf("%s refuse user %q: %v", brokers, o.Security.User, err), "check kafka.sasl, kafka.sasl_user and kafka.sasl_password_file")
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed):
		return fault.New(err.Error(), fmt.Sprintf("allow the user to read the topic and the group: kafka-acls.sh --add --allow-principal User:%s --consumer --topic %s --group %s --bootstrap-server %s",
			o.Security.User, o.Topic, o.Group, o.Brokers[0]))
	case errors.Is(err, kerr.InconsistentGroupProtocol):
		return fault.New("group "+o.Group+" has members that are no Vitrine, or one of a build before 2026-11-27: they share out partitions in another way", "give kafka.group a name that nothing else reads by, or upgrade the other Vitrines")
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.IllegalGeneration):
		return fault.New("group "+o.Group+" took this appliance for gone, for it was silent for too long, and shares its partitions out among the others", "it joins again by itself; where that comes back, look for what stops this machine or its network")
	case errors.Is(err, kerr.FencedInstanceID):
		return fault.New("another appliance reads as the same member of group "+o.Group+": its data folder is a copy of this one", "remove state/instance of one of the data folders, and start it again")
	case errors.As(err, &eof):
		return fault.New("the connection to "+brokers+" is closed at once: "+eof.Error(), "check kafka.tls and kafka.sasl against the brokers' listener")
	case errors.Is(err, io.EOF) && o.Security.SASL != "":
		return fault.New(fmt.Sprintf("%s end the connection of user %q", brokers, o.Security.User), "check kafka.sasl, kafka.sasl_user and kafka.sasl_password_file")
	case strings.Contains(err.Error(), "tls endpoint"), strings.Contains(err.Error(), "first record does not look like a TLS handshake"):
		return fault.New("only one side of the connection to "+brokers+" speaks TLS", "check kafka.tls against the brokers' listener")
	case errors.Is(err, context.DeadlineExceeded) && o.Security.TLS:
		return fault.New("no answer from "+brokers, "check kafka.brokers, and kafka.tls against the brokers' listener")
	case errors.Is(err, context.DeadlineExceeded):
		return fault.New("no answer from "+brokers, "check kafka.brokers, the network and the brokers' log")
	}
	if refused := (*kerr.Error)(nil); errors.As(err, &refused) {
		return fault.New(fmt.Sprintf("%s answer with an error: %v", brokers, err), "the brokers' log may tell more")
	}
	return fault.New("no connection to "+brokers+": "+err.Error(), "check kafka.brokers, and that the brokers' advertised.listeners can be reached from here")
}
