package client

import "time"

// RestartTime is the constant restartTime.
const RestartTime = restartTime

// SetSealedSilence shortens how long a node may not say that all sealed secrets have been delivered.
func (c *Client) SetSealedSilence(d time.Duration) { c.sealedSilence = d }

// Queued is the number of submissions in the queue of a chain's batcher.
func (c *Client) Queued(chainID string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.batchers[chainID]; b != nil {
		return len(b.queue)
	}
	return 0
}
