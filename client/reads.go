package client

import (
	"context"

	ltlv1 "ltl/proto/ltl/v1"
)

// GetChain returns a business chain with its use, as an account sees it.
func (l *Ledger) GetChain(ctx context.Context, in *ltlv1.GetChainRequest) (*ltlv1.GetChainResponse, error) {
	return read(ctx, l.c, ltlv1.LedgerClient.GetChain, in)
}

// ListMembers pages through the members of a chain with their type codes and use.
func (l *Ledger) ListMembers(ctx context.Context, in *ltlv1.ListMembersRequest) (*ltlv1.ListMembersResponse, error) {
	return read(ctx, l.c, ltlv1.LedgerClient.ListMembers, in)
}

// ListDeviceGroups pages through the device groups of a chain that an account may see.
func (l *Ledger) ListDeviceGroups(ctx context.Context, in *ltlv1.ListDeviceGroupsRequest) (*ltlv1.ListDeviceGroupsResponse, error) {
	return read(ctx, l.c, ltlv1.LedgerClient.ListDeviceGroups, in)
}

// ListDevices pages through the devices of a group that have uploaded data.
func (l *Ledger) ListDevices(ctx context.Context, in *ltlv1.ListDevicesRequest) (*ltlv1.ListDevicesResponse, error) {
	return read(ctx, l.c, ltlv1.LedgerClient.ListDevices, in)
}

// ListEnrolments pages through the devices whose keys the network knows.
func (l *Ledger) ListEnrolments(ctx context.Context, in *ltlv1.ListEnrolmentsRequest) (*ltlv1.ListEnrolmentsResponse, error) {
	return read(ctx, l.c, ltlv1.LedgerClient.ListEnrolments, in)
}

// ListPhaseGroups pages through the phase groups of a chain.
func (l *Ledger) ListPhaseGroups(ctx context.Context, in *ltlv1.ListPhaseGroupsRequest) (*ltlv1.ListPhaseGroupsResponse, error) {
	return read(ctx, l.c, ltlv1.LedgerClient.ListPhaseGroups, in)
}

// ListPhases pages through the phases of a group with the permission of an account.
func (l *Ledger) ListPhases(ctx context.Context, in *ltlv1.ListPhasesRequest) (*ltlv1.ListPhasesResponse, error) {
	return read(ctx, l.c, ltlv1.LedgerClient.ListPhases, in)
}

// GetPhaseAuthorization tells which phases of a group a member may write to.
func (l *Ledger) GetPhaseAuthorization(ctx context.Context, in *ltlv1.GetPhaseAuthorizationRequest) (*ltlv1.GetPhaseAuthorizationResponse, error) {
	return read(ctx, l.c, ltlv1.LedgerClient.GetPhaseAuthorization, in)
}

// GetPhaseRecord finds one record of a phase.
func (l *Ledger) GetPhaseRecord(ctx context.Context, in *ltlv1.GetPhaseRecordRequest) (*ltlv1.GetPhaseRecordResponse, error) {
	return read(ctx, l.c, ltlv1.LedgerClient.GetPhaseRecord, in)
}

// ListPhaseRecords pages through the records of a phase and data key, oldest first.
func (l *Ledger) ListPhaseRecords(ctx context.Context, in *ltlv1.ListPhaseRecordsRequest) (*ltlv1.ListPhaseRecordsResponse, error) {
	return read(ctx, l.c, ltlv1.LedgerClient.ListPhaseRecords, in)
}
