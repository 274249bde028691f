package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ltl/test/insider"
)

// Statistic is what all injections of one fault brought.
type Statistic struct {
	Fault string `json:"fault"`
	// How says what the verbs of the fault do, and to what: processes or containers.
	How  string `json:"how"`
	Runs int    `json:"runs"`
	// Calls acknowledged while it lasted, and of those lost or there twice in the end; Unknown are calls made then whose
	// outcome was not told.
	Acknowledged int `json:"acknowledged"`
	Lost         int `json:"lost"`
	Duplicated   int `json:"duplicated"`
	Unknown      int `json:"unknown"`
	// Times from healing to the first acknowledged write, and to all processes serving; milliseconds.
	RecoveredP50 int64 `json:"recoveredP50Ms"`
	RecoveredMax int64 `json:"recoveredMaxMs"`
	ReadyP50     int64 `json:"readyP50Ms"`
	ReadyMax     int64 `json:"readyMaxMs"`
	// Of each fault and its recovery, the longest time in which no write was acknowledged; milliseconds.
	SilentP50 int64 `json:"silentP50Ms"`
	SilentMax int64 `json:"silentMaxMs"`
	Elections int   `json:"elections"`
	// Stopped is how often a target ended by itself, for want of files or memory.
	Stopped int `json:"stopped"`
}

// Results are what a run found.
type Results struct {
	Scenario string              `json:"scenario"`
	Text     string              `json:"scenarioText"`
	Seed     uint64              `json:"seed"`
	Injected time.Duration       `json:"durationNs"`
	Command  string              `json:"command"`
	Injector string              `json:"injector"`
	Finished time.Time           `json:"finished"`
	OK       bool                `json:"ok"`
	Calls    int                 `json:"calls"`
	Outcomes map[Outcome]int     `json:"outcomes"`
	Blocks   int                 `json:"blocks"`
	Records  int                 `json:"records"`
	Checks   []*Check            `json:"checks"`
	Faults   []Statistic         `json:"faults"`
	Made     []*Injection        `json:"injections"`
	Usage    map[string]*Usage   `json:"usage"`
	Ready    map[string][]Change `json:"ready"`
	Seconds  []Second            `json:"seconds"`
	// Attacks are the attempts of the malicious organisation by their kind.
	Attacks map[string]insider.Count `json:"attacks,omitempty"`
	// Lies counts what the lying node told, by its kind; Doubtful are the calls whose answers may rest on a lie.
	Lies     map[string]int `json:"lies,omitempty"`
	Doubtful int            `json:"doubtful,omitempty"`

	unordered []*Unordered
}

// Second is what callers saw in one second of the run.
type Second struct {
	Acknowledged int `json:"acknowledged"` // writes
	Read         int `json:"read"`
	Failed       int `json:"failed"` // calls that ended with an unknown outcome
	// Latency of what succeeded, milliseconds.
	P50 float64 `json:"p50Ms"`
	P99 float64 `json:"p99Ms"`
}

// results sums up a run.
func (r *runner) results(now time.Time) *Results {
	f := &r.found
	res := &Results{
		Scenario: r.Name, Text: r.Scenario.String(), Seed: r.Seed, Injected: r.Duration, Command: r.Command,
		Injector: r.Injector.Name(), Finished: now.UTC(), OK: true,
		Calls: len(f.Ops), Outcomes: map[Outcome]int{}, Checks: Checks(f), Made: f.Injections, Usage: f.Usage,
		Ready: r.watch.ready, Attacks: f.Attacks, Lies: map[string]int{}, Doubtful: len(f.doubtful),
	}
	for _, l := range f.Lies {
		res.Lies[l.Method+": "+l.What]++
	}
	for _, o := range f.Ops {
		res.Outcomes[o.Outcome]++
	}
	if len(f.Copies) > 0 {
		res.Blocks = len(f.Copies[0].Ledger.Blocks)
		for _, records := range f.Copies[0].Ledger.Records {
			res.Records += len(records)
		}
	}
	for _, c := range res.Checks {
		res.OK = res.OK && c.OK()
	}
	res.unordered = f.unordered
	res.Faults = statistics(f, r.Injector.How)
	res.Seconds = seconds(f.Ops)
	return res
}

// statistics counts by fault.
func statistics(f *Found, how func(Verb) string) []Statistic {
	by := map[string][]*Injection{}
	for _, i := range f.Injections {
		by[i.Fault] = append(by[i.Fault], i)
	}
	acks := ackTimes(f.Ops)
	var out []Statistic
	for _, fault := range sortedKeys(by) {
		s := Statistic{Fault: fault, How: ways(fault, how), Runs: len(by[fault])}
		var recovered, ready, silent []int64
		for _, i := range by[fault] {
			s.Elections += i.Elections
			s.Stopped += len(i.Stopped)
			s.during(f, i)
			if i.Recovered >= 0 {
				recovered = append(recovered, i.Recovered.Milliseconds())
			}
			if i.Ready >= 0 {
				ready = append(ready, i.Ready.Milliseconds())
			}
			silent = append(silent, silence(acks, int64(i.Begin), int64(i.End+max(0, i.Recovered)))/int64(time.Millisecond))
		}
		s.RecoveredP50, s.RecoveredMax = percentile(recovered, 50), percentile(recovered, 100)
		s.ReadyP50, s.ReadyMax = percentile(ready, 50), percentile(ready, 100)
		s.SilentP50, s.SilentMax = percentile(silent, 50), percentile(silent, 100)
		out = append(out, s)
	}
	return out
}

// ways says how each action of a fault is made.
func ways(fault string, how func(Verb) string) string {
	var all []string
	for _, action := range strings.Split(fault, " and ") {
		verb, _, _ := strings.Cut(action, " ")
		all = append(all, how(Verb(verb)))
	}
	return strings.Join(all, "; ")
}

// during counts the calls that returned while an injection lasted.
func (s *Statistic) during(f *Found, i *Injection) {
	for _, o := range f.Ops {
		if !o.writes() || o.Return < int64(i.Begin) || o.Return > int64(i.End) {
			continue
		}
		switch o.Outcome {
		case OK:
			s.Acknowledged++
			if len(f.Copies) == 0 {
				continue
			}
			n := 0
			for _, r := range f.Copies[0].Ledger.Records[o.Key] {
				if r.Value == o.Value {
					n++
				}
			}
			if n == 0 {
				s.Lost++
			}
			if n > 1 {
				s.Duplicated++
			}
		case Unknown:
			s.Unknown++
		}
	}
}

// ackTimes are the times at which writes were acknowledged, in order.
func ackTimes(ops []*Op) []int64 {
	var times []int64
	for _, o := range ops {
		if o.writes() && (o.Outcome == OK || o.Outcome == Exists) {
			times = append(times, o.Return)
		}
	}
	slices.Sort(times)
	return times
}

// silence is the longest time without an acknowledgement between two moments.
func silence(acks []int64, from, to int64) int64 {
	i, _ := slices.BinarySearch(acks, from)
	last, longest := from, int64(0)
	for ; i < len(acks) && acks[i] <= to; i++ {
		longest, last = max(longest, acks[i]-last), acks[i]
	}
	return max(longest, to-last)
}

// percentile returns the value below or at which p percent are; -1 of nothing.
func percentile[T int64 | float64](values []T, p int) T {
	if len(values) == 0 {
		return -1
	}
	values = slices.Sorted(slices.Values(values))
	return values[max(0, (len(values)*p+99)/100-1)]
}

// seconds counts calls by the second in which they returned.
func seconds(ops []*Op) []Second {
	var out []Second
	var latencies [][]float64
	for _, o := range ops {
		if o.Return == 0 {
			continue
		}
		for int64(len(out)) <= o.Return/int64(time.Second) {
			out, latencies = append(out, Second{}), append(latencies, nil)
		}
		i := o.Return / int64(time.Second)
		switch {
		case o.Outcome == Unknown || o.Outcome == Wrong:
			out[i].Failed++
			continue
		case o.writes():
			out[i].Acknowledged++
		default:
			out[i].Read++
		}
		latencies[i] = append(latencies[i], float64(o.Return-o.Call)/float64(time.Millisecond))
	}
	for i := range out {
		if len(latencies[i]) > 0 {
			out[i].P50, out[i].P99 = percentile(latencies[i], 50), percentile(latencies[i], 99)
		}
	}
	return out
}

// Wrong is an error that names every check that failed, nil when none did.
func (r *Results) Wrong() error {
	var errs []error
	for _, c := range r.Checks {
		if c.OK() {
			continue
		}
		if c.Looked == 0 {
			errs = append(errs, fmt.Errorf("%s (%s): there was nothing to look at", c.ID, c.Name))
			continue
		}
		errs = append(errs, fmt.Errorf("%s (%s): %d violations; the first: %s", c.ID, c.Name, c.Count, c.Wrong[0]))
	}
	return errors.Join(errs...)
}

// save writes results.json and report.html, and pages of calls that no order explains.
func (r *Results) save(dir string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("couldn't encode the results: %w", err)
	}
	page, err := r.page()
	if err != nil {
		return err
	}
	var errs []error
	for i, u := range r.unordered[:min(len(r.unordered), maxDrawn)] {
		errs = append(errs, u.draw(filepath.Join(dir, fmt.Sprintf("calls-%d.html", i+1))))
	}
	return errors.Join(
		errors.Join(errs...),
		os.WriteFile(filepath.Join(dir, "results.json"), append(raw, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, "report.html"), page, 0o644),
	)
}
