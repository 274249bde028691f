// Command records writes a record to a network that "ltl up" started, reads it back, and follows the blocks until it
// sees the one with the record. It uses the exported API of ltl/client only:
//
//	ltl up --dir ltl-data --http 127.0.0.1:8080
//	go run ./records --dir ltl-data
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"ltl/client"
	ltlv1 "ltl/proto/ltl/v1"
)

func main() {
	dir := flag.String("dir", "ltl-data", "directory of a network that ltl up started")
	id := flag.String("id", fmt.Sprint(time.Now().UnixMilli()), "last part of the record's Key")
	value := flag.String("value", "hello", "the record's value")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, *dir, *id, *value); err != nil {
		log.Fatal(err)
	}
}

// network is what this program needs of network.json, which ltl up writes.
type network struct {
	Chains []struct {
		Service   string `json:"service"`
		ChainID   string `json:"bizChainId"`
		ChainCode string `json:"bizChainCode"`
	} `json:"chains"`
	Accounts []struct {
		Role     string `json:"role"`
		UID      string `json:"uid"`
		TypeCode string `json:"dataTypeCode"`
	} `json:"accounts"`
}

func run(ctx context.Context, dir, id, value string) (err error) {
	raw, err := os.ReadFile(filepath.Join(dir, "network.json"))
	if err != nil {
		return err
	}
	var n network
	if err := json.Unmarshal(raw, &n); err != nil {
		return fmt.Errorf("network.json: %w", err)
	}
	chain, account := n.Chains[0], n.Accounts[0] // the proof chain and its administrator

	trust, err := client.LoadTrust(filepath.Join(dir, "pki", "trust.json"))
	if err != nil {
		return err
	}
	credentials, err := client.LoadCredentials(filepath.Join(dir, "pki", "clients", "bench"), trust)
	if err != nil {
		return err
	}
	c, err := client.Open(client.Config{Credentials: credentials, Trust: trust})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()

	// The position in the ledger before the write: the blocks are followed from there.
	status, err := c.Ledger().Status(ctx, trust.Genesis().GetNodes()[0].GetId())
	if err != nil {
		return err
	}
	key := client.RecordKey(chain.ChainCode, account.TypeCode, id)
	tx := client.SetData(chain.ChainID, account.UID, key, value)
	if err := write(ctx, c, tx); err != nil {
		return err
	}
	if err := read(ctx, c, chain.ChainCode, account.UID, key); err != nil {
		return err
	}
	return follow(ctx, c, status.GetSequence(), tx)
}

// write submits the transaction until its outcome is known.
func write(ctx context.Context, c *client.Client, tx *ltlv1.Transaction) error {
	result, err := c.Submit(ctx, tx)
	for errors.Is(err, client.ErrUnavailable) && ctx.Err() == nil {
		result, err = c.Submit(ctx, tx) // the same transaction: it is written at most once
	}
	if err != nil {
		return err
	}
	if code := result.GetCode(); code != client.CodeOK {
		return fmt.Errorf("the record is refused with code %d: %s", code, client.Message(code))
	}
	fmt.Printf("written   block %d of chain %s, block hash %x\n", result.GetBlockHeight(), result.GetChainId(),
		result.GetBlockHash())
	return nil
}

// read reads the record back.
func read(ctx context.Context, c *client.Client, chainCode, uid, key string) error {
	out, err := c.Ledger().GetRecord(ctx, &ltlv1.GetRecordRequest{ChainCode: chainCode, Key: key, AccountUid: uid})
	if err != nil {
		return err
	}
	if code := out.GetCode(); code != client.CodeOK {
		return fmt.Errorf("the record cannot be read, code %d: %s", code, client.Message(code))
	}
	r := out.GetRecord()
	fmt.Printf("read      %q, endorsed by %v\n", r.GetValue(), r.GetEndorsementNames())
	return nil
}

// follow prints every block from a position on, until the one with the transaction.
func follow(ctx context.Context, c *client.Client, from uint64, tx *ltlv1.Transaction) error {
	id, err := client.TransactionID(tx)
	if err != nil {
		return err
	}
	found := errors.New("found")
	err = c.Ledger().Follow(ctx, from, func(sequence uint64, b *client.Block) error {
		fmt.Printf("followed  block %d of chain %s, %d transactions\n", b.Height, b.ChainID, len(b.Transactions))
		for _, t := range b.Transactions {
			if t.ID == id {
				return found
			}
		}
		return nil
	})
	if errors.Is(err, found) {
		return nil
	}
	return err
}
