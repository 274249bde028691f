package conformance

import (
	"fmt"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/ltl"
)

// notarise is the source of the example in docs/api.md: the lines between the two marks.
func notarise(endpoint, accessKeyID, accessKeySecret, chainCode, key string) error {
	// docs/api.md: begin
	client, err := ltl.NewClientWithAccessKey("cn-shanghai", accessKeyID, accessKeySecret)
	if err != nil {
		return err
	}
	client.Domain = endpoint // "127.0.0.1:8800": the only line that differs from a call of Alibaba Cloud

	request := ltl.CreateSetDataRequest()
	request.ApiVersion, request.ProductKey, request.Key, request.Value = "1.0.0", chainCode, key, "hello"
	response, err := client.SetData(request)
	if err != nil {
		return err // a gateway error: *errors.ServerError with ErrorCode, HttpStatus and RequestId
	}
	if !response.Success {
		return fmt.Errorf("refused with %d: %s (%s)", response.Code, response.Message, response.RequestId)
	}
	// docs/api.md: end
	return nil
}

// testExample runs the example of the document.
func (w *world) testExample(t *testing.T) {
	if err := notarise(w.facade.Addr(), w.admin.key, w.admin.secret, w.proof.code, w.freshKey(w.admin.as)); err != nil {
		t.Error(err)
	}
	if err := notarise(w.facade.Addr(), w.admin.key, w.admin.secret, w.proof.code, w.admin.as.key); err == nil {
		t.Error("a used Key is accepted")
	}
	if err := notarise(w.facade.Addr(), w.admin.key, "wrong", w.proof.code, w.admin.as.key); err == nil {
		t.Error("a wrong secret is accepted")
	}
}
