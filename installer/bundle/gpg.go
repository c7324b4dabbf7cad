package bundle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// keyring is a gpg with nothing in it but one key.
type keyring struct{ home string }

func openKeyring(ctx context.Context, key string) (*keyring, error) {
	if _, err := exec.LookPath("gpg"); err != nil {
		return nil, fmt.Errorf("signatures are checked by gpg: %w", err)
	}
	home, err := os.MkdirTemp("", "vitrine-gpg") // short: an agent's socket lies in it
	if err != nil {
		return nil, err
	}
	k := &keyring{home}
	if out, err := k.run(ctx, "", "--import", key); err != nil {
		k.close(ctx)
		return nil, fmt.Errorf("read key %s: %s", key, lastLine(out))
	}
	return k, nil
}

func (k *keyring) run(ctx context.Context, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "gpg", append([]string{"--homedir", k.home, "--batch", "--quiet", "--no-tty"}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (k *keyring) close(ctx context.Context) {
	_ = exec.CommandContext(ctx, "gpgconf", "--homedir", k.home, "--kill", "all").Run()
	_ = os.RemoveAll(k.home)
}

// sign gives the detached signature of a text.
func sign(ctx context.Context, key, text string) (string, error) {
	k, err := openKeyring(ctx, key)
	if err != nil {
		return "", err
	}
	defer k.close(context.WithoutCancel(ctx))
	out, err := k.run(ctx, text, "--armor", "--digest-algo", "SHA256", "--detach-sign")
	if begin := strings.Index(out, "-----BEGIN PGP SIGNATURE"); err == nil && begin >= 0 {
		return out[begin:], nil
	}
	return "", fmt.Errorf("sign with %s: %s", key, lastLine(out))
}

// verify gives the fingerprint of the key that made a good signature.
func verify(ctx context.Context, key, file, signed string) (string, error) {
	k, err := openKeyring(ctx, key)
	if err != nil {
		return "", err
	}
	defer k.close(context.WithoutCancel(ctx))
	out, err := k.run(ctx, "", "--status-fd", "1", "--verify", signed, file)
	for line := range strings.Lines(out) {
		if _, rest, ok := strings.Cut(line, "[GNUPG:] VALIDSIG "); ok && err == nil {
			return strings.Fields(rest)[0], nil
		}
	}
	if strings.Contains(out, "NO_PUBKEY") {
		return "", errors.New("the bundle is signed with another key than " + key)
	}
	return "", errors.New("the signature of the bundle is not good")
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
