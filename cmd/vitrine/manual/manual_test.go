package manual

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestWrite(t *testing.T) {
	nop := func(*cobra.Command, []string) {}
	root := &cobra.Command{Use: "vitrine", Short: "A recommender"}
	root.PersistentFlags().String("config", "", "configuration `FILE`")
	serve := &cobra.Command{Use: "serve", Short: "Run it", Long: ".dots first\n\nand a back\\slash", Run: nop}
	serve.Flags().IntP("number", "n", 20, "how many")
	hidden := &cobra.Command{Use: "child", Hidden: true, Run: nop}
	root.AddCommand(serve, hidden)
	dir := t.TempDir()
	if err := Write(root, dir, "1.2.3"); err != nil {
		t.Fatal(err)
	}
	pages, _ := filepath.Glob(filepath.Join(dir, "*.1"))
	if len(pages) != 2 {
		t.Fatalf("pages %v: want those of vitrine and vitrine-serve", pages)
	}
	text, err := os.ReadFile(filepath.Join(dir, "vitrine-serve.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		".TH \"VITRINE-SERVE\" 1", "vitrine\\-serve \\- Run it", "\\&.dots first", "back\\eslash",
		".B \\-n, \\-\\-number int\nhow many (default 20)", ".SH COMMON OPTIONS\n.TP\n.B \\-\\-config FILE",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
}
