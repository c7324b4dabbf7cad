package intake

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"vitrine/appliance/client"
	"vitrine/cmd/vitrine/cli"
	"vitrine/cmd/vitrine/progress"
)

func (a app) deadlettersCommand() *cobra.Command {
	limit, cursor := 50, ""
	list := &cobra.Command{
		Use: "list", Short: "List refused rows and events, oldest first", Args: cli.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.CheckCount(cmd, "limit", limit); err != nil {
				return err
			}
			cl, err := a.Daemon(cmd.Context(), "deadletters list")
			if err != nil {
				return err
			}
			page, err := cl.DeadLetters(cmd.Context(), limit, cursor)
			if err != nil {
				return fmt.Errorf("deadletters list: %w", err)
			}
			t := cli.NewTextTable("ID", "SOURCE", "PLACE", "CODE", "DETAIL")
			for _, l := range page.Items {
				t.Row(l.ID, l.Source, placeOf(&l, "%d", "%d:%d"), l.Code, l.Detail)
			}
			none := "no dead letters"
			if page.Total > 0 {
				none = "no more dead letters"
			}
			if err := a.PrintList(page, none, t); err != nil || a.JSON || page.Total == 0 {
				return err
			}
			fmt.Fprintf(a.Out, "%s of %s\n", progress.Count(int64(len(page.Items))), progress.Count(page.Total))
			if page.NextCursor != "" {
				fmt.Fprintf(a.Out, "more: vitrine deadletters list --cursor %s\n", page.NextCursor)
			}
			return nil
		},
	}
	list.Flags().IntVarP(&limit, "limit", "n", limit, "how `many`, to 500")
	list.Flags().StringVar(&cursor, "cursor", "", "go on where the page that printed this `CURSOR` ended")
	show := &cobra.Command{
		Use: "show ID", Short: "Show one refused row or event with its bytes",
		Long: `Shows one refused row or event with its bytes. What is no text, or would steer a terminal, is
written as \x1b; --json has the bytes as they are, in base64.`, Args: cli.Exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.Daemon(cmd.Context(), "deadletters show")
			if err != nil {
				return err
			}
			l, err := cl.DeadLetter(cmd.Context(), args[0])
			if err != nil {
				return fmt.Errorf("deadletters show %s: %w", args[0], err)
			}
			if a.JSON {
				return a.PrintJSON(l)
			}
			fmt.Fprintf(a.Out, "source  %s\nplace   %s\nat      %s\ncode    %s\nreason  %s\n\n%s\n",
				l.Source, placeOf(l, "line %d", "partition %d, offset %d"), l.TS.Local().Format(time.DateTime), l.Code, l.Detail, visible(l.Raw))
			if l.Truncated {
				fmt.Fprintln(a.Out, "(cut: the row was longer)")
			}
			return nil
		},
	}
	return cli.Group(&cobra.Command{Use: "deadletters", Short: "List, show and replay refused input"}, list, show, a.replayCommand())
}

// visible is hostile text for a terminal: what is no text, or not to be seen, is escaped.
func visible(raw []byte) string {
	var out strings.Builder
	for len(raw) > 0 {
		r, n := utf8.DecodeRune(raw)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&out, `\x%02x`, raw[0])
		case r == '\n' || r == '\t' || unicode.IsPrint(r):
			out.WriteRune(r)
		default:
			out.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		raw = raw[n:]
	}
	return out.String()
}

// replayPage is how many refused rows one request reads again.
const replayPage = 500

func (a app) replayCommand() *cobra.Command {
	var source, code, mapping string
	cmd := &cobra.Command{
		Use: "replay [ID...]", Short: "Read refused rows and events again, as the configuration says now",
		Long: `Reads refused rows and events again, all or some of them, after event types, formats or maps
have been mended. What has become whole counts, once, and is no dead letter any more; what is
refused again stays.`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			cl, err := a.Daemon(cmd.Context(), "deadletters replay")
			if err != nil {
				return err
			}
			sum := client.ReplayResult{Rejected: []client.ReplayRejection{}}
			for more := true; more; more = sum.NextCursor != "" {
				req := client.Replay{Source: &source, Code: &code, Map: &mapping, Limit: new(replayPage), Cursor: &sum.NextCursor}
				if len(ids) > 0 {
					req.Ids = &ids
				}
				page, err := cl.Replay(cmd.Context(), req)
				if err != nil {
					return fmt.Errorf("deadletters replay: %w", err)
				}
				sum.Read, sum.Accepted = sum.Read+page.Read, sum.Accepted+page.Accepted
				sum.Duplicate, sum.Skipped = sum.Duplicate+page.Duplicate, sum.Skipped+page.Skipped
				sum.Rejected, sum.NextCursor = append(sum.Rejected, page.Rejected...), page.NextCursor
			}
			if a.JSON {
				return a.PrintJSON(sum)
			}
			fmt.Fprintf(a.Out, "%s read again: %s accepted, %s known already, %s left out, %s stay\n", progress.Count(sum.Read),
				progress.Count(sum.Accepted), progress.Count(sum.Duplicate), progress.Count(sum.Skipped), progress.Count(int64(len(sum.Rejected))))
			for _, l := range sum.Rejected[:min(10, len(sum.Rejected))] {
				fmt.Fprintf(a.Out, "  %s  %s  %s\n", l.ID, l.Code, l.Detail)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "only those of this `FILE`, topic, or http")
	cmd.Flags().StringVar(&code, "code", "", "only those with this `CODE`")
	cmd.Flags().StringVar(&mapping, "map", "", "of files: instead of the `MAP` that they were imported with")
	return cmd
}

// placeOf is the line of a file or the partition and offset of a topic, each in its
// format; "-" for what came by HTTP.
func placeOf(l *client.DeadLetter, line, offset string) string {
	switch {
	case l.Line != nil && *l.Line > 0:
		return fmt.Sprintf(line, *l.Line)
	case l.Partition != nil && l.Offset != nil:
		return fmt.Sprintf(offset, *l.Partition, *l.Offset)
	}
	return "-"
}
