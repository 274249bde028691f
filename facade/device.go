package facade

import (
	"cmp"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"strings"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// deviceParameters are the parameters of an upload that a device signed. Each has a result code of its own when it is
// absent or empty.
func deviceParameters() []parameter {
	return []parameter{
		{name: "IotAuthType", absent: rules.BadIoT},
		{name: "IotDataDigest", absent: rules.BadIoT},
		{name: "IotId", absent: rules.BadIoT},
		{name: "IotIdServiceProvider", absent: rules.BadIoT},
		{name: "IotIdSource", absent: rules.BadIoTSource},
		{name: "IotSignature", absent: rules.BadIoT},
	}
}

// deviceProof is the content of deviceParameters. Check it with rules.CheckDeviceProof against the text that the
// device signed.
func (c *call) deviceProof() *ltlv1.DeviceProof {
	return &ltlv1.DeviceProof{
		AuthType: c.text("IotAuthType"), IotId: c.text("IotId"), ProductKey: c.text("IotIdServiceProvider"),
		DataDigest: c.text("IotDataDigest"), Signature: withDER(c.text("IotSignature")), Source: c.text("IotIdSource"),
	}
}

// withDER returns a device's signature string whose ECDSA signature is in DER, which the ledger takes, where it came as
// the two numbers r and s of 32 bytes each, which secure elements and WebCrypto make. No other kind of signature has 64
// bytes. Anything else is returned as it is.
func withDER(signature string) string {
	at := strings.LastIndexByte(signature, '~')
	raw, err := base64.StdEncoding.DecodeString(signature[at+1:])
	if at < 0 || err != nil || len(raw) != rawECDSA {
		return signature
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:rawECDSA/2]),
		new(big.Int).SetBytes(raw[rawECDSA/2:])})
	if err != nil {
		return signature
	}
	return signature[:at+1] + base64.StdEncoding.EncodeToString(der)
}

// rawECDSA is the length of an ECDSA signature over P-256 as two numbers, in bytes.
const rawECDSA = 64

// deviceStatus is the Status of a device or a device group.
func deviceStatus(authorized bool) string { return either(authorized, "AUTHORIZED", "UNAUTHORIZED") }

// registerDeviceGroup is the Action RegisterDeviceGroup. Its ProductKey is that of the devices' product, not the code
// of a chain.
func registerDeviceGroup(c *call) (value, error) {
	if c.text("AuthorizeType") != rules.AuthorizeType {
		return value{}, malformed("AuthorizeType must be ID2.")
	}
	if err := cmp.Or(c.checkName("DeviceGroupName"), c.checkRemark()); err != nil {
		return value{}, err
	}
	if !rules.ValidProductKey(c.text("ProductKey")) {
		return value{}, malformed("ProductKey must be 1 to 64 English letters, digits, '-', '.' or '_'.")
	}
	group := &ltlv1.RegisterDeviceGroup{
		ProductKey: c.text("ProductKey"), Name: c.text("DeviceGroupName"), AuthorizeType: c.text("AuthorizeType"),
		Remark: c.text("Remark"),
	}
	id, err := c.submit(&ltlv1.Transaction{
		Action: &ltlv1.Transaction_RegisterDeviceGroup{RegisterDeviceGroup: group},
	})
	return text(id), withMessage(err, rules.Conflict,
		"A device group with this ProductKey is registered on this chain already.")
}

// listDeviceGroup is the Action ListDeviceGroup.
func listDeviceGroup(c *call) (value, error) {
	p, err := c.page()
	if err != nil {
		return value{}, err
	}
	r, err := c.f.net.ListDeviceGroups(c.ctx, &ltlv1.ListDeviceGroupsRequest{
		ChainId: c.chainID, AccountUid: c.uid, ProductKey: c.text("ProductKey"), Page: p.num, Size: p.size,
	})
	if err == nil {
		err = ledgerError(r.GetCode())
	}
	if err != nil {
		return value{}, err
	}
	return p.data(rows(r.GetGroups(), func(g *ltlv1.DeviceGroupInfo) value {
		return object(
			textField("Status", deviceStatus(g.GetAuthorized())),
			textField("AuthorizeType", g.GetAuthorizeType()),
			textField("OwnerName", g.GetOwnerName()),
			textField("DeviceGroupId", g.GetDeviceGroupId()),
			textField("OwnerUid", g.GetOwnerUid()),
			textField("ProductKey", g.GetProductKey()),
			textField("Remark", g.GetRemark()),
		)
	}), r.GetTotal()), nil
}

// authorizeDeviceGroup is the Action AuthorizeDeviceGroup.
func authorizeDeviceGroup(c *call) (value, error) { return c.setDeviceGroup(true) }

// unauthorizeDeviceGroup is the Action UnAuthorizeDeviceGroup.
func unauthorizeDeviceGroup(c *call) (value, error) { return c.setDeviceGroup(false) }

const noDeviceGroup = "No device group of this chain has the identifier given in DeviceGroupId."

// setDeviceGroup authorises a device group, or withdraws its authorisation.
func (c *call) setDeviceGroup(authorized bool) (value, error) {
	_, err := c.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_AuthorizeDeviceGroup{
		AuthorizeDeviceGroup: &ltlv1.AuthorizeDeviceGroup{DeviceGroupId: c.text("DeviceGroupId"), Authorized: authorized},
	}})
	return text(""), withMessage(err, rules.NotFound, noDeviceGroup)
}

// listDevice is the Action ListDevice.
func listDevice(c *call) (value, error) {
	p, err := c.page()
	if err != nil {
		return value{}, err
	}
	r, err := c.f.net.ListDevices(c.ctx, &ltlv1.ListDevicesRequest{
		ChainId: c.chainID, AccountUid: c.uid, DeviceGroupId: c.text("DeviceGroupId"), IotId: c.text("IotId"), Page: p.num,
		Size: p.size,
	})
	if err == nil {
		err = withMessage(ledgerError(r.GetCode()), rules.NotFound, noDeviceGroup)
	}
	if err != nil {
		return value{}, err
	}
	return p.data(rows(r.GetDevices(), func(d *ltlv1.DeviceInfo) value {
		return object(
			textField("Status", deviceStatus(d.GetAuthorized())),
			textField("IotId", d.GetIotId()),
			field{"LastSaveTime", integer(d.GetLastSaveMs())},
			textField("DeviceId", d.GetDeviceId()),
		)
	}), r.GetTotal()), nil
}

// authorizeDevice is the Action AuthorizeDevice.
func authorizeDevice(c *call) (value, error) { return c.setDevice(true) }

// unauthorizeDevice is the Action UnAuthorizeDevice.
func unauthorizeDevice(c *call) (value, error) { return c.setDevice(false) }

// setDevice authorises one device of a group, or withdraws its authorisation.
func (c *call) setDevice(authorized bool) (value, error) {
	change := &ltlv1.AuthorizeDevice{
		DeviceGroupId: c.text("DeviceGroupId"), DeviceId: c.text("DeviceId"), Authorized: authorized,
	}
	_, err := c.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_AuthorizeDevice{AuthorizeDevice: change}})
	return text(""), withMessage(err, rules.NotFound,
		"No device of the group given in DeviceGroupId has the identifier given in DeviceId.")
}
