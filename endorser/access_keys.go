package endorser

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/ledger"
	"ltl/internal/query"
	ltlv1 "ltl/proto/ltl/v1"
)

// WatchAccessKeys implements ltlv1.EndorserServer. After what changed comes an empty message, and one after each
// watchPulse, as long as this endorser follows a node, its copy is sound and nearly up to date: a facade that hears
// nothing must assume that AccessKeys were disabled meanwhile.
func (e *Endorser) WatchAccessKeys(_ *ltlv1.WatchAccessKeysRequest,
	stream ltlv1.Endorser_WatchAccessKeysServer) error {
	sent := map[string]*ltlv1.AccessKeyInfo{}
	var height uint64
	var last time.Time
	for first := true; ; first = false {
		sequence := e.store.Sequence()
		changed := false
		if tip, ok := e.store.Tip(ledger.SystemChain); ok && (first || tip.Header.Height != height) {
			height = tip.Header.Height
			var err error
			if changed, err = e.sendAccessKeys(stream, sent); err != nil {
				return err
			}
		}
		alive := e.following.Load() != nil && e.faultText() == "" && sequence+watchLag >= e.target.Load()
		if alive && (changed || time.Since(last) >= watchPulse) {
			last = time.Now()
			if err := stream.Send(&ltlv1.WatchAccessKeysResponse{}); err != nil {
				return err
			}
		}
		quiet, cancel := context.WithTimeout(stream.Context(), watchPulse)
		err := e.store.WaitSequence(quiet, sequence+1)
		overdue := quiet.Err() != nil
		cancel()
		if stream.Context().Err() != nil {
			return stream.Context().Err()
		}
		if err != nil && !overdue {
			return status.Errorf(codes.Unavailable, "%v", err)
		}
	}
}

// sendAccessKeys sends the AccessKeys that differ from what was sent before, and notes them there.
func (e *Endorser) sendAccessKeys(stream ltlv1.Endorser_WatchAccessKeysServer,
	sent map[string]*ltlv1.AccessKeyInfo) (changed bool, err error) {
	all, err := query.AccessKeys(e.store, "")
	if err != nil {
		return false, status.Errorf(codes.Internal, "read AccessKeys: %v", err)
	}
	var fresh []*ltlv1.AccessKeyInfo
	for i, k := range all {
		if before := sent[k.GetId()]; before == nil || before.GetVersion() != k.GetVersion() ||
			before.GetState() != k.GetState() {
			fresh = append(fresh, k)
			sent[k.GetId()] = k
			changed = true
		}
		if len(fresh) == watchPage || i == len(all)-1 && len(fresh) > 0 {
			if err := stream.Send(&ltlv1.WatchAccessKeysResponse{AccessKeys: fresh}); err != nil {
				return false, err
			}
			fresh = nil
		}
	}
	return changed, nil
}
