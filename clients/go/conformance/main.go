// The conformance runner of the Go SDK: reads cases from standard input, one JSON object a line, and prints what came of
// each. See tests/conformance/README.md.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

func main() {
	lines := bufio.NewReader(os.Stdin)
	output := json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "conformance:", err)
			os.Exit(1)
		}
		if err := output.Encode(answer(line)); err != nil {
			fmt.Fprintln(os.Stderr, "conformance:", err)
			os.Exit(1)
		}
	}
}

// answer runs the case of a line. What the runner cannot do is unsupported.
func answer(line []byte) any {
	var wanted testCase
	if err := json.Unmarshal(line, &wanted); err != nil {
		return unsupported{Case: wanted.Case, Why: err.Error()}
	}
	came, err := wanted.run()
	if err != nil {
		return unsupported{Case: wanted.Case, Why: err.Error()}
	}
	came.Case = wanted.Case
	return came
}
