package lists

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"vitrine/appliance/client"
	"vitrine/cmd/vitrine/cli"
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
	columns := fieldsOf(list)
	head := append([]string{"RANK", "ITEM", "SCORE"}, columns...)
	t := cli.NewTable(head...)
	why := slices.ContainsFunc(list.Items, func(it client.RecommendedItem) bool { return len(it.Reasons) > 0 })
	if why {
		t = cli.NewTextTable(append(head, "BECAUSE OF")...)
	}
	for _, it := range list.Items {
		row := []string{strconv.Itoa(it.Rank), it.ItemID, fmt.Sprintf("%.4f", it.Score)}
		for _, c := range columns {
			row = append(row, cell(it.Fields[c]))
		}
		if why {
			row = append(row, because(it.Reasons))
		}
		t.Row(row...)
	}
	if err := t.Write(out); err != nil {
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
