package config

import (
	"errors"
	"strings"
	"testing"
)

func TestNamesOfTopics(t *testing.T) {
	for name, want := range map[string]bool{
		"items-2": true, "shop.events_2": true, "": true, strings.Repeat("t", 249): true,
		strings.Repeat("t", 250): false, "user events": false, "klicks\u00e4": false, "a/b": false,
	} {
		_, err := Load(Sources{Set: []string{"kafka.items_topic=" + name}, DataDir: t.TempDir()})
		if want != (err == nil) || err != nil && !strings.Contains(err.Error(), "kafka.items_topic") {
			t.Errorf("%q: %v, want it to be taken: %v", name, err, want)
		}
	}
}

// TestWrongTopicsAreToldInOrder: the same configuration is refused with the same
// words each time.
func TestWrongTopicsAreToldInOrder(t *testing.T) {
	set := []string{"kafka.topic=a/b", "kafka.items_topic=c/d", "kafka.users_topic=e/f"}
	for range 20 {
		_, err := Load(Sources{Set: set, DataDir: t.TempDir()})
		var faults Faults
		if !errors.As(err, &faults) || len(faults) != len(set) {
			t.Fatalf("Load: %v, want %d faults", err, len(set))
		}
		for i, fault := range faults {
			if !strings.HasSuffix(fault.Where, set[i]) {
				t.Fatalf("fault %d is of %s, want %s", i, fault.Where, set[i])
			}
		}
	}
}

// TestKeysThatDoNotCount: what nothing reads is refused by its key, with what it needs.
func TestKeysThatDoNotCount(t *testing.T) {
	for set, want := range map[string]string{
		"sasl_user=shop":                 "kafka.sasl must be set for kafka.sasl_user",
		"sasl_password_file=/etc/secret": "kafka.sasl must be set for kafka.sasl_user",
		"schema=/etc/shop.avsc":          "kafka.schema counts where kafka.format is avro or protobuf, and it is json",
		"schema_registry=http://registry:8081 schema_registry_skip=7": "kafka.schema_registry_skip counts where kafka.format is avro, and it is json",
		"message=shop.Event":                  "kafka.message counts where kafka.format is protobuf, and it is json",
		"topic=a items_topic=a":               "items_topic=a: kafka.items_topic must not be that of kafka.topic",
		"items_topic=a users_topic=a":         "users_topic=a: kafka.users_topic must not be that of",
		"map=user=uid":                        `kafka.map "user=uid": unknown field "user"`,
		"tls=true tls_cert=/etc/own.pem":      "kafka.tls_key and kafka.tls_cert go together",
		"brokers=kafka1:99999":                `kafka.brokers "kafka1:99999": a broker looks like host:9092`,
		"brokers=kafka1:kafka":                `kafka.brokers "kafka1:kafka"`,
		"brokers=kafka1:9092，kafka2:9092":     "kafka.brokers",
		"brokers=kafka1:9092,[2001:db8::1]:9": "",
	} {
		var keys []string
		for key := range strings.FieldsSeq(set) {
			keys = append(keys, "kafka."+key)
		}
		_, err := Load(Sources{Set: keys, DataDir: t.TempDir()})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", set, err, want)
		}
	}
}

// TestRegistryThatNothingReads: a registry is refused where no topic has values with its
// header, and taken where one of several has.
func TestRegistryThatNothingReads(t *testing.T) {
	for set, ok := range map[string]bool{
		"format=csv": false, "format=cloudevents": false, "format=csv topic=": false,
		"format=csv items_topic=items": true, "format=cloudevents users_topic=users": true, "format=csv topic= items_topic=items": true,
		"format=json": true, "format=avro": true, "format=protobuf schema=/etc/shop.set message=shop.Event": true,
	} {
		keys := []string{"kafka.schema_registry=http://registry:8081"}
		for key := range strings.FieldsSeq(set) {
			keys = append(keys, "kafka."+key)
		}
		_, err := Load(Sources{Set: keys, DataDir: t.TempDir()})
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "--set kafka.schema_registry=http://registry:8081: kafka.schema_registry does not count") {
			t.Errorf("%s: %v, want it to be taken: %v", set, err, ok)
		}
	}
}

// TestRegistry: what does not go together about a schema registry is told by its key.
func TestRegistry(t *testing.T) {
	const at = "kafka.schema_registry"
	for set, want := range map[string]string{
		"=https://registry:8081 _user=shop _password_file=/etc/secret _tls_ca=/etc/ca.pem": "",
		"=https://registry:8081 _tls_cert=/etc/own.pem _tls_key=/etc/own.key":              "",
		"=http://registry:8081":                     "",
		"=registry:8081":                            "kafka.schema_registry=",
		"=http://registry:8081 _tls_ca=/etc/ca.pem": "kafka.schema_registry_tls_ca=",
		"=http://registry:8081 _tls_cert=/etc/own.pem _tls_key=/etc/own.key": "kafka.schema_registry_tls_cert=",
		"=https://registry:8081 _tls_cert=/etc/own.pem":                      "kafka.schema_registry_tls_key and kafka",
		"=https://registry:8081 _tls_key=/etc/own.key":                       "kafka.schema_registry_tls_key=",
		"_tls_cert=/etc/own.pem _tls_key=/etc/own.key":                       "kafka.schema_registry must be set",
		"=https://registry:8081 _user=shop":                                  "kafka.schema_registry_password_file and kafka",
		"=https://registry:8081 _password_file=/etc/key":                     "kafka.schema_registry_password_file=",
		"=http://registry:8081 _skip=[7,9]":                                  "",
		"=http://registry:8081 _skip=7":                                      "",
		"=http://registry:8081 _skip=orders":                                 "kafka.schema_registry_skip must be an array of whole numbers up to 2147483647, not \"orders\"",
		"=http://registry:8081 _skip=2147483648":                             "must be an array of whole numbers",
		"_skip=7":                                                            "kafka.schema_registry must be set",
		"_user=shop _password_file=/etc/secret":                              "kafka.schema_registry must be set",
	} {
		keys := []string{"kafka.format=avro", "kafka.schema=/etc/shop.avsc"}
		for key := range strings.FieldsSeq(set) {
			keys = append(keys, at+key)
		}
		_, err := Load(Sources{Set: keys, DataDir: t.TempDir()})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", set, err, want)
		}
	}
}
