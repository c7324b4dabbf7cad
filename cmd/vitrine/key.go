package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"vitrine/appliance/access"
	"vitrine/appliance/client"
	"vitrine/cmd/vitrine/cli"
)

// keyring is where keys are made: the running appliance, or its file.
type keyring interface {
	NewKey(ctx context.Context, name string, scope client.KeyScope) (*client.NewKey, error)
	Keys(ctx context.Context) ([]client.KeyInfo, error)
	RevokeKey(ctx context.Context, name string) error
}

func (a *app) keyCommand() *cobra.Command {
	scope := ""
	newKey := &cobra.Command{
		Use: "new NAME", Short: "Make a key and print it, once; only its hash is kept", Args: cli.Exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch client.KeyScope(scope) {
			case client.ScopeRecommend, client.ScopeIngest, client.ScopeAdmin:
			default:
				return cli.Usage(cmd, "--scope must be recommend, ingest or admin")
			}
			ring, err := a.keyring(cmd.Context(), "key new")
			if err != nil {
				return err
			}
			key, err := ring.NewKey(cmd.Context(), args[0], client.KeyScope(scope))
			if err != nil {
				return keyFault("key new", err)
			}
			if a.JSON {
				return a.PrintJSON(key)
			}
			_, err = fmt.Fprintln(a.Out, key.Key)
			return err
		},
	}
	newKey.Flags().StringVar(&scope, "scope", "", "what the key opens: `recommend|ingest|admin`")
	return cli.Group(
		&cobra.Command{Use: "key", Short: "Make, list and revoke API keys"},
		newKey,
		&cobra.Command{
			Use: "list", Short: "List the keys by name", Args: cli.Exactly(),
			RunE: func(cmd *cobra.Command, _ []string) error {
				ring, err := a.keyring(cmd.Context(), "key list")
				if err != nil {
					return err
				}
				list, err := ring.Keys(cmd.Context())
				if err != nil {
					return keyFault("key list", err)
				}
				return a.printKeys(list)
			},
		},
		&cobra.Command{
			Use: "revoke NAME", Short: "Revoke a key, at once", Args: cli.Exactly("NAME"),
			RunE: func(cmd *cobra.Command, args []string) error {
				ring, err := a.keyring(cmd.Context(), "key revoke")
				if err != nil {
					return err
				}
				if err := ring.RevokeKey(cmd.Context(), args[0]); err != nil {
					return keyFault("key revoke", err)
				}
				if a.JSON {
					return a.PrintJSON(map[string]string{"name": args[0]})
				}
				_, err = fmt.Fprintf(a.Out, "%s opens nothing any more\n", args[0])
				return err
			},
		},
	)
}

func (a *app) printKeys(list []client.KeyInfo) error {
	t := cli.NewTable("NAME", "SCOPE", "BEGINS", "CREATED")
	for _, k := range list {
		t.Row(k.Name, string(k.Scope), "vk_"+k.ID, k.CreatedAt.Format(time.RFC3339))
	}
	return a.PrintList(list, "no keys; make one with: vitrine key new NAME --scope recommend", t)
}

// keyring is the running appliance's, which counts a change at once; else the
// file, which must be there before an appliance may be open to others.
func (a *app) keyring(ctx context.Context, what string) (keyring, error) {
	c, err := a.LoadUnguarded()
	if err != nil {
		return nil, err
	}
	cl, err := cli.Connect(ctx, c, what)
	if err == nil {
		return cl, nil
	}
	if !errors.Is(err, cli.ErrNotRunning) {
		return nil, err
	}
	return keyFile{c.KeysPath()}, nil
}

// keyFile is the keys of an appliance that does not run.
type keyFile struct{ path string }

// NewKey makes the folder, too: the first key comes before the first start.
func (f keyFile) NewKey(_ context.Context, name string, scope client.KeyScope) (*client.NewKey, error) {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o750); err != nil {
		return nil, err
	}
	store, err := access.Open(f.path)
	if err != nil {
		return nil, err
	}
	secret, err := store.New(name, access.Scope(scope))
	return &client.NewKey{Name: name, Key: secret}, err
}

// Keys lists the file.
func (f keyFile) Keys(context.Context) ([]client.KeyInfo, error) {
	store, err := access.Open(f.path)
	if err != nil {
		return nil, err
	}
	out := []client.KeyInfo{}
	for _, k := range store.List() {
		out = append(out, client.KeyInfo{Name: k.Name, Scope: client.KeyScope(k.Scope), ID: k.ID, CreatedAt: k.Created})
	}
	return out, nil
}

// RevokeKey changes the file.
func (f keyFile) RevokeKey(_ context.Context, name string) error {
	store, err := access.Open(f.path)
	if err != nil {
		return err
	}
	return store.Revoke(name)
}

// keyFault adds what to type next to a fault of the file; the appliance's
// problems bring their own.
func keyFault(what string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, access.ErrExists):
		hint = "choose another name, or revoke that key first"
	case errors.Is(err, access.ErrUnknown):
		hint = "vitrine key list shows them"
	case errors.Is(err, os.ErrPermission):
		hint = "run as the user that the appliance runs as"
	}
	err = fmt.Errorf("%s: %w", what, err)
	if hint != "" {
		return cli.Hint(err, hint)
	}
	return err
}
