package conformance

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ltl/client/device"
	"ltl/facade"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// user is an account with an AccessKey.
type user struct {
	name, uid, key, secret string
	// as are the names in valid calls of this user. Users without belongings use those of the member.
	as *belongings
}

// belongings are the names of what a user has on the two chains.
type belongings struct {
	typeCode string
	source          // the device that signs for the proof chain
	phase    source // the one that signs for the collaboration chain
	// key has two records, the newest with businessID; dataKey has one, with dataSeq, that refers to another.
	key, businessID, dataKey, dataSeq string
	// wrong is the transaction of a record that corrections name, wrongPhase one of the collaboration chain.
	wrong      string
	wrongPhase struct{ transaction, key, seq string }
}

// source is a device with its product, which is assigned to one chain, and the identifier of its group there.
type source struct {
	product, iotID, group string
	device                *device.Device
}

// sourceOf is the device that signs for the chain of an Action.
func (b *belongings) sourceOf(a *action) *source {
	if a.Service == "collaboration" {
		return &b.phase
	}
	return &b.source
}

// sign has the device sign a payload at a time.
func (s *source) sign(payload string, at time.Time) (*device.Parameters, error) {
	return s.device.Sign(payload, s.product, at)
}

// chain is a business chain.
type chain struct{ id, code, name string }

// world is a network with everything that valid calls name.
type world struct {
	*testkit.Network
	t       testing.TB
	table   []*action
	facade  *facade.Facade
	http    *http.Client
	sealing []byte

	admin, member, locked, outsider, unknown *user
	proof, collaboration                     chain
	// memberCollaboration is the member's MemberId on the collaboration chain.
	memberCollaboration string
	// group has the phases phase, which the member may write to, and phase2, which it may not. first is a record of
	// phase2 for references.
	group, groupName, phase, phaseName, phase2, first string
	// The spare ones may be changed by tests: members of both chains with their account, a device group with a device, a
	// phase group with a phase.
	spareUID, spareProof, spareCollaboration, spareGroup, spareDevice, sparePhaseGroup, sparePhase string

	serial atomic.Int64
	mu     sync.Mutex
	codes  map[string]map[string]bool // the codes that were seen, by Action
}

// noteCode records that an Action answered with a code.
func (w *world) noteCode(action, code string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.codes[action] == nil {
		w.codes[action] = map[string]bool{}
	}
	w.codes[action][code] = true
}

// fresh is a text of letters and digits that has not been used.
func (w *world) fresh(prefix string) string { return fmt.Sprintf("%s%06d", prefix, w.serial.Add(1)) }

// freshHex is a text of 64 hexadecimal characters that has not been used.
func (w *world) freshHex() string { return fmt.Sprintf("%064x", w.serial.Add(1)) }

// start starts a network of three nodes, three organisations and a facade.
func start(t *testing.T) *world {
	w := &world{
		Network: testkit.Start(t, testkit.Options{}), t: t, table: loadTable(t), codes: map[string]map[string]bool{},
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: time.Minute},
	}
	var err error
	if w.sealing, err = os.ReadFile(filepath.Join(w.Dir, "facades", "f1", "sealing.key")); err != nil {
		t.Fatal(err)
	}
	w.facade, err = facade.Open(context.Background(), facade.Config{
		Listen: "127.0.0.1:0", Client: w.Client(identity.RoleFacade), Network: w.Trust().NetworkID(),
		SealingKey: w.sealing, Trust: w.Trust(),
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.http.CloseIdleConnections()
		if err := w.facade.Close(); err != nil {
			t.Error(err)
		}
	})
	w.bootstrap()
	return w
}

// system submits a transaction of the system chain and returns its output.
func (w *world) system(tx *ltlv1.Transaction) string {
	tx.ChainId = ledger.SystemChain
	return w.Submit(identity.RoleOperator, tx).GetOutput()
}

// account creates an account that is on no chain.
func (w *world) account(kind ltlv1.AccountType) string {
	return w.system(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
		Name: w.fresh("account"), Type: kind, Organisation: w.Admin.Organisation,
	}}})
}

// user creates a RAM user with an AccessKey.
func (w *world) user(name string) *user { return w.userOf(name, ltlv1.AccountType_ACCOUNT_TYPE_RAM) }

func (w *world) userOf(name string, kind ltlv1.AccountType) *user {
	w.t.Helper()
	u := &user{name: name, uid: w.account(kind), key: w.fresh("key"), secret: w.fresh("secret")}
	w.PutAccessKey(testkit.Account{UID: u.uid, Organisation: w.Admin.Organisation}, u.key, u.secret)
	return u
}

// roomy is a chain with quotas that are too large to be used up by chance.
func roomy(name string, service ltlv1.ChainService, admin *user) *ltlv1.CreateChain {
	return &ltlv1.CreateChain{
		Name: name, Remark: name +
			"的备注", Service: service, AdministratorUid: admin.uid, Edition: ltlv1.Edition_EDITION_ENTERPRISE,
		MemberQuota: 1 << 20, PhaseGroupQuota: 1 << 20, PhaseQuota: 1 << 20,
	}
}

// chain creates a chain of all organisations.
func (w *world) chain(c *ltlv1.CreateChain) chain {
	w.t.Helper()
	if len(c.GetOrganisations()) == 0 {
		c.Organisations = []string{"org1", "org2", "org3"}
	}
	made := chain{id: w.system(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateChain{CreateChain: c}}),
		name: c.GetName()}
	r, err := w.Client(identity.RoleOperator).Ledger().ListChains(context.Background(), &ltlv1.ListChainsRequest{
		AccountUid: c.GetAdministratorUid(), Name: c.GetName(), Page: 1, Size: 100,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, x := range r.GetChains() {
		if x.GetChainId() == made.id {
			made.code = x.GetChainCode()
		}
	}
	if made.code == "" {
		w.t.Fatalf("the new chain %s is not listed: %v", made.id, r)
	}
	return made
}

// typeCode is the data type code of an account on a proof chain, as the account reads it.
func (w *world) typeCode(u *user, c chain) string {
	w.t.Helper()
	for _, row := range w.must(w.t, u, "ListProofChain", params{"Num": "1", "Size": "100"}).rows() {
		if row.str("BizChainId") == c.id {
			return row.str("DataTypeCode")
		}
	}
	w.t.Fatalf("%s is not on chain %s", u.name, c.id)
	return ""
}

// join makes an account a member of a chain and returns its MemberId.
func (w *world) join(admin *user, c chain, uid string) string {
	w.t.Helper()
	return w.must(w.t, admin, "CreateMember", params{
		"BizChainId": c.id, "MemberUid": uid, "MemberName": "某公司", "MemberContact": "张三", "MemberPhone": "1381111-0000",
		"Remark": "某应用某业务",
	}).text()
}

// bootstrap creates users, chains and everything else that valid calls name.
func (w *world) bootstrap() {
	w.t.Helper()
	w.admin, w.member, w.locked = w.user("the administrator"), w.user("the member"), w.user("the locked member")
	w.outsider, w.unknown = w.user("a member of other chains"), w.user("an account on no chain")
	other := w.user("another administrator")
	w.proof = w.chain(roomy("存证链", ltlv1.ChainService_CHAIN_SERVICE_PROOF, w.admin))
	w.collaboration = w.chain(roomy("协同链", ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION, w.admin))
	w.spareUID = w.account(ltlv1.AccountType_ACCOUNT_TYPE_RAM)
	for _, c := range []chain{w.proof, w.collaboration} {
		w.join(w.admin, c, w.member.uid)
		id := w.join(w.admin, c, w.locked.uid)
		w.must(w.t, w.admin, "LockMember", params{"BizChainId": c.id, "MemberId": id})
	}
	w.spareProof, w.spareCollaboration = w.join(w.admin, w.proof, w.spareUID), w.join(w.admin, w.collaboration, w.spareUID)
	for _, service := range []ltlv1.ChainService{ltlv1.ChainService_CHAIN_SERVICE_PROOF,
		ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION} {
		c := w.chain(roomy("other", service, other))
		w.join(other, c, w.outsider.uid)
	}
	w.phases()
	for _, u := range []*user{w.admin, w.member} {
		w.bootstrapUser(u)
	}
	w.locked.as, w.outsider.as, w.unknown.as = w.member.as, w.member.as, w.member.as
	w.bootstrapSpareDevice()
}

// phases creates the phase groups and authorises the member.
func (w *world) phases() {
	w.t.Helper()
	on := params{"BizChainId": w.collaboration.id}
	w.groupName, w.phaseName = "协同模型", "大米加工"
	w.group = w.must(w.t, w.admin, "CreateMPCoSPhaseGroup", on.with("Name", w.groupName, "Remark", "备注")).text()
	w.sparePhaseGroup = w.must(w.t, w.admin, "CreateMPCoSPhaseGroup", on.with("Name", "spare")).text()
	w.phase2 = w.must(w.t, w.admin, "CreateMPCoSPhase", on.with("Name", "大米种植", "PhaseGroupId", w.group)).text()
	w.phase = w.must(w.t, w.admin, "CreateMPCoSPhase", on.with("Name", w.phaseName, "PhaseGroupId", w.group)).text()
	w.sparePhase = w.must(w.t, w.admin, "CreateMPCoSPhase",
		on.with("Name", "spare", "PhaseGroupId", w.sparePhaseGroup)).text()
	id := w.must(w.t, w.admin, "ListMember", on.with("Num", "1", "Size", "1", "MemberUid",
		w.member.uid)).rows()[0].str("MemberId")
	w.must(w.t, w.admin, "UpdateMPCoSAuthorizedInfo", on.with("MemberId", id, "PhaseGroupId", w.group,
		"AuthorizedPhaseList", `["`+w.phase+`"]`))
	w.memberCollaboration = id
	w.first = w.fresh("First")
	w.must(w.t, w.admin, "UploadMPCoSPhaseTextInfo", on.with("PhaseGroupId", w.group, "PhaseId", w.phase2, "DataKey",
		w.first, "DataSeq", "1", "PhaseData", "first"))
}

// source enrols a device of a new product, assigns the product to a chain and registers its group there.
func (w *world) source(u *user, c chain, kind device.Type) source {
	w.t.Helper()
	s := source{product: w.fresh("product"), iotID: w.iotID()}
	s.device = w.enrol(c, s.product, s.iotID, kind)
	s.group = w.registers(u, c, s.product)
	return s
}

// enrol enrols a device of a product with a new key, and assigns the product to a chain.
func (w *world) enrol(c chain, product, iotID string, kind device.Type) *device.Device {
	w.t.Helper()
	key, err := device.Generate(kind)
	if err != nil {
		w.t.Fatal(err)
	}
	pem, err := key.EncodePublic()
	if err != nil {
		w.t.Fatal(err)
	}
	_, der, err := device.ParsePublic(pem)
	if err != nil {
		w.t.Fatal(err)
	}
	keyType := ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256
	if kind == device.RSA {
		keyType = ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_RSA_2048
	}
	w.system(&ltlv1.Transaction{Action: &ltlv1.Transaction_EnrollDevice{EnrollDevice: &ltlv1.EnrollDevice{
		ProductKey: product, IotId: iotID, KeyType: keyType, PublicKey: der,
	}}})
	w.system(&ltlv1.Transaction{Action: &ltlv1.Transaction_AssignProduct{AssignProduct: &ltlv1.AssignProduct{
		ProductKey: product, ChainId: c.id,
	}}})
	d, err := device.New(iotID, key.Sign)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// registers registers a device group.
func (w *world) registers(u *user, c chain, product string) string {
	w.t.Helper()
	return w.must(w.t, u, "RegisterDeviceGroup", params{
		"BizChainId": c.id, "AuthorizeType": "ID2", "DeviceGroupName": "某数据源组", "ProductKey": product, "Remark": "某业务某设备",
	}).text()
}

// bootstrapUser creates a device and records of a user of both chains.
func (w *world) bootstrapUser(u *user) {
	w.t.Helper()
	u.as = &belongings{
		typeCode: w.typeCode(u, w.proof), source: w.source(u, w.proof, device.ECC), businessID: w.freshHex(),
		phase: w.source(u, w.collaboration, device.ECC), dataKey: w.fresh("Data"), dataSeq: w.freshHex(),
	}
	u.as.key = w.freshKey(u.as)
	wrong := params{"Key": w.freshKey(u.as), "ProductKey": w.proof.code, "Value": "wrong"}
	w.must(w.t, u, "SetData", wrong)
	u.as.wrong = w.transaction(u, wrong["Key"])
	for _, name := range []string{"AttachData", "AttachDataWithSignature"} {
		a := w.action(name)
		w.must(w.t, u, name, w.call(a, u, params{"Key": u.as.key, "BusinessId": u.as.businessID, "Value": "某公司某业务数据。"}).
			without(corrections...))
		if name == "AttachData" {
			u.as.businessID = w.freshHex()
		}
	}
	of := &u.as.wrongPhase
	of.key, of.seq = w.fresh("Data"), w.freshHex()
	phase := params{"BizChainId": w.collaboration.id, "PhaseGroupId": w.group, "PhaseId": w.phase, "DataKey": of.key,
		"DataSeq": of.seq}
	w.must(w.t, u, "UploadMPCoSPhaseTextInfo", phase.with("PhaseData", "wrong"))
	of.transaction = w.must(w.t, u, "DescribeMPCoSPhaseInfo", phase).data().str("TransactionHash")
	a := w.action("UploadMPCoSPhaseTextInfoByDevice")
	w.must(w.t, u, a.Name, w.call(a, u, params{"DataKey": u.as.dataKey, "DataSeq": u.as.dataSeq,
		"PhaseData": "某公司某业务数据。"}).without(corrections...))
}

// corrections are the parameters of corrections. The manual does not have them, so its clients never send them.
var corrections = []string{"CorrectsTransactionHash", "CorrectsReason", "CorrectsDataKey", "CorrectsDataSeq"}

// transaction is the hash of the transaction that wrote the newest record of a Key.
func (w *world) transaction(u *user, key string) string {
	w.t.Helper()
	text := w.must(w.t, u, "GetBlockChainInfo", params{"Key": key, "ProductKey": w.proof.code}).text()
	info, err := parseJSON([]byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	return info.get("blockChainInfo").get("transactionHash").text
}

// iotID is 24 hexadecimal characters, the form of ID2.
func (w *world) iotID() string { return strings.ToUpper(fmt.Sprintf("00FFFF%018x", w.serial.Add(1))) }

// bootstrapSpareDevice creates a device group with a device whose authorisation tests may withdraw.
func (w *world) bootstrapSpareDevice() {
	w.t.Helper()
	as := *w.admin.as
	as.source = w.source(w.admin, w.proof, device.RSA)
	w.spareGroup = as.group
	spare := *w.admin
	spare.as = &as
	a := w.action("SetDataWithSignature")
	w.must(w.t, &spare, a.Name, w.call(a, &spare, nil))
	w.spareDevice = w.must(w.t, w.admin, "ListDevice", params{"BizChainId": w.proof.id, "DeviceGroupId": w.spareGroup,
		"Num": "1", "Size": "2"}).rows()[0].str("DeviceId")
}

// action is a row of the table.
func (w *world) action(name string) *action {
	for _, a := range w.table {
		if a.Name == name {
			return a
		}
	}
	w.t.Fatalf("the table has no Action %s", name)
	return nil
}

// freshKey is a Key that has not been used.
func (w *world) freshKey(as *belongings) string {
	return "0001_" + w.proof.code + "_" + as.typeCode + "_" + hex.EncodeToString([]byte(w.fresh("id")))
}
