package rules

import (
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// kind is what the rules know of one kind of transaction, that is, of one field of the oneof Transaction.action. All
// that depends on the kind is a field of it: nothing else in this package looks at which action a transaction holds.
type kind struct {
	name string
	// is reports whether an action is of this kind.
	is func(action any) bool
	// chain is where the kind may be executed.
	chain chainKind
	// administrator is set when only the administrator of the chain may do it.
	administrator bool
	// check judges what can be judged from the transaction alone; nil when nothing can.
	check func(*ltlv1.Transaction) int32
	// lateCheck is set when apply judges the form itself, because other refusals come before it.
	lateCheck bool
	// apply executes a transaction that may be executed: the submitter and the account are entitled, the chain takes
	// writes. It writes nothing unless the code is OK. output is what the transaction created. nil for the genesis.
	apply func(*exec, action) (code int32, output string, err error)
	// repeated judges whether an upload is on the chain already: OK, or the code of a duplicate. It is asked when a
	// transaction is refused though its account may be spoken for; nil for kinds without records.
	repeated func(*exec, action) (int32, error)
	// output computes the output of a transaction that succeeded. nil when it cannot be computed from the transaction
	// alone: then apply's output is kept in the state.
	output func(*ltlv1.Transaction, ledger.Hash) string
	// device returns the proof that a device signed the transaction; nil for kinds that no device signs.
	device func(*ltlv1.Transaction) *ltlv1.DeviceProof
	// form says how a kind of the system chain comes about; 0 for kinds of business chains.
	form form
	// owner returns the organisation whose act it is, empty when the transaction names something that does not exist;
	// nil where that is the submitter's, or needs says it.
	owner func(*exec, *ltlv1.Transaction) (string, error)
	// needs returns what it needs, for kinds that are not simply an act of their owner. submitter is the submitter's
	// organisation.
	needs func(e *exec, tx *ltlv1.Transaction, submitter string) (need, error)
	// unexpired reports whether the endorsements of a transaction count although the ledger is ahead of their clocks; nil
	// where they never do.
	unexpired func(View, *ltlv1.Transaction) (bool, error)
	// endorser is set when the process of an endorser submits it, and no operator may.
	endorser bool
	// invited is set when an operator of an organisation that has not accepted its invitation may submit it.
	invited bool
	// proposable is set for kinds that can be proposed.
	proposable *proposable
	// corrects returns the record that the transaction declares wrong; nil for kinds that correct none.
	corrects func(*ltlv1.Transaction) *ltlv1.Correction
	// record returns the Key that the transaction puts on a proof chain; nil for kinds that put none.
	record func(*ltlv1.Transaction) (key string)
	// value returns where the committed value of slot 0 is; nil for kinds that commit to none.
	value func(*ltlv1.Transaction) **ltlv1.Value
}

// chainKind says on which chains a kind of transaction may be executed.
type chainKind uint8

const (
	onSystem        chainKind = iota // the system chain
	onBusiness                       // every other chain
	onProof                          // chains of the proof service
	onCollaboration                  // chains of the collaboration service
)

// action is a transaction as the apply function of its kind gets it.
type action struct {
	tx   *ltlv1.Transaction
	id   ledger.Hash
	here Locator
	// submitter is the process that sent it.
	submitter identity
	// actor is the account in whose name it was sent; nil on the system chain.
	actor *actor
	// kindOf finds the kind of a proposed action: the table of kinds cannot name functions that look into it.
	kindOf func(*ltlv1.Transaction) *kind
}

// is reports whether an action has the type A.
func is[A any](action any) bool {
	_, ok := action.(A)
	return ok
}

// kindOf returns the kind of a transaction; nil when it has no action. The kinds of records come first in the table, so
// this takes a few nanoseconds for them.
func kindOf(tx *ltlv1.Transaction) *kind {
	a := tx.GetAction()
	for _, k := range kindTable {
		if k.is(a) {
			return k
		}
	}
	return nil
}

// noOutput is the output of kinds that create nothing but a record under a Key.
func noOutput(*ltlv1.Transaction, ledger.Hash) string { return "" }

// kindTable has one row per kind of transaction. TestKindTable compares it with transaction.proto.
var kindTable = [...]*kind{
	{
		name: "set_data", is: is[*ltlv1.Transaction_SetData], chain: onProof,
		check: checkSetData, lateCheck: true, apply: (*exec).setData, output: noOutput,
		device: setDataDevice, record: setDataRecord, value: setDataValue,
		repeated: setDataRepeated,
	},
	{
		name: "attach_data", is: is[*ltlv1.Transaction_AttachData], chain: onProof,
		check: checkAttachData, lateCheck: true, apply: (*exec).attachData, output: attachDataOutput,
		device: attachDataDevice, record: attachDataRecord, value: attachDataValue,
		repeated: attachDataRepeated, corrects: attachDataCorrects,
	},
	{
		name: "upload_phase_data", is: is[*ltlv1.Transaction_UploadPhaseData], chain: onCollaboration,
		check: checkUploadPhaseData, lateCheck: true, apply: (*exec).uploadPhaseData, output: uploadPhaseDataOutput,
		device: uploadPhaseDataDevice, repeated: uploadPhaseDataRepeated, corrects: uploadPhaseDataCorrects,
	},
	{
		name: "create_member", is: is[*ltlv1.Transaction_CreateMember], chain: onBusiness, administrator: true,
		check: checkCreateMember, apply: (*exec).createMember,
	},
	{
		name: "modify_member", is: is[*ltlv1.Transaction_ModifyMember], chain: onBusiness, administrator: true,
		check: checkModifyMember, lateCheck: true, apply: (*exec).modifyMember,
	},
	{
		name: "lock_member", is: is[*ltlv1.Transaction_LockMember], chain: onBusiness, administrator: true,
		apply: (*exec).lockMember,
	},
	{
		name: "register_device_group", is: is[*ltlv1.Transaction_RegisterDeviceGroup], chain: onBusiness,
		check: checkRegisterDeviceGroup, apply: (*exec).registerDeviceGroup,
	},
	{
		name: "authorize_device_group", is: is[*ltlv1.Transaction_AuthorizeDeviceGroup], chain: onBusiness,
		administrator: true,
		apply:         (*exec).authorizeDeviceGroup,
	},
	{
		name: "modify_device_group", is: is[*ltlv1.Transaction_ModifyDeviceGroup], chain: onBusiness, administrator: true,
		check: checkModifyDeviceGroup, apply: (*exec).modifyDeviceGroup,
	},
	{
		name: "authorize_device", is: is[*ltlv1.Transaction_AuthorizeDevice], chain: onBusiness, administrator: true,
		apply: (*exec).authorizeDevice,
	},
	{
		name: "create_phase_group", is: is[*ltlv1.Transaction_CreatePhaseGroup], chain: onCollaboration, administrator: true,
		check: checkCreatePhaseGroup, apply: (*exec).createPhaseGroup,
	},
	{
		name: "modify_phase_group", is: is[*ltlv1.Transaction_ModifyPhaseGroup], chain: onCollaboration, administrator: true,
		check: checkModifyPhaseGroup, apply: (*exec).modifyPhaseGroup,
	},
	{
		name: "create_phase", is: is[*ltlv1.Transaction_CreatePhase], chain: onCollaboration, administrator: true,
		check: checkCreatePhase, apply: (*exec).createPhase,
	},
	{
		name: "modify_phase", is: is[*ltlv1.Transaction_ModifyPhase], chain: onCollaboration, administrator: true,
		check: checkModifyPhase, apply: (*exec).modifyPhase,
	},
	{
		name: "authorize_phases", is: is[*ltlv1.Transaction_AuthorizePhases], chain: onCollaboration, administrator: true,
		check: checkAuthorizePhases, apply: (*exec).authorizePhases,
	},
	{
		name: "create_organisation", is: is[*ltlv1.Transaction_CreateOrganisation], chain: onSystem,
		check: checkCreateOrganisation, apply: (*exec).createOrganisation, form: byProposal, needs: networkNeed,
		proposable: &proposable{createOrganisationObject, createOrganisationBasis, createOrganisationWords, nil},
	},
	{
		name: "accept_membership", is: is[*ltlv1.Transaction_AcceptMembership], chain: onSystem,
		check: checkAcceptMembership, apply: (*exec).acceptMembership, form: byAct, needs: acceptMembershipNeeds,
		invited: true,
	},
	{
		name: "leave_network", is: is[*ltlv1.Transaction_LeaveNetwork], chain: onSystem,
		apply: (*exec).leaveNetwork, form: byAct,
	},
	{
		name: "modify_organisation", is: is[*ltlv1.Transaction_ModifyOrganisation], chain: onSystem,
		check: checkModifyOrganisation, apply: (*exec).modifyOrganisation, form: byAct, owner: ownerOfOrganisation,
	},
	{
		name: "remove_organisation", is: is[*ltlv1.Transaction_RemoveOrganisation], chain: onSystem,
		apply: (*exec).removeOrganisation, form: byProposal, needs: removeOrganisationNeeds,
		proposable: &proposable{removeOrganisationObject, removeOrganisationBasis, removeOrganisationWords, nil},
	},
	{
		name: "recover_organisation", is: is[*ltlv1.Transaction_RecoverOrganisation], chain: onSystem,
		check: checkRecoverOrganisation, apply: (*exec).recoverOrganisation, form: byAct, needs: recoverOrganisationNeeds,
	},
	{
		name: "revoke_certificate", is: is[*ltlv1.Transaction_RevokeCertificate], chain: onSystem,
		check: checkRevokeCertificate, apply: (*exec).revokeCertificate, form: byAct, owner: ownerOfIdentity,
	},
	{
		name: "put_access_key", is: is[*ltlv1.Transaction_PutAccessKey], chain: onSystem,
		check: checkPutAccessKey, apply: (*exec).putAccessKey, form: byAct, owner: ownerOfAccessKey,
	},
	{
		name: "set_delegates", is: is[*ltlv1.Transaction_SetDelegates], chain: onSystem,
		check: checkSetDelegates, apply: (*exec).setDelegates, form: byAct,
	},
	{
		name: "create_account", is: is[*ltlv1.Transaction_CreateAccount], chain: onSystem,
		check: checkCreateAccount, apply: (*exec).createAccount, form: byAct, owner: ownerOfAccount,
	},
	{
		name: "create_chain", is: is[*ltlv1.Transaction_CreateChain], chain: onSystem,
		check: checkCreateChain, apply: (*exec).createChain, form: byAct, needs: createChainNeeds,
	},
	{
		name: "modify_chain", is: is[*ltlv1.Transaction_ModifyChain], chain: onSystem,
		check: checkModifyChain, apply: (*exec).modifyChain, form: byActOrProposal, needs: modifyChainNeeds,
		proposable: &proposable{modifyChainObject, modifyChainBasis, modifyChainWords, nil},
	},
	{
		name: "adopt_chain", is: is[*ltlv1.Transaction_AdoptChain], chain: onSystem,
		check: checkAdoptChain, apply: (*exec).adoptChain, form: byProposal, needs: adoptChainNeeds,
		proposable: &proposable{adoptChainObject, adoptChainBasis, adoptChainWords, nil},
	},
	{
		name: "enroll_device", is: is[*ltlv1.Transaction_EnrollDevice], chain: onSystem,
		check: checkEnrollDevice, apply: (*exec).enrollDevice, form: byAct, owner: ownerOfNewEnrolment,
	},
	{
		name: "revoke_device", is: is[*ltlv1.Transaction_RevokeDevice], chain: onSystem,
		apply: (*exec).revokeDevice, form: byAct, owner: ownerOfEnrolment,
	},
	{
		name: "rotate_device_key", is: is[*ltlv1.Transaction_RotateDeviceKey], chain: onSystem,
		check: checkRotateDeviceKey, apply: (*exec).rotateDeviceKey, form: byAct, owner: ownerOfRotation,
	},
	{
		name: "declare_device_key", is: is[*ltlv1.Transaction_DeclareDeviceKey], chain: onSystem,
		check: checkDeclareDeviceKey, apply: (*exec).declareDeviceKey, form: byAct, owner: ownerOfDeclaration,
	},
	{
		name: "claim_product", is: is[*ltlv1.Transaction_ClaimProduct], chain: onSystem,
		check: checkClaimProduct, apply: (*exec).claimProduct, form: byAct, owner: ownerOfClaim,
	},
	{
		name: "assign_product", is: is[*ltlv1.Transaction_AssignProduct], chain: onSystem,
		check: checkAssignProduct, apply: (*exec).assignProduct, form: byAct, owner: ownerOfAssignment,
	},
	{
		name: "move_product", is: is[*ltlv1.Transaction_MoveProduct], chain: onSystem,
		check: checkMoveProduct, apply: (*exec).moveProduct, form: byActOrProposal, needs: moveProductNeeds,
		proposable: &proposable{moveProductObject, nil, moveProductWords, nil},
	},
	{
		name: "add_node", is: is[*ltlv1.Transaction_AddNode], chain: onSystem,
		check: checkAddNode, apply: (*exec).addNode, form: byActOrProposal, needs: addNodeNeeds,
		proposable: &proposable{addNodeObject, addNodeBasis, addNodeWords, nil},
	},
	{
		name: "change_node", is: is[*ltlv1.Transaction_ChangeNode], chain: onSystem,
		check: checkChangeNode, apply: (*exec).changeNode, form: byActOrProposal, needs: changeNodeNeeds,
		proposable: &proposable{changeNodeObject, changeNodeBasis, changeNodeWords, nil},
	},
	{
		name: "set_node_address", is: is[*ltlv1.Transaction_SetNodeAddress], chain: onSystem,
		check: checkSetNodeAddress, apply: (*exec).setNodeAddress, form: byAct, owner: ownerOfNode,
	},
	{
		name: "activate_rules", is: is[*ltlv1.Transaction_ActivateRules], chain: onSystem,
		apply: (*exec).activateRules, form: byProposal, needs: networkNeed,
		proposable: &proposable{activateRulesObject, activateRulesBasis, activateRulesWords, nil},
	},
	{
		name: "record_restoration", is: is[*ltlv1.Transaction_RecordRestoration], chain: onSystem,
		check: checkRecordRestoration, apply: (*exec).recordRestoration, form: byProposal, needs: networkNeed,
		proposable: &proposable{recordRestorationObject, recordRestorationBasis, recordRestorationWords, nil},
	},
	{
		name: "modify_network", is: is[*ltlv1.Transaction_ModifyNetwork], chain: onSystem,
		check: checkModifyNetwork, apply: (*exec).modifyNetwork, form: byProposal, needs: modifyNetworkNeeds,
		proposable: &proposable{modifyNetworkObject, nil, modifyNetworkWords, nil},
	},
	{
		name: "correct_time", is: is[*ltlv1.Transaction_CorrectTime], chain: onSystem,
		check: checkCorrectTime, apply: (*exec).correctTime, form: byProposal, needs: networkNeed,
		proposable: &proposable{correctTimeObject, correctTimeBasis, correctTimeWords, freshCorrection},
	},
	{
		name: "propose", is: is[*ltlv1.Transaction_Propose], chain: onSystem,
		check: checkPropose, apply: (*exec).propose, form: byAct, output: proposeOutput,
		unexpired: aboutCorrection,
	},
	{
		name: "approve", is: is[*ltlv1.Transaction_Approve], chain: onSystem,
		check: checkApprove, apply: (*exec).approve, form: byAct, unexpired: aboutCorrection,
	},
	{
		name: "reject", is: is[*ltlv1.Transaction_Reject], chain: onSystem,
		check: checkReject, apply: (*exec).reject, form: byAct, unexpired: aboutCorrection,
	},
	{
		name: "withdraw", is: is[*ltlv1.Transaction_Withdraw], chain: onSystem,
		check: checkWithdraw, apply: (*exec).withdraw, form: byAct, unexpired: aboutCorrection,
	},
	{
		name: "tick", is: is[*ltlv1.Transaction_Tick], chain: onSystem, apply: (*exec).tick, form: byAct,
		needs: tickNeeds, endorser: true,
	},
	{
		// It makes block 0 of the system chain and has no submitter: see GenesisBlock. In any other block it is refused.
		name: "genesis", is: is[*ltlv1.Transaction_Genesis], chain: onSystem, check: checkGenesis,
		form: byProposal, needs: networkNeed,
	},
}
