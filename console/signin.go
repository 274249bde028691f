package console

import (
	"context"
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// signInView is the page for signing in.
type signInView struct {
	// Secure is false where the page may not sign anyone in, because what it sends could be read on the way.
	Secure                     bool
	Network, Origin, Challenge string
	Next, KeyID                string
	// Failed is the key of the sentence that says why an attempt failed; empty for none.
	Failed string
}

// signInPage shows the form.
func (v *visit) signInPage() (*view, error) {
	if v.session != nil {
		http.Redirect(v.w, v.r, Prefix, http.StatusSeeOther)
		return nil, errAnswered
	}
	return v.signInForm("", "", v.r.URL.Query().Get("next")), nil
}

// enterPage is where a one-time link leads: its script sends the link's parts as a form.
func (v *visit) enterPage() (*view, error) { return &view{name: "enter", title: "enter.title"}, nil }

func (v *visit) signInForm(failed, keyID, next string) *view {
	if v.own != nil {
		return &view{name: "own-sign-in", title: "sign-in.title", data: failed != ""}
	}
	return &view{name: "sign-in", title: "sign-in.title", data: &signInView{Secure: v.secure(), Network: v.network,
		Origin: v.origin(), Challenge: v.seal.newChallenge(v.clock()), Next: ownPath(next), KeyID: keyID, Failed: failed}}
}

// ownPath is a path of the console to go to after signing in, and nothing else.
func ownPath(path string) string {
	if !strings.HasPrefix(path, Prefix) || strings.ContainsAny(path, "\\\r\n\t\x00") {
		return ""
	}
	return path
}

// attempt is one attempt to sign in: by a form that the browser signed, or by a link.
type attempt struct {
	keyID, mac string
	// message is what the HMAC is over, once what of it kept until until.
	message, once string
	until         time.Time
	sound         bool
}

// signIn signs in by what the browser or the maker of a link computed with the secret. Every failure looks the same and
// takes the same time.
func (v *visit) signIn() (*view, error) {
	if !v.secure() {
		return nil, &failure{status: http.StatusForbidden, key: "error.insecure"}
	}
	began := time.Now()
	now := v.clock()
	a := v.attemptOf(now)
	if !v.addresses.take(v.address(), now) || !v.keys.take(a.keyID, now) {
		v.w.Header().Set("Retry-After", "60")
		return nil, &failure{status: http.StatusTooManyRequests, key: "error.attempts"}
	}
	key, err := v.proven(a)
	if errors.Is(err, ErrUnavailable) {
		return nil, err
	}
	if key == nil || !v.used.add(a.once, a.until, now) {
		v.release()
		wait(v.r.Context(), failureTime-time.Since(began))
		page := v.signInForm("sign-in.failed", a.keyID, v.r.PostForm.Get("next"))
		v.render(http.StatusForbidden, page)
		return nil, errAnswered
	}
	v.begin(key)
	next := ownPath(v.r.PostForm.Get("next"))
	if next == "" {
		next = Prefix
	}
	http.Redirect(v.w, v.r, next, http.StatusSeeOther)
	return nil, errAnswered
}

// attemptOf reads the form. An attempt that is not sound fails without a look at the AccessKey.
func (v *visit) attemptOf(now time.Time) *attempt {
	get := v.r.PostForm.Get
	a := &attempt{keyID: get("id"), mac: get("mac")}
	sound := a.keyID != "" && len(a.keyID) <= maxKeyID && !strings.ContainsRune(a.keyID, 0)
	if !sound {
		a.keyID = ""
	}
	if until := get("until"); until != "" {
		ms, err := strconv.ParseInt(until, 10, 64)
		a.until = time.UnixMilli(ms)
		random := get("random")
		a.sound = sound && err == nil && now.Before(a.until) && a.until.Sub(now) <= linkTime && len(random) == 32
		a.message, a.once = LinkMessage(v.network, v.origin(), a.keyID, random, until), "link "+a.mac
		return a
	}
	challenge := get("challenge")
	a.sound = sound && v.seal.soundChallenge(challenge, now)
	a.message = SignInMessage(v.network, v.origin(), challenge, a.keyID)
	a.once, a.until = "challenge "+challenge, now.Add(challengeTime)
	return a
}

// proven returns the AccessKey whose secret an attempt was made with; nil when it was not.
func (v *visit) proven(a *attempt) (*Key, error) {
	if !a.sound {
		return nil, nil
	}
	key, err := v.cfg.Facade.Key(v.r.Context(), a.keyID)
	if errors.Is(err, ErrNoKey) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	given, err := hex.DecodeString(a.mac)
	if err != nil || !hmac.Equal(given, key.MAC(a.message)) {
		return nil, nil
	}
	return key, nil
}

// address is that of the caller: behind a proxy the last that it added to X-Forwarded-For.
func (v *visit) address() string {
	if v.cfg.BehindTLS {
		if all := v.r.Header.Values("X-Forwarded-For"); len(all) > 0 {
			last := all[len(all)-1]
			return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
		}
	}
	host, _, err := net.SplitHostPort(v.r.RemoteAddr)
	if err != nil {
		return v.r.RemoteAddr
	}
	return host
}

// wait waits for a time, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
