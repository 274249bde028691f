package console

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// session is a valid session of the holder of an AccessKey.
type session struct {
	uid   string
	token token
}

// token is what the cookie holds, sealed.
type token struct {
	KeyID string `json:"k"`
	// ID is random; signing out ends it.
	ID string `json:"i"`
	// CreatedMs and SeenMs are when the session began, and when it was last used.
	CreatedMs int64 `json:"c"`
	SeenMs    int64 `json:"s"`
	// Proof is an HMAC under the AccessKey's secret: with another secret the session is over.
	Proof string `json:"p"`
}

// sealer seals cookies under a key that all facades of the organisation have, and challenges under one of its own.
type sealer struct {
	cookies   cipher.AEAD
	challenge []byte
}

const (
	cookieLabel    = "ltl/console/session/v1"
	signInLabel    = "ltl/console/sign-in/v1"
	linkLabel      = "ltl/console/link/v1"
	challengeBytes = 8 + 16
	proofBytes     = 16
)

func newSealer(sealingKey, network []byte) (*sealer, error) {
	key, err := hkdf.Key(sha256.New, sealingKey, network, cookieLabel, 32)
	if err != nil {
		return nil, fmt.Errorf("console: the sealing key cannot be used: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("console: the sealing key cannot be used: %w", err)
	}
	s := &sealer{challenge: make([]byte, 32)}
	rand.Read(s.challenge) // never fails: it ends the process instead
	s.cookies, err = cipher.NewGCMWithRandomNonce(block)
	return s, err
}

func (s *sealer) sealToken(t token) string {
	plain, err := json.Marshal(t)
	if err != nil {
		panic(fmt.Sprintf("BUG: a token is not JSON: %v", err))
	}
	return base64.RawURLEncoding.EncodeToString(s.cookies.Seal(nil, nil, plain, []byte(cookieLabel)))
}

// errNoSession says that a cookie is no session.
var errNoSession = errors.New("the cookie is no session of this network")

func (s *sealer) openToken(cookie string) (t token, err error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(cookie)
	if err != nil {
		return t, errNoSession
	}
	plain, err := s.cookies.Open(nil, nil, sealed, []byte(cookieLabel))
	if err != nil {
		return t, errNoSession
	}
	if err := json.Unmarshal(plain, &t); err != nil {
		return t, errNoSession
	}
	return t, nil
}

// newChallenge is a text that this facade made now, and takes once.
func (s *sealer) newChallenge(now time.Time) string {
	b := make([]byte, challengeBytes, challengeBytes+sha256.Size)
	putMs(b, now)
	rand.Read(b[8:])
	return base64.RawURLEncoding.EncodeToString(append(b, s.challengeMAC(b)...))
}

func (s *sealer) challengeMAC(b []byte) []byte {
	m := hmac.New(sha256.New, s.challenge)
	m.Write(b)
	return m.Sum(nil)
}

// soundChallenge reports whether this facade made a challenge, not long ago.
func (s *sealer) soundChallenge(text string, now time.Time) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != challengeBytes+sha256.Size ||
		!hmac.Equal(s.challengeMAC(b[:challengeBytes]), b[challengeBytes:]) {
		return false
	}
	// The clock is the network's, which may be set back a little.
	return now.Sub(getMs(b)).Abs() <= challengeTime
}

func putMs(b []byte, t time.Time) {
	ms := t.UnixMilli()
	for i := range 8 {
		b[i] = byte(ms >> (56 - 8*i))
	}
}

func getMs(b []byte) time.Time {
	var ms int64
	for i := range 8 {
		ms = ms<<8 | int64(b[i])
	}
	return time.UnixMilli(ms)
}

// SignInMessage is what the browser computes HMAC-SHA256 over, with the secret as the key. network is the network's id in
// hexadecimal digits.
func SignInMessage(network, origin, challenge, keyID string) string {
	return signInLabel + "\x00" + network + "\x00" + origin + "\x00" + challenge + "\x00" + keyID
}

// LinkMessage is what the maker of a one-time link computes HMAC-SHA256 over. random makes the link differ from others of
// the same moment, untilMs is when it ends.
func LinkMessage(network, origin, keyID, random, untilMs string) string {
	return linkLabel + "\x00" + network + "\x00" + origin + "\x00" + keyID + "\x00" + random + "\x00" + untilMs
}

// cookieName has the network in it: browsers give a cookie to all ports of a host.
func (v *visit) cookieName() string {
	name := "ltl-" + v.network[:8]
	if v.own != nil {
		name = "ltl-org-" + v.network[:8]
	}
	if v.cfg.TLS {
		return "__Host-" + name
	}
	return name
}

func (v *visit) setCookie(value string, age int) {
	path := Prefix
	if v.cfg.TLS {
		path = "/" // as __Host- demands
	}
	http.SetCookie(v.w, &http.Cookie{Name: v.cookieName(), Value: value, Path: path, MaxAge: age, HttpOnly: true,
		Secure: v.cfg.TLS, SameSite: http.SameSiteLaxMode})
}

// sessionProof ties a session to the secret of its AccessKey.
func sessionProof(key *Key, id string) string {
	return hex.EncodeToString(key.MAC(cookieLabel + "\x00" + id)[:proofBytes])
}

// resume returns the session of the request's cookie; nil where there is none that is valid. A session ends with the
// AccessKey: each request asks for it.
func (v *visit) resume() (*session, error) {
	cookie, err := v.r.Cookie(v.cookieName())
	if err != nil || !v.secure() {
		return nil, nil
	}
	t, err := v.seal.openToken(cookie.Value)
	now := v.clock()
	created, seen := time.UnixMilli(t.CreatedMs), time.UnixMilli(t.SeenMs)
	if err != nil || now.Sub(created) > sessionTime || now.Sub(seen) > idleTime || v.ended.has(t.ID, now) {
		return nil, nil
	}
	key, err := v.cfg.Facade.Key(v.r.Context(), t.KeyID)
	if errors.Is(err, ErrNoKey) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !hmac.Equal([]byte(sessionProof(key, t.ID)), []byte(t.Proof)) {
		return nil, nil
	}
	if now.Sub(seen) > renewAfter && !v.passive {
		t.SeenMs = now.UnixMilli()
		v.setCookie(v.seal.sealToken(t), int(sessionTime/time.Second))
	}
	return &session{uid: key.UID, token: t}, nil
}

// begin begins a session of the holder of an AccessKey.
func (v *visit) begin(key *Key) {
	id := make([]byte, 16)
	rand.Read(id)
	now := v.clock().UnixMilli()
	t := token{KeyID: key.ID, ID: hex.EncodeToString(id), CreatedMs: now, SeenMs: now}
	t.Proof = sessionProof(key, t.ID)
	v.setCookie(v.seal.sealToken(t), int(sessionTime/time.Second))
	v.logger.Info("a session of the console begins", "accessKeyId", key.ID, "account", key.UID)
}

// signOut ends the session. Another facade does not hear of it: what was stolen of the cookie before is good there until
// it expires.
func (v *visit) signOut() (*view, error) {
	t := v.session.token
	v.ended.add(t.ID, time.UnixMilli(t.CreatedMs).Add(sessionTime), v.clock())
	v.setCookie("", -1)
	v.w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	http.Redirect(v.w, v.r, Prefix+"sign-in", http.StatusSeeOther)
	return nil, errAnswered
}
