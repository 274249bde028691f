package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"ltl/client"
	ltlv1 "ltl/proto/ltl/v1"
)

// The examples use a network that "ltl up --dir ltl-data" started. Chains and accounts are in ltl-data/network.json.
const (
	exampleChain     = "1000000000000001"
	exampleChainCode = "ABCDEFGHIJKLMNOP"
	exampleUID       = "100000000000000001"
	exampleKey       = "0001_ABCDEFGHIJKLMNOP_WXYZ_invoice-17"
)

// connect opens a client for the examples.
func connect() *client.Client {
	trust, err := client.LoadTrust("ltl-data/pki/trust.json")
	if err != nil {
		log.Fatal(err)
	}
	credentials, err := client.LoadCredentials("ltl-data/pki/clients/bench", trust)
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.Open(client.Config{Credentials: credentials, Trust: trust})
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// Writing a record and reading it back. The account must be one of the client's own organisation.
func Example() {
	trust, err := client.LoadTrust("ltl-data/pki/trust.json")
	if err != nil {
		log.Fatal(err)
	}
	credentials, err := client.LoadCredentials("ltl-data/pki/clients/bench", trust)
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.Open(client.Config{Credentials: credentials, Trust: trust})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx := context.Background()
	key := client.RecordKey("ABCDEFGHIJKLMNOP", "WXYZ", "invoice-17")
	tx := client.SetData("1000000000000001", "100000000000000001", key, "paid")
	result, err := c.Submit(ctx, tx)
	if errors.Is(err, client.ErrUnavailable) {
		result, err = c.Submit(ctx, tx) // the same transaction: it is written at most once
	}
	switch {
	case err != nil:
		log.Fatal(err)
	case result.GetCode() != client.CodeOK:
		log.Fatal(client.Message(result.GetCode()))
	}
	fmt.Printf("in block %d, %x\n", result.GetBlockHeight(), result.GetBlockHash())

	out, err := c.Ledger().GetRecord(ctx, &ltlv1.GetRecordRequest{ChainCode: "ABCDEFGHIJKLMNOP", Key: key})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.GetRecord().GetValue(), out.GetRecord().GetEndorsementNames())
}

// A configuration with a logger, a node to read from and a shorter deadline.
func ExampleOpen() {
	trust, err := client.LoadTrust("ltl-data/pki/trust.json")
	if err != nil {
		log.Fatal(err)
	}
	credentials, err := client.LoadCredentials("ltl-data/pki/clients/bench", trust)
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.Open(client.Config{
		Credentials: credentials, Trust: trust,
		Logger:     slog.New(slog.NewTextHandler(os.Stderr, nil)),
		PreferNode: "node1", SubmitTimeout: 5 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
}

// A trust file lists the organisations, nodes and endorsers that the network began with.
func ExampleLoadTrust() {
	trust, err := client.LoadTrust("ltl-data/pki/trust.json")
	if err != nil {
		log.Fatal(err)
	}
	for _, n := range trust.Genesis().GetNodes() {
		fmt.Println(n.GetId(), n.GetAddress())
	}
}

// Certificates that are no longer valid are still accepted, so a program warns before the end.
func ExampleLoadCredentials() {
	trust, err := client.LoadTrust("ltl-data/pki/trust.json")
	if err != nil {
		log.Fatal(err)
	}
	credentials, err := client.LoadCredentials("ltl-data/pki/clients/bench", trust)
	if err != nil {
		log.Fatal(err)
	}
	if left := time.Until(credentials.CertificateExpiry()); left < 30*24*time.Hour {
		log.Printf("the certificate expires in %v; renew it", left)
	}
}

// The results of Submit: written, refused, not written, and unknown.
func ExampleClient_Submit() {
	c := connect()
	defer c.Close()
	tx := client.AttachData(exampleChain, exampleUID, exampleKey, "sent")
	result, err := c.Submit(context.Background(), tx)
	switch {
	case errors.Is(err, client.ErrOverloaded):
		// Nothing was written. Try again later.
	case errors.Is(err, client.ErrUnavailable):
		// The outcome may be unknown. Submit the same tx again: the answer is the first result.
	case err != nil:
		log.Fatal(err) // the request cannot succeed as it is
	case result.GetCode() == client.CodeQuotaExceeded:
		// Refused by the ledger's rules. Codes that need their own handling have constants.
	case result.GetCode() != client.CodeOK:
		log.Fatal(client.Message(result.GetCode()), " ", result.GetReason())
	default:
		fmt.Println("block", result.GetBlockHeight())
	}
}

// Transactions without a builder are made of their Action. The system chain holds accounts and chains; operators write
// to it.
func ExampleClient_Submit_action() {
	c := connect()
	defer c.Close()
	result, err := c.Submit(context.Background(), &ltlv1.Transaction{
		ChainId: "0000000000000000",
		Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
			Name: "sensors", Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "org1",
		}},
	})
	if err != nil || result.GetCode() != client.CodeOK {
		log.Fatal(result, err)
	}
	fmt.Println("uid", result.GetOutput())
}

// Close ends what is pending with ErrClosed. A transaction that was under way may still be written.
func ExampleClient_Close() {
	c := connect()
	if err := c.Close(); err != nil {
		log.Fatal(err)
	}
	_, err := c.Submit(context.Background(), client.SetData(exampleChain, exampleUID, exampleKey, "late"))
	fmt.Println(errors.Is(err, client.ErrClosed))
}

// A service compares its clock with the network's every ten seconds.
func ExampleClient_HearClocks() {
	c := connect()
	defer c.Close()
	ahead, heard := c.HearClocks(context.Background())
	fmt.Println(ahead, "ahead of the median of", heard, "clocks and this one")
}

func ExampleClient_NetworkTime() {
	c := connect()
	defer c.Close()
	c.HearClocks(context.Background())
	fmt.Println(c.NetworkTime())
}

func ExampleClient_Organisation() {
	c := connect()
	defer c.Close()
	fmt.Println("a client of organisation", c.Organisation())
}

func ExampleClient_CertificateExpiry() {
	c := connect()
	defer c.Close()
	fmt.Println("valid until", c.CertificateExpiry())
}

// An operator puts an AccessKey on the ledger, which commits to its sealed secret, and then stores that.
func ExampleClient_PutSealed() {
	c := connect()
	defer c.Close()
	var sealed []byte // the secret under the organisation's sealing key; see docs/bytes.md
	if err := c.PutSealed(context.Background(), "LTAI5tExample", sealed); err != nil {
		log.Fatal(err)
	}
}

// A backup reads all sealed secrets from a node.
func ExampleClient_WatchSealed() {
	c := connect()
	defer c.Close()
	done := errors.New("everything has been delivered")
	keys := map[string]*ltlv1.SealedKey{}
	err := c.WatchSealed(context.Background(), 0, func(k *ltlv1.SealedKey) error {
		if k == nil {
			return done
		}
		keys[k.GetAccessKeyId()] = k
		return nil
	})
	fmt.Println(len(keys), err)
}

// A facade follows the AccessKeys at its own organisation's endorser.
func ExampleClient_WatchAccessKeys() {
	c := connect()
	defer c.Close()
	err := c.WatchAccessKeys(context.Background(), func(changed []*ltlv1.AccessKeyInfo) {
		for _, k := range changed { // none: the endorser only says that it is there
			fmt.Println(k.GetId(), "of account", k.GetAccountUid(), "is", k.GetState())
		}
	})
	log.Fatal(err)
}

func ExampleLedger_ListAccessKeys() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().ListAccessKeys(context.Background(),
		&ltlv1.ListAccessKeysRequest{AccountUid: exampleUID, Page: 1, Size: 100})
	if err != nil {
		log.Fatal(err)
	}
	for _, k := range out.GetAccessKeys() {
		fmt.Println(k.GetId(), k.GetState(), "version", k.GetVersion())
	}
}

// An operator gives the AES key of a device to its organisation's endorser, and then enrols the device.
func ExampleClient_PutDeviceKey() {
	c := connect()
	defer c.Close()
	key := make([]byte, 32) // from the device
	if err := c.PutDeviceKey(context.Background(), "hKpHMh2abcd", "00FFFF098598F3BDD8221234", key); err != nil {
		log.Fatal(err)
	}
}

// Reads are linearizable. A copy that may be a little behind is enough for many uses, and takes no round trip to the
// leader.
func ExampleClient_Ledger() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().GetNetwork(context.Background(), &ltlv1.GetNetworkRequest{
		Consistency: ltlv1.Consistency_CONSISTENCY_LOCAL,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.GetNetwork(), len(out.GetOrganisations()))
}

// Every code has a sentence that says what to do.
func ExampleMessage() {
	fmt.Println(client.Message(client.CodeBadValue))
	// Output: The value must not be empty.
}

func ExampleRecordKey() {
	fmt.Println(client.RecordKey("ABCDEFGHIJKLMNOP", "WXYZ", "invoice-17"))
	// Output: 0001_ABCDEFGHIJKLMNOP_WXYZ_invoice-17
}

func ExampleSetData() {
	tx := client.SetData(exampleChain, exampleUID, exampleKey, "paid")
	value, _ := client.ValueOf(tx)
	fmt.Println(tx.GetChainId(), tx.GetSetData().GetKey(), value)
	// Output: 1000000000000001 0001_ABCDEFGHIJKLMNOP_WXYZ_invoice-17 paid
}

func ExampleAttachData() {
	tx := client.AttachData(exampleChain, exampleUID, exampleKey, "sent")
	value, _ := client.ValueOf(tx)
	fmt.Println(tx.GetAttachData().GetKey(), value)
	// Output: 0001_ABCDEFGHIJKLMNOP_WXYZ_invoice-17 sent
}

// A record that names an earlier one, which it declares wrong, is made by hand.
func ExampleValues() {
	tx := &ltlv1.Transaction{
		ChainId: exampleChain, AccountUid: exampleUID,
		Action: &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{
			Key: exampleKey, Corrects: &ltlv1.Correction{Key: exampleKey, Reason: "mistyped"}}},
		Openings: client.Values("paid"),
	}
	fmt.Println(len(tx.GetOpenings().GetOpenings()), tx.GetAttachData().GetValue())
	// Output: 1 <nil>
}

// The value travels beside the transaction, which commits to it.
func ExampleValueOf() {
	value, ok := client.ValueOf(client.SetData(exampleChain, exampleUID, exampleKey, "paid"))
	fmt.Println(value, ok)
	// Output: paid true
}

// The id is the hash of the transaction with what Submit fills in: version, nonce, submitter and time.
func ExampleTransactionID() {
	tx := &ltlv1.Transaction{ChainId: exampleChain, AccountUid: exampleUID,
		Action: &ltlv1.Transaction_LockMember{LockMember: &ltlv1.LockMember{MemberId: "1", Locked: true}}}
	tx.Version, tx.Nonce, tx.Submitter, tx.CreatedMs = 1, make([]byte, 16), "org1/client/bench", 1599722505821
	id, err := client.TransactionID(tx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%x\n", id)
	// Output: 181e9505257a3e5023c5a246a127d9abf2cc7b60fdae29df6076905a289f4231
}
