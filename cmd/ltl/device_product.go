package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// productRow is a product of devices as `ltl device product` prints it. Its JSON names are stable.
type productRow struct {
	ProductKey   string `json:"productKey"`
	Organisation string `json:"organisation"`
	// Chain is the id of the chain that the product is assigned to; empty for none.
	Chain string `json:"chain,omitempty"`
	// From is the first time that a device's text may carry; empty while the product was never assigned.
	From string `json:"from,omitempty"`
}

// newDeviceProduct makes `ltl device product`.
func newDeviceProduct() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "product",
		Short: "Claim and move products of devices, and say on which chain their devices sign",
		Long: `A product belongs to the organisation that claims it first: only its operators enrol devices of the product, and
only its accounts upload what they sign. A product is assigned to one chain at a time, so that what a device signed
counts on one chain only. Enrolling the first device of a product claims it too. The organisations of the network give
a product that was claimed by another one than its owner to its owner: ltl device product move.`,
	}
	cmd.AddCommand(newProductClaim(), newProductAssign(), newProductMove(), newProductList())
	return cmd
}

func newProductClaim() *cobra.Command {
	var chain, organisation string
	cmd := &cobra.Command{
		Use:   "claim PRODUCT-KEY",
		Short: "Claim a product for the operator's organisation, and assign it to a chain",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return asOrganisation(cmd, organisation, func(s *session) error {
				claim := &ltlv1.ClaimProduct{ProductKey: args[0]}
				if chain != "" {
					row, err := s.chain(chain)
					if err != nil {
						return err
					}
					claim.ChainId = row.ChainID
				}
				_, err := s.submitToSystem(&ltlv1.Transaction{Action: &ltlv1.Transaction_ClaimProduct{ClaimProduct: claim}},
					productAdvice())
				if err != nil {
					return err
				}
				return s.showProduct(args[0], "the product is claimed")
			})
		},
	}
	cmd.Flags().StringVar(&chain, "chain", "", "chain that it is assigned to, by id, code or name (default none yet)")
	addOrganisation(cmd, &organisation)
	return cmd
}

func newProductAssign() *cobra.Command {
	var chain string
	var none bool
	cmd := &cobra.Command{
		Use:   "assign PRODUCT-KEY (--chain CHAIN | --none)",
		Short: "Say on which chain the devices of a product sign, one at a time",
		Long: `Assigns a product to a chain, or to none. What its devices signed before that moment is refused on the chain; when
the product leaves another chain, so is what they sign in the ten minutes after it, since a device's clock may have
been that far ahead. Records that are on a chain stay there.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (chain == "") != none {
				return errors.New("give the chain with --chain, or --none to take the product from its chain")
			}
			owner := func(s *session) (string, error) { return s.ownerOfProduct(args[0]) }
			return withOwner(cmd, owner, func(s *session) error {
				assign := &ltlv1.AssignProduct{ProductKey: args[0]}
				if !none {
					row, err := s.chain(chain)
					if err != nil {
						return err
					}
					assign.ChainId = row.ChainID
				}
				_, err := s.submitToSystem(&ltlv1.Transaction{Action: &ltlv1.Transaction_AssignProduct{AssignProduct: assign}},
					productAdvice())
				if err != nil {
					return err
				}
				return s.showProduct(args[0], "the product is assigned")
			})
		},
	}
	cmd.Flags().StringVar(&chain, "chain", "", "chain, by id, code or name")
	cmd.Flags().BoolVar(&none, "none", false, "take the product from its chain")
	return cmd
}

func newProductList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the products that were claimed",
		Args:  cobra.NoArgs,
		RunE: online(func(s *session, _ []string) error {
			rows, err := s.products("")
			if err != nil {
				return err
			}
			return emitRows(s.cmd, rows, "PRODUCT KEY|ORGANISATION|CHAIN|TEXTS COUNT FROM", func(r productRow) []any {
				return []any{r.ProductKey, r.Organisation, r.Chain, r.From}
			})
		}),
	}
}

// addOrganisation adds the option that says for which organisation an operator acts.
func addOrganisation(cmd *cobra.Command, organisation *string) {
	cmd.Flags().StringVar(organisation, "organisation", "", "the operator's organisation; with --dir of a network that "+
		"ltl up started, any of its organisations (default that of the certificate)")
}

// asOrganisation runs f as an operator of the organisation; an empty one is that of the certificate.
func asOrganisation(cmd *cobra.Command, organisation string, f func(s *session) error) error {
	if organisation == "" {
		return withSession(cmd, f)
	}
	return withOperator(cmd, organisation, func(s *session) error {
		credentials, err := s.credentials()
		if err != nil {
			return err
		}
		if own := credentials.Identity().Organisation; own != organisation {
			return fmt.Errorf("the certificate is of organisation %s; give --identity DIRECTORY with that of an operator of %s",
				own, organisation)
		}
		return f(s)
	})
}

func productAdvice() advice {
	return advice{
		rules.OutOfRange: `a product key has 1 to 64 letters, digits, "-", "." and "_"`,
		rules.Forbidden:  "only an operator of the organisation that claimed the product may do this: `ltl device product list` shows which; give --identity",
		rules.Conflict:   "your organisation has claimed this product already; `ltl device product assign` moves it to a chain",
		rules.NotFound:   "no organisation has claimed this product; claim it with `ltl device product claim`",
	}
}

// products lists products; an empty key matches all.
func (s *session) products(key string) ([]productRow, error) {
	read := func(page uint32) (*ltlv1.ListProductsResponse, error) {
		return s.client.Ledger().ListProducts(s.cmd.Context(), &ltlv1.ListProductsRequest{ProductKey: key, Page: page,
			Size: pageSize})
	}
	return allPages(read, (*ltlv1.ListProductsResponse).GetProducts, func(p *ltlv1.ProductInfo) productRow {
		row := productRow{ProductKey: p.GetProductKey(), Organisation: p.GetOrganisation(), Chain: p.GetChainId()}
		if p.GetFromMs() != 0 {
			row.From = formatTime(time.UnixMilli(p.GetFromMs()))
		}
		return row
	})
}

// ownerOfProduct returns the organisation that claimed a product; empty when none has.
func (s *session) ownerOfProduct(key string) (string, error) {
	rows, err := s.products(key)
	if err != nil || len(rows) == 0 {
		return "", err
	}
	return rows[0].Organisation, nil
}

// showProduct prints a product after a change, done.
func (s *session) showProduct(key, done string) error {
	rows, err := s.products(key)
	if err == nil && len(rows) != 1 {
		err = fmt.Errorf("there are %d products with the key %q", len(rows), key)
	}
	if err != nil {
		return readBack(done, err)
	}
	r := &rows[0]
	return emitFields(s.cmd, r, field{"product key", r.ProductKey}, field{"organisation", r.Organisation},
		field{"chain", r.Chain}, field{"texts count from", r.From})
}
