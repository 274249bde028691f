package insider

import "time"

// Bounds on what an Insider does, so that a long run does not fill the network with what the attacker has a right to.
const (
	// patience is how long it waits for one answer.
	patience = 3 * time.Second
	// lookEvery is after how many attempts it reads the newest blocks again.
	lookEvery = 20
	// lookBack is how many blocks of each chain it looks at then.
	lookBack = 4
	// mostKept is how many transactions, proofs and batches it keeps of what it saw.
	mostKept = 64
	// mostOwn bounds the accounts, chains and products that it makes of its own, each.
	mostOwn = 100
	// mostWithheld is how many endorsed batches it keeps back at a time.
	mostWithheld = 8
	// garbageBytes is the longest message without meaning.
	garbageBytes = 256 << 10
)
