package localnet

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"
)

// TestManualVector signs the manual's own example: the value that the manual prints must come out.
func TestManualVector(t *testing.T) {
	canonical := canonicalise(map[string]string{
		"AccessKeyId": "testid", "Action": "SetData", "ApiVersion": "1.0.0", "Format": "JSON",
		"Key":        "0001_u3RNZsjruFCsSGUV_4R98_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		"ProductKey": "u3RNZE7B4skruGUV", "RegionId": "cn-shanghai", "SignatureMethod": "HMAC-SHA1",
		"SignatureNonce":   "95689946-d65b-4e16-9f44-18e5ef73649816081207616281",
		"SignatureVersion": "1.0", "Timestamp": "2020-12-16T12:12:40Z", "Value": "xxxxxxxxxxxxxxxx", "Version": "2019-05-10",
	})
	mac := hmac.New(sha1.New, []byte("testsecret&"))
	mac.Write([]byte(http.MethodPost + "&%2F&" + percentEncode(canonical)))
	if got, want := base64.StdEncoding.EncodeToString(mac.Sum(nil)), "uRBKfaZRDGVu17EuuwQ4OJS5AC8="; got != want {
		t.Errorf("signature of the manual's example is %s, want %s", got, want)
	}
}

// TestFormIsAForm: the form decodes to the given parameters, also with characters that encoders often get wrong.
func TestFormIsAForm(t *testing.T) {
	c := &Caller{AccessKeyID: "id", Secret: "secret"}
	value := "a b+c*d~e&f=g%h/存证\x00é"
	got, err := url.ParseQuery(c.Form("SetData", map[string]string{"Value": value}))
	if err != nil {
		t.Fatal(err)
	}
	if got.Get("Value") != value || got.Get("Action") != "SetData" || got.Get("AccessKeyId") != "id" ||
		got.Get("Signature") == "" {
		t.Errorf("the form decodes to %v", got)
	}
}
