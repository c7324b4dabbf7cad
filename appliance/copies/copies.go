// Package copies joins the copy of the archive with the appliance: which store
// the configuration names, and the copy's figures for the admin API and
// /metrics.
//
// It imports bridge/mirror and its stores, appliance/config, appliance/scrape and
// the admin API's types.
package copies

import (
	"context"
	"fmt"
	"log/slog"
	"os/user"
	"time"

	"vitrine/appliance/config"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/scrape"
	"vitrine/bridge/archive"
	"vitrine/bridge/hdfs"
	"vitrine/bridge/mirror"
	"vitrine/bridge/webhdfs"
	"vitrine/internal/keyfile"
	"vitrine/internal/logkey"
)

// Open makes the mirror of an archive; nil where the configuration has the
// archive on local disk only. Nothing is connected yet.
func Open(c *config.Config, a *archive.Archive, log *slog.Logger) (*mirror.Mirror, error) {
	place := c.Archive.Elsewhere()
	if place == nil {
		return nil, nil
	}
	id, err := mirror.ID(c.ArchiveDir())
	if err != nil {
		return nil, err
	}
	store, err := open(&c.Archive, place)
	if err != nil {
		return nil, fmt.Errorf("open the copy at %s: %w", place, err)
	}
	return mirror.New(mirror.Options{Archive: a, Store: store, Name: place.String(), ID: id, Log: log}), nil
}

func open(c *config.Archive, place *config.Place) (mirror.Store, error) {
	name := c.User
	if name == "" {
		u, err := user.Current()
		if err != nil {
			return nil, fmt.Errorf("find out who this program runs as (archive.user says it): %w", err)
		}
		name = u.Username
	}
	var kerberos *hdfs.Kerberos
	if c.Principal != "" {
		kerberos = &hdfs.Kerberos{Principal: c.Principal, Keytab: c.Keytab, Config: c.KerberosConfig, Service: c.Service}
	}
	if place.Scheme == config.SchemeHDFS {
		return hdfs.New(hdfs.Options{
			NameNodes: place.Nodes, Root: place.Path, User: name, Timeout: c.Timeout, Replication: c.Replication,
			Hostnames: c.Hostnames, Kerberos: kerberos, Protection: c.Protection,
		}), nil
	}
	opt := webhdfs.Options{
		NameNodes: place.Nodes, TLS: place.Scheme == config.SchemeSWebHDFS, Root: place.Path, User: name,
		Timeout: c.Timeout, Replication: c.Replication,
	}
	if kerberos != nil {
		opt.User, opt.Authorizer = "", hdfs.Negotiate(kerberos, c.Timeout)
	}
	if c.TLSCA != "" {
		var err error
		if opt.Authorities, err = keyfile.Authorities(c.TLSCA); err != nil {
			return nil, fmt.Errorf("read archive.tls_ca: %w", err)
		}
	}
	return webhdfs.New(opt), nil
}

// Flush is what brings the archive to its copy; nil without one.
func Flush(m *mirror.Mirror) func(ctx context.Context) error {
	if m == nil {
		return nil
	}
	return m.Flush
}

// finishTimeout bounds the last copy of a clean stop.
const finishTimeout = 5 * time.Second

// Finish copies what the last commit of a clean stop brought; what it does not
// get to is copied by the next start.
func Finish(ctx context.Context, m *mirror.Mirror, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	if err := m.Flush(ctx); err != nil {
		log.Warn("the newest events are in the archive on local disk and not copied yet; the next start copies them", logkey.Error, err)
	}
}

// Status is the copy's part of the pipeline; nil without one.
func Status(m *mirror.Mirror, position uint64) *adminapi.PipelineCopy {
	if m == nil {
		return nil
	}
	s := m.Stats()
	out := &adminapi.PipelineCopy{
		URL: m.Name(), Position: s.Position, Lag: position - min(position, s.Position), Files: s.Files, Bytes: s.Bytes,
		WaitingFiles: s.Waiting, WaitingBytes: s.WaitingBytes, Copied: s.Copied, Removed: s.Removed, Failures: s.Failures,
	}
	if !s.LastCopy.IsZero() {
		out.LastCopy = &s.LastCopy
	}
	if s.LastError != "" {
		out.Error, out.Hint, out.Since = &s.LastError, &s.Hint, &s.Since
	}
	return out
}

// Figures are the copy's for /metrics; position is the archive's.
func Figures(m *mirror.Mirror, position uint64) []scrape.Figure {
	s := m.Stats()
	return []scrape.Figure{
		scrape.Gauge("vitrine_archive_copy_lag_frames", "Frames that are in the archive and not in its copy yet.", float64(position-min(position, s.Position))),
		scrape.Gauge("vitrine_archive_copy_failing", "1 while the archive cannot be copied, 0 while all is well.", scrape.Flag(s.LastError != "")),
		scrape.Gauge("vitrine_archive_copy_files", "Files of the copy.", float64(s.Files)),
		scrape.Gauge("vitrine_archive_copy_bytes", "Size of the copy.", float64(s.Bytes)),
		scrape.Gauge("vitrine_archive_copy_waiting_files", "Files that are not copied yet.", float64(s.Waiting)),
		scrape.Gauge("vitrine_archive_copy_waiting_bytes", "Size of the files that are not copied yet.", float64(s.WaitingBytes)),
		scrape.Counter("vitrine_archive_copy_copied_total", "Files copied since the start.", float64(s.Copied)),
		scrape.Counter("vitrine_archive_copy_removed_total", "Files removed from the copy since the start.", float64(s.Removed)),
		scrape.Counter("vitrine_archive_copy_failures_total", "Turns of copying that ended with an error.", float64(s.Failures)),
	}
}
