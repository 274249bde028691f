// Command write writes one record to a network that "ltl up" started. It is the shortest complete use of the client
// library:
//
//	go run ./write ltl-data CHAIN_ID ACCOUNT_UID KEY VALUE
//
// CHAIN_ID, ACCOUNT_UID and the parts of KEY are in ltl-data/network.json.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"ltl/client"
)

func main() {
	if len(os.Args) != 6 {
		log.Fatal("usage: write DIR CHAIN_ID ACCOUNT_UID KEY VALUE")
	}
	write(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5])
}

func write(dir, chain, uid, key, value string) {
	trust, err := client.LoadTrust(dir + "/pki/trust.json")
	check(err)
	credentials, err := client.LoadCredentials(dir+"/pki/clients/bench", trust)
	check(err)
	c, err := client.Open(client.Config{Credentials: credentials, Trust: trust})
	check(err)
	defer c.Close()
	result, err := c.Submit(context.Background(), client.SetData(chain, uid, key, value))
	check(err)
	fmt.Println(client.Message(result.GetCode()), "Block", result.GetBlockHeight())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
