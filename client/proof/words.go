package proof

import (
	"fmt"
	"strings"
	"time"
)

// Language of the words of a verdict.
type Language string

// The languages.
const (
	English Language = "en"
	Chinese Language = "zh"
)

// sentences are the words of one language. docs/for-courts.md explains the same.
type sentences struct {
	outcome                                                                map[Outcome]string
	proved, open, reserved                                                 string
	id, record, account, signed, placed, executed                          string
	refused, value, withheld, device, log, signer, corrects, administrator string
	reservation                                                            map[string]string
	never                                                                  []string
}

// wordsOf returns the words of a language; English for one that is not known.
func wordsOf(l Language) *sentences {
	if l == Chinese {
		return chineseWords()
	}
	return englishWords()
}

func englishWords() *sentences {
	return &sentences{
		outcome: map[Outcome]string{Valid: "The certificate is valid.",
			Reserved: "The certificate is valid, with the reservations below.",
			Refused:  "The certificate is sound, and what it proves is that the network REFUSED the transaction.",
			Invalid:  "The certificate is NOT valid."},
		proved: "What is proved:", open: "What is not proved:", reserved: "Reservations:",
		id:     "The transaction has the hash %x. Any other content has another hash.",
		record: "It records a value under the Key %q (BusinessId or DataSeq %q).",
		value:  "The value is the %d bytes that the certificate shows; their SHA-256 is %x.",
		withheld: "The value is %d bytes, which the certificate does not show. Who has them can show that the " +
			"transaction commits to them.",
		corrects:      "It declares the record of transaction %x under the Key %q wrong and replaces it; the reason that it gives is %q.",
		administrator: "It does so in the name of the chain's administrator.",
		account:       "It names account %q; the process %q sent it.",
		device:        "It carries a signature of device %q, which is not checked here.",
		signed:        "Organisation %s signed that it accepts it, when its clock showed %s.",
		placed:        "It is number %d in block %d of chain %s, whose header has the time %s and the hash %x.",
		log:           "The block is in the checkpoint of %d blocks of its chain, whose root is %x.",
		signer:        "%s signed that checkpoint when its clock showed %s, and with it that no other root of that size is signed.",
		executed:      "The result in that block is %d, success.",
		refused:       "The result in that block is %d: nothing was recorded.",
		reservation: map[string]string{
			"not-certified": "not-certified: no majority of the nodes stands here for the block with this header being the one " +
				"that the network has at this height. Compare its hash with a node or with an organisation's own copy.",
			"not-witnessed": "not-witnessed: the nodes stand for the block, and no majority of the organisations does beside " +
				"them.",
			"trust-older-than-record": "trust-older-than-record: the trust file is older than the record. A key that was " +
				"replaced in between would still count here. Take a newer trust file.",
			"time-ahead": "time-ahead: the time of the block is more than two minutes after the clock of an organisation. The " +
				"network's time was ahead then, which its organisations decided to correct. Take the clocks.",
			"time-stands": "time-stands: the time of the block is more than a minute before the clocks of all these " +
				"organisations. Too few had signed for the time of the chain to go on, so it stood. Take the clocks.",
		},
		never: []string{
			"that the value was true, or unaltered, before it reached the ledger",
			"who used the account: that is the word of the process that sent it",
			"that the endorsements satisfied the chain's policy: that is the word of the nodes that executed it",
			"that it is the newest or the only record of its Key",
			"the time by a clock outside the network",
		},
	}
}

func chineseWords() *sentences {
	return &sentences{
		outcome: map[Outcome]string{Valid: "证书有效。", Reserved: "证书有效，但有下列保留事项。",
			Refused: "证书真实，但它证明的是：网络拒绝了这笔交易。", Invalid: "证书无效。"},
		proved: "已证明：", open: "未证明：", reserved: "保留事项：",
		id:            "交易的哈希为 %x。内容有任何不同，哈希就不同。",
		record:        "它在 Key %q 下登记了一个值（BusinessId 或 DataSeq 为 %q）。",
		value:         "该值即证书所示的 %d 个字节，其 SHA-256 为 %x。",
		withheld:      "该值有 %d 个字节，证书没有出示。持有该值者可以证明交易所承诺的正是它。",
		corrects:      "它声明交易 %x 在 Key %q 下的记录有误，并取代该记录；所述原因为 %q。",
		administrator: "它以业务链管理方的名义声明。",
		account:       "它写明账户 %q；由进程 %q 提交。",
		device:        "其中带有设备 %q 的签名，此处未作验证。",
		signed:        "组织 %s 签名表示接受，签名时其时钟为 %s。",
		placed:        "它是链 %[3]s 第 %[2]d 号区块中的第 %[1]d 笔交易；该区块头的时间为 %[4]s，哈希为 %[5]x。",
		log:           "该区块包含在其所属链前 %d 个区块的检查点中，检查点的根为 %x。",
		signer:        "%s 签署了该检查点，签署时其时钟为 %s；这同时表示它没有为同一区块数签署过别的根。",
		executed:      "该区块记载的结果为 %d，即成功。",
		refused:       "该区块记载的结果为 %d：没有登记任何数据。",
		reservation: map[string]string{
			"not-certified":           "not-certified：没有多数节点在此为该区块作证。请将其哈希与某个节点或某个组织自己的副本比对。",
			"not-witnessed":           "not-witnessed：节点为该区块作证，但没有多数组织同时作证。",
			"trust-older-than-record": "trust-older-than-record：信任文件早于该记录。其间被更换的密钥在此仍被视为有效。请使用较新的信任文件。",
			"time-ahead":              "time-ahead：区块时间比某个组织的时钟晚两分钟以上。当时网络时间超前，各组织正决定将其校正。请以各组织的时钟为准。",
			"time-stands":             "time-stands：区块时间比所列各组织的时钟都早一分钟以上。当时签名的组织太少，该链的时间停住不动。请以各组织的时钟为准。",
		},
		never: []string{"该值在上链之前是真实的，或未被改动", "谁使用了该账户：这取决于提交它的进程的陈述", "背书满足该链的策略：这取决于执行它的各节点的陈述",
			"它是该 Key 最新的或唯一的记录", "网络之外的时钟所确认的时间"},
	}
}

// Text tells the verdict in words: what is proved, what is reserved, and what is not proved.
func (v *Verdict) Text(l Language) string {
	w := wordsOf(l)
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "  * "+format+"\n", args...) }
	fmt.Fprintln(&b, w.outcome[v.Outcome])
	if v.Failure != nil {
		line("%s", v.Failure)
		return b.String()
	}
	fmt.Fprintln(&b, w.proved)
	t, h := v.Transaction, v.Header
	line(w.id, t.ID)
	if r := t.Record; r != nil {
		line(w.record, r.Key, r.BusinessID)
		if v.Withheld {
			line(w.withheld, r.Bytes)
		} else {
			line(w.value, len(v.Value), v.DataHash)
		}
		if c := r.Corrects; c != nil {
			line(w.corrects, c.TransactionID, c.Key, c.Reason)
			if c.ByAdministrator {
				line(w.administrator)
			}
		}
		if r.Device != "" {
			line(w.device, r.Device)
		}
	}
	line(w.account, t.Account, t.Submitter)
	for _, e := range v.Endorsers {
		line(w.signed, e.Organisation, clock(e.ClockMs))
	}
	line(w.placed, v.Place, h.Height, h.Chain, clock(h.TimeMs), h.Hash)
	if c := v.Checkpoint; c != nil {
		line(w.log, c.Size, c.Root)
		for _, s := range c.Signers {
			line(w.signer, s.Name, clock(min(s.Seconds, 1<<50)*1000))
		}
	}
	if v.Result == resultOK {
		line(w.executed, v.Result)
	} else {
		line(w.refused, v.Result)
	}
	if len(v.Reservations) > 0 {
		fmt.Fprintln(&b, w.reserved)
	}
	for _, word := range v.Reservations {
		line("%s", w.reservation[word])
	}
	fmt.Fprintln(&b, w.open)
	for _, sentence := range w.never {
		line("%s", sentence)
	}
	return b.String()
}

// clock spells a time; years that no calendar has are spelt as milliseconds.
func clock(ms int64) string {
	if ms > 253402300799999 {
		return fmt.Sprintf("%d ms after 1970", ms)
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05.000 UTC")
}
