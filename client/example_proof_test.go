package client_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"os"

	"ltl/client"
	"ltl/client/proof"
	ltlv1 "ltl/proto/ltl/v1"
)

// exampleTrust reads the trust file that a verifier has.
func exampleTrust() *proof.Trust {
	file, err := os.ReadFile("trust.json")
	if err != nil {
		log.Fatal(err)
	}
	trust, err := proof.ParseTrust(file)
	if err != nil {
		log.Fatal(err)
	}
	return trust
}

// The transaction hash is what a write returned.
func ExampleLedger_Certificate() {
	c := connect()
	defer c.Close()
	var id [32]byte
	if _, err := hex.Decode(id[:], []byte("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")); err != nil {
		log.Fatal(err)
	}
	certificate, err := c.Ledger().Certificate(context.Background(), id, "", "")
	if errors.Is(err, client.ErrNotRecorded) {
		fmt.Println("no such transaction")
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	file, err := certificate.Encode()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(proof.Verify(file, exampleTrust()).Text(proof.English))
}

// A checkpoint shows a stranger that a quorum of nodes and organisations signed the history that holds the record.
func ExampleLedger_Certify() {
	c := connect()
	defer c.Close()
	file, err := os.ReadFile("record.json")
	if err != nil {
		log.Fatal(err)
	}
	certificate, err := proof.ParseCertificate(file)
	if err != nil {
		log.Fatal(err)
	}
	err = c.Ledger().Certify(context.Background(), certificate, exampleTrust())
	if errors.Is(err, client.ErrTwoHistories) {
		log.Fatal("keep this as evidence: ", err)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// Two checkpoints of one chain, kept at different times, are of one history when the later continues the earlier.
func ExampleLedger_ProveConsistency() {
	c := connect()
	defer c.Close()
	trust := exampleTrust()
	var checkpoints [2]*proof.Checkpoint
	for i, name := range []string{"earlier.note", "later.note"} {
		text, err := os.ReadFile(name)
		if err != nil {
			log.Fatal(err)
		}
		if checkpoints[i], err = trust.Checkpoint(string(text)); err != nil {
			log.Fatal(err)
		}
	}
	path, err := c.Ledger().ProveConsistency(context.Background(), exampleChain, checkpoints[0].Size, checkpoints[1].Size)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(proof.VerifyConsistency(checkpoints[0], checkpoints[1], path))
}

// Two checkpoints that were kept at different times are compared; where no history has both, each file convicts one signer.
func ExampleLedger_Compare() {
	c := connect()
	defer c.Close()
	earlier, err := os.ReadFile("earlier.note")
	if err != nil {
		log.Fatal(err)
	}
	later, err := os.ReadFile("later.note")
	if err != nil {
		log.Fatal(err)
	}
	consistency, err := c.Ledger().Compare(context.Background(), exampleTrust(), string(earlier), string(later))
	var fork *client.ForkError
	if errors.As(err, &fork) {
		for i, file := range fork.Misbehaviours {
			if err := os.WriteFile(fmt.Sprintf("misbehaviour-%d.json", i), file, 0o600); err != nil {
				log.Fatal(err)
			}
		}
	}
	if err != nil {
		log.Fatal(err)
	}
	file, err := consistency.Encode()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", file)
}

// A checkpoint from another source is shown to the network: a signer of it that signs another history is convicted.
func ExampleLedger_ShowCheckpoint() {
	c := connect()
	defer c.Close()
	note, err := os.ReadFile("theirs.note")
	if err != nil {
		log.Fatal(err)
	}
	for _, file := range c.Ledger().ShowCheckpoint(context.Background(), exampleTrust(), string(note)) {
		fmt.Println(proof.VerifyMisbehaviour(file, exampleTrust()).Signer)
	}
}

// A caller that needs no files asks for ErrTwoHistories, which every ForkError wraps.
func ExampleForkError_Unwrap() {
	c := connect()
	defer c.Close()
	_, err := c.Ledger().Compare(context.Background(), exampleTrust(), "", "")
	fmt.Println(errors.Is(err, client.ErrTwoHistories))
}

func ExampleLedger_GetKeys() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().GetKeys(context.Background(), &ltlv1.GetKeysRequest{})
	if err != nil {
		log.Fatal(err)
	}
	for _, k := range out.GetOrganisationKeys() {
		if k.GetUntil() == 0 {
			fmt.Printf("%s signs with %x\n", k.GetOrganisation(), k.GetKey())
		} else {
			fmt.Printf("%s signed with %x until block %d of the system chain\n", k.GetOrganisation(), k.GetKey(), k.GetUntil())
		}
	}
}

// The number of keys that sign today, by the own organisation's copy of the ledger.
func ExampleLedger_PresentKeys() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().PresentKeys(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(out.GetOrganisationKeys()), len(out.GetNodeKeys()))
}

// The newest checkpoint of a chain, kept in a file: what the chain holds up to then cannot be denied later.
func ExampleLedger_Checkpoint() {
	c := connect()
	defer c.Close()
	trust := exampleTrust()
	text, err := c.Ledger().Checkpoint(context.Background(), exampleChain, 1, trust)
	if err != nil {
		log.Fatal(err)
	}
	checkpoint, err := trust.Checkpoint(text)
	if err != nil {
		log.Fatal(err)
	}
	if trust.Level(checkpoint, 0) != proof.Witnessed {
		log.Fatal("too few have signed it")
	}
	if err := os.WriteFile("chain.note", []byte(text), 0o644); err != nil {
		log.Fatal(err)
	}
}

// The record is checked against what a majority of the nodes and of the organisations signed. A node that lies is left
// for another one.
func ExampleLedger_VerifiedRecord() {
	trust, err := client.LoadTrust("ltl-data/pki/trust.json")
	if err != nil {
		log.Fatal(err)
	}
	credentials, err := client.LoadCredentials("ltl-data/pki/clients/bench", trust)
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.Open(client.Config{Credentials: credentials, Trust: trust, Verify: proof.Witnessed})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	out, checkpoint, err := c.Ledger().VerifiedRecord(context.Background(), &ltlv1.GetRecordRequest{
		ChainCode: exampleChainCode, Key: exampleKey, AccountUid: exampleUID})
	if err != nil {
		log.Fatal(err)
	}
	if checkpoint != nil {
		fmt.Println(out.GetRecord().GetValue(), "is in the history of", checkpoint.Size, "blocks")
	}
}

func ExampleLedger_VerifiedPhaseRecord() {
	c := connect() // with Config.Verify empty nothing is checked, and there is no checkpoint
	defer c.Close()
	out, checkpoint, err := c.Ledger().VerifiedPhaseRecord(context.Background(), &ltlv1.GetPhaseRecordRequest{
		ChainId: exampleChain, PhaseGroupId: "2000000000000001", PhaseId: "3000000000000001", DataKey: "lot-17",
		AccountUid: exampleUID})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.GetRecord().GetDataValue(), checkpoint != nil)
}

// A program that runs for long watches the number of false answers; the log has the nodes.
func ExampleClient_Caught() {
	c := connect()
	defer c.Close()
	if c.Caught() > 0 {
		fmt.Println("a node lies; see the log")
	}
}
