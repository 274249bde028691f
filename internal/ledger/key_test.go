package ledger

import (
	"crypto/ed25519"
	"fmt"
	"math/big"
	"slices"
	"testing"
)

// curve computes on the twisted Edwards curve of RFC 8032, section 5.1, slowly and apart from what is tested.
type curve struct{ p, d *big.Int }

type point struct{ x, y *big.Int }

func newCurve() curve {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665)).Mod(d, p)
	return curve{p, d}
}

func (c curve) mul(values ...*big.Int) *big.Int {
	out := big.NewInt(1)
	for _, v := range values {
		out.Mul(out, v).Mod(out, c.p)
	}
	return out
}

func (c curve) add(a, b point) point {
	t := c.mul(c.d, a.x, b.x, a.y, b.y)
	over := func(n, d *big.Int) *big.Int { return c.mul(n, new(big.Int).ModInverse(d.Mod(d, c.p), c.p)) }
	one := big.NewInt(1)
	return point{
		over(new(big.Int).Add(c.mul(a.x, b.y), c.mul(a.y, b.x)), new(big.Int).Add(one, t)),
		over(new(big.Int).Add(c.mul(a.y, b.y), c.mul(a.x, b.x)), new(big.Int).Sub(one, t)),
	}
}

// decode returns the point with a y coordinate; false when there is none.
func (c curve) decode(y *big.Int) (point, bool) {
	y2 := c.mul(y, y)
	n := new(big.Int).Sub(y2, big.NewInt(1))
	d := new(big.Int).Add(c.mul(c.d, y2), big.NewInt(1))
	x := new(big.Int).ModSqrt(c.mul(n.Mod(n, c.p), d.ModInverse(d, c.p)), c.p)
	return point{x, new(big.Int).Mod(y, c.p)}, x != nil
}

func (c curve) timesEight(a point) point {
	for range 3 {
		a = c.add(a, a)
	}
	return a
}

func encodeY(y *big.Int) []byte {
	b := y.FillBytes(make([]byte, 32))
	slices.Reverse(b)
	return b
}

// TestKeysOfSmallOrder computes all points whose order divides 8, and refuses every encoding of each of them.
func TestKeysOfSmallOrder(t *testing.T) {
	c := newCurve()
	found := map[string]point{}
	prime := new(big.Int).Lsh(big.NewInt(1), 252) // the order of the large subgroup
	order, _ := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
	prime.Add(prime, order)
	for y := int64(2); len(found) < 8; y++ { // a point times the large order is one of small order
		a, ok := c.decode(big.NewInt(y))
		if !ok {
			continue
		}
		out := point{big.NewInt(0), big.NewInt(1)}
		for i := prime.BitLen() - 1; i >= 0; i-- {
			if out = c.add(out, out); prime.Bit(i) == 1 {
				out = c.add(out, a)
			}
		}
		found[fmt.Sprint(out.x, out.y)] = out
	}
	for name, a := range found {
		if e := c.timesEight(a); e.x.Sign() != 0 || e.y.Cmp(big.NewInt(1)) != 0 {
			t.Fatalf("%s has another order", name)
		}
		for _, y := range []*big.Int{a.y, new(big.Int).Add(a.y, c.p)} { // canonical, and if it fits, not
			if y.BitLen() > 255 {
				continue
			}
			for _, sign := range []byte{0, 0x80} {
				key := encodeY(y)
				key[31] |= sign
				if ValidKey(key) {
					t.Errorf("%x of order up to 8 passes", key)
				}
			}
		}
	}
}

// TestKeysNotCanonical: the 19 values of y from 2^255-19 on are second encodings, whatever the sign.
func TestKeysNotCanonical(t *testing.T) {
	c := newCurve()
	for i := int64(-3); i < 19; i++ {
		for _, sign := range []byte{0, 0x80} {
			key := encodeY(new(big.Int).Add(c.p, big.NewInt(i)))
			key[31] |= sign
			if want := i < -1; ValidKey(key) != want {
				t.Errorf("2^255-19%+d, sign %x: valid is %v, want %v", i, sign, !want, want)
			}
		}
	}
}

func TestValidKey(t *testing.T) {
	for i := range 200 {
		seed := make([]byte, ed25519.SeedSize)
		seed[0] = byte(i)
		key := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
		if !ValidKey(key) {
			t.Errorf("%x is refused", key)
		}
		if ValidKey(key[:31]) || ValidKey(append(slices.Clone(key), 0)) || ValidKey(nil) {
			t.Error("another length passes")
		}
	}
	forged := make([]byte, 32)
	forged[0] = 1
	signature := make([]byte, 64)
	signature[0] = 1
	if !ed25519.Verify(forged, []byte("any message"), signature) || ValidKey(forged) {
		t.Error("the identity as a key, under which one signature verifies for every message")
	}
}
