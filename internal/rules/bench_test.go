package rules

import (
	"fmt"
	"strings"
	"testing"

	"ltl/internal/ledger"
)

const benchBatch = 500

// benchInput is a batch of records of 256 bytes from signed requests, endorsed by three organisations.
func benchInput(b *testing.B, attached bool) (Input, memory) {
	w := newWorld(b)
	value := strings.Repeat("v", MaxValue)
	var payloads [][]byte
	for i := range benchBatch {
		key := w.key(m1UID, fmt.Sprintf("%032d", i))
		tx := w.tx(m1UID, set(key, value))
		if attached {
			tx = w.tx(m1UID, attach(key, value, fmt.Sprintf("%064d", i)))
		}
		signed(tx, fmt.Sprintf("%032d", i))
		payloads = append(payloads, marshal(b, tx))
	}
	return w.input(w.chain.ID, w.batch(w.chain.ID, payloads, "o1", "o2", "o3")), w.state
}

func perTransaction(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchBatch), "ns/tx")
}

// BenchmarkExecute measures a block of one batch; ns/tx is the figure that counts. The map behind the view is part of
// it; signatures are verified.
func BenchmarkExecute(b *testing.B) {
	for _, kind := range []string{"SetData", "AttachData"} {
		b.Run(kind, func(b *testing.B) {
			in, state := benchInput(b, kind == "AttachData")
			b.ReportAllocs()
			for b.Loop() {
				x, err := Execute(in, state, ledger.VerifyEndorsement)
				if err != nil || x.Block.Results[benchBatch-1] != OK {
					b.Fatal(err, x.Block.Results[benchBatch-1])
				}
			}
			perTransaction(b)
		})
	}
}

// BenchmarkExecuteDevice measures a block of one batch whose every record a device signed.
func BenchmarkExecuteDevice(b *testing.B) {
	for _, d := range []*device{eccDevice(b, iotID), rsaDevice(b, iotID, 2048), aesDevice(iotID)} {
		b.Run(d.kind.String()[len("DEVICE_KEY_TYPE_"):], func(b *testing.B) {
			w, _ := deviceWorld(b, d)
			value := strings.Repeat("v", MaxValue)
			var payloads [][]byte
			for i := range benchBatch {
				payloads = append(payloads, marshal(b, w.signed(m1UID, fmt.Sprintf("%032d", i), value, d.proof(b, value))))
			}
			in := w.input(w.chain.ID, w.batch(w.chain.ID, payloads, "o1", "o2", "o3"))
			b.ReportAllocs()
			for b.Loop() {
				x, err := Execute(in, w.state, ledger.VerifyEndorsement)
				if err != nil || x.Block.Results[benchBatch-1] != OK {
					b.Fatal(err, x.Block.Results[benchBatch-1])
				}
			}
			perTransaction(b)
		})
	}
}

func BenchmarkPreview(b *testing.B) {
	in, state := benchInput(b, false)
	b.ReportAllocs()
	for b.Loop() {
		if codes, err := previewCodes(in, startMs, in.Batches[0].GetTransactions(), state); err != nil || codes[benchBatch-1] != OK {
			b.Fatal(codes, err)
		}
	}
	perTransaction(b)
}

func BenchmarkAdmit(b *testing.B) {
	in, state := benchInput(b, false)
	b.ReportAllocs()
	for b.Loop() {
		if a, err := Admit(in, state, ledger.VerifyEndorsement); err != nil || a.Codes[benchBatch-1] != OK {
			b.Fatal(a.Codes, err)
		}
	}
	perTransaction(b)
}

func BenchmarkDecode(b *testing.B) {
	w := newWorld(b)
	p := marshal(b, w.tx(m1UID, set(w.key(m1UID, "x"), strings.Repeat("v", MaxValue))))
	b.Run("fast", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if decodeRecord(p) == nil {
				b.Fatal("not taken")
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decodeAny(p); err != nil {
				b.Fatal(err)
			}
		}
	})
}
