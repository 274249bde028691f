package rules

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Product is a product of devices that an organisation has claimed.
type Product struct {
	Key string
	// Organisation claimed it, or the others gave it to it: only its operators enrol devices of it and assign it, and only its accounts use it.
	Organisation string
	// ChainID is the chain on which its devices' signatures count; empty while it is assigned to none.
	ChainID string
	// FromMs is the first time, in milliseconds since 1970, that a text signed by one of its devices may carry; 0 while
	// the product was never assigned.
	FromMs int64
	// ChangedHeight and ChangedIndex locate the transaction on the system chain that claimed, assigned or moved it last.
	ChangedHeight uint64
	ChangedIndex  uint32
}

func (p *Product) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.strings(p.Key, p.Organisation, p.ChainID)
	e.i64(p.FromMs)
	e.u64(p.ChangedHeight)
	e.u32(p.ChangedIndex)
	return e.b
}

func parseProduct(b []byte) (*Product, error) {
	p, d := &Product{}, begin(b)
	d.strings(&p.Key, &p.Organisation, &p.ChainID)
	p.FromMs = d.i64()
	p.ChangedHeight = d.u64()
	p.ChangedIndex = d.u32()
	return p, d.end("product")
}

// GetProduct returns what the network knows of a product of devices; nil when no organisation has claimed it.
func GetProduct(v View, productKey string) (*Product, error) {
	if !ValidProductKey(productKey) {
		return nil, nil
	}
	return load(v, ledger.SystemChain, prefixProduct+productKey, parseProduct)
}

// ListProducts returns all products that were claimed, in the order of their last change.
func ListProducts(r Reader) ([]*Product, error) {
	all, err := list(r, ledger.SystemChain, prefixProduct, parseProduct)
	slices.SortStableFunc(all, func(a, b *Product) int {
		return cmp.Or(cmp.Compare(a.ChangedHeight, b.ChangedHeight), cmp.Compare(a.ChangedIndex, b.ChangedIndex))
	})
	return all, err
}

func checkClaimProduct(tx *ltlv1.Transaction) int32 {
	c := tx.GetClaimProduct()
	return checkProductChain(c.GetProductKey(), c.GetChainId())
}

func checkAssignProduct(tx *ltlv1.Transaction) int32 {
	a := tx.GetAssignProduct()
	return checkProductChain(a.GetProductKey(), a.GetChainId())
}

// checkProductChain checks the form of a product key and of a chain's id, which may be empty.
func checkProductChain(productKey, chainID string) int32 {
	if !ValidProductKey(productKey) || chainID != "" && !ledger.ValidChainID(chainID) {
		return OutOfRange
	}
	return OK
}

// claimProduct makes a product the submitter's organisation's. The first claim counts.
func (e *exec) claimProduct(act action) (int32, string, error) {
	c := act.tx.GetClaimProduct()
	known, err := GetProduct(e, c.GetProductKey())
	if err != nil {
		return 0, "", err
	}
	if known != nil {
		return e.refuse(Conflict, reasonProductClaimed), "", nil
	}
	made := &Product{Key: c.GetProductKey(), Organisation: act.submitter.organisation}
	code, err := e.assign(made, c.GetChainId())
	if code != OK || err != nil {
		return code, "", err
	}
	if code, err := e.enter(made.Organisation, tableProducts); code != OK || err != nil {
		return code, "", err
	}
	e.putProduct(made, act.here)
	return OK, "", nil
}

// assignProduct assigns a product to a chain, or to none. Assigning it to the chain that it is assigned to changes
// nothing.
func (e *exec) assignProduct(act action) (int32, string, error) {
	a := act.tx.GetAssignProduct()
	p, err := GetProduct(e, a.GetProductKey())
	if err != nil {
		return 0, "", err
	}
	if p == nil {
		return e.refuse(NotFound, reasonProductUnclaimed), "", nil
	}
	if p.ChainID == a.GetChainId() {
		return OK, "", nil
	}
	code, err := e.assign(p, a.GetChainId())
	if code != OK || err != nil {
		return code, "", err
	}
	e.putProduct(p, act.here)
	return OK, "", nil
}

// assign changes the chain of a product. What its devices sign from now on counts there. After a former assignment the
// former chain may have accepted texts that were up to MaxDeviceAheadMs ahead of its time, so those do not count either.
func (e *exec) assign(p *Product, chainID string) (int32, error) {
	if chainID != "" {
		chain, err := GetChain(e, chainID)
		if err != nil {
			return 0, err
		}
		if chain == nil {
			return e.refuse(NotFound, reasonProductChain), nil
		}
		from := e.timeMs
		if p.FromMs != 0 {
			from = max(e.in.PreviousReferenceMs, e.latestMs()) + MaxDeviceAheadMs + 1
		}
		p.FromMs = max(p.FromMs, from)
	}
	p.ChainID = chainID
	return OK, nil
}

func (e *exec) putProduct(p *Product, here Locator) {
	p.ChangedHeight, p.ChangedIndex = here.Height, here.Index
	e.put(prefixProduct+p.Key, p.encode())
}

// claimFor makes an unclaimed product the organisation's, so that the owner of a product is the owner of
// all enrolments of its devices.
func (e *exec) claimFor(productKey, organisation string, here Locator) (int32, error) {
	if known, err := GetProduct(e, productKey); known != nil || err != nil {
		return OK, err
	}
	code, err := e.enter(organisation, tableProducts)
	if code == OK && err == nil {
		e.putProduct(&Product{Key: productKey, Organisation: organisation}, here)
	}
	return code, err
}

// productHere finds a product that is assigned to this chain; reason says why it is not.
func (e *exec) productHere(productKey string) (p *Product, reason string, err error) {
	p, err = GetProduct(e.view, productKey)
	switch {
	case err != nil:
		return nil, "", err
	case p == nil:
		return nil, fmt.Sprintf(reasonProductOpen, productKey, e.chain.ID), nil
	case p.ChainID == "":
		return nil, fmt.Sprintf(reasonProductUnassigned, p.Organisation, p.Key, e.chain.ID), nil
	case p.ChainID != e.chain.ID:
		return nil, fmt.Sprintf(reasonProductElsewhere, p.ChainID, p.Organisation, p.Key, e.chain.ID), nil
	}
	return p, "", nil
}

// tooOld says that a device signed before its product was assigned to this chain; empty when it did not.
func (p *Product) tooOld(signedMs int64) string {
	if signedMs >= p.FromMs {
		return ""
	}
	return fmt.Sprintf(reasonSignatureOld, time.UnixMilli(p.FromMs).UTC().Format("2006-01-02T15:04:05Z"))
}

// ownerOfProduct returns the organisation that has a product; empty when none has claimed it.
func (e *exec) ownerOfProduct(productKey string) (string, error) {
	p, err := GetProduct(e, productKey)
	if p == nil || err != nil {
		return "", err
	}
	return p.Organisation, nil
}

func ownerOfClaim(e *exec, tx *ltlv1.Transaction) (string, error) {
	return e.ownerOfProduct(tx.GetClaimProduct().GetProductKey())
}

func ownerOfAssignment(e *exec, tx *ltlv1.Transaction) (string, error) {
	return e.ownerOfProduct(tx.GetAssignProduct().GetProductKey())
}
