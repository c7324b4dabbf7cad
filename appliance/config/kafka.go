package config

import (
	"net/url"
	"strings"

	"vitrine/bridge/kafka"
	"vitrine/bridge/kafka/schema"
	"vitrine/bridge/kafka/values"
)

// Kafka configures the topics that are read; without Brokers none is.
type Kafka struct {
	Brokers                       []string
	Topic, ItemsTopic, UsersTopic string
	Group                         string
	Format, Map                   string
	Schema, Message               string
	Registry                      schema.Registry
	TLS                           bool
	TLSCA, TLSCert, TLSKey        string
	SASL, User, PasswordFile      string
}

// Options are those of the source, with what the configuration knows.
func (k *Kafka) Options() kafka.Options {
	return kafka.Options{
		Brokers: k.Brokers, Group: k.Group,
		Topics: values.Topics{
			Topic: k.Topic, ItemsTopic: k.ItemsTopic, UsersTopic: k.UsersTopic, Format: k.Format, Map: k.Map,
			Schema: k.Schema, Message: k.Message, Registry: k.Registry,
		},
		Security: kafka.Security{
			TLS: k.TLS, CAFile: k.TLSCA, CertFile: k.TLSCert, KeyFile: k.TLSKey, SASL: k.SASL, User: k.User, PasswordFile: k.PasswordFile,
		},
	}
}

// isTopic says whether Kafka would call a topic so; none is fine.
func isTopic(name string) bool {
	const most = 249
	other := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("._-", c)
	}
	return len(name) <= most && !strings.ContainsFunc(name, other)
}

func (k *Kafka) validate(check func(ok bool, key, format string, args ...any)) {
	for _, broker := range k.Brokers {
		_, _, ok := server(broker)
		check(ok, "kafka.brokers", "%q: a broker looks like host:9092", broker)
	}
	check(oneOf(k.Format, values.Formats()...), "kafka.format", "must be one of %s", strings.Join(values.Formats(), ", "))
	check(k.Topic != "" || k.ItemsTopic != "" || k.UsersTopic != "" || len(k.Brokers) == 0, "kafka.topic", "must name a topic when kafka.brokers is set")
	for _, topic := range []struct{ key, name string }{
		{"kafka.topic", k.Topic}, {"kafka.items_topic", k.ItemsTopic}, {"kafka.users_topic", k.UsersTopic},
	} {
		check(isTopic(topic.name), topic.key, "%q: a topic is called by letters, digits, '.', '_' and '-', 249 at most", topic.name)
	}
	check(k.ItemsTopic == "" || k.ItemsTopic != k.Topic, "kafka.items_topic", "must not be that of kafka.topic")
	check(k.UsersTopic == "" || k.UsersTopic != k.Topic && k.UsersTopic != k.ItemsTopic, "kafka.users_topic", "must not be that of kafka.topic or kafka.items_topic")
	check(k.Group != "", "kafka.group", "must not be empty")
	check(k.Format != values.Avro || k.Schema != "" || k.Registry.URL != "", "kafka.format", "avro needs kafka.schema or kafka.schema_registry")
	check(k.Format != values.Protobuf || k.Schema != "" && k.Message != "", "kafka.format", "protobuf needs kafka.schema and kafka.message")
	check(k.Schema == "" || oneOf(k.Format, values.Avro, values.Protobuf), "kafka.schema", "counts where kafka.format is avro or protobuf, and it is %s", k.Format)
	check(k.Message == "" || k.Format == values.Protobuf, "kafka.message", "counts where kafka.format is protobuf, and it is %s", k.Format)
	check(oneOf(k.SASL, "", kafka.Plain, kafka.ScramSHA256, kafka.ScramSHA512), "kafka.sasl", "must be %s, %s or %s", kafka.Plain, kafka.ScramSHA256, kafka.ScramSHA512)
	check(k.SASL == "" || k.User != "" && k.PasswordFile != "", "kafka.sasl", "needs kafka.sasl_user and kafka.sasl_password_file")
	check(k.SASL != "" || k.User+k.PasswordFile == "", "kafka.sasl", "must be set for kafka.sasl_user and kafka.sasl_password_file to count")
	check(k.TLS || k.TLSCA+k.TLSCert+k.TLSKey == "", "kafka.tls", "must be true for kafka.tls_ca, kafka.tls_cert and kafka.tls_key to count")
	check((k.TLSCert == "") == (k.TLSKey == ""), "kafka.tls_key", "and kafka.tls_cert go together")
	headless := oneOf(k.Format, values.CSV, values.CloudEvents) && k.ItemsTopic+k.UsersTopic == "" // which are JSON
	check(k.Registry.URL == "" || !headless, "kafka.schema_registry",
		"does not count: values of kafka.format=%s are read without a registry, and no topic of items or users is set; take it out, or set the format that the values have: json, avro or protobuf", k.Format)
	check(len(k.Registry.Skip) == 0 || k.Format == values.Avro, "kafka.schema_registry_skip", "counts where kafka.format is avro, and it is %s", k.Format)
	validateRegistry(&k.Registry, check)
	if err := values.CheckMap(k.Format, k.Map); err != nil {
		check(false, "kafka.map", "%q: %s", k.Map, strings.TrimPrefix(err.Error(), "map: "))
	}
}

func validateRegistry(r *schema.Registry, check func(ok bool, key, format string, args ...any)) {
	if r.URL == "" {
		check(r.User+r.PasswordFile+r.CAFile+r.CertFile+r.KeyFile == "" && len(r.Skip) == 0, "kafka.schema_registry", "must be set for the keys to count that begin with kafka.schema_registry_")
		return
	}
	u, err := url.Parse(r.URL)
	check(err == nil && oneOf(u.Scheme, "http", "https") && u.Host != "", "kafka.schema_registry", "must be http://HOST:8081 or https://HOST:8081")
	check(err != nil || u.Scheme == "https" || r.CAFile == "", "kafka.schema_registry_tls_ca", "needs https:// in kafka.schema_registry")
	check(err != nil || u.Scheme == "https" || r.CertFile == "", "kafka.schema_registry_tls_cert", "needs https:// in kafka.schema_registry")
	check((r.CertFile == "") == (r.KeyFile == ""), "kafka.schema_registry_tls_key", "and kafka.schema_registry_tls_cert go together")
	check((r.User == "") == (r.PasswordFile == ""), "kafka.schema_registry_password_file", "and kafka.schema_registry_user go together")
}

// kafkaKeys are the keys of [kafka].
func kafkaKeys() []key {
	keys := []key{
		names("kafka.brokers", "host:port of some brokers of a Kafka cluster; empty reads no Kafka.", func(c *Config) *[]string { return &c.Kafka.Brokers }),
	}
	for _, k := range []struct {
		name, doc string
		at        func(*Kafka) *string
	}{
		{"topic", "Topic of interactions; empty reads none.", func(k *Kafka) *string { return &k.Topic }},
		{"items_topic", "Topic of items: the id as key or item_id, attributes as JSON, no value to take the item out.", func(k *Kafka) *string { return &k.ItemsTopic }},
		{"users_topic", "Topic of users: the id as key or user_id, attributes as JSON, no value to erase the user.", func(k *Kafka) *string { return &k.UsersTopic }},
		{"group", "Consumer group. Where to go on is told by the data folder; the group's offsets count for partitions that it knows nothing of.", func(k *Kafka) *string { return &k.Group }},
		{"format", "Of interactions: json (as POST /v1/events takes them), csv (a line without a header), cloudevents, avro or protobuf.", func(k *Kafka) *string { return &k.Format }},
		{"map", "Which field becomes which, as in vitrine import --map; columns of csv go by their position: user_id=1,item_id=2,event_type==view,ts=4.", func(k *Kafka) *string { return &k.Map }},
		{"schema", "File of the Avro schema (.avsc), or of the Protobuf descriptor set (protoc --include_imports --descriptor_set_out=FILE).", func(k *Kafka) *string { return &k.Schema }},
		{"message", "Full name of the Protobuf message, such as shop.Event.", func(k *Kafka) *string { return &k.Message }},
		{"schema_registry", "URL of a schema registry: values have its header, JSON too where it begins with one, and Avro schemas come from it.", func(k *Kafka) *string { return &k.Registry.URL }},
		{"schema_registry_user", "User that logs in to the schema registry (basic authentication); empty is nobody.", func(k *Kafka) *string { return &k.Registry.User }},
		{"schema_registry_password_file", "File with that user's password in its first line.", func(k *Kafka) *string { return &k.Registry.PasswordFile }},
		{"schema_registry_tls_ca", "PEM file of the authorities that sign the registry's certificate (https://); empty trusts those of the system.", func(k *Kafka) *string { return &k.Registry.CAFile }},
		{"schema_registry_tls_cert", "PEM file of the client's certificate, where the registry asks for one (https://).", func(k *Kafka) *string { return &k.Registry.CertFile }},
		{"schema_registry_tls_key", "PEM file of its private key.", func(k *Kafka) *string { return &k.Registry.KeyFile }},
		{"tls_ca", "PEM file of the authorities that sign the brokers' certificates; empty trusts those of the system.", func(k *Kafka) *string { return &k.TLSCA }},
		{"tls_cert", "PEM file of the client's certificate, where the brokers ask for one.", func(k *Kafka) *string { return &k.TLSCert }},
		{"tls_key", "PEM file of its private key.", func(k *Kafka) *string { return &k.TLSKey }},
		{"sasl", "plain, scram-sha-256 or scram-sha-512; empty is none.", func(k *Kafka) *string { return &k.SASL }},
		{"sasl_user", "User that logs in.", func(k *Kafka) *string { return &k.User }},
		{"sasl_password_file", "File with the password in its first line.", func(k *Kafka) *string { return &k.PasswordFile }},
	} {
		keys = append(keys, text("kafka."+k.name, k.doc, func(c *Config) *string { return k.at(&c.Kafka) }))
	}
	keys = append(keys, numbers("kafka.schema_registry_skip", "Numbers of Avro schemas that the registry is not asked for: their records are dead letters, for vitrine deadletters replay when they stand here no more.",
		func(c *Config) *[]uint32 { return &c.Kafka.Registry.Skip }))
	return append(keys, boolean("kafka.tls", "Speak TLS with the brokers.", func(c *Config) *bool { return &c.Kafka.TLS }))
}
