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
	return a.stream(c, "backup", "application/x-tar", a.deps.Backup.Backup)
}

// stream answers with what write writes, which takes as long as it takes, and
// whose last part says that it is all. The whole is only known to be whole by
// that: an error that comes when something was sent already is logged.
func (a *admin) stream(c echo.Context, what, contentType string, write func(ctx context.Context, w io.Writer) error) error {
	ctx, cancel := a.untilStop(c)
	defer cancel()
	// A connection without deadlines needs none.
	_ = http.NewResponseController(c.Response().Writer).SetWriteDeadline(time.Time{})
	c.Response().Header().Set(echo.HeaderContentType, contentType)
	err := write(ctx, c.Response())
	switch {
	case err == nil:
		return nil
	case c.Response().Committed && ctx.Err() != nil:
		a.log.Info(what+" given up", logkey.Error, err)
		return nil
	case c.Response().Committed:
		a.log.Error(what+" not finished", logkey.Error, err)
		return nil
	}
	c.Response().Header().Del(echo.HeaderContentType)
	c.Response().Header().Del(headerRows)
	return fmt.Errorf("%s: %w", what, err)
}
