package facade

import (
	"crypto/rand"
	"math"
	"net/http"
	"strconv"
	"unicode/utf8"

	"ltl/internal/rules"
)

// response is the outcome of one call, as it is to be written.
type response struct {
	// action names the Action in XML and in metrics; empty while it is unknown.
	action string
	xml    bool
	// host is the domain that was called; gateway errors contain it.
	host      string
	requestID [36]byte
	// gateway is set for a gateway error, refusal for a business error; neither for success.
	gateway *gatewayError
	refusal *businessError
	data    value
	// note is the Message of a success; nearly always empty.
	note string
	// media is the media type of the file that was asked for; empty for Actions.
	media string
}

// status is the HTTP status.
func (r *response) status() int {
	switch {
	case r.gateway != nil:
		return r.gateway.status
	case r.refusal != nil && r.media != "":
		return refusalStatus(r.refusal.code)
	}
	return http.StatusOK
}

// code is the result code as metrics and logs name it.
func (r *response) code() string {
	switch {
	case r.gateway != nil:
		return r.gateway.code
	case r.refusal != nil:
		return strconv.Itoa(int(r.refusal.code))
	}
	return "200"
}

// appendBody appends the body in the format of the response.
func (r *response) appendBody(b []byte) []byte {
	switch {
	case r.gateway != nil && r.xml:
		return r.appendGatewayXML(b)
	case r.gateway != nil:
		return r.appendGatewayJSON(b)
	case r.data.kind == kindFile:
		return append(b, r.data.text...)
	case r.xml:
		return r.appendXML(b)
	}
	return r.appendJSON(b)
}

// result is the numeric code and the message of a response that is no gateway error.
func (r *response) result() (code int32, message string) {
	if r.refusal != nil {
		return r.refusal.code, r.refusal.message
	}
	return rules.OK, r.note
}

// appendJSON appends the body of success or refusal. The order of members is that of the manual.
func (r *response) appendJSON(b []byte) []byte {
	code, message := r.result()
	b = append(b, `{"Message":`...)
	b = appendJSONString(b, message)
	b = append(b, `,"RequestId":"`...)
	b = append(b, r.requestID[:]...)
	b = append(b, '"')
	if r.data.kind != kindNone {
		b = append(b, `,"Data":`...)
		b = r.data.appendJSON(b)
	}
	b = append(b, `,"Code":`...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, `,"Success":`...)
	b = strconv.AppendBool(b, r.refusal == nil)
	return append(b, '}')
}

const xmlDeclaration = `<?xml version="1.0" encoding="utf-8"?>`

// appendXML is appendJSON in XML. The root element has the name of the Action.
func (r *response) appendXML(b []byte) []byte {
	code, message := r.result()
	b = append(b, xmlDeclaration...)
	b = append(b, '<')
	b = append(b, r.action...)
	b = append(b, "Response><Message>"...)
	b = appendXMLText(b, message)
	b = append(b, "</Message><RequestId>"...)
	b = append(b, r.requestID[:]...)
	b = append(b, "</RequestId>"...)
	b = r.data.appendXML(b, "Data")
	b = append(b, "<Code>"...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, "</Code><Success>"...)
	b = strconv.AppendBool(b, r.refusal == nil)
	b = append(b, "</Success></"...)
	b = append(b, r.action...)
	return append(b, "Response>"...)
}

// appendGatewayJSON appends the body of a gateway error, in the form of Alibaba Cloud's gateway.
func (r *response) appendGatewayJSON(b []byte) []byte {
	b = append(b, `{"RequestId":"`...)
	b = append(b, r.requestID[:]...)
	b = append(b, `","HostId":`...)
	b = appendJSONString(b, r.host)
	b = append(b, `,"Code":`...)
	b = appendJSONString(b, r.gateway.code)
	b = append(b, `,"Message":`...)
	b = appendJSONString(b, r.gateway.message)
	b = append(b, `,"Recommend":`...)
	b = appendJSONString(b, r.gateway.recommend)
	return append(b, '}')
}

// appendGatewayXML is appendGatewayJSON in XML.
func (r *response) appendGatewayXML(b []byte) []byte {
	b = append(b, xmlDeclaration...)
	b = append(b, "<Error><RequestId>"...)
	b = append(b, r.requestID[:]...)
	b = append(b, "</RequestId><HostId>"...)
	b = appendXMLText(b, r.host)
	b = append(b, "</HostId><Code>"...)
	b = appendXMLText(b, r.gateway.code)
	b = append(b, "</Code><Message>"...)
	b = appendXMLText(b, r.gateway.message)
	b = append(b, "</Message><Recommend>"...)
	b = appendXMLText(b, r.gateway.recommend)
	return append(b, "</Recommend></Error>"...)
}

// newRequestID fills id with a random UUID in capitals.
func newRequestID(id *[36]byte) {
	var u [16]byte
	_, _ = rand.Read(u[:]) // cannot fail: crypto/rand ends the process instead
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

// kind is the form of a value, and so which of its members is set.
type kind uint8

const (
	// kindNone is no value: the member is left out.
	kindNone kind = iota
	kindString
	kindInt
	kindObject
	kindArray
	// kindTable is an array in JSON, and the JSON text of that array in XML.
	kindTable
	// kindFile is a file, which is the whole body.
	kindFile
)

// value is the Data of a response. It is written as JSON or XML without reflection.
type value struct {
	kind   kind
	text   string
	number int64
	fields []field
	items  []value
	// note is the Message of a success with this Data; nearly always empty.
	note string
}

// field is one member of an object.
type field struct {
	name  string
	value value
}

func text(s string) value               { return value{kind: kindString, text: s} }
func integer(n int64) value             { return value{kind: kindInt, number: n} }
func object(fields ...field) value      { return value{kind: kindObject, fields: fields} }
func array(items []value) value         { return value{kind: kindArray, items: items} }
func table(items []value) value         { return value{kind: kindTable, items: items} }
func textField(name, s string) field    { return field{name, text(s)} }
func intField(name string, n int) field { return field{name, integer(int64(n))} }

// longField is a member that is a count. The API has signed numbers of 64 bits, so that larger ones are cut off.
func longField(name string, n uint64) field {
	return field{name, integer(int64(min(n, math.MaxInt64)))}
}

// appendJSON appends v as JSON.
func (v *value) appendJSON(b []byte) []byte {
	switch v.kind {
	case kindString:
		return appendJSONString(b, v.text)
	case kindInt:
		return strconv.AppendInt(b, v.number, 10)
	case kindObject:
		b = append(b, '{')
		for i := range v.fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSONString(b, v.fields[i].name)
			b = append(b, ':')
			b = v.fields[i].value.appendJSON(b)
		}
		return append(b, '}')
	case kindArray, kindTable:
		b = append(b, '[')
		for i := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = v.items[i].appendJSON(b)
		}
		return append(b, ']')
	}
	return append(b, "null"...)
}

const hexLower = "0123456789abcdef"

// appendJSONString appends a JSON string in UTF-8. It escapes only what JSON requires, because one of the official
// clients does not decode other escapes. Bytes that are not UTF-8 become U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(b, s[start:i]...)
				b = utf8.AppendRune(b, utf8.RuneError)
				start = i + 1
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		b = appendJSONEscape(b, c)
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// appendJSONEscape appends the escape of a control character, a quote or a backslash.
func appendJSONEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	}
	return append(b, '\\', 'u', '0', '0', hexLower[c>>4], hexLower[c&15])
}

// appendXML appends v as the element with that name. An array repeats the element, so that an empty array appends
// nothing.
func (v *value) appendXML(b []byte, name string) []byte {
	if v.kind == kindArray {
		for i := range v.items {
			b = v.items[i].appendXML(b, name)
		}
		return b
	}
	if v.kind == kindNone {
		return b
	}
	b = append(b, '<')
	b = append(b, name...)
	b = append(b, '>')
	switch v.kind {
	case kindString:
		b = appendXMLText(b, v.text)
	case kindInt:
		b = strconv.AppendInt(b, v.number, 10)
	case kindObject:
		for i := range v.fields {
			b = v.fields[i].value.appendXML(b, v.fields[i].name)
		}
	case kindTable:
		b = appendXMLText(b, string(v.appendJSON(nil)))
	}
	b = append(b, '<', '/')
	b = append(b, name...)
	return append(b, '>')
}

// appendXMLText appends character data. Characters that XML 1.0 does not allow become U+FFFD. A carriage return
// becomes a reference, because an XML parser would turn it into a line feed.
func appendXMLText(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '&':
			b = append(b, "&amp;"...)
		case r == '<':
			b = append(b, "&lt;"...)
		case r == '>':
			b = append(b, "&gt;"...)
		case r == '\r':
			b = append(b, "&#xD;"...)
		case r < ' ' && r != '\t' && r != '\n', r == 0xFFFE, r == 0xFFFF, r == utf8.RuneError:
			b = utf8.AppendRune(b, utf8.RuneError)
		default:
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return b
}
