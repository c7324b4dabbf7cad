package archive

import (
	"path/filepath"
	"testing"

	"vitrine/bridge/event"
	"vitrine/internal/pyreaders"
)

// pythonScript prints what two independent readers see in the archive at
// argv[1].
const pythonScript = `
import sys, duckdb, pyarrow.dataset as ds, pyarrow as pa
root = sys.argv[1]
events = ds.dataset(root + "/events", partitioning="hive")
assert events.schema.field("ts").type == pa.timestamp("ms", tz="UTC"), events.schema.field("ts").type
assert events.schema.field("user_id").type == pa.string(), events.schema.field("user_id").type
table = events.to_table()
assert table.column("value").null_count == 1 and table.column("event_id").null_count == 1
print("arrow", table.num_rows, table.column("bus_seq").to_pylist(), sorted(set(table.column("dt").to_pylist())))
print("arrow", ds.dataset(root + "/items").to_table().column("attributes").to_pylist())
row = duckdb.sql(f"""select count(*), sum(value), count(event_id), min(ts at time zone 'UTC'), list(distinct dt order by dt)
  from read_parquet('{root}/events/**/*.parquet', hive_partitioning = true, hive_types_autocast = false)""").fetchall()[0]
print("duckdb", row[0], row[1], row[2], row[3], row[4])
served = ds.dataset(root + "/served", partitioning="hive").to_table()
print("arrow", served.column("request_id").to_pylist(), served.column("rank").to_pylist(), served.column("item_id").to_pylist())
print("duckdb", duckdb.sql(f"""select s.list, s.rank, e.event_type from read_parquet('{root}/events/**/*.parquet') e
  join read_parquet('{root}/served/**/*.parquet') s using (request_id, item_id)""").fetchall())
print("duckdb", duckdb.sql(f"select json_extract(attributes, '$.price') from read_parquet('{root}/items/*.parquet')").fetchall()[0][0])
`

const pythonWant = `arrow 3 [1, 3, 4] ['2023-11-15', '2023-11-16']
arrow ['{"price":2.5}']
duckdb 3 4.0 2 2023-11-15 00:00:00 ['2023-11-15', '2023-11-16']
arrow ['r1', 'r1', 'r2'] [1, 2, 0] ['i1', 'i2', None]
duckdb [('recommend', 2, 'view')]
duckdb 2.5`

// TestOthersReadTheArchive lets pyarrow and DuckDB read the folder as it lies
// there.
func TestOthersReadTheArchive(t *testing.T) {
	python := pyreaders.Find(t)
	dir := filepath.Join(t.TempDir(), "archive")
	a := open(t, dir)
	first, second, third := view("u1", "i1", "e1", day0), view("u\u00fc2", "i2", "e2", day0+1), view("u3", "i1", "", day0+dayMillis)
	first.Event.HasValue, first.Event.Value = true, 4
	second.Event.HasValue, second.Event.Props, second.Event.RequestID = true, `{"a":1}`, "r1"
	commit(t, a, first, event.Record{Kind: event.KindItemPut, Item: put("i1", 2.5).Item}, second)
	commit(t, a, third, served("r1", day0, "i1", "i2"), served("r2", day0))
	python.Prints(t, pythonScript, dir, pythonWant)
}
