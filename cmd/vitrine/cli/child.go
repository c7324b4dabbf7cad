package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"vitrine/appliance"
)

// childName is the hidden command by which the appliance starts its child
// processes.
const childName = "child"

// ChildLine is how this program starts itself as a child process, but for the
// kind.
func ChildLine() ([]string, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	return []string{exe, childName}, nil
}

// ChildCommand is what such a line calls.
func (a *App) ChildCommand() *cobra.Command {
	return &cobra.Command{
		Use:    childName + " KIND",
		Hidden: true,
		Args:   Exactly("KIND"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := appliance.Child(cmd.Context(), args[0], a.In, a.Out); err != nil {
				return Failed // the parent has been told
			}
			return nil
		},
	}
}
