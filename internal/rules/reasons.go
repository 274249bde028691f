package rules

// Reasons that the API gives for a refused read, too, in the words of a refused write.
const (
	// ReasonNotMember refuses an account that has no entry on the chain.
	ReasonNotMember = "The account is not a member of this chain; ask the chain's administrator to add it."
	// ReasonLocked refuses a locked member.
	ReasonLocked = "The member is locked on this chain; ask the chain's administrator to unlock it."
	// ReasonAdministrator refuses a member where only the administrator may act.
	ReasonAdministrator = "Only the administrator of this chain may do this."
)

// Reasons are sentences for refusals whose code alone does not tell the caller what to do. They are not part of the
// ledger: they enter no hash and are not stored, so their wording may change. A later query of the result has none.
const (
	reasonSubmitter = "%s may not write for accounts of organisation %s: a client or operator writes for its own " +
		"organisation, a facade also for those that delegate to it (ltl org delegate)."
	reasonSubmitterSilent = "There is no endorsement of %s, whose %s submitted this, and nothing is written without it, " +
		"whatever the chain's policy says. Look whether the endorser of %s runs (ltl status), and send it again."
	reasonSubmitterOffChain = "There is no endorsement of %s, whose %s submitted this, because it is not one of the chain's " +
		"organisations, and nothing is written without it, whatever the chain's policy says. Use a process of one that is " +
		"(%s), or add %s to them (ltl chain modify --organisations)."
	reasonNoKey      = "There is no AccessKey %s on the ledger; ltl account key list shows those that there are."
	reasonKeyState   = "AccessKey %s is not active; use another, or have it enabled (ltl account key enable)."
	reasonKeyAccount = "AccessKey %s belongs to another account."
	reasonKeyUID     = "AccessKey %s belongs to account %s for good; make a new one for another account."
	reasonKeyVersion = "AccessKey %s has version %d on the ledger: another change came first; look with ltl account key " +
		"list and repeat it."
	reasonKeyDeleted   = "AccessKey %s was deleted, which is final; make a new one."
	reasonActiveKeys   = "The account has as many active AccessKeys as it may have; disable one first."
	reasonKeysEver     = "The account has had as many AccessKeys as an account may ever have; use one of those, or another account."
	reasonNonceAlone   = "A signature nonce without an AccessKey's id says nothing; leave it out."
	reasonKeyNotFacade = "Only a facade, which has verified the signature, names an AccessKey; leave out its id and nonce."
	reasonOwnFacade    = "%s is a facade of this organisation, which speaks for its accounts anyway; leave it out."
	reasonNoDelegate   = "Organisation %s is not in the network, so that it has no facade; compare with ltl org list."
	reasonOddClock     = "The clock of %s's endorser is %d seconds from that of %s's, and %d are allowed: set the clock of " +
		"%s's endorser. Writes that can do without %s go on meanwhile."
	reasonTwoClocks = "The clocks of the endorsers of %s and %s are %d seconds apart, and %d are allowed: find out which " +
		"of the two is wrong and set it."
	reasonTooFewClocks = "Only %d of the chain's %d organisations endorsed this, %d seconds after the network's reference " +
		"time. More than half must; these did not: %s. Start their endorsers, or set their clocks."
	reasonExpired      = "The chain's term is over: it can be read, but takes no writes; ask the operator to extend it."
	reasonNotEffective = "The chain's term has not begun yet; wait for it, or ask the operator to let it begin " +
		"earlier (ltl chain modify --effective)."
	reasonClosed = "The organisation that owns this chain was removed from the network, so the chain can only be read, until " +
		"its other organisations give it to another administrator (ltl chain adopt)."
	reasonNotProof = "This is not a proof chain; use the Actions of its service."
	reasonOwnEntry = "The administrator's own entry cannot be changed or locked; ask the operator to name another " +
		"administrator."
	reasonOnChain    = "This account is on the chain already."
	reasonProductKey = "A device group with this ProductKey is registered on this chain already."

	reasonNotEnrolled = "The device is not enrolled: check IotId and IotIdServiceProvider, or ask an operator to " +
		"enrol it."
	reasonRevoked = "The device's enrolment was revoked; it cannot be used again."
	reasonNoGroup = "No device group with this product key is registered on this chain; call " +
		"RegisterDeviceGroup first."
	reasonForeignGroup = "The device group was registered by another account; only that account may upload its " +
		"devices' data."
	reasonGroupUnauthorized = "The device group is not authorised on this chain; ask its administrator to call " +
		"AuthorizeDeviceGroup."
	reasonUnauthorized  = "The device is not authorised on this chain; ask its administrator to call AuthorizeDevice."
	reasonSignatureForm = "IotSignature has the wrong form: it must be authType~2~random~milliseconds~base64, with " +
		"authType 3 or 2, " +
		"16 hexadecimal characters and a time of 13 digits."
	reasonSignatureTime = "The time in IotSignature is more than 10 minutes ahead of the chain's; set the device's " +
		"clock."
	reasonSignatureOld = "The device signed this before its product was assigned to this chain; texts count from %s " +
		"on. Let the device sign again, after that time."
	reasonSignatureUsed = "What the device signed was uploaded to this chain before; let the device sign again, " +
		"with another random part and time."
	reasonRepeated = "This very upload is on the chain already; it was written once, and nothing needs to be sent or " +
		"signed again."
	reasonCorrectionForm = "A correction names the 32 bytes of a transaction id and the Key of its record, and gives a " +
		"reason of 1 to 200 characters."
	reasonCorrectsNothing = "The record to be corrected is not on this chain, or was not before this one; check the hash of " +
		"its transaction."
	reasonCorrectsForeign = "The record to be corrected is under a Key of another account; only that account and the " +
		"chain's administrator may declare it wrong."
	reasonPhaseCorrectionForm = "A correction of phase data is a single upload; it names the 32 bytes of a " +
		"transaction id, the Key and the DataSeq of its record, and gives a reason of 1 to 200 characters."
	reasonPhaseCorrectsForeign = "The record to be corrected was uploaded by another member; only that one may declare " +
		"it wrong, and the chain's administrator, who says so."
	reasonSingleKey = "This Key was written by SetData, so it holds one value for good; give AttachData another Key, " +
		"for instance one with a suffix."
	reasonRepeatableKey  = "This Key was written by AttachData; go on with AttachData, or give SetData another Key."
	reasonSignatureWrong = "IotSignature is not by the enrolled key of the device over IotId, random part, time and " +
		"IotDataDigest."
	reasonKeyHolderMissing = "The organisation that holds the device's secret key does not endorse on this chain; " +
		"enrol the device with a public key."
	reasonOpeningMissing = "The value that the transaction commits to must travel beside it, and nothing else; the client " +
		"library does that."
	reasonOpeningOfNothing = "An opening travels beside the transaction, which commits to no value."
	reasonOpeningWrong     = "The value beside the transaction is not the one that it commits to: value, salt, length, place or " +
		"chain differ."

	reasonBarred = "The process' certificate was revoked, or the organisation of the process or of the " +
		"account was removed from the network."
	reasonOwner = "This belongs to organisation %s: only one of its operators may change it, and its own " +
		"endorsement is needed."
	reasonTooFewOthers = "Taking this from organisation %s needs %d of the network's %d organisations, without " +
		"its own vote; there are not that many others."
	reasonReplacesForeign = "Node %s is of organisation %s; a node replaces one of its own organisation."
	reasonPossession      = "The new endorser key did not sign that it takes the place of the former one; use ltl org rotate-endorser-key."
	reasonNodePossession  = "The node's key did not sign that this node is to join; use the node.json that ltl node prepare wrote."
	reasonNoRecoveryKey   = "The organisation has no recovery key, so it cannot be recovered; the others can remove it and " +
		"take it in again under another id."
	reasonRecovery = "The signature is not by the organisation's recovery key over this change with number %d; use " +
		"ltl org recover with the file of its recovery key."
	reasonNewRecoveryKey = "The organisation has a recovery key, and that one did not sign the new one; use ltl org " +
		"modify --former-recovery-key."
	reasonKeyUsed          = "An organisation has or had this endorser key; make a new one."
	reasonAuthorityKnown   = "The organisation has or had a certificate authority with this key; make one with a new key."
	reasonAuthorityForeign = "Organisation %s has or had a certificate authority with this key; make one of your own with " +
		"ltl pki."
	reasonAuthorityPossession = "The certificate authority did not sign that it is this organisation's in this network; use " +
		"the organisation.json that ltl pki organisation wrote with this network's trust file."
	reasonNoAuthority = "The organisation has no certificate authority with this SHA-256; ltl org show lists " +
		"those that it has."
	reasonLastAuthority = "This is the organisation's only certificate authority; add another one first."
	reasonAuthorities   = "The organisation has as many certificate authorities as it may have; retire one first."
	reasonRevocations   = "The organisation has revoked as many certificates as it may; retire its certificate " +
		"authority."
	reasonWasRemoved  = "The organisation was removed from the network."
	reasonInvited     = "Organisation %s was invited and has not accepted yet; ltl org accept does that."
	reasonNoneOnChain = "No organisation endorses on the chain any more, so none can give it to another administrator."
	reasonNotClosed   = "The organisation that owns the chain is of the network; it names another administrator with " +
		"ltl chain modify --administrator."
	reasonNotInvited = "The organisation has not been invited, or has accepted already."
	reasonLapsed     = "The invitation has lapsed; ask the organisations of the network for another one."
	reasonAcceptance = "The signature is not by the organisation's endorser key over this invitation; use ltl org accept " +
		"with the directory of its endorser."
	reasonLastOrganisation = "It is the only organisation of the network; take in another one before it leaves."
	reasonHasNodes         = "The organisation has a node; remove its nodes first."
	reasonOwnsChain        = "The organisation owns chain %s, whose term is not over; hand it over with ltl chain modify " +
		"--administrator, or end its term with --expires."
	reasonAllVoters = "Every node that votes is of organisation %s; let another organisation add a voter first."

	reasonProductOpen = "No organisation has claimed this ProductKey; an operator of the account's organisation claims it: " +
		"ltl device product claim %s --chain %s"
	reasonProductUnassigned = "The product is assigned to no chain; an operator of organisation %s assigns it: ltl device " +
		"product assign %s --chain %s"
	reasonProductElsewhere = "The product is assigned to chain %s, and its devices sign for one chain at a time; an " +
		"operator of organisation %s may move it: ltl device product assign %s --chain %s"
	reasonProductForeign = "Organisation %s has this product; only its accounts may use the product's devices."
	reasonProductClaimed = "Your organisation has claimed this product already; ltl device product assign moves it to a " +
		"chain."
	reasonProductUnclaimed = "No organisation has claimed this product; claim it with ltl device product claim."
	reasonProductChain     = "There is no chain with this id; ltl chain list shows those that there are."
	reasonEntered          = "Organisation %s has made %d %s, which is as many as one may ever make."
	reasonProductFormer    = "Organisation %s has this product; propose it again with that one as the former."
	reasonProductSame      = "The organisation has this product already; ltl device product assign assigns it to a chain."
	reasonNoEntry          = "The chain has no member with this id; ltl member list shows those that it has."

	reasonEnrolled = "The device is enrolled already and its key is in force; ltl device rotate replaces it, and ltl " +
		"device declare ends it."
	reasonEnrolmentEnded = "The device's enrolment was revoked for good; give the device a new IotId."
	reasonKeyEnded       = "The device has no key in force; enrol it with a new one: ltl device enroll."
	reasonDeviceKeyUsed  = "The device has or had this very key; make a new one."
	reasonDeviceKeys     = "The device has had 64 keys, as many as it may; give it a new IotId."
	reasonRotation       = "The former and the new key of the device must both have signed the change; ltl device rotate " +
		"makes both signatures."
	reasonDeclaration = "The device has no key of this number, or the height is above the system chain's; ltl device list " +
		"shows the keys."
	reasonNoKeyInForce = "The key of the device was declared lost or compromised; an operator enrols the device with a new " +
		"one: ltl device enroll."

	reasonNodeKnown = "A node with this id, key or data directory is or was in the network; prepare a new directory " +
		"and keys under a new id."
	reasonNodesOf = "The organisation has %d nodes already, which is as many as it may have; replace or remove one of " +
		"them."
	reasonNodesEver = "The organisation has had %d nodes, which is as many as it may ever have: ids are never used again."
	reasonLastVoter = "It is the only voter of the network; promote another node first."

	reasonNotCollaboration = "This is not a collaboration chain; use the Actions of its service."
	reasonNoPermission     = "The account may read this phase, but not write to it; ask the chain's administrator to " +
		"call UpdateMPCoSAuthorizedInfo."
	reasonAllPhases    = "The administrator may write to every phase; its authorisation cannot be changed."
	reasonNoPhase      = "There is no such phase in this phase group."
	reasonRelatedPhase = "Related data must belong to phases of the same phase group; a relatedPhaseId names none " +
		"of them."
	reasonRelatedKey = "A relatedDataKey in its whole form, 0002_chain code_type code_data key, is not of this " +
		"chain and its relatedPhaseId."
	reasonRelatedRecord = "A record that is referred to was not on the chain before this upload; check " +
		"relatedDataKey and relatedDataSeq."
	reasonUnknownPhases = "The list names a phase that this phase group does not have."

	reasonRestorationKnown   = "This restoration is recorded already; nothing is left to do."
	reasonRestorationNumber  = "Restoration %d is recorded already; give a higher number."
	reasonRestorationEarlier = "Restoration %d is recorded in block number %d of the order of execution; a copy that goes on " +
		"from here has that block, so more blocks were kept."
	reasonRestorationBlocks = "The ledger had %d blocks, so no more can have been kept; ltl status --output json shows what " +
		"the nodes say."
	reasonRestorations = "The network has recorded as many restorations as it may; go on with a new network."

	reasonTooNew = "A node or endorser runs a program that does not know these rules; install the newer program on all " +
		"of them first."
)

// Reasons about proposals and votes.
const (
	reasonNeededGone = "This needs the approval of organisation %s, which is not of the network any more."
	reasonProposal   = "This concerns several organisations: it is proposed, and they approve it (ltl proposals, ltl " +
		"approve); the commands of ltl do both."
	reasonAct = "This is an act of organisation %s and needs no proposal; one of its operators sends it " +
		"directly."
	reasonOtherNetwork = "The proposal or vote names another network; read the network id with ltl status and " +
		"send it to that network."
	reasonProposalExpiry = "A proposal must expire 10 minutes to 30 days after the block that records it."
	reasonNoVote         = "Organisation %s has no vote on this: it is not of the network, not asked, or the one " +
		"that the change takes something from."
	reasonProposedAlready = "The organisation has an open proposal for the same already: %s; withdraw that one " +
		"first, or let it be decided."
	reasonOpenProposals = "Organisation %s has %d open proposals, as many as it may have; withdraw one, or wait " +
		"until one is decided or expires."
	reasonBasis = "What the proposal rests on is not as the proposal says; read it again and make a new " +
		"proposal."
	reasonNoProposal      = "There is no proposal with this id; ltl proposals lists the open ones."
	reasonProposalClosed  = "The proposal was closed before: %s. Make a new one if it is still wanted."
	reasonProposalExpired = "The proposal has expired; make a new one if it is still wanted."
	reasonTickEarly       = "The clocks are less than %d seconds after the network's reference time, so no Tick is needed."
	reasonTimeNotAhead    = "The network's reference time is not after that time, so there is nothing to set back."
	reasonTimeCorrections = "The network's time was corrected as often as it may be."
	reasonCorrectionTime  = "A correction sets the time to that of the endorsers' clocks, at most 10 minutes before " +
		"and a minute after it; set the clocks right first, then propose it again."
	reasonFormerPolicy = "The policy of the network is %q, not the one that the change replaces; make a new " +
		"proposal."
)

// memberReason explains why memberCode refuses.
func memberReason(m *Member) string {
	switch {
	case m == nil:
		return ReasonNotMember
	case m.Status != StatusUnlock:
		return ReasonLocked
	}
	return ""
}
