// Package keyfile reads what lets somebody in elsewhere from files, so that it need
// not stand in the configuration: passwords, and the authorities that are trusted.
//
// It owns nothing but that and must not import anything of this module.
package keyfile

import (
	"crypto/x509"
	"fmt"
	"os"
	"strings"
)

// Password is the first line of a file. It is an error when that is empty. Errors name
// the file; what it is for, the caller adds.
func Password(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", fmt.Errorf("the first line of %s is empty", path)
	}
	return line, nil
}

// Authorities are those whose certificates are in a PEM file. It is an error when
// there is none in it. Errors name the file.
func Authorities(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return pool, nil
}
