package endorser

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/identity"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// PutDeviceKey implements ltlv1.EndorserServer: it takes the secret key of a device that the operator's organisation, which is this one,
// enrols or has enrolled. When it answers, the key is on the disk.
//
// The key comes before the enrolment, so that no device is enrolled that nobody can check. While a device is not enrolled, its key may be
// replaced; afterwards not, but a key that was lost may be handed over again.
func (e *Endorser) PutDeviceKey(ctx context.Context, in *ltlv1.PutDeviceKeyRequest) (*ltlv1.PutDeviceKeyResponse, error) {
	caller, ok := identity.FromContext(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "the caller has no identity")
	}
	if caller.Organisation != e.organisation {
		return nil, status.Errorf(codes.PermissionDenied, "%s is not of organisation %s: hand the key to the endorser of your own organisation", caller, e.organisation)
	}
	if err := checkDeviceKey(in); err != nil {
		return nil, err
	}
	if err := e.waitSequence(ctx, in.GetMinSequence()); err != nil {
		return nil, err
	}
	enrolled, err := rules.GetEnrolment(e.store, in.GetProductKey(), in.GetIotId())
	if err != nil {
		return nil, e.failure(err)
	}
	switch {
	case enrolled == nil:
	case enrolled.Revoked:
		return nil, status.Error(codes.FailedPrecondition, "the device's enrolment was revoked; it needs no key any more")
	case enrolled.Organisation != e.organisation:
		return nil, status.Errorf(codes.FailedPrecondition, "the device was enrolled by organisation %s, whose endorser needs its key", enrolled.Organisation)
	case enrolled.KeyType != ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES:
		return nil, status.Error(codes.FailedPrecondition, "the device was enrolled with a public key; it has no secret key that anybody could need")
	}
	name := deviceName{in.GetProductKey(), in.GetIotId()}
	switch err := e.devices.put(name, in.GetKey(), enrolled == nil); {
	case errors.Is(err, errKeyDiffers):
		return nil, status.Error(codes.AlreadyExists, "the device is enrolled with another key; an enrolled key is not replaced. Revoke the device and enrol it under a new id")
	case errors.Is(err, errTooManyKeys):
		return nil, status.Errorf(codes.ResourceExhausted, "%v", err)
	case err != nil:
		e.log.Error("a device's key cannot be stored", "product_key", name.productKey, "iot_id", name.iotID, "error", err)
		return nil, status.Error(codes.Internal, "the endorser could not store the key; its log says why")
	}
	e.log.Info("a device's key is held", "product_key", name.productKey, "iot_id", name.iotID, "by", caller.String())
	return &ltlv1.PutDeviceKeyResponse{}, nil
}

// checkDeviceKey refuses what could never be enrolled.
func checkDeviceKey(in *ltlv1.PutDeviceKeyRequest) error {
	switch n := len(in.GetKey()); {
	case n != 16 && n != 24 && n != 32:
		return status.Errorf(codes.InvalidArgument, "a key of %d bytes; an AES key has 16, 24 or 32", n)
	case !rules.ValidProductKey(in.GetProductKey()):
		return status.Errorf(codes.InvalidArgument, `the product key must be 1 to %d letters, digits, "-", "." and "_"`, rules.MaxProductKey)
	case !rules.ValidIotID(in.GetIotId()):
		return status.Errorf(codes.InvalidArgument, `the device id must be 1 to %d letters, digits, "-", ".", "_", ":" and "@"`, rules.MaxIotID)
	}
	return nil
}

// checkDevices verifies what only this endorser can: signatures by the secret keys of devices that its organisation enrolled. The rules
// have accepted these transactions on the word of the organisation that holds the key, and the ledger executes none of them without its
// endorsement. required names that organisation, as Preview gave it.
//
// As with the organisation's own rule the preview is not repeated; clients propose again what was refused because of its neighbour.
func (e *Endorser) checkDevices(transactions []*ltlv1.Transaction, required []string, verdicts []int32, reasons []string) {
	for i, tx := range transactions {
		proof := rules.DeviceProofOf(tx)
		if verdicts[i] != rules.OK || required[i] != e.organisation || proof == nil {
			continue
		}
		key := e.devices.get(deviceName{proof.GetProductKey(), proof.GetIotId()})
		switch {
		case key == nil:
			verdicts[i] = rules.Forbidden
			reasons[i] = fmt.Sprintf("The endorser of organisation %s, which enrolled the device, does not have its key; "+
				"an operator of that organisation must hand it over again with `ltl device enroll`.", e.organisation)
		case !rules.VerifyDeviceSignature(ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES, key, proof):
			verdicts[i] = rules.Forbidden
			reasons[i] = "IotSignature is not by the enrolled key of the device over IotId, random part, time and IotDataDigest."
		}
	}
}
