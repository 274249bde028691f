package chaos

import (
	"bytes"
	_ "embed" // the template
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"
)

// reportTemplate is the page, without anything that a browser would have to fetch.
//
//go:embed report.html
var reportTemplate string

// The chart's measures, in pixels.
const (
	chartLeft   = 230
	chartWidth  = 1150
	rowHeight   = 14
	panelHeight = 110
	panelGap    = 22
	mostPoints  = 900
	axisHeight  = 18
	gridLines   = 12
)

// The chart's colours.
const (
	dark   = "#1f5fa8"
	light  = "#9cc4ee"
	red    = "#d03030"
	faulty = "#444444"
	later  = "#e0a030"
)

type box struct {
	X, Y, W, H float64
	Fill, Text string
}

type label struct {
	X, Y float64
	Text string
}

type line struct{ Points, Stroke string }

// chart is what the template draws.
type chart struct {
	Width, Height int
	Step          time.Duration
	Boxes         []box
	Labels, Grid  []label
	Lines         []line

	scale float64 // pixels a second
	total float64 // seconds
}

// page is the report as a self-contained HTML page.
func (r *Results) page() ([]byte, error) {
	t, err := template.New("report").Funcs(template.FuncMap{
		"mib":   func(n int64) int64 { return n >> 20 },
		"short": short,
		"minus": func(a, b time.Duration) time.Duration { return a - b },
	}).Parse(reportTemplate)
	if err != nil {
		return nil, fmt.Errorf("couldn't read the template of the report: %w", err)
	}
	var out bytes.Buffer
	err = t.Execute(&out, struct {
		*Results
		Chart *chart
	}{r, r.chart()})
	if err != nil {
		return nil, fmt.Errorf("couldn't write the report: %w", err)
	}
	return out.Bytes(), nil
}

func short(d time.Duration) string {
	if d < 0 {
		return "never"
	}
	return d.Round(time.Millisecond).String()
}

// chart draws faults, throughput and latency over the same time.
func (r *Results) chart() *chart {
	c := &chart{Width: chartWidth, total: float64(max(1, len(r.Seconds)))}
	for _, i := range r.Made {
		c.total = max(c.total, (i.End + max(0, i.Recovered)).Seconds())
	}
	c.scale = float64(chartWidth-chartLeft-20) / c.total
	rows := map[string]int{}
	for _, s := range r.Faults {
		rows[s.Fault] = len(rows)
		c.Labels = append(c.Labels, label{chartLeft - 8, float64(rows[s.Fault]*rowHeight + rowHeight - 3), s.Fault})
	}
	for _, i := range r.Made {
		c.injection(i, float64(rows[i.Fault]*rowHeight+2))
	}
	top := float64(len(rows)*rowHeight + panelGap)
	buckets, step := squeeze(r.Seconds)
	c.Step = step
	c.throughput(buckets, top)
	top += panelHeight + panelGap
	c.latency(buckets, top)
	c.Height = int(top) + panelHeight + axisHeight
	for at := time.Duration(0); at.Seconds() <= c.total; at += gridStep(c.total) {
		c.Grid = append(c.Grid, label{c.x(at.Seconds()), 0, at.String()})
	}
	return c
}

// gridStep is a round time of which no more than gridLines fit into so many seconds.
func gridStep(seconds float64) time.Duration {
	steps := []time.Duration{time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute,
		5 * time.Minute, 10 * time.Minute, 30 * time.Minute}
	for _, s := range steps {
		if seconds/s.Seconds() <= gridLines {
			return s
		}
	}
	return max(time.Hour, time.Duration(seconds/gridLines)*time.Second)
}

func (c *chart) x(seconds float64) float64 { return chartLeft + seconds*c.scale }

func (c *chart) injection(i *Injection, y float64) {
	text := fmt.Sprintf("%s at %s for %s on %s; recovered after %s", i.Fault, short(i.Begin), short(i.End-i.Begin),
		strings.Join(i.Targets, " "), short(i.Recovered))
	c.Boxes = append(c.Boxes, box{c.x(i.Begin.Seconds()), y, max(1, (i.End-i.Begin).Seconds()*c.scale), rowHeight - 4,
		faulty, text})
	colour, lasted := later, i.Recovered
	if i.Recovered < 0 || i.Recovered > recoverLimit {
		colour, lasted = red, recoverGiveUp
	}
	c.Boxes = append(c.Boxes, box{c.x(i.End.Seconds()), y, lasted.Seconds() * c.scale, rowHeight - 4, colour, text})
}

// squeeze adds neighbouring seconds up until there are few enough to draw; counts stay those of one second, latencies
// the highest.
func squeeze(seconds []Second) ([]Second, time.Duration) {
	n := max(1, (len(seconds)+mostPoints-1)/mostPoints)
	var out []Second
	for i := 0; i < len(seconds); i += n {
		var sum Second
		part := seconds[i:min(i+n, len(seconds))]
		for _, s := range part {
			sum.Acknowledged += s.Acknowledged
			sum.Read += s.Read
			sum.Failed += s.Failed
			sum.P50, sum.P99 = max(sum.P50, s.P50), max(sum.P99, s.P99)
		}
		sum.Acknowledged, sum.Read, sum.Failed = sum.Acknowledged/len(part), sum.Read/len(part),
			(sum.Failed+len(part)-1)/len(part)
		out = append(out, sum)
	}
	return out, time.Duration(n) * time.Second
}

func (c *chart) throughput(buckets []Second, top float64) {
	most := 1
	for _, s := range buckets {
		most = max(most, s.Acknowledged+s.Read+s.Failed)
	}
	unit, width := float64(panelHeight)/float64(most), c.Step.Seconds()*c.scale
	for i, s := range buckets {
		x, y := c.x(float64(i)*c.Step.Seconds()), top+panelHeight
		text := fmt.Sprintf("%d s: %d writes, %d reads, %d without an answer", i*int(c.Step.Seconds()), s.Acknowledged,
			s.Read, s.Failed)
		for _, part := range []struct {
			n      int
			colour string
		}{{s.Acknowledged, dark}, {s.Read, light}, {s.Failed, red}} {
			if part.n > 0 {
				h := float64(part.n) * unit
				y -= h
				c.Boxes = append(c.Boxes, box{x, y, width, h, part.colour, text})
			}
		}
	}
	c.Labels = append(c.Labels, label{chartLeft - 8, top + 10, fmt.Sprintf("%d calls a second", most)},
		label{chartLeft - 8, top + panelHeight, "0"})
}

func (c *chart) latency(buckets []Second, top float64) {
	const lowest, highest = 1.0, 100_000.0 // ms
	y := func(ms float64) float64 {
		at := math.Log(min(max(ms, lowest), highest)/lowest) / math.Log(highest/lowest)
		return top + panelHeight*(1-at)
	}
	var p50, p99 []string
	for i, s := range buckets {
		if s.P99 == 0 {
			continue // nothing succeeded
		}
		x := c.x((float64(i) + 0.5) * c.Step.Seconds())
		p50 = append(p50, fmt.Sprintf("%.1f,%.1f", x, y(s.P50)))
		p99 = append(p99, fmt.Sprintf("%.1f,%.1f", x, y(s.P99)))
	}
	c.Lines = append(c.Lines, line{strings.Join(p99, " "), light}, line{strings.Join(p50, " "), dark})
	for ms := lowest; ms <= highest; ms *= 10 {
		c.Labels = append(c.Labels, label{chartLeft - 8, y(ms) + 4, fmt.Sprintf("%g ms", ms)})
	}
}
