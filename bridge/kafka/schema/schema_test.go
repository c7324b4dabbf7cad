package schema

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/avro"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"vitrine/bridge/event"
)

const (
	avroFirst  = `{"type":"record","name":"E","fields":[{"name":"user_id","type":"string"},{"name":"item_id","type":"long"},{"name":"event_type","type":"string"},{"name":"ts","type":["null",{"type":"long","logicalType":"timestamp-millis"}]}]}`
	avroSecond = `{"type":"record","name":"E","fields":[{"name":"user_id","type":"string"},{"name":"item_id","type":"string"},{"name":"event_type","type":"string"},{"name":"value","type":"double","default":1}]}`
)

func encodeAvro(t testing.TB, schema string, id int, fields map[string]any) []byte {
	t.Helper()
	data, err := avro.MustParse(schema).Encode(fields)
	if err != nil {
		t.Fatal(err)
	}
	if id < 0 {
		return data
	}
	return append(binary.BigEndian.AppendUint32([]byte{registryMark}, uint32(id)), data...)
}

func write(t testing.TB, data string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "schema")
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// said is an interaction, or the code of its refusal.
func said(read func([]byte) ([]byte, *event.Invalid), value []byte) string {
	text, inv := read(value)
	var e event.Event
	if inv == nil {
		_, inv = event.ParseEvent(text, &e)
	}
	if inv != nil {
		return inv.Code
	}
	return fmt.Sprint(e.UserID, " ", e.ItemID, " ", e.Type, " ", e.Time, " ", e.Value)
}

func prepare(t testing.TB, a *AvroReader, values ...[]byte) error {
	return a.Prepare(t.Context(), slices.Values(values))
}

// reader makes one.
func reader(t testing.TB, opt Options) *AvroReader {
	t.Helper()
	a, err := NewAvro(opt)
	if err != nil {
		t.Fatal(err)
	}
	return a.Reader()
}

// TestSchemasOfARegistry lets the schema of a topic change, names one that is
// not there, and takes the registry away for a while.
func TestSchemasOfARegistry(t *testing.T) {
	var down atomic.Bool
	asked := 0
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		schema := map[string]string{"/schemas/ids/1": avroFirst, "/schemas/ids/2": avroSecond}[r.URL.Path]
		switch {
		case down.Load():
			http.Error(w, "{}", http.StatusServiceUnavailable)
		case schema == "":
			http.Error(w, `{"error_code":40403,"message":"Schema not found"}`, http.StatusNotFound)
		default:
			fmt.Fprintf(w, `{"schema":%q}`, schema)
		}
	}))
	defer registry.Close()
	now := time.UnixMilli(1760000000000)
	a := reader(t, Options{Registry: Registry{URL: registry.URL}, Now: func() time.Time { return now }})
	first := encodeAvro(t, avroFirst, 1, map[string]any{"user_id": "u", "item_id": 7, "event_type": "view", "ts": int64(1760000000000)})
	second := encodeAvro(t, avroSecond, 2, map[string]any{"user_id": "u", "item_id": "i", "event_type": "cart", "value": 3.0})
	down.Store(true)
	if err := prepare(t, a, first); err == nil || !strings.Contains(err.Error(), "schema registry") {
		t.Errorf("a registry that is down: %v", err)
	}
	down.Store(false)
	now = now.Add(failPause)
	asked = 0
	for range 2 {
		for _, test := range []struct {
			value []byte
			want  string
		}{
			{first, "u 7 view 1760000000000 0"},
			{second, "u i cart 0 3"},
			{encodeAvro(t, avroFirst, 3, map[string]any{"user_id": "u", "item_id": 7, "event_type": "view", "ts": nil}), "unknown_schema"},
			{second[:len(second)-1], "invalid_schema_value"},
			{append(second[:len(second):len(second)], 0), "invalid_schema_value"},
			{[]byte(`{"user_id":"u"}`), "unknown_schema"},
		} {
			if err := prepare(t, a, test.value); err != nil {
				t.Fatal(err)
			}
			if got := said(a.JSON, test.value); got != test.want {
				t.Errorf("%x: %q, want %q", test.value, got, test.want)
			}
		}
	}
	if asked != 3 {
		t.Errorf("the registry was asked %d times for 3 schemas", asked)
	}
}

// TestSchemaComesLate: a registry that does not have a schema is asked again some
// time later.
func TestSchemaComesLate(t *testing.T) {
	there, asked := false, 0
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; !there {
			http.Error(w, `{"error_code":40403,"message":"Schema not found"}`, http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, `{"schema":%q}`, avroSecond)
	}))
	defer registry.Close()
	now := time.UnixMilli(1760000000000)
	a := reader(t, Options{Registry: Registry{URL: registry.URL}, Now: func() time.Time { return now }})
	value := encodeAvro(t, avroSecond, 9, map[string]any{"user_id": "u", "item_id": "i", "event_type": "cart", "value": 3.0})
	for _, step := range []struct {
		after time.Duration
		there bool
		want  string
		asked int
	}{
		{0, false, "unknown_schema", 1},
		{askAgain - 1, true, "unknown_schema", 1},
		{1, true, "u i cart 0 3", 2},
		{time.Hour, false, "u i cart 0 3", 2},
	} {
		now, there = now.Add(step.after), step.there
		if err := prepare(t, a, value); err != nil {
			t.Fatal(err)
		}
		if got := said(a.JSON, value); got != step.want || asked != step.asked {
			t.Errorf("%v later: %q, asked %d times; want %q, %d", step.after, got, asked, step.want, step.asked)
		}
	}
}

// TestManySchemas: however many schemas a part needs, all are there until the next
// one; those that were needed last are kept, and not many more.
func TestManySchemas(t *testing.T) {
	asked := map[string]int{}
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked[r.URL.Path]++
		fmt.Fprintf(w, `{"schema":%q}`, avroSecond)
	}))
	defer registry.Close()
	a := reader(t, Options{Registry: Registry{URL: registry.URL}})
	of := func(id int) []byte {
		return encodeAvro(t, avroSecond, id, map[string]any{"user_id": "u", "item_id": "i", "event_type": "cart"})
	}
	const usual = 1 // the shop's own, in every part
	for part, n := range []int{100, 2 * maxSchemas, 100, 100} {
		values := [][]byte{of(usual)}
		for id := range n {
			values = append(values, of(1000*(part+1)+id))
		}
		if err := prepare(t, a, values...); err != nil {
			t.Fatal(err)
		}
		for i, value := range values {
			if got := said(a.JSON, value); got != "u i cart 0 1" {
				t.Fatalf("value %d of the part: %q", i, got)
			}
		}
		if err := prepare(t, a, of(usual)); err != nil || len(a.registry.known) > maxSchemas {
			t.Errorf("%d schemas are kept, %v", len(a.registry.known), err)
		}
	}
	// Once more behind the part that had more than are kept.
	if n := asked[fmt.Sprint("/schemas/ids/", usual)]; n != 2 {
		t.Errorf("the registry was asked %d times for the schema that is always needed", n)
	}
}

// TestSchemaRefers reads by a schema that refers to another, and is told of those
// that cannot be used.
func TestSchemaRefers(t *testing.T) {
	const (
		kind  = `{"type":"enum","name":"shop.Kind","symbols":["view","cart"]}`
		views = `{"type":"record","name":"E","fields":[{"name":"user_id","type":"string"},{"name":"item_id","type":"string"},{"name":"event_type","type":"shop.Kind"}]}`
	)
	refers := func(to string) string {
		return fmt.Sprintf(`{"schema":%q,"references":[{"name":"shop.Kind","subject":%q,"version":3}]}`, views, to)
	}
	asked := 0
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		answer := map[string]string{
			"/schemas/ids/1": refers("kind"), "/schemas/ids/2": refers("gone"), "/schemas/ids/3": refers("loop"),
			"/schemas/ids/4":            `{"schema":"syntax = \"proto3\";","schemaType":"PROTOBUF"}`,
			"/schemas/ids/6":            `{"schema":"<xsd>","schemaType":"XSD"}`,
			"/schemas/ids/7":            refers("deep0"),
			"/schemas/ids/8":            fmt.Sprintf(`{"schema":%q,"references":[{"subject":"kind","version":3},{"subject":"a/b c","version":3}]}`, views),
			"/schemas/ids/9":            refers("../schemas/ids/1"),
			"/schemas/ids/10":           fmt.Sprintf(`{"schema":%q}`, rec("E", list(`"null"`))),
			"/subjects/kind/versions/3": fmt.Sprintf(`{"subject":"kind","version":3,"schema":%q}`, kind),
			"/subjects/loop/versions/3": refers("loop"), "/subjects/a%2Fb%20c/versions/3": refers("kind"),
		}[r.URL.EscapedPath()]
		if n := 0; answer == "" {
			if found, _ := fmt.Sscanf(r.URL.Path, "/subjects/deep%d/versions/3", &n); found == 1 {
				answer = refers(fmt.Sprint("deep", n+1))
			}
		}
		if n, err := strconv.Atoi(path.Base(r.URL.Path)); err == nil && n > math.MaxInt32 {
			http.NotFound(w, r)
			return
		}
		if answer == "" {
			http.Error(w, `{"error_code":40401,"message":"Subject not found"}`, http.StatusNotFound)
			return
		}
		fmt.Fprint(w, answer)
	}))
	defer registry.Close()
	a := reader(t, Options{Registry: Registry{URL: registry.URL}})
	for id, want := range map[uint32]string{
		1: "", 2: "it refers to version 3 of gone, which is not there", 3: "version 3 of loop refers to itself", 4: "schema 4 of the registry is PROTOBUF, and no Avro",
		5: "the schema registry has no schema 5", 0: "apicurio.registry.as-confluent", 6: "schema 6 of the registry is XSD, and no Avro",
		7: "it refers to more than 64 others", 8: "", 9: "it refers to version 3 of ../schemas/ids/1, which is not there",
		10:      "schema 10 of the registry cannot be used: few bytes of it can become a great many",
		1 << 31: "there is no schema 2147483648", // as 404 without a code says it
	} {
		value := append(binary.BigEndian.AppendUint32([]byte{registryMark}, id), "\x02u\x02i\x02"...)
		if err := prepare(t, a, value); err != nil {
			t.Fatal(err)
		}
		switch text, inv := a.JSON(value); {
		case want == "" && (inv != nil || !strings.Contains(string(text), `"cart"`)):
			t.Errorf("schema %d: %s, %v", id, text, inv)
		case want != "" && (inv == nil || inv.Code != CodeUnknown || !strings.Contains(inv.Detail, want)):
			t.Errorf("schema %d: %v, want %q", id, inv, want)
		}
	}
	if asked > 90 {
		t.Errorf("the registry was asked %d times", asked)
	}
}

// TestAvroWords reads a price that is a decimal, as money is, and what is said of
// values that are broken.
func TestAvroWords(t *testing.T) {
	const schema = `{"type":"record","name":"E","fields":[{"name":"user_id","type":"string"},{"name":"item_id","type":"string"},{"name":"event_type","type":"string"},
		{"name":"price","type":["null",{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}]},
		{"name":"props","type":{"type":"map","values":{"type":"bytes","logicalType":"decimal","precision":10,"scale":1}}}]}`
	a := reader(t, Options{File: write(t, schema)})
	value := encodeAvro(t, schema, -1, map[string]any{
		"user_id": "u", "item_id": "i", "event_type": "cart", "price": big.NewRat(1999, 100), "props": map[string]any{"weight": big.NewRat(5, 2)},
	})
	text, inv := a.JSON(value)
	if want := `{"event_type":"cart","item_id":"i","price":19.99,"props":{"weight":2.5},"user_id":"u"}`; inv != nil || string(text) != want {
		t.Errorf("%s %v, want %s", text, inv, want)
	}
	for _, test := range []struct {
		value []byte
		want  string
	}{
		{append(value[:len(value):len(value)], 1, 2), "the value is not of its Avro schema: 2 bytes are left behind it"},
		{value[:5], "the value is not of its Avro schema: field event_type: short buffer"},
	} {
		if text, inv := a.JSON(test.value); inv == nil || !strings.Contains(inv.Detail, test.want) {
			t.Errorf("%x: %s %v, want %q", test.value, text, inv, test.want)
		}
	}
}

// TestAvroLongNames: what is said of a value is short, however long the names are: of
// each record of a batch it is held until the letters are written.
func TestAvroLongNames(t *testing.T) {
	const most = 400
	name := strings.Repeat("n", 1<<20)
	a := reader(t, Options{File: write(t, `{"type":"record","name":"E","fields":[{"name":"`+name+`","type":"double"}]}`)})
	for _, value := range []string{"1", "\x00\x00\x00\x00\x00\x00\xf8\x7f"} { // too short, and no number
		if _, inv := a.JSON([]byte(value)); inv == nil || len(inv.Detail) > most || !strings.Contains(inv.Detail, "nnnn") {
			t.Errorf("%x: %.500v", value, inv)
		}
	}
}

func TestAvroByFile(t *testing.T) {
	a := reader(t, Options{File: write(t, avroSecond)})
	if got := said(a.JSON, encodeAvro(t, avroSecond, -1, map[string]any{"user_id": "u", "item_id": "i", "event_type": "cart", "value": 2.0})); got != "u i cart 0 2" {
		t.Error(got)
	}
	for name, opt := range map[string]Options{"no schema": {}, "broken schema": {File: write(t, "{")}, "no file": {File: "/none"}} {
		if _, err := NewAvro(opt); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, opt := range map[string]Options{"no message": {File: write(t, "")}, "no set": {File: write(t, "{"), Message: "shop.Event"}} {
		if _, err := NewProtobuf(opt); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// shopProto is the descriptor set of a message shop.Event.
func shopProto(t testing.TB) (set []byte, kind protoreflect.MessageDescriptor) {
	t.Helper()
	field := func(n int32, name string, typ descriptorpb.FieldDescriptorProto_Type, of string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{
			Name: &name, Number: &n, Type: &typ, Label: new(descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL),
		}
		if of != "" {
			f.TypeName = &of
		}
		return f
	}
	file := &descriptorpb.FileDescriptorProto{
		Name: new("shop.proto"), Package: new("shop"), Syntax: new("proto3"), Dependency: []string{"google/protobuf/timestamp.proto"},
		EnumType: []*descriptorpb.EnumDescriptorProto{{Name: new("Kind"), Value: []*descriptorpb.EnumValueDescriptorProto{
			{Name: new("none"), Number: new(int32(0))}, {Name: new("view"), Number: new(int32(1))},
		}}},
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("Event"), Field: []*descriptorpb.FieldDescriptorProto{
			field(1, "user_id", descriptorpb.FieldDescriptorProto_TYPE_INT64, ""),
			field(2, "item_id", descriptorpb.FieldDescriptorProto_TYPE_STRING, ""),
			field(3, "event_type", descriptorpb.FieldDescriptorProto_TYPE_ENUM, ".shop.Kind"),
			field(4, "ts", descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, ".google.protobuf.Timestamp"),
			field(5, "value", descriptorpb.FieldDescriptorProto_TYPE_INT64, ""),
		}}},
	}
	all := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(timestamppb.File_google_protobuf_timestamp_proto), file}}
	files, err := protodesc.NewFiles(all)
	if err != nil {
		t.Fatal(err)
	}
	d, err := files.FindDescriptorByName("shop.Event")
	if err != nil {
		t.Fatal(err)
	}
	if set, err = proto.Marshal(all); err != nil {
		t.Fatal(err)
	}
	return set, d.(protoreflect.MessageDescriptor)
}

func TestProtobuf(t *testing.T) {
	set, kind := shopProto(t)
	msg := dynamicpb.NewMessage(kind)
	put := func(name string, v protoreflect.Value) { msg.Set(kind.Fields().ByName(protoreflect.Name(name)), v) }
	put("user_id", protoreflect.ValueOfInt64(9007199254740993))
	put("item_id", protoreflect.ValueOfString("i"))
	put("event_type", protoreflect.ValueOfEnum(1))
	put("ts", protoreflect.ValueOfMessage((&timestamppb.Timestamp{Seconds: 1760000000, Nanos: 5e6}).ProtoReflect()))
	put("value", protoreflect.ValueOfInt64(3))
	value, err := proto.Marshal(msg)
	if err != nil {
		t.Fatal(err)
	}
	const want = "9007199254740993 i view 1760000000005 3"
	opt := Options{File: write(t, string(set)), Message: "shop.Event"}
	plain, err := NewProtobuf(opt)
	if err != nil {
		t.Fatal(err)
	}
	opt.Registry.URL = "http://127.0.0.1:1"
	headed, err := NewProtobuf(opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		by    *Protobuf
		value []byte
		want  string
	}{
		{plain, value, want},
		{headed, append([]byte{0, 0, 0, 0, 5, 0}, value...), want},
		{headed, append([]byte{0, 0, 0, 0, 5, 2, 0}, value...), want},
		{headed, value, "invalid_schema_value"},
		{headed, []byte{0, 0, 0, 0, 5}, "invalid_schema_value"},
		{headed, []byte{0, 0, 0, 0, 5, 0x80}, "invalid_schema_value"},
		{plain, []byte("\xff\xff"), "invalid_schema_value"},
	} {
		if got := said(test.by.JSON, test.value); got != test.want {
			t.Errorf("%x: %q, want %q", test.value, got, test.want)
		}
	}
	opt.Message = "shop.Evnt"
	if _, err := NewProtobuf(opt); err == nil || !strings.Contains(err.Error(), "shop.Evnt") {
		t.Errorf("an unknown message: %v", err)
	}
}

// TestProtobufKinds: maps, lists, messages that wrap one value, and the first value of an
// enum, which has no bytes.
func TestProtobufKinds(t *testing.T) {
	field := func(n int32, name string, typ descriptorpb.FieldDescriptorProto_Type, of string, label descriptorpb.FieldDescriptorProto_Label) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{Name: &name, Number: &n, Type: &typ, Label: &label}
		if of != "" {
			f.TypeName = &of
		}
		return f
	}
	const one, many = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL, descriptorpb.FieldDescriptorProto_LABEL_REPEATED
	const text, message, enum = descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, descriptorpb.FieldDescriptorProto_TYPE_ENUM
	file := &descriptorpb.FileDescriptorProto{
		Name: new("kinds.proto"), Package: new("shop"), Syntax: new("proto3"), Dependency: []string{"google/protobuf/wrappers.proto"},
		EnumType: []*descriptorpb.EnumDescriptorProto{{Name: new("Kind"), Value: []*descriptorpb.EnumValueDescriptorProto{
			{Name: new("view"), Number: new(int32(0))}, {Name: new("cart"), Number: new(int32(1))},
		}}},
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: new("Event"), Field: []*descriptorpb.FieldDescriptorProto{
				field(1, "event_type", enum, ".shop.Kind", one), field(2, "price", message, ".google.protobuf.DoubleValue", one), field(3, "props", message, ".shop.Event.PropsEntry", many),
				field(4, "kinds", enum, ".shop.Kind", many), field(5, "user_id", text, "", one), field(6, "value", message, ".google.protobuf.Int64Value", one),
				field(7, "lines", message, ".shop.Event", many),
			},
			NestedType: []*descriptorpb.DescriptorProto{{
				Name: new("PropsEntry"), Options: &descriptorpb.MessageOptions{MapEntry: new(true)},
				Field: []*descriptorpb.FieldDescriptorProto{field(1, "key", text, "", one), field(2, "value", message, ".google.protobuf.StringValue", one)},
			}},
		}},
	}
	set, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(wrapperspb.File_google_protobuf_wrappers_proto), file}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewProtobuf(Options{File: write(t, string(set)), Message: "shop.Event"})
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{
		"": `{"event_type":"view"}`,
		"\x08\x01\x12\x09\x09\x00\x00\x00\x00\x00\x00\xf8\x3f": `{"event_type":"cart","price":1.5}`,
		"\x12\x00\x2a\x01u\x32\x02\x08\x07":                    `{"event_type":"view","price":0,"user_id":"u","value":7}`,
		"\x1a\x08\x0a\x01a\x12\x03\x0a\x01x\x22\x02\x00\x01":   `{"event_type":"view","kinds":["view","cart"],"props":{"a":"x"}}`,
	} {
		if got, inv := p.JSON([]byte(value)); inv != nil || string(got) != want {
			t.Errorf("%x: %s %v, want %s", value, got, inv, want)
		}
	}
	// Parts that take next to no bytes, and are long in JSON.
	if got, inv := p.JSON(bytes.Repeat([]byte("\x3a\x00"), event.MaxJSON/16)); inv == nil || inv.Code != event.CodeTooLarge {
		t.Errorf("%d bytes of JSON, %v", len(got), inv)
	}
	if got, inv := p.JSON(bytes.Repeat([]byte("\x3a\x00"), event.MaxJSON/32)); inv != nil || len(got) < 22*event.MaxJSON/32 {
		t.Errorf("%d bytes of JSON, %v", len(got), inv)
	}
}

func FuzzBinary(f *testing.F) {
	set, _ := shopProto(f)
	f.Add(encodeAvro(f, avroSecond, -1, map[string]any{"user_id": "u", "item_id": "i", "event_type": "cart", "value": 2.0}))
	f.Add([]byte{0, 0, 0, 0, 5, 0, 8, 7, 18, 1, 'i'})
	a := reader(f, Options{File: write(f, avroSecond)})
	readers := []func([]byte) ([]byte, *event.Invalid){a.JSON}
	for _, registry := range []string{"", "http://127.0.0.1:1"} {
		p, err := NewProtobuf(Options{File: write(f, string(set)), Message: "shop.Event", Registry: Registry{URL: registry}})
		if err != nil {
			f.Fatal(err)
		}
		readers = append(readers, p.JSON)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, read := range readers {
			if text, inv := read(value); inv == nil && !json.Valid(text) {
				t.Errorf("%x is %q", value, text)
			}
		}
	})
}
