package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Verb is what a fault does to its target.
type Verb string

// The verbs of the language.
const (
	Kill        Verb = "kill"        // SIGKILL, and a new process at the end
	Pause       Verb = "pause"       // SIGSTOP, and SIGCONT at the end
	Stutter     Verb = "stutter"     // short pauses, one after the other: a host that is starved
	Isolate     Verb = "isolate"     // no packet to or from any other process
	Partition   Verb = "partition"   // no packet between two sides
	Block       Verb = "block"       // no packet from one side to the other
	Swizzle     Verb = "swizzle"     // links are cut in random order and restored in another one
	Lose        Verb = "lose"        // a share of all packets to the target is dropped, in percent
	Limit       Verb = "limit"       // what the target receives of each process is bounded, in kB a second
	Reset       Verb = "reset"       // TCP packets to the target are answered with a reset
	Descriptors Verb = "descriptors" // the target may not open more files than this
	Memory      Verb = "memory"      // the target may take so many MB more, or is killed by the kernel
	Clock       Verb = "clock"       // the target's clock is set by so much, and right again at the end
	Creep       Verb = "creep"       // the target's clock moves away evenly by so much, and is right again at the end
	Flood       Verb = "flood"       // so many callers of one account write without a pause
	Swamp       Verb = "swamp"       // so many connections that send nothing, half of something, or too much
)

// Bounds on what a scenario may ask for, so that a mistake in it cannot take the machine.
const (
	maxWeight    = 1000
	maxSpan      = time.Hour
	maxDuration  = 24 * time.Hour
	maxNodes     = 9
	maxOrgs      = 7
	maxFacades   = 4
	maxClients   = 64
	maxRate      = 5000
	maxFlood     = 64
	maxSwamp     = 256
	maxActions   = 4
	maxSteps     = 1000
	minFiles     = 8
	maxFiles     = 65536
	maxKilobytes = 1 << 20
	maxMegabytes = 1 << 20
)

// ErrScenario is returned, wrapped with the number of the line, for a scenario that cannot be read.
var ErrScenario = errors.New("scenario")

// Span is a duration, or a range of which the schedule draws one.
type Span struct{ Min, Max time.Duration }

// Action is one thing that happens to a target. Left and Right are two sides for Partition and Block; others have Left
// alone, and Flood none.
type Action struct {
	Verb        Verb
	Amount      int
	Left, Right string
}

// Fault is one or more actions that begin and end together.
type Fault struct {
	Actions []Action
	For     Span
}

// Step is a fault at a time after the load began.
type Step struct {
	At    time.Duration
	Fault Fault
}

// Weighted is a fault of the mix; one with twice the weight is drawn twice as often.
type Weighted struct {
	Weight int
	Fault  Fault
}

// Scenario is the content of a scenario file.
type Scenario struct {
	// Nodes, Organisations and Facades are the size of the network.
	Nodes, Organisations, Facades int
	// Clients call it; together they make at most Rate calls a second.
	Clients, Rate int
	// Duration is how long faults are injected unless the caller says otherwise.
	Duration time.Duration
	// Malicious is an organisation that attacks the others with its own keys, Lying a node that lies to its callers; empty
	// for none.
	Malicious, Lying string
	// Gap lies between the recovery from one fault of the mix and the next fault.
	Gap   Span
	Steps []Step
	Mix   []Weighted
}

// defaults is the scenario of an empty file.
func defaults() Scenario {
	return Scenario{
		Nodes: 3, Organisations: 3, Facades: 2, Clients: 6, Rate: 120, Duration: 30 * time.Second,
		Gap: Span{time.Second, 3 * time.Second},
	}
}

// Parse reads a scenario. An error names the line.
func Parse(text string) (*Scenario, error) {
	s := defaults()
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := s.line(words); err != nil {
			return nil, fmt.Errorf("%w, line %d: %w", ErrScenario, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrScenario, err)
	}
	if len(s.Steps) == 0 && len(s.Mix) == 0 {
		return nil, fmt.Errorf("%w: it has no fault; add a line such as `mix 1 kill leader for 2s..5s`", ErrScenario)
	}
	return &s, nil
}

// line takes one line that is neither empty nor a comment.
func (s *Scenario) line(words []string) error {
	head, rest := words[0], words[1:]
	numbers := map[string]struct {
		to       *int
		min, max int
	}{
		"nodes": {&s.Nodes, 1, maxNodes}, "organisations": {&s.Organisations, 1, maxOrgs},
		"facades": {&s.Facades, 1, maxFacades},
		"clients": {&s.Clients, 1, maxClients}, "rate": {&s.Rate, 1, maxRate},
	}
	if n, ok := numbers[head]; ok {
		return one(rest, head, func(w string) (err error) { *n.to, err = number(w, n.min, n.max); return err })
	}
	switch head {
	case "duration":
		return one(rest, head, func(w string) (err error) { s.Duration, err = duration(w, maxDuration); return err })
	case "gap":
		return one(rest, head, func(w string) (err error) { s.Gap, err = span(w); return err })
	case "malicious":
		return one(rest, head, func(w string) error { s.Malicious = w; return checkName(w, "org") })
	case "lying":
		return one(rest, head, func(w string) error { s.Lying = w; return checkName(w, "node") })
	case "at":
		return s.step(rest)
	case "mix":
		return s.weighted(rest)
	}
	return fmt.Errorf("%q begins no line; lines begin with at, mix, gap, duration, rate, clients, nodes, organisations, facades, malicious, lying or #", head)
}

func (s *Scenario) step(words []string) error {
	if len(words) == 0 {
		return errors.New("at wants a time and a fault: `at 10s kill leader for 5s`")
	}
	at, err := duration(words[0], maxDuration)
	if err != nil {
		return err
	}
	f, err := fault(words[1:])
	if err == nil && len(s.Steps) >= maxSteps {
		err = fmt.Errorf("more than %d steps", maxSteps)
	}
	s.Steps = append(s.Steps, Step{at, f})
	return err
}

func (s *Scenario) weighted(words []string) error {
	if len(words) == 0 {
		return errors.New("mix wants a weight and a fault: `mix 4 kill leader for 2s..5s`")
	}
	weight, err := number(words[0], 1, maxWeight)
	if err != nil {
		return err
	}
	f, err := fault(words[1:])
	if err == nil && len(s.Mix) >= maxSteps {
		err = fmt.Errorf("more than %d faults in the mix", maxSteps)
	}
	s.Mix = append(s.Mix, Weighted{weight, f})
	return err
}

// fault reads ACTION [and ACTION…] for SPAN.
func fault(words []string) (f Fault, err error) {
	if len(words) < 3 || words[len(words)-2] != "for" {
		return f, errors.New("a fault is an action and how long it lasts: `kill leader for 2s..5s`")
	}
	if f.For, err = span(words[len(words)-1]); err != nil {
		return f, err
	}
	words = words[:len(words)-2]
	for begin, i := 0, 0; i <= len(words); i++ {
		if i < len(words) && words[i] != "and" {
			continue
		}
		a, err := action(words[begin:i])
		if err != nil {
			return f, err
		}
		f.Actions = append(f.Actions, a)
		begin = i + 1
	}
	if len(f.Actions) > maxActions {
		return f, fmt.Errorf("a fault has at most %d actions", maxActions)
	}
	return f, nil
}

// action reads VERB [AMOUNT] [TARGET [| TARGET]].
func action(words []string) (a Action, err error) {
	if len(words) == 0 {
		return a, errors.New("`and` stands between two actions")
	}
	a.Verb, words = Verb(words[0]), words[1:]
	if a.takesAmount() {
		if len(words) == 0 {
			return a, fmt.Errorf("%s wants a number", a.Verb)
		}
		if a.Amount, err = a.amount(words[0]); err != nil {
			return a, err
		}
		words = words[1:]
	}
	switch a.Verb {
	case Flood:
		if len(words) > 0 {
			return a, fmt.Errorf("flood takes a number of callers and no target, not %q", words[0])
		}
		return a, nil
	case Partition, Block:
		sign := map[Verb]string{Partition: "|", Block: ">"}[a.Verb]
		if len(words) != 3 || words[1] != sign {
			return a, fmt.Errorf("%s wants two sides: `%s leader %s rest`", a.Verb, a.Verb, sign)
		}
		a.Left, a.Right = words[0], words[2]
		if a.Left == "rest" && a.Right == "rest" {
			return a, errors.New("one side at most is the rest")
		}
		return a, errors.Join(checkTarget(a.Left, true), checkTarget(a.Right, true))
	case Kill, Pause, Stutter, Isolate, Swizzle, Lose, Limit, Reset, Descriptors, Memory, Clock, Creep, Swamp:
		if len(words) != 1 {
			return a, fmt.Errorf("%s wants one target: `%s leader`", a.Verb, a.Verb)
		}
		a.Left = words[0]
		return a, checkTarget(a.Left, false)
	}
	return a, fmt.Errorf("%q is no fault; there are kill, pause, stutter, isolate, partition, block, swizzle, lose, limit, reset, descriptors, memory, clock, creep, flood and swamp", a.Verb)
}

func (a Action) takesAmount() bool {
	switch a.Verb {
	case Lose, Limit, Descriptors, Memory, Clock, Creep, Flood, Swamp:
		return true
	}
	return false
}

// amount reads the number of a verb, with its unit.
func (a Action) amount(word string) (int, error) {
	switch a.Verb {
	case Lose:
		digits, ok := strings.CutSuffix(word, "%")
		if !ok {
			return 0, fmt.Errorf("lose wants a share in percent such as 30%%, not %q", word)
		}
		return number(digits, 1, 99)
	case Limit:
		digits, ok := strings.CutSuffix(word, "kB")
		if !ok {
			return 0, fmt.Errorf("limit wants kilobytes a second such as 200kB, not %q", word)
		}
		return number(digits, 1, maxKilobytes)
	case Memory:
		digits, ok := strings.CutSuffix(word, "MB")
		if !ok {
			return 0, fmt.Errorf("memory wants megabytes such as 8MB, not %q", word)
		}
		return number(digits, 1, maxMegabytes)
	case Clock, Creep:
		d, err := time.ParseDuration(word)
		if err != nil || d%time.Second != 0 || d.Abs() > maxClock || word[0] != '+' && word[0] != '-' {
			return 0, fmt.Errorf("%s wants whole seconds up to %s with a sign, such as +2h or -15m, not %q", a.Verb, maxClock, word)
		}
		return int(d / time.Second), nil
	case Descriptors:
		return number(word, minFiles, maxFiles)
	case Swamp:
		return number(word, 1, maxSwamp)
	default:
		return number(word, 1, maxFlood)
	}
}

// checkTarget accepts the kinds of targets, and names such as node2, endorser-org1 and facade1.
func checkTarget(word string, sides bool) error {
	switch word {
	case "leader", "follower", "followers", "node", "nodes", "majority", "minority", "endorser", "endorsers", "facade",
		"facades", "all":
		return nil
	case "rest":
		if sides {
			return nil
		}
	}
	for _, prefix := range []string{"node", "endorser-org", "facade"} {
		if checkName(word, prefix) == nil {
			return nil
		}
	}
	return fmt.Errorf("%q is no target; there are leader, follower, followers, node, nodes, majority, minority, endorser, endorsers, facade, facades, all, "+
		"names such as node2, endorser-org1 and facade1, and rest as one of two sides", word)
}

// checkName accepts a prefix followed by a number.
func checkName(word, prefix string) error {
	if digits, ok := strings.CutPrefix(word, prefix); ok {
		if n, err := strconv.Atoi(digits); err == nil && n > 0 && strconv.Itoa(n) == digits {
			return nil
		}
	}
	return fmt.Errorf("%q is no name such as %s1", word, prefix)
}

func one(words []string, head string, take func(string) error) error {
	if len(words) != 1 {
		return fmt.Errorf("%s wants one value", head)
	}
	return take(words[0])
}

func number(word string, least, most int) (int, error) {
	n, err := strconv.Atoi(word)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%q is no number from %d to %d", word, least, most)
	}
	return n, nil
}

func duration(word string, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(word)
	if err != nil || d < 0 || d > most {
		return 0, fmt.Errorf("%q is no duration up to %s; write 500ms, 10s or 2m", word, most)
	}
	return d, nil
}

func span(word string) (s Span, err error) {
	low, high, isRange := strings.Cut(word, "..")
	if s.Min, err = duration(low, maxSpan); err != nil {
		return s, err
	}
	s.Max = s.Min
	if isRange {
		s.Max, err = duration(high, maxSpan)
	}
	if err == nil && s.Max < s.Min {
		err = fmt.Errorf("%q ends before it begins", word)
	}
	return s, err
}

// String is the span as a scenario writes it.
func (s Span) String() string {
	if s.Min == s.Max {
		return s.Min.String()
	}
	return s.Min.String() + ".." + s.Max.String()
}

// String is the action as a scenario writes it.
func (a Action) String() string {
	words := []string{string(a.Verb)}
	switch a.Verb {
	case Lose:
		words = append(words, strconv.Itoa(a.Amount)+"%")
	case Limit:
		words = append(words, strconv.Itoa(a.Amount)+"kB")
	case Memory:
		words = append(words, strconv.Itoa(a.Amount)+"MB")
	case Clock, Creep:
		words = append(words, fmt.Sprintf("%+ds", a.Amount))
	case Descriptors, Flood, Swamp:
		words = append(words, strconv.Itoa(a.Amount))
	}
	switch a.Verb {
	case Flood:
	case Partition:
		words = append(words, a.Left, "|", a.Right)
	case Block:
		words = append(words, a.Left, ">", a.Right)
	default:
		words = append(words, a.Left)
	}
	return strings.Join(words, " ")
}

// Name is the fault without its duration: under it the results of a run are counted.
func (f Fault) Name() string {
	var words []string
	for _, a := range f.Actions {
		words = append(words, a.String())
	}
	return strings.Join(words, " and ")
}

// String is the fault as a scenario writes it.
func (f Fault) String() string { return f.Name() + " for " + f.For.String() }

// String is a scenario that Parse reads as this one.
func (s *Scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "nodes %d\norganisations %d\nfacades %d\nclients %d\nrate %d\nduration %s\ngap %s\n",
		s.Nodes, s.Organisations, s.Facades, s.Clients, s.Rate, s.Duration, s.Gap)
	if s.Malicious != "" {
		fmt.Fprintf(&b, "malicious %s\n", s.Malicious)
	}
	if s.Lying != "" {
		fmt.Fprintf(&b, "lying %s\n", s.Lying)
	}
	for _, step := range s.Steps {
		fmt.Fprintf(&b, "at %s %s\n", step.At, step.Fault)
	}
	for _, w := range s.Mix {
		fmt.Fprintf(&b, "mix %d %s\n", w.Weight, w.Fault)
	}
	return b.String()
}
