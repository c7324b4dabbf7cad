package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// socketHost stands where a host name is wanted; nobody looks it up.
	socketHost = "http://vitrine"
	// maxAnswer bounds what is read of an answer. The longest list of 500
	// items with all their attributes is far below.
	maxAnswer = 64 << 20
	dialTime  = 5 * time.Second
	mediaJSON = "application/json"
)

// Client calls a running appliance. It is safe for concurrent use.
type Client struct {
	rest *Rest
	http *http.Client
	// where names the appliance in errors.
	where string
}

// NewSocket is a client over the admin socket, which has every route.
func NewSocket(path string) *Client {
	dialer := net.Dialer{Timeout: dialTime}
	return newClient(socketHost, path, &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		},
		IdleConnTimeout: time.Minute,
	})
}

// NewTCP is a client of a listener such as http://127.0.0.1:8080.
func NewTCP(address string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("use address %q: it must look like http://127.0.0.1:8080", address)
	}
	return newClient(strings.TrimSuffix(address, "/"), address, http.DefaultTransport.(*http.Transport).Clone()), nil
}

func newClient(base, where string, transport http.RoundTripper) *Client {
	h := &http.Client{Transport: transport}
	return &Client{rest: &Rest{Server: base + "/", Client: h}, http: h, where: where}
}

// InProcess says whether a handler of this process answers, which ends with it.
func (c *Client) InProcess() bool {
	_, ok := c.http.Transport.(inProcess)
	return ok
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// UnreachableError says that nothing answers: the appliance is not running, or
// somewhere else.
type UnreachableError struct {
	// Where is the socket's path or the address.
	Where string
	Err   error
}

// Error names the address and the cause.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("reach vitrine at %s: %v", e.Where, e.Err)
}

// Unwrap gives the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Hint says what to type next.
func (e *UnreachableError) Hint() string { return "is it running? start it with: vitrine serve" }

// Error says what the appliance answered.
func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Title
}

// Recommend asks for the list of a user and/or a session.
func (c *Client) Recommend(ctx context.Context, req RecommendRequest) (*Recommendations, error) {
	return decode[Recommendations](c)(c.rest.RecommendPost(ctx, req))
}

// RecommendBatch asks for many lists, in the order of the requests.
func (c *Client) RecommendBatch(ctx context.Context, requests []RecommendRequest) ([]Recommendations, error) {
	answer, err := decode[RecommendationLists](c)(c.rest.RecommendBatch(ctx, RecommendBatch{Requests: requests}))
	if err != nil {
		return nil, err
	}
	return answer.Lists, nil
}

// Similar asks for the items like one; limit 0 leaves it to the appliance.
func (c *Client) Similar(ctx context.Context, itemID string, limit int, fields ...string) (*Recommendations, error) {
	params := &SimilarItemsParams{Limit: given(limit)}
	if len(fields) > 0 {
		params.Fields = &fields
	}
	return decode[Recommendations](c)(c.rest.SimilarItems(ctx, itemID, params))
}

// Popular asks for the popular items; limit 0 leaves it to the appliance.
func (c *Client) Popular(ctx context.Context, limit int, fields ...string) (*Recommendations, error) {
	params := &PopularItemsParams{Limit: given(limit)}
	if len(fields) > 0 {
		params.Fields = &fields
	}
	return decode[Recommendations](c)(c.rest.PopularItems(ctx, params))
}

// Rank asks for given items in a visitor's order.
func (c *Client) Rank(ctx context.Context, req RankRequest) (*Recommendations, error) {
	return decode[Recommendations](c)(c.rest.Rank(ctx, req))
}

// Explain asks what became of an item in a visitor's list.
func (c *Client) Explain(ctx context.Context, params ExplainParams) (*Explanation, error) {
	return decode[Explanation](c)(c.rest.Explain(ctx, &params))
}

// Rules asks for the business rules of a version, of the one in force where it
// is 0.
func (c *Client) Rules(ctx context.Context, version int) (*RuleSet, error) {
	params := &GetRulesParams{}
	if version != 0 {
		params.Version = &version
	}
	return decode[RuleSet](c)(c.rest.GetRules(ctx, params))
}

// SetRules puts the rules of a JSON document into force, or only checks them.
func (c *Client) SetRules(ctx context.Context, body []byte, check bool) (*RuleSet, error) {
	return decode[RuleSet](c)(c.rest.PutRulesWithBody(ctx, &PutRulesParams{Check: &check}, mediaJSON, bytes.NewReader(body)))
}

// SendEvents sends one JSON event or an array of them.
func (c *Client) SendEvents(ctx context.Context, body []byte) (*IngestResult, error) {
	return decode[IngestResult](c)(c.rest.IngestEventsWithBody(ctx, mediaJSON, bytes.NewReader(body)))
}

// PutItem replaces the attributes of an item.
func (c *Client) PutItem(ctx context.Context, itemID string, item ItemWrite) (*Item, error) {
	return decode[Item](c)(c.rest.PutItem(ctx, itemID, nil, item))
}

// Item asks for the attributes of an item.
func (c *Client) Item(ctx context.Context, itemID string) (*Item, error) {
	return decode[Item](c)(c.rest.GetItem(ctx, itemID, nil))
}

// PatchItem changes some attributes of an item; a nil value takes one away.
func (c *Client) PatchItem(ctx context.Context, itemID string, patch ItemPatch) (*Item, error) {
	return decode[Item](c)(c.rest.PatchItem(ctx, itemID, nil, patch))
}

// PutItems replaces the attributes of up to 10,000 items.
func (c *Client) PutItems(ctx context.Context, items []BatchItem) (*IngestResult, error) {
	return decode[IngestResult](c)(c.rest.PutItems(ctx, items))
}

// PutUser replaces the attributes of a user.
func (c *Client) PutUser(ctx context.Context, userID string, user UserWrite) (*User, error) {
	return decode[User](c)(c.rest.PutUser(ctx, userID, nil, user))
}

// PatchUser changes some attributes of a user; a nil value takes one away.
func (c *Client) PatchUser(ctx context.Context, userID string, patch UserPatch) (*User, error) {
	return decode[User](c)(c.rest.PatchUser(ctx, userID, nil, patch))
}

// User asks for the attributes of a user.
func (c *Client) User(ctx context.Context, userID string) (*User, error) {
	return decode[User](c)(c.rest.GetUser(ctx, userID, nil))
}

// DeleteItem takes an item out until it is put again.
func (c *Client) DeleteItem(ctx context.Context, itemID string) error {
	_, err := decode[struct{}](c)(c.rest.DeleteItem(ctx, itemID, nil))
	return err
}

// EraseUser erases a user; Erasure tells how far it is.
func (c *Client) EraseUser(ctx context.Context, userID string) (*Erasure, error) {
	return decode[Erasure](c)(c.rest.DeleteUser(ctx, userID, nil))
}

// Erasure asks how far the erasure of a user is.
func (c *Client) Erasure(ctx context.Context, userID string) (*Erasure, error) {
	return decode[Erasure](c)(c.rest.GetErasure(ctx, userID))
}

// History asks for the events of a user that count, newest first, from a
// page's NextCursor on; limit 0 leaves it to the appliance.
func (c *Client) History(ctx context.Context, userID string, limit int, cursor string) (*History, error) {
	params := &UserHistoryParams{Limit: given(limit)}
	if cursor != "" {
		params.Cursor = &cursor
	}
	return decode[History](c)(c.rest.UserHistory(ctx, userID, params))
}

// MergeUsers makes all of one user another's.
func (c *Client) MergeUsers(ctx context.Context, from, into string) (*MergeResult, error) {
	return decode[MergeResult](c)(c.rest.MergeUsers(ctx, MergeRequest{From: from, Into: into}))
}

// Import streams a file. When it stops midway the error is a *Problem whose
// Counts tell what became of the rows before.
func (c *Client) Import(ctx context.Context, body io.Reader, params ImportFileParams) (*ImportResult, error) {
	return decode[ImportResult](c)(c.rest.ImportFileWithBody(ctx, &params, "application/octet-stream", body))
}

// Backup is a copy of the data folder as a tar stream, which must be closed.
func (c *Client) Backup(ctx context.Context) (io.ReadCloser, error) {
	r, err := c.stream("back up")(c.rest.GetBackup(ctx))
	if err != nil {
		return nil, err
	}
	return r.Body, nil
}

// Export is a table as lines of JSON, which must be closed, and how many rows to
// expect. The last line says how many there were. Limit is the length of lists;
// 0 leaves it to the appliance.
func (c *Client) Export(ctx context.Context, kind ExportKind, limit int) (lines io.ReadCloser, rows int64, err error) {
	r, err := c.stream("export")(c.rest.Export(ctx, kind, &ExportParams{Limit: given(limit)}))
	if err != nil {
		return nil, 0, err
	}
	rows, _ = strconv.ParseInt(r.Header.Get("X-Vitrine-Rows"), 10, 64) // 0 is not known
	return r.Body, rows, nil
}

// StartJob starts long work: a training or an evaluation.
func (c *Client) StartJob(ctx context.Context, req JobRequest) (*Job, error) {
	return decode[Job](c)(c.rest.StartJob(ctx, req))
}

// Job asks how a job stands.
func (c *Client) Job(ctx context.Context, id string) (*Job, error) {
	return decode[Job](c)(c.rest.GetJob(ctx, id))
}

// WaitJob asks every so often until the job is over, and shows each answer to
// seen.
func (c *Client) WaitJob(ctx context.Context, id string, every time.Duration, seen func(*Job)) (*Job, error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		job, err := c.Job(ctx, id)
		if err != nil {
			return nil, err
		}
		if seen != nil {
			seen(job)
		}
		if job.Over() {
			return job, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// Over tells whether nothing more will come of the job.
func (j *Job) Over() bool { return j.State == Done || j.State == Failed }

// Models lists the versions, newest first.
func (c *Client) Models(ctx context.Context) ([]Model, error) {
	list, err := decode[ModelList](c)(c.rest.ListModels(ctx))
	if err != nil {
		return nil, err
	}
	return list.Models, nil
}

// Rollback makes the previous model version live again and returns it.
func (c *Client) Rollback(ctx context.Context) (*Model, error) {
	return decode[Model](c)(c.rest.RollbackModel(ctx))
}

// Plugins lists the plugins of the folder, in ranking order.
func (c *Client) Plugins(ctx context.Context) ([]Plugin, error) {
	list, err := decode[PluginList](c)(c.rest.ListPlugins(ctx))
	if err != nil {
		return nil, err
	}
	return list.Plugins, nil
}

// InstallPlugin compiles a module, puts it into the folder and waits until it
// ranks. It returns what the plugin is then.
func (c *Client) InstallPlugin(ctx context.Context, in PluginInstall) (*Plugin, error) {
	return decode[Plugin](c)(c.rest.InstallPlugin(ctx, in))
}

// EnablePlugin lets a plugin rank, or takes it out.
func (c *Client) EnablePlugin(ctx context.Context, name string, enabled bool) (*Plugin, error) {
	if enabled {
		return decode[Plugin](c)(c.rest.EnablePlugin(ctx, name))
	}
	return decode[Plugin](c)(c.rest.DisablePlugin(ctx, name))
}

// RemovePlugin takes a plugin's files out of the folder.
func (c *Client) RemovePlugin(ctx context.Context, name string) error {
	_, err := decode[struct{}](c)(c.rest.RemovePlugin(ctx, name))
	return err
}

// Keys lists the API keys by name.
func (c *Client) Keys(ctx context.Context) ([]KeyInfo, error) {
	list, err := decode[KeyList](c)(c.rest.ListKeys(ctx))
	if err != nil {
		return nil, err
	}
	return list.Keys, nil
}

// NewKey makes an API key; nothing but the answer holds it.
func (c *Client) NewKey(ctx context.Context, name string, scope KeyScope) (*NewKey, error) {
	return decode[NewKey](c)(c.rest.NewKey(ctx, KeyRequest{Name: name, Scope: scope}))
}

// RevokeKey takes an API key's rights away.
func (c *Client) RevokeKey(ctx context.Context, name string) error {
	_, err := decode[struct{}](c)(c.rest.RevokeKey(ctx, name))
	return err
}

// DeadLetters lists refused rows, oldest first, from a page's NextCursor on;
// limit 0 leaves it to the appliance.
func (c *Client) DeadLetters(ctx context.Context, limit int, cursor string) (*DeadLetterPage, error) {
	params := &ListDeadLettersParams{Limit: given(limit)}
	if cursor != "" {
		params.Cursor = &cursor
	}
	return decode[DeadLetterPage](c)(c.rest.ListDeadLetters(ctx, params))
}

// DeadLetter asks for one refused row with its bytes.
func (c *Client) DeadLetter(ctx context.Context, id string) (*DeadLetter, error) {
	return decode[DeadLetter](c)(c.rest.GetDeadLetter(ctx, id))
}

// Replay has a page of refused rows read again.
func (c *Client) Replay(ctx context.Context, req Replay) (*ReplayResult, error) {
	return decode[ReplayResult](c)(c.rest.ReplayDeadLetters(ctx, req))
}

// Pipeline asks where the bus and the archive stand.
func (c *Client) Pipeline(ctx context.Context) (*Pipeline, error) {
	return decode[Pipeline](c)(c.rest.GetPipeline(ctx))
}

// Live is nil when events can be taken.
func (c *Client) Live(ctx context.Context) error {
	_, err := decode[Health](c)(c.rest.Live(ctx))
	return err
}

// Ready is nil when recommendations can be answered.
func (c *Client) Ready(ctx context.Context) error {
	_, err := decode[Health](c)(c.rest.Ready(ctx))
	return err
}

// Metrics are the figures, in Prometheus' text format.
func (c *Client) Metrics(ctx context.Context) (string, error) {
	body, err := c.body(c.rest.Metrics(ctx))
	return string(body), err
}

// given leaves a parameter out when it is 0.
func given(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

// decode turns the result pair of a generated call into a value or an error:
// *UnreachableError, *Problem, or what broke.
func decode[T any](c *Client) func(*http.Response, error) (*T, error) {
	return func(r *http.Response, err error) (*T, error) {
		body, err := c.body(r, err)
		if err != nil {
			return nil, err
		}
		value := new(T)
		if r.StatusCode == http.StatusNoContent {
			return value, nil
		}
		if err := json.Unmarshal(body, value); err != nil {
			return nil, fmt.Errorf("understand answer of vitrine at %s: %w", c.where, err)
		}
		return value, nil
	}
}

// stream takes the result pair of a generated call whose answer is read as it
// comes, and must be closed; what is the verb for an error.
func (c *Client) stream(what string) func(*http.Response, error) (*http.Response, error) {
	return func(r *http.Response, err error) (*http.Response, error) {
		if err == nil && r.StatusCode == http.StatusOK {
			return r, nil
		}
		if _, err = c.body(r, err); err == nil {
			err = fmt.Errorf("%s from vitrine at %s: it answers %d", what, c.where, r.StatusCode)
		}
		return nil, err
	}
}

// body is the answer of a generated call, if it is one of success.
func (c *Client) body(r *http.Response, err error) ([]byte, error) {
	if err != nil {
		return nil, c.failed(err)
	}
	defer r.Body.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read answer of vitrine at %s: %w", c.where, err)
	}
	if r.StatusCode >= http.StatusMultipleChoices {
		return nil, c.problem(r, body)
	}
	return body, nil
}

// failed tells a server that is not there from a call that broke.
func (c *Client) failed(err error) error {
	var (
		op      *net.OpError
		unknown *url.Error
	)
	if errors.As(err, &op) && op.Op == "dial" {
		return &UnreachableError{Where: c.where, Err: op.Err}
	}
	if errors.As(err, &unknown) {
		err = unknown.Err // without the made-up host of the socket
	}
	return fmt.Errorf("call vitrine at %s: %w", c.where, err)
}

// problem decodes an error answer; one that is not a problem document came
// from something that is not the appliance.
func (c *Client) problem(r *http.Response, body []byte) error {
	p := new(Problem)
	if err := json.Unmarshal(body, p); err != nil || p.Code == "" {
		return fmt.Errorf("call vitrine at %s: it answered %s without saying why; is it vitrine?", c.where, r.Status)
	}
	return p
}
