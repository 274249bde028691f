package client

// Queued is the number of calls that wait for a place on a chain's lane.
func (c *Client) Queued(chainID string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.lanes[chainID]; l != nil {
		return len(l.queue)
	}
	return 0
}
