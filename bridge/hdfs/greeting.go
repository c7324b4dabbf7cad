package hdfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"vitrine/bridge/mirror"
)

// greeting is what a DataNode says at the beginning of a connection, as long as
// that may tell that the library will not understand it: behind SASL that does
// more than authenticate, it takes bytes twice or not at all unless they are
// encrypted by AES. What it understands wrongly looks like any fault of a network.
type greeting struct {
	said []byte
	// encrypts says that the first message offers to.
	encrypts bool
}

// Bounds of a message; the library's own answers to it are as small.
const mostGreeting = 64 << 10

// errOver ends the reading of a greeting.
var errOver = errors.New("the greeting is over")

// look takes what was read and returns errOver when it needs no more of it.
func (g *greeting) look(b []byte) error {
	g.said = append(g.said, b...)
	for {
		size, n := binary.Uvarint(g.said)
		switch {
		case n < 0 || size > mostGreeting:
			return errOver
		case n == 0 || uint64(len(g.said)-n) < size:
			return nil // not all of it yet
		}
		message := g.said[n : n+int(size)]
		g.said = g.said[n+int(size):]
		if g.encrypts {
			if !hasField(message, fieldCipherOption) {
				return noCipher()
			}
			return errOver
		}
		switch offered(message) {
		case "auth-int":
			return noIntegrity()
		case "auth-conf":
			g.encrypts = true
		default:
			return errOver
		}
	}
}

// offered is the first protection that a challenge of DIGEST-MD5 names, which is
// the one that the library takes; "" of anything else.
//
// Source: RFC 2831, 2.1.1; Hadoop's datatransfer.proto.
func offered(message []byte) string {
	_, rest, ok := bytes.Cut(message, []byte(`qop="`))
	if !ok {
		return ""
	}
	list, _, _ := bytes.Cut(rest, []byte(`"`))
	first, _, _ := strings.Cut(string(list), ",")
	return strings.TrimSpace(first)
}

// fieldCipherOption is DataTransferEncryptorMessageProto.cipherOption.
const fieldCipherOption = 4

// hasField says whether a message of Protobuf has a field.
func hasField(message []byte, field uint64) bool {
	const (
		varint = 0
		bytes  = 2
	)
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 {
			return false
		}
		if tag>>3 == field {
			return true
		}
		message = message[n:]
		value, n := binary.Uvarint(message)
		if n <= 0 {
			return false
		}
		message = message[n:]
		switch tag & 7 {
		case varint:
		case bytes:
			if value > uint64(len(message)) {
				return false
			}
			message = message[value:]
		default:
			return false
		}
	}
	return false
}

func noIntegrity() error {
	return &mirror.AdviceError{
		Err:    errors.New("the DataNode protects data by integrity, which is not understood over hdfs://"),
		Advice: "use webhdfs:// or swebhdfs://, or set dfs.data.transfer.protection of the cluster to authentication, or to privacy with dfs.encrypt.data.transfer.cipher.suites = AES/CTR/NoPadding",
	}
}

func noCipher() error {
	return &mirror.AdviceError{
		Err:    errors.New("the DataNode encrypts without AES, which is not understood over hdfs://"),
		Advice: "set dfs.encrypt.data.transfer.cipher.suites of the cluster to AES/CTR/NoPadding, or use swebhdfs://",
	}
}

// greet looks at what was read at the beginning of a connection. What is not
// understood is withheld: of bytes with an error, a reader may take the bytes.
func (c *conn) greet(b []byte, err error) (int, error) {
	first := len(c.greeting.said) == 0 && !c.greeting.encrypts
	if len(b) == 0 {
		if first && hungUp(err) && c.ses.tickets != nil {
			c.ses.blame(unwanted(c.addr, err))
		}
		return 0, err
	}
	switch told := c.greeting.look(b); {
	case told == nil:
		return len(b), err
	case errors.Is(told, errOver):
		c.greeting = nil
		return len(b), err
	default:
		told = fmt.Errorf("%s: %w", c.addr, told)
		c.ses.blame(told)
		return 0, told
	}
}

func hungUp(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) }

// unwanted is the error of a DataNode that hangs up on the first word: that is how
// one of a cluster with Kerberos says that it wants other protection than this side
// has. It may also have died.
func unwanted(addr string, err error) error {
	return &mirror.AdviceError{Err: fmt.Errorf("%s hangs up on the first word: %w", addr, err), Advice: "if no DataNode has died: " + adviceProtection}
}

const adviceProtection = "archive.protection must be as dfs.data.transfer.protection of the cluster, empty where that has none"
