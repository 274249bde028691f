package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// newProductMove makes `ltl device product move`.
func newProductMove() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "move PRODUCT-KEY --to ORGANISATION",
		Short: "Give a product, with its devices, to another organisation, or propose it",
		Long: `Gives a product that an organisation has claimed to another one. An operator of the organisation that has it does
that at once. Of another organisation's product, for instance one that was claimed before its owner did, the change is
proposed: a majority of the organisations, in which the one that has the product is counted and
has no vote, and the one that gets it must approve. The product is assigned to no chain then, and its new organisation
assigns it. The devices of the product stay enrolled, and are the new organisation's too: it ends the keys that it does
not know (ltl device declare) and enrols those devices again.`,
		Example: `  ltl device product move hKpHMh2abcd --to org1 --dir ltl-data`,
		Args:    cobra.ExactArgs(1),
		RunE: online(func(s *session, args []string) error {
			former, err := s.ownerOfProduct(args[0])
			if err != nil {
				return err
			}
			if former == "" {
				return fmt.Errorf("no organisation has claimed the product %q; an operator of %s claims it with `ltl device "+
					"product claim`", args[0], to)
			}
			d, err := s.decide(&ltlv1.Transaction{Action: &ltlv1.Transaction_MoveProduct{
				MoveProduct: &ltlv1.MoveProduct{ProductKey: args[0], Organisation: to, Former: former},
			}}, advice{rules.OutOfRange: "`ltl org list` lists the organisations"})
			if err != nil || !d.made {
				return err
			}
			return s.showProduct(args[0], "the product is moved")
		}),
	}
	cmd.Flags().StringVar(&to, "to", "", "organisation that gets the product (required)")
	mustRequire(cmd, "to")
	addWait(cmd)
	return cmd
}
