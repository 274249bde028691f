package facade

import (
	"crypto/rand"
	"strconv"

	"ltl/internal/rules"
)

// answer is what is to be written: the outcome of one call.
type answer struct {
	// action names the Action in XML and in metrics; empty while it is unknown.
	action string
	xml    bool
	// host is the domain that was called; gateway errors repeat it.
	host      string
	requestID [36]byte
	// gateway is set for a gateway error, refusal for a business error; neither for success.
	gateway *gatewayError
	refusal *businessError
	data    value
}

// status is the HTTP status.
func (a *answer) status() int {
	if a.gateway != nil {
		return a.gateway.status
	}
	return 200
}

// code is the result code as metrics and logs name it.
func (a *answer) code() string {
	switch {
	case a.gateway != nil:
		return a.gateway.code
	case a.refusal != nil:
		return strconv.Itoa(int(a.refusal.code))
	}
	return "200"
}

// appendBody writes the answer's body in its format.
func (a *answer) appendBody(b []byte) []byte {
	switch {
	case a.gateway != nil && a.xml:
		return a.appendGatewayXML(b)
	case a.gateway != nil:
		return a.appendGatewayJSON(b)
	case a.xml:
		return a.appendXML(b)
	}
	return a.appendJSON(b)
}

// result is the numeric code and text of an answer that is no gateway error.
func (a *answer) result() (code int32, message string) {
	if a.refusal != nil {
		return a.refusal.code, a.refusal.message
	}
	return rules.OK, ""
}

func (a *answer) appendJSON(b []byte) []byte {
	code, message := a.result()
	b = append(b, `{"Message":`...)
	b = appendJSONString(b, message)
	b = append(b, `,"RequestId":"`...)
	b = append(b, a.requestID[:]...)
	b = append(b, '"')
	if a.data.kind != kindNone {
		b = append(b, `,"Data":`...)
		b = a.data.appendJSON(b)
	}
	b = append(b, `,"Code":`...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, `,"Success":`...)
	b = strconv.AppendBool(b, a.refusal == nil)
	return append(b, '}')
}

const xmlDeclaration = `<?xml version="1.0" encoding="utf-8"?>`

func (a *answer) appendXML(b []byte) []byte {
	code, message := a.result()
	b = append(b, xmlDeclaration...)
	b = append(b, '<')
	b = append(b, a.action...)
	b = append(b, "Response><Message>"...)
	b = appendXMLText(b, message)
	b = append(b, "</Message><RequestId>"...)
	b = append(b, a.requestID[:]...)
	b = append(b, "</RequestId>"...)
	b = a.data.appendXML(b, "Data")
	b = append(b, "<Code>"...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, "</Code><Success>"...)
	b = strconv.AppendBool(b, a.refusal == nil)
	b = append(b, "</Success></"...)
	b = append(b, a.action...)
	return append(b, "Response>"...)
}

func (a *answer) appendGatewayJSON(b []byte) []byte {
	b = append(b, `{"RequestId":"`...)
	b = append(b, a.requestID[:]...)
	b = append(b, `","HostId":`...)
	b = appendJSONString(b, a.host)
	b = append(b, `,"Code":`...)
	b = appendJSONString(b, a.gateway.code)
	b = append(b, `,"Message":`...)
	b = appendJSONString(b, a.gateway.message)
	b = append(b, `,"Recommend":`...)
	b = appendJSONString(b, advice(a.gateway.code))
	return append(b, '}')
}

func (a *answer) appendGatewayXML(b []byte) []byte {
	b = append(b, xmlDeclaration...)
	b = append(b, "<Error><RequestId>"...)
	b = append(b, a.requestID[:]...)
	b = append(b, "</RequestId><HostId>"...)
	b = appendXMLText(b, a.host)
	b = append(b, "</HostId><Code>"...)
	b = appendXMLText(b, a.gateway.code)
	b = append(b, "</Code><Message>"...)
	b = appendXMLText(b, a.gateway.message)
	b = append(b, "</Message><Recommend>"...)
	b = appendXMLText(b, advice(a.gateway.code))
	return append(b, "</Recommend></Error>"...)
}

// newRequestID fills id with a random UUID in capitals.
func newRequestID(id *[36]byte) {
	var u [16]byte
	_, _ = rand.Read(u[:]) // it cannot fail: crypto/rand ends the process instead
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	j := 0
	for i, c := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			id[j] = '-'
			j++
		}
		id[j], id[j+1] = hexUpper[c>>4], hexUpper[c&15]
		j += 2
	}
}
