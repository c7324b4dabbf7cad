package httpapi

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"vitrine/internal/logkey"
)

// Backup writes a copy of the data folder.
type Backup interface {
	Backup(ctx context.Context, w io.Writer) error
}

// GetBackup is GET /v1/backup.
func (a *admin) GetBackup(c echo.Context) error {
	if err := onlyParams(c); err != nil {
		return err
	}
	ctx, cancel := a.untilStop(c)
	defer cancel()
	// It takes as long as it takes. A connection without deadlines needs none.
	_ = http.NewResponseController(c.Response().Writer).SetWriteDeadline(time.Time{})
	c.Response().Header().Set(echo.HeaderContentType, "application/x-tar")
	err := a.deps.Backup.Backup(ctx, c.Response())
	switch {
	case err == nil:
		return nil
	case c.Response().Committed:
		// The stream ends without its last file, by which the other side knows.
		a.log.Error("backup not finished", logkey.Error, err)
		return nil
	}
	c.Response().Header().Del(echo.HeaderContentType)
	return fmt.Errorf("backup: %w", err)
}
