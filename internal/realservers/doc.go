// Package realservers starts the real servers that Vitrine is put beside, for
// tests: Apache Kafka and HDFS, from the jars in Maven Central, Apicurio's schema
// registry, nats-server, built from its module, redis-server, and MIT's KDC for an
// HDFS with Kerberos.
// What is fetched or built is kept in the user's cache folder; servers listen on
// free ports of 127.0.0.1, and leave nothing behind when they are stopped. Proxy
// stands before one and goes wrong as networks do.
//
// The first three need java (17 or newer) and, for the first start of a version,
// mvn; Redis and the KDC are Debian's. What is missing is an error that says so;
// the tests decide whether that fails them (`make test-real`) or skips them.
package realservers
