package rules

import (
	"fmt"
	"strings"
	"testing"

	ltlv1 "ltl/proto/ltl/v1"
)

// changed is a single upload with one thing changed.
func (c *collaboration) changed(change func(*ltlv1.UploadPhaseData, *ltlv1.PhaseItem)) *ltlv1.UploadPhaseData {
	u := c.upload("key", "data", "")
	change(u, u.GetItems()[0])
	return u
}

func many(n int, item func(i int) *ltlv1.PhaseItem) (items []*ltlv1.PhaseItem) {
	for i := range n {
		items = append(items, item(i))
	}
	return items
}

// TestPhaseValues: every value at its bound and just past it, as a single upload and as an item of a batch.
func TestPhaseValues(t *testing.T) {
	c := newCollaboration(t)
	c.must(c.act(m1UID, c.upload("there", "x", "s")))
	digest := func(s string) func(*ltlv1.UploadPhaseData, *ltlv1.PhaseItem) {
		return func(u *ltlv1.UploadPhaseData, i *ltlv1.PhaseItem) {
			u.Form, i.PhaseData = ltlv1.DataForm_DATA_FORM_DIGEST, s
		}
	}
	data := func(s string) func(*ltlv1.UploadPhaseData, *ltlv1.PhaseItem) {
		return func(_ *ltlv1.UploadPhaseData, i *ltlv1.PhaseItem) { i.PhaseData = s }
	}
	dataKey := func(s string) func(*ltlv1.UploadPhaseData, *ltlv1.PhaseItem) {
		return func(_ *ltlv1.UploadPhaseData, i *ltlv1.PhaseItem) { i.DataKey = s }
	}
	seq := func(s string) func(*ltlv1.UploadPhaseData, *ltlv1.PhaseItem) {
		return func(_ *ltlv1.UploadPhaseData, i *ltlv1.PhaseItem) { i.DataSeq = s }
	}
	related := func(phase, key, data, seq string) func(*ltlv1.UploadPhaseData, *ltlv1.PhaseItem) {
		return func(_ *ltlv1.UploadPhaseData, i *ltlv1.PhaseItem) {
			i.Related = []*ltlv1.RelatedData{{PhaseId: phase, DataKey: key, PhaseData: data, DataSeq: seq}}
		}
	}
	code := func(id string) string { p, _ := GetPhase(c.state, c.chain.ID, id); return p.Code }
	whole := PhaseKey(c.chain.Code, code(c.first), "there")
	for _, v := range []struct {
		what          string
		change        func(*ltlv1.UploadPhaseData, *ltlv1.PhaseItem)
		single, batch int32
	}{
		{"one character", data("x"), OK, OK},
		{"no data", data(""), BadValue, BadValue},
		{"4096 of ASCII", data(strings.Repeat("x", 4096)), OK, OK},
		{"4097 of ASCII", data(strings.Repeat("x", 4097)), ValueTooLong, SubValueTooLong},
		{"2048 Chinese", data(strings.Repeat("米", 2048)), OK, OK},
		{"2048 Chinese and one", data(strings.Repeat("米", 2048) + "x"), ValueTooLong, SubValueTooLong},
		{"2047 beyond the first plane and two", data(strings.Repeat("𠀀", 2047) + "\x00\n"), OK, OK},
		{"2048 beyond the first plane and one", data(strings.Repeat("𠀀", 2048) + "x"), ValueTooLong, SubValueTooLong},
		{"the last of ASCII", data(strings.Repeat("\x7f", 4096)), OK, OK},
		{"the first beyond ASCII", data(strings.Repeat("\u0080", 2049)), ValueTooLong, SubValueTooLong},
		{"a digest", digest(strings.Repeat("aF", 32)), OK, OK},
		{"a digest of 63", digest(strings.Repeat("a", 63)), OutOfRange, OutOfRange},
		{"a digest of 65", digest(strings.Repeat("a", 65)), OutOfRange, OutOfRange},
		{"no hexadecimal digest", digest(strings.Repeat("a", 63) + "g"), OutOfRange, OutOfRange},
		{"no digest", digest(""), BadValue, BadValue},
		{"a long digest", digest(strings.Repeat("a", 5000)), OutOfRange, OutOfRange},
		{"no form", func(u *ltlv1.UploadPhaseData, _ *ltlv1.PhaseItem) { u.Form = 0 }, OutOfRange, OutOfRange},
		{"form 3", func(u *ltlv1.UploadPhaseData, _ *ltlv1.PhaseItem) { u.Form = 3 }, OutOfRange, OutOfRange},
		{"data key of 64", dataKey(strings.Repeat("aZ09", 16)), OK, OK},
		{"data key of 65", dataKey(strings.Repeat("a", 65)), OutOfRange, OutOfRange},
		{"no data key", dataKey(""), OutOfRange, OutOfRange},
		{"data key with _", dataKey("a_b"), OutOfRange, OutOfRange},
		{"data key with - and .", dataKey("-a.b-"), OK, OK},
		{"data key with +", dataKey("a+b"), OutOfRange, OutOfRange},
		{"data key in Chinese", dataKey("米"), OutOfRange, OutOfRange},
		{"data key with a zero byte", dataKey("a\x00"), OutOfRange, OutOfRange},
		{"whole data key", dataKey(whole), OutOfRange, OutOfRange},
		{"data seq of 64", seq(strings.Repeat("z", 64)), OK, OK},
		{"data seq of 65", seq(strings.Repeat("z", 65)), OutOfRange, OutOfRange},
		{"data seq with - and .", seq("2026.11-27"), OK, OK},
		{"data seq with a blank", seq("a b"), OutOfRange, OutOfRange},
		{"related", related(c.first, "there", "x", "s"), OK, OK},
		{"related newest", related(c.first, "there", "x", ""), OK, OK},
		{"related by its whole key", related(c.first, whole, "x", ""), OK, OK},
		{"related with other data", related(c.first, "there", "not x", "s"), OK, OK},
		{"related in another phase, absent", related(c.second, "there", "x", ""), NotFound, NotFound},
		{"related by a whole key of another phase", related(c.second, whole, "x", ""), OutOfRange, OutOfRange},
		{"related by a key of version 1", related(c.first, "0001"+whole[4:], "x", ""), OutOfRange, OutOfRange},
		{"related in another group", related(c.else_, "there", "x", ""), NotFound, NotFound},
		{"related in no phase", related("1234567890123456", "there", "x", ""), NotFound, NotFound},
		{"related in a phase with a bad id", related("", "there", "x", ""), NotFound, NotFound},
		{"related to no such key", related(c.first, "There", "x", ""), NotFound, NotFound},
		{"related to no such seq", related(c.first, "there", "x", "S"), NotFound, NotFound},
		{"related to a bad key", related(c.first, "the_re", "x", ""), OutOfRange, OutOfRange},
		{"related to a bad seq", related(c.first, "there", "x", "_"), OutOfRange, OutOfRange},
		{"related without data", related(c.first, "there", "", ""), BadValue, BadValue},
		{"related data at the bound", related(c.first, "there", strings.Repeat("米", 2048), ""), OK, OK},
		{"related data past it", related(c.first, "there", strings.Repeat("米", 2048)+"x", ""), ValueTooLong, SubValueTooLong},
	} {
		c.want(v.what, c.act(m1UID, c.changed(v.change)), v.single)
		u := c.changed(v.change)
		u.Batch, u.Items = true, append([]*ltlv1.PhaseItem{{DataKey: "other", PhaseData: strings.Repeat("a", 64)}},
			u.GetItems()...)
		c.want("in a batch: "+v.what, c.act(m1UID, u), v.batch)
	}
}

// TestPhaseCounts: how many items and how many related data.
func TestPhaseCounts(t *testing.T) {
	c := newCollaboration(t)
	c.must(c.act(m1UID, c.upload("there", "x", "s")))
	item := func(i int) *ltlv1.PhaseItem { return &ltlv1.PhaseItem{DataKey: fmt.Sprint("k", i), PhaseData: "x"} }
	c.want("one item", c.act(m1UID, c.batchOf(many(1, item)...)), OK)
	c.want("50 items", c.act(m1UID, c.batchOf(many(50, item)...)), OK)
	c.want("51 items", c.act(m1UID, c.batchOf(many(51, item)...)), BatchTooLong)
	c.want("51 bad items", c.act(m1UID, c.batchOf(make([]*ltlv1.PhaseItem, 51)...)), BatchTooLong)
	c.want("no items", c.act(m1UID, c.batchOf()), OutOfRange)
	c.want("a single upload of none", c.act(m1UID,
		c.changed(func(u *ltlv1.UploadPhaseData, _ *ltlv1.PhaseItem) { u.Items = nil })), OutOfRange)
	c.want("a single upload of two", c.act(m1UID,
		c.changed(func(u *ltlv1.UploadPhaseData, _ *ltlv1.PhaseItem) { u.Items = many(2, item) })), OutOfRange)
	c.want("a list that no device signed", c.act(m1UID, &ltlv1.UploadPhaseData{
		PhaseGroupId: c.group, PhaseId: c.first, Form: ltlv1.DataForm_DATA_FORM_TEXT, Batch: true,
		List: `[{"dataKey":"a","phaseData":"b"}]`,
	}), OutOfRange)
	for n, want := range map[int]int32{50: OK, 51: OutOfRange} {
		u := c.upload("key", "x", "")
		for range n {
			u.Items[0].Related = append(u.Items[0].Related,
				&ltlv1.RelatedData{PhaseId: c.first, DataKey: "there", PhaseData: "x"})
		}
		c.want(fmt.Sprint(n, " related"), c.act(m1UID, u), want)
	}
	full := func(i int) *ltlv1.PhaseItem {
		return &ltlv1.PhaseItem{DataKey: fmt.Sprint("k", i), PhaseData: strings.Repeat("𠀀", 2048),
			Related: []*ltlv1.RelatedData{
				{PhaseId: c.first, DataKey: "there", PhaseData: strings.Repeat("𠀀", 2048)},
			}}
	}
	c.want("50 items of the longest data and related data", c.act(m1UID, c.batchOf(many(50, full)...)), OK)
}

// TestPhaseDuplicates: a phase, data key and data seq once, on the chain and in a batch; the case of the letters
// matters.
func TestPhaseDuplicates(t *testing.T) {
	c := newCollaboration(t)
	c.must(c.act(m1UID, c.upload("k", "x", "s")))
	item := func(key, seq string) *ltlv1.PhaseItem {
		return &ltlv1.PhaseItem{DataKey: key, PhaseData: "y", DataSeq: seq}
	}
	c.want("again", c.act(m1UID, c.upload("k", "other", "s")), DuplicateKey)
	c.want("another seq", c.act(m1UID, c.upload("k", "x", "S")), OK)
	c.want("another key", c.act(m1UID, c.upload("K", "x", "s")), OK)
	c.want("without a seq", c.act(m1UID, c.upload("k", "x", "")), OK)
	elsewhere := c.upload("k", "x", "s")
	elsewhere.PhaseId = c.second
	c.want("another phase", c.act(rootUID, elsewhere), OK)
	c.want("in a batch, again", c.act(m1UID, c.batchOf(item("a", "s"), item("k", "s"))), BatchDuplicateKey)
	c.want("twice in a batch", c.act(m1UID, c.batchOf(item("a", "s"), item("b", "s"), item("a", "s"))), BatchRepeatedKey)
	c.want("twice in a batch and again", c.act(m1UID, c.batchOf(item("k", "s"), item("k", "s"))), BatchRepeatedKey)
	c.want("twice without a seq", c.act(m1UID, c.batchOf(item("a", ""), item("a", ""))), OK)
	c.want("one key, two seqs", c.act(m1UID, c.batchOf(item("a", "s"), item("a", "S"))), OK)
	results := c.apply(c.act(m1UID, c.upload("new", "x", "s")), c.act(m1UID, c.upload("new", "x", "s")),
		c.act(m1UID, c.batchOf(item("b", "1"), item("new", "s"))), c.act(m1UID, c.batchOf(item("b", "1"))))
	for i, want := range []int32{OK, DuplicateKey, BatchDuplicateKey, OK} {
		if results[i].GetCode() != want {
			t.Errorf("transaction %d of one block: %d, want %d", i, results[i].GetCode(), want)
		}
	}
}

// TestRelatedInOneBlock: what stands in front of an upload can be referred to, an upload's own items cannot.
func TestRelatedInOneBlock(t *testing.T) {
	c := newCollaboration(t)
	to := func(key, seq string) *ltlv1.RelatedData {
		return &ltlv1.RelatedData{PhaseId: c.first, DataKey: key, PhaseData: "x", DataSeq: seq}
	}
	results := c.apply(
		c.act(m1UID, c.upload("a", "x", "s", to("a", ""))),
		c.act(m1UID, c.upload("a", "x", "s")),
		c.act(m1UID, c.upload("b", "x", "", to("a", ""), to("a", "s"))),
		c.act(m1UID, c.batchOf(&ltlv1.PhaseItem{DataKey: "c", PhaseData: "x", DataSeq: "1"},
			&ltlv1.PhaseItem{DataKey: "d", PhaseData: "x", Related: []*ltlv1.RelatedData{to("c", "")}})),
		c.act(m1UID, c.batchOf(&ltlv1.PhaseItem{DataKey: "c", PhaseData: "x", DataSeq: "1"},
			&ltlv1.PhaseItem{DataKey: "d", PhaseData: "x", Related: []*ltlv1.RelatedData{to("c", "1")}})))
	for i, want := range []int32{NotFound, OK, OK, NotFound, NotFound} {
		if results[i].GetCode() != want {
			t.Errorf("transaction %d: %d, want %d", i, results[i].GetCode(), want)
		}
	}
}

// TestPhaseQuotas: at the bound and one past it, in records and in bytes; related data do not count, a batch counts
// wholly.
func TestPhaseQuotas(t *testing.T) {
	chain := collaborationChain()
	chain.CountQuota, chain.CapacityQuotaBytes, chain.PhaseGroupQuota, chain.PhaseQuota = 5, 20, 2, 2
	c := onCollaborationChain(t, chain)
	group := func() *ltlv1.Transaction { return c.act(rootUID, &ltlv1.CreatePhaseGroup{Name: "group"}) }
	c.group = c.must(group())[0].GetOutput()
	c.other = c.must(group())[0].GetOutput()
	c.want("a third group", group(), QuotaExceeded)
	phase := func(group string) *ltlv1.Transaction {
		return c.act(rootUID, &ltlv1.CreatePhase{PhaseGroupId: group, Name: "phase"})
	}
	c.first = c.must(phase(c.group), phase(c.group))[0].GetOutput()
	c.want("a third phase", phase(c.group), QuotaExceeded)
	c.want("a phase of the other group", phase(c.other), OK)
	item := func(data string) *ltlv1.PhaseItem {
		return &ltlv1.PhaseItem{DataKey: "k", PhaseData: data}
	}
	c.must(c.act(rootUID, c.batchOf(item("米"), item("aaa"))))
	c.want("three records more", c.act(rootUID, c.batchOf(item("a"), item("a"), item("a"))), OK)
	c.want("four records more", c.act(rootUID, c.batchOf(item("a"), item("a"), item("a"), item("a"))), QuotaExceeded)
	related := &ltlv1.RelatedData{PhaseId: c.first, DataKey: "k", PhaseData: strings.Repeat("r", 100)}
	c.want("14 bytes more", c.act(rootUID, c.upload("k", strings.Repeat("a", 14), "", related)), OK)
	c.want("15 bytes more", c.act(rootUID, c.upload("k", strings.Repeat("a", 15), "")), QuotaExceeded)
	c.want("14 bytes more in Chinese and ASCII", c.act(rootUID, c.batchOf(item("米米米米"), item("aa"))), OK)
	c.want("15 bytes more in Chinese", c.act(rootUID, c.batchOf(item("米米米米"), item("米"))), QuotaExceeded)
	if u, err := GetUsage(c.state, c.chain.ID, ""); err != nil || u.Count != 2 || u.Bytes != 6 {
		t.Errorf("usage %+v, %v: what is refused must not count", u, err)
	}
}

// TestPhaseWriters: which accounts may write to a phase, and that the permission stays with the member's entry.
func TestPhaseWriters(t *testing.T) {
	c := newCollaboration(t)
	on := func(uid, phase string) *ltlv1.Transaction {
		u := c.upload("k", "x", "")
		u.PhaseId = phase
		return c.act(uid, u)
	}
	wrongGroup := c.upload("k", "x", "")
	wrongGroup.PhaseGroupId = c.other
	c.want("authorised", on(m1UID, c.first), OK)
	c.want("another phase", on(m1UID, c.second), Forbidden)
	c.want("another member", on(m2UID, c.first), Forbidden)
	c.want("the administrator", on(rootUID, c.second), OK)
	c.want("no member", on(freeUID, c.first), Forbidden)
	c.want("no phase", on(m1UID, "0000000000000000"), NotFound)
	c.want("no phase, from an account without any permission", on(m2UID, "0000000000000000"), NotFound)
	c.want("the phase of another group", c.act(m1UID, wrongGroup), NotFound)
	c.want("no right, bad values", c.act(m2UID, c.upload("k", "", "")), Forbidden)

	c.must(c.act(rootUID, &ltlv1.LockMember{MemberId: c.m1, Locked: true}))
	c.want("locked", on(m1UID, c.first), Forbidden)
	c.must(c.act(rootUID, &ltlv1.LockMember{MemberId: c.m1}))
	c.want("unlocked", on(m1UID, c.first), OK)
	c.must(c.act(rootUID, &ltlv1.ModifyMember{MemberId: c.m1, MemberUid: freeUID, Name: "某公司", Contact: "张三", Phone: "1"}))
	c.want("the account that took the entry over", on(freeUID, c.first), OK)
	c.want("the former one", on(m1UID, c.first), Forbidden)
	c.must(c.act(rootUID, &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: c.m1}))
	c.want("withdrawn", on(freeUID, c.first), Forbidden)
	results := c.apply(c.act(rootUID, &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: c.m2,
		PhaseIds: []string{c.second}}), on(m2UID, c.second))
	if results[1].GetCode() != OK {
		t.Errorf("authorised in the same block: %d", results[1].GetCode())
	}
}

// TestPhaseTerm: uploads need a term that has begun and is not over, and a chain of the right kind.
func TestPhaseTerm(t *testing.T) {
	chain := collaborationChain()
	chain.EffectiveMs, chain.ExpiredMs = startMs+1000, startMs+2000
	c := onCollaborationChain(t, chain)
	c.group = c.must(c.act(rootUID, &ltlv1.CreatePhaseGroup{Name: "group"}))[0].GetOutput()
	c.first = c.must(c.act(rootUID, &ltlv1.CreatePhase{PhaseGroupId: c.group, Name: "phase"}))[0].GetOutput()
	for i, want := range []int32{Forbidden, OK, OK, Forbidden} {
		c.now = startMs + []int64{999, 1000, 1999, 2000}[i]
		c.want(fmt.Sprint("at ", c.now), c.act(rootUID, c.upload("k", "x", "")), want)
	}
	c.want("a group on an expired chain", c.act(rootUID, &ltlv1.CreatePhaseGroup{Name: "group"}), Forbidden)
	w := newWorld(t)
	w.want("on a proof chain", w.act(rootUID, &ltlv1.CreatePhaseGroup{Name: "group"}), NotFound)
	w.want("an upload to a proof chain", w.act(rootUID, c.upload("k", "x", "")), NotFound)
}

// TestPhaseDevices: the list that a device signed is the list that is stored, and nothing else will do.
func TestPhaseDevices(t *testing.T) {
	d := eccDevice(t, iotID)
	c := newCollaboration(t)
	c.must(c.operator(enroll(d.enrolment())))
	c.assign(productKey)
	c.must(c.tx(m1UID, register(productKey)))
	const list = ` [ {"dataKey":"k","phaseData":"\u7c73","dataSeq":"s"} , {"dataKey":"k","phaseData":"b"} ] `
	batch := func(text string) *ltlv1.UploadPhaseData {
		u := c.batchOf()
		u.List, u.Device = text, d.proof(t, text)
		return u
	}
	c.want("a signed list", c.act(m1UID, batch(list)), OK)
	c.want("a long list", c.act(m1UID, batch("["+strings.Repeat(`{"dataKey":"k","phaseData":"b"},`, 50)+`{}]`)),
		BatchTooLong)
	c.want("no list", c.act(m1UID, batch(`{"dataKey":"k"}`)), OutOfRange)
	c.want("an empty list", c.act(m1UID, batch(`[]`)), OutOfRange)
	c.want("a bad item", c.act(m1UID, batch(`[{"dataKey":"k","phaseData":""}]`)), BadValue)
	single := batch(list)
	single.Batch = false
	c.want("a list that is no batch", c.act(m1UID, single), OutOfRange)
	both := batch(list)
	both.Items = []*ltlv1.PhaseItem{{DataKey: "a", PhaseData: "b"}}
	c.want("list and items", c.act(m1UID, both), OutOfRange)
	other := batch(list)
	other.List += " "
	c.want("another list", c.act(m1UID, other), BadDigest)
	flat := c.batchOf(&ltlv1.PhaseItem{DataKey: "a", PhaseData: "b"})
	flat.Device = d.proof(t, "")
	c.want("items beside a signature over nothing", c.act(m1UID, flat), BadDigest)
	flat.Device = &ltlv1.DeviceProof{}
	c.want("items beside an empty proof", c.act(m1UID, flat), BadIoT)
	one := c.upload("a", "数据", "")
	one.Device = d.proof(t, "数据")
	c.want("a single upload", c.act(m1UID, one), OK)
	one.Device.DataDigest = strings.ToLower(one.Device.DataDigest)
	c.want("its digest in lower case", c.act(m1UID, one), BadDigest)
	sum := strings.Repeat("aB", 32)
	digest := c.upload("a", sum, "")
	digest.Form, digest.Device = ltlv1.DataForm_DATA_FORM_DIGEST, d.proof(t, sum)
	c.want("the digest of a digest", c.act(m1UID, digest), OK)
	digest.Device = d.proofAt(t, strings.ToUpper(sum), d.at)
	c.want("a digest itself", c.act(m1UID, digest), OK)
	digest.Form = ltlv1.DataForm_DATA_FORM_TEXT
	c.want("a text that looks like a digest", c.act(m1UID, digest), BadDigest)
	digest.Form, digest.Device = ltlv1.DataForm_DATA_FORM_DIGEST, d.proofAt(t, sum, d.at)
	c.want("a digest itself, not in capitals", c.act(m1UID, digest), BadDigest)
	c.want("of another's group", c.act(rootUID, batch(list)), Forbidden)

	u := batch(list)
	result := c.must(c.act(m1UID, u))[0]
	if got := strings.Split(result.GetOutput(), ","); len(got) != 2 || got[0] != "s" {
		t.Errorf("DataSeqs %v", got)
	}
	if l := c.record(c.first, "k", ""); l == nil || l.Version() != 2 {
		t.Errorf("newest %+v", l)
	}
	if usage, err := GetUsage(c.state, c.chain.ID, m1UID); err != nil || usage != (Usage{Count: 2, Bytes: 4}) {
		t.Errorf("usage %+v, %v", usage, err)
	}
	u.List = list[1:]
	u.Device = d.proof(t, list)
	c.want("the signature of another list", c.act(m1UID, u), BadDigest)
	again := batch(list)
	c.want("the same list signed again", c.act(m1UID, again), BatchDuplicateKey)
}

// TestPhaseDeviceTrace: an upload that a device signed leaves the device's record, a refused one leaves none; a
// signature counts once; and a secret key's holder has to endorse phase data as it has to endorse proofs.
func TestPhaseDeviceTrace(t *testing.T) {
	d, secret := eccDevice(t, iotID), aesDevice("secret")
	c := newCollaboration(t)
	c.must(c.operator(enroll(d.enrolment())), c.operator(enroll(secret.enrolment())))
	c.assign(productKey)
	group := c.must(c.tx(m1UID, register(productKey)))[0].GetOutput()
	device := func() *Device {
		v, err := GetDevice(c.state, c.chain.ID, group, iotID)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	proof := d.proof(t, "data")
	single := func(seq string) *ltlv1.UploadPhaseData {
		u := c.upload("k", "data", seq)
		u.Device = proof
		return u
	}
	c.must(c.act(m1UID, c.upload("k", "x", "taken")))
	if r := c.apply(c.act(m1UID, single("taken")))[0]; r.GetCode() != DuplicateKey || device() != nil {
		t.Errorf("refused: %v, and the device %+v", r, device())
	}
	c.now += 5000
	r := c.must(c.act(m1UID, single("free")))[0]
	if v := device(); v == nil || v.LastSaveMs != c.now || v.CreatedHeight != r.GetBlockHeight() {
		t.Errorf("device %+v", v)
	}
	c.want("the same signature over another DataSeq", c.act(m1UID, single("other")), Forbidden)

	const list = `[{"dataKey":"k","phaseData":"a"}]`
	u := c.batchOf()
	u.List, u.Device = list, secret.proof(t, list)
	p := [][]byte{marshal(t, c.act(m1UID, u))}
	v, err := Preview(c.input(c.chain.ID), c.now, p, c.state)
	if err != nil || v[0] != (Verdict{Code: OK, Required: "o1"}) {
		t.Errorf("Preview %+v, %v", v, err)
	}
	for orgs, want := range map[string]int32{"o2 o3": NotEndorsed, "o1 o3": OK} {
		if x := c.execute(c.chain.ID, c.batch(c.chain.ID, p, strings.Fields(orgs)...)); x.Results[0][0].GetCode() != want {
			t.Errorf("endorsed by %s: %d, want %d", orgs, x.Results[0][0].GetCode(), want)
		}
	}
}

// TestPhaseReasons: refusals whose code says too little come with a sentence of their own.
func TestPhaseReasons(t *testing.T) {
	c := newCollaboration(t)
	related := func(phase, key string) *ltlv1.UploadPhaseData {
		return c.upload("k", "x", "", &ltlv1.RelatedData{PhaseId: phase, DataKey: key, PhaseData: "x"})
	}
	none := c.upload("k", "x", "")
	none.PhaseId = c.else_
	whole := PhaseKey(c.chain.Code, "0000", "k")
	for _, v := range []struct {
		uid    string
		action any
		want   string
	}{
		{m1UID, none, reasonNoPhase}, {m2UID, c.upload("k", "x", ""), reasonNoPermission}, {m1UID, related(c.else_, "k"),
			reasonRelatedPhase},
		{m1UID, related(c.first, "k"), reasonRelatedRecord}, {m1UID, related(c.first, whole), reasonRelatedKey},
		{m1UID, &ltlv1.CreatePhaseGroup{Name: "ab"}, ReasonAdministrator},
		{rootUID, &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: c.chain.AdministratorMemberID}, reasonAllPhases},
		{rootUID, &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: c.m1, PhaseIds: []string{c.else_}},
			reasonUnknownPhases},
	} {
		got, err := Preview(c.input(c.chain.ID), c.now, [][]byte{marshal(t, c.act(v.uid, v.action))}, c.state)
		if err != nil || got[0].Reason != v.want {
			t.Errorf("%T: %+v, %v, want %q", v.action, got, err, v.want)
		}
	}
}
