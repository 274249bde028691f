package console

import (
	"math"
	"regexp"
	"strconv"
	"testing"
)

// TestContrast: in both themes every text has a contrast of 4.5 to what is behind it, and every line and control of 3 or
// more where it alone shows something (WCAG 2.2, 1.4.3 and 1.4.11).
func TestContrast(t *testing.T) {
	for _, name := range []string{"style.css", "verify.css"} {
		raw, err := web.ReadFile("web/" + name)
		if err != nil {
			t.Fatal(err)
		}
		themes := regexp.MustCompile(`(?s)\{[^{}]*--page: ?#[^{}]*\}`).FindAllString(string(raw), -1)
		if len(themes) < 2 {
			t.Fatalf("%s has %d themes", name, len(themes))
		}
		for i, theme := range themes {
			colours := map[string]float64{}
			for _, m := range regexp.MustCompile(`--([a-z]+): ?(#[0-9a-f]+)`).FindAllStringSubmatch(theme, -1) {
				colours[m[1]] = luminance(t, m[2])
			}
			for _, p := range []struct {
				text, behind string
				least        float64
			}{
				{"text", "page", 4.5}, {"text", "sheet", 4.5}, {"dim", "page", 4.5}, {"dim", "sheet", 4.5}, {"link", "page", 4.5},
				{"link", "sheet", 4.5}, {"on", "link", 4.5}, {"ok", "page", 4.5}, {"ok", "sheet", 4.5}, {"bad", "page", 4.5},
				{"bad", "sheet", 4.5}, {"text", "notepage", 4.5}, {"note", "notepage", 3},
			} {
				front, known := colours[p.text]
				back, also := colours[p.behind]
				if !known || !also { // the page of the verifier has fewer
					continue
				}
				if got := (max(front, back) + 0.05) / (min(front, back) + 0.05); got < p.least {
					t.Errorf("%s, theme %d: %s on %s has a contrast of %.2f, want %.1f", name, i+1, p.text, p.behind, got, p.least)
				}
			}
			if len(colours) < 7 {
				t.Errorf("%s, theme %d has the colours %v", name, i+1, colours)
			}
		}
	}
}

// luminance is the relative luminance of a colour, as WCAG defines it.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	digits := hex[1:]
	if len(digits) == 3 {
		digits = string([]byte{digits[0], digits[0], digits[1], digits[1], digits[2], digits[2]})
	}
	sum := 0.0
	for i, share := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(digits[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatalf("%s is no colour", hex)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += share * c
	}
	return sum
}
