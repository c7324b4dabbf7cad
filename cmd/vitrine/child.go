package main

import (
	"github.com/spf13/cobra"

	"vitrine/appliance"
)

// childName is the hidden command by which the appliance starts its child
// processes.
const childName = "child"

func (a *app) childCommand() *cobra.Command {
	return &cobra.Command{
		Use:    childName + " KIND",
		Hidden: true,
		Args:   exactly("KIND"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := appliance.Child(cmd.Context(), args[0], a.in, a.out); err != nil {
				return errSilent // the parent has been told
			}
			return nil
		},
	}
}
