package publish

import "vitrine/appliance/scrape"

// Figures are those of /metrics.
func (p *Publisher) Figures() []scrape.Figure {
	p.mu.Lock()
	waiting := len(p.waiting)
	p.mu.Unlock()
	return []scrape.Figure{
		scrape.Counter("vitrine_redis_published_total", "Lists written to Redis.", float64(p.written.Load())),
		scrape.Counter("vitrine_redis_removed_total", "Keys removed from Redis, of users who are not known any more.", float64(p.removed.Load())),
		scrape.Counter("vitrine_redis_failures_total", "Turns of writing that ended with an error; the log has it.", float64(p.failures.Load())),
		scrape.Gauge("vitrine_redis_failing", "1 while lists cannot be written, 0 while all is well.", scrape.Flag(p.failing.Load())),
		scrape.Gauge("vitrine_redis_waiting_users", "Users who have done something and whose lists are not written yet.", float64(waiting)),
	}
}
