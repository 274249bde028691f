package rules

// Reasons are sentences for refusals whose code alone does not tell the caller what to do. They are not part of the
// ledger: they enter no hash and are not stored, so their wording may change. A later query of the result has none.
const (
	reasonSubmitter = "This process may not write for the account: a client or operator writes only for accounts " +
		"of its own organisation."
	reasonNotMember    = "The account is not a member of this chain; ask the chain's administrator to add it."
	reasonLocked       = "The member is locked on this chain; ask the chain's administrator to unlock it."
	reasonExpired      = "The chain's term is over: it can be read, but takes no writes; ask the operator to extend it."
	reasonNotEffective = "The chain's term has not begun yet; wait for it, or ask the operator to let it begin " +
		"earlier (ltl chain modify --effective)."
	reasonNotProof      = "This is not a proof chain; use the Actions of its service."
	reasonAdministrator = "Only the administrator of this chain may do this."
	reasonOwnEntry      = "The administrator's own entry cannot be changed or locked; ask the operator to name another " +
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
	reasonSignatureUsed = "What the device signed was uploaded to this chain before; let the device sign again, " +
		"with another random part and time."
	reasonRepeated = "This very upload is on the chain already; it was written once, and nothing needs to be sent or " +
		"signed again."
	reasonSingleKey = "This Key was written by SetData, so it holds one value for good; give AttachData another Key, " +
		"for instance one with a suffix."
	reasonRepeatableKey  = "This Key was written by AttachData; go on with AttachData, or give SetData another Key."
	reasonSignatureWrong = "IotSignature is not by the enrolled key of the device over IotId, random part, time and " +
		"IotDataDigest."
	reasonKeyHolderMissing = "The organisation that holds the device's secret key does not endorse on this chain; " +
		"enrol the device with a public key."

	reasonBarred = "The process' certificate was revoked, or the organisation of the process or of the " +
		"account was removed from the network."
	reasonOwner           = "This belongs to organisation %s: only one of its operators may change it, and its own endorsement is needed."
	reasonTooFewOthers    = "Taking this from organisation %s needs %d of the network's %d organisations, without its own vote; there are not that many others."
	reasonReplacesForeign = "Node %s is of organisation %s; a node replaces one of its own organisation."
	reasonPossession      = "The new endorser key did not sign that it takes the place of the former one; use ltl org rotate-endorser-key."
	reasonKeyUsed         = "An organisation has or had this endorser key; make a new one."
	reasonAuthorityKnown  = "The organisation has this certificate authority already."
	reasonNoAuthority     = "The organisation has no certificate authority with this SHA-256; ltl org show lists " +
		"those that it has."
	reasonLastAuthority = "This is the organisation's only certificate authority; add another one first."
	reasonAuthorities   = "The organisation has as many certificate authorities as it may have; retire one first."
	reasonRevocations   = "The organisation has revoked as many certificates as it may; retire its certificate " +
		"authority."
	reasonWasRemoved   = "The organisation was removed from the network."
	reasonHasNodes     = "The organisation has a node; remove its nodes first."
	reasonNetworkNeeds = "The policy of the system chain cannot be satisfied without this organisation."
	reasonEndorsesOn   = "The organisation endorses on chain %s; remove it with ltl chain modify --organisations."
	reasonAdministers  = "An account of the organisation administers chain %s; name another administrator with " +
		"ltl chain modify --administrator."

	reasonEnrolled = "The device is enrolled already; a key is never replaced."

	reasonNodeKnown = "A node with this id, key or data directory is or was in the network; prepare a new directory " +
		"and keys under a new id."
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

	reasonTooNew = "A node or endorser runs a program that does not know these rules; install the newer program on all " +
		"of them first."
)

// memberReason explains why memberCode refuses.
func memberReason(m *Member) string {
	switch {
	case m == nil:
		return reasonNotMember
	case m.Status != StatusUnlock:
		return reasonLocked
	}
	return ""
}
