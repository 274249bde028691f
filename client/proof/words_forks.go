package proof

import (
	"fmt"
	"strings"
)

// forkSentences are the words of one language for comparisons and convictions.
type forkSentences struct {
	consistent, reserved, inconsistent, convicted, unproved string
	from, to, beginning, equal, signer                      string
	twoRoots, inconsistentKind, key, first, second, within  string
	proved, open, reservations                              string
	reservation                                             map[string]string
	never, whose                                            []string
}

func forkWordsOf(l Language) *forkSentences {
	if l == Chinese {
		return chineseForkWords()
	}
	return englishForkWords()
}

func englishForkWords() *forkSentences {
	return &forkSentences{
		consistent:   "The two checkpoints are of one history.",
		reserved:     "The two checkpoints are of one history, with the reservations below.",
		inconsistent: "The file does NOT show that the two checkpoints are of one history.",
		convicted:    "The file is sound, and what it proves is that %s signed two histories.",
		unproved:     "The file does NOT prove that any signer signed two histories.",
		from:         "The first checkpoint is of %d blocks of chain %s, with the root %x.",
		to:           "The second checkpoint is of %d blocks, with the root %x.",
		beginning:    "The %d blocks of the first are the first of the %d of the second: none was changed, left out or put in.",
		equal:        "Both are of one number of blocks and have one root.",
		signer:       "%s signed the %s when its clock showed %s.",
		first:        "first", second: "second",
		twoRoots:         "It signed two roots for %d blocks of chain %s: %x and %x. At most one of them is the chain's.",
		inconsistentKind: "It signed %d blocks of chain %s with the root %x, and %d blocks with the root %x.",
		within:           "In the second the first %d blocks have the root %x, which is another one.",
		key:              "The public key is %s. These signatures cannot be made without its private key.",
		proved:           "What is proved:", open: "What is not proved:", reservations: "Reservations:",
		reservation: map[string]string{
			"not-certified": "not-certified: no majority of the nodes signed both checkpoints.",
			"not-witnessed": "not-witnessed: majorities of the nodes signed both checkpoints, and of the organisations not both.",
			compromised: "key-compromised: the organisation ended this key as compromised. Who took it may have signed, at any " +
				"time.",
		},
		never: []string{"that the blocks are those which the network has, unless majorities signed",
			"anything about the content of a block: that is what a certificate is for"},
		whose: []string{"which of the two histories is the right one",
			"who used the key: its owner, or another who got hold of it",
			"whether it was intended: a copy of the key in two processes does the same"},
	}
}

func chineseForkWords() *forkSentences {
	return &forkSentences{
		consistent:   "两个检查点属于同一历史。",
		reserved:     "两个检查点属于同一历史，但有下列保留事项。",
		inconsistent: "该文件不能证明两个检查点属于同一历史。",
		convicted:    "该文件真实，它证明的是：%s 签署了两个历史。",
		unproved:     "该文件不能证明任何人签署了两个历史。",
		from:         "第一个检查点为链 %[2]s 的前 %[1]d 个区块，其根为 %[3]x。",
		to:           "第二个检查点为 %d 个区块，其根为 %x。",
		beginning:    "第一个检查点的 %d 个区块就是第二个检查点 %d 个区块的开头：没有一个被改动、遗漏或插入。",
		equal:        "两者区块数相同，根也相同。",
		signer:       "%s 签署了%s检查点，签署时其时钟为 %s。",
		first:        "第一个", second: "第二个",
		twoRoots:         "它为链 %[2]s 的 %[1]d 个区块签署了两个根：%[3]x 与 %[4]x。其中至多一个属于该链。",
		inconsistentKind: "它为链 %[2]s 的 %[1]d 个区块签署了根 %[3]x，又为 %[4]d 个区块签署了根 %[5]x。",
		within:           "在第二个检查点中，前 %d 个区块的根是 %x，与第一个不同。",
		key:              "公钥为 %s。没有相应的私钥，任何人都无法作出这些签名。",
		proved:           "已证明：", open: "未证明：", reservations: "保留事项：",
		reservation: map[string]string{
			"not-certified": "not-certified：没有多数节点同时签署这两个检查点。",
			"not-witnessed": "not-witnessed：多数节点签署了两个检查点，但没有多数组织同时签署两者。",
			compromised:     "key-compromised：该组织已宣布此密钥泄露。取得它的人可能在任何时间签名。",
		},
		never: []string{"这些区块就是网络所有的区块（除非多数已签署）", "区块内容的任何事项：那由存证证书证明"},
		whose: []string{"两个历史中哪一个是正确的", "谁使用了该密钥：密钥的所有者，或得到它的其他人",
			"是否出于故意：同一密钥用于两个进程也会如此"},
	}
}

// report collects the lines of a text.
type report struct{ strings.Builder }

func (r *report) line(format string, args ...any) { fmt.Fprintf(r, "  * "+format+"\n", args...) }

func (r *report) list(title string, sentences []string) {
	if len(sentences) == 0 {
		return
	}
	fmt.Fprintln(r, title)
	for _, s := range sentences {
		r.line("%s", s)
	}
}

func (r *report) signers(w *forkSentences, which string, c *Checkpoint) {
	for _, s := range c.Signers {
		r.line(w.signer, s.Name, which, clock(min(s.Seconds, 1<<50)*1000))
	}
}

func (w *forkSentences) reserve(words []string) (all []string) {
	for _, word := range words {
		all = append(all, w.reservation[word])
	}
	return all
}

// Text tells the comparison in words.
func (d *Comparison) Text(l Language) string {
	w, r := forkWordsOf(l), &report{}
	if d.Failure != nil {
		fmt.Fprintln(r, w.inconsistent)
		r.line("%s", d.Failure)
		return r.String()
	}
	if d.Outcome == Valid {
		fmt.Fprintln(r, w.consistent)
	} else {
		fmt.Fprintln(r, w.reserved)
	}
	fmt.Fprintln(r, w.proved)
	r.line(w.from, d.From.Size, d.Chain, d.From.Root)
	r.line(w.to, d.To.Size, d.To.Root)
	if d.From.Size == d.To.Size {
		r.line("%s", w.equal)
	} else {
		r.line(w.beginning, d.From.Size, d.To.Size)
	}
	r.signers(w, w.first, d.From)
	r.signers(w, w.second, d.To)
	r.list(w.reservations, w.reserve(d.Reservations))
	r.list(w.open, w.never)
	return r.String()
}

// Text tells the conviction in words.
func (v *Conviction) Text(l Language) string {
	w, r := forkWordsOf(l), &report{}
	if v.Failure != nil {
		fmt.Fprintln(r, w.unproved)
		r.line("%s", v.Failure)
		return r.String()
	}
	fmt.Fprintf(r, w.convicted+"\n", v.Signer)
	fmt.Fprintln(r, w.proved)
	if v.Kind == TwoRoots {
		r.line(w.twoRoots, v.First.Size, v.Chain, v.First.Root, v.Second.Root)
	} else {
		r.line(w.inconsistentKind, v.First.Size, v.Chain, v.First.Root, v.Second.Size, v.Second.Root)
		r.line(w.within, v.First.Size, v.Within)
	}
	r.signers(w, w.first, v.First)
	r.signers(w, w.second, v.Second)
	r.line(w.key, v.Key)
	r.list(w.reservations, w.reserve(v.Reservations))
	r.list(w.open, w.whose)
	return r.String()
}
