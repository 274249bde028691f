package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Some faults are built into the program: the unchanged source is compiled with single files replaced by changed ones.

// replaced is a source file with changes, each of which must fit in exactly one place, by the path of the file.
func replaced(path string, changes [][2]string) (map[string]string, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("couldn't read the source to be changed: %w", err)
	}
	text := string(source)
	for _, change := range changes {
		if strings.Count(text, change[0]) != 1 {
			return nil, fmt.Errorf("%s of %s is not as expected; adapt the changes in test/chaos to it", path, runtime.Version())
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	return map[string]string{path: text}, nil
}

// build builds the program of the module in the working directory with some of its files replaced.
func build(ctx context.Context, out string, files map[string]string) error {
	dir := out + ".source"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("couldn't make the directory of the changed source: %w", err)
	}
	replace := map[string]string{}
	for i, path := range sortedKeys(files) {
		replace[path] = filepath.Join(dir, strconv.Itoa(i)+".go")
		if err := os.WriteFile(replace[path], []byte(files[path]), 0o600); err != nil {
			return fmt.Errorf("couldn't write the changed source: %w", err)
		}
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600)
	}
	if err != nil {
		return fmt.Errorf("couldn't write the overlay of the source: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-overlay", filepath.Join(dir, "overlay.json"), "-o", out,
		"ltl/cmd/ltl")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if printed, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("couldn't build the changed program: %w", err), errors.New(string(printed)))
	}
	return nil
}
