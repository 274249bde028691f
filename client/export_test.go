package client

// Queued is the number of submissions in the queue of a chain's batcher.
func (c *Client) Queued(chainID string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.batchers[chainID]; b != nil {
		return len(b.queue)
	}
	return 0
}
