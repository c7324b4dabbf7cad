package lists

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"vitrine/appliance/client"
)

// shown are the attributes that the tables show where an item has them.
func shown() []string { return []string{"name", "category", "brand", "price"} }

// explained is a list with both kinds of reasons for each item.
func explained(ctx context.Context, cl *client.Client, req client.RecommendRequest) (*client.Recommendations, error) {
	req.Explain = "plugins"
	list, err := cl.Recommend(ctx, req)
	if err != nil {
		return nil, err
	}
	req.Explain = "items"
	carried, err := cl.Recommend(ctx, req)
	if err != nil {
		return nil, err
	}
	byItem := map[string][]client.Reason{}
	for _, it := range carried.Items {
		byItem[it.ItemID] = it.Reasons
	}
	for j := range list.Items {
		it := &list.Items[j]
		it.Reasons = append(byItem[it.ItemID], it.Reasons...)
	}
	return list, nil
}

// shownReasons is how many reasons the table shows of an item.
const shownReasons = 4

// because are the reasons of an item in one line.
func because(reasons []client.Reason) string {
	var parts []string
	items := 0
	for _, r := range reasons {
		switch {
		case r.Kind == "rest":
		case r.Kind != "item":
			parts = append(parts, fmt.Sprintf("%s %s %+.4f", r.Kind, r.Name, r.Change))
		case items < shownReasons:
			items++
			parts = append(parts, fmt.Sprintf("%s %+.4f", r.Name, r.Change))
		}
	}
	return strings.Join(parts, ", ")
}

// write prints a list as a table.
func write(out io.Writer, list *client.Recommendations) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "RANK\tITEM\tSCORE")
	columns := fieldsOf(list)
	for _, c := range columns {
		fmt.Fprintf(w, "\t%s", c)
	}
	why := false
	for _, it := range list.Items {
		why = why || len(it.Reasons) > 0
	}
	if why {
		fmt.Fprint(w, "\tBECAUSE OF")
	}
	fmt.Fprintln(w)
	for _, it := range list.Items {
		fmt.Fprintf(w, "%d\t%s\t%.4f", it.Rank, it.ItemID, it.Score)
		for _, c := range columns {
			fmt.Fprintf(w, "\t%s", cell(it.Fields[c]))
		}
		if why {
			fmt.Fprintf(w, "\t%s", because(it.Reasons))
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	source := string(list.Source)
	if list.Reason != "" {
		source += " (" + list.Reason + ")"
	}
	if list.Model != nil {
		source += ", model " + list.Model.Version
	}
	_, err := fmt.Fprintln(out, "source:", source)
	return err
}

// fieldsOf are the shown fields that any item of the list has.
func fieldsOf(list *client.Recommendations) []string {
	var out []string
	for _, name := range shown() {
		for _, it := range list.Items {
			if _, ok := it.Fields[name]; ok {
				out = append(out, name)
				break
			}
		}
	}
	return out
}

func cell(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	default:
		return fmt.Sprint(x)
	}
}
