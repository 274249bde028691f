package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/client"
	ltlv1 "ltl/proto/ltl/v1"
)

func ExampleLedger_GetRecord() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().GetRecord(context.Background(), &ltlv1.GetRecordRequest{
		ChainCode: exampleChainCode, Key: exampleKey, AccountUid: exampleUID,
	})
	switch {
	case err != nil:
		log.Fatal(err)
	case out.GetCode() == client.CodeNotFound:
		fmt.Println("no record")
	case out.GetCode() != client.CodeOK:
		log.Fatal(client.Message(out.GetCode()))
	default:
		fmt.Println(out.GetRecord().GetValue(), "in block", out.GetRecord().GetBlockHeight())
	}
}

// Pages count from 1 and hold at most 100 records.
func ExampleLedger_ListHistory() {
	c := connect()
	defer c.Close()
	for page, seen := uint32(1), uint64(0); ; page++ {
		out, err := c.Ledger().ListHistory(context.Background(), &ltlv1.ListHistoryRequest{
			ChainCode: exampleChainCode, Key: exampleKey, AccountUid: exampleUID, Page: page, Size: 100,
		})
		if err != nil || out.GetCode() != client.CodeOK {
			log.Fatal(out.GetCode(), err)
		}
		for _, r := range out.GetRecords() { // newest first
			fmt.Println(r.GetVersion(), time.UnixMilli(r.GetTimeMs()), r.GetValue())
		}
		if seen += uint64(len(out.GetRecords())); seen >= out.GetTotal() {
			return
		}
	}
}

func ExampleLedger_CountHistory() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().CountHistory(context.Background(), &ltlv1.CountHistoryRequest{
		ChainCode: exampleChainCode, Key: exampleKey, AccountUid: exampleUID, StartMs: time.Now().Add(-time.Hour).UnixMilli(),
		EndMs: time.Now().UnixMilli(),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.GetCount(), "records in the last hour")
}

// The type code of an account on a chain is part of the Keys that it writes.
func ExampleLedger_ListChains() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().ListChains(context.Background(),
		&ltlv1.ListChainsRequest{AccountUid: exampleUID, Page: 1, Size: 100})
	if err != nil {
		log.Fatal(err)
	}
	for _, chain := range out.GetChains() {
		fmt.Println(chain.GetChainId(), client.RecordKey(chain.GetChainCode(), chain.GetDataTypeCode(), "1"))
	}
}

// Result is the code of the transaction's execution, Code that of the read.
func ExampleLedger_GetTransaction() {
	c := connect()
	defer c.Close()
	tx := client.SetData(exampleChain, exampleUID, exampleKey, "paid")
	if _, err := c.Submit(context.Background(), tx); err != nil {
		log.Fatal(err)
	}
	id, err := client.TransactionID(tx)
	if err != nil {
		log.Fatal(err)
	}
	out, err := c.Ledger().GetTransaction(context.Background(), &ltlv1.GetTransactionRequest{TransactionHash: id[:]})
	if err != nil || out.GetCode() != client.CodeOK {
		log.Fatal(out.GetCode(), err)
	}
	fmt.Println("block", out.GetBlockHeight(), "result", out.GetResult())
}

func ExampleLedger_GetNetwork() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().GetNetwork(context.Background(), &ltlv1.GetNetworkRequest{})
	if err != nil {
		log.Fatal(err)
	}
	for _, o := range out.GetOrganisations() {
		fmt.Println(o.GetId(), o.GetName(), o.GetEndorserAddress())
	}
}

func ExampleLedger_GetAccount() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().GetAccount(context.Background(), &ltlv1.GetAccountRequest{Uid: exampleUID})
	if err != nil || out.GetCode() != client.CodeOK {
		log.Fatal(out.GetCode(), err)
	}
	fmt.Println(out.GetAccounts()[0].GetName(), out.GetAccounts()[0].GetOrganisation())
}

func ExampleLedger_GetChain() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().GetChain(context.Background(),
		&ltlv1.GetChainRequest{ChainId: exampleChain, AccountUid: exampleUID})
	if err != nil || out.GetCode() != client.CodeOK {
		log.Fatal(out.GetCode(), err)
	}
	fmt.Println(out.GetChain().GetChain().GetPolicy(), out.GetUsedMembers())
}

func ExampleLedger_Status() {
	c := connect()
	defer c.Close()
	for _, name := range []string{"node1", "endorser/org1"} {
		out, err := c.Ledger().Status(context.Background(), name)
		if err != nil {
			log.Print(err)
			continue
		}
		fmt.Println(name, out.GetRole(), out.GetSequence(), out.GetFault())
	}
}

// Blocks of one chain, decoded, up to the newest at the time of the call.
func ExampleLedger_Blocks() {
	c := connect()
	defer c.Close()
	in := &ltlv1.BlocksRequest{ChainId: exampleChain, FromHeight: 1}
	err := c.Ledger().Blocks(context.Background(), in, func(block *ltlv1.Block) error {
		b, err := client.ParseBlock(block)
		if err != nil {
			return err
		}
		fmt.Printf("%d %x\n", b.Height, b.Hash)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
}

// A program that handles every block once stores the sequence with what it made of the block, and goes on from there
// when it starts again.
func ExampleLedger_Follow() {
	c := connect()
	defer c.Close()
	next := uint64(0) // from storage
	err := c.Ledger().Follow(context.Background(), next, func(sequence uint64, b *client.Block) error {
		for _, t := range b.Transactions {
			if set := t.Transaction.GetSetData(); set != nil && t.Code == client.CodeOK {
				value, _ := client.ValueOf(t.Transaction)
				fmt.Println(b.Time, set.GetKey(), value)
			}
		}
		next = sequence + 1 // to storage
		return nil
	})
	log.Fatal(err)
}

func ExampleLedger_FollowHeaders() {
	c := connect()
	defer c.Close()
	next := uint64(0) // from storage
	err := c.Ledger().FollowHeaders(context.Background(), next, func(h client.BlockHeader) error {
		fmt.Println(h.ChainID, h.Height, h.Time, h.Transactions)
		next = h.Sequence + 1 // to storage
		return nil
	})
	log.Fatal(err)
}

func ExampleParseBlock() {
	_, err := client.ParseBlock(&ltlv1.Block{})
	fmt.Println(err)
	// Output: client: block: malformed: block header of 0 bytes, want 221
}

func ExampleLedger_ListMembers() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().ListMembers(context.Background(), &ltlv1.ListMembersRequest{
		ChainId: exampleChain, AccountUid: exampleUID, Page: 1, Size: 100,
	})
	if err != nil || out.GetCode() != client.CodeOK {
		log.Fatal(out.GetCode(), err)
	}
	fmt.Println(out.GetTotal(), out.GetMembers())
}

func ExampleLedger_ListDeviceGroups() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().ListDeviceGroups(context.Background(), &ltlv1.ListDeviceGroupsRequest{
		ChainId: exampleChain, AccountUid: exampleUID, Page: 1, Size: 100,
	})
	if err != nil || out.GetCode() != client.CodeOK {
		log.Fatal(out.GetCode(), err)
	}
	fmt.Println(out.GetTotal(), out.GetGroups())
}

func ExampleLedger_ListDevices() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().ListDevices(context.Background(), &ltlv1.ListDevicesRequest{
		ChainId: exampleChain, AccountUid: exampleUID, DeviceGroupId: "1", Page: 1, Size: 100,
	})
	if err != nil || out.GetCode() != client.CodeOK {
		log.Fatal(out.GetCode(), err)
	}
	fmt.Println(out.GetTotal(), out.GetDevices())
}

func ExampleLedger_ListEnrolments() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().ListEnrolments(context.Background(), &ltlv1.ListEnrolmentsRequest{
		ProductKey: "hKpHMh2abcd", Page: 1, Size: 100,
	})
	if err != nil || out.GetCode() != client.CodeOK {
		log.Fatal(out.GetCode(), err)
	}
	fmt.Println(out.GetTotal(), out.GetDevices())
}

func ExampleLedger_ListProducts() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().ListProducts(context.Background(), &ltlv1.ListProductsRequest{Page: 1, Size: 100})
	if err != nil || out.GetCode() != client.CodeOK {
		log.Fatal(out.GetCode(), err)
	}
	fmt.Println(out.GetTotal(), out.GetProducts())
}

func ExampleLedger_ListPhaseGroups() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().ListPhaseGroups(context.Background(), &ltlv1.ListPhaseGroupsRequest{
		ChainId: exampleChain, AccountUid: exampleUID, Page: 1, Size: 100,
	})
	if err != nil || out.GetCode() != client.CodeOK {
		log.Fatal(out.GetCode(), err)
	}
	fmt.Println(out.GetTotal(), out.GetGroups())
}

func ExampleLedger_ListPhases() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().ListPhases(context.Background(), &ltlv1.ListPhasesRequest{
		ChainId: exampleChain, AccountUid: exampleUID, PhaseGroupId: "1", Page: 1, Size: 100,
	})
	if err != nil || out.GetCode() != client.CodeOK {
		log.Fatal(out.GetCode(), err)
	}
	fmt.Println(out.GetTotal(), out.GetPhases())
}

func ExampleLedger_GetPhaseAuthorization() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().GetPhaseAuthorization(context.Background(), &ltlv1.GetPhaseAuthorizationRequest{
		ChainId: exampleChain, AccountUid: exampleUID, PhaseGroupId: "1", MemberId: "1",
	})
	if err != nil || out.GetCode() != client.CodeOK {
		log.Fatal(out.GetCode(), err)
	}
	fmt.Println(out.GetAuthorized(), out.GetUnauthorized())
}

func ExampleLedger_GetPhaseRecord() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().GetPhaseRecord(context.Background(), &ltlv1.GetPhaseRecordRequest{
		ChainId: exampleChain, AccountUid: exampleUID, PhaseGroupId: "1", PhaseId: "1", DataKey: "batch-7", DataSeq: "1",
	})
	if err != nil || out.GetCode() != client.CodeOK {
		log.Fatal(out.GetCode(), err)
	}
	fmt.Println(out.GetRecord())
}

func ExampleLedger_ListPhaseRecords() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().ListPhaseRecords(context.Background(), &ltlv1.ListPhaseRecordsRequest{
		ChainId: exampleChain, AccountUid: exampleUID, PhaseGroupId: "1", PhaseId: "1", DataKey: "batch-7", Page: 1,
		Size: 100,
	})
	if err != nil || out.GetCode() != client.CodeOK {
		log.Fatal(out.GetCode(), err)
	}
	for _, r := range out.GetRecords() { // oldest first
		fmt.Println(r)
	}
}

func ExampleLedger_Proposals() {
	c := connect()
	defer c.Close()
	out, err := c.Ledger().Proposals(context.Background(), &ltlv1.ProposalsRequest{})
	if err != nil || out.GetCode() != client.CodeOK {
		log.Fatal(out.GetCode(), err)
	}
	for _, p := range out.GetProposals() { // those that are open, oldest first
		fmt.Printf("%x: %s\n", p.GetProposalId(), p.GetWords())
	}
}

func ExampleLedger_ProposalsAt() {
	c := connect()
	defer c.Close()
	own := "endorser/org1" // its copy is verified by the organisation itself
	out, err := c.Ledger().ProposalsAt(context.Background(), own, &ltlv1.ProposalsRequest{})
	if err != nil || out.GetCode() != client.CodeOK {
		log.Fatal(out.GetCode(), err)
	}
	for _, p := range out.GetProposals() {
		fmt.Printf("%x: %s, asked: %v\n", p.GetProposalId(), p.GetWords(), p.GetAsked())
	}
}

// What an endorser says of its own copy depends on no node.
func ExampleLedger_At() {
	c := connect()
	defer c.Close()
	own := c.Ledger().At("endorser/org1")
	out, err := own.GetChain(context.Background(), &ltlv1.GetChainRequest{ChainId: exampleChain})
	if err != nil || out.GetCode() != client.CodeOK {
		log.Fatal(out.GetCode(), err)
	}
	fmt.Println("height", out.GetChain().GetHeight(), "in the copy of org1")
}

func ExampleLedger_PrepareProposal() {
	c := connect()
	defer c.Close()
	change := &ltlv1.Transaction{
		ChainId: "0000000000000000", // the system chain
		Action: &ltlv1.Transaction_RemoveOrganisation{
			RemoveOrganisation: &ltlv1.RemoveOrganisation{Id: "org3"},
		},
	}
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(change)
	if err != nil {
		log.Fatal(err)
	}
	out, err := c.Ledger().PrepareProposal(context.Background(), &ltlv1.PrepareProposalRequest{Transaction: payload})
	if err != nil {
		log.Fatal(err)
	}
	if out.GetProposal() { // otherwise Submit makes the change itself
		out.Propose.ExpiryMs = time.Now().AddDate(0, 0, 7).UnixMilli()
		change.Action = &ltlv1.Transaction_Propose{Propose: out.GetPropose()}
	}
	result, err := c.Submit(context.Background(), change)
	if err != nil || result.GetCode() != client.CodeOK {
		log.Fatal(result, err)
	}
}
