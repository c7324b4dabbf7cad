package catalog

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

// codes numbers one kind of ids.
type codes struct {
	ids  chunked[string]
	n    atomic.Uint32
	seed maphash.Seed
	// shards map ids to codes.
	shards [numShards]shard

	mu sync.Mutex // the writer's: new codes
}

type shard struct {
	mu    sync.RWMutex
	codes map[string]uint32
	_     [32]byte // own cache line
}

const numShards = 64

func (c *codes) shard(id string) *shard {
	return &c.shards[maphash.String(c.seed, id)%numShards]
}

func (c *codes) code(id string) (uint32, bool) {
	s := c.shard(id)
	s.mu.RLock()
	code, ok := s.codes[id]
	s.mu.RUnlock()
	return code, ok
}

func (c *codes) id(code uint32) string {
	if code >= c.n.Load() {
		return ""
	}
	return *c.ids.at(code)
}

func (c *codes) intern(id string) uint32 {
	if code, ok := c.code(id); ok {
		return code
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if code, ok := c.code(id); ok {
		return code
	}
	// The id may be cut from a whole frame, which must not stay in RAM for it.
	return c.add(strings.Clone(id))
}

// add gives id the next code. The id is stored before the code can be found
// or counted, so whoever sees the code finds the id.
func (c *codes) add(id string) uint32 {
	code := c.n.Load()
	*c.ids.grow(code) = id
	c.n.Store(code + 1)
	s := c.shard(id)
	s.mu.Lock()
	if s.codes == nil {
		s.codes = make(map[string]uint32)
	}
	s.codes[id] = code
	s.mu.Unlock()
	return code
}

// skip takes the next code for an id that is forgotten.
func (c *codes) skip() {
	code := c.n.Load()
	*c.ids.grow(code) = ""
	c.n.Store(code + 1)
}

// reserve makes room for n ids before they come.
func (c *codes) reserve(n int) {
	for i := range c.shards {
		c.shards[i].codes = make(map[string]uint32, n/numShards*9/8)
	}
}
