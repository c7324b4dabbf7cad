// Package bridge is the ingest pump: records in, durable frames on the one
// log, consumers fed in log order.
//
// It owns group commit, deduplication at ingest and the order in which the
// rest of the appliance sees records. A record that Submit accepted is on
// disk and has been applied by every consumer:
//
//	pump := bridge.New(bus, []bridge.Consumer{catalog, profile}, bridge.Options{})
//	if err := pump.Replay(ctx, snapshot+1); err != nil { ... }
//	go pump.Run(ctx)
//	res, err := pump.Submit(ctx, records)
//
// It must not import a foreign library, nor anything of this module but
// bridge/event, its frames, internal/fields and internal/logkey: buses, archives and consumers come in
// through the small interfaces declared here.
package bridge
